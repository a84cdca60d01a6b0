//! Calls on arrays in the caller's memory, nothing of which is copied.

use super::frame::Order;
use super::{Counting, Session, once};
use crate::{Array, ArrayView, Error, Mask};

/// Which steps of a call count.
#[derive(Clone, Copy, Debug)]
pub enum Steps<'a> {
    /// All of them.
    All,
    /// Of each row of the batch so many, the first ones ([`Session::run_lengths`]).
    Lengths(&'a [usize]),
    /// Those that a mask says ([`Session::run_masked`]).
    Mask(&'a Mask),
}

impl<'a> Steps<'a> {
    pub(super) fn counting(self) -> Counting<'a> {
        match self {
            Self::All => Counting::All,
            Self::Lengths(lengths) => Counting::Lengths(lengths),
            Self::Mask(mask) => mask.counting(),
        }
    }
}

impl Session {
    /// [`run_arrays`](Self::run_arrays) on arrays that the caller keeps: they are read where they
    /// are.
    ///
    /// # Errors
    ///
    /// If an array is missing, or its name or shape does not fit, or `steps` do not.
    pub fn run_views(
        &mut self,
        inputs: &[(&str, ArrayView<'_>)],
        steps: Steps<'_>,
    ) -> Result<Vec<(String, Array)>, Error> {
        self.run_with_progress(inputs, steps.counting(), &mut |_, _| {})
    }

    /// The same into the caller's memory, one slice for each output, in the plan's order.
    ///
    /// # Errors
    ///
    /// As [`run_views`](Self::run_views), and if there is not one slice for each output, or one has
    /// another length than its output.
    pub fn run_views_into(
        &mut self,
        inputs: &[(&str, ArrayView<'_>)],
        steps: Steps<'_>,
        outputs: &mut [&mut [f32]],
    ) -> Result<(), Error> {
        let counting = steps.counting();
        let sources = once::sources(&self.plan.inner, inputs, self.batch, &mut self.times)?;
        self.check_call(&sources, counting)?;
        self.check_memory(outputs)?;
        self.execute(&sources, counting, outputs, Order::Shown, &mut |_, _| {});
        Ok(())
    }
}
