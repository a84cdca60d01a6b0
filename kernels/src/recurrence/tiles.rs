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
//! 1. A block is as high as a tile of the unit ([`parts`](crate::gemm::parts)), and so may have more rows than
//!    vectors have registers for: sums are in memory before and after.
//! 2. A row alone is a block as well: a sum comes from the same instruction, whatever shares the batch.

use std::ops::Range;

use super::rows::SomeRows;
use super::sweep::Product;
use super::{Place, Tile};
use crate::gemm::parts::{Block, is_odd};
use crate::gemm::weights::Written;
use crate::matrix_unit::{MatrixUnit, ROWS, height, words_of_block};
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
    unit: F::Unit,
    panels: Range<usize>,
    tile: &mut T,
) {
    let Product { weights, rows, step, .. } = product;
    let (height, depth) = (height(rows.batch), weights.depth);
    let mut sums = SomeRows::<S, 1, VECTORS, ROWS>::new();
    unit.prepare(height);
    for visited in 0..panels.len() {
        let forwards = step.is_multiple_of(2);
        let panel = if forwards { panels.start + visited } else { panels.end - 1 - visited };
        let mut place = Place { row: 0, block: product.first_block::<S>(panel) };
        for tiles in rows.blocks.chunks_exact(words_of_block(depth)) {
            if place.row >= rows.batch {
                break;
            }
            sums.count = height.min(rows.batch - place.row);
            let block = Block { tiles, panel: weights.panel(panel), depth };
            // SAFETY: passed on; these rows are below the batch; the unit is prepared for them, and there is
            // memory for the sums of a whole block.
            unsafe {
                sums.start(s, tile, place);
                block.add::<S, F, VECTORS>(unit, sums.of(0).cast());
                for row in (0..sums.count).filter(|&row| is_odd(tiles, row)) {
                    let start = tile.start(s, Place { row: place.row + row, ..place });
                    let from = rows.row(place.row + row);
                    *sums.of(row).cast() = block.in_one_chain::<S, VECTORS>(s, start, from);
                }
                sums.finish(s, tile, place);
            }
            place.row += sums.count;
        }
    }
    unit.release();
}
