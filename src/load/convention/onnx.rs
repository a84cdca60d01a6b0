//! ONNX: weights `[gates × hidden, input]`, two biases behind each other, gate rows LSTM i o f c and
//! GRU z r h, peepholes i o f.

use super::GateOrder;
use crate::Error;
use crate::model::{
    Cell, CellWeights, Coupling, Gate, Gru, GruReset, Lstm, Matrix, RecurrentWeights,
};

/// What an `LSTM`, `GRU` or `RNN` node holds for one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direction<'a> {
    /// `[gates × hidden, input]`.
    pub(crate) w: &'a [f32],
    /// `[gates × hidden, hidden]`.
    pub(crate) r: &'a [f32],
    /// `[2 × gates × hidden]`: of the input, then of the recurrence.
    pub(crate) b: Option<&'a [f32]>,
    /// `[3 × hidden]`, of an LSTM.
    pub(crate) p: Option<&'a [f32]>,
    pub(crate) input_size: usize,
    pub(crate) hidden_size: usize,
}

/// The gates that have weights in a file, whether a cell couples two of them or not.
pub(crate) fn gates(cell: Cell) -> usize {
    GateOrder::Onnx.gates(&cell).len()
}

/// The weights of one direction. Of a gate that is made of another, what stands in the file is not
/// used: the operator does not use it either.
pub(crate) fn cell_weights(cell: Cell, stored: Direction<'_>) -> Result<CellWeights, Error> {
    let Direction { w, r, b, p, input_size, hidden_size } = stored;
    let order = |values: &[f32]| GateOrder::Onnx.to_canonical(&cell, values);
    let rows = cell.gates().len() * hidden_size;
    let input = Matrix::new(rows, input_size, order(w))?;
    let recurrent = Matrix::new(rows, hidden_size, order(r))?;
    let biases = b.map(|b| b.split_at(b.len() / 2));
    // Of a GRU that resets before the product, and of the others, both stand in one sum.
    let after = matches!(cell, Cell::Gru(Gru { reset: GruReset::AfterMatmul, .. }));
    let (bias, recurrent_bias) = match biases {
        None => (None, None),
        Some((input, recurrent)) if after || recurrent.iter().any(|&b| b != 0.0) => {
            (Some(order(input)), Some(order(recurrent)))
        }
        Some((input, _)) => (Some(order(input)), None),
    };
    let peepholes = p.map(|p| peepholes(cell, p, hidden_size));
    let weights = CellWeights::new(input, RecurrentWeights::Matrix(recurrent));
    Ok(CellWeights { bias, recurrent_bias, peepholes, ..weights })
}

/// Peepholes in the order of [`Lstm::peephole_gates`].
fn peepholes(cell: Cell, stored: &[f32], hidden_size: usize) -> Vec<f32> {
    const STORED: [Gate; 3] = [Gate::Input, Gate::Output, Gate::Forget];
    let Cell::Lstm(lstm) = cell else { return stored.to_vec() };
    let mut ordered = Vec::with_capacity(stored.len());
    for gate in lstm.peephole_gates() {
        let place = STORED.iter().position(|stored| stored == gate).expect("a gate with peepholes");
        ordered.extend_from_slice(&stored[place * hidden_size..(place + 1) * hidden_size]);
    }
    ordered
}

/// An LSTM whose forget gate is one minus its input gate, if `coupled`.
pub(crate) fn coupling(coupled: bool) -> Coupling {
    if coupled { Coupling::ForgetFromInput } else { Lstm::DEFAULT.coupling }
}
