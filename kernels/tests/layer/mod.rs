//! A random recurrent layer in one direction, run by the kernels of any level.

#![allow(dead_code, reason = "each test takes what it needs")]

use proptest::prelude::*;
use ritornello_kernels::{
    Activation, AlignedBuffer, CellKind, CellSource, Isa, Kernels, PackedCell, RecurArgs,
    RecurrentSource, Reset, View, ViewMut, state_stride,
};
use ritornello_reference as reference;

pub(crate) const TANH: Activation = Activation::Tanh;
pub(crate) const SIGMOID: Activation = Activation::Sigmoid;
pub(crate) const RNN: CellKind = CellKind::Simple { activation: TANH };
pub(crate) const LSTM: CellKind =
    CellKind::Lstm { activation: TANH, recurrent_activation: SIGMOID };
pub(crate) const GRU_AFTER: CellKind =
    CellKind::Gru { reset: Reset::After, activation: TANH, recurrent_activation: SIGMOID };
pub(crate) const GRU_BEFORE: CellKind =
    CellKind::Gru { reset: Reset::Before, activation: TANH, recurrent_activation: SIGMOID };

/// A layer with its input and initial state.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) kind: CellKind,
    pub(crate) identity: bool,
    pub(crate) input_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) input_weights: Vec<f32>,
    pub(crate) recurrent_weights: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
    pub(crate) recurrent_bias: Option<Vec<f32>>,
    pub(crate) time: usize,
    pub(crate) batch: usize,
    /// `[time, batch, input_size]`
    pub(crate) input: Vec<f32>,
    /// `[batch, hidden_size]`
    pub(crate) hidden: Vec<f32>,
    pub(crate) cell: Vec<f32>,
}

/// All hidden states `[time, batch, hidden_size]` and the final states `[batch, hidden_size]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) output: Vec<f32>,
    pub(crate) hidden: Vec<f32>,
    pub(crate) cell: Vec<f32>,
}

impl Outcome {
    /// For comparisons in which NaN equals NaN and -0 differs from 0.
    pub(crate) fn bits(&self) -> [Vec<u32>; 3] {
        [&self.output, &self.hidden, &self.cell].map(|numbers| bits(numbers))
    }
}

pub(crate) fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Whether the level rounds a product and its sum once.
pub(crate) fn fused(kernels: &Kernels) -> bool {
    kernels.isa() != Isa::Portable
}

/// `a b + c` as the level rounds it.
pub(crate) fn multiply_add(kernels: &Kernels, a: f32, b: f32, c: f32) -> f32 {
    if fused(kernels) { a.mul_add(b, c) } else { a * b + c }
}

/// Numbers in [-1, 1) from a seed: xorshift64*.
pub(crate) fn noise(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let high = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        high as f32 / 8_388_608.0 - 1.0
    }
}

impl Layer {
    /// Weights as PyTorch draws them, `U(±1/√hidden_size)`, each gate with a scale of its own, so that
    /// gates that change places show.
    pub(crate) fn random(
        kind: CellKind,
        identity: bool,
        biases: [bool; 2],
        [input_size, hidden_size, time, batch]: [usize; 4],
        seed: u64,
    ) -> Self {
        let mut next = noise(seed);
        let gates = kind.gates();
        let bound = 1.0 / (hidden_size as f32).sqrt();
        let mut matrix = |columns: usize| -> Vec<f32> {
            let scale = |row: usize| bound * [1.0, 0.8, 1.2, 0.9][row / hidden_size];
            (0..gates * hidden_size)
                .flat_map(|row| (0..columns).map(|_| scale(row) * next()).collect::<Vec<_>>())
                .collect()
        };
        let input_weights = matrix(input_size);
        let recurrent_weights = if identity { Vec::new() } else { matrix(hidden_size) };
        let bias = biases[0].then(|| matrix(1));
        let recurrent_bias = biases[1].then(|| matrix(1));
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| next()).collect() };
        let states = batch * hidden_size;
        Self {
            kind,
            identity,
            input_size,
            hidden_size,
            input_weights,
            recurrent_weights,
            bias,
            recurrent_bias,
            time,
            batch,
            input: draw(time * batch * input_size),
            hidden: draw(states),
            cell: if kind.has_cell_state() { draw(states) } else { Vec::new() },
        }
    }

    /// A layer whose gates do what their biases say: each gate's weights are scaled by `scale`.
    pub(crate) fn with_gates(
        kind: CellKind,
        [size, time, batch]: [usize; 3],
        gates: &[(f32, f32)],
    ) -> Self {
        let depth = 3;
        let mut layer = Self::random(kind, false, [true, false], [depth, size, time, batch], 77);
        let bias = layer.bias.as_mut().expect("a bias");
        for (gate, &(scale, value)) in gates.iter().enumerate() {
            let rows = |columns: usize| gate * size * columns..(gate + 1) * size * columns;
            layer.input_weights[rows(depth)].iter_mut().for_each(|weight| *weight *= scale);
            layer.recurrent_weights[rows(size)].iter_mut().for_each(|weight| *weight *= scale);
            bias[rows(1)].fill(value);
        }
        layer
    }

    pub(crate) fn packed(&self, kernels: &Kernels) -> PackedCell {
        kernels.pack_cell(&CellSource {
            kind: self.kind,
            input_size: self.input_size,
            hidden_size: self.hidden_size,
            input_weights: &self.input_weights,
            recurrent: if self.identity {
                RecurrentSource::Identity
            } else {
                RecurrentSource::Matrix(&self.recurrent_weights)
            },
            bias: self.bias.as_deref(),
            recurrent_bias: self.recurrent_bias.as_deref(),
        })
    }

    /// Steps `start..end` of the whole batch, from the layer's own state.
    pub(crate) fn steps(&self, start: usize, end: usize) -> Self {
        let row = self.batch * self.input_size;
        let input = self.input[start * row..end * row].to_vec();
        Self { time: end - start, input, ..self.clone() }
    }

    /// One row of the batch.
    pub(crate) fn row(&self, row: usize) -> Self {
        let of = |numbers: &[f32], size: usize| -> Vec<f32> {
            let per_step = self.batch * size;
            numbers
                .chunks(per_step.max(1))
                .flat_map(|step| step[row * size..][..size].to_vec())
                .collect()
        };
        Self {
            batch: 1,
            input: of(&self.input, self.input_size),
            hidden: of(&self.hidden, self.hidden_size),
            cell: if self.cell.is_empty() { Vec::new() } else { of(&self.cell, self.hidden_size) },
            ..self.clone()
        }
    }

    pub(crate) fn run(&self, kernels: &Kernels) -> Outcome {
        self.run_packed(kernels, &self.packed(kernels))
    }

    pub(crate) fn run_packed(&self, kernels: &Kernels, packed: &PackedCell) -> Outcome {
        let (time, batch, size) = (self.time, self.batch, self.hidden_size);
        let width = packed.projection_width();
        let mut projection = AlignedBuffer::zeroed(time * batch * width);
        kernels.project(
            packed,
            View::time_major(&self.input, [time, batch, self.input_size]),
            ViewMut::time_major(&mut projection, [time, batch, width]),
        );
        let stride = state_stride(size);
        // Padding holds rubbish, which must not matter.
        let padded = |state: &[f32]| -> Vec<f32> {
            state
                .chunks(size.max(1))
                .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(1e30, stride - size)))
                .collect()
        };
        let (mut hidden, mut cell) = (padded(&self.hidden), padded(&self.cell));
        let mut scratch = vec![f32::NAN; packed.scratch_len(batch)];
        let mut output = vec![f32::NAN; time * batch * size];
        kernels.recur(
            packed,
            &mut RecurArgs {
                time,
                batch,
                projection: &projection,
                hidden: &mut hidden,
                cell: &mut cell,
                scratch: &mut scratch,
                output: Some(ViewMut::time_major(&mut output, [time, batch, size])),
                share: None,
            },
        );
        let unpadded = |state: &[f32]| -> Vec<f32> {
            state.chunks(stride).flat_map(|row| row[..size].to_vec()).collect()
        };
        Outcome { output, hidden: unpadded(&hidden), cell: unpadded(&cell) }
    }

    pub(crate) fn reference(&self) -> reference::Recurrent {
        let rows = self.kind.gates() * self.hidden_size;
        let bias = |bias: &Option<Vec<f32>>| {
            bias.as_ref().map_or(vec![0.0; rows], |bias| reference::widen(bias))
        };
        reference::Recurrent {
            cell: reference_cell(self.kind, self.identity),
            input_size: self.input_size,
            hidden_size: self.hidden_size,
            input_weights: reference::widen(&self.input_weights),
            recurrent_weights: reference::widen(&self.recurrent_weights),
            bias: bias(&self.bias),
            recurrent_bias: bias(&self.recurrent_bias),
        }
    }
}

fn reference_cell(kind: CellKind, identity: bool) -> reference::Cell {
    match kind {
        CellKind::Simple { activation } => reference::Cell::Simple {
            activation: reference_activation(activation),
            recurrence: if identity {
                reference::Recurrence::Identity
            } else {
                reference::Recurrence::Matrix
            },
        },
        CellKind::Lstm { activation, recurrent_activation } => reference::Cell::Lstm {
            activation: reference_activation(activation),
            recurrent_activation: reference_activation(recurrent_activation),
        },
        CellKind::Gru { reset, activation, recurrent_activation } => reference::Cell::Gru {
            activation: reference_activation(activation),
            recurrent_activation: reference_activation(recurrent_activation),
            reset: match reset {
                Reset::Before => reference::Reset::BeforeProduct,
                Reset::After => reference::Reset::AfterProduct,
            },
        },
    }
}

pub(crate) fn reference_activation(activation: Activation) -> reference::Activation {
    use reference::Activation as R;
    match activation {
        Activation::Linear => R::Linear,
        Activation::Tanh => R::Tanh,
        Activation::Sigmoid => R::Sigmoid,
        Activation::Relu => R::Relu,
        Activation::LeakyRelu { alpha } => R::LeakyRelu { alpha: alpha.into() },
        Activation::Elu { alpha } => R::Elu { alpha: alpha.into() },
        Activation::Selu => R::Selu,
        Activation::Softplus => R::Softplus,
        Activation::Softsign => R::Softsign,
        Activation::HardSigmoid { slope, offset } => {
            R::HardSigmoid { slope: slope.into(), offset: offset.into() }
        }
        Activation::HardTanh => R::HardTanh,
        Activation::Silu => R::Silu,
        Activation::Gelu => R::Gelu,
        Activation::GeluTanh => R::GeluTanh,
        Activation::Exponential => R::Exponential,
        other => panic!("{other} has no equation in the reference"),
    }
}

/// Activations that keep a random recurrence from overflowing within the tests' steps.
const TAME: [Activation; 13] = [
    Activation::Linear,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::Relu,
    Activation::LeakyRelu { alpha: 0.2 },
    Activation::Elu { alpha: 1.0 },
    Activation::Softsign,
    Activation::HARD_SIGMOID,
    Activation::HARD_SIGMOID_FIFTH,
    Activation::HardTanh,
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
];

/// Any cell: the default ones in half of all cases.
pub(crate) fn kinds() -> impl Strategy<Value = CellKind> {
    let tame = || prop::sample::select(&TAME[..]);
    let reset = || prop::sample::select(vec![Reset::Before, Reset::After]);
    let (tanh, sigmoid) = (Activation::Tanh, Activation::Sigmoid);
    prop_oneof![
        prop::sample::select(vec![tanh, Activation::Relu])
            .prop_map(|activation| CellKind::Simple { activation }),
        Just(CellKind::Lstm { activation: tanh, recurrent_activation: sigmoid }),
        reset().prop_map(move |reset| CellKind::Gru {
            reset,
            activation: tanh,
            recurrent_activation: sigmoid
        }),
        tame().prop_map(|activation| CellKind::Simple { activation }),
        (tame(), tame()).prop_map(|(activation, recurrent_activation)| CellKind::Lstm {
            activation,
            recurrent_activation
        }),
        (reset(), tame(), tame()).prop_map(|(reset, activation, recurrent_activation)| {
            CellKind::Gru { reset, activation, recurrent_activation }
        }),
    ]
}

/// Any layer of moderate size: hidden sizes around vectors' lengths and the bounds of `chains`.
pub(crate) fn layers() -> impl Strategy<Value = Layer> {
    let hidden = prop_oneof![1..=20_usize, 30..=34_usize, 60..=70_usize, Just(100), Just(129)];
    let input = prop_oneof![1..=9_usize, Just(33), Just(64)];
    let time = prop_oneof![1..=8_usize, Just(0)];
    let batch = prop_oneof![1..=9_usize, Just(13), Just(0)];
    (kinds(), any::<bool>(), any::<[bool; 2]>(), (input, hidden, time, batch), any::<u64>())
        .prop_map(|(kind, identity, biases, (input, hidden, time, batch), seed)| {
            let identity = identity && kind.gates() == 1;
            Layer::random(kind, identity, biases, [input, hidden, time, batch], seed)
        })
}

/// Where the outputs of a layer's projection, in the order of gates and units, are in a row of it.
pub(crate) fn projection_places(
    kernels: &Kernels,
    kind: CellKind,
    hidden_size: usize,
) -> Vec<usize> {
    let gates = kind.gates();
    // A single unit fills one vector for each gate, which tells the vectors' length.
    let one = Layer::random(kind, false, [false, false], [1, 1, 0, 0], 0);
    let lanes = one.packed(kernels).projection_width() / gates;
    let place = |(gate, unit): (usize, usize)| (unit / lanes * gates + gate) * lanes + unit % lanes;
    (0..gates).flat_map(|gate| (0..hidden_size).map(move |unit| (gate, unit))).map(place).collect()
}
