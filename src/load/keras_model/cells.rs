//! Recurrent cells: what a layer's or a cell's attributes and weights make.

use super::config::Layer;
use super::{File, activation};
use crate::Error;
use crate::load::convention::keras;
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
    let get = |index: usize| file.tensors.get(&format!("{path}/vars/{index}"), &label);
    let bias = if layer.switch("use_bias", true)? { Some(get(2)?) } else { None };
    let weights = keras::cell_weights(cell, get(0)?, get(1)?, bias, Some(units))
        .map_err(|error| error.within(&label))?;
    Ok((cell, weights))
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
