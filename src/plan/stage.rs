//! One node of a model, ready to run on one machine.

use std::sync::Arc;

use ritornello_kernels::{
    CellSource, Kernels, MatrixSource, PackedCell, PackedMatrix, Precision, RecurrentSource, Tune,
};

use crate::model::{
    Activation, Cell, CellWeights, Coupling, Direction, Gru, GruReset, MaskRule, Matrix, Merge, Op,
    OutputOrder, PadOutput, Recurrent, RecurrentWeights, Select, SimpleRnn, StateScope,
};

/// A node with packed weights and chosen kernels. Values are known by their place in the plan.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) name: String,
    /// The word for it in tables.
    pub(crate) op: String,
    /// All inputs but a mask.
    pub(crate) inputs: Vec<usize>,
    /// The mask of the steps that count, if it has one.
    pub(crate) mask: Option<usize>,
    /// The values of its ports; `None` where nothing wants them.
    pub(crate) outputs: [Option<usize>; 4],
    pub(crate) kind: StageKind,
    pub(crate) parameters: usize,
}

/// What a stage does.
#[derive(Debug)]
pub(crate) enum StageKind {
    Recurrent(RecurrentStage),
    Dense {
        weights: PackedMatrix,
        activation: Activation,
    },
    Activation(Activation),
    Embedding {
        table: Vec<f32>,
        rows: usize,
        features: usize,
    },
    ScaleShift {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Concat,
    Add,
    Multiply,
    Select(Select),
    Stack,
    Unroll,
    Repeat,
    Flatten,
    MeanOverTime,
    MaxOverTime,
    Mask(MaskRule),
    Masked,
    /// One row for each step or state.
    Constant(Matrix),
    /// Nothing: if a layer starts from what it gives, that is there already ([`Start`]).
    Learned,
}

/// A recurrent layer with packed weights.
#[derive(Debug)]
pub(crate) struct RecurrentStage {
    /// One for each direction, forward first.
    pub(crate) cells: Vec<Arc<PackedCell>>,
    pub(crate) input_size: usize,
    /// Recurrent weights of a direction and those of its projection, padding left out; 0 if a unit sees
    /// only itself.
    pub(crate) recurrent_weights: usize,
    pub(crate) direction: Direction,
    pub(crate) merge: Merge,
    pub(crate) order: OutputOrder,
    pub(crate) state_scope: StateScope,
    pub(crate) pad_output: PadOutput,
    /// Its place among the states of a session.
    pub(crate) state: usize,
    /// What h and c are at the start, if the model has learned that; else zero.
    pub(crate) start: Option<Start>,
}

/// Learned initial states of a layer, of one row of the batch.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// `[directions, state_size]`
    pub(crate) hidden: Arc<[f32]>,
    /// `[directions, hidden_size]`; empty for a cell without c.
    pub(crate) cell: Arc<[f32]>,
}

/// What the caller wants of a stage's kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen {
    pub(crate) precision: Precision,
    pub(crate) tune: Tune,
}

impl RecurrentStage {
    fn new(layer: &Recurrent, kernels: &Kernels, chosen: Chosen, state: usize) -> Self {
        let Chosen { precision, tune } = chosen;
        let pack = |weights: &CellWeights| {
            Arc::new(kernels.pack_cell(&cell_source(layer, weights), precision, tune))
        };
        let recurrent = layer.weights().iter().map(|weights| match &weights.recurrent {
            RecurrentWeights::Matrix(matrix) => {
                let projection = weights.projection.as_ref().map_or(0, |v| v.values().len());
                matrix.values().len() + projection
            }
            RecurrentWeights::Diagonal(_) | RecurrentWeights::Identity => 0,
        });
        Self {
            cells: layer.weights().iter().map(pack).collect(),
            input_size: layer.input_size(),
            recurrent_weights: recurrent.min().unwrap_or(0),
            direction: layer.direction(),
            merge: layer.merge,
            order: layer.order,
            state_scope: layer.state_scope,
            pad_output: layer.pad_output,
            state,
            start: None,
        }
    }

    /// Whether it goes through time in the order of its input, in one direction.
    pub(crate) fn is_plain_forward(&self) -> bool {
        self.direction == Direction::Forward
    }

    pub(crate) fn hidden_size(&self) -> usize {
        self.cells[0].hidden_size()
    }

    /// Features of h in one direction.
    pub(crate) fn state_size(&self) -> usize {
        self.cells[0].state_size()
    }

    pub(crate) fn has_cell_state(&self) -> bool {
        self.cells[0].kind().has_cell_state()
    }

    /// Multiplications and additions of one step of one row in one direction.
    pub(crate) fn work_per_row(&self) -> usize {
        self.cells[0].projection_width() * (self.input_size + self.state_size())
    }
}

fn cell_source<'a>(layer: &Recurrent, weights: &'a CellWeights) -> CellSource<'a> {
    CellSource {
        kind: layer.cell(),
        input_size: layer.input_size(),
        hidden_size: layer.hidden_size(),
        input_weights: weights.input.values(),
        recurrent: match &weights.recurrent {
            RecurrentWeights::Matrix(matrix) => RecurrentSource::Matrix(matrix.values()),
            RecurrentWeights::Diagonal(numbers) => RecurrentSource::Diagonal(numbers),
            RecurrentWeights::Identity => RecurrentSource::Identity,
        },
        bias: weights.bias.as_deref(),
        recurrent_bias: weights.recurrent_bias.as_deref(),
        peepholes: weights.peepholes.as_deref(),
        projection: weights.projection.as_ref().map(Matrix::values),
    }
}

impl Stage {
    /// Whether every step of its result is told from the same step of its inputs.
    pub(crate) fn is_pointwise(&self) -> bool {
        match self.kind {
            StageKind::Dense { .. }
            | StageKind::Activation(_)
            | StageKind::ScaleShift { .. }
            | StageKind::Concat
            | StageKind::Add
            | StageKind::Multiply
            | StageKind::Select(Select::Features { .. })
            | StageKind::Masked => true,
            StageKind::Recurrent(_)
            | StageKind::Embedding { .. }
            | StageKind::Select(_)
            | StageKind::Stack
            | StageKind::Unroll
            | StageKind::Repeat
            | StageKind::Flatten
            | StageKind::MeanOverTime
            | StageKind::MaxOverTime
            | StageKind::Mask(_)
            | StageKind::Constant(_)
            | StageKind::Learned => false,
        }
    }

    /// The layer, if it is a recurrent one.
    pub(crate) fn as_recurrent(&self) -> Option<&RecurrentStage> {
        match &self.kind {
            StageKind::Recurrent(layer) => Some(layer),
            _ => None,
        }
    }
}

impl StageKind {
    /// Packs a node's weights as the caller wants them. `states` counts the recurrent layers before it.
    pub(crate) fn new(op: &Op, kernels: &Kernels, chosen: Chosen, states: usize) -> Self {
        match op {
            Op::Recurrent(layer) => {
                Self::Recurrent(RecurrentStage::new(layer, kernels, chosen, states))
            }
            Op::Dense(dense) => {
                let matrix = dense.weights();
                let source = MatrixSource {
                    weights: matrix.values(),
                    bias: dense.bias(),
                    depth: matrix.columns(),
                };
                Self::Dense {
                    weights: kernels.pack_dense(&source, matrix.rows(), chosen.precision),
                    activation: dense.activation(),
                }
            }
            Op::Activation(activation) => Self::Activation(*activation),
            Op::Embedding(embedding) => Self::Embedding {
                table: embedding.table().values().to_vec(),
                rows: embedding.table().rows(),
                features: embedding.table().columns(),
            },
            Op::ScaleShift(affine) => {
                Self::ScaleShift { scale: affine.scale().to_vec(), shift: affine.shift().to_vec() }
            }
            Op::Concat => Self::Concat,
            Op::Add => Self::Add,
            Op::Multiply => Self::Multiply,
            Op::Select(select) => Self::Select(*select),
            Op::Stack => Self::Stack,
            Op::Unroll { .. } => Self::Unroll,
            Op::Repeat { .. } => Self::Repeat,
            Op::Flatten => Self::Flatten,
            Op::MeanOverTime => Self::MeanOverTime,
            Op::MaxOverTime => Self::MaxOverTime,
            Op::Mask(rule) => Self::Mask(*rule),
            Op::Masked => Self::Masked,
            Op::Constant(constant) => Self::Constant(constant.rows().clone()),
        }
    }

    /// What tables say of a stage none of whose values is wanted.
    pub(crate) fn without_output(&self) -> &'static str {
        match self {
            Self::Learned => "not run",
            _ => "unused",
        }
    }

    /// The kernel that does the work; empty for stages that only move numbers.
    pub(crate) fn kernel(&self, kernels: &Kernels) -> String {
        match self {
            Self::Recurrent(stage) => kernels.cell_name(&stage.cells[0]),
            Self::Dense { weights, .. } => kernels.dense_name(weights),
            Self::Activation(activation) => {
                format!("activation-{}-f32-{}", activation.name(), kernels.isa())
            }
            _ => String::new(),
        }
    }

    /// The bytes that its weights occupy.
    pub(crate) fn packed_bytes(&self) -> usize {
        match self {
            Self::Recurrent(stage) => {
                let start = stage.start.as_ref().map_or(0, |start| {
                    size_of_val(&start.hidden[..]) + size_of_val(&start.cell[..])
                });
                let cells = stage.cells.iter().map(|cell| cell.bytes() + size_of_val(&**cell));
                start + cells.sum::<usize>()
            }
            Self::Dense { weights, .. } => weights.bytes(),
            Self::Embedding { table, .. } => size_of_val(&table[..]),
            Self::Constant(rows) => size_of_val(rows.values()),
            Self::ScaleShift { scale, shift } => size_of_val(&scale[..]) + size_of_val(&shift[..]),
            _ => 0,
        }
    }
}

/// The word for a node in tables: what it is, and how.
pub(crate) fn describe(op: &Op) -> String {
    match op {
        Op::Recurrent(layer) => {
            let direction = match layer.direction() {
                Direction::Forward => "",
                Direction::Reverse => " reverse",
                Direction::Bidirectional => match layer.merge {
                    Merge::Concat => " bidirectional",
                    Merge::Sum => " bidirectional, sum",
                    Merge::Mul => " bidirectional, mul",
                    Merge::Average => " bidirectional, average",
                },
            };
            format!("{}({}){direction}{}", cell_word(layer), layer.hidden_size(), extras(layer))
        }
        Op::Dense(dense) if dense.activation() == Activation::Linear => "dense".into(),
        Op::Dense(dense) => format!("dense {}", dense.activation()),
        Op::Activation(activation) => activation.to_string(),
        other => other.name().into(),
    }
}

fn cell_word(layer: &Recurrent) -> String {
    match layer.cell() {
        Cell::SimpleRnn(SimpleRnn { activation, .. }) => format!("rnn {activation}"),
        Cell::Gru(Gru { reset: GruReset::BeforeMatmul, .. }) => "gru reset before".into(),
        other => other.name().into(),
    }
}

/// What a layer has beyond its cell's usual weights and bounds.
fn extras(layer: &Recurrent) -> String {
    let mut extras = Vec::new();
    let weights = &layer.weights()[0];
    match &weights.recurrent {
        RecurrentWeights::Matrix(_) => {}
        RecurrentWeights::Diagonal(_) => extras.push("diagonal".into()),
        RecurrentWeights::Identity => extras.push("identity".into()),
    }
    if let Cell::Lstm(lstm) = layer.cell() {
        match lstm.coupling {
            Coupling::None => {}
            Coupling::ForgetFromInput => extras.push("f = 1 - i".into()),
            Coupling::InputFromForget => extras.push("i = 1 - f".into()),
        }
    }
    if weights.peepholes.is_some() {
        extras.push("peepholes".into());
    }
    if weights.projection.is_some() {
        extras.push(format!("projection to {}", layer.state_size()));
    }
    extras.extend(layer.cell().clips().map(|(name, clip)| format!("{name} {clip}")));
    if layer.pad_output != PadOutput::Zero {
        extras.push(format!("padding {}", layer.pad_output.name()));
    }
    extras.iter().map(|extra| format!(", {extra}")).collect()
}
