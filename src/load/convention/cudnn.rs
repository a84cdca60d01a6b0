//! The layout of Keras's `CuDNNLSTM` and `CuDNNGRU`: the shapes of Keras, but two biases behind each
//! other, and in every gate's columns the numbers of the transposed block.
//!
//! For each gate the block `[input, units]` of the kernel, read row by row, is the matrix
//! `[units, input]` that is multiplied with the input; the block `[units, units]` of the recurrent
//! kernel is the matrix itself.

use super::GateOrder;
use crate::Error;
use crate::load::tensors::{Axis, TensorView};
use crate::model::{Cell, CellWeights, Gru, GruReset, Lstm, Matrix, RecurrentWeights};

/// Whether a layer's bias is of this layout: twice as long as one bias of all gates.
pub(super) fn is_layout(cell: Cell, bias: TensorView<'_>, units: usize) -> bool {
    let has = matches!(cell, Cell::Lstm(Lstm { .. }))
        || matches!(cell, Cell::Gru(Gru { reset: GruReset::AfterMatmul, .. }));
    let both = units.checked_mul(2 * cell.gates().len());
    has && bias.shape().len() == 1 && bias.shape().first().copied() == both
}

/// The weights of one direction.
pub(super) fn cell_weights(
    cell: Cell,
    kernel: TensorView<'_>,
    recurrent: TensorView<'_>,
    bias: TensorView<'_>,
    units: usize,
) -> Result<CellWeights, Error> {
    let gates = cell.gates().len();
    let columns = Axis::gates(gates, Some(units));
    let kernel = kernel.matrix(&Axis::any("input"), &columns)?;
    let recurrent = recurrent.matrix(&Axis::hidden(Some(units)), &columns)?;
    let both = bias.vector(&Axis::any("biases"))?;
    let (first, second) = both.split_at(gates * units);
    let order = GateOrder::Keras;
    let matrix = |blocks: &Matrix| {
        let rows = Matrix::new(gates * units, blocks.rows(), block_by_block(blocks, gates))?;
        Ok::<_, Error>(order.rows_to_canonical(&cell, &rows))
    };
    Ok(CellWeights {
        bias: Some(order.to_canonical(&cell, first)),
        recurrent_bias: Some(order.to_canonical(&cell, second)),
        ..CellWeights::new(matrix(&kernel)?, RecurrentWeights::Matrix(matrix(&recurrent)?))
    })
}

/// The numbers of each gate's columns, row by row, one gate after the other.
fn block_by_block(matrix: &Matrix, gates: usize) -> Vec<f32> {
    let width = matrix.columns() / gates;
    let blocks = (0..gates).flat_map(|gate| {
        let columns = gate * width..(gate + 1) * width;
        (0..matrix.rows()).flat_map(move |row| matrix.row(row)[columns.clone()].iter().copied())
    });
    blocks.collect()
}
