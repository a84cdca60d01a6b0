//! One recurrent layer: a cell, its weights, and the way it walks through time.

use super::{Cell, CellWeights, Gate, Matrix, RecurrentWeights};
use crate::Error;

/// The way a layer walks through time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the first step to the last.
    #[default]
    Forward,
    /// From the last step to the first.
    Reverse,
    /// Both ways, with weights for each; the results are merged step by step.
    Bidirectional,
}

impl Direction {
    /// How many times the layer walks: 1 or 2.
    #[must_use]
    pub fn count(self) -> usize {
        if self == Self::Bidirectional { 2 } else { 1 }
    }
}

/// How the two directions of a bidirectional layer become one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Merge {
    /// `[forward, backward]`: twice the features.
    #[default]
    Concat,
    /// `forward + backward`.
    Sum,
    /// `forward ⊙ backward`.
    Mul,
    /// `(forward + backward) / 2`.
    Average,
}

/// The order in which a reverse layer hands out its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OutputOrder {
    /// Output `t` belongs to input `t`: PyTorch, ONNX, and Keras inside `Bidirectional`.
    #[default]
    Time,
    /// Output 0 is the first step processed, which is the last in time: Keras `go_backwards`.
    Processing,
}

/// For how long a layer's state lives in a model that needs whole sequences.
///
/// A causal model is a stream: its state lives until it is reset, whatever this says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StateScope {
    /// Every run starts afresh.
    #[default]
    Run,
    /// The next run goes on from where this one ended: Keras `stateful=True`.
    Session,
}

/// What a layer's sequence shows at steps that do not count, which leave every state as it is: those
/// that a mask of the model leaves out, and those that the lengths or the mask of a run do.
///
/// Backwards, the last step is that after it in time. Results that are no sequence:
/// [`Port::Last`](super::Port::Last) is what the sequence shows at the last step processed of those
/// that a run counts, whether the model's mask leaves it out or not; of a row of which a run counts
/// no step, it is the state; but with a mask of the model and [`Hold`](PadOutput::Hold) zeros until a
/// step has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PadOutput {
    /// Zeros. Keras with `zero_output_for_mask=True` on every backend, and inside `Bidirectional` with
    /// `return_sequences=True`; PyTorch's `pad_packed_sequence`; ONNX Runtime.
    #[default]
    Zero,
    /// The output of the last step that counted, before the first one zeros: Keras on TensorFlow and
    /// PyTorch, and unrolled on NumPy.
    Hold,
    /// The output of the last step that counted, before the first one the initial h: Keras on JAX and
    /// NumPy. It differs from [`Hold`](Self::Hold) where the model gives an initial state only.
    HoldState,
}

impl PadOutput {
    /// The word for it in specs and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Hold => "hold",
            Self::HoldState => "hold_state",
        }
    }
}

/// A recurrent layer.
///
/// Its output is a sequence with [`output_size`](Self::output_size) features. Its states are
/// `[directions, batch, state_size]` and, of an LSTM, `[directions, batch, hidden_size]`, forward first.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    cell: Cell,
    input_size: usize,
    hidden_size: usize,
    state_size: usize,
    direction: Direction,
    weights: Vec<CellWeights>,
    /// How two directions are merged.
    pub merge: Merge,
    /// The order of a reverse layer's output.
    pub order: OutputOrder,
    /// Whether the state outlives a run.
    pub state_scope: StateScope,
    /// What its sequence shows at steps that do not count.
    pub pad_output: PadOutput,
}

impl Recurrent {
    /// Makes a layer of `cell`s; `weights` holds one set for each direction, forward first.
    ///
    /// Merge, output order, state scope and padding have their defaults; set the fields to change them.
    ///
    /// # Errors
    ///
    /// If the number of sets, or the shape of anything in them, does not fit; if the cell has no use for something in
    /// them, or lacks what it clips; if a clip is no positive number; or if the cell is given an activation that works
    /// on whole rows (softmax).
    pub fn new(cell: Cell, direction: Direction, weights: Vec<CellWeights>) -> Result<Self, Error> {
        let name = cell.name();
        if weights.len() != direction.count() {
            return Err(Error::Shape {
                what: format!("{name}: sets of weights for a {direction:?} layer"),
                expected: direction.count().to_string(),
                found: weights.len().to_string(),
            });
        }
        check_cell(cell)?;
        let gates = cell.gates().len();
        let (rows, input_size) = (weights[0].input.rows(), weights[0].input.columns());
        if rows == 0 || rows % gates != 0 {
            return Err(Error::Shape {
                what: format!("{name}: rows of input_weights"),
                expected: format!("a positive multiple of its {gates} gates"),
                found: rows.to_string(),
            });
        }
        let hidden_size = rows / gates;
        let state_size = weights[0].projection.as_ref().map_or(hidden_size, Matrix::rows);
        for (index, weights) in weights.iter().enumerate() {
            let side = if index == 0 { "" } else { " (backward)" };
            let sizes = Sizes { gates, input_size, hidden_size, state_size };
            check_weights(cell, weights, sizes, &format!("{name}{side}"))?;
        }
        Ok(Self {
            cell,
            input_size,
            hidden_size,
            state_size,
            direction,
            weights,
            merge: Merge::default(),
            order: OutputOrder::default(),
            state_scope: StateScope::default(),
            pad_output: PadOutput::default(),
        })
    }

    /// The step it takes.
    #[must_use]
    pub fn cell(&self) -> Cell {
        self.cell
    }

    /// Features of a step's input.
    #[must_use]
    pub fn input_size(&self) -> usize {
        self.input_size
    }

    /// Units of one direction.
    #[must_use]
    pub fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    /// Features of h in one direction: the units, or the rows of an LSTM's projection.
    #[must_use]
    pub fn state_size(&self) -> usize {
        self.state_size
    }

    /// The way it walks.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// One set of weights for each direction, forward first.
    #[must_use]
    pub fn weights(&self) -> &[CellWeights] {
        &self.weights
    }

    /// Features of a step's output, after the merge.
    #[must_use]
    pub fn output_size(&self) -> usize {
        match (self.direction, self.merge) {
            (Direction::Bidirectional, Merge::Concat) => 2 * self.state_size,
            _ => self.state_size,
        }
    }

    /// The input weights `[hidden_size, input_size]` of one gate; `direction` is 0 for forward, 1 for backward.
    ///
    /// `None` if the cell has no such gate or the layer no such direction. Keras shows the transposed matrix.
    #[must_use]
    pub fn input_gate(&self, direction: usize, gate: Gate) -> Option<Matrix> {
        let position = self.cell.gate(gate)?;
        let weights = self.weights.get(direction)?;
        Some(self.gate_rows(&weights.input, position))
    }

    /// The recurrent weights `[hidden_size, state_size]` of one gate; `direction` is 0 for forward, 1 for backward.
    ///
    /// `None` if the cell has no such gate, the layer no such direction, or the recurrence no matrix.
    #[must_use]
    pub fn recurrent_gate(&self, direction: usize, gate: Gate) -> Option<Matrix> {
        let position = self.cell.gate(gate)?;
        match &self.weights.get(direction)?.recurrent {
            RecurrentWeights::Matrix(matrix) => Some(self.gate_rows(matrix, position)),
            RecurrentWeights::Diagonal(_) | RecurrentWeights::Identity => None,
        }
    }

    fn gate_rows(&self, matrix: &Matrix, position: usize) -> Matrix {
        matrix.row_block(position * self.hidden_size, (position + 1) * self.hidden_size)
    }
}

/// The sizes that a cell's weights must have.
#[derive(Clone, Copy)]
struct Sizes {
    gates: usize,
    input_size: usize,
    hidden_size: usize,
    state_size: usize,
}

/// Refuses a cell that computes nothing sensible.
fn check_cell(cell: Cell) -> Result<(), Error> {
    let name = cell.name();
    if let Some(activation) = cell.activations().find(|a| a.works_on_rows()) {
        return Err(Error::Unsupported {
            what: format!("activation {activation} inside a {name} cell"),
            advice: "softmax works on whole rows and belongs after the layer".into(),
        });
    }
    match cell.clips().find(|&(_, clip)| !(clip > 0.0 && clip.is_finite())) {
        None => Ok(()),
        Some((which, clip)) => Err(Error::Shape {
            what: format!("{name}: {which}"),
            expected: "a positive number".into(),
            found: clip.to_string(),
        }),
    }
}

/// Checks one direction's weights; `name` says which.
fn check_weights(cell: Cell, weights: &CellWeights, sizes: Sizes, name: &str) -> Result<(), Error> {
    let Sizes { gates, input_size, hidden_size, state_size } = sizes;
    let rows = gates * hidden_size;
    let gate_rows = format!("{gates}×hidden={rows}");
    let unsupported = |what: &str, advice: &str| {
        Err(Error::Unsupported { what: format!("{name}: {what}"), advice: advice.into() })
    };
    let matrix = |what: &str, matrix: &Matrix, shape: [usize; 2], axes: [String; 2]| {
        if [matrix.rows(), matrix.columns()] == shape {
            return Ok(());
        }
        Err(Error::Shape {
            what: format!("{name}: {what}"),
            expected: format!("[{}, {}]", axes[0], axes[1]),
            found: format!("[{}, {}]", matrix.rows(), matrix.columns()),
        })
    };
    let vector = |what: &str, numbers: &[f32], count: usize, axis: &str| {
        if numbers.len() == count {
            return Ok(());
        }
        Err(Error::Shape {
            what: format!("{name}: {what}"),
            expected: format!("[{axis}]"),
            found: format!("[{}]", numbers.len()),
        })
    };
    let axes = [gate_rows.clone(), format!("input={input_size}")];
    matrix("input_weights", &weights.input, [rows, input_size], axes)?;
    match &weights.recurrent {
        RecurrentWeights::Matrix(weights) => {
            let features = if state_size == hidden_size { "hidden" } else { "state" };
            let axes = [gate_rows.clone(), format!("{features}={state_size}")];
            matrix("recurrent_weights", weights, [rows, state_size], axes)?;
        }
        _ if weights.projection.is_some() => {
            return unsupported(
                "a projection without a recurrent matrix",
                "give recurrent_weights [gates×hidden, state], the state being the projection's",
            );
        }
        RecurrentWeights::Diagonal(weights) => {
            vector("recurrent_weights", weights, rows, &gate_rows)?;
        }
        RecurrentWeights::Identity => {}
    }
    for (what, bias) in [("bias", &weights.bias), ("recurrent_bias", &weights.recurrent_bias)] {
        if let Some(bias) = bias {
            vector(what, bias, rows, &gate_rows)?;
        }
    }
    let Cell::Lstm(lstm) = cell else {
        if weights.peepholes.is_some() || weights.projection.is_some() {
            let what = if weights.peepholes.is_some() { "peepholes" } else { "a projection" };
            return unsupported(what, "only an LSTM has them");
        }
        return Ok(());
    };
    match (&weights.projection, lstm.projection_clip) {
        (None, Some(_)) => {
            return unsupported("projection_clip", "there is no projection whose result it bounds");
        }
        (Some(_), _) if state_size == 0 => {
            return unsupported("a projection without rows", "a state needs features");
        }
        _ => {}
    }
    if let Some(peepholes) = &weights.peepholes {
        let count = lstm.peephole_gates().len();
        let axis = format!("{count}×hidden={}", count * hidden_size);
        vector("peepholes", peepholes, count * hidden_size, &axis)?;
    }
    if let Some(projection) = &weights.projection {
        let axes = [format!("state={state_size}"), format!("hidden={hidden_size}")];
        matrix("projection", projection, [state_size, hidden_size], axes)?;
    }
    Ok(())
}
