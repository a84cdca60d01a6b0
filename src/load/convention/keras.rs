//! Keras: kernels `[input, gates × units]`, one bias, gate columns LSTM i f c o and GRU z r h.
//!
//! The functions take what `get_weights()` of a layer or a cell returns, untransposed:
//!
//! ```
//! use ritornello::model::Activation;
//! use ritornello::Array;
//! use ritornello::load::keras;
//! # fn main() -> Result<(), ritornello::Error> {
//! let kernel = Array::new(&[3, 8], vec![0.1; 24])?; // [input, 4 × units]
//! let recurrent_kernel = Array::new(&[2, 8], vec![0.1; 16])?; // [units, 4 × units]
//! let bias = Array::new(&[8], vec![0.0; 8])?;
//! let lstm = keras::lstm(&[kernel, recurrent_kernel, bias])?;
//! assert_eq!((lstm.input_size(), lstm.hidden_size()), (3, 2));
//! # Ok(()) }
//! ```

use super::{GateOrder, cudnn};
use crate::load::tensors::{Axis, TensorView};
use crate::model::{
    Activation, Cell, CellWeights, Dense, Direction, Embedding, Gru, GruReset, Matrix, Merge,
    Recurrent, RecurrentWeights,
};
use crate::{Array, Error};

/// A `SimpleRNN` with tanh from `[kernel, recurrent_kernel, bias]`; the bias may be absent.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit.
pub fn simple_rnn(weights: &[Array]) -> Result<Recurrent, Error> {
    recurrent(Cell::SIMPLE_RNN, weights)
}

/// An `LSTM` with Keras's default activations from `[kernel, recurrent_kernel, bias]`; the bias may
/// be absent.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit.
pub fn lstm(weights: &[Array]) -> Result<Recurrent, Error> {
    recurrent(Cell::LSTM, weights)
}

/// A `GRU` with Keras's default activations from `[kernel, recurrent_kernel, bias]`.
///
/// A bias of two rows comes from `reset_after=True`, of one from `reset_after=False`. Without bias
/// the arrays do not tell: this takes the default, `reset_after=True`.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit.
pub fn gru(weights: &[Array]) -> Result<Recurrent, Error> {
    let reset = match weights.get(2) {
        Some(bias) if bias.shape().len() == 1 => GruReset::BeforeMatmul,
        _ => GruReset::AfterMatmul,
    };
    recurrent(Cell::gru(reset), weights)
}

/// A layer of any cell from `[kernel, recurrent_kernel, bias]`; the bias may be absent.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit; for an LSTM with coupled gates,
/// which Keras does not have.
pub fn recurrent(cell: Cell, weights: &[Array]) -> Result<Recurrent, Error> {
    Recurrent::new(cell, Direction::Forward, vec![from_arrays(cell, weights)?])
}

/// A `Bidirectional` layer from its `get_weights()`: the forward arrays, then the backward ones.
///
/// # Errors
///
/// If there are not twice two or twice three arrays, or their shapes do not fit; for an LSTM with
/// coupled gates, which Keras does not have.
pub fn bidirectional(cell: Cell, weights: &[Array], merge: Merge) -> Result<Recurrent, Error> {
    if weights.len() != 4 && weights.len() != 6 {
        return Err(Error::Shape {
            what: format!("the number of arrays of a bidirectional {}", cell.name()),
            expected:
                "6 (forward, then backward kernel, recurrent_kernel, bias), or 4 without bias"
                    .into(),
            found: weights.len().to_string(),
        });
    }
    let (forward, backward) = weights.split_at(weights.len() / 2);
    let weights = vec![
        from_arrays(cell, forward).map_err(|error| error.within("forward"))?,
        from_arrays(cell, backward).map_err(|error| error.within("backward"))?,
    ];
    let mut layer = Recurrent::new(cell, Direction::Bidirectional, weights)?;
    layer.merge = merge;
    Ok(layer)
}

/// A `Dense` layer from `[kernel, bias]`; the bias may be absent.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit.
pub fn dense(weights: &[Array], activation: Activation) -> Result<Dense, Error> {
    let (kernel, bias) = match weights {
        [kernel] => (kernel, None),
        [kernel, bias] => (kernel, Some(bias)),
        _ => return Err(wrong_count("dense", "2 (kernel, bias), or 1 without bias", weights)),
    };
    let kernel = TensorView::of_array("kernel", kernel)?;
    let bias = bias.map(|bias| TensorView::of_array("bias", bias)).transpose()?;
    dense_layer(kernel, bias, None, activation)
}

/// An `Embedding` from `[embeddings]`.
///
/// # Errors
///
/// If there is not one array, or it is no matrix.
pub fn embedding(weights: &[Array]) -> Result<Embedding, Error> {
    let [table] = weights else {
        return Err(wrong_count("embedding", "1 (embeddings)", weights));
    };
    let table = TensorView::of_array("embeddings", table)?;
    Ok(Embedding::new(table.matrix(&Axis::any("indices"), &Axis::any("features"))?))
}

fn wrong_count(layer: &str, expected: &str, weights: &[Array]) -> Error {
    let shapes: Vec<String> = weights.iter().map(|a| format!("{:?}", a.shape())).collect();
    Error::Shape {
        what: format!("the number of arrays for {layer}"),
        expected: expected.into(),
        found: format!("{} {}", weights.len(), shapes.join(" ")).trim_end().into(),
    }
}

fn from_arrays(cell: Cell, weights: &[Array]) -> Result<CellWeights, Error> {
    let (kernel, recurrent, bias) = match weights {
        [kernel, recurrent] => (kernel, recurrent, None),
        [kernel, recurrent, bias] => (kernel, recurrent, Some(bias)),
        _ => {
            let expected = "3 (kernel, recurrent_kernel, bias), or 2 without bias";
            return Err(wrong_count(cell.name(), expected, weights));
        }
    };
    let kernel = TensorView::of_array("kernel", kernel)?;
    let recurrent = TensorView::of_array("recurrent_kernel", recurrent)?;
    let bias = bias.map(|bias| TensorView::of_array("bias", bias)).transpose()?;
    cell_weights(cell, kernel, recurrent, bias, None)
}

/// The weights of one direction; `units` is what a configuration says, if there is one.
pub(crate) fn cell_weights(
    cell: Cell,
    kernel: TensorView<'_>,
    recurrent: TensorView<'_>,
    bias: Option<TensorView<'_>>,
    units: Option<usize>,
) -> Result<CellWeights, Error> {
    GateOrder::Keras.know(&cell)?;
    let gates = cell.gates().len();
    // The recurrent kernel alone tells the units; everything else is held against it.
    recurrent.expect(&[Axis::hidden(units), Axis::gates(gates, units)])?;
    let hidden = recurrent.shape()[0];
    if let Some(bias) = bias.filter(|bias| cudnn::is_layout(cell, *bias, hidden)) {
        return cudnn::cell_weights(cell, kernel, recurrent, bias, hidden);
    }
    let units = Some(hidden);
    let columns = Axis::gates(gates, units);
    let canonical = |matrix: &Matrix| GateOrder::Keras.rows_to_canonical(&cell, matrix);
    let vector = |values: &[f32]| GateOrder::Keras.to_canonical(&cell, values);
    let input = canonical(&kernel.transposed(&Axis::any("input"), &columns)?);
    let recurrent = canonical(&recurrent.transposed(&Axis::hidden(units), &columns)?);
    let two_rows = matches!(cell, Cell::Gru(Gru { reset: GruReset::AfterMatmul, .. }));
    let (bias, recurrent_bias) = match bias {
        None => (None, None),
        Some(bias) if two_rows => {
            let [input, recurrent] = bias.two_rows(&columns)?;
            (Some(vector(&input)), Some(vector(&recurrent)))
        }
        Some(bias) => (Some(vector(&bias.vector(&columns)?)), None),
    };
    let recurrent = RecurrentWeights::Matrix(recurrent);
    Ok(CellWeights { bias, recurrent_bias, ..CellWeights::new(input, recurrent) })
}

/// A dense layer; `units` is what a configuration says, if there is one.
pub(crate) fn dense_layer(
    kernel: TensorView<'_>,
    bias: Option<TensorView<'_>>,
    units: Option<usize>,
    activation: Activation,
) -> Result<Dense, Error> {
    let output = units.map_or(Axis::any("output"), |units| Axis::of("output", units));
    let weights = kernel.transposed(&Axis::any("input"), &output)?;
    let bias = bias.map(|bias| bias.vector(&Axis::of("output", weights.rows()))).transpose()?;
    Dense::new(weights, bias, activation)
}
