//! Recurrent cells: what a layer's or a cell's attributes and weights make.

use super::config::Layer;
use super::{File, Version, activation};
use crate::Error;
use crate::load::convention::{keras, keras_1};
use crate::model::{Activation, Cell, CellWeights, Gru, GruReset};

/// Attributes of every cell.
const ATTRIBUTES: &[&str] =
    &["units", "activation", "recurrent_activation", "use_bias", "reset_after"];

/// The cell of a layer such as `LSTM` or of an `LSTMCell`, and its weights at `path`.
///
/// `also` are attributes that the caller honours.
pub(super) fn read(
    layer: &Layer<'_>,
    path: &str,
    also: &[&str],
    file: &File,
) -> Result<(Cell, CellWeights), Error> {
    let attributes = [ATTRIBUTES, also].concat();
    layer.know(&attributes)?;
    let cell = cell(layer, file)?;
    let units = layer.count("units")?;
    let label = layer.label();
    let get = |index: usize| file.variable(path, index, &label);
    if by_gate(layer, file.version) {
        let arrays = (0..keras_1::arrays(cell)).map(get).collect::<Result<Vec<_>, _>>()?;
        let weights = keras_1::cell_weights(cell, &arrays, Some(units));
        return Ok((cell, weights.map_err(|error| error.within(&label))?));
    }
    let bias = if layer.switch("use_bias", true)? { Some(get(2)?) } else { None };
    let weights = keras::cell_weights(cell, get(0)?, get(1)?, bias, Some(units))
        .map_err(|error| error.within(&label))?;
    Ok((cell, weights))
}

/// Whether a layer has arrays for each gate, as in Keras 1 unless it was made for a GPU.
pub(super) fn by_gate(layer: &Layer<'_>, version: Version) -> bool {
    let gpu = layer.get("implementation").is_some_and(|number| *number == 2);
    version.major < 2 && matches!(layer.class, "LSTM" | "GRU") && !gpu
}

fn cell(layer: &Layer<'_>, file: &File) -> Result<Cell, Error> {
    let activation =
        |key: &str, default: Activation| activation::read(layer, key, default, file.version);
    let main = activation("activation", Activation::Tanh)?;
    let gates = || activation("recurrent_activation", Activation::Sigmoid);
    match layer.class {
        "SimpleRNN" | "SimpleRNNCell" => Ok(Cell::simple_rnn(main)),
        "LSTM" | "LSTMCell" => Ok(Cell::lstm(main, gates()?)),
        "GRU" | "GRUCell" => {
            let after = layer.switch("reset_after", true)?;
            let reset = if after { GruReset::AfterMatmul } else { GruReset::BeforeMatmul };
            let recurrent_activation = gates()?;
            Ok(Cell::Gru(Gru { activation: main, recurrent_activation, ..Gru::new(reset) }))
        }
        _ => Err(layer.unsupported(
            "as a recurrent cell",
            "there are SimpleRNN, LSTM and GRU, and RNN over cells of these",
        )),
    }
}
