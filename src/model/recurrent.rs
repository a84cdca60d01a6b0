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

/// A recurrent layer.
///
/// Its output is a sequence with [`output_size`](Self::output_size) features; its states are
/// `[directions, batch, hidden_size]`, forward first.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    cell: Cell,
    input_size: usize,
    hidden_size: usize,
    direction: Direction,
    weights: Vec<CellWeights>,
    /// How two directions are merged.
    pub merge: Merge,
    /// The order of a reverse layer's output.
    pub order: OutputOrder,
    /// Whether the state outlives a run.
    pub state_scope: StateScope,
}

impl Recurrent {
    /// Makes a layer of `cell`s; `weights` holds one set for each direction, forward first.
    ///
    /// Merge, output order and state scope have their defaults; set the fields to change them.
    ///
    /// # Errors
    ///
    /// If the number of sets, or the shape of anything in them, does not fit; or if the cell is given an activation
    /// that works on whole rows (softmax).
    pub fn new(cell: Cell, direction: Direction, weights: Vec<CellWeights>) -> Result<Self, Error> {
        let name = cell.name();
        if weights.len() != direction.count() {
            return Err(Error::Shape {
                what: format!("{name}: sets of weights for a {direction:?} layer"),
                expected: direction.count().to_string(),
                found: weights.len().to_string(),
            });
        }
        if let Some(activation) = cell.activations().find(|a| a.works_on_rows()) {
            return Err(Error::Unsupported {
                what: format!("activation {activation} inside a {name} cell"),
                advice: "softmax works on whole rows and belongs after the layer".into(),
            });
        }
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
        for (index, weights) in weights.iter().enumerate() {
            let side = if index == 0 { "" } else { " (backward)" };
            check_matrix(
                name,
                side,
                "input_weights",
                &weights.input,
                gates,
                hidden_size,
                input_size,
            )?;
            match &weights.recurrent {
                RecurrentWeights::Matrix(matrix) => {
                    let what = "recurrent_weights";
                    check_matrix(name, side, what, matrix, gates, hidden_size, hidden_size)?;
                }
                RecurrentWeights::Identity if gates == 1 => {}
                RecurrentWeights::Identity => {
                    return Err(Error::Unsupported {
                        what: format!("{name}{side}: identity recurrence"),
                        advice: "only a simple RNN can add its state without a matrix".into(),
                    });
                }
            }
            let biases = [("bias", &weights.bias), ("recurrent_bias", &weights.recurrent_bias)];
            for (what, bias) in biases {
                if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != rows) {
                    return Err(Error::Shape {
                        what: format!("{name}{side}: {what}"),
                        expected: format!("[{gates}×hidden={rows}]"),
                        found: format!("[{}]", bias.len()),
                    });
                }
            }
        }
        Ok(Self {
            cell,
            input_size,
            hidden_size,
            direction,
            weights,
            merge: Merge::default(),
            order: OutputOrder::default(),
            state_scope: StateScope::default(),
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
            (Direction::Bidirectional, Merge::Concat) => 2 * self.hidden_size,
            _ => self.hidden_size,
        }
    }

    /// The input weights `[hidden_size, input_size]` of one gate; `direction` is 0 for forward, 1 for backward.
    ///
    /// `None` if the cell has no such gate or the layer no such direction. Keras shows the transposed matrix.
    #[must_use]
    pub fn input_gate(&self, direction: usize, gate: Gate) -> Option<Matrix> {
        let position = self.cell.gates().iter().position(|&g| g == gate)?;
        let weights = self.weights.get(direction)?;
        Some(self.gate_rows(&weights.input, position))
    }

    /// The recurrent weights `[hidden_size, hidden_size]` of one gate; `direction` is 0 for forward, 1 for backward.
    ///
    /// `None` if the cell has no such gate, the layer no such direction, or the recurrence no matrix.
    #[must_use]
    pub fn recurrent_gate(&self, direction: usize, gate: Gate) -> Option<Matrix> {
        let position = self.cell.gates().iter().position(|&g| g == gate)?;
        match &self.weights.get(direction)?.recurrent {
            RecurrentWeights::Matrix(matrix) => Some(self.gate_rows(matrix, position)),
            RecurrentWeights::Identity => None,
        }
    }

    fn gate_rows(&self, matrix: &Matrix, position: usize) -> Matrix {
        matrix.row_block(position * self.hidden_size, (position + 1) * self.hidden_size)
    }
}

fn check_matrix(
    name: &str,
    side: &str,
    what: &str,
    matrix: &Matrix,
    gates: usize,
    hidden_size: usize,
    columns: usize,
) -> Result<(), Error> {
    let rows = gates * hidden_size;
    if (matrix.rows(), matrix.columns()) == (rows, columns) {
        return Ok(());
    }
    let axis = if what == "input_weights" { "input" } else { "hidden" };
    Err(Error::Shape {
        what: format!("{name}{side}: {what}"),
        expected: format!("[{gates}×hidden={rows}, {axis}={columns}]"),
        found: format!("[{}, {}]", matrix.rows(), matrix.columns()),
    })
}
