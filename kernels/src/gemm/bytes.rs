//! Products of bytes: a row made into bytes, and the tile that multiplies them.
//!
//! ```text
//! scale of row = largest |row[k]| / 127
//! byte[k]      = row[k] (127 / largest), rounded
//! for each row and output n
//!     sum[row][n] += (byte[0] W[n][0] + byte[1] W[n][1] + ...) (scale of row) (scale of n)
//! ```
//!
//! 1. Integers are exact: their sums need no order, on no level.
//! 2. A row's scale comes from that row alone, so that what shares a batch with it changes no bit. It is
//!    never coarser than one that covered all that a state may be.
//! 3. Four products go to one sum of 32 bits at once ([`Simd::dot_bytes`]).
//! 4. Each row reads the weights again: kept for the next row, they and their opposites would take the
//!    registers of sums. Where bytes are shifted ([`Simd::BYTES_ARE_SHIFTED`]) a product is one
//!    instruction, and weights are kept. Many rows go to a matrix unit where there is one. Nothing of that
//!    changes an integer.
//!
//! A row lies as an output of the weights does: its bytes, four in a word, then its scale, then a word that
//! is not used.
//!
//! Registers: ROWS × BLOCKS × VECTORS sums, a row's word and its magnitudes, and what takes a product.

use std::ops::Range;

use super::tile::{Ahead, Sums};
use super::weights::{Int8, Panels, Written};
use crate::matrix_unit::{Bytes, MatrixUnit, OUTPUTS, ROWS};
use crate::pack::Format;
use crate::quantise::{SHIFT, Scale, magnitude};
use crate::simd::{Simd, Work};
use crate::tuning::FETCH_EVERY;
use crate::view::View;

/// Makes bytes of the rows of `input`, `[time][batch][words]`.
#[inline(always)]
pub(super) fn quantise<S: Simd>(s: S, input: &View<'_>, room: &mut [f32]) {
    let words = Format::Int8.words(input.features());
    let places = (0..input.time()).flat_map(|time| (0..input.batch()).map(move |row| (time, row)));
    for ((time, row), to) in places.zip(room.chunks_exact_mut(words)) {
        s.fenced(Quantise { from: input.row(time, row), to });
    }
}

/// A row, and its place as bytes.
pub(super) struct Quantise<'a> {
    pub(super) from: &'a [f32],
    pub(super) to: &'a mut [f32],
}

impl<S: Simd> Work<S> for Quantise<'_> {
    #[inline(always)]
    fn run(self, _: S) {
        let Self { from, to } = self;
        let shift = if S::BYTES_ARE_SHIFTED { SHIFT } else { 0 };
        let scale = Scale::of(from.iter().fold(0, |largest, &x| largest.max(magnitude(x))));
        let (words, unit) = to.split_at_mut(from.len().div_ceil(4));
        let (fours, rest) = from.as_chunks::<4>();
        for (to, four) in words.iter_mut().zip(fours) {
            *to = f32::from_bits(u32::from_le_bytes(four.map(|x| scale.byte(x) ^ shift)));
        }
        if let Some(to) = words.get_mut(fours.len()) {
            let mut last = [0; 4];
            for (to, &x) in last.iter_mut().zip(rest) {
                *to = scale.byte(x) ^ shift;
            }
            *to = f32::from_bits(u32::from_le_bytes(last));
        }
        unit[0] = scale.unit;
    }
}

/// Words of so many bytes, without what is behind them.
#[inline(always)]
pub(super) fn words_of(depth: usize) -> usize {
    depth.div_ceil(Int8::IN_A_WORD)
}

/// Words of a row of so many bytes, and of the weights of an output.
#[inline(always)]
pub(super) fn words_of_row(depth: usize) -> usize {
    Int8::words(depth)
}

/// Some rows of shifted bytes, and a panel, for a matrix unit.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) rows: &'a [f32],
    pub(super) panel: &'a [f32],
    pub(super) depth: usize,
}

impl Product<'_> {
    /// Adds the products of rows `block` to their sums. Those before them are multiplied as well.
    ///
    /// # Safety
    ///
    /// The unit is prepared for bytes, and for as many rows as there are here; the block is some of them,
    /// whose sums are there; the panel has `VECTORS` vectors, for `S`, whose bytes are shifted.
    #[inline(always)]
    pub(super) unsafe fn add<S: Simd, U: MatrixUnit, const VECTORS: usize>(
        self,
        s: S,
        unit: U,
        block: Range<usize>,
        sums: *mut [S::V; VECTORS],
    ) {
        if const { S::LANES != OUTPUTS || !S::BYTES_ARE_SHIFTED } {
            unreachable!("a vector is as wide as a tile, and a unit multiplies shifted bytes");
        }
        let (words, apart) = (words_of(self.depth), words_of_row(self.depth));
        let behind = |word: usize, vector: usize| {
            let at = (word * VECTORS + vector) * S::LANES;
            // SAFETY: an output's scale is behind its words, and what its sums start from behind that.
            unsafe { s.load(self.panel[at..][..S::LANES].as_ptr()) }
        };
        let (mut starts, mut of_outputs) = ([s.splat(0.0); VECTORS], [s.splat(0.0); VECTORS]);
        for vector in 0..VECTORS {
            starts[vector] = behind(words + 1, vector);
            of_outputs[vector] = behind(words, vector);
        }
        let mut integers = [starts; ROWS];
        let (rows, weights) = (self.rows.as_ptr(), self.panel.as_ptr());
        let sums_of_tile = integers.as_mut_ptr().cast();
        // SAFETY: passed on; rows and panel have so many words.
        unsafe {
            unit.multiply_bytes::<VECTORS>(Bytes {
                rows,
                apart,
                weights,
                words,
                sums: sums_of_tile,
            });
        }
        for (row, place) in block.enumerate() {
            let of_row = s.splat(self.rows[place * apart + words]);
            // SAFETY: passed on: the sums of the block's rows are there.
            let sums = unsafe { &mut *sums.wrapping_add(row) };
            for vector in 0..VECTORS {
                let integer = s.to_numbers(integers[place][vector]);
                sums[vector] = s.fma(integer, s.mul(of_row, of_outputs[vector]), sums[vector]);
            }
        }
    }
}

/// Adds the products of `depth` bytes to the sums, and fetches `ahead` if there are several rows.
///
/// # Safety
///
/// Each of `rows` is such a row of `depth` bytes, and the panels are as long.
#[inline(always)]
pub(super) unsafe fn accumulate<
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
    mut panels: Panels<F, BLOCKS, VECTORS, PART>,
    depth: usize,
    mut ahead: Ahead,
) {
    let unit = words_of(depth);
    let mut integers = [[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS];
    if S::BYTES_ARE_SHIFTED {
        for block in 0..BLOCKS {
            for vector in 0..VECTORS {
                // SAFETY: what an output's sums start from is behind its scale.
                let start = unsafe { panels.words(s, block, vector, unit + 1) };
                for row in 0..ROWS {
                    integers[row][block][vector] = start;
                }
            }
        }
    }
    for word in 0..unit {
        if ROWS > 1 && word.is_multiple_of(FETCH_EVERY / Int8::IN_A_WORD) {
            ahead.fetch(s);
        }
        for row in 0..ROWS {
            // SAFETY: the word is one of the row's.
            let bytes = unsafe { s.load_bytes(rows[row].wrapping_add(word)) };
            for block in 0..BLOCKS {
                for vector in 0..VECTORS {
                    // SAFETY: the word is one of the panel's.
                    let words = unsafe { panels.words(s, block, vector, word) };
                    let sum = &mut integers[row][block][vector];
                    *sum = s.dot_bytes(*sum, words, bytes);
                }
            }
            if !S::BYTES_ARE_SHIFTED {
                panels = panels.anew(s);
            }
        }
    }
    for row in 0..ROWS {
        // SAFETY: a row's scale is behind its bytes.
        let of_row = unsafe { s.load_splat(rows[row].wrapping_add(unit)) };
        for block in 0..BLOCKS {
            for vector in 0..VECTORS {
                // SAFETY: an output's scale is behind its bytes.
                let of_output = unsafe { panels.words(s, block, vector, unit) };
                let integer = s.to_numbers(integers[row][block][vector]);
                let sum = &mut sums[row][block][vector];
                *sum = s.fma(integer, s.mul(of_row, of_output), *sum);
            }
        }
    }
}
