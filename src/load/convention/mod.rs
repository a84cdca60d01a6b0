//! Named tensors to canonical weights: gate orders, transposes, biases.
//!
//! What stands in a file is a convention of the framework that wrote it, whatever the container.
//! Here, and nowhere else, one is turned into the other.

mod cudnn;
pub mod keras;
#[cfg(any(feature = "safetensors", feature = "keras", feature = "audio"))]
pub(super) mod keras_1;
#[cfg(feature = "onnx")]
pub(crate) mod onnx;
pub mod pytorch;

use crate::Error;
use crate::model::{Cell, Gate, Matrix};

/// The order of the gate blocks in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GateOrder {
    /// LSTM i f c o, GRU z r h.
    Keras,
    /// LSTM i f g o, GRU r z n.
    PyTorch,
    /// LSTM i o f c, GRU z r h.
    #[cfg(feature = "onnx")]
    Onnx,
}

impl GateOrder {
    /// The gates as they stand in a file.
    fn gates(self, cell: &Cell) -> &'static [Gate] {
        match (self, cell) {
            (_, Cell::SimpleRnn(_)) => &[Gate::Hidden],
            #[cfg(feature = "onnx")]
            (Self::Onnx, Cell::Lstm(_)) => {
                &[Gate::Input, Gate::Output, Gate::Forget, Gate::Candidate]
            }
            #[cfg(feature = "onnx")]
            (Self::Onnx, Cell::Gru(_)) => &[Gate::Update, Gate::Reset, Gate::Candidate],
            (_, Cell::Lstm(_)) => &[Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output],
            (Self::Keras, Cell::Gru(_)) => &[Gate::Update, Gate::Reset, Gate::Candidate],
            (Self::PyTorch, Cell::Gru(_)) => &[Gate::Reset, Gate::Update, Gate::Candidate],
        }
    }

    /// Refuses a cell that the framework does not have.
    fn know(self, cell: &Cell) -> Result<(), Error> {
        if cell.gates().len() == self.gates(cell).len() {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!("an LSTM with coupled gates from the arrays of {self:?}, which has none"),
            advice: "give its weights in canonical order (CellWeights)".into(),
        })
    }

    /// Puts the blocks of `values`, one for each gate, into the order of [`Cell::gates`].
    fn to_canonical(self, cell: &Cell, values: &[f32]) -> Vec<f32> {
        let in_file = self.gates(cell);
        let block = values.len() / in_file.len();
        let mut ordered = Vec::with_capacity(values.len());
        for gate in cell.gates() {
            let place = in_file.iter().position(|g| g == gate).expect("both orders have it");
            ordered.extend_from_slice(&values[place * block..(place + 1) * block]);
        }
        ordered
    }

    /// Puts the blocks of rows into the order of [`Cell::gates`].
    fn rows_to_canonical(self, cell: &Cell, matrix: &Matrix) -> Matrix {
        let values = self.to_canonical(cell, matrix.values());
        Matrix::new(matrix.rows(), matrix.columns(), values).expect("as many values as before")
    }
}
