//! The layout of Keras 1: an `LSTM` and a `GRU` have three arrays for each gate, `W`, `U` and `b`.

use super::keras;
use crate::load::tensors::TensorView;
use crate::model::{Cell, CellWeights};
use crate::{Array, Error};

/// How many arrays a layer has, if it has them for each gate.
pub(crate) fn arrays(cell: Cell) -> usize {
    3 * cell.gates().len()
}

/// The weights of one direction from `W`, `U` and `b` of each gate: of an LSTM i c f o, of a GRU
/// z r h.
pub(crate) fn cell_weights(
    cell: Cell,
    arrays: &[TensorView<'_>],
    units: Option<usize>,
) -> Result<CellWeights, Error> {
    let order: &[usize] = match cell {
        Cell::Lstm(_) => &[0, 2, 1, 3],
        _ => &[0, 1, 2],
    };
    let part = |part: usize| {
        let blocks: Vec<TensorView<'_>> =
            order.iter().map(|gate| arrays[3 * gate + part]).collect();
        side_by_side(&blocks)
    };
    let [kernel, recurrent, bias] = [part(0)?, part(1)?, part(2)?];
    keras::cell_weights(
        cell,
        TensorView::of_array("W", &kernel)?,
        TensorView::of_array("U", &recurrent)?,
        Some(TensorView::of_array("b", &bias)?),
        units,
    )
}

/// Blocks of one shape behind each other along their last axis.
fn side_by_side(blocks: &[TensorView<'_>]) -> Result<Array, Error> {
    let first = blocks[0];
    for block in blocks {
        if block.shape() != first.shape() {
            return Err(block.misfit(&format!("{:?} as for the first gate", first.shape())));
        }
    }
    let (Some(&width), outer) = (first.shape().last(), first.shape().split_last()) else {
        return Err(first.misfit("a matrix or a vector"));
    };
    let rows = outer.map_or(1, |(_, rows)| rows.iter().product());
    let blocks: Vec<Vec<f32>> = blocks.iter().map(TensorView::numbers).collect();
    let row = |row: usize| {
        blocks.iter().flat_map(move |b| b[row * width..(row + 1) * width].iter().copied())
    };
    let values = (0..rows).flat_map(row).collect();
    let mut shape = first.shape().to_vec();
    if let Some(last) = shape.last_mut() {
        *last = width * blocks.len();
    }
    Array::new(&shape, values)
}
