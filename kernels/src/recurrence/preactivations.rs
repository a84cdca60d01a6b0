//! The pre-activations of a step, in one of two orders.
//!
//! ```text
//! rows:   [row][panel][vector][lane]
//! panels: [panel][row][vector][lane]
//! ```
//!
//! A tile takes some rows of one panel. Where rows lie in one piece each, what it takes is as many short
//! pieces, each from another page; where panels do, it is one piece, which the next tile goes on with, and which
//! caches fetch ahead by themselves. Of one row both are the same.

use super::{PackedCell, Place, RecurArgs};
use crate::pack::StepOrder;
use crate::simd::Simd;

/// The pre-activations of some steps, or of one.
#[derive(Clone, Copy)]
pub(crate) struct Preactivations<'a> {
    numbers: &'a [f32],
    /// Numbers of a step.
    step: usize,
    /// From a row's to the next one's.
    between_rows: usize,
    /// From those of a vector of units to those of the next.
    between_blocks: usize,
}

impl<'a> Preactivations<'a> {
    /// Those of all steps.
    #[inline(always)]
    pub(crate) fn of(cell: &PackedCell, args: &RecurArgs<'a>) -> Self {
        let RecurArgs { projection: numbers, order, batch, .. } = *args;
        let (width, block) = (cell.projection_width(), cell.numbers_of_block());
        let (between_rows, between_blocks) = match order {
            StepOrder::Rows => (width, block),
            StepOrder::Panels => (block, batch * block),
        };
        Self { numbers, step: batch * width, between_rows, between_blocks }
    }

    /// Those of step `time`.
    #[inline(always)]
    pub(crate) fn step(self, time: usize) -> Self {
        Self { numbers: &self.numbers[time * self.step..][..self.step], ..self }
    }

    /// Of one step, the gates of a row and a vector of units, or some vectors of the only gate.
    ///
    /// # Safety
    ///
    /// There are such a row and such vectors.
    #[inline(always)]
    pub(crate) unsafe fn vectors<S: Simd, const VECTORS: usize>(
        self,
        s: S,
        Place { row, block }: Place,
    ) -> [S::V; VECTORS] {
        let at = row * self.between_rows + block * self.between_blocks;
        debug_assert!(at + VECTORS * S::LANES <= self.numbers.len(), "vectors of a step");
        let mut vectors = [s.splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            // SAFETY: the caller vouches for the row and the vectors.
            vectors[vector] = unsafe { s.load(self.numbers.as_ptr().add(at + vector * S::LANES)) };
        }
        vectors
    }
}
