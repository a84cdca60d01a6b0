//! The data flow: one stream of sequences through the stages of a plan.

mod crew;
mod elementwise;
mod frame;
mod hand;
mod once;
mod recurrent;
mod scratch;
mod stages;
mod state;
mod tuning;
mod wave;

pub use hand::HandCell;
pub(crate) use once::run_once;
pub use state::State;

use frame::{Destination, Frame, Piece, Source, whole_time};
use scratch::{Scratch, Sizes};
use state::LayerState;

use crate::model::{Element, Extent, Select, Shape};
use crate::plan::{Home, PlanInner, StageKind};
use crate::{Array, Error, Plan};

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
    /// `x` is the input in its own shape, such as `[batch, time, features]`; so is what comes back.
    ///
    /// # Errors
    ///
    /// If the model has other inputs or outputs, or the length of `x` does not fit.
    pub fn run(&mut self, x: &[f32]) -> Result<Vec<f32>, Error> {
        self.check_simple()?;
        let sources = [Source::F32(x)];
        self.measure(&sources)?;
        let mut y = vec![0.0; self.output_len(0)];
        self.execute(&sources, &mut [Some(&mut y)], &mut |_, _| {});
        Ok(y)
    }

    /// The same into the caller's memory.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and if `y` has another length than the output.
    pub fn run_into(&mut self, x: &[f32], y: &mut [f32]) -> Result<(), Error> {
        self.check_simple()?;
        let sources = [Source::F32(x)];
        self.measure(&sources)?;
        let expected = self.output_len(0);
        if y.len() != expected {
            let output = &self.plan.inner.outputs[0];
            return Err(Error::Shape {
                what: format!("the memory for output '{}' {}", output.name, output.shape),
                expected: format!("{expected} numbers"),
                found: format!("{}", y.len()),
            });
        }
        self.execute(&sources, &mut [Some(y)], &mut |_, _| {});
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
        self.run_arrays_with_progress(inputs, &mut |_, _| {})
    }

    pub(crate) fn run_arrays_with_progress(
        &mut self,
        inputs: &[(&str, &Array)],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<(String, Array)>, Error> {
        let sources = once::sources(&self.plan.inner, inputs, self.batch, &mut self.times)?;
        self.check_call(&sources)?;
        let count = self.plan.inner.outputs.len();
        let mut memory: Vec<Vec<f32>> =
            (0..count).map(|output| vec![0.0; self.output_len(output)]).collect();
        let mut destinations: Vec<Destination<'_>> =
            memory.iter_mut().map(|numbers| Some(&mut numbers[..])).collect();
        self.execute(&sources, &mut destinations, progress);
        let outputs = self.plan.inner.outputs.iter().zip(memory);
        outputs
            .map(|(output, numbers)| {
                let shape = self.outside_shape(output.shape);
                Ok((output.name.clone(), Array::new(&shape, numbers)?))
            })
            .collect()
    }

    /// Forgets everything: all states are zero again.
    pub fn reset(&mut self) {
        self.states.iter_mut().for_each(LayerState::reset);
    }

    /// The states of all recurrent layers.
    ///
    /// # Errors
    ///
    /// Never, for a session that could be made.
    pub fn state(&self) -> Result<State, Error> {
        state::export(&self.states, self.batch)
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    ///
    /// If a state is missing, or its name or shape does not fit; nothing is changed then.
    pub fn set_state(&mut self, state: &State) -> Result<(), Error> {
        state::import(&mut self.states, self.batch, state)
    }

    /// Copies h and c of one layer from `[directions, batch, hidden_size]`.
    fn load_state(&mut self, layer: usize, hidden: &[f32], cell: &[f32]) {
        self.states[layer].load(hidden, cell);
    }

    /// Copies c of one layer to `[directions, batch, hidden_size]`.
    fn store_cell(&self, layer: usize, cell: &mut [f32]) {
        self.states[layer].store_cell(cell);
    }

    /// Refuses models that `run` has no way to feed or to answer.
    fn check_simple(&self) -> Result<(), Error> {
        let inner = &*self.plan.inner;
        let simple = inner.inputs.len() == 1
            && inner.outputs.len() == 1
            && inner.inputs[0].element == Element::F32;
        if simple {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!(
                "a bare slice for a model with {} inputs and {} outputs{}",
                inner.inputs.len(),
                inner.outputs.len(),
                if inner.inputs.iter().any(|input| input.element == Element::Index) {
                    ", some of them indices"
                } else {
                    ""
                }
            ),
            advice: "give arrays by name to run_arrays".into(),
        })
    }

    /// Finds the number of steps of each input from its length, and checks the call.
    fn measure(&mut self, sources: &[Source<'_>]) -> Result<(), Error> {
        let inner = &*self.plan.inner;
        for (index, (input, source)) in inner.inputs.iter().zip(sources).enumerate() {
            let len = match source {
                Source::F32(numbers) => numbers.len(),
                Source::Index(indices) => indices.len(),
            };
            let row = self.batch * input.shape.features();
            let fixed = match input.shape {
                Shape::Sequence { time: Extent::Input(_), .. } => None,
                shape => Some(whole_time(shape, &[])),
            };
            let fits = match fixed {
                Some(time) => len == row * time,
                None => len.checked_rem(row).unwrap_or(len) == 0,
            };
            if !fits {
                return Err(Error::Shape {
                    what: format!(
                        "input '{}' {} for batch {}",
                        input.name, input.shape, self.batch
                    ),
                    expected: match fixed {
                        Some(time) => format!("{} numbers", row * time),
                        None => format!("a multiple of {row} numbers"),
                    },
                    found: len.to_string(),
                });
            }
            self.times[index] = match fixed {
                Some(_) => 1,
                None => len.checked_div(row).unwrap_or(0),
            };
        }
        self.check_call(sources)
    }

    /// Checks what a call gives, once the number of steps of each input is known.
    fn check_call(&self, sources: &[Source<'_>]) -> Result<(), Error> {
        for (index, source) in sources.iter().enumerate() {
            check_indices(&self.plan.inner, index, source)?;
        }
        self.check_times()
    }

    fn check_times(&self) -> Result<(), Error> {
        let inner = &*self.plan.inner;
        let time = |value: usize| whole_time(inner.values[value].shape, &self.times);
        for &index in &inner.combining {
            let stage = &inner.stages[index];
            let first = time(stage.inputs[0]);
            if let Some(&other) = stage.inputs.iter().find(|&&value| time(value) != first) {
                return Err(Error::Shape {
                    what: format!("{}: the time of its inputs", stage.name),
                    expected: format!("{first} like the first"),
                    found: time(other).to_string(),
                });
            }
        }
        for stage in &inner.stages {
            let StageKind::Select(Select::Step(step)) = stage.kind else { continue };
            let time = time(stage.inputs[0]);
            if time > 0 && (step.unsigned_abs() > time || step == time.cast_signed()) {
                return Err(Error::Shape {
                    what: format!("{}: the time of its input", stage.name),
                    expected: format!("long enough for step {step}"),
                    found: time.to_string(),
                });
            }
        }
        let longest = self.longest();
        if longest <= self.max_time {
            return Ok(());
        }
        if let Some(node) = &inner.whole_sequence_node {
            return Err(Error::Shape {
                what: format!("the time of a sequence ('{node}' needs all of it at once)"),
                expected: format!("at most {}, for which the session was made", self.max_time),
                found: longest.to_string(),
            });
        }
        if self.max_time == 0 || self.sequence_times().any(|time| time != longest) {
            return Err(Error::Shape {
                what: "the times of sequences longer than the session's buffers".into(),
                expected: format!("all the same, or at most {}", self.max_time),
                found: format!("{:?}", self.times),
            });
        }
        Ok(())
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

    /// The shape of the caller's array for a value of this shape.
    fn outside_shape(&self, shape: Shape) -> Vec<usize> {
        let time = whole_time(shape, &self.times);
        once::outside_shape(shape, self.plan.inner.axes, [time, self.batch])
    }

    /// Runs all stages over all pieces. Everything was checked by [`measure`](Self::measure).
    fn execute(
        &mut self,
        inputs: &[Source<'_>],
        outputs: &mut [Destination<'_>],
        progress: &mut dyn FnMut(usize, usize),
    ) {
        let longest = self.longest();
        let plan = &*self.plan.inner;
        let step = if longest > self.max_time { self.max_time } else { longest };
        let pieces = longest.checked_div(step).map_or(1, |_| longest.div_ceil(step));
        let total = pieces * plan.stages.len();
        for piece in 0..pieces {
            let start = piece * step;
            let mut frame = Frame {
                plan,
                batch: self.batch,
                piece: Piece { whole: &self.times, start, end: longest.min(start + step) },
                inputs,
                outputs,
                scratch: &mut self.scratch.values,
            };
            let mut done = 0;
            while done < plan.stages.len() {
                let (tasks, merge) = (&mut self.scratch.tasks, &mut self.scratch.merge);
                done += stages::run(&mut frame, done, &mut self.states, tasks, merge);
                progress(piece * plan.stages.len() + done, total);
            }
            copy_shared_outputs(&mut frame);
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
        let Some(numbers) = frame.outputs[index].take() else { continue };
        frame.copy_to(output.value, numbers);
        frame.outputs[index] = Some(numbers);
    }
}

/// Refuses indices that are no rows of the tables they go to.
fn check_indices(plan: &PlanInner, input: usize, source: &Source<'_>) -> Result<(), Error> {
    let Source::Index(indices) = source else { return Ok(()) };
    for stage in &plan.stages {
        let StageKind::Embedding { rows, .. } = stage.kind else { continue };
        if plan.values[stage.inputs[0]].home != Home::Input(input) {
            continue;
        }
        let inside = |&index: &i32| usize::try_from(index).is_ok_and(|index| index < rows);
        if let Some(place) = indices.iter().position(|index| !inside(index)) {
            return Err(Error::Shape {
                what: format!(
                    "{}: index {place} of input '{}'",
                    stage.name, plan.inputs[input].name
                ),
                expected: format!("0 to {}", rows - 1),
                found: indices[place].to_string(),
            });
        }
    }
    Ok(())
}
