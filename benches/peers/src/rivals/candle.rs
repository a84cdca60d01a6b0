//! candle: its LSTM and GRU, layer on layer.

use std::collections::HashMap;

use candle_core::{DType, Device, Error, Tensor};
use candle_nn::VarBuilder;
use candle_nn::rnn::{GRU, GRUConfig, GRUState, LSTM, LSTMConfig, LSTMState, RNN};

use super::locked;
use crate::case::{Case, Weights};
use crate::contest::{Contestant, Refusal, Rival, Runner};
use crate::grid::{Cell, Signal};

/// candle on its CPU device; the number of threads is that of the the environment.
pub(crate) struct Candle;

impl Rival for Candle {
    fn name(&self) -> &str {
        "candle"
    }

    fn version(&self) -> Result<String, String> {
        locked("candle-nn")
    }

    fn enter(&mut self, case: &Case, _threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        if case.shape.cell == Cell::Rnn {
            return Err(Refusal::NotOffered("there is no Elman network".into()));
        }
        if case.shape.directions == 2 {
            return Err(Refusal::NotOffered("a layer has one direction".into()));
        }
        Ok(Box::new(Run::new(case).map_err(Refusal::failed)?))
    }
}

enum Layer {
    Lstm(LSTM),
    Gru(GRU),
}

struct Run {
    layers: Vec<Layer>,
    /// h and c, if a run does not start at zero.
    start: Option<(Tensor, Tensor)>,
    x: Tensor,
    y: Option<Tensor>,
}

impl Run {
    fn new(case: &Case) -> Result<Self, Error> {
        let shape = case.shape;
        let layer = |(layer, sides): (usize, &Vec<Weights>)| {
            Layer::new(shape.cell, case.width(layer), shape.hidden_size, &sides[0])
        };
        let state = |values: &[f32]| {
            Tensor::from_slice(values, (shape.batch, shape.hidden_size), &Device::Cpu)
        };
        let start = || Ok::<_, Error>((state(&case.hidden)?, state(&case.cell)?));
        Ok(Self {
            layers: case.layers.iter().enumerate().map(layer).collect::<Result<_, _>>()?,
            start: (shape.signal == Signal::Decay).then(start).transpose()?,
            x: Tensor::from_vec(
                case.x_by_row(),
                (shape.batch, shape.time, shape.input_size),
                &Device::Cpu,
            )?,
            y: None,
        })
    }

    fn forward(&self) -> Result<Tensor, Error> {
        let mut x = self.x.clone();
        for layer in &self.layers {
            x = match layer {
                Layer::Lstm(lstm) => {
                    let states = match &self.start {
                        None => lstm.seq(&x)?,
                        Some((h, c)) => lstm.seq_init(&x, &LSTMState::new(h.clone(), c.clone()))?,
                    };
                    lstm.states_to_tensor(&states)?
                }
                Layer::Gru(gru) => {
                    let states = match &self.start {
                        None => gru.seq(&x)?,
                        Some((h, _)) => gru.seq_init(&x, &GRUState { h: h.clone() })?,
                    };
                    let (batch, time, _) = x.dims3()?;
                    gru.states_to_tensor(&states)?.reshape((batch, time, ()))?
                }
            };
        }
        Ok(x)
    }
}

impl Layer {
    fn new(cell: Cell, width: usize, hidden: usize, weights: &Weights) -> Result<Self, Error> {
        let rows = cell.gates() * hidden;
        let array = |values: &[f32], columns: usize| {
            let blocks = in_torch_order(cell, values, hidden * columns);
            Tensor::from_vec(blocks, (rows, columns), &Device::Cpu)
        };
        let bias = |values: &[f32]| array(values, 1)?.reshape(rows);
        let tensors = HashMap::from([
            ("weight_ih_l0".to_owned(), array(&weights.input, width)?),
            ("weight_hh_l0".to_owned(), array(&weights.recurrent, hidden)?),
            ("bias_ih_l0".to_owned(), bias(&weights.bias)?),
            ("bias_hh_l0".to_owned(), bias(&weights.recurrent_bias)?),
        ]);
        let source = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        Ok(match cell {
            Cell::Gru => Self::Gru(GRU::new(width, hidden, GRUConfig::default(), source)?),
            _ => Self::Lstm(LSTM::new(width, hidden, LSTMConfig::default(), source)?),
        })
    }
}

/// Gate blocks as PyTorch has them: `r z n` of a GRU.
fn in_torch_order(cell: Cell, rows: &[f32], block: usize) -> Vec<f32> {
    let order: &[usize] = if cell == Cell::Gru { &[1, 0, 2] } else { &[0, 1, 2, 3] };
    order.iter().flat_map(|gate| &rows[gate * block..][..block]).copied().collect()
}

impl Runner for Run {
    fn run(&mut self) -> Result<(), String> {
        self.y = Some(self.forward().map_err(|error| error.to_string())?);
        Ok(())
    }

    fn last(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        let y = self.y.as_ref().ok_or("no output")?.flatten_all();
        let y = y.and_then(|y| y.to_vec1()).map_err(|error| error.to_string())?;
        Ok(case.by_time(&y))
    }
}
