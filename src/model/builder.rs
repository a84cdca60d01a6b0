//! Two ways to write a model down: a graph of named values, and a straight chain.

use super::{
    Activation, Constant, Dense, Direction, Element, Embedding, Extent, Input, MaskRule, Merge,
    Model, Node, Op, Output, Port, Recurrent, ScaleShift, Select, SequenceAxes, Shape, Value,
};
use crate::Error;

/// Builds a graph of named values. Every method takes the name of what it adds; all checks are
/// made by [`build`](Self::build).
///
/// ```
/// # use ritornello::model::{Activation, Cell, CellWeights, Dense, Direction, Matrix, Model};
/// # use ritornello::model::{Recurrent, RecurrentWeights};
/// # fn layer() -> Result<(Recurrent, Dense), ritornello::Error> {
/// # let recurrent = RecurrentWeights::Matrix(Matrix::new(12, 3, vec![0.1; 36])?);
/// # let weights = CellWeights::new(Matrix::new(12, 5, vec![0.1; 60])?, recurrent);
/// # Ok((Recurrent::new(Cell::LSTM, Direction::Forward, vec![weights])?,
/// #     Dense::new(Matrix::new(2, 3, vec![0.1; 6])?, None, Activation::Linear)?)) }
/// # fn main() -> Result<(), ritornello::Error> { let (lstm, dense) = layer()?;
/// let mut graph = Model::graph();
/// let x = graph.sequence("x", 5);
/// let lstm = graph.recurrent("lstm", lstm, x);
/// let head = graph.dense("head", dense, lstm.last);
/// graph.output("y", head);
/// graph.output("state", lstm.h_n);
/// let model = graph.build()?;
/// # assert_eq!(model.outputs().len(), 2); Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct GraphBuilder {
    inputs: Vec<Input>,
    nodes: Vec<Node>,
    outputs: Vec<Output>,
    axes: SequenceAxes,
}

/// The results of a recurrent layer.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentValues {
    /// The output of every step.
    pub sequence: Value,
    /// The output after the last step processed, directions merged.
    pub last: Value,
    /// The final hidden states `[directions, batch, hidden_size]`.
    pub h_n: Value,
    /// The final cell states `[directions, batch, hidden_size]`, of an LSTM only.
    pub c_n: Value,
}

/// The results of two layers that go through one sequence both ways.
#[derive(Clone, Copy, Debug)]
pub struct BothWays {
    /// The merged outputs of every step, each in the order of time.
    pub sequence: Value,
    /// The merged outputs after the last step that each processed.
    pub last: Value,
    /// What the forward layer gives by itself.
    pub forward: RecurrentValues,
    /// What the backward layer gives by itself.
    pub backward: RecurrentValues,
}

impl Model {
    /// Starts a graph.
    #[must_use]
    pub fn graph() -> GraphBuilder {
        GraphBuilder::default()
    }

    /// Starts a straight chain from a sequence with `features` features named `x`.
    #[must_use]
    pub fn chain(features: usize) -> ChainBuilder {
        let mut graph = Self::graph();
        let value = graph.sequence("x", features);
        ChainBuilder { graph, value, recurrent: None }
    }
}

impl GraphBuilder {
    /// Sets the order of batch and time in what a caller gives and gets.
    pub fn axes(&mut self, axes: SequenceAxes) {
        self.axes = axes;
    }

    /// Adds an input.
    pub fn input(&mut self, name: &str, shape: Shape, element: Element) -> Value {
        self.inputs.push(Input { name: name.into(), shape, element });
        Value::Input(self.inputs.len() - 1)
    }

    /// Adds an input `[batch, time, features]`.
    pub fn sequence(&mut self, name: &str, features: usize) -> Value {
        let time = Extent::Input(self.inputs.len());
        self.input(name, Shape::Sequence { time, features }, Element::F32)
    }

    /// Adds an input `[batch, features]`.
    pub fn vector(&mut self, name: &str, features: usize) -> Value {
        self.input(name, Shape::Vector { features }, Element::F32)
    }

    /// Adds an input `[count, batch, features]`.
    pub fn states(&mut self, name: &str, count: usize, features: usize) -> Value {
        self.input(name, Shape::States { count, features }, Element::F32)
    }

    /// Adds an input of indices `[batch, time]`.
    pub fn indices(&mut self, name: &str) -> Value {
        let time = Extent::Input(self.inputs.len());
        self.input(name, Shape::Sequence { time, features: 1 }, Element::Index)
    }

    /// Adds any node.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[Value]) -> Value {
        self.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec() });
        Value::Node { node: self.nodes.len() - 1, port: Port::Main }
    }

    /// Adds a recurrent layer that starts from zero.
    pub fn recurrent(&mut self, name: &str, layer: Recurrent, input: Value) -> RecurrentValues {
        self.recurrent_from(name, layer, input, &[])
    }

    /// Adds a recurrent layer that starts from `initial`: h, and for an LSTM c. Initial states made of
    /// [constants](Self::constant) are learned ones, from which a stream starts.
    pub fn recurrent_from(
        &mut self,
        name: &str,
        layer: Recurrent,
        input: Value,
        initial: &[Value],
    ) -> RecurrentValues {
        let inputs: Vec<Value> = std::iter::once(input).chain(initial.iter().copied()).collect();
        self.node(name, Op::Recurrent(layer), &inputs);
        let node = self.nodes.len() - 1;
        RecurrentValues {
            sequence: Value::Node { node, port: Port::Main },
            last: Value::Node { node, port: Port::Last },
            h_n: Value::Node { node, port: Port::FinalHidden },
            c_n: Value::Node { node, port: Port::FinalCell },
        }
    }

    /// Adds two layers of any cells and sizes over one sequence, one forward and one backward in time,
    /// and merges what they give: Keras' `Bidirectional` with a `backward_layer` of its own.
    ///
    /// The nodes are `NAME.forward` and `NAME.backward`, `NAME` for the merged sequence and `NAME.last`.
    /// Where both directions have one cell and size, a layer of [`Direction::Bidirectional`] is all of
    /// it in a single node.
    ///
    /// # Errors
    ///
    /// If the layers are not one of [`Direction::Forward`] and one of [`Direction::Reverse`].
    pub fn both_ways(
        &mut self,
        name: &str,
        [forward, backward]: [Recurrent; 2],
        merge: Merge,
        input: Value,
    ) -> Result<BothWays, Error> {
        let directions = [forward.direction(), backward.direction()];
        if directions != [Direction::Forward, Direction::Reverse] {
            return Err(Error::Shape {
                what: format!("{name}: the directions of its two layers"),
                expected: format!("{:?}", [Direction::Forward, Direction::Reverse]),
                found: format!("{directions:?}"),
            });
        }
        let features = forward.output_size();
        let forward = self.recurrent(&format!("{name}.forward"), forward, input);
        let backward = self.recurrent(&format!("{name}.backward"), backward, input);
        let pair = [forward.sequence, backward.sequence];
        let sequence = self.merge(name, merge, pair, features)?;
        let pair = [forward.last, backward.last];
        let last = self.merge(&format!("{name}.last"), merge, pair, features)?;
        Ok(BothWays { sequence, last, forward, backward })
    }

    /// Merges two values of so many features each.
    pub(crate) fn merge(
        &mut self,
        name: &str,
        merge: Merge,
        pair: [Value; 2],
        features: usize,
    ) -> Result<Value, Error> {
        Ok(match merge {
            Merge::Concat => self.node(name, Op::Concat, &pair),
            Merge::Sum => self.node(name, Op::Add, &pair),
            Merge::Mul => self.node(name, Op::Multiply, &pair),
            Merge::Average => {
                let sum = self.node(&format!("{name}.sum"), Op::Add, &pair);
                let half = ScaleShift::new(vec![0.5; features], vec![0.0; features])?;
                self.node(name, Op::ScaleShift(half), &[sum])
            }
        })
    }

    /// Adds a recurrent layer that passes over the steps at which `mask` is zero: `[batch, time, 1]`.
    pub fn recurrent_masked(
        &mut self,
        name: &str,
        layer: Recurrent,
        input: Value,
        mask: Value,
    ) -> RecurrentValues {
        self.recurrent_from(name, layer, input, &[mask])
    }

    /// Adds an array of the model itself, the same for every row of the batch.
    pub fn constant(&mut self, name: &str, constant: Constant) -> Value {
        self.node(name, Op::Constant(constant), &[])
    }

    /// Adds a mask of a sequence: which of its steps count.
    pub fn mask(&mut self, name: &str, rule: MaskRule, input: Value) -> Value {
        self.node(name, Op::Mask(rule), &[input])
    }

    /// Adds a dense layer.
    pub fn dense(&mut self, name: &str, dense: Dense, input: Value) -> Value {
        self.node(name, Op::Dense(dense), &[input])
    }

    /// Adds an activation.
    pub fn activation(&mut self, name: &str, activation: Activation, input: Value) -> Value {
        self.node(name, Op::Activation(activation), &[input])
    }

    /// Adds an embedding of indices.
    pub fn embedding(&mut self, name: &str, embedding: Embedding, indices: Value) -> Value {
        self.node(name, Op::Embedding(embedding), &[indices])
    }

    /// Adds a selection.
    pub fn select(&mut self, name: &str, select: Select, input: Value) -> Value {
        self.node(name, Op::Select(select), &[input])
    }

    /// Names a value as an output.
    pub fn output(&mut self, name: &str, value: Value) {
        self.outputs.push(Output { name: name.into(), value });
    }

    /// Checks the graph and makes it a model.
    ///
    /// # Errors
    ///
    /// Whatever [`Model::new`] finds.
    pub fn build(self) -> Result<Model, Error> {
        Model::new(self.inputs, self.nodes, self.outputs, self.axes)
    }
}

/// Builds a straight chain: one input `x`, one output `y`. Nodes are named by what they are and
/// their place in the chain, counted from 0: `lstm_0`, `dense_1`.
#[derive(Clone, Debug)]
pub struct ChainBuilder {
    graph: GraphBuilder,
    value: Value,
    /// The results of the layer just added, for `last`.
    recurrent: Option<RecurrentValues>,
}

impl ChainBuilder {
    /// Goes on with a recurrent layer.
    #[must_use]
    pub fn recurrent(mut self, layer: Recurrent) -> Self {
        let name = self.next_name(layer.cell().name());
        let values = self.graph.recurrent(&name, layer, self.value);
        self.value = values.sequence;
        self.recurrent = Some(values);
        self
    }

    /// Goes on with only the output after the last step processed of the recurrent layer before.
    ///
    /// After anything but a recurrent layer it is the last step of the sequence.
    #[must_use]
    pub fn last(mut self) -> Self {
        match self.recurrent.take() {
            Some(values) => self.value = values.last,
            None => self = self.then(Op::Select(Select::Step(-1))),
        }
        self
    }

    /// Goes on with a dense layer on every row.
    #[must_use]
    pub fn dense(self, dense: Dense) -> Self {
        self.then(Op::Dense(dense))
    }

    /// Goes on with an activation.
    #[must_use]
    pub fn activation(self, activation: Activation) -> Self {
        self.then(Op::Activation(activation))
    }

    /// Goes on with `scale ⊙ x + shift`.
    #[must_use]
    pub fn scale_shift(self, affine: ScaleShift) -> Self {
        self.then(Op::ScaleShift(affine))
    }

    /// Goes on with any node of one input.
    #[must_use]
    pub fn then(mut self, op: Op) -> Self {
        let name = self.next_name(op.name());
        self.value = self.graph.node(&name, op, &[self.value]);
        self.recurrent = None;
        self
    }

    /// Checks the chain and makes it a model with the output `y`.
    ///
    /// # Errors
    ///
    /// Whatever [`Model::new`] finds.
    pub fn build(mut self) -> Result<Model, Error> {
        self.graph.output("y", self.value);
        self.graph.build()
    }

    fn next_name(&self, op: &str) -> String {
        format!("{op}_{}", self.graph.nodes.len())
    }
}
