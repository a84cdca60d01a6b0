//! A model: a small graph of named values over a closed set of nodes.

use super::{
    Activation, Dense, Direction, Element, Embedding, Extent, Recurrent, ScaleShift, SequenceAxes,
    Shape,
};
use crate::Error;

/// What a node computes. `features` always means the last axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A recurrent layer over a sequence. Inputs: the sequence, then optionally the initial h and,
    /// for an LSTM, the initial c, as vectors or states.
    Recurrent(Recurrent),
    /// A dense layer on every row.
    Dense(Dense),
    /// An activation on every row.
    Activation(Activation),
    /// A table row for each index.
    Embedding(Embedding),
    /// `scale ⊙ x + shift` on every row.
    ScaleShift(ScaleShift),
    /// All inputs behind each other along the features.
    Concat,
    /// The elementwise sum of all inputs, from the first to the last.
    Add,
    /// The elementwise product of all inputs, from the first to the last.
    Multiply,
    /// A part of the input.
    Select(Select),
    /// Vectors and states behind each other: states.
    Stack,
    /// A sequence whose first step is the vector and whose other steps are zero.
    Unroll {
        /// Steps of the sequence.
        steps: usize,
    },
    /// A sequence whose every step is the vector.
    Repeat {
        /// Steps of the sequence.
        steps: usize,
    },
    /// All steps of a sequence of fixed length behind each other: a vector.
    Flatten,
    /// The mean of a sequence over time.
    MeanOverTime,
    /// The maximum of a sequence over time.
    MaxOverTime,
}

impl Op {
    /// The word for it in specs and tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Recurrent(layer) => layer.cell().name(),
            Self::Dense(_) => "dense",
            Self::Activation(_) => "activation",
            Self::Embedding(_) => "embedding",
            Self::ScaleShift(_) => "scale_shift",
            Self::Concat => "concat",
            Self::Add => "add",
            Self::Multiply => "multiply",
            Self::Select(_) => "select",
            Self::Stack => "stack",
            Self::Unroll { .. } => "unroll",
            Self::Repeat { .. } => "repeat",
            Self::Flatten => "flatten",
            Self::MeanOverTime => "mean_time",
            Self::MaxOverTime => "max_time",
        }
    }

    /// The number of weights it holds.
    #[must_use]
    pub fn parameters(&self) -> usize {
        match self {
            Self::Recurrent(layer) => layer.weights().iter().map(|w| w.parameters()).sum(),
            Self::Dense(dense) => {
                dense.weights().values().len() + dense.bias().map_or(0, <[f32]>::len)
            }
            Self::Embedding(embedding) => embedding.table().values().len(),
            Self::ScaleShift(affine) => affine.scale().len() + affine.shift().len(),
            _ => 0,
        }
    }
}

/// Which part of a value [`Op::Select`] takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// One step of a sequence; negative counts from the end.
    Step(isize),
    /// Features `start..end` of every row.
    Features {
        /// The first.
        start: usize,
        /// One past the last.
        end: usize,
    },
    /// One of several states, as a vector.
    State(usize),
    /// States `start..end`.
    States {
        /// The first.
        start: usize,
        /// One past the last.
        end: usize,
    },
}

/// Which result of a node a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// The only result; of a recurrent layer its sequence.
    Main,
    /// The output after the last step processed, directions merged: `[batch, output_size]`.
    Last,
    /// The final hidden states `[directions, batch, hidden_size]`.
    FinalHidden,
    /// The final cell states `[directions, batch, hidden_size]`.
    FinalCell,
}

impl Port {
    /// Every port, in order.
    pub const ALL: [Self; 4] = [Self::Main, Self::Last, Self::FinalHidden, Self::FinalCell];

    /// What is appended to a node's name to name the value.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Last => ".last",
            Self::FinalHidden => ".h_n",
            Self::FinalCell => ".c_n",
        }
    }

    pub(crate) fn index(self) -> usize {
        match self {
            Self::Main => 0,
            Self::Last => 1,
            Self::FinalHidden => 2,
            Self::FinalCell => 3,
        }
    }
}

/// A value of a model: one of its inputs, or a result of one of its nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// The model's input of this index.
    Input(usize),
    /// A result of the node of this index.
    Node {
        /// The node.
        node: usize,
        /// Which of its results.
        port: Port,
    },
}

/// An input of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its shape; a sequence of free length has `Extent::Input` of its own index.
    pub shape: Shape,
    /// What its numbers are.
    pub element: Element,
}

/// A node of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it computes it from.
    pub inputs: Vec<Value>,
}

/// An output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The name a caller knows it by.
    pub name: String,
    /// The value it shows.
    pub value: Value,
}

/// What is computed: inputs, nodes in an order in which they can run, outputs.
///
/// Immutable, and checked as a whole when it is made: every value exists, every shape fits.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    inputs: Vec<Input>,
    nodes: Vec<Node>,
    outputs: Vec<Output>,
    axes: SequenceAxes,
    /// The shape of each node's results, by port.
    shapes: Vec<[Option<Shape>; 4]>,
}

impl Model {
    /// Checks and takes the parts of a graph. A node may use only inputs and nodes before it.
    ///
    /// # Errors
    ///
    /// If a name is used twice, a value does not exist, or a shape does not fit.
    pub fn new(
        inputs: Vec<Input>,
        nodes: Vec<Node>,
        outputs: Vec<Output>,
        axes: SequenceAxes,
    ) -> Result<Self, Error> {
        unique("input", inputs.iter().map(|input| &input.name))?;
        unique("node", nodes.iter().map(|node| &node.name))?;
        unique("output", outputs.iter().map(|output| &output.name))?;
        for (index, input) in inputs.iter().enumerate() {
            if let Shape::Sequence { time: Extent::Input(other), .. } = input.shape {
                if other != index {
                    return Err(Error::Shape {
                        what: format!("time of input '{}'", input.name),
                        expected: "its own".into(),
                        found: format!("that of input {other}"),
                    });
                }
            }
            check_sizes(input.shape).map_err(|e| e.within(&format!("input '{}'", input.name)))?;
        }
        let mut model = Self { inputs, nodes: Vec::new(), outputs: Vec::new(), axes, shapes: Vec::new() };
        for node in nodes {
            let shapes = model.infer(&node).map_err(|e| e.within(&node.name))?;
            model.nodes.push(node);
            model.shapes.push(shapes);
        }
        for output in &outputs {
            model.shape(output.value)?;
            if model.element(output.value) == Element::Index {
                return Err(Error::Unsupported {
                    what: format!("output '{}' made of indices", output.name),
                    advice: "pass the indices on yourself".into(),
                });
            }
        }
        if outputs.is_empty() {
            return Err(Error::Shape {
                what: "the number of outputs".into(),
                expected: "at least 1".into(),
                found: "0".into(),
            });
        }
        model.outputs = outputs;
        Ok(model)
    }

    /// The inputs, in the order in which a caller gives them.
    #[must_use]
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The nodes, in the order in which they run.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The outputs, in the order in which a caller gets them.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The order of batch and time in what a caller gives and gets.
    #[must_use]
    pub fn axes(&self) -> SequenceAxes {
        self.axes
    }

    /// The number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.nodes.iter().map(|node| node.op.parameters()).sum()
    }

    /// The shape of a value.
    ///
    /// # Errors
    ///
    /// If the model has no such value.
    pub fn shape(&self, value: Value) -> Result<Shape, Error> {
        let shape = match value {
            Value::Input(index) => self.inputs.get(index).map(|input| input.shape),
            Value::Node { node, port } => {
                self.shapes.get(node).and_then(|ports| ports[port.index()])
            }
        };
        shape.ok_or_else(|| Error::UnknownName {
            what: "value",
            name: self.value_name(value),
            known: self.value_names(),
        })
    }

    /// The name of a value: an input's or a node's, with the port's suffix.
    #[must_use]
    pub fn value_name(&self, value: Value) -> String {
        match value {
            Value::Input(index) => match self.inputs.get(index) {
                Some(input) => input.name.clone(),
                None => format!("input {index}"),
            },
            Value::Node { node, port } => match self.nodes.get(node) {
                Some(node) => format!("{}{}", node.name, port.suffix()),
                None => format!("node {node}{}", port.suffix()),
            },
        }
    }

    /// What the numbers of a value are.
    #[must_use]
    pub fn element(&self, value: Value) -> Element {
        match value {
            Value::Input(index) => self.inputs[index].element,
            Value::Node { .. } => Element::F32,
        }
    }

    fn value_names(&self) -> String {
        let inputs = self.inputs.iter().map(|input| input.name.clone());
        let nodes = self.nodes.iter().map(|node| node.name.clone());
        inputs.chain(nodes).collect::<Vec<_>>().join(", ")
    }

    /// The shapes of a node's results, by port.
    fn infer(&self, node: &Node) -> Result<[Option<Shape>; 4], Error> {
        let shapes: Vec<Shape> =
            node.inputs.iter().map(|&value| self.shape(value)).collect::<Result<_, _>>()?;
        let wants_indices = matches!(node.op, Op::Embedding(_));
        for &value in &node.inputs {
            if (self.element(value) == Element::Index) != wants_indices {
                let (expected, found) =
                    if wants_indices { ("indices", "numbers") } else { ("numbers", "indices") };
                return Err(Error::Shape {
                    what: format!("input '{}' of {}", self.value_name(value), node.op.name()),
                    expected: expected.into(),
                    found: found.into(),
                });
            }
        }
        let results = match &node.op {
            Op::Recurrent(layer) => recurrent_shapes(layer, &shapes)?,
            op => [Some(single_shape(op, &shapes)?), None, None, None],
        };
        results.iter().flatten().try_for_each(|&shape| check_sizes(shape))?;
        Ok(results)
    }
}

/// Fails if an axis is empty, or so long that products of lengths may not fit.
fn check_sizes(shape: Shape) -> Result<(), Error> {
    const LONGEST: usize = i32::MAX as usize;
    let other = match shape {
        Shape::Sequence { time: Extent::Fixed(length), .. }
        | Shape::States { count: length, .. } => length,
        _ => 1,
    };
    if [other, shape.features()].iter().all(|length| (1..=LONGEST).contains(length)) {
        return Ok(());
    }
    Err(Error::Shape {
        what: "the shape of a value".into(),
        expected: format!("axes of length 1 to {LONGEST}"),
        found: shape.to_string(),
    })
}

fn unique<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::DuplicateName { what, name: name.clone() });
        }
    }
    Ok(())
}

fn misfit(op: &str, operand: &str, expected: &str, found: &[Shape]) -> Error {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    Error::Shape {
        what: format!("{operand} of {op}"),
        expected: expected.into(),
        found: if found.is_empty() { "nothing".into() } else { found.join(" and ") },
    }
}

/// The shapes of a recurrent layer's results, by port.
fn recurrent_shapes(layer: &Recurrent, inputs: &[Shape]) -> Result<[Option<Shape>; 4], Error> {
    let name = layer.cell().name();
    let wanted = format!("[batch, time, {}]", layer.input_size());
    let time = match inputs.first() {
        Some(&Shape::Sequence { time, features }) if features == layer.input_size() => time,
        _ => return Err(misfit(name, "the input", &wanted, &inputs[..inputs.len().min(1)])),
    };
    let (directions, hidden) = (layer.direction().count(), layer.hidden_size());
    let states = 1 + usize::from(layer.cell().has_cell_state());
    if inputs.len() != 1 && inputs.len() != 1 + states {
        let expected = if states == 1 { "none, or h" } else { "none, or h and c" };
        return Err(misfit(name, "the initial states", expected, &inputs[1..]));
    }
    for &state in &inputs[1..] {
        let fits = match state {
            Shape::States { count, features } => count == directions && features == hidden,
            Shape::Vector { features } => directions == 1 && features == hidden,
            Shape::Sequence { .. } => false,
        };
        if !fits {
            let expected = format!("[directions={directions}, batch, hidden={hidden}]");
            return Err(misfit(name, "an initial state", &expected, &[state]));
        }
    }
    let features = layer.output_size();
    let states = Shape::States { count: directions, features: hidden };
    Ok([
        Some(Shape::Sequence { time, features }),
        Some(Shape::Vector { features }),
        Some(states),
        layer.cell().has_cell_state().then_some(states),
    ])
}

/// The shape of the only result of any other node.
fn single_shape(op: &Op, inputs: &[Shape]) -> Result<Shape, Error> {
    let name = op.name();
    let one = || match inputs {
        [shape] => Ok(*shape),
        _ => Err(misfit(name, "the inputs", "one value", inputs)),
    };
    let features_fit = |shape: Shape, features: usize| {
        if shape.features() == features {
            return Ok(());
        }
        Err(misfit(name, "the input", &format!("{features} features"), &[shape]))
    };
    match op {
        Op::Recurrent(_) => unreachable!("a recurrent layer has several results"),
        Op::Dense(dense) => {
            let shape = one()?;
            features_fit(shape, dense.weights().columns())?;
            Ok(shape.with_features(dense.weights().rows()))
        }
        Op::ScaleShift(affine) => {
            let shape = one()?;
            features_fit(shape, affine.scale().len())?;
            Ok(shape)
        }
        Op::Activation(_) => one(),
        Op::Embedding(embedding) => Ok(one()?.with_features(embedding.table().columns())),
        Op::Concat => {
            let first = same_kind(name, inputs)?;
            Ok(first.with_features(inputs.iter().fold(0, |sum: usize, s| sum.saturating_add(s.features()))))
        }
        Op::Add | Op::Multiply => {
            let first = same_kind(name, inputs)?;
            if inputs.iter().any(|shape| shape.features() != first.features()) {
                return Err(misfit(name, "the inputs", "of one shape", inputs));
            }
            Ok(first)
        }
        Op::Select(select) => selected(name, *select, one()?),
        Op::Stack => stacked(name, inputs),
        Op::Unroll { steps } | Op::Repeat { steps } => match one()? {
            Shape::Vector { features } if *steps > 0 => {
                Ok(Shape::Sequence { time: Extent::Fixed(*steps), features })
            }
            Shape::Vector { .. } => Err(misfit(name, "the steps", "at least 1", &[])),
            other => Err(misfit(name, "the input", "[batch, features]", &[other])),
        },
        Op::Flatten => match one()? {
            Shape::Sequence { time: Extent::Fixed(time), features } => {
                Ok(Shape::Vector { features: time.saturating_mul(features) })
            }
            vector @ Shape::Vector { .. } => Ok(vector),
            other => {
                Err(misfit(name, "the input", "a sequence with a fixed number of steps", &[other]))
            }
        },
        Op::MeanOverTime | Op::MaxOverTime => match one()? {
            Shape::Sequence { features, .. } => Ok(Shape::Vector { features }),
            other => Err(misfit(name, "the input", "a sequence", &[other])),
        },
    }
}

/// Checks that all inputs agree in everything but their features.
///
/// Sequences whose time is given by different inputs agree if the run's data does.
fn same_kind(name: &str, inputs: &[Shape]) -> Result<Shape, Error> {
    let Some(&first) = inputs.first() else {
        return Err(misfit(name, "the inputs", "at least one value", inputs));
    };
    let agree = |shape: &Shape| match (first, *shape) {
        (
            Shape::Sequence { time: Extent::Fixed(a), .. },
            Shape::Sequence { time: Extent::Fixed(b), .. },
        ) => a == b,
        (Shape::Sequence { .. }, Shape::Sequence { .. })
        | (Shape::Vector { .. }, Shape::Vector { .. }) => true,
        (Shape::States { count: a, .. }, Shape::States { count: b, .. }) => a == b,
        _ => false,
    };
    if inputs.iter().all(agree) {
        Ok(first)
    } else {
        Err(misfit(name, "the inputs", "of one kind and length", inputs))
    }
}

fn selected(name: &str, select: Select, shape: Shape) -> Result<Shape, Error> {
    match (select, shape) {
        (Select::Step(step), Shape::Sequence { time, features }) => match time {
            Extent::Fixed(steps) if step.unsigned_abs() > steps || step.cast_unsigned() == steps => {
                Err(misfit(name, &format!("step {step}"), "inside the sequence", &[shape]))
            }
            _ => Ok(Shape::Vector { features }),
        },
        (Select::Features { start, end }, _) if start < end && end <= shape.features() => {
            Ok(shape.with_features(end - start))
        }
        (Select::State(index), Shape::States { count, features }) if index < count => {
            Ok(Shape::Vector { features })
        }
        (Select::States { start, end }, Shape::States { count, features })
            if start < end && end <= count =>
        {
            Ok(Shape::States { count: end - start, features })
        }
        _ => Err(misfit(name, "the input", &format!("one that has {select:?}"), &[shape])),
    }
}

fn stacked(name: &str, inputs: &[Shape]) -> Result<Shape, Error> {
    let mut count = 0;
    for shape in inputs {
        let states = match *shape {
            Shape::Vector { .. } => 1,
            Shape::States { count, .. } => count,
            Shape::Sequence { .. } => return Err(misfit(name, "an input", "a state", &[*shape])),
        };
        count = usize::saturating_add(count, states);
    }
    match inputs.first() {
        Some(first) if inputs.iter().all(|shape| shape.features() == first.features()) => {
            Ok(Shape::States { count, features: first.features() })
        }
        _ => Err(misfit(name, "the inputs", "states of one size", inputs)),
    }
}

/// Whether a model can be run piece by piece, and what of it waits for the end.
impl Model {
    /// Whether every output up to step t needs only the inputs up to step t, so that a sequence
    /// may be given in pieces: no reverse direction, no mean or maximum over time, and no sequence
    /// or initial state that is made from the end of another sequence.
    #[must_use]
    pub fn is_causal(&self) -> bool {
        self.first_whole_sequence_node().is_none()
    }

    /// The first node that needs a whole sequence before it can give anything.
    pub(crate) fn first_whole_sequence_node(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| match &node.op {
            Op::Recurrent(layer) => {
                layer.direction() != Direction::Forward
                    || !matches!(
                        self.shape(node.inputs[0]),
                        Ok(Shape::Sequence { time: Extent::Input(_), .. })
                    )
                    || node.inputs[1..].iter().any(|&state| !self.is_given(state))
            }
            Op::MeanOverTime | Op::MaxOverTime | Op::Flatten => true,
            Op::Select(Select::Step(step)) => *step != -1,
            Op::Unroll { .. } | Op::Repeat { .. } => true,
            _ => false,
        })
    }

    /// Whether a value is made from vectors that the caller gives, without any sequence.
    fn is_given(&self, value: Value) -> bool {
        match value {
            Value::Input(index) => !matches!(self.inputs[index].shape, Shape::Sequence { .. }),
            Value::Node { node, .. } => {
                !matches!(self.nodes[node].op, Op::Recurrent(_))
                    && self.nodes[node].inputs.iter().all(|&input| self.is_given(input))
            }
        }
    }
}
