//! Many rows by a matrix unit: each panel times all rows, block by block.
//!
//! ```text
//! for each panel
//!     for each block of rows
//!         sums += rows panel
//! ```
//!
//! 1. Rows go in blocks as high as a tile, and of the same height: a unit is prepared once for all of them.
//! 2. What a unit multiplies are the rows as [`parts`] or [`bytes`] made them. Sums are in memory before and
//!    after, so a block may have more rows than vectors have registers for.

use std::ops::Range;

use super::weights::Written;
use super::{ProjectArgs, RowCursor, bytes, parts};
use crate::matrix_unit::{MatrixUnit, ROWS, height, words_of_block};
use crate::pack::PackedMatrix;
use crate::simd::Simd;

/// Rows as a unit multiplies them, which is prepared for them as long as this is there: nothing is called meanwhile
/// that could use it otherwise.
pub(crate) struct ByUnit<'a, F: Written> {
    unit: F::Unit,
    weights: &'a PackedMatrix,
    /// The rows, as they were made.
    made: &'a [f32],
    rows: usize,
    height: usize,
}

impl<'a, F: Written> ByUnit<'a, F> {
    #[inline(always)]
    pub(crate) fn new(
        unit: F::Unit,
        weights: &'a PackedMatrix,
        made: &'a [f32],
        rows: usize,
    ) -> Self {
        debug_assert!(made.len() >= weights.words_of_rows(rows), "rows made for a unit");
        let height = height(rows);
        if const { F::IN_TILES } {
            unit.prepare(height);
        } else {
            unit.prepare_bytes(height, bytes::words_of(weights.depth));
        }
        Self { unit, weights, made, rows, height }
    }

    /// The rows of each block.
    #[inline(always)]
    pub(crate) fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<F> {
        let (rows, height) = (self.rows, self.height);
        (0..rows).step_by(height).map(move |first| first..rows.min(first + height))
    }

    /// Adds the products of a block and a panel to the sums of its rows, behind which there is room for
    /// those of a whole block; `numbers` are those of a row.
    ///
    /// # Safety
    ///
    /// The panel has `VECTORS` vectors, for `S`; `sums` are [`ROWS`], of which those of the block are there.
    #[inline(always)]
    pub(crate) unsafe fn add<'n, S: Simd, const VECTORS: usize>(
        &self,
        s: S,
        panel: usize,
        block: Range<usize>,
        sums: *mut [S::V; VECTORS],
        numbers: impl Fn(usize) -> &'n [f32],
    ) {
        let (panel, depth) = (self.weights.panel(panel), self.weights.depth);
        // SAFETY: passed on; the unit is prepared for rows so made, of which a block has no more.
        unsafe {
            if const { F::IN_TILES } {
                let words = words_of_block(depth, F::FORMAT.parts());
                let tiles = &self.made[block.start / self.height * words..][..words];
                let product = parts::Product { tiles, panel, depth };
                product.add::<S, F, VECTORS>(s, self.unit, block, sums, numbers);
            } else {
                // The last block may have fewer rows: it is multiplied with some before it.
                let first = block.start.min(self.rows - self.height);
                let words = bytes::words_of_row(depth);
                let product = bytes::Product { rows: &self.made[first * words..], panel, depth };
                let before = block.start - first;
                product.add::<S, F::Unit, VECTORS>(
                    s,
                    self.unit,
                    before..before + block.len(),
                    sums,
                );
            }
        }
    }
}

impl<F: Written> Drop for ByUnit<'_, F> {
    #[inline(always)]
    fn drop(&mut self) {
        self.unit.release();
    }
}

/// Multiplies every row by the weights and adds the bias.
///
/// # Safety
///
/// As [`project`](super::project); the rows are made, in `args.scratch`.
#[inline(always)]
pub(super) unsafe fn project<S: Simd, F: Written>(s: S, unit: F::Unit, args: &mut ProjectArgs<'_>) {
    let made: &mut [f32] = std::mem::take(&mut args.scratch);
    let rows = args.input.time() * args.input.batch();
    let product = ByUnit::<F>::new(unit, args.weights, made, rows);
    for panel in args.panels.clone() {
        // SAFETY: passed on; the panel has so many vectors.
        unsafe {
            match args.weights.layout.vectors_of(panel) {
                1 => project_panel::<S, F, 1>(s, &product, panel, args),
                2 => project_panel::<S, F, 2>(s, &product, panel, args),
                3 => project_panel::<S, F, 3>(s, &product, panel, args),
                4 => project_panel::<S, F, 4>(s, &product, panel, args),
                other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
            }
        }
    }
}

/// # Safety
///
/// As [`project`]; the panel has `VECTORS` vectors.
#[inline(always)]
unsafe fn project_panel<S: Simd, F: Written, const VECTORS: usize>(
    s: S,
    product: &ByUnit<'_, F>,
    panel: usize,
    args: &mut ProjectArgs<'_>,
) {
    let (weights, batch) = (product.weights, args.input.batch());
    let column = weights.layout.first_column(panel);
    let left = args.output.features().saturating_sub(column);
    let mut bias = [s.splat(0.0); VECTORS];
    for vector in 0..VECTORS {
        // SAFETY: the bias is as wide as the panels.
        bias[vector] = unsafe { s.load(weights.bias.as_ptr().add(column + vector * S::LANES)) };
    }
    let mut cursor = RowCursor { time: 0, batch: 0, batch_len: batch };
    for block in product.blocks() {
        let (mut sums, rows) = ([bias; ROWS], block.len());
        // SAFETY: passed on; there are sums of so many rows.
        unsafe {
            let row = |row| args.input.row(row / batch, row % batch);
            product.add(s, panel, block, sums.as_mut_ptr(), row);
        }
        for sums in &sums[..rows] {
            let to = args.row_of_panel(cursor, panel);
            for vector in 0..VECTORS {
                let at = vector * S::LANES;
                // SAFETY: `left` columns of the output exist from here on.
                unsafe {
                    let count = left.saturating_sub(at).min(S::LANES);
                    s.store_first(to.wrapping_add(at), count, sums[vector]);
                }
            }
            cursor.advance();
        }
    }
}
