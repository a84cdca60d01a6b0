//! The data flow: one stream of sequences through the stages of a plan.

mod bare;
mod call;
mod check;
mod crew;
mod elementwise;
mod frame;
mod generate;
mod hand;
mod once;
mod pool;
mod ragged;
mod recurrent;
mod rows;
mod scratch;
mod stages;
mod state;
mod tuning;
mod views;
mod wave;

pub use hand::HandCell;
pub(crate) use once::run_once;
pub use pool::{StreamId, StreamPool};
pub(crate) use rows::Counting;
pub use state::State;
pub use views::Steps;

use call::Call;
use frame::{Destination, Order, Source, whole_time};
use once::views;
use rows::{Rows, StepLists};
use scratch::{Scratch, Sizes};
use state::{LayerState, RowSpan};

use crate::model::{Extent, Shape, lengths};
use crate::plan::PlannedOutput;
use crate::{Array, ArrayView, Error, Mask, Plan};

/// One stream: states that live from call to call, and buffers for a fixed batch.
///
/// If the model is causal, a session *is* one sequence: what is given in one call goes on where the
/// last call ended, with the same bits as in a single call, until [`reset`](Self::reset). Else every
/// call is a whole sequence from fresh states, except those of layers with
/// [`StateScope::Session`](crate::model::StateScope::Session). States that the model takes as inputs
/// are taken anew with every call.
///
/// With one thread, [`run_into`](Self::run_into), [`step`](Self::step) and [`reset`](Self::reset)
/// neither allocate nor lock, on every level but the portable one: its large projections run in
/// `matrixmultiply`, which packs into fresh memory on every call.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    batch: usize,
    max_time: usize,
    states: Vec<LayerState>,
    scratch: Scratch,
    /// The steps of each input in the current call; 1 for those that are no sequences.
    times: Vec<usize>,
    /// The steps that count in the mask of the current call.
    lists: StepLists,
}

impl Session {
    pub(crate) fn new(plan: Plan, batch: usize, max_time: usize) -> Result<Self, Error> {
        let sizes = Sizes::new(&plan.inner, batch, max_time)
            .filter(|sizes| sizes.bytes().is_some())
            .ok_or_else(|| Error::Shape {
                what: format!("a session for batch {batch} and {max_time} steps"),
                expected: "one whose buffers fit in memory".into(),
                found: "larger".into(),
            })?;
        Ok(Self {
            states: LayerState::all(&plan.inner, batch),
            scratch: Scratch::new(&sizes),
            times: vec![1; plan.inner.inputs.len()],
            lists: StepLists::default(),
            plan,
            batch,
            max_time,
        })
    }

    pub(crate) fn bytes(plan: &Plan, batch: usize, max_time: usize) -> usize {
        let sizes = Sizes::new(&plan.inner, batch, max_time);
        sizes.and_then(|sizes| sizes.bytes()).unwrap_or(usize::MAX)
    }

    /// The rows of a batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs a model of one input and one output over a sequence of any length.
    ///
    /// `x` is the input in its own shape, such as `[batch, time, features]`; so is what comes back
    /// ([`Shape::described`](crate::model::Shape::described)), also where the model shows other axes.
    ///
    /// # Errors
    ///
    /// If the model has other inputs or outputs, or the length of `x` does not fit.
    pub fn run(&mut self, x: &[f32]) -> Result<Vec<f32>, Error> {
        self.run_simple(x, Counting::All)
    }

    /// The same for rows of different lengths: of row r the first `lengths[r]` steps count, the
    /// others are padding.
    ///
    /// Every row gets the bits that it has alone at its own length: a reverse direction starts at
    /// its last step, its last output and final states are those of its last step, means and maxima
    /// are over its steps, and a row of length 0 keeps its states. What is in the padding is never
    /// used, not even NaN; in outputs that are sequences it is zero, unless a layer holds its outputs
    /// ([`PadOutput`](crate::model::PadOutput)). Recurrent layers skip padding.
    ///
    /// The first such call of a session allocates what rows in another order need, later ones do not.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and if there is not one length for each row, or one is greater than the
    /// time of `x`.
    pub fn run_lengths(&mut self, x: &[f32], lengths: &[usize]) -> Result<Vec<f32>, Error> {
        self.run_simple(x, Counting::Lengths(lengths))
    }

    /// The same for rows of which any steps count: `true` in `mask`, which is `[batch, time]` in the
    /// order of the axes of `x`.
    ///
    /// A step that does not count is not there: every row gets the bits that it has alone on the
    /// steps that count, one behind the other. Its states pass over the others; a reverse direction
    /// goes from the last step that counts to the first; the last output, a selected step, means and
    /// maxima are of steps that count. Nothing is read where the mask is `false`, not even NaN, and
    /// outputs that are sequences are zero there. [`run_lengths`](Self::run_lengths) is the case of
    /// masks whose steps that count come first, and costs the same.
    ///
    /// The first such call of a session allocates, and one over more steps than any before.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and if `mask` has not one value for each step of each row.
    pub fn run_masked(&mut self, x: &[f32], mask: &[bool]) -> Result<Vec<f32>, Error> {
        self.run_simple(x, Counting::Mask { shape: None, steps: mask })
    }

    fn run_simple(&mut self, x: &[f32], counting: Counting<'_>) -> Result<Vec<f32>, Error> {
        self.check_simple()?;
        let sources = [Source::F32(x)];
        self.measure(&sources, counting)?;
        let mut y = vec![0.0; self.output_len(0)];
        self.execute(&sources, counting, &mut [&mut y], Order::Shape, &mut |_, _| {});
        Ok(y)
    }

    /// The same into the caller's memory.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and if `y` has another length than the output.
    pub fn run_into(&mut self, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        self.run_simple_into(x, Counting::All, y)
    }

    /// [`run_lengths`](Self::run_lengths) into the caller's memory.
    ///
    /// # Errors
    ///
    /// As [`run_lengths`](Self::run_lengths), and if `y` has another length than the output.
    pub fn run_lengths_into(
        &mut self,
        x: &[f32],
        lengths: &[usize],
        y: &mut [f32],
    ) -> Result<(), Error> {
        self.run_simple_into(x, Counting::Lengths(lengths), y)
    }

    /// [`run_masked`](Self::run_masked) into the caller's memory.
    ///
    /// # Errors
    ///
    /// As [`run_masked`](Self::run_masked), and if `y` has another length than the output.
    pub fn run_masked_into(
        &mut self,
        x: &[f32],
        mask: &[bool],
        y: &mut [f32],
    ) -> Result<(), Error> {
        self.run_simple_into(x, Counting::Mask { shape: None, steps: mask }, y)
    }

    fn run_simple_into(
        &mut self,
        x: &[f32],
        counting: Counting<'_>,
        y: &mut [f32],
    ) -> Result<(), Error> {
        self.check_simple()?;
        let sources = [Source::F32(x)];
        self.measure(&sources, counting)?;
        let expected = self.output_len(0);
        if y.len() != expected {
            let output = &self.plan.inner.outputs[0];
            return Err(Error::Shape {
                what: format!("the memory for output '{}' {}", output.name, output.shape),
                expected: format!("{expected} numbers"),
                found: format!("{}", y.len()),
            });
        }
        self.execute(&sources, counting, &mut [y], Order::Shape, &mut |_, _| {});
        Ok(())
    }

    /// Runs one step of a causal model of one input and one output: `x` is `[batch, features]`, `y`
    /// what the model gives for it.
    ///
    /// # Errors
    ///
    /// As [`run_into`](Self::run_into), and if the model is not causal.
    pub fn step(&mut self, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        if let Some(node) = &self.plan.inner.whole_sequence_node {
            return Err(Error::Unsupported {
                what: format!("a single step of this model: '{node}' needs a whole sequence"),
                advice: "give whole sequences to run".into(),
            });
        }
        let features = self.plan.inner.inputs.first().map_or(0, |input| input.shape.features());
        if x.len() != self.batch * features {
            return Err(Error::Shape {
                what: format!("a step [batch={}, features={features}]", self.batch),
                expected: format!("{} numbers", self.batch * features),
                found: x.len().to_string(),
            });
        }
        self.run_into(x, y)
    }

    /// Runs a model on arrays by name, in any order, and gives all outputs.
    ///
    /// # Errors
    ///
    /// If an array is missing, or its name or shape does not fit.
    pub fn run_arrays(&mut self, inputs: &[(&str, &Array)]) -> Result<Vec<(String, Array)>, Error> {
        self.run_with_progress(&views(inputs), Counting::All, &mut |_, _| {})
    }

    /// The same for rows of different lengths, as [`run_lengths`](Self::run_lengths) says: of every
    /// input that is a sequence of free length, the first `lengths[r]` steps of row r count.
    ///
    /// # Errors
    ///
    /// As [`run_arrays`](Self::run_arrays), and if there is not one length for each row, one is
    /// greater than the time of a sequence, or sequences have different times.
    pub fn run_arrays_lengths(
        &mut self,
        inputs: &[(&str, &Array)],
        lengths: &[usize],
    ) -> Result<Vec<(String, Array)>, Error> {
        self.run_with_progress(&views(inputs), Counting::Lengths(lengths), &mut |_, _| {})
    }

    /// The same for rows of which any steps count, as [`run_masked`](Self::run_masked) says, in
    /// every input that is a sequence of free length.
    ///
    /// # Errors
    ///
    /// As [`run_arrays`](Self::run_arrays), and if `mask` has another batch or time than they, or
    /// sequences have different times.
    pub fn run_arrays_masked(
        &mut self,
        inputs: &[(&str, &Array)],
        mask: &Mask,
    ) -> Result<Vec<(String, Array)>, Error> {
        self.run_with_progress(&views(inputs), mask.counting(), &mut |_, _| {})
    }

    pub(crate) fn run_with_progress(
        &mut self,
        inputs: &[(&str, ArrayView<'_>)],
        counting: Counting<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<(String, Array)>, Error> {
        let sources = once::sources(&self.plan.inner, inputs, self.batch, &mut self.times)?;
        self.check_call(&sources, counting)?;
        let count = self.plan.inner.outputs.len();
        let mut memory: Vec<Vec<f32>> =
            (0..count).map(|output| vec![0.0; self.output_len(output)]).collect();
        let mut destinations: Vec<Destination<'_>> =
            memory.iter_mut().map(|numbers| &mut numbers[..]).collect();
        self.execute(&sources, counting, &mut destinations, Order::Shown, progress);
        let outputs = self.plan.inner.outputs.iter().zip(memory);
        outputs
            .map(|(output, numbers)| {
                let shape = self.outside_shape(output);
                Ok((output.name.clone(), Array::new(&shape, numbers)?))
            })
            .collect()
    }

    /// Forgets everything: all states are again what they are at the start, zero or what the model
    /// has learned.
    pub fn reset(&mut self) {
        let rows = RowSpan::all(self.batch);
        self.states.iter_mut().for_each(|layer| layer.reset(rows));
    }

    /// Forgets what one row of the batch has seen; the others go on.
    ///
    /// # Errors
    ///
    /// If there is no such row.
    pub fn reset_row(&mut self, row: usize) -> Result<(), Error> {
        let rows = self.row(row)?;
        self.states.iter_mut().for_each(|layer| layer.reset(rows));
        Ok(())
    }

    /// The states of all recurrent layers.
    ///
    /// # Errors
    ///
    /// Never, for a session that could be made.
    pub fn state(&self) -> Result<State, Error> {
        state::export(&self.states, RowSpan::all(self.batch))
    }

    /// The states of one row of the batch: arrays `[directions, 1, features]`.
    ///
    /// # Errors
    ///
    /// If there is no such row.
    pub fn row_state(&self, row: usize) -> Result<State, Error> {
        state::export(&self.states, self.row(row)?)
    }

    /// The same into `state`: its memory is taken again if it has been the state of a row before,
    /// and nothing is allocated then.
    ///
    /// # Errors
    ///
    /// As [`row_state`](Self::row_state).
    pub fn row_state_into(&self, row: usize, state: &mut State) -> Result<(), Error> {
        state::export_into(&self.states, self.row(row)?, state)
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    ///
    /// If a state is missing, or its name or shape does not fit; nothing is changed then.
    pub fn set_state(&mut self, state: &State) -> Result<(), Error> {
        state::import(&mut self.states, RowSpan::all(self.batch), state)
    }

    /// Goes on from `state` in one row of the batch: arrays `[directions, 1, features]`, from
    /// whichever row, session or pool of the same model. The other rows go on as they are. Nothing
    /// is allocated.
    ///
    /// # Errors
    ///
    /// As [`set_state`](Self::set_state), and if there is no such row.
    pub fn set_row_state(&mut self, row: usize, state: &State) -> Result<(), Error> {
        let rows = self.row(row)?;
        state::import(&mut self.states, rows, state)
    }

    fn row(&self, row: usize) -> Result<RowSpan, Error> {
        if row < self.batch {
            return Ok(RowSpan::one(row, self.batch));
        }
        Err(Error::Shape {
            what: "the row of a session's batch".into(),
            expected: format!("below batch={}", self.batch),
            found: row.to_string(),
        })
    }

    /// Copies h and c of one layer from `[directions, batch, hidden_size]`.
    fn load_state(&mut self, layer: usize, hidden: &[f32], cell: &[f32]) {
        self.states[layer].load(RowSpan::all(self.batch), hidden, cell);
    }

    /// Copies c of one layer to `[directions, batch, hidden_size]`.
    fn store_cell(&self, layer: usize, cell: &mut [f32]) {
        self.states[layer].store_cell(RowSpan::all(self.batch), cell);
    }

    /// The steps of the inputs that are sequences of free length.
    fn sequence_times(&self) -> impl Iterator<Item = usize> {
        let inputs = self.plan.inner.inputs.iter().zip(&self.times);
        inputs.filter_map(|(input, &time)| match input.shape {
            Shape::Sequence { time: Extent::Input(_), .. } => Some(time),
            _ => None,
        })
    }

    fn longest(&self) -> usize {
        self.sequence_times().max().unwrap_or(0)
    }

    /// Steps, rows and features of an output in this call.
    fn output_extent(&self, output: usize) -> [usize; 3] {
        let shape = self.plan.inner.outputs[output].shape;
        [whole_time(shape, &self.times), self.batch, shape.features()]
    }

    fn output_len(&self, output: usize) -> usize {
        self.output_extent(output).iter().product()
    }

    /// The shape of the caller's array for an output.
    fn outside_shape(&self, output: &PlannedOutput) -> Vec<usize> {
        lengths(&output.axes, [whole_time(output.shape, &self.times), self.batch])
    }

    /// Runs all stages over all pieces. Everything was checked by [`measure`](Self::measure).
    fn execute(
        &mut self,
        inputs: &[Source<'_>],
        counting: Counting<'_>,
        outputs: &mut [Destination<'_>],
        order: Order,
        progress: &mut dyn FnMut(usize, usize),
    ) {
        let longest = self.longest();
        let call = Call {
            plan: &self.plan.inner,
            batch: self.batch,
            times: &self.times,
            longest,
            max_time: self.max_time,
            rows: Rows::of(counting, &self.lists, longest),
            inputs,
            order,
        };
        call.run(outputs, &mut self.states, &mut self.scratch, progress);
    }
}
