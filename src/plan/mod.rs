//! How this machine computes a model: weights packed once, kernels chosen once, buffers laid out.

mod explain;
mod floor;
mod learned;
mod machine;
mod options;
mod stage;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use ritornello_kernels::{Isa, Kernels, Precision, Tune};

pub use ritornello_kernels::Calibration;

pub use crate::parallel::Threads;
pub use explain::{ExplainedStage, Explanation};
pub use floor::{Floor, Limit, StageFloor};
pub use machine::Machine;
pub use options::PlanOptions;
pub(crate) use stage::{Chosen, RecurrentStage, Stage, StageKind, Start};

use crate::model::{
    Input, Model, Node, Op, PadOutput, Port, SequenceAxes, Shape, ShownAxis, StateScope, Value,
};
use crate::run::Counting;
use crate::{Array, Error, Mask, Session, StreamPool};

/// A model, ready to run on one machine. Cheap to clone; clones share the packed weights.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) inner: Arc<PlanInner>,
}

#[derive(Debug)]
pub(crate) struct PlanInner {
    pub(crate) kernels: &'static Kernels,
    pub(crate) threads: Threads,
    precision: Precision,
    tune: Tune,
    pub(crate) axes: SequenceAxes,
    pub(crate) inputs: Vec<Input>,
    /// The axes of the arrays for the inputs.
    pub(crate) input_axes: Vec<Vec<ShownAxis>>,
    pub(crate) outputs: Vec<PlannedOutput>,
    pub(crate) values: Vec<PlannedValue>,
    pub(crate) stages: Vec<Stage>,
    /// The node that needs whole sequences, if one does.
    pub(crate) whole_sequence_node: Option<String>,
    /// Stages that combine sequences whose lengths are known only when they are given.
    pub(crate) combining: Vec<usize>,
}

/// An output of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedOutput {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// The axes of its array.
    pub axes: Vec<ShownAxis>,
    pub(crate) value: usize,
    /// Blocks in which its features stand apart, behind each other between time and batch.
    pub(crate) parts: usize,
}

/// A value, and where its numbers are while a plan runs.
#[derive(Debug)]
pub(crate) struct PlannedValue {
    pub(crate) shape: Shape,
    pub(crate) home: Home,
    pub(crate) padding: Padding,
}

/// What an output shows at steps that a run does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Zero, whatever the value's memory holds there.
    Zero,
    /// What the value holds: it is made of nothing but sequences of layers that hold their outputs.
    Held,
}

/// Where the numbers of a value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the caller's input of this index.
    Input(usize),
    /// In the caller's output of this index.
    Output(usize),
    /// In the session's buffer of this index.
    Scratch(usize),
}

impl Model {
    /// Makes the model ready for this machine.
    ///
    /// # Errors
    ///
    /// If the level asked for is absent, or the system gives no threads.
    pub fn plan(&self, options: PlanOptions) -> Result<Plan, Error> {
        let frame = Frame::new(self, options)?;
        Ok(frame.fill(self.nodes()))
    }

    /// The same, and gives up the model: each node's weights are freed as soon as they are packed,
    /// so that those of one node at most are held twice.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan).
    pub fn into_plan(self, options: PlanOptions) -> Result<Plan, Error> {
        let frame = Frame::new(&self, options)?;
        Ok(frame.fill(self.into_nodes()))
    }
}

/// A plan without its stages: all that depends on the model as a whole.
struct Frame {
    plan: PlanInner,
    places: HashMap<Value, usize>,
    /// The inputs of each node, and its mask.
    wired: Vec<(Vec<usize>, Option<usize>)>,
    /// What each recurrent layer starts from, by node, if the model has learned that.
    starts: Vec<Option<Start>>,
}

impl Frame {
    fn new(model: &Model, options: PlanOptions) -> Result<Self, Error> {
        let isa = match options.isa {
            Some(isa) => isa,
            None => Isa::detect()?,
        };
        let kernels = isa.kernels()?;
        let starts = learned::starts(model, isa, &options)?;
        let threads = match options.threads {
            Some(threads) => threads,
            None => Threads::from_environment()?,
        };
        let Values { planned, places, .. } = Values::new(model, &starts)?;
        let outputs = model
            .outputs()
            .iter()
            .enumerate()
            .map(|(index, output)| {
                let value = places[&output.value];
                let (axes, shape) = (model.output_axes(index).to_vec(), planned[value].shape);
                let parts = model.output_parts(index);
                PlannedOutput { name: output.name.clone(), shape, axes, value, parts }
            })
            .collect();
        let plan = PlanInner {
            kernels,
            threads,
            precision: options.precision,
            tune: options.tune,
            axes: model.axes(),
            inputs: model.inputs().to_vec(),
            input_axes: (0..model.inputs().len()).map(|i| model.input_axes(i).to_vec()).collect(),
            outputs,
            values: planned,
            stages: Vec::new(),
            combining: Vec::new(),
            whole_sequence_node: model.first_whole_sequence_node().map(|n| n.name.clone()),
        };
        let wired = model.nodes().iter().zip(&starts).map(|(node, start)| {
            let (inputs, mask) = learned::inputs(model, node, start.as_ref());
            // What only learned states are made of has no place, and does not run.
            let place = |value: &Value| places.get(value).copied();
            (inputs.iter().filter_map(place).collect(), mask.as_ref().and_then(place))
        });
        Ok(Self { plan, wired: wired.collect(), places, starts })
    }

    /// Packs the nodes, one after the other. A node that is owned is dropped before the next.
    fn fill(self, nodes: impl IntoIterator<Item: Borrow<Node>>) -> Plan {
        let Self { mut plan, places, wired, mut starts } = self;
        let mut states = 0;
        for (index, node) in nodes.into_iter().enumerate() {
            let node = node.borrow();
            let (inputs, mask) = &wired[index];
            let port = |port| places.get(&Value::Node { node: index, port }).copied();
            let outputs = Port::ALL.map(port);
            let chosen = Chosen { precision: plan.precision, tune: plan.tune };
            let kind = match &node.op {
                Op::Recurrent(_) => StageKind::new(&node.op, plan.kernels, chosen, states),
                _ if outputs[Port::Main.index()].is_none() => StageKind::Learned,
                op => StageKind::new(op, plan.kernels, chosen, states),
            };
            let mut stage = Stage {
                name: node.name.clone(),
                op: stage::describe(&node.op),
                inputs: inputs.clone(),
                mask: *mask,
                outputs,
                kind,
                parameters: node.op.parameters(),
            };
            if let StageKind::Recurrent(layer) = &mut stage.kind {
                layer.start = starts[index].take();
            }
            if let Some(main) = stage.outputs[Port::Main.index()] {
                plan.values[main].padding = plan.padding(&stage);
            }
            if plan.combines(&stage) {
                plan.combining.push(index);
            }
            plan.stages.push(stage);
            states += usize::from(matches!(node.op, Op::Recurrent(_)));
        }
        Plan { inner: Arc::new(plan) }
    }
}

impl Plan {
    /// The inputs, in the order in which a caller gives them.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inner.inputs
    }

    /// The axes of the array for an input.
    ///
    /// # Panics
    ///
    /// If there is no such input.
    #[must_use]
    pub fn input_axes(&self, input: usize) -> &[ShownAxis] {
        &self.inner.input_axes[input]
    }

    /// The outputs, in the order in which a caller gets them.
    #[must_use]
    pub fn outputs(&self) -> &[PlannedOutput] {
        &self.inner.outputs
    }

    /// The order of batch and time in what a caller gives and gets.
    #[must_use]
    pub fn axes(&self) -> SequenceAxes {
        self.inner.axes
    }

    /// Whether a sequence may be given in pieces, its state living on from call to call.
    #[must_use]
    pub fn is_causal(&self) -> bool {
        self.inner.whole_sequence_node.is_none()
    }

    /// Whether the model itself leaves steps out, such as after Keras' `Masking`.
    #[must_use]
    pub fn has_masks(&self) -> bool {
        self.inner.stages.iter().any(|stage| stage.mask.is_some())
    }

    /// What was chosen, and why.
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let inner = &*self.inner;
        let stages = inner.stages.iter().map(|stage| ExplainedStage {
            node: stage.name.clone(),
            op: stage.op.clone(),
            output: stage.outputs.iter().flatten().next().map_or_else(
                || stage.kind.without_output().into(),
                |&value| inner.values[value].shape.described(inner.axes),
            ),
            parameters: stage.parameters,
            kernel: stage.kind.kernel(inner.kernels),
            packed_bytes: stage.kind.packed_bytes(),
        });
        Explanation {
            isa: inner.kernels.isa(),
            precision: inner.precision,
            tune: inner.tune,
            has_matrix_unit: inner.precision != Precision::F32 && inner.kernels.has_matrix_unit(),
            threads: inner.threads.count(),
            causal: self.is_causal(),
            stages: stages.collect(),
        }
    }

    /// Makes a session: one stream of `batch` rows, whose buffers hold `max_time` steps.
    ///
    /// A causal model runs sequences of any length in them; others up to `max_time`.
    ///
    /// # Errors
    ///
    /// If the buffers' sizes overflow.
    pub fn session(&self, batch: usize, max_time: usize) -> Result<Session, Error> {
        Session::new(self.clone(), batch, max_time)
    }

    /// Makes a pool of streams that join and leave: buffers for `max_time` steps at once, which is 1
    /// where every tick brings a single step. It has no stream at first.
    ///
    /// # Errors
    ///
    /// If the model needs whole sequences, or has anything else than one sequence of numbers of any
    /// length as its input and one output; if `max_time` is 0, or the buffers' sizes overflow.
    pub fn stream_pool(&self, max_time: usize) -> Result<StreamPool, Error> {
        StreamPool::new(self.clone(), max_time)
    }

    /// The bytes that a session allocates, but for what calls with lengths or a mask take
    /// ([`Session::run_lengths`]).
    #[must_use]
    pub fn workspace_bytes(&self, batch: usize, max_time: usize) -> usize {
        Session::bytes(self, batch, max_time)
    }

    /// Runs whole sequences from fresh state: one call, arrays by name.
    ///
    /// # Errors
    ///
    /// If an array is missing, or its name or shape does not fit.
    pub fn run(&self, inputs: &[(&str, &Array)]) -> Result<Vec<(String, Array)>, Error> {
        self.run_with_progress(inputs, &mut |_, _| {})
    }

    /// The same, telling `progress` now and then how much is done, and of how much.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_with_progress(
        &self,
        inputs: &[(&str, &Array)],
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Vec<(String, Array)>, Error> {
        crate::run::run_once(self, inputs, Counting::All, progress)
    }

    /// Runs whole sequences of different lengths from fresh state: of row r of every input that is a
    /// sequence of free length, the first `lengths[r]` steps count. See
    /// [`Session::run_lengths`].
    ///
    /// # Errors
    ///
    /// As [`Session::run_arrays_lengths`].
    pub fn run_lengths(
        &self,
        inputs: &[(&str, &Array)],
        lengths: &[usize],
    ) -> Result<Vec<(String, Array)>, Error> {
        crate::run::run_once(self, inputs, Counting::Lengths(lengths), &mut |_, _| {})
    }

    /// Runs whole sequences from fresh state of which only the steps count that `mask` says, in every
    /// input that is a sequence of free length. See [`Session::run_masked`].
    ///
    /// # Errors
    ///
    /// As [`Session::run_arrays_masked`].
    pub fn run_masked(
        &self,
        inputs: &[(&str, &Array)],
        mask: &Mask,
    ) -> Result<Vec<(String, Array)>, Error> {
        crate::run::run_once(self, inputs, mask.counting(), &mut |_, _| {})
    }
}

impl PlanInner {
    /// Whether a layer's state lives on after a run.
    pub(crate) fn keeps_state(&self, stage: &RecurrentStage) -> bool {
        self.whole_sequence_node.is_none() || stage.state_scope == StateScope::Session
    }

    /// What the result of a stage is where a run does not count steps.
    fn padding(&self, stage: &Stage) -> Padding {
        let holds = match stage.as_recurrent() {
            Some(layer) => layer.pad_output != PadOutput::Zero,
            None => {
                let held = |&value: &usize| self.values[value].padding == Padding::Held;
                stage.is_pointwise() && stage.inputs.iter().all(held)
            }
        };
        if holds { Padding::Held } else { Padding::Zero }
    }

    /// Whether a stage's inputs have as many steps as each other only if the caller's data has.
    fn combines(&self, stage: &Stage) -> bool {
        let time = |&value: &usize| match self.values[value].shape {
            Shape::Sequence { time, .. } => Some(time),
            _ => None,
        };
        let elementwise =
            matches!(stage.kind, StageKind::Concat | StageKind::Add | StageKind::Multiply);
        let mut times = stage.inputs.iter().map(time);
        let first = times.next();
        elementwise && times.any(|time| Some(time) != first)
    }
}

/// Gives every value that is wanted a place.
struct Values {
    planned: Vec<PlannedValue>,
    places: HashMap<Value, usize>,
    scratch: usize,
}

impl Values {
    fn new(model: &Model, starts: &[Option<Start>]) -> Result<Self, Error> {
        let runs = learned::nodes_to_run(model, starts);
        let mut values = Self { planned: Vec::new(), places: HashMap::new(), scratch: 0 };
        for index in 0..model.inputs().len() {
            values.add(model, Value::Input(index), Some(Home::Input(index)))?;
        }
        for (index, output) in model.outputs().iter().enumerate() {
            // The first output that shows a value holds it; others get copies of it.
            if model.output_parts(index) == 1 {
                values.add(model, output.value, Some(Home::Output(index)))?;
            }
        }
        for output in model.outputs() {
            values.add(model, output.value, None)?;
        }
        for (index, node) in model.nodes().iter().enumerate() {
            if !runs[index] {
                continue;
            }
            let (inputs, mask) = learned::inputs(model, node, starts[index].as_ref());
            for &input in inputs.iter().chain(&mask) {
                values.add(model, input, None)?;
            }
            // A layer of which nothing is wanted still runs, because it has a state.
            if !matches!(node.op, Op::Recurrent(_)) {
                values.add(model, Value::Node { node: index, port: Port::Main }, None)?;
            }
        }
        Ok(values)
    }

    fn add(&mut self, model: &Model, value: Value, home: Option<Home>) -> Result<(), Error> {
        if self.places.contains_key(&value) {
            return Ok(());
        }
        let home = home.unwrap_or_else(|| {
            self.scratch += 1;
            Home::Scratch(self.scratch - 1)
        });
        self.places.insert(value, self.planned.len());
        let padding = Padding::Zero;
        self.planned.push(PlannedValue { shape: model.shape(value)?, home, padding });
        Ok(())
    }
}
