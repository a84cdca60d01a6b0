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
    order: StepOrder,
    /// Numbers of a row.
    width: usize,
    batch: usize,
}

impl<'a> Preactivations<'a> {
    /// Those of all steps.
    #[inline(always)]
    pub(crate) fn of(cell: &PackedCell, args: &RecurArgs<'a>) -> Self {
        let RecurArgs { projection: numbers, order, batch, .. } = *args;
        Self { numbers, order, width: cell.projection_width(), batch }
    }

    /// Those of step `time`.
    #[inline(always)]
    pub(crate) fn step(self, time: usize) -> Self {
        let step = self.batch * self.width;
        Self { numbers: &self.numbers[time * step..][..step], ..self }
    }

    /// Of one step, the vectors of a row and a panel that has `VECTORS` of them, the first of which is so many columns
    /// from the first of all.
    ///
    /// # Safety
    ///
    /// There are such a row and such a panel.
    #[inline(always)]
    pub(crate) unsafe fn panel<S: Simd, const VECTORS: usize>(
        self,
        s: S,
        row: usize,
        column: usize,
    ) -> [S::V; VECTORS] {
        let at = match self.order {
            StepOrder::Rows => row * self.width + column,
            StepOrder::Panels => column * self.batch + row * VECTORS * S::LANES,
        };
        debug_assert!(at + VECTORS * S::LANES <= self.numbers.len(), "the vectors of a panel");
        let mut vectors = [s.splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            // SAFETY: the caller vouches for the row and the panel.
            vectors[vector] = unsafe { s.load(self.numbers.as_ptr().add(at + vector * S::LANES)) };
        }
        vectors
    }

    /// Of one step, the gates of a row and a block of units, all side by side in a panel.
    ///
    /// # Safety
    ///
    /// As [`panel`](Self::panel).
    #[inline(always)]
    pub(crate) unsafe fn gates<S: Simd, const GATES: usize>(
        self,
        s: S,
        Place { row, block }: Place,
    ) -> [S::V; GATES] {
        // SAFETY: passed on.
        unsafe { self.panel(s, row, block * GATES * S::LANES) }
    }
}
