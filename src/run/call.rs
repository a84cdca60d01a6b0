//! One call: all stages of a plan over all pieces of what it was given, in order.

use super::elementwise;
use super::frame::{Destination, Frame, Order, Piece, Source};
use super::rows::Rows;
use super::scratch::Scratch;
use super::stages;
use super::state::LayerState;
use crate::plan::{Home, Padding, PlanInner};

/// What a call is about, once it is known to fit.
pub(crate) struct Call<'a> {
    pub(crate) plan: &'a PlanInner,
    /// At most the rows that states and scratch have.
    pub(crate) batch: usize,
    /// The steps of each input, 1 for those that are no sequences.
    pub(crate) times: &'a [usize],
    /// Of the sequences of free length.
    pub(crate) longest: usize,
    /// The steps that scratch has room for.
    pub(crate) max_time: usize,
    /// Which steps of each row count.
    pub(crate) rows: Rows<'a>,
    pub(crate) inputs: &'a [Source<'a>],
    /// Of what it gives.
    pub(crate) order: Order,
}

impl Call<'_> {
    /// Runs all stages over all pieces.
    pub(crate) fn run(
        &self,
        outputs: &mut [Destination<'_>],
        states: &mut [LayerState],
        scratch: &mut Scratch,
        progress: &mut dyn FnMut(usize, usize),
    ) {
        let plan = self.plan;
        let longest = self.longest;
        let step = longest.min(self.max_time);
        let pieces = if step < longest { longest.div_ceil(step.max(1)) } else { 1 };
        let total = pieces * plan.stages.len();
        for piece in 0..pieces {
            let start = piece * step;
            let mut frame = Frame {
                plan,
                batch: self.batch,
                piece: Piece { whole: self.times, start, end: longest.min(start + step) },
                rows: self.rows,
                inputs: self.inputs,
                outputs: &mut *outputs,
                order: self.order,
                scratch: &mut scratch.values,
            };
            let mut done = 0;
            while done < plan.stages.len() {
                let (tasks, merge) = (&mut scratch.tasks, &mut scratch.merge);
                done += stages::run(&mut frame, done, states, tasks, merge);
                progress(piece * plan.stages.len() + done, total);
            }
            copy_shared_outputs(&mut frame);
            zero_padding(&mut frame);
        }
    }
}

/// Outputs that show what another output, or an input, holds.
fn copy_shared_outputs(frame: &mut Frame<'_, '_>) {
    let plan = frame.plan;
    for (index, output) in plan.outputs.iter().enumerate() {
        if plan.values[output.value].home == Home::Output(index) {
            continue;
        }
        let numbers = std::mem::take(&mut frame.outputs[index]);
        frame.show(output, &mut *numbers);
        frame.outputs[index] = numbers;
    }
}

/// Outputs show zeros in steps that do not count.
fn zero_padding(frame: &mut Frame<'_, '_>) {
    for (index, output) in frame.plan.outputs.iter().enumerate() {
        let times = frame.row_times(output.value);
        if times.is_all() || frame.plan.values[output.value].padding == Padding::Held {
            continue;
        }
        let numbers = std::mem::take(&mut frame.outputs[index]);
        for part in 0..frame.parts(output) {
            elementwise::zero_padding(times, frame.part_view(output, part, &mut *numbers));
        }
        frame.outputs[index] = numbers;
    }
}
