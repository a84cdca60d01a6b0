//! A model: a small graph of named values over a closed set of nodes.

use super::infer::check_sizes;
use super::{
    Activation, Constant, Dense, Element, Embedding, Extent, MaskRule, Recurrent, ScaleShift,
    SequenceAxes, Shape,
};
use crate::Error;

/// What a node computes. `features` always means the last axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// A recurrent layer over a sequence. Inputs: the sequence, then optionally the initial h and,
    /// for an LSTM, the initial c, as vectors or states, then optionally a mask `[batch, time, 1]`: a
    /// step at which it is zero leaves all states as they are, and nothing of it is read. What the
    /// sequence shows there is [`Recurrent::pad_output`].
    ///
    /// Initial states that are made of [`Constant`](Self::Constant)s alone are learned: a stream starts
    /// from them and goes on, where states that are given as inputs are taken anew with every call.
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
    /// The mean of a sequence over time; with a second input, a mask `[batch, time, 1]`, of the steps
    /// at which that is not zero.
    MeanOverTime,
    /// The maximum of a sequence over time.
    MaxOverTime,
    /// A mask `[batch, time, 1]` of a sequence: 1 at steps that count, 0 at others.
    Mask(MaskRule),
    /// The first input, a sequence, where the second, a mask, is not zero; zero elsewhere.
    Masked,
    /// An array of the model itself, the same for every row of the batch. It has no inputs.
    Constant(Constant),
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
            Self::Mask(_) => "mask",
            Self::Masked => "masked",
            Self::Constant(_) => "constant",
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
            Self::Constant(constant) => constant.rows().values().len(),
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
            match input.shape {
                Shape::Sequence { time: Extent::Input(other), .. } if other != index => {
                    return Err(Error::Shape {
                        what: format!("time of input '{}'", input.name),
                        expected: "its own".into(),
                        found: format!("that of input {other}"),
                    });
                }
                _ => {}
            }
            check_sizes(input.shape).map_err(|e| e.within(&format!("input '{}'", input.name)))?;
        }
        let mut model =
            Self { inputs, nodes: Vec::new(), outputs: Vec::new(), axes, shapes: Vec::new() };
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

    /// The nodes themselves, to be used up one by one.
    pub(crate) fn into_nodes(self) -> impl Iterator<Item = Node> {
        self.nodes.into_iter()
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
}

fn unique<'a>(what: &'static str, names: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::DuplicateName { what, name: name.clone() });
        }
    }
    Ok(())
}
