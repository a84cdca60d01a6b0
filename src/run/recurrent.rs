//! A recurrent layer: for each direction and chunk of time, the projection, then the recurrence.
//!
//! The pre-activations of a chunk stay in the nearest cache until the recurrence has used them. Who
//! does what, and how time is cut, changes no bit: a row's numbers depend on no other row, and the
//! state at the end of a chunk is that at the start of the next.

use std::sync::Arc;

use ritornello_kernels::{AlignedBuffer, Kernels, PackedCell, RecurArgs, View, ViewMut};

use super::crew;
use super::elementwise;
use super::frame::{Frame, Taken};
use super::ragged::{self, Pad, Ragged};
use super::rows::NodeSteps;
use super::scratch::{TaskScratch, chunk_steps, end_of_chunk};
use super::state::{LayerState, RowSpan, States};
use super::tuning::{
    MIN_ROWS_PER_TASK, MIN_STEP_TO_SHARE_UNITS, MIN_STEPS_TO_SHARE_UNITS, MIN_WORK_PER_TASK,
    ROWS_TO_SHARE_LARGE_CELL, WEIGHTS_OF_LARGE_CELL,
};
use crate::model::{Direction, Merge, OutputOrder, PadOutput, Port};
use crate::plan::{RecurrentStage, Stage};

/// Runs a layer over a piece of a sequence.
pub(crate) fn run(
    frame: &mut Frame<'_, '_>,
    stage: &Stage,
    layer: &RecurrentStage,
    state: &mut LayerState,
    scratch: &mut Memory<'_>,
) {
    load_given_states(frame, stage, layer, state);
    let [time, batch, _] = frame.extent(stage.inputs[0]);
    let features = layer.state_size();
    let both = layer.direction == Direction::Bidirectional;
    let mut sequence = stage.outputs[Port::Main.index()].map(|value| (value, frame.take(value)));
    {
        let input = frame.view(stage.inputs[0]);
        let output = sequence.as_mut().map(|(value, taken)| frame.view_mut(*value, taken));
        // The second direction's half of the output, or a place to wait for the merge.
        let (first, second) = match (output, both, layer.merge) {
            (Some(output), true, Merge::Concat) => {
                let (left, right) = output.split_columns(features);
                (Some(left), Some(right))
            }
            (Some(output), true, _) => {
                let waiting = ViewMut::time_major(scratch.merge, [time, batch, features]);
                (Some(output), Some(waiting))
            }
            (output, _, _) => (output, None),
        };
        let states = [&mut state.hidden, &mut state.cell];
        let walks = walks_of(frame, layer, states, input, [first, second]);
        let steps = frame.node_steps(stage);
        if steps.are_all(batch) {
            walk_all(frame, layer, walks, scratch.tasks);
        } else {
            let pad = pad(stage, layer, &state.shown);
            ragged::run(frame, layer, walks, Ragged { steps, pad }, scratch.tasks);
        }
        // Memory may have room for more rows.
        for (row, shown) in state.shown.iter_mut().take(batch).enumerate() {
            match layer.pad_output {
                PadOutput::Zero if layer.direction == Direction::Forward => {
                    if let Some(last) = steps.times.row(row).each().next_back() {
                        *shown = steps.counts(last, row);
                    }
                }
                PadOutput::Zero => {}
                PadOutput::Hold | PadOutput::HoldState => {
                    *shown = *shown || steps.each(row).next().is_some();
                }
            }
        }
    }
    if let (Some((value, taken)), true) = (&mut sequence, both && layer.merge != Merge::Concat) {
        let output = frame.view_mut(*value, taken);
        let waiting = View::time_major(scratch.merge, [time, batch, features]);
        elementwise::merge(layer.merge, output, waiting);
    }
    if let Some((_, taken)) = sequence {
        frame.put(taken);
    }
    give_states(frame, stage, layer, state);
}

/// Memory of a session that a layer may overwrite.
pub(crate) struct Memory<'a> {
    pub(crate) tasks: &'a mut [TaskScratch],
    /// The second direction of a merge that is no concatenation.
    pub(crate) merge: &'a mut AlignedBuffer,
}

/// Copies initial states that the model gives, if it does.
pub(crate) fn load_given_states(
    frame: &Frame<'_, '_>,
    stage: &Stage,
    layer: &RecurrentStage,
    state: &mut LayerState,
) {
    if stage.inputs.len() == 1 {
        let stays = frame.plan.keeps_state(layer) || frame.piece.start > 0;
        if !stays {
            state.reset(RowSpan::all(frame.batch));
        }
        return;
    }
    if frame.piece.start > 0 {
        return;
    }
    state.shown.fill(layer.pad_output == PadOutput::Zero);
    let states = [&mut state.hidden, &mut state.cell];
    for (&value, states) in stage.inputs[1..].iter().zip(states) {
        let given = frame.view(value);
        for (row, to) in states.rows_mut(RowSpan::all(frame.batch)).enumerate() {
            to.copy_from_slice(given.row(row / frame.batch, row % frame.batch));
        }
    }
}

/// What the layer's sequence shows at steps that do not count.
fn pad<'a>(stage: &Stage, layer: &RecurrentStage, shown: &'a [bool]) -> Pad<'a> {
    match layer.pad_output {
        // Outputs of the model are zero where the run does not count steps, and no stage reads others.
        PadOutput::Zero if stage.mask.is_none() => Pad::Nothing,
        PadOutput::Zero => Pad::Zero,
        PadOutput::Hold => Pad::Hold { shown: Some(shown) },
        PadOutput::HoldState => Pad::Hold { shown: None },
    }
}

/// The walks of a layer's directions, as time runs for the caller.
fn walks_of<'a>(
    frame: &Frame<'_, '_>,
    layer: &'a RecurrentStage,
    states: [&'a mut States; 2],
    input: View<'a>,
    [first_output, second_output]: [Option<ViewMut<'a>>; 2],
) -> Walks<'a> {
    let [(first_hidden, second_hidden), (first_cell, second_cell)] =
        states.map(|states| states.split_direction(frame.batch));
    let walk = |direction: usize, output, hidden, cell_state| Walk {
        kernels: frame.plan.kernels,
        cell: &layer.cells[direction],
        input,
        output,
        hidden,
        cell_state,
    };
    let first = walk(0, first_output, first_hidden, first_cell);
    let order = match (layer.direction, layer.order) {
        (Direction::Reverse, OutputOrder::Time) => Order::Backward,
        (Direction::Reverse, OutputOrder::Processing) => Order::BackwardAsProcessed,
        (Direction::Forward | Direction::Bidirectional, _) => Order::Forward,
    };
    let both = layer.direction == Direction::Bidirectional;
    let second = both.then(|| walk(1, second_output, second_hidden, second_cell));
    Walks { first: (first, order), second: second.map(|walk| (walk, Order::Backward)) }
}

/// One walk for each direction.
pub(crate) struct Walks<'a> {
    pub(crate) first: (Walk<'a>, Order),
    pub(crate) second: Option<(Walk<'a>, Order)>,
}

/// How time runs in a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Forward,
    /// From the last step to the first; the output likewise.
    Backward,
    /// From the last step to the first; the output from first to last as it is made.
    BackwardAsProcessed,
}

/// Walks in one direction or both, on as many threads as pay.
///
/// Directions are independent, and so are the rows of a batch; of a few rows, threads share the units.
fn walk_all(
    frame: &Frame<'_, '_>,
    layer: &RecurrentStage,
    walks: Walks<'_>,
    tasks: &mut [TaskScratch],
) {
    let first = walks.first.0.in_order(walks.first.1);
    let second = walks.second.map(|(walk, order)| walk.in_order(order));
    let threads = &frame.plan.threads;
    let (extent, most) = ([first.input.time(), first.input.batch()], tasks.len());
    let how = match sharing(layer, extent, most) {
        Sharing::Units(_) if threads.rests() => match extent[1] / most {
            0..MIN_ROWS_PER_TASK => Sharing::None,
            _ => sharing_of_rows(layer, extent, most),
        },
        how => how,
    };
    match how {
        Sharing::None => {
            first.run(&mut tasks[0]);
            if let Some(second) = second {
                second.run(&mut tasks[0]);
            }
        }
        Sharing::Walks(parts) => {
            let mut walks = Vec::with_capacity(parts * 2);
            first.split(parts, &mut walks);
            if let Some(second) = second {
                second.split(parts, &mut walks);
            }
            threads.each(walks.into_iter().zip(tasks).collect(), |(walk, task)| walk.run(task));
        }
        Sharing::Units(helpers) => crew::run(first, threads, helpers, tasks),
    }
}

/// How threads share a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sharing {
    /// Not at all.
    None,
    /// Directions, and so many parts of the batch in each.
    Walks(usize),
    /// Units of its only direction, with so many helpers.
    Units(usize),
}

/// What pays.
pub(crate) fn sharing(layer: &RecurrentStage, extent: [usize; 2], threads: usize) -> Sharing {
    if threads <= 1 {
        return Sharing::None;
    }
    let ([_, batch], cell) = (extent, &layer.cells[0]);
    let members = threads_that_pay(layer, extent, threads);
    let units = layer.cells.len() == 1 && cell.panels() >= members && units_pay(cell, extent);
    if members > 1 && units && (batch / members < MIN_ROWS_PER_TASK || batch < rows_to_share(cell))
    {
        return Sharing::Units(members - 1);
    }
    sharing_of_rows(layer, extent, threads)
}

/// What pays where threads share no units.
pub(crate) fn sharing_of_rows(
    layer: &RecurrentStage,
    [time, batch]: [usize; 2],
    threads: usize,
) -> Sharing {
    let threads = threads_that_pay(layer, [time, batch], threads);
    let directions = layer.cells.len();
    let parts = (threads / directions).min(batch).max(1);
    if threads > 1 && directions * parts > 1 { Sharing::Walks(parts) } else { Sharing::None }
}

/// No more threads than there is work for.
fn threads_that_pay(layer: &RecurrentStage, [time, batch]: [usize; 2], threads: usize) -> usize {
    let work = layer.work_per_row() * time * batch * layer.cells.len();
    threads.min(work / MIN_WORK_PER_TASK)
}

/// Rows of a batch below which threads better share the units, however many rows each would have.
fn rows_to_share(cell: &PackedCell) -> usize {
    let [_, bytes] = cell.bytes_of_weights();
    let large = cell.projection_width() * cell.hidden_size() >= WEIGHTS_OF_LARGE_CELL;
    if large && bytes == size_of::<f32>() { ROWS_TO_SHARE_LARGE_CELL } else { 0 }
}

/// Whether there is enough to do in so many steps for threads that share units.
pub(crate) fn units_pay(cell: &PackedCell, [time, batch]: [usize; 2]) -> bool {
    let step = (cell.projection_width() * cell.hidden_size()).saturating_mul(batch);
    time >= MIN_STEPS_TO_SHARE_UNITS && step >= MIN_STEP_TO_SHARE_UNITS
}

/// One direction of a layer over some rows of the batch.
pub(crate) struct Walk<'a> {
    pub(crate) kernels: &'static Kernels,
    pub(crate) cell: &'a Arc<PackedCell>,
    /// When it runs, in the order of processing, as is the output.
    pub(crate) input: View<'a>,
    pub(crate) output: Option<ViewMut<'a>>,
    pub(crate) hidden: &'a mut [f32],
    pub(crate) cell_state: &'a mut [f32],
}

impl<'a> Walk<'a> {
    /// The same with views in the order of processing.
    fn in_order(self, order: Order) -> Self {
        let (input, output) = (self.input, self.output);
        let (input, output) = match order {
            Order::Forward => (input, output),
            Order::Backward => (input.reversed(), output.map(ViewMut::reversed)),
            Order::BackwardAsProcessed => (input.reversed(), output),
        };
        Walk { input, output, ..self }
    }

    /// Cuts the batch into parts of much the same size.
    pub(super) fn split(self, parts: usize, walks: &mut Vec<Self>) {
        if parts <= 1 {
            walks.push(self);
            return;
        }
        let at = self.input.batch() / parts;
        let (left, right) = self.split_rows(at);
        walks.push(left);
        right.split(parts - 1, walks);
    }

    /// Rows `0..at` of the batch, and the others.
    pub(crate) fn split_rows(self, at: usize) -> (Self, Self) {
        let batch = self.input.batch();
        let (left_output, right_output) = match self.output.map(|output| output.split_rows(at)) {
            Some((left, right)) => (Some(left), Some(right)),
            None => (None, None),
        };
        let (left_hidden, right_hidden) = self.hidden.split_at_mut(at * self.cell.hidden_stride());
        let cells = self.cell_state.len().min(at * self.cell.cell_stride());
        let (left_cell, right_cell) = self.cell_state.split_at_mut(cells);
        let left = Walk {
            input: self.input.rows(0, at),
            output: left_output,
            hidden: left_hidden,
            cell_state: left_cell,
            ..self
        };
        let right = Walk {
            kernels: self.kernels,
            cell: self.cell,
            input: self.input.rows(at, batch),
            output: right_output,
            hidden: right_hidden,
            cell_state: right_cell,
        };
        (left, right)
    }

    /// The whole time loop.
    fn run(mut self, task: &mut TaskScratch) {
        self.steps([0, self.input.time()], task);
    }

    /// Steps `start..end`, a chunk at a time.
    pub(crate) fn steps(&mut self, [mut start, end]: [usize; 2], task: &mut TaskScratch) {
        // A stream's step goes without divisions.
        let chunk = match end - start {
            1 => 1,
            _ => chunk_steps(self.input.batch(), self.cell.projection_width()),
        };
        let mut output = self.output.take();
        while start < end {
            let next = end_of_chunk([start, end], chunk);
            let output = output.as_mut().map(|output| output.reborrow().steps(start, next));
            self.piece(self.input.steps(start, next), output, task);
            start = next;
        }
        self.output = output;
    }

    /// One chunk: the projection, then the recurrence.
    pub(crate) fn piece(
        &mut self,
        input: View<'_>,
        output: Option<ViewMut<'_>>,
        task: &mut TaskScratch,
    ) {
        let (time, batch) = (input.time(), input.batch());
        let width = self.cell.projection_width();
        let projection = &mut task.projection[..time * batch * width];
        self.kernels.project_steps(self.cell, input, projection, &mut task.recurrence);
        self.kernels.recur(
            self.cell,
            &mut RecurArgs {
                time,
                batch,
                projection,
                order: self.cell.step_order(),
                hidden: self.hidden,
                cell: self.cell_state,
                scratch: &mut task.recurrence[..self.cell.scratch_len(batch)],
                output,
                share: None,
            },
        );
    }
}

/// Copies final states and the last output to the values that show them.
pub(crate) fn give_states(
    frame: &mut Frame<'_, '_>,
    stage: &Stage,
    layer: &RecurrentStage,
    state: &LayerState,
) {
    let hidden = state.hidden.view(frame.batch);
    for (port, states) in [(Port::FinalHidden, &state.hidden), (Port::FinalCell, &state.cell)] {
        let Some(value) = stage.outputs[port.index()] else { continue };
        let mut taken = frame.take(value);
        let output = frame.view_mut(value, &mut taken);
        elementwise::copy(states.view(frame.batch), output);
        frame.put(taken);
    }
    if let Some(value) = stage.outputs[Port::Last.index()] {
        let mut taken: Taken<'_> = frame.take(value);
        let output = frame.view_mut(value, &mut taken);
        match (layer.direction, layer.merge) {
            _ if stage.mask.is_some() => {
                give_masked_last(frame.node_steps(stage), layer, state, output);
            }
            (Direction::Bidirectional, Merge::Concat) => {
                let (left, right) = output.split_columns(layer.state_size());
                elementwise::copy(hidden.steps(0, 1), left);
                elementwise::copy(hidden.steps(1, 2), right);
            }
            (Direction::Bidirectional, merge) => {
                let mut output = output;
                elementwise::copy(hidden.steps(0, 1), output.reborrow());
                elementwise::merge(merge, output, hidden.steps(1, 2));
            }
            _ => elementwise::copy(hidden, output),
        }
        frame.put(taken);
    }
}

/// Copies what the sequence of a layer with a mask shows at the last step processed.
fn give_masked_last(
    steps: NodeSteps<'_>,
    layer: &RecurrentStage,
    state: &LayerState,
    mut output: ViewMut<'_>,
) {
    let (batch, features) = (output.batch(), layer.state_size());
    let hidden = state.hidden.view(batch);
    for row in 0..batch {
        if steps.times.is_over(row) {
            continue;
        }
        let shows = |backwards: bool| {
            let mut in_time = steps.times.row(row).each();
            let last = if backwards { in_time.next() } else { in_time.next_back() };
            match layer.pad_output {
                PadOutput::Zero => last.map_or(state.shown[row], |last| steps.counts(last, row)),
                PadOutput::Hold => state.shown[row],
                PadOutput::HoldState => true,
            }
        };
        let shows = [shows(layer.direction == Direction::Reverse), shows(true)];
        let number = |direction: usize, feature: usize| {
            if shows[direction] { hidden.row(direction, row)[feature] } else { 0.0 }
        };
        let to = output.row_mut(0, row);
        for feature in 0..features {
            match (layer.direction, layer.merge) {
                (Direction::Bidirectional, Merge::Concat) => {
                    to[feature] = number(0, feature);
                    to[features + feature] = number(1, feature);
                }
                (Direction::Bidirectional, merge) => {
                    let [first, second] = [0, 1].map(|direction| number(direction, feature));
                    to[feature] = elementwise::merged(merge, first, second);
                }
                _ => to[feature] = number(0, feature),
            }
        }
    }
}
