//! A random recurrent layer in one direction, run by the kernels of any level.

#![allow(dead_code, reason = "each test takes what it needs")]

pub(crate) mod checks;
mod random;
mod truth;

use ritornello_kernels::{
    Activation, AlignedBuffer, Cell, CellSource, GruReset, Isa, Kernels, PackedCell, Precision,
    RecurArgs, RecurrentSource, StepOrder, Tune, View, ViewMut, from_bf16, to_bf16,
};
use ritornello_reference::Recurrence;

#[allow(unused_imports, reason = "each test takes what it needs")]
pub(crate) use random::{kinds, layers};
#[allow(unused_imports, reason = "each test takes what it needs")]
pub(crate) use truth::reference_activation;

pub(crate) const TANH: Activation = Activation::Tanh;
pub(crate) const SIGMOID: Activation = Activation::Sigmoid;
pub(crate) const RNN: Cell = Cell::SIMPLE_RNN;
pub(crate) const LSTM: Cell = Cell::LSTM;
pub(crate) const GRU_AFTER: Cell = Cell::gru(GruReset::AfterMatmul);
pub(crate) const GRU_BEFORE: Cell = Cell::gru(GruReset::BeforeMatmul);

/// What a layer's weights are beside W and a bias.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extras {
    pub(crate) recurrence: Recurrence,
    pub(crate) peepholes: bool,
    /// Features of a projected h.
    pub(crate) projection: Option<usize>,
}

impl Extras {
    /// A recurrent matrix.
    pub(crate) const NONE: Self =
        Self { recurrence: Recurrence::Matrix, peepholes: false, projection: None };
}

/// A layer with its input and initial state.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) kind: Cell,
    pub(crate) precision: Precision,
    pub(crate) tune: Tune,
    pub(crate) recurrence: Recurrence,
    pub(crate) input_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) input_weights: Vec<f32>,
    pub(crate) recurrent_weights: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
    pub(crate) recurrent_bias: Option<Vec<f32>>,
    pub(crate) peepholes: Option<Vec<f32>>,
    pub(crate) projection: Option<Vec<f32>>,
    pub(crate) time: usize,
    pub(crate) batch: usize,
    /// `[time, batch, input_size]`
    pub(crate) input: Vec<f32>,
    /// `[batch, state_size]`
    pub(crate) hidden: Vec<f32>,
    /// `[batch, hidden_size]`
    pub(crate) cell: Vec<f32>,
}

/// All hidden states `[time, batch, state_size]` and the final states `[batch, state_size]` and
/// `[batch, hidden_size]`.
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

/// Rounds numbers to bf16.
pub(crate) fn in_bf16(numbers: &mut [f32]) {
    numbers.iter_mut().for_each(|number| *number = from_bf16(to_bf16(*number)));
}

/// All levels as they are on a CPU without a matrix unit.
pub(crate) fn without_unit() -> Vec<&'static Kernels> {
    let plain = |kernels: &'static Kernels| match kernels.has_matrix_unit() {
        false => kernels,
        // SAFETY: the CPU has the level.
        true => unsafe { kernels.isa().kernels_with_matrix_unit(false) }.expect("a level with one"),
    };
    Kernels::available().into_iter().map(plain).collect()
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
        kind: Cell,
        extras: Extras,
        biases: [bool; 2],
        [input_size, hidden_size, time, batch]: [usize; 4],
        seed: u64,
    ) -> Self {
        let mut next = noise(seed);
        let gates = kind.gates().len();
        let bound = 1.0 / (hidden_size as f32).sqrt();
        let state_size = extras.projection.unwrap_or(hidden_size);
        let mut matrix = |columns: usize| -> Vec<f32> {
            let scale = |row: usize| bound * [1.0, 0.8, 1.2, 0.9][row / hidden_size];
            (0..gates * hidden_size)
                .flat_map(|row| (0..columns).map(|_| scale(row) * next()).collect::<Vec<_>>())
                .collect()
        };
        let input_weights = matrix(input_size);
        let recurrent_weights = match extras.recurrence {
            Recurrence::Matrix => matrix(state_size),
            Recurrence::Diagonal => matrix(1),
            Recurrence::Identity => Vec::new(),
        };
        let bias = biases[0].then(|| matrix(1));
        let recurrent_bias = biases[1].then(|| matrix(1));
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| next()).collect() };
        let peepholes = match kind {
            Cell::Lstm(lstm) if extras.peepholes => {
                Some(draw(lstm.peephole_gates().len() * hidden_size))
            }
            _ => None,
        };
        let projection = extras.projection.map(|size| draw(size * hidden_size));
        let projection =
            projection.map(|numbers| numbers.iter().map(|number| bound * number).collect());
        Self {
            kind,
            precision: Precision::F32,
            tune: Tune::Latency,
            recurrence: extras.recurrence,
            input_size,
            hidden_size,
            input_weights,
            recurrent_weights,
            bias,
            recurrent_bias,
            peepholes,
            projection,
            time,
            batch,
            input: draw(time * batch * input_size),
            hidden: draw(batch * state_size),
            cell: if kind.has_cell_state() { draw(batch * hidden_size) } else { Vec::new() },
        }
    }

    /// A layer whose gates do what their biases say: each gate's weights are scaled by `scale`.
    pub(crate) fn with_gates(
        kind: Cell,
        [size, time, batch]: [usize; 3],
        gates: &[(f32, f32)],
    ) -> Self {
        let depth = 3;
        let mut layer =
            Self::random(kind, Extras::NONE, [true, false], [depth, size, time, batch], 77);
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
        let source = CellSource {
            kind: self.kind,
            input_size: self.input_size,
            hidden_size: self.hidden_size,
            input_weights: &self.input_weights,
            recurrent: match self.recurrence {
                Recurrence::Matrix => RecurrentSource::Matrix(&self.recurrent_weights),
                Recurrence::Diagonal => RecurrentSource::Diagonal(&self.recurrent_weights),
                Recurrence::Identity => RecurrentSource::Identity,
            },
            bias: self.bias.as_deref(),
            recurrent_bias: self.recurrent_bias.as_deref(),
            peepholes: self.peepholes.as_deref(),
            projection: self.projection.as_deref(),
        };
        kernels.pack_cell(&source, self.precision, self.tune)
    }

    /// The same with matrices of bf16.
    pub(crate) fn in_bf16(mut self) -> Self {
        in_bf16(&mut self.input_weights);
        if self.recurrence == Recurrence::Matrix {
            in_bf16(&mut self.recurrent_weights);
        }
        self.projection.iter_mut().for_each(|projection| in_bf16(projection));
        Self { precision: Precision::Bf16, ..self }
    }

    pub(crate) fn state_size(&self) -> usize {
        self.projection.as_ref().map_or(self.hidden_size, |v| v.len() / self.hidden_size)
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
            hidden: of(&self.hidden, self.state_size()),
            cell: if self.cell.is_empty() { Vec::new() } else { of(&self.cell, self.hidden_size) },
            ..self.clone()
        }
    }

    pub(crate) fn run(&self, kernels: &Kernels) -> Outcome {
        self.run_packed(kernels, &self.packed(kernels))
    }

    pub(crate) fn run_packed(&self, kernels: &Kernels, packed: &PackedCell) -> Outcome {
        self.run_in(kernels, packed, packed.step_order())
    }

    /// With the pre-activations of each step in an order.
    pub(crate) fn run_in(
        &self,
        kernels: &Kernels,
        packed: &PackedCell,
        order: StepOrder,
    ) -> Outcome {
        let (time, batch, size) = (self.time, self.batch, self.state_size());
        let width = packed.projection_width();
        let mut projection = AlignedBuffer::zeroed(time * batch * width);
        let input = View::time_major(&self.input, [time, batch, self.input_size]);
        let mut scratch = vec![f32::NAN; packed.projection_scratch_len(time * batch)];
        match order {
            StepOrder::Rows => {
                let rows = ViewMut::time_major(&mut projection, [time, batch, width]);
                kernels.project(packed, input, rows, &mut scratch);
            }
            StepOrder::Panels => {
                kernels.project_steps(packed, input, &mut projection, &mut scratch);
            }
        }
        let of_hidden = [size, packed.hidden_stride()];
        let of_cell = [self.hidden_size, packed.cell_stride()];
        // Padding holds rubbish, which must not matter.
        let padded = |state: &[f32], [size, stride]: [usize; 2]| -> Vec<f32> {
            state
                .chunks(size.max(1))
                .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(1e30, stride - size)))
                .collect()
        };
        let (mut hidden, mut cell) = (padded(&self.hidden, of_hidden), padded(&self.cell, of_cell));
        let mut scratch = vec![f32::NAN; packed.scratch_len(batch)];
        let mut output = vec![f32::NAN; time * batch * size];
        kernels.recur(
            packed,
            &mut RecurArgs {
                time,
                batch,
                projection: &projection,
                order,
                hidden: &mut hidden,
                cell: &mut cell,
                scratch: &mut scratch,
                output: Some(ViewMut::time_major(&mut output, [time, batch, size])),
                share: None,
            },
        );
        let unpadded = |state: &[f32], [size, stride]: [usize; 2]| -> Vec<f32> {
            state.chunks(stride).flat_map(|row| row[..size].to_vec()).collect()
        };
        Outcome { output, hidden: unpadded(&hidden, of_hidden), cell: unpadded(&cell, of_cell) }
    }
}

/// The pre-activations of as many units as a vector holds: a single one fills a vector for each gate.
pub(crate) fn width_of_a_vector_of_units(kernels: &Kernels, kind: Cell) -> usize {
    let one = Layer::random(kind, Extras::NONE, [false, false], [1, 1, 0, 0], 0);
    one.packed(kernels).projection_width()
}

/// Where the outputs of a layer's projection, in the order of gates and units, are in a row of it.
pub(crate) fn projection_places(kernels: &Kernels, kind: Cell, hidden_size: usize) -> Vec<usize> {
    let gates = kind.gates().len();
    let lanes = width_of_a_vector_of_units(kernels, kind) / gates;
    let place = |(gate, unit): (usize, usize)| (unit / lanes * gates + gate) * lanes + unit % lanes;
    (0..gates).flat_map(|gate| (0..hidden_size).map(move |unit| (gate, unit))).map(place).collect()
}
