//! The flow: every stage of a plan over one piece of a run, in order.

use ritornello_kernels::{AlignedBuffer, View};

use super::elementwise::{self, Others};
use super::frame::Frame;
use super::recurrent::{self, Memory};
use super::scratch::TaskScratch;
use super::state::LayerState;
use super::wave;
use crate::model::{MaskRule, Port, Select};
use crate::plan::{Stage, StageKind};

/// Runs the stage at `index`, or several layers from there on at once; how many.
pub(crate) fn run(
    frame: &mut Frame<'_, '_>,
    index: usize,
    states: &mut [LayerState],
    tasks: &mut [TaskScratch],
    merge: &mut AlignedBuffer,
) -> usize {
    let stages = &frame.plan.stages[index..];
    let stage = &stages[0];
    let Some(layer) = stage.as_recurrent() else {
        run_simple(frame, stage);
        return 1;
    };
    let count = wave::layers(stages);
    if count > 1
        && frame.row_times(stage.inputs[0]).is_all()
        && wave::pays(frame, &stages[..count], tasks.len())
    {
        wave::run(frame, &stages[..count], states, tasks);
        return count;
    }
    let memory = &mut Memory { tasks, merge };
    recurrent::run(frame, stage, layer, &mut states[layer.state], memory);
    1
}

/// Runs a stage that has no state.
fn run_simple(frame: &mut Frame<'_, '_>, stage: &Stage) {
    let Some(value) = stage.outputs[Port::Main.index()] else { return };
    let mut taken = frame.take(value);
    let mut output = frame.view_mut(value, &mut taken);
    let input = |index: usize| frame.view(stage.inputs[index]);
    let kernels = frame.plan.kernels;
    match &stage.kind {
        StageKind::Recurrent(_) => unreachable!("a recurrent layer was run above"),
        StageKind::Dense { weights, activation } => {
            kernels.dense(weights, input(0), output.reborrow());
            kernels.activate(*activation, output);
        }
        StageKind::Activation(activation) => {
            elementwise::copy(input(0), output.reborrow());
            kernels.activate(*activation, output);
        }
        StageKind::Embedding { table, features, .. } => {
            let [_, batch, _] = frame.extent(value);
            let times = frame.row_times(stage.inputs[0]);
            for b in 0..batch {
                for t in times.row(b).each() {
                    let row = usize::try_from(frame.index(stage.inputs[0], t, b)).unwrap_or(0);
                    let from = &table[row * features..][..*features];
                    output.row_mut(t, b).copy_from_slice(from);
                }
            }
        }
        StageKind::ScaleShift { scale, shift } => {
            elementwise::scale_shift(input(0), output, scale, shift);
        }
        StageKind::Concat => {
            for index in 0..stage.inputs.len() {
                let from = input(index);
                let (part, rest) = output.split_columns(from.features());
                elementwise::copy(from, part);
                output = rest;
            }
        }
        StageKind::Add | StageKind::Multiply => {
            elementwise::copy(input(0), output.reborrow());
            for index in 1..stage.inputs.len() {
                if matches!(stage.kind, StageKind::Add) {
                    elementwise::add(input(index), output.reborrow());
                } else {
                    elementwise::multiply(input(index), output.reborrow());
                }
            }
        }
        StageKind::Select(Select::Step(step)) => {
            let times = frame.row_times(stage.inputs[0]);
            elementwise::select_step(input(0), times, *step, output);
        }
        StageKind::Select(select) => elementwise::copy(selected(*select, input(0)), output),
        StageKind::Stack => {
            let mut at = 0;
            for index in 0..stage.inputs.len() {
                let from = input(index);
                elementwise::copy(from, output.reborrow().steps(at, at + from.time()));
                at += from.time();
            }
        }
        StageKind::Unroll => elementwise::spread(input(0), output, Others::Zero),
        StageKind::Repeat => elementwise::spread(input(0), output, Others::Same),
        StageKind::Flatten => elementwise::flatten(input(0), output),
        StageKind::MeanOverTime => {
            elementwise::mean_over_time(input(0), frame.node_steps(stage), output);
        }
        StageKind::MaxOverTime => {
            let times = frame.row_times(stage.inputs[0]);
            elementwise::max_over_time(input(0), times, output);
        }
        StageKind::Mask(MaskRule::AnyDiffers(value)) => {
            elementwise::differs(input(0), *value, output);
        }
        StageKind::Mask(MaskRule::IndexDiffers(value)) => {
            let [time, batch, _] = frame.extent(stage.inputs[0]);
            for t in 0..time {
                for b in 0..batch {
                    let counts = frame.index(stage.inputs[0], t, b) != *value;
                    output.row_mut(t, b)[0] = f32::from(u8::from(counts));
                }
            }
        }
        StageKind::Masked => elementwise::masked(input(0), input(1), output),
        StageKind::Constant(rows) => elementwise::every_row(rows, output),
        StageKind::Learned => unreachable!("nothing wants what it gives"),
    }
    frame.put(taken);
}

/// The part of a value.
fn selected(select: Select, from: View<'_>) -> View<'_> {
    match select {
        Select::Step(_) => unreachable!("a step is selected row by row"),
        Select::Features { start, end } => from.columns(start, end),
        Select::State(index) => from.steps(index, index + 1),
        Select::States { start, end } => from.steps(start, end),
    }
}
