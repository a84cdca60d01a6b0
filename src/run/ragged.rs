//! A layer over rows of different lengths: what is padding is neither read nor computed.
//!
//! ```text
//! rows in the order of their lengths, the longest first: those active in a step are the first ones
//! for each chunk of time
//!     project all (step, row) pairs that are no padding, step after step, as one batch
//!     for each stretch of steps with the same active rows
//!         the recurrence over those rows
//!     copy what they gave to their places in the output
//! ```
//!
//! A row's states stay as its last step left them, since no later step counts it. Backwards, a row
//! starts at its own last step. Its bits are those that it has alone.

use ritornello_kernels::{AlignedBuffer, Pick, RecurArgs, ViewMut};

use super::frame::{Frame, RowTimes};
use super::recurrent::{Order, Sharing, Walk, Walks, sharing};
use super::scratch::{TaskScratch, chunk_steps};
use crate::plan::RecurrentStage;

/// Memory for rows in another order.
#[derive(Debug, Default)]
pub(crate) struct RaggedScratch {
    rows: Vec<Row>,
    /// The steps of a chunk that are no padding.
    picks: Vec<Pick>,
    hidden: AlignedBuffer,
    cell: AlignedBuffer,
    /// What the recurrence gives for a chunk, row after row of `picks`.
    output: AlignedBuffer,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    batch: usize,
    time: usize,
}

impl Order {
    /// The step of the input that a row reads in its step `step`.
    fn input_step(self, step: usize, row: Row) -> usize {
        if self == Self::Forward { step } else { row.time - 1 - step }
    }

    /// The step of the output that it writes.
    fn output_step(self, step: usize, row: Row) -> usize {
        if self == Self::Backward { row.time - 1 - step } else { step }
    }
}

/// Walks in one direction or both, on as many threads as pay.
pub(crate) fn run(
    frame: &Frame<'_, '_>,
    layer: &RecurrentStage,
    walks: Walks<'_>,
    times: RowTimes<'_>,
    tasks: &mut [TaskScratch],
) {
    let input = walks.first.0.input;
    let batch = input.batch();
    let walks = [Some(walks.first), walks.second].into_iter().flatten();
    let walks = walks.map(|(walk, order)| RaggedWalk { walk, order, times, first: 0 });
    let Sharing::Walks(parts) = sharing(layer, [input.time(), batch], tasks.len()) else {
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
    times: RowTimes<'a>,
    /// The walk's first row among those of `times`.
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
        let steps = |row: usize| self.times.of(self.first + row);
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
        let TaskScratch { projection, recurrence, ragged } = task;
        ragged.reserve(&self.walk, projection.len());
        ragged.sort(self.times, self.first, self.walk.input.batch());
        ragged.gather(&self.walk);
        let longest = ragged.rows.first().map_or(0, |row| row.time);
        let mut start = 0;
        while start < longest {
            let steps = chunk_steps(ragged.active(start), self.walk.cell.projection_width());
            let end = longest.min(start + steps);
            self.chunk([start, end], projection, recurrence, ragged);
            start = end;
        }
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
        ragged.pick([start, end], self.order);
        let count = ragged.picks.len();
        let projection = &mut projection[..count * width];
        let rows = ViewMut::time_major(projection, [1, count, width]);
        kernels.project(cell, self.walk.input.picked(&ragged.picks), rows);
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
            ragged.scatter([start, end], self.order, output);
        }
    }
}

impl RaggedScratch {
    /// Makes room for any lengths of a walk's rows, in chunks of at most `numbers` pre-activations.
    fn reserve(&mut self, walk: &Walk<'_>, numbers: usize) {
        let picks = numbers / walk.cell.projection_width();
        self.rows.clear();
        self.rows.reserve(walk.input.batch());
        self.picks.clear();
        self.picks.reserve(picks);
        let output = if walk.output.is_some() { picks * walk.cell.state_size() } else { 0 };
        let sizes = [walk.hidden.len(), walk.cell_state.len(), output];
        for (buffer, size) in
            [&mut self.hidden, &mut self.cell, &mut self.output].into_iter().zip(sizes)
        {
            if buffer.len() < size {
                *buffer = AlignedBuffer::zeroed(size);
            }
        }
    }

    /// Puts the rows in the order of their lengths.
    fn sort(&mut self, times: RowTimes<'_>, first: usize, batch: usize) {
        self.rows.extend((0..batch).map(|batch| Row { batch, time: times.of(first + batch) }));
        self.rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.time), row.batch));
    }

    /// The rows that have a step.
    fn active(&self, step: usize) -> usize {
        self.rows.partition_point(|row| row.time > step)
    }

    /// Lists what is to be read in steps `start..end`.
    fn pick(&mut self, [start, end]: [usize; 2], order: Order) {
        self.picks.clear();
        for step in start..end {
            let rows = &self.rows[..self.active(step)];
            self.picks.extend(
                rows.iter()
                    .map(|&row| Pick { time: order.input_step(step, row), batch: row.batch }),
            );
        }
    }

    /// Copies what the recurrence gave in steps `start..end` to its places.
    fn scatter(&self, [start, end]: [usize; 2], order: Order, output: &mut ViewMut<'_>) {
        let mut from = self.output.chunks_exact(output.features());
        for step in start..end {
            let rows = &self.rows[..self.active(step)];
            for (&row, from) in rows.iter().zip(&mut from) {
                output.row_mut(order.output_step(step, row), row.batch).copy_from_slice(from);
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
