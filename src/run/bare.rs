//! Calls on bare numbers in the caller's memory, in the plan's order and without names: what a
//! real-time thread makes.

use super::frame::Order;
use super::once::element_name;
use super::scratch::TaskScratch;
use super::state::{self, RowSpan};
use super::{Session, Steps};
use crate::model::Element;
use crate::{Error, Numbers};

impl Session {
    /// Runs a model on one slice for each input, in the plan's order, and writes one slice for each
    /// output.
    ///
    /// Each is dense, in its own shape ([`Shape::described`](crate::model::Shape::described)); the
    /// time of a sequence follows from the length of its slice. With one thread nothing is allocated
    /// or locked, as in [`run_into`](Self::run_into); with lengths, from the second such call on, or
    /// after [`reserve_lengths`](Self::reserve_lengths).
    ///
    /// # Errors
    ///
    /// If there is not one slice for each input and output, if indices are given for real numbers or
    /// the reverse, if a length does not fit, or if `steps` do not.
    pub fn run_numbers_into(
        &mut self,
        inputs: &[Numbers<'_>],
        steps: Steps<'_>,
        outputs: &mut [&mut [f32]],
    ) -> Result<(), Error> {
        self.check_elements(inputs)?;
        let counting = steps.counting();
        self.measure(inputs, counting)?;
        self.check_memory(outputs)?;
        self.execute(inputs, counting, outputs, Order::Shape, &mut |_, _| {});
        Ok(())
    }

    /// Takes now the memory that the first call in which steps do not count would take: one with
    /// lengths, or of a model that has masks of its own ([`Plan::has_masks`](crate::Plan::has_masks)).
    /// No later one allocates then.
    pub fn reserve_lengths(&mut self) {
        for stage in &self.plan.inner.stages {
            let Some(layer) = stage.as_recurrent() else { continue };
            for TaskScratch { projection, ragged, .. } in &mut self.scratch.tasks {
                for cell in &layer.cells {
                    ragged.reserve(cell, [self.batch, 0, projection.len()], true);
                }
            }
        }
    }

    fn check_elements(&self, given: &[Numbers<'_>]) -> Result<(), Error> {
        let inputs = &self.plan.inner.inputs;
        if inputs.len() != given.len() {
            return Err(Error::Shape {
                what: "the number of inputs".into(),
                expected: inputs.len().to_string(),
                found: given.len().to_string(),
            });
        }
        let element = |numbers: &Numbers<'_>| match numbers {
            Numbers::F32(_) => Element::F32,
            Numbers::Index(_) => Element::Index,
        };
        match inputs.iter().zip(given).find(|(input, numbers)| input.element != element(numbers)) {
            None => Ok(()),
            Some((input, numbers)) => Err(Error::Shape {
                what: format!("input '{}' {}", input.name, input.shape),
                expected: element_name(input.element).into(),
                found: element_name(element(numbers)).into(),
            }),
        }
    }

    /// How many numbers all states have together.
    #[must_use]
    pub fn state_len(&self) -> usize {
        state::len(&self.states, RowSpan::all(self.batch))
    }

    /// Copies all states to `numbers`, one behind the other in the order of
    /// [`state`](Self::state). Nothing is allocated.
    ///
    /// # Errors
    ///
    /// If there is not memory for [`state_len`](Self::state_len) numbers.
    pub fn state_numbers(&self, numbers: &mut [f32]) -> Result<(), Error> {
        self.check_state_len(numbers.len())?;
        state::store(&self.states, RowSpan::all(self.batch), numbers);
        Ok(())
    }

    /// Goes on from the states that [`state_numbers`](Self::state_numbers) gave. Nothing is
    /// allocated.
    ///
    /// # Errors
    ///
    /// If there are not [`state_len`](Self::state_len) numbers; nothing is changed then.
    pub fn set_state_numbers(&mut self, numbers: &[f32]) -> Result<(), Error> {
        self.check_state_len(numbers.len())?;
        state::load(&mut self.states, RowSpan::all(self.batch), numbers);
        Ok(())
    }

    fn check_state_len(&self, found: usize) -> Result<(), Error> {
        let expected = self.state_len();
        if expected == found {
            return Ok(());
        }
        Err(Error::Shape {
            what: "the numbers of all states".into(),
            expected: format!("{expected}, state_len()"),
            found: found.to_string(),
        })
    }
}
