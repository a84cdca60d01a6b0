//! Many streams over one plan: a tick is one batch of those that have input.
//!
//! ```text
//! states of all streams    slot 0   slot 1   slot 2   slot 3   slot 4 ...
//! a tick of three of them     │        └────────┐        │        │
//!                          row 1              row 2    (not)    row 0
//! a block of rows          gathered, run as a batch, given back to their slots
//! ```
//!
//! A stream's numbers depend on no other row of the batch, so that it has the bits that it has alone
//! in a [`Session`](crate::Session), whoever else is there. Rows are taken in blocks, whose states
//! and pre-activations stay in the nearest caches: scratch does not grow with the streams.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::call::Call;
use super::frame::{Order, Source};
use super::rows::Rows;
use super::scratch::{Scratch, Sizes};
use super::state::{self, LayerState, RowSpan, State};
use super::tuning::BLOCK_ROWS;
use crate::model::{Element, Extent, SequenceAxes, Shape};
use crate::plan::PlanInner;
use crate::{Error, Plan};

/// Thousands of streams over one plan, which join and leave at any time.
///
/// The model is causal, with one sequence of numbers as its input and one output. Each
/// [`tick`](Self::tick) takes one step of those streams that have input, and runs them as one batch;
/// the others stay as they are. A stream has **the same bits as alone in a
/// [`Session`](crate::Session)** of one row.
///
/// Memory is taken by [`open`](Self::open), unless [`reserve`](Self::reserve) has made room. With one
/// thread, [`tick`](Self::tick), [`tick_steps`](Self::tick_steps), [`reset`](Self::reset),
/// [`set_state`](Self::set_state) and [`close`](Self::close) neither allocate nor lock, on every
/// level but the portable one (see [`Session`](crate::Session)).
///
/// ```
/// # use ritornello::model::{Cell, CellWeights, Direction, Matrix, Recurrent, RecurrentWeights};
/// # use ritornello::Model;
/// # fn main() -> Result<(), ritornello::Error> {
/// # let recurrent = RecurrentWeights::Matrix(Matrix::new(12, 3, vec![0.1; 36])?);
/// # let weights = CellWeights::new(Matrix::new(12, 2, vec![0.1; 24])?, recurrent);
/// # let layer = Recurrent::new(Cell::LSTM, Direction::Forward, vec![weights])?;
/// let model = Model::chain(2).recurrent(layer).build()?; // an LSTM(3) on 2 features
/// let plan = model.plan(Default::default())?;
/// let mut pool = plan.stream_pool(1)?; // buffers for one step at once
///
/// let (anna, berta) = (pool.open()?, pool.open()?);
/// let mut y = [0.0; 6]; // [streams=2, features=3]
/// pool.tick(&[anna, berta], &[0.1, 0.2, -0.3, 0.4], &mut y)?; // x is [streams=2, features=2]
///
/// let clara = pool.open()?; // joins between ticks, while anna has nothing to say
/// pool.tick(&[clara, berta], &[0.5, 0.6, 0.7, 0.8], &mut y)?;
/// pool.close(berta)?;
/// assert!(pool.tick(&[berta], &[0.9, 1.0], &mut y[..3]).is_err());
///
/// let mut alone = plan.session(1, 1)?; // berta by herself
/// alone.run(&[-0.3, 0.4])?;
/// assert_eq!(alone.run(&[0.7, 0.8])?, y[3..]);
/// # assert!(pool.state(clara)?.get("lstm_0.c").is_some() && pool.len() == 2); Ok(()) }
/// ```
#[derive(Debug)]
pub struct StreamPool {
    plan: Plan,
    max_time: usize,
    slots: Vec<Slot>,
    /// Slots of no stream. The lowest is taken first, so that streams lie close together.
    free: BinaryHeap<Reverse<usize>>,
    /// Of all slots: a batch of as many rows.
    states: Vec<LayerState>,
    /// Of the rows of a block.
    gathered: Vec<LayerState>,
    scratch: Scratch,
    /// The rows that `gathered` and `scratch` have room for.
    rows: usize,
    /// Ticks so far.
    ticks: u64,
}

/// A place for a stream.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// That of its stream; 0 if there is none.
    serial: u64,
    /// The last tick that took it.
    tick: u64,
}

/// A stream of a [`StreamPool`]. No two are equal, of whichever pools and times of this process: an
/// id of a stream that is closed is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId {
    slot: usize,
    serial: u64,
}

/// Slots that the first stream makes room for.
const FIRST_SLOTS: usize = 8;

/// The serial of the next stream.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stream {}", self.serial)
    }
}

impl StreamPool {
    pub(crate) fn new(plan: Plan, max_time: usize) -> Result<Self, Error> {
        check_model(&plan.inner)?;
        if max_time == 0 {
            return Err(Error::Shape {
                what: "the steps that a stream pool has buffers for".into(),
                expected: "at least 1".into(),
                found: "0".into(),
            });
        }
        sizes(&plan.inner, 1, max_time)?;
        let none = sizes(&plan.inner, 0, max_time)?;
        Ok(Self {
            states: LayerState::all(&plan.inner, 0),
            gathered: LayerState::all(&plan.inner, 0),
            scratch: Scratch::new(&none),
            slots: Vec::new(),
            free: BinaryHeap::new(),
            rows: 0,
            ticks: 0,
            plan,
            max_time,
        })
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The streams that are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is no stream.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a stream is one of this pool, and not closed.
    #[must_use]
    pub fn is_open(&self, id: StreamId) -> bool {
        self.slots.get(id.slot).is_some_and(|slot| slot.serial == id.serial)
    }

    /// Makes room for so many streams in all: up to there [`open`](Self::open) does not allocate.
    ///
    /// # Errors
    ///
    /// If the buffers' sizes overflow; nothing is changed then.
    pub fn reserve(&mut self, streams: usize) -> Result<(), Error> {
        let old = self.slots.len();
        if streams <= old {
            return Ok(());
        }
        sizes(&self.plan.inner, streams, 1)?;
        let rows = streams.min(self.block_rows());
        if rows > self.rows {
            self.scratch = Scratch::new(&sizes(&self.plan.inner, rows, self.max_time)?);
            self.gathered = LayerState::all(&self.plan.inner, rows);
            self.rows = rows;
        }
        let before =
            std::mem::replace(&mut self.states, LayerState::all(&self.plan.inner, streams));
        for (to, from) in self.states.iter_mut().zip(&before) {
            to.gather(from, 0..old);
        }
        self.slots.resize(streams, Slot::default());
        self.free.reserve_exact(streams - self.free.len());
        self.free.extend((old..streams).map(Reverse));
        Ok(())
    }

    /// Opens a stream, whose states are what they are at the start: zero, or what the model has
    /// learned.
    ///
    /// If there is no room for one more, makes room for twice as many.
    ///
    /// # Errors
    ///
    /// If the buffers' sizes overflow.
    pub fn open(&mut self) -> Result<StreamId, Error> {
        if self.free.is_empty() {
            self.reserve((2 * self.slots.len()).max(FIRST_SLOTS))?;
        }
        let Some(Reverse(slot)) = self.free.pop() else { unreachable!("there is room by now") };
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        self.slots[slot] = Slot { serial, tick: 0 };
        self.forget(slot);
        Ok(StreamId { slot, serial })
    }

    /// Closes a stream: its id is worth nothing any more, and another may have its place.
    ///
    /// # Errors
    ///
    /// If it is not open in this pool.
    pub fn close(&mut self, id: StreamId) -> Result<(), Error> {
        let slot = self.slot(id)?;
        self.slots[slot].serial = 0;
        self.free.push(Reverse(slot));
        Ok(())
    }

    /// Forgets what a stream has seen: its states are those at the start again.
    ///
    /// # Errors
    ///
    /// If it is not open in this pool.
    pub fn reset(&mut self, id: StreamId) -> Result<(), Error> {
        let slot = self.slot(id)?;
        self.forget(slot);
        Ok(())
    }

    /// The states of a stream: arrays `[directions=1, 1, features]`, as those of a row of a session
    /// ([`Session::row_state`](crate::Session::row_state)).
    ///
    /// # Errors
    ///
    /// If it is not open in this pool.
    pub fn state(&self, id: StreamId) -> Result<State, Error> {
        state::export(&self.states, self.row(id)?)
    }

    /// The same into `state`: its memory is taken again if it has been the state of a stream before,
    /// and nothing is allocated then.
    ///
    /// # Errors
    ///
    /// As [`state`](Self::state).
    pub fn state_into(&self, id: StreamId, state: &mut State) -> Result<(), Error> {
        state::export_into(&self.states, self.row(id)?, state)
    }

    /// Goes on from `state` in a stream, be it of another stream or of a row of a session.
    ///
    /// # Errors
    ///
    /// If the stream is not open in this pool, or a state is missing, or its name or shape does not
    /// fit; nothing is changed then.
    pub fn set_state(&mut self, id: StreamId, state: &State) -> Result<(), Error> {
        let row = self.row(id)?;
        state::import(&mut self.states, row, state)
    }

    /// Takes one step of some streams, in any order: row r of `x` `[streams, features]` is the input
    /// of `ids[r]`, and row r of `y` gets what the model gives for it.
    ///
    /// # Errors
    ///
    /// If a stream is not open in this pool or is there twice, or a length does not fit; nothing has
    /// run then.
    pub fn tick(&mut self, ids: &[StreamId], x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        self.tick_steps(ids, 1, x, y)
    }

    /// Takes `time` steps of some streams at once, such as a block of audio.
    ///
    /// `x` is `[streams, time, features]`, or `[time, streams, features]` if those are the model's
    /// [axes](Plan::axes); so is `y` if the output is a sequence, else it is `[streams, features]`.
    /// Any number of steps will do; those beyond the pool's buffers are taken piece by piece.
    ///
    /// # Errors
    ///
    /// As [`tick`](Self::tick).
    pub fn tick_steps(
        &mut self,
        ids: &[StreamId],
        time: usize,
        x: &[f32],
        y: &mut [f32],
    ) -> Result<(), Error> {
        self.check_lengths(ids.len(), time, [x.len(), y.len()])?;
        self.check_streams(ids)?;
        let [x_step, y_step] = self.step_sizes().map(|size| ids.len() * size);
        // Of several steps with time first, a block's rows do not lie behind each other.
        let apart = self.plan.axes() == SequenceAxes::TimeBatch && time > 1;
        let stepwise = apart && ids.len() > self.block_rows();
        let (parts, steps) = if stepwise { (time, 1) } else { (1, time) };
        for part in 0..parts {
            let start = part * steps;
            let y = match self.gives_sequence() {
                true => &mut y[start * y_step..][..steps * y_step],
                false => &mut *y,
            };
            self.run_blocks(ids, steps, &x[start * x_step..][..steps * x_step], y);
        }
        Ok(())
    }

    /// Runs streams in blocks, whose rows of `x` and `y` lie behind each other.
    fn run_blocks(&mut self, ids: &[StreamId], time: usize, x: &[f32], y: &mut [f32]) {
        let block = self.block_rows();
        let [x_row, y_row] = [x.len(), y.len()].map(|len| len / ids.len().max(1));
        for (index, ids) in ids.chunks(block).enumerate() {
            let first = index * block;
            let x = &x[first * x_row..][..ids.len() * x_row];
            let y = &mut y[first * y_row..][..ids.len() * y_row];
            self.run_block(ids, time, x, y);
        }
    }

    /// Runs a few streams as a batch.
    fn run_block(&mut self, ids: &[StreamId], time: usize, x: &[f32], y: &mut [f32]) {
        let slots = ids.iter().map(|id| id.slot);
        for (rows, states) in self.gathered.iter_mut().zip(&self.states) {
            rows.gather(states, slots.clone());
        }
        let call = Call {
            plan: &self.plan.inner,
            batch: ids.len(),
            times: &[time],
            longest: time,
            max_time: self.max_time,
            rows: Rows::All,
            inputs: &[Source::F32(x)],
            order: Order::Shape,
        };
        call.run(&mut [y], &mut self.gathered, &mut self.scratch, &mut |_, _| {});
        for (rows, states) in self.gathered.iter().zip(&mut self.states) {
            rows.scatter(states, slots.clone());
        }
    }

    /// The rows that are run at once at most.
    fn block_rows(&self) -> usize {
        BLOCK_ROWS * self.plan.inner.threads.count()
    }

    /// Numbers of a step of a stream: of the input and of the output.
    fn step_sizes(&self) -> [usize; 2] {
        let plan = &*self.plan.inner;
        [plan.inputs[0].shape.features(), plan.outputs[0].shape.features()]
    }

    fn gives_sequence(&self) -> bool {
        matches!(self.plan.inner.outputs[0].shape, Shape::Sequence { .. })
    }

    fn forget(&mut self, slot: usize) {
        let row = RowSpan::one(slot, self.slots.len());
        self.states.iter_mut().for_each(|layer| layer.reset(row));
    }

    fn row(&self, id: StreamId) -> Result<RowSpan, Error> {
        Ok(RowSpan::one(self.slot(id)?, self.slots.len()))
    }

    fn slot(&self, id: StreamId) -> Result<usize, Error> {
        if self.is_open(id) {
            return Ok(id.slot);
        }
        Err(Error::Shape {
            what: id.to_string(),
            expected: "open in this pool".into(),
            found: "closed, or of another pool".into(),
        })
    }

    /// Checks that streams are open, and no two of them the same.
    fn check_streams(&mut self, ids: &[StreamId]) -> Result<(), Error> {
        self.ticks += 1;
        for (place, &id) in ids.iter().enumerate() {
            let slot =
                self.slot(id).map_err(|error| error.within(&format!("id {place} of a tick")))?;
            let slot = &mut self.slots[slot];
            if slot.tick == self.ticks {
                let first = ids.iter().position(|&other| other == id).unwrap_or(place);
                return Err(Error::Shape {
                    what: format!("{id} of a tick"),
                    expected: "there once (several steps go to tick_steps)".into(),
                    found: format!("there twice, as ids {first} and {place}"),
                });
            }
            slot.tick = self.ticks;
        }
        Ok(())
    }

    fn check_lengths(&self, streams: usize, time: usize, found: [usize; 2]) -> Result<(), Error> {
        let plan = &*self.plan.inner;
        let shapes = [plan.inputs[0].shape, plan.outputs[0].shape];
        let names = [
            format_args!("input '{}'", plan.inputs[0].name),
            format_args!("the memory for output '{}'", plan.outputs[0].name),
        ];
        for ((shape, name), found) in shapes.into_iter().zip(names).zip(found) {
            let steps = if matches!(shape, Shape::Sequence { .. }) { time } else { 1 };
            let expected = streams.saturating_mul(steps).saturating_mul(shape.features());
            if found != expected {
                let shape = shape.described(plan.axes);
                return Err(Error::Shape {
                    what: format!("{name} {shape} of {streams} streams and {time} steps"),
                    expected: format!("{expected} numbers"),
                    found: found.to_string(),
                });
            }
        }
        Ok(())
    }
}

/// Of buffers for `rows` rows and `max_time` steps.
fn sizes(plan: &PlanInner, rows: usize, max_time: usize) -> Result<Sizes, Error> {
    let sizes = Sizes::new(plan, rows, max_time).filter(|sizes| sizes.bytes().is_some());
    sizes.ok_or_else(|| Error::Shape {
        what: format!("a stream pool for {rows} streams and {max_time} steps"),
        expected: "one whose buffers fit in memory".into(),
        found: "larger".into(),
    })
}

/// Refuses models that cannot be run step by step, and those that a tick cannot feed or answer.
fn check_model(plan: &PlanInner) -> Result<(), Error> {
    let refused = |of: String, advice: &str| {
        let what = format!("a stream pool of a model {of}");
        Err(Error::Unsupported { what, advice: advice.into() })
    };
    if let Some(node) = &plan.whole_sequence_node {
        let of = format!("whose '{node}' needs a whole sequence");
        return refused(of, "give whole sequences to run");
    }
    let in_sessions = "a tick takes one sequence of numbers and gives one output; give arrays by \
                       name to the run_arrays of a session";
    let ([input], [output]) = (&plan.inputs[..], &plan.outputs[..]) else {
        let (inputs, outputs) = (plan.inputs.len(), plan.outputs.len());
        return refused(format!("with {inputs} inputs and {outputs} outputs"), in_sessions);
    };
    let (name, shape) = (&input.name, input.shape.described(plan.axes));
    if input.element != Element::F32 {
        return refused(format!("whose input '{name}' is of indices"), in_sessions);
    }
    if !matches!(input.shape, Shape::Sequence { time: Extent::Input(_), .. }) {
        let of = format!("whose input '{name}' {shape} is no sequence of any length");
        return refused(of, in_sessions);
    }
    if let Shape::States { count: 2.., .. } = output.shape {
        let of = format!("whose output '{}' is several states", output.name);
        return refused(of, "let the model give one of them, or their concatenation");
    }
    Ok(())
}
