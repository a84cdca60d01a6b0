//! A layer over rows of which some steps do not count: those are neither read nor computed.
//!
//! ```text
//! list the steps of each row that count, in the order in which they are processed
//! rows in the order of how many they are, the most first: those active in a step are the first ones
//! for each chunk of steps
//!     project the steps of all rows, step after step, as one batch
//!     for each stretch of steps with the same active rows
//!         the recurrence over those rows
//!     copy what they gave to their places in the output
//! ```
//!
//! Step k of the walk is the k-th step that counts of every row, wherever each is in time: rows of
//! different lengths and masks with holes are the same here. A row's states stay as its last step
//! left them, since no later step counts it. Backwards, a row starts at its own last step. Its bits
//! are those that it has alone.

use ritornello_kernels::{AlignedBuffer, PackedCell, Pick, RecurArgs, StepOrder, ViewMut};

use super::frame::Frame;
use super::recurrent::{Order, Sharing, Walk, Walks, sharing_of_rows};
use super::rows::NodeSteps;
use super::scratch::{TaskScratch, chunk_steps};
use crate::plan::RecurrentStage;

/// Memory for rows in another order.
#[derive(Debug, Default)]
pub(crate) struct RaggedScratch {
    /// Steps that a piece may have.
    longest: usize,
    rows: Vec<Row>,
    /// The steps of the rows that count, row after row, in the order of processing.
    places: Vec<Place>,
    /// What a chunk reads, step after step.
    picks: Vec<Pick>,
    hidden: AlignedBuffer,
    cell: AlignedBuffer,
    /// What a row shows at a step that does not count.
    held: AlignedBuffer,
    /// What the recurrence gives for a chunk, row after row of `picks`.
    output: AlignedBuffer,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    batch: usize,
    /// Its steps that count, and where they begin among the places.
    time: usize,
    first: usize,
}

/// A step of a row in time, for the caller.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Of the input.
    read: usize,
    /// Of the output.
    write: usize,
}

/// What of a layer's rows counts, and what its sequence shows where nothing does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ragged<'a> {
    pub(crate) steps: NodeSteps<'a>,
    pub(crate) pad: Pad<'a>,
}

/// What is written at steps that do not count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pad<'a> {
    /// Nothing: nobody reads it.
    Nothing,
    /// Zeros.
    Zero,
    /// The last output; before the first one h, or zeros where h is not `shown`.
    Hold { shown: Option<&'a [bool]> },
}

/// Walks in one direction or both, on as many threads as pay.
pub(crate) fn run(
    frame: &Frame<'_, '_>,
    layer: &RecurrentStage,
    walks: Walks<'_>,
    rows: Ragged<'_>,
    tasks: &mut [TaskScratch],
) {
    let input = walks.first.0.input;
    let batch = input.batch();
    let walks = [Some(walks.first), walks.second].into_iter().flatten();
    let walks = walks.map(|(walk, order)| RaggedWalk { walk, order, rows, first: 0 });
    let Sharing::Walks(parts) = sharing_of_rows(layer, [input.time(), batch], tasks.len()) else {
        walks.for_each(|walk| walk.run(&mut tasks[0]));
        return;
    };
    let mut all = Vec::with_capacity(2 * parts);
    walks.for_each(|walk| walk.split(parts, &mut all));
    frame.plan.threads.each(all.into_iter().zip(tasks).collect(), |(walk, task)| walk.run(task));
}

/// One direction of a layer over some rows of the batch.
struct RaggedWalk<'a> {
    /// Its views run in time as the caller's do: rows start backwards at different steps.
    walk: Walk<'a>,
    order: Order,
    rows: Ragged<'a>,
    /// The walk's first row among those of the batch.
    first: usize,
}

impl RaggedWalk<'_> {
    /// Cuts the batch into parts of much the same number of steps.
    fn split(self, parts: usize, all: &mut Vec<Self>) {
        let batch = self.walk.input.batch();
        if parts <= 1 || batch <= 1 {
            all.push(self);
            return;
        }
        let steps = |row: usize| self.rows.steps.each(self.first + row).count();
        let share = (0..batch).map(steps).sum::<usize>() / parts;
        let (mut at, mut done) = (1, steps(0));
        while at + 1 < batch && done < share {
            done += steps(at);
            at += 1;
        }
        let (left, right) = self.walk.split_rows(at);
        all.push(Self { walk: left, ..self });
        let right = Self { walk: right, first: self.first + at, ..self };
        right.split(parts - 1, all);
    }

    /// The whole time loop.
    fn run(mut self, task: &mut TaskScratch) {
        let TaskScratch { projection, recurrence, ragged, .. } = task;
        let sizes = [self.walk.input.batch(), self.walk.input.time(), projection.len()];
        ragged.reserve(self.walk.cell, sizes, self.walk.output.is_some());
        ragged.list(self.rows.steps, self.order, [self.first, self.walk.input.batch()]);
        ragged.gather(&self.walk);
        let longest = ragged.rows.first().map_or(0, |row| row.time);
        let mut start = 0;
        while start < longest {
            let steps = chunk_steps(ragged.active(start), self.walk.cell.projection_width());
            let end = longest.min(start + steps);
            self.chunk([start, end], projection, recurrence, ragged);
            start = end;
        }
        ragged.pad(&mut self.walk, self.order, self.rows.pad, self.first);
        ragged.give_back(&mut self.walk);
    }

    /// Steps `start..end`: the projection, then the recurrence, then what it gave to its places.
    fn chunk(
        &mut self,
        [start, end]: [usize; 2],
        projection: &mut [f32],
        recurrence: &mut [f32],
        ragged: &mut RaggedScratch,
    ) {
        let Walk { kernels, cell, .. } = self.walk;
        let (width, features) = (cell.projection_width(), cell.state_size());
        ragged.pick([start, end]);
        let count = ragged.picks.len();
        let projection = &mut projection[..count * width];
        let rows = ViewMut::time_major(projection, [1, count, width]);
        kernels.project(cell, self.walk.input.picked(&ragged.picks), rows, recurrence);
        let of_cell = if cell.kind().has_cell_state() { cell.cell_stride() } else { 0 };
        let gives = if self.walk.output.is_some() { features } else { 0 };
        let (mut step, mut done) = (start, 0);
        while step < end {
            let batch = ragged.active(step);
            let time = end.min(ragged.rows[batch - 1].time) - step;
            let shape = [time, batch, features];
            let output = &mut ragged.output[done * gives..];
            kernels.recur(
                cell,
                &mut RecurArgs {
                    time,
                    batch,
                    projection: &projection[done * width..][..time * batch * width],
                    order: StepOrder::Rows,
                    hidden: &mut ragged.hidden[..batch * cell.hidden_stride()],
                    cell: &mut ragged.cell[..batch * of_cell],
                    scratch: &mut recurrence[..cell.scratch_len(batch)],
                    output: (gives > 0).then(|| ViewMut::time_major(output, shape)),
                    share: None,
                },
            );
            step += time;
            done += time * batch;
        }
        if let Some(output) = &mut self.walk.output {
            ragged.scatter([start, end], output);
        }
    }
}

impl RaggedScratch {
    /// For pieces of at most so many steps.
    pub(crate) fn new(longest: usize) -> Self {
        Self { longest, ..Self::default() }
    }

    /// Makes room for any of `time` steps of a layer's rows, in chunks of at most `numbers`
    /// pre-activations; `gives` if the layer's sequence is wanted.
    pub(crate) fn reserve(
        &mut self,
        cell: &PackedCell,
        [batch, time, numbers]: [usize; 3],
        gives: bool,
    ) {
        let picks = numbers / cell.projection_width();
        self.rows.clear();
        self.rows.reserve(batch);
        self.places.clear();
        self.places.reserve(batch * time.max(self.longest));
        self.picks.clear();
        self.picks.reserve(picks);
        let output = if gives { picks * cell.state_size() } else { 0 };
        let of_cell = if cell.kind().has_cell_state() { cell.cell_stride() } else { 0 };
        for (buffer, size) in [
            (&mut self.hidden, batch * cell.hidden_stride()),
            (&mut self.cell, batch * of_cell),
            (&mut self.output, output),
            (&mut self.held, cell.state_size()),
        ] {
            if buffer.len() < size {
                *buffer = AlignedBuffer::zeroed(size);
            }
        }
    }

    /// Lists the steps of `batch` rows from row `first` on, and puts the rows in their order.
    fn list(&mut self, steps: NodeSteps<'_>, order: Order, [first, batch]: [usize; 2]) {
        for batch in 0..batch {
            let start = self.places.len();
            let row = first + batch;
            let counts = |place: &Place| steps.counts(place.read, row);
            let in_time = steps.times.row(row).each();
            let same = |step| Place { read: step, write: step };
            match order {
                Order::Forward => self.places.extend(in_time.map(same).filter(counts)),
                Order::Backward => self.places.extend(in_time.rev().map(same).filter(counts)),
                // The first of the row's steps shows the first that is processed, its last one.
                Order::BackwardAsProcessed => {
                    let both = in_time.rev().zip(steps.times.row(row).each());
                    let both = both.map(|(read, write)| Place { read, write });
                    self.places.extend(both.filter(counts));
                }
            }
            self.rows.push(Row { batch, time: self.places.len() - start, first: start });
        }
        self.rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.time), row.batch));
    }

    /// The rows that have a step.
    fn active(&self, step: usize) -> usize {
        self.rows.partition_point(|row| row.time > step)
    }

    /// Lists what is to be read in steps `start..end`.
    fn pick(&mut self, [start, end]: [usize; 2]) {
        self.picks.clear();
        for step in start..end {
            let rows = &self.rows[..self.active(step)];
            let pick = |row: &Row| {
                let time = self.places[row.first + step].read;
                Pick { time, batch: row.batch }
            };
            self.picks.extend(rows.iter().map(pick));
        }
    }

    /// Copies what the recurrence gave in steps `start..end` to its places.
    fn scatter(&self, [start, end]: [usize; 2], output: &mut ViewMut<'_>) {
        let mut from = self.output.chunks_exact(output.features());
        for step in start..end {
            let rows = &self.rows[..self.active(step)];
            for (row, from) in rows.iter().zip(&mut from) {
                let time = self.places[row.first + step].write;
                output.row_mut(time, row.batch).copy_from_slice(from);
            }
        }
    }

    /// Writes what the output shows at steps that do not count. The walk still has the states that it
    /// began with.
    fn pad(&mut self, walk: &mut Walk<'_>, order: Order, pad: Pad<'_>, first: usize) {
        let Some(output) = &mut walk.output else { return };
        let time = output.time();
        let held = &mut self.held[..output.features()];
        for row in &self.rows {
            match pad {
                Pad::Nothing => return,
                Pad::Hold { shown } if shown.is_none_or(|shown| shown[first + row.batch]) => {
                    let start = row.batch * walk.cell.hidden_stride();
                    held.copy_from_slice(&walk.hidden[start..][..held.len()]);
                }
                Pad::Zero | Pad::Hold { .. } => held.fill(0.0),
            }
            let mut written = self.places[row.first..][..row.time].iter().peekable();
            for step in 0..time {
                let step = if order == Order::Backward { time - 1 - step } else { step };
                let to = output.row_mut(step, row.batch);
                if written.next_if(|place| place.write == step).is_none() {
                    to.copy_from_slice(held);
                } else if let Pad::Hold { .. } = pad {
                    held.copy_from_slice(to);
                }
            }
        }
    }

    /// Copies the states of all rows in their new order.
    fn gather(&mut self, walk: &Walk<'_>) {
        for (stride, to, from) in [
            (walk.cell.hidden_stride(), &mut self.hidden, &walk.hidden),
            (walk.cell.cell_stride(), &mut self.cell, &walk.cell_state),
        ] {
            for (row, to) in self.rows.iter().zip(to[..from.len()].chunks_mut(stride)) {
                to.copy_from_slice(&from[row.batch * stride..][..stride]);
            }
        }
    }

    /// Copies them back.
    fn give_back(&self, walk: &mut Walk<'_>) {
        for (stride, from, to) in [
            (walk.cell.hidden_stride(), &self.hidden, &mut walk.hidden),
            (walk.cell.cell_stride(), &self.cell, &mut walk.cell_state),
        ] {
            for (row, from) in self.rows.iter().zip(from[..to.len()].chunks(stride)) {
                to[row.batch * stride..][..stride].copy_from_slice(from);
            }
        }
    }
}
