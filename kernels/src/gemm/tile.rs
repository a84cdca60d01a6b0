//! The micro-kernel: the only place where products are summed.
//!
//! ```text
//! for k in start, start + step, ... below end
//!     for each row, block and vector
//!         sum[row][block][vector] += row[k] * panel[block][k][vector]
//! ```
//!
//! 1. All sums are registers: the loops over rows, blocks and vectors have constant lengths.
//! 2. A weight is read once for all rows, a row's number once for all vectors.
//! 3. Each sum is one chain of fused multiply-adds in the order of k. Which sums share a tile
//!    decides speed and never a bit.
//!
//! Registers: ROWS × BLOCKS × VECTORS sums, ROWS broadcasts, one weight.

use crate::simd::Simd;

/// The sums of one tile.
pub(crate) type Sums<V, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize> =
    [[[V; VECTORS]; BLOCKS]; ROWS];

/// Adds the products of k = start, start + step, ... below end to the sums.
///
/// # Safety
///
/// Each of `rows` is valid for reading `end` numbers, each of `panels` for `end × VECTORS × LANES`,
/// from a multiple of a vector's size on.
#[inline(always)]
pub(crate) unsafe fn accumulate<
    S: Simd,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: [*const f32; BLOCKS],
    [start, end, step]: [usize; 3],
) {
    let mut k = start;
    while k < end {
        // SAFETY: k < end, for which the caller vouches.
        unsafe { accumulate_one(s, sums, rows, panels, k) };
        k += step;
    }
}

/// Adds the products of one k to the sums.
///
/// # Safety
///
/// As [`accumulate`], for one k.
#[inline(always)]
pub(crate) unsafe fn accumulate_one<
    S: Simd,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: [*const f32; BLOCKS],
    k: usize,
) {
    let mut broadcast = [s.splat(0.0); ROWS];
    for row in 0..ROWS {
        // SAFETY: the caller vouches for k.
        broadcast[row] = unsafe { s.load_splat(rows[row].wrapping_add(k)) };
    }
    for block in 0..BLOCKS {
        let weights = panels[block].wrapping_add(k.wrapping_mul(VECTORS * S::LANES));
        for vector in 0..VECTORS {
            // SAFETY: the caller vouches for k; panels are cut from memory that starts on a cache
            // line into parts of whole vectors.
            let weight = unsafe { s.load_aligned(weights.wrapping_add(vector * S::LANES)) };
            for row in 0..ROWS {
                let sum = &mut sums[row][block][vector];
                *sum = s.fma(broadcast[row], weight, *sum);
            }
        }
    }
}
