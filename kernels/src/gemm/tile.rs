//! The micro-kernel: the only place where products are summed, but for those of [`bytes`].
//!
//! ```text
//! for k in start, start + 1, ... below end
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

use std::ops::Range;

use super::bytes;
use super::weights::{Panels, Written};
use crate::simd::Simd;
use crate::tuning::FETCH_EVERY;

/// The sums of one tile.
pub(crate) type Sums<V, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize> =
    [[[V; VECTORS]; BLOCKS]; ROWS];

/// Memory that will be read soon, to be fetched meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    from: *const f32,
    /// Cache lines for every [`FETCH_EVERY`] steps.
    lines: u32,
    /// Whether they are to be in the nearest cache.
    nearest: bool,
}

impl Ahead {
    pub(crate) const NOTHING: Self = Self { from: std::ptr::null(), lines: 0, nearest: false };

    /// Memory from `from` on, of which a step takes `width` numbers: the share of a tile of `rows` of
    /// `all`. Shares of all tiles are the whole.
    #[inline(always)]
    pub(crate) fn share(from: *const f32, width: usize, rows: Range<usize>, all: usize) -> Self {
        // Divisions of so few bits are quick ones; a wrong share would only be felt.
        #[allow(
            clippy::cast_possible_truncation,
            reason = "tiles are some rows, panels some vectors"
        )]
        let until = |row: usize| {
            let lines = width * FETCH_EVERY / NUMBERS_OF_LINE;
            (lines as u32).wrapping_mul(row as u32) / (all as u32).max(1)
        };
        let lines = until(rows.end).wrapping_sub(until(rows.start));
        Self { from, lines, nearest: false }
    }

    /// The same memory, which is to be in the nearest cache or not so near.
    #[inline(always)]
    pub(crate) fn nearest(self, nearest: bool) -> Self {
        Self { nearest, ..self }
    }

    /// What is left for other tiles when this one has gone so many steps.
    #[inline(always)]
    pub(crate) fn after(self, steps: usize) -> *const f32 {
        let lines = steps / FETCH_EVERY * self.lines as usize;
        self.from.wrapping_add(lines * NUMBERS_OF_LINE)
    }

    /// Fetches what falls to some steps.
    #[inline(always)]
    pub(super) fn fetch<S: Simd>(&mut self, s: S) {
        for _ in 0..self.lines {
            if self.nearest {
                s.prefetch::<true>(self.from);
            } else {
                s.prefetch::<false>(self.from);
            }
            self.from = self.from.wrapping_add(NUMBERS_OF_LINE);
        }
    }
}

/// Numbers in a cache line.
const NUMBERS_OF_LINE: usize = 16;

/// Adds the products of k = start, start + 1, ... below end to the sums, and fetches `ahead` if there
/// are several rows.
///
/// # Safety
///
/// Each of `rows` is valid for reading `end` numbers, and the panels are as long; `start` is even. Of bytes
/// rows and panels are as [`bytes`] says, `start` is 0, and `end` their number.
#[inline(always)]
pub(crate) unsafe fn accumulate<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const PART: usize,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Panels<F, BLOCKS, VECTORS, PART>,
    [start, end]: [usize; 2],
    mut ahead: Ahead,
) {
    if const { F::BYTES } {
        // SAFETY: passed on; whoever multiplies bytes cuts no dot product.
        unsafe { bytes::accumulate(s, sums, rows, panels, end, ahead) };
        return;
    }
    let (mut word, whole) = (start / F::IN_A_WORD, end / F::IN_A_WORD);
    if ROWS > 1 && ahead.lines > 0 {
        let blocks = (end - start) / FETCH_EVERY;
        for _ in 0..blocks {
            ahead.fetch(s);
            for _ in 0..FETCH_EVERY / F::IN_A_WORD {
                // SAFETY: the word is below those of `end`, for which the caller vouches.
                unsafe { accumulate_word(s, sums, rows, panels, word) };
                word += 1;
            }
        }
    }
    // A row alone is so little work a step that counting would be felt.
    while ROWS == 1 && word + 4 / F::IN_A_WORD <= whole {
        for ahead in 0..4 / F::IN_A_WORD {
            // SAFETY: the word is below those of `end`, for which the caller vouches.
            unsafe { accumulate_word(s, sums, rows, panels, word + ahead) };
        }
        word += 4 / F::IN_A_WORD;
    }
    while word < whole {
        // SAFETY: the word is below those of `end`, for which the caller vouches.
        unsafe { accumulate_word(s, sums, rows, panels, word) };
        word += 1;
    }
    if F::IN_A_WORD > 1 && whole * F::IN_A_WORD < end {
        // SAFETY: the first weight of this word is below `end`, for which the caller vouches.
        unsafe {
            accumulate_one::<_, _, ROWS, BLOCKS, VECTORS, PART, false>(
                s, sums, rows, panels, whole,
            );
        };
    }
}

/// Adds the products of k = start, start + step, ... below end to the sums; `step` is even, and
/// `ODD` says whether all k are odd.
///
/// # Safety
///
/// Each of `rows` is valid for reading `end` numbers, and the panels are as long.
#[inline(always)]
pub(crate) unsafe fn accumulate_chain<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const PART: usize,
    const ODD: bool,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Panels<F, BLOCKS, VECTORS, PART>,
    [start, end, step]: [usize; 3],
) {
    let (mut word, step) = (start / F::IN_A_WORD, step / F::IN_A_WORD);
    // Words of which this weight is below `end`.
    let words = if F::IN_A_WORD == 1 { end } else { (end + usize::from(!ODD)) / F::IN_A_WORD };
    // As in `accumulate`.
    while ROWS == 1 && word + 3 * step < words {
        for ahead in 0..4 {
            let word = word + ahead * step;
            // SAFETY: the weight is below `end`, for which the caller vouches.
            unsafe {
                accumulate_one::<_, _, ROWS, BLOCKS, VECTORS, PART, ODD>(
                    s, sums, rows, panels, word,
                );
            };
        }
        word += 4 * step;
    }
    while word < words {
        // SAFETY: the weight is below `end`, for which the caller vouches.
        unsafe {
            accumulate_one::<_, _, ROWS, BLOCKS, VECTORS, PART, ODD>(s, sums, rows, panels, word);
        };
        word += step;
    }
}

/// Adds the products of the weights of a word to the sums.
///
/// # Safety
///
/// As [`accumulate`], for these k.
#[inline(always)]
unsafe fn accumulate_word<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const PART: usize,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Panels<F, BLOCKS, VECTORS, PART>,
    word: usize,
) {
    // SAFETY: passed on.
    unsafe {
        if F::IN_A_WORD == 1 {
            accumulate_one::<_, _, ROWS, BLOCKS, VECTORS, PART, false>(s, sums, rows, panels, word);
        } else if ROWS > 1 {
            accumulate_one::<_, _, ROWS, BLOCKS, VECTORS, PART, false>(s, sums, rows, panels, word);
            let panels = panels.anew(s);
            accumulate_one::<_, _, ROWS, BLOCKS, VECTORS, PART, true>(s, sums, rows, panels, word);
        } else {
            // A word is made both weights at once: there are registers for that.
            let number = rows[0].wrapping_add(F::k::<false>(word));
            let [even, odd] = [s.load_splat(number), s.load_splat(number.wrapping_add(1))];
            for block in 0..BLOCKS {
                for vector in 0..VECTORS {
                    let sum = &mut sums[0][block][vector];
                    *sum = s.fma(even, panels.weight::<S, false>(s, block, vector, word), *sum);
                    *sum = s.fma(odd, panels.weight::<S, true>(s, block, vector, word), *sum);
                }
            }
        }
    }
}

/// Adds the products of one weight of a word, the `ODD` one if there are two, to the sums.
///
/// # Safety
///
/// As [`accumulate`], for one k.
#[inline(always)]
pub(crate) unsafe fn accumulate_one<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const PART: usize,
    const ODD: bool,
>(
    s: S,
    sums: &mut Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: Panels<F, BLOCKS, VECTORS, PART>,
    word: usize,
) {
    let k = F::k::<ODD>(word);
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
                let mut weight = unsafe { panels.weight::<S, ODD>(s, block, vector, word) };
                if ROWS > 1 && F::IN_A_WORD > 1 {
                    weight = s.settled(weight);
                }
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
                let weight = unsafe { panels.weight::<S, ODD>(s, block, vector, word) };
                kept[block][vector] = if F::IN_A_WORD > 1 { s.settled(weight) } else { weight };
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
