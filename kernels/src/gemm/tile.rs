//! The micro-kernel: the only place where products are summed.
//!
//! ```text
//! for k in start, start + step, ... below end
//!     for each row, block and vector
//!         sum[row][block][vector] += row[k] * panel[block][vector][k]
//! ```
//!
//! 1. All sums are registers: the loops over rows, blocks and vectors have constant lengths.
//! 2. A weight is read once for all rows, a row's number once for all vectors.
//! 3. Each sum is one chain of fused multiply-adds in the order of k. Which sums share a tile
//!    decides speed and never a bit.
//!
//! 4. Meanwhile the next weights are fetched from a further cache, some lines every few k: several rows
//!    are time enough, a row alone is not.
//! 5. The compiler may not read ahead where that needs a register more than there is ([`Simd::settled`]).
//!
//! Registers: ROWS × BLOCKS × VECTORS sums, and the fewer of rows and vectors plus one.

use crate::simd::Simd;
use crate::tuning::FETCH_EVERY;

/// The sums of one tile.
pub(crate) type Sums<V, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize> =
    [[[V; VECTORS]; BLOCKS]; ROWS];

/// Memory that will be read soon, to be fetched meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    from: *const f32,
    /// Cache lines.
    lines: usize,
}

impl Ahead {
    pub(crate) const NOTHING: Self = Self { from: std::ptr::null(), lines: 0 };

    /// `numbers` numbers from `from` on.
    #[inline(always)]
    pub(crate) fn of(from: *const f32, numbers: usize) -> Self {
        Self { from, lines: numbers / NUMBERS_OF_LINE }
    }

    #[inline(always)]
    pub(crate) fn is_nothing(self) -> bool {
        self.lines == 0
    }

    /// What falls to rows `first..end` of `all`, if each row fetches as much.
    #[inline(always)]
    pub(crate) fn share(self, first: usize, end: usize, all: usize) -> Self {
        if self.lines == 0 {
            return self;
        }
        let (first, end) = (self.lines * first / all, self.lines * end / all);
        Self { from: self.from.wrapping_add(first * NUMBERS_OF_LINE), lines: end - first }
    }
}

/// Numbers in a cache line.
const NUMBERS_OF_LINE: usize = 16;

/// The weights of some panels of `VECTORS` vectors, which lie in parts of `PART`.
#[derive(Clone, Copy)]
pub(crate) struct Panels<const BLOCKS: usize, const VECTORS: usize, const PART: usize> {
    /// Where each begins.
    pub(crate) starts: [*const f32; BLOCKS],
    /// How long each is.
    pub(crate) depth: usize,
}

impl<const BLOCKS: usize, const VECTORS: usize, const PART: usize> Panels<BLOCKS, VECTORS, PART> {
    /// The weights of one vector for one k.
    ///
    /// # Safety
    ///
    /// k is below the depth.
    #[inline(always)]
    unsafe fn weight<S: Simd>(&self, s: S, block: usize, vector: usize, k: usize) -> S::V {
        let (part, place) = (vector - vector % PART, vector % PART);
        let before = if part == 0 { 0 } else { self.depth.wrapping_mul(part) };
        let at = k.wrapping_mul(PART).wrapping_add(place).wrapping_add(before);
        // SAFETY: the caller vouches for k; panels are cut from memory that starts on a cache line
        // into parts of whole vectors.
        unsafe { s.load_aligned(self.starts[block].wrapping_add(at.wrapping_mul(S::LANES))) }
    }
}

/// Adds the products of k = start, start + step, ... below end to the sums, and fetches `ahead` if
/// there are several rows.
///
/// # Safety
///
/// Each of `rows` is valid for reading `end` numbers, and the panels are as long.
#[inline(always)]
pub(crate) unsafe fn accumulate<
    S: Simd,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const PART: usize,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Panels<BLOCKS, VECTORS, PART>,
    [start, end, step]: [usize; 3],
    mut ahead: Ahead,
) {
    let mut k = start;
    if ROWS > 1 && ahead.lines > 0 {
        let blocks = (end - start) / (FETCH_EVERY * step);
        let lines = ahead.lines.div_ceil(blocks.max(1));
        for _ in 0..blocks {
            for _ in 0..lines {
                s.prefetch(ahead.from);
                ahead.from = ahead.from.wrapping_add(NUMBERS_OF_LINE);
            }
            for _ in 0..FETCH_EVERY {
                // SAFETY: k < end, for which the caller vouches.
                unsafe { accumulate_one(s, sums, rows, panels, k) };
                k += step;
            }
        }
    }
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
    const PART: usize,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Panels<BLOCKS, VECTORS, PART>,
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
                let weight = unsafe { panels.weight(s, block, vector, k) };
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
                kept[block][vector] = unsafe { panels.weight(s, block, vector, k) };
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
