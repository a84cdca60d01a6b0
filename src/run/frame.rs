//! Where every value's numbers are during a run.
//!
//! Every value is seen as `[time, batch, features]`: a vector has one step, states have as many
//! steps as there are states.

use ritornello_kernels::{AlignedBuffer, View, ViewMut};

use super::elementwise;
use super::rows::{NodeSteps, RowTimes, Rows};
use crate::model::{Extent, SequenceAxes, Shape};
use crate::plan::{Home, PlanInner, PlannedOutput, Stage};

/// One of the caller's inputs.
pub(crate) use crate::Numbers as Source;

/// One of the caller's outputs; empty while it is being written.
pub(crate) type Destination<'a> = &'a mut [f32];

/// The order in which an output's numbers stand in the caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// That of its shape.
    Shape,
    /// That of the axes in which the model shows it.
    Shown,
}

/// A piece of a run: some steps of every sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    /// The whole number of steps of each input, 1 for those that are no sequences.
    pub(crate) whole: &'a [usize],
    /// The steps of this piece. Sequences shorter than `end` take part whole.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The values of a run in progress.
pub(crate) struct Frame<'a, 'b> {
    pub(crate) plan: &'a PlanInner,
    pub(crate) batch: usize,
    pub(crate) piece: Piece<'a>,
    /// The steps that count of every sequence of free length.
    pub(crate) rows: Rows<'a>,
    pub(crate) inputs: &'a [Source<'a>],
    pub(crate) outputs: &'a mut [Destination<'b>],
    pub(crate) order: Order,
    pub(crate) scratch: &'a mut [AlignedBuffer],
}

/// The memory of a value that is being written, out of the frame for as long.
pub(crate) enum Taken<'b> {
    Output(usize, &'b mut [f32]),
    Scratch(usize, AlignedBuffer),
}

impl<'a, 'b> Frame<'a, 'b> {
    /// Steps, rows and features of a value in this piece.
    pub(crate) fn extent(&self, value: usize) -> [usize; 3] {
        let shape = self.plan.values[value].shape;
        [piece_time(shape, self.piece), self.batch, shape.features()]
    }

    /// The steps of a value that count in this piece.
    pub(crate) fn row_times(&self, value: usize) -> RowTimes<'a> {
        let free = self.plan.values[value].shape.has_free_time();
        let rows = if free { self.rows } else { Rows::All };
        RowTimes { rows, start: self.piece_start(value), time: self.extent(value)[0] }
    }

    /// The steps that count for a stage.
    pub(crate) fn node_steps(&self, stage: &Stage) -> NodeSteps<'_> {
        let times = self.row_times(stage.inputs[0]);
        NodeSteps { times, mask: stage.mask.map(|mask| self.view(mask)) }
    }

    /// A value to read.
    ///
    /// # Panics
    ///
    /// If it is being written, or holds indices: the plan's order rules both out.
    pub(crate) fn view(&self, value: usize) -> View<'_> {
        let extent = self.extent(value);
        match self.plan.values[value].home {
            Home::Scratch(index) => View::time_major(&self.scratch[index], extent),
            Home::Output(index) => {
                let (whole, strides) = self.outside(value);
                self.piece_of(value, View::new(&*self.outputs[index], whole, strides))
            }
            Home::Input(index) => match self.inputs[index] {
                Source::F32(numbers) => {
                    let (whole, strides) = self.outside(value);
                    self.piece_of(value, View::new(numbers, whole, strides))
                }
                Source::Index(_) => unreachable!("only an embedding reads indices"),
            },
        }
    }

    /// The index of step `time` of row `batch` of an input of indices.
    pub(crate) fn index(&self, value: usize, time: usize, batch: usize) -> i32 {
        let (_, [time_stride, batch_stride]) = self.outside(value);
        match self.plan.values[value].home {
            Home::Input(input) => match self.inputs[input] {
                Source::Index(numbers) => {
                    let time = time + self.piece_start(value);
                    numbers[time * time_stride + batch * batch_stride]
                }
                Source::F32(_) => unreachable!("an embedding reads indices"),
            },
            _ => unreachable!("indices are inputs"),
        }
    }

    /// Takes a value's memory out, to write it.
    pub(crate) fn take(&mut self, value: usize) -> Taken<'b> {
        match self.plan.values[value].home {
            Home::Scratch(index) => Taken::Scratch(index, std::mem::take(&mut self.scratch[index])),
            Home::Output(index) => Taken::Output(index, std::mem::take(&mut self.outputs[index])),
            Home::Input(_) => unreachable!("no stage writes an input"),
        }
    }

    /// Puts a value's memory back.
    pub(crate) fn put(&mut self, taken: Taken<'b>) {
        match taken {
            Taken::Scratch(index, buffer) => self.scratch[index] = buffer,
            Taken::Output(index, numbers) => self.outputs[index] = numbers,
        }
    }

    /// Sees a value's memory, taken out before, as what this piece writes.
    pub(crate) fn view_mut<'v>(&self, value: usize, taken: &'v mut Taken<'b>) -> ViewMut<'v> {
        match taken {
            Taken::Scratch(_, buffer) => ViewMut::time_major(buffer, self.extent(value)),
            Taken::Output(_, numbers) => self.outside_view(value, numbers),
        }
    }

    /// In how many parts the features of an output stand apart.
    pub(crate) fn parts(&self, output: &PlannedOutput) -> usize {
        match self.order {
            Order::Shape => 1,
            Order::Shown => output.parts,
        }
    }

    /// Copies this piece of an output's value into the caller's memory for it.
    pub(crate) fn show(&self, output: &PlannedOutput, numbers: &mut [f32]) {
        let (from, parts) = (self.view(output.value), self.parts(output));
        let features = from.features() / parts;
        for part in 0..parts {
            let from = from.columns(part * features, (part + 1) * features);
            elementwise::copy(from, self.part_view(output, part, &mut *numbers));
        }
    }

    /// Sees this piece of a part of an output's features in the caller's memory for it.
    ///
    /// Of batch and time, one is the outer axis. Of each of its entries the parts stand behind each
    /// other, and each part has all entries of the inner axis.
    pub(crate) fn part_view<'v>(
        &self,
        output: &PlannedOutput,
        part: usize,
        numbers: &'v mut [f32],
    ) -> ViewMut<'v> {
        let ([time, batch, features], _) = self.outside(output.value);
        let extent = [time, batch, features / self.parts(output)];
        let mut strides = outside_strides(output.shape, self.plan.axes, extent);
        let outer = usize::from(is_batch_first(output.shape, self.plan.axes));
        let first = (part * strides[outer]).min(numbers.len());
        strides[outer] *= self.parts(output);
        let (start, time) = (self.piece_start(output.value), self.extent(output.value)[0]);
        ViewMut::new(&mut numbers[first..], extent, strides).steps(start, start + time)
    }

    /// Sees this piece of a value in the caller's memory for it.
    fn outside_view<'v>(&self, value: usize, numbers: &'v mut [f32]) -> ViewMut<'v> {
        let (whole, strides) = self.outside(value);
        let (start, time) = (self.piece_start(value), self.extent(value)[0]);
        ViewMut::new(numbers, whole, strides).steps(start, start + time)
    }

    /// Extent and strides of a value in the caller's memory.
    fn outside(&self, value: usize) -> ([usize; 3], [usize; 2]) {
        let shape = self.plan.values[value].shape;
        let [time, batch, features] =
            [whole_time(shape, self.piece.whole), self.batch, shape.features()];
        ([time, batch, features], outside_strides(shape, self.plan.axes, [time, batch, features]))
    }

    fn piece_of<'v>(&self, value: usize, whole: View<'v>) -> View<'v> {
        let start = self.piece_start(value);
        whole.steps(start, start + self.extent(value)[0])
    }

    /// The first step of this piece in the caller's memory.
    fn piece_start(&self, value: usize) -> usize {
        match self.plan.values[value].shape {
            Shape::Sequence { time: Extent::Input(input), .. } => {
                if self.piece.whole[input] < self.piece.end { 0 } else { self.piece.start }
            }
            _ => 0,
        }
    }
}

/// The distances from step to step and from row to row in the caller's memory.
fn outside_strides(
    shape: Shape,
    axes: SequenceAxes,
    [time, batch, features]: [usize; 3],
) -> [usize; 2] {
    if is_batch_first(shape, axes) {
        [features, time * features]
    } else {
        [batch * features, features]
    }
}

/// Whether the batch is the outer axis in the caller's memory.
fn is_batch_first(shape: Shape, axes: SequenceAxes) -> bool {
    matches!(shape, Shape::Sequence { .. }) && axes == SequenceAxes::BatchTime
}

/// The steps of a value in a whole run.
pub(crate) fn whole_time(shape: Shape, whole: &[usize]) -> usize {
    match shape {
        Shape::Sequence { time: Extent::Input(input), .. } => whole[input],
        Shape::Sequence { time: Extent::Fixed(time), .. } => time,
        Shape::Vector { .. } => 1,
        Shape::States { count, .. } => count,
    }
}

/// The steps of a value in a piece.
fn piece_time(shape: Shape, piece: Piece<'_>) -> usize {
    match shape {
        Shape::Sequence { time: Extent::Input(input), .. } => {
            let whole = piece.whole[input];
            if whole < piece.end { whole } else { piece.end - piece.start }
        }
        _ => whole_time(shape, piece.whole),
    }
}
