//! Numbers in parts: rows made into tiles of them, and the product that a matrix unit makes of those.
//!
//! ```text
//! for each row
//!     tiles[part][row] = the parts of the row
//! sums += tiles panel
//! ```
//!
//! 1. Rows behind the last of a block are whatever was there, and go nowhere.
//! 2. A number that is rounded is one part.
//! 3. A row to be split that is not finite, or has a very large number, is left whole. Its sums are made by vectors,
//!    of weights put together again: what they are in f32, to the bit, where those are one chain.

use std::ops::Range;

use super::weights::Written;
use crate::bf16::{ALL_PARTS, has_parts, parts, word};
use crate::matrix_unit::{DEPTH, MatrixUnit, OUTPUTS, ROWS, Tiles, WORDS, height, words_of_block};
use crate::quantise::magnitude;
use crate::simd::{Simd, Work};
use crate::view::View;

/// Makes all rows of `input` into tiles, block by block, with as many parts as the weights have.
#[inline(always)]
pub(super) fn make<S: Simd, F: Written>(s: S, input: &View<'_>, room: &mut [f32]) {
    let (rows, batch) = (input.time() * input.batch(), input.batch());
    let row = |row| input.row(row / batch, row % batch);
    make_rows::<S, F>(s, rows, input.features(), room, row);
}

/// Makes so many rows of `depth` numbers into tiles, block by block.
#[inline(always)]
pub(super) fn make_rows<'n, S: Simd, F: Written>(
    s: S,
    rows: usize,
    depth: usize,
    room: &mut [f32],
    numbers: impl Fn(usize) -> &'n [f32],
) {
    let height = height(rows);
    let blocks = room.chunks_exact_mut(words_of_block(depth, F::FORMAT.parts()));
    for (first, block) in (0..rows).step_by(height).zip(blocks) {
        for row in 0..height.min(rows - first) {
            let from = numbers(first + row);
            match const { F::FORMAT.parts() } {
                1 => s.fenced(RowInTiles::<1> { from, block, row }),
                ALL_PARTS => s.fenced(RowInTiles::<ALL_PARTS> { from, block, row }),
                other => unreachable!("a number has one part or all, not {other}"),
            }
        }
    }
}

/// A row, and the block in which it gets its parts.
struct RowInTiles<'a, const PARTS: usize> {
    from: &'a [f32],
    block: &'a mut [f32],
    /// Its place in the block.
    row: usize,
}

impl<S: Simd, const PARTS: usize> Work<S> for RowInTiles<'_, PARTS> {
    #[inline(always)]
    fn run(self, _: S) {
        const LINE: usize = WORDS / ROWS;
        let Self { from, block, row } = self;
        let (tiles, whole_ones) = block.split_at_mut(from.len().div_ceil(DEPTH) * PARTS * WORDS);
        if const { PARTS == ALL_PARTS } {
            let largest = from.iter().fold(0, |largest, &x| largest.max(magnitude(x)));
            whole_ones[row] = if has_parts(largest) { 0.0 } else { 1.0 };
        }
        for (from, tiles) in from.chunks(DEPTH).zip(tiles.chunks_exact_mut(PARTS * WORDS)) {
            let mut numbers = [0.0; DEPTH];
            numbers[..from.len()].copy_from_slice(from);
            let numbers = numbers.map(parts::<PARTS>);
            for (part, tile) in tiles.chunks_exact_mut(WORDS).enumerate() {
                let to = &mut tile[row * LINE..][..LINE];
                for (to, pair) in to.iter_mut().zip(numbers.as_chunks::<2>().0) {
                    *to = word(pair[0][part], pair[1][part]);
                }
            }
        }
    }
}

/// The parts of a block of rows, and a panel.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub(super) tiles: &'a [f32],
    pub(super) panel: &'a [f32],
    pub(super) depth: usize,
}

impl Product<'_> {
    /// Adds the products of rows `block` to their sums; `numbers` are those of a row.
    ///
    /// # Safety
    ///
    /// The unit is prepared for rows, for as many of which there is room in `sums`; those of the block are
    /// there; the panel has `VECTORS` vectors, for `S`.
    #[inline(always)]
    pub(super) unsafe fn add<'n, S: Simd, F: Written, const VECTORS: usize>(
        self,
        s: S,
        unit: F::Unit,
        block: Range<usize>,
        sums: *mut [S::V; VECTORS],
        numbers: impl Fn(usize) -> &'n [f32],
    ) {
        if const { S::LANES != OUTPUTS } {
            unreachable!("a vector is as wide as a tile");
        }
        let (blocks, parts) = (self.depth.div_ceil(DEPTH), const { F::FORMAT.parts() });
        debug_assert!(self.tiles.len() >= blocks * parts * WORDS, "tiles of rows");
        debug_assert!(self.panel.len() >= VECTORS * blocks * parts * WORDS, "tiles of a panel");
        if blocks == 0 {
            return;
        }
        let tiles = Tiles {
            rows: self.tiles.as_ptr(),
            weights: self.panel.as_ptr(),
            blocks,
            sums: sums.cast(),
        };
        if const { F::FORMAT.parts() == 1 } {
            // SAFETY: passed on; tiles of rows and of the panel cover all blocks.
            unsafe { unit.multiply::<1, VECTORS>(tiles) };
            return;
        }
        if !(0..block.len()).any(|row| self.is_whole(row)) {
            // SAFETY: as above.
            unsafe { unit.multiply::<ALL_PARTS, VECTORS>(tiles) };
            return;
        }
        let mut by_vectors = [[s.splat(0.0); VECTORS]; ROWS];
        for row in (0..block.len()).filter(|&row| self.is_whole(row)) {
            // SAFETY: passed on: the sums of the block's rows are there.
            let start = unsafe { *sums.wrapping_add(row) };
            by_vectors[row] = self.in_one_chain(s, start, numbers(block.start + row));
        }
        // SAFETY: as above.
        unsafe { unit.multiply::<ALL_PARTS, VECTORS>(tiles) };
        for row in (0..block.len()).filter(|&row| self.is_whole(row)) {
            // SAFETY: as above.
            unsafe { *sums.wrapping_add(row) = by_vectors[row] };
        }
    }

    /// Whether a row of the block is one that was left whole.
    #[inline(always)]
    fn is_whole(self, row: usize) -> bool {
        self.tiles[self.tiles.len() - ROWS + row] != 0.0
    }

    /// The sums of a row that was left whole by vectors, from `sums` on.
    #[inline(always)]
    fn in_one_chain<S: Simd, const VECTORS: usize>(
        self,
        s: S,
        mut sums: [S::V; VECTORS],
        row: &[f32],
    ) -> [S::V; VECTORS] {
        for (k, &number) in row.iter().take(self.depth).enumerate() {
            let number = s.splat(number);
            let (block, pair) = (k / DEPTH, k % DEPTH / 2);
            for vector in 0..VECTORS {
                let mut weight = s.splat(0.0);
                for part in 0..ALL_PARTS {
                    let tile = (block * ALL_PARTS + part) * VECTORS + vector;
                    let words = &self.panel[tile * WORDS + pair * OUTPUTS..][..OUTPUTS];
                    // SAFETY: these are as many as a vector has.
                    let words = unsafe { s.load(words.as_ptr()) };
                    let part = if k % 2 == 0 { s.low_halves(words) } else { s.high_halves(words) };
                    weight = s.add(weight, part);
                }
                sums[vector] = s.fma(number, weight, sums[vector]);
            }
        }
        sums
    }
}
