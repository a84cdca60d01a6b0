//! Products by a matrix unit: rows made into tiles of their parts, and the sums of those tiles.
//!
//! ```text
//! for each block of rows
//!     tiles = the parts of the rows
//!     for each panel
//!         sums += tiles panel
//! ```
//!
//! 1. Rows go in blocks as high as a tile, and of the same height: a unit is prepared once for all of them.
//!    Rows behind the last are whatever was there, and go nowhere.
//! 2. A row that is not finite has no parts. Its sums are made by vectors, of weights put together again: what
//!    they are in f32, to the bit, where those are one chain.

use super::weights::Written;
use super::{ProjectArgs, RowCursor};
use crate::matrix_unit::{
    DEPTH, MatrixUnit, OUTPUTS, PARTS, ROWS, Tiles, WORDS, height, words_of_block,
};
use crate::quantise::magnitude;
use crate::simd::{Simd, Work};
use crate::split::{parts, word};

/// A row, and the block in which it gets its parts.
pub(super) struct SplitRow<'a> {
    pub(super) from: &'a [f32],
    pub(super) block: &'a mut [f32],
    /// Its place in the block.
    pub(super) row: usize,
}

impl<S: Simd> Work<S> for SplitRow<'_> {
    #[inline(always)]
    fn run(self, _: S) {
        const LINE: usize = WORDS / ROWS;
        let Self { from, block, row } = self;
        let (tiles, odd_ones) = block.split_at_mut(block.len() - ROWS);
        let largest = from.iter().fold(0, |largest, &x| largest.max(magnitude(x)));
        odd_ones[row] = if largest < magnitude(f32::INFINITY) { 0.0 } else { 1.0 };
        for (from, tiles) in from.chunks(DEPTH).zip(tiles.chunks_exact_mut(PARTS * WORDS)) {
            let mut numbers = [0.0; DEPTH];
            numbers[..from.len()].copy_from_slice(from);
            let numbers = numbers.map(parts);
            for (part, tile) in tiles.chunks_exact_mut(WORDS).enumerate() {
                let to = &mut tile[row * LINE..][..LINE];
                for (to, pair) in to.iter_mut().zip(numbers.as_chunks::<2>().0) {
                    *to = word(pair[0][part], pair[1][part]);
                }
            }
        }
    }
}

/// Whether a row of a block is one that has no parts.
#[inline(always)]
pub(crate) fn is_odd(block: &[f32], row: usize) -> bool {
    block[block.len() - ROWS + row] != 0.0
}

/// Multiplies every row by the weights and adds the bias.
///
/// # Safety
///
/// As [`project`](super::project).
#[inline(always)]
pub(super) unsafe fn project<S: Simd, F: Written>(s: S, unit: F::Unit, args: &mut ProjectArgs<'_>) {
    let (rows, block) =
        (args.input.time() * args.input.batch(), words_of_block(args.weights.depth));
    let height = height(rows);
    let mut cursor = RowCursor { time: 0, batch: 0, batch_len: args.input.batch() };
    for (first, block) in (0..rows).step_by(height).zip(args.scratch.chunks_exact_mut(block)) {
        for row in 0..height.min(rows - first) {
            let from = args.input.row(cursor.time, cursor.batch);
            s.fenced(SplitRow { from, block, row });
            cursor.advance();
        }
    }
    unit.prepare(height);
    for panel in args.panels.clone() {
        // SAFETY: passed on; the panel has so many vectors, and the unit is prepared for a block's rows.
        unsafe {
            match args.weights.layout.vectors_of(panel) {
                1 => project_panel::<S, F, 1>(s, unit, args, panel, height),
                2 => project_panel::<S, F, 2>(s, unit, args, panel, height),
                3 => project_panel::<S, F, 3>(s, unit, args, panel, height),
                4 => project_panel::<S, F, 4>(s, unit, args, panel, height),
                other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
            }
        }
    }
    unit.release();
}

/// # Safety
///
/// As [`project`]; the rows have their tiles, in blocks of `height` rows, for which the unit is prepared; the
/// panel has `VECTORS` vectors.
#[inline(always)]
unsafe fn project_panel<S: Simd, F: Written, const VECTORS: usize>(
    s: S,
    unit: F::Unit,
    args: &mut ProjectArgs<'_>,
    panel: usize,
    height: usize,
) {
    let (rows, weights) = (args.input.time() * args.input.batch(), args.weights);
    let column = weights.layout.first_column(panel);
    let left = args.output.features().saturating_sub(column);
    let mut bias = [s.splat(0.0); VECTORS];
    for vector in 0..VECTORS {
        // SAFETY: the bias is as wide as the panels.
        bias[vector] = unsafe { s.load(weights.bias.as_ptr().add(column + vector * S::LANES)) };
    }
    let mut cursor = RowCursor { time: 0, batch: 0, batch_len: args.input.batch() };
    let blocks = args.scratch.chunks_exact(words_of_block(weights.depth));
    for (first, block) in (0..rows).step_by(height).zip(blocks) {
        let mut sums = [bias; ROWS];
        let product = Block { tiles: block, panel: weights.panel(panel), depth: weights.depth };
        // SAFETY: passed on; there are sums of so many rows.
        unsafe { product.add::<S, F, VECTORS>(unit, sums.as_mut_ptr()) };
        for row in 0..height.min(rows - first) {
            if is_odd(block, row) {
                let from = args.input.row(cursor.time, cursor.batch);
                sums[row] = product.in_one_chain(s, bias, from);
            }
            let to = args.output.row_start(cursor.time, cursor.batch).wrapping_add(column);
            for vector in 0..VECTORS {
                let at = vector * S::LANES;
                // SAFETY: `left` columns of the output exist from here on.
                unsafe {
                    let count = left.saturating_sub(at).min(S::LANES);
                    s.store_first(to.wrapping_add(at), count, sums[row][vector]);
                }
            }
            cursor.advance();
        }
    }
}

/// The parts of some rows, and a panel.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) tiles: &'a [f32],
    pub(crate) panel: &'a [f32],
    pub(crate) depth: usize,
}

impl Block<'_> {
    /// Adds the products of all rows to their sums.
    ///
    /// # Safety
    ///
    /// The unit is prepared for as many rows as there are sums; the panel has `VECTORS` vectors.
    #[inline(always)]
    pub(crate) unsafe fn add<S: Simd, F: Written, const VECTORS: usize>(
        self,
        unit: F::Unit,
        sums: *mut [S::V; VECTORS],
    ) {
        if const { S::LANES != OUTPUTS } {
            unreachable!("a vector is as wide as a tile");
        }
        let blocks = self.depth.div_ceil(DEPTH);
        debug_assert!(self.tiles.len() >= blocks * PARTS * WORDS, "tiles of rows");
        debug_assert!(self.panel.len() >= VECTORS * blocks * PARTS * WORDS, "tiles of a panel");
        let tiles = Tiles {
            rows: self.tiles.as_ptr(),
            weights: self.panel.as_ptr(),
            blocks,
            sums: sums.cast(),
        };
        if blocks > 0 {
            // SAFETY: passed on; tiles of rows and of the panel cover all blocks.
            unsafe { unit.multiply::<VECTORS>(tiles) };
        }
    }

    /// The sums of a row by vectors, from `sums` on.
    #[inline(always)]
    pub(crate) fn in_one_chain<S: Simd, const VECTORS: usize>(
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
                for part in 0..PARTS {
                    let tile = (block * PARTS + part) * VECTORS + vector;
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
