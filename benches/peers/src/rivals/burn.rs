//! burn on its Flex backend: its recurrent modules, layer on layer.

use burn::module::Param;
use burn::nn::{
    BiGru, BiGruConfig, BiLstm, BiLstmConfig, BiRnn, BiRnnConfig, GateController, Gru, GruConfig,
    Lstm, LstmConfig, LstmState, Rnn, RnnConfig, RnnState,
};
use burn::tensor::{Device, Tensor, TensorData};

use super::locked;
use crate::case::{Case, Weights};
use crate::contest::{Contestant, Refusal, Rival, Runner};
use crate::grid::{Cell, Signal};

/// burn; its number of threads is in the environment.
pub(crate) struct Burn;

impl Rival for Burn {
    fn name(&self) -> &str {
        "burn"
    }

    fn version(&self) -> Result<String, String> {
        Ok(format!("{}, flex", locked("burn")?))
    }

    fn enter(&mut self, case: &Case, _threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        let (shape, device) = (case.shape, Device::flex());
        let layers = case.layers.iter().enumerate().map(|(layer, sides)| {
            Layer::new(shape.cell, case.width(layer), shape.hidden_size, sides, &device)
        });
        let state = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [shape.batch, shape.hidden_size]);
            Tensor::<2>::from_data(data, &device)
        };
        let x = TensorData::new(case.x_by_row(), [shape.batch, shape.time, shape.input_size]);
        let decay = shape.signal == Signal::Decay;
        Ok(Box::new(Run {
            layers: layers.collect(),
            start: decay.then(|| (state(&case.hidden), state(&case.cell))),
            x: Tensor::from_data(x, &device),
            y: None,
        }))
    }
}

#[allow(clippy::large_enum_variant, reason = "there is one for each layer of a row")]
enum Layer {
    Lstm(Lstm),
    BiLstm(BiLstm),
    Gru(Gru),
    BiGru(BiGru),
    Rnn(Rnn),
    BiRnn(BiRnn),
}

impl Layer {
    fn new(cell: Cell, width: usize, hidden: usize, sides: &[Weights], device: &Device) -> Self {
        let fill = |gate: &mut GateController, side: usize, place: usize| {
            fill(gate, &sides[side], place, (width, hidden), device);
        };
        let lstm = |lstm: &mut Lstm, side: usize| {
            fill(&mut lstm.input_gate, side, 0);
            if let Some(gate) = &mut lstm.forget_gate {
                fill(gate, side, 1);
            }
            fill(&mut lstm.cell_gate, side, 2);
            fill(&mut lstm.output_gate, side, 3);
        };
        let gru = |gru: &mut Gru, side: usize| {
            fill(&mut gru.update_gate, side, 0);
            fill(&mut gru.reset_gate, side, 1);
            fill(&mut gru.new_gate, side, 2);
        };
        match (cell, sides.len()) {
            (Cell::Lstm, 1) => {
                let mut layer = LstmConfig::new(width, hidden, true).init(device);
                lstm(&mut layer, 0);
                Self::Lstm(layer)
            }
            (Cell::Lstm, _) => {
                let mut layer = BiLstmConfig::new(width, hidden, true).init(device);
                lstm(&mut layer.forward, 0);
                lstm(&mut layer.reverse, 1);
                Self::BiLstm(layer)
            }
            (Cell::Gru, 1) => {
                let mut layer = GruConfig::new(width, hidden, true).init(device);
                gru(&mut layer, 0);
                Self::Gru(layer)
            }
            (Cell::Gru, _) => {
                let mut layer = BiGruConfig::new(width, hidden, true).init(device);
                gru(&mut layer.forward, 0);
                gru(&mut layer.reverse, 1);
                Self::BiGru(layer)
            }
            (Cell::Rnn, 1) => {
                let mut layer = RnnConfig::new(width, hidden, true).init(device);
                fill(&mut layer.gate, 0, 0);
                Self::Rnn(layer)
            }
            (Cell::Rnn, _) => {
                let mut layer = BiRnnConfig::new(width, hidden, true).init(device);
                fill(&mut layer.forward.gate, 0, 0);
                fill(&mut layer.reverse.gate, 1, 0);
                Self::BiRnn(layer)
            }
        }
    }

    fn forward(&self, x: Tensor<3>, start: Option<&(Tensor<2>, Tensor<2>)>) -> Tensor<3> {
        let hidden = || start.map(|(h, _)| h.clone());
        match self {
            Self::Lstm(lstm) => {
                let state = start.map(|(h, c)| LstmState::new(c.clone(), h.clone()));
                lstm.forward(x, state).0
            }
            Self::Gru(gru) => gru.forward(x, hidden()),
            Self::Rnn(rnn) => rnn.forward(x, hidden().map(RnnState::new)).0,
            Self::BiLstm(lstm) => lstm.forward(x, None).0,
            Self::BiGru(gru) => gru.forward(x, None).0,
            Self::BiRnn(rnn) => rnn.forward(x, None).0,
        }
    }
}

/// Puts the gate at `place` into a module, whose matrices are `[in, out]`.
fn fill(
    gate: &mut GateController,
    weights: &Weights,
    place: usize,
    (width, hidden): (usize, usize),
    device: &Device,
) {
    let matrix = |rows: &[f32], columns: usize| {
        let block = &rows[place * hidden * columns..][..hidden * columns];
        let turned = (0..columns).flat_map(|k| (0..hidden).map(move |r| block[r * columns + k]));
        let data = TensorData::new(turned.collect::<Vec<f32>>(), [columns, hidden]);
        Param::from_data(data, device)
    };
    let bias = |rows: &[f32]| {
        let data = TensorData::new(rows[place * hidden..][..hidden].to_vec(), [hidden]);
        Some(Param::from_data(data, device))
    };
    gate.input_transform.weight = matrix(&weights.input, width);
    gate.input_transform.bias = bias(&weights.bias);
    gate.hidden_transform.weight = matrix(&weights.recurrent, hidden);
    gate.hidden_transform.bias = bias(&weights.recurrent_bias);
}

struct Run {
    layers: Vec<Layer>,
    /// h and c, if a run does not start at zero.
    start: Option<(Tensor<2>, Tensor<2>)>,
    x: Tensor<3>,
    y: Option<Tensor<3>>,
}

impl Runner for Run {
    fn run(&mut self) -> Result<(), String> {
        let start = self.start.as_ref();
        let layers = self.layers.iter();
        self.y = Some(layers.fold(self.x.clone(), |x, layer| layer.forward(x, start)));
        Ok(())
    }

    fn last(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        let y = self.y.as_ref().ok_or("no output")?.to_data();
        let y = y.try_to_vec().map_err(|error| format!("{error:?}"))?;
        Ok(case.by_time(&y))
    }
}
