//! PyTorch: weights `[gates × hidden, input]`, two biases, gate rows LSTM i f g o and GRU r z n.
//!
//! The functions take the tensors of one layer in the order of its `state_dict`:
//!
//! ```
//! use ritornello::Array;
//! use ritornello::load::pytorch;
//! # fn main() -> Result<(), ritornello::Error> {
//! let weight_ih = Array::new(&[6, 3], vec![0.1; 18])?; // [3 × hidden, input]
//! let weight_hh = Array::new(&[6, 2], vec![0.1; 12])?; // [3 × hidden, hidden]
//! let bias_ih = Array::new(&[6], vec![0.0; 6])?;
//! let bias_hh = Array::new(&[6], vec![0.0; 6])?;
//! let gru = pytorch::gru(&[weight_ih, weight_hh, bias_ih, bias_hh])?;
//! assert_eq!((gru.input_size(), gru.hidden_size()), (3, 2));
//! # Ok(()) }
//! ```

use super::GateOrder;
use crate::load::tensors::{Axis, TensorView};
use crate::model::{
    Activation, Cell, CellWeights, Dense, Direction, GruReset, Recurrent, RecurrentWeights,
};
use crate::{Array, Error};

/// One forward layer of `nn.RNN` with tanh from `[weight_ih, weight_hh, bias_ih, bias_hh]`, or the
/// first two.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit.
pub fn rnn(weights: &[Array]) -> Result<Recurrent, Error> {
    recurrent(Cell::SIMPLE_RNN, Direction::Forward, weights)
}

/// One forward layer of `nn.LSTM` from `[weight_ih, weight_hh, bias_ih, bias_hh]`, or the first
/// two, and with `proj_size` `weight_hr` behind them.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit.
pub fn lstm(weights: &[Array]) -> Result<Recurrent, Error> {
    recurrent(Cell::LSTM, Direction::Forward, weights)
}

/// One forward layer of `nn.GRU` from `[weight_ih, weight_hh, bias_ih, bias_hh]`, or the first two.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit.
pub fn gru(weights: &[Array]) -> Result<Recurrent, Error> {
    recurrent(Cell::gru(GruReset::AfterMatmul), Direction::Forward, weights)
}

/// One layer of any cell, from two or four arrays for each direction, or of an LSTM with `proj_size`
/// three or five; the forward ones first.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit; for an LSTM with coupled gates,
/// which PyTorch does not have.
pub fn recurrent(cell: Cell, direction: Direction, weights: &[Array]) -> Result<Recurrent, Error> {
    let directions = direction.count();
    let each = weights.len() / directions;
    // What comes last is a matrix, or a bias too few or too many.
    let matrix = weights.get(each.wrapping_sub(1)).is_some_and(|last| last.shape().len() == 2);
    let projects = cell.has_cell_state() && matches!(each, 3 | 5) && matrix;
    if !weights.len().is_multiple_of(directions) || !(projects || matches!(each, 2 | 4)) {
        return Err(Error::Shape {
            what: format!("the number of arrays for {}", cell.name()),
            expected: format!(
                "{} (weight_ih, weight_hh, bias_ih, bias_hh of each direction), \
                 or {} without biases",
                4 * directions,
                2 * directions
            ),
            found: weights.len().to_string(),
        });
    }
    let sides = weights.chunks(each).enumerate().map(|(side, weights)| {
        let suffix = if side == 0 { "" } else { "_reverse" };
        from_arrays(cell, suffix, weights)
    });
    Recurrent::new(cell, direction, sides.collect::<Result<_, _>>()?)
}

/// An `nn.Linear` from `[weight, bias]`; the bias may be absent.
///
/// # Errors
///
/// If there are more or fewer arrays, or their shapes do not fit.
pub fn linear(weights: &[Array]) -> Result<Dense, Error> {
    let (weight, bias) = match weights {
        [weight] => (weight, None),
        [weight, bias] => (weight, Some(bias)),
        _ => {
            return Err(Error::Shape {
                what: "the number of arrays for linear".into(),
                expected: "2 (weight, bias), or 1 without bias".into(),
                found: weights.len().to_string(),
            });
        }
    };
    let weight = TensorView::of_array("weight", weight)?;
    let bias = bias.map(|bias| TensorView::of_array("bias", bias)).transpose()?;
    linear_layer(weight, bias, Activation::Linear)
}

fn from_arrays(cell: Cell, suffix: &str, weights: &[Array]) -> Result<CellWeights, Error> {
    let names: &[&str] = match weights.len() {
        3 => &["weight_ih", "weight_hh", "weight_hr"],
        _ => &["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"],
    };
    let names: Vec<String> = names.iter().map(|name| format!("{name}{suffix}")).collect();
    let views: Vec<TensorView<'_>> = names
        .iter()
        .zip(weights)
        .map(|(name, array)| TensorView::of_array(name, array))
        .collect::<Result<_, _>>()?;
    let (biases, weight_hr) = match views[2..] {
        [bias_ih, bias_hh] => (Some((bias_ih, bias_hh)), None),
        [bias_ih, bias_hh, weight_hr] => (Some((bias_ih, bias_hh)), Some(weight_hr)),
        [weight_hr] => (None, Some(weight_hr)),
        _ => (None, None),
    };
    let tensors = CellTensors { weight_ih: views[0], weight_hh: views[1], biases, weight_hr };
    cell_weights(cell, tensors, None)
}

/// The tensors of one direction of one layer.
#[derive(Clone, Copy)]
pub(crate) struct CellTensors<'a> {
    pub(crate) weight_ih: TensorView<'a>,
    pub(crate) weight_hh: TensorView<'a>,
    /// `bias_ih` and `bias_hh`.
    pub(crate) biases: Option<(TensorView<'a>, TensorView<'a>)>,
    /// Of an LSTM with `proj_size`, `[proj_size, hidden]`.
    pub(crate) weight_hr: Option<TensorView<'a>>,
}

/// The weights of one direction; `hidden_size` is what a spec says, if it says it.
pub(crate) fn cell_weights(
    cell: Cell,
    CellTensors { weight_ih, weight_hh, biases, weight_hr }: CellTensors<'_>,
    hidden_size: Option<usize>,
) -> Result<CellWeights, Error> {
    let order = GateOrder::PyTorch;
    order.know(&cell)?;
    let gates = cell.gates().len();
    // The columns of weight_hh alone, or those of weight_hr, tell the size; everything else is held
    // against it.
    let hidden_size = hidden_size.or(weight_hr.unwrap_or(weight_hh).shape().get(1).copied());
    let (rows, hidden) = (Axis::gates(gates, hidden_size), Axis::hidden(hidden_size));
    let projection = weight_hr.map(|view| view.matrix(&Axis::any("proj"), &hidden)).transpose()?;
    let state = projection.as_ref().map_or(hidden, |matrix| Axis::of("proj", matrix.rows()));
    let recurrent = weight_hh.matrix(&rows, &state)?;
    let input = weight_ih.matrix(&rows, &Axis::any("input"))?;
    let bias = |view: TensorView<'_>| -> Result<_, Error> {
        Ok(order.to_canonical(&cell, &view.vector(&rows)?))
    };
    Ok(CellWeights {
        input: order.rows_to_canonical(&cell, &input),
        recurrent: RecurrentWeights::Matrix(order.rows_to_canonical(&cell, &recurrent)),
        bias: biases.map(|(input, _)| bias(input)).transpose()?,
        recurrent_bias: biases.map(|(_, hidden)| bias(hidden)).transpose()?,
        peepholes: None,
        projection,
    })
}

/// The weights `[input, recurrent, bias]` of one direction with a single bias, the sum of PyTorch's two:
/// Neural Amp Modeler.
#[cfg(feature = "audio")]
pub(crate) fn one_bias_weights(
    cell: Cell,
    [weight_ih, weight_hh, bias]: [&Array; 3],
) -> Result<CellWeights, Error> {
    let view = TensorView::of_array;
    let (weight_ih, weight_hh) = (view("weight_ih", weight_ih)?, view("weight_hh", weight_hh)?);
    let tensors = CellTensors { weight_ih, weight_hh, biases: None, weight_hr: None };
    let weights = cell_weights(cell, tensors, None)?;
    let rows = Axis::of("gates×hidden", weights.input.rows());
    let bias = GateOrder::PyTorch.to_canonical(&cell, &view("bias", bias)?.vector(&rows)?);
    Ok(CellWeights { bias: Some(bias), ..weights })
}

/// `activation(weight x + bias)`.
pub(crate) fn linear_layer(
    weight: TensorView<'_>,
    bias: Option<TensorView<'_>>,
    activation: Activation,
) -> Result<Dense, Error> {
    let weights = weight.matrix(&Axis::any("output"), &Axis::any("input"))?;
    let bias = bias.map(|bias| bias.vector(&Axis::of("output", weights.rows()))).transpose()?;
    Dense::new(weights, bias, activation)
}
