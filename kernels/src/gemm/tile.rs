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
//! 4. The compiler may not read ahead where that needs a register more than there is ([`Simd::settled`]).
//!
//! Registers: ROWS × BLOCKS × VECTORS sums, and the fewer of rows and vectors plus one.

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
    // A row alone is so little work a step that counting would be felt.
    while ROWS == 1 && k + 3 * step < end {
        for ahead in 0..4 {
            // SAFETY: k + 3 step < end, for which the caller vouches.
            unsafe { accumulate_one(s, sums, rows, panels, k + ahead * step) };
        }
        k += 4 * step;
    }
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
    // Whichever are fewer are kept in registers: the rows' numbers, or the weights.
    if const { ROWS <= BLOCKS * VECTORS } {
        let mut numbers = [s.splat(0.0); ROWS];
        for row in 0..ROWS {
            // SAFETY: the caller vouches for k.
            numbers[row] = unsafe { s.load_splat(rows[row].wrapping_add(k)) };
        }
        for block in 0..BLOCKS {
            for vector in 0..VECTORS {
                // SAFETY: passed on.
                let weight = unsafe { weight_of::<S, VECTORS>(s, panels[block], k, vector) };
                for row in 0..ROWS {
                    let sum = &mut sums[row][block][vector];
                    *sum = s.fma(numbers[row], weight, *sum);
                    if ROWS > 1 {
                        *sum = s.settled(*sum);
                    }
                }
            }
        }
    } else {
        let mut kept = [[s.splat(0.0); VECTORS]; BLOCKS];
        for block in 0..BLOCKS {
            for vector in 0..VECTORS {
                // SAFETY: passed on.
                kept[block][vector] =
                    unsafe { weight_of::<S, VECTORS>(s, panels[block], k, vector) };
            }
        }
        for row in 0..ROWS {
            // SAFETY: the caller vouches for k.
            let number = unsafe { s.load_splat(rows[row].wrapping_add(k)) };
            for block in 0..BLOCKS {
                for vector in 0..VECTORS {
                    let sum = &mut sums[row][block][vector];
                    *sum = s.settled(s.fma(number, kept[block][vector], *sum));
                }
            }
        }
    }
}

/// One vector of a panel's weights for one k.
///
/// # Safety
///
/// As [`accumulate`], for one k.
#[inline(always)]
unsafe fn weight_of<S: Simd, const VECTORS: usize>(
    s: S,
    panel: *const f32,
    k: usize,
    vector: usize,
) -> S::V {
    let at = k.wrapping_mul(VECTORS).wrapping_add(vector).wrapping_mul(S::LANES);
    // SAFETY: the caller vouches for k; panels are cut from memory that starts on a cache line into
    // parts of whole vectors.
    unsafe { s.load_aligned(panel.wrapping_add(at)) }
}
