//! Rows together by a matrix unit: each panel times all rows, block by block.
//!
//! ```text
//! for each panel
//!     for each block of rows
//!         sums = start
//!         sums += rows panel
//!         finish sums
//! ```
//!
//! A block is as high as a tile of the unit ([`by_unit`](crate::gemm::by_unit)). Of numbers in parts a row alone is a
//! block as well: a sum comes from the same instructions, whatever shares the batch.

use std::ops::Range;

use super::Tile;
use super::some_rows::SomeRows;
use super::sweep::Product;
use crate::gemm::by_unit::ByUnit;
use crate::gemm::weights::Written;
use crate::matrix_unit::ROWS;
use crate::simd::Simd;

/// Multiplies all rows by some panels.
///
/// # Safety
///
/// As [`sweep`](super::sweep::sweep).
#[inline(always)]
pub(super) unsafe fn rows_by_unit<
    S: Simd,
    F: Written,
    T: Tile<S, VECTORS>,
    const VECTORS: usize,
>(
    s: S,
    product: Product<'_, F>,
    panels: Range<usize>,
    tile: &mut T,
) {
    let Product { written, weights, rows, step, .. } = product;
    let by_unit = ByUnit::<F>::new(written.unit(), weights, rows.made, rows.batch);
    let mut sums = SomeRows::<S, 1, VECTORS, ROWS>::new();
    for visited in 0..panels.len() {
        let forwards = step.is_multiple_of(2);
        let panel = if forwards { panels.start + visited } else { panels.end - 1 - visited };
        for block in by_unit.blocks() {
            let first = product.first_block::<S>(panel);
            sums.rows = block.clone();
            // SAFETY: passed on; these rows are below the batch, and there is room for the sums of a whole
            // block.
            unsafe {
                sums.start(s, tile, first);
                let to = sums.of(0).cast::<[S::V; VECTORS]>();
                by_unit.add(s, panel, block, to, |row| rows.row(row));
                sums.finish(s, tile, first);
            }
        }
    }
}
