//! Weights that are fetched from a further cache while others are in use.
//!
//! ```text
//! for each tile of rows
//!     its products, and meanwhile its share of the weights that come after
//! ```
//!
//! Parts of a panel lie one behind the other, and each is fetched by the tiles of the same part.

use std::ops::Range;

use super::sweep::Product;
use crate::gemm::rows::Rows;
use crate::gemm::tile::Ahead;
use crate::pack::PackedMatrix;
use crate::simd::Simd;
use crate::tuning::{ROWS_TO_FETCH, state_weights_to_fetch};

/// What is fetched while rows are multiplied by some panels.
pub(super) struct Fetch<'p> {
    weights: &'p PackedMatrix,
    batch: usize,
    /// Whether it pays.
    pub(super) pays: bool,
    parts: usize,
    /// Words of a part that a word of each lane takes.
    width: usize,
}

impl<'p> Fetch<'p> {
    #[inline(always)]
    pub(super) fn of<S: Simd, F>(product: &Product<'p, F>, parts: usize, vectors: usize) -> Self {
        let Product { weights, rows: Rows { batch, .. }, .. } = *product;
        let many = const { state_weights_to_fetch(S::LANES) };
        let pays = weights.weights.len() >= many && batch >= ROWS_TO_FETCH;
        Self { weights, batch, pays, parts, width: vectors * S::LANES }
    }

    /// Where each part begins of a panel from some step on; null where nothing is to be fetched.
    #[inline(always)]
    pub(super) fn begin(&self, panel: Option<usize>, step: usize) -> [*const f32; 2] {
        let mut begin = [std::ptr::null(); 2];
        if let Some(panel) = panel.filter(|_| self.pays) {
            let (format, depth) = (self.weights.format, self.weights.depth);
            for part in 0..self.parts {
                let words = part * format.words(depth) + format.word(step);
                begin[part] = self.weights.start_of_panel(panel).wrapping_add(words * self.width);
            }
        }
        begin
    }

    /// What falls to a tile of rows that goes through so many steps; `from` is then where the next tile's begins.
    #[inline(always)]
    pub(super) fn share(
        &self,
        from: &mut *const f32,
        tile: &Range<usize>,
        [start, end]: [usize; 2],
        nearest: bool,
    ) -> Ahead {
        if from.is_null() {
            return Ahead::NOTHING;
        }
        let width = self.weights.format.word(self.width);
        let ahead = Ahead::share(*from, width, tile.clone(), self.batch).nearest(nearest);
        *from = ahead.after(end - start);
        ahead
    }
}
