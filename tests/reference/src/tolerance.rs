//! How far one step of `f32` code may be from the reference: the one formula, derived in
//! `docs/numerics.md`.

use crate::cell::LstmGates;
use crate::{Activation, Cell, Coupling, Dot, Recurrence, Recurrent, Reset, State, Step};

/// Half the distance from 1 to the next `f32`: the relative error of one rounding.
pub const UNIT_ROUNDOFF: f64 = 1.0 / 16_777_216.0;

/// What the formula of a cell adds to the error of its pre-activations, relative to
/// [`Tolerance`]'s scale: of the fused default cells, and of cells with other activations.
const FUSED_CELL: f64 = 4.5e-7;
const GENERAL_CELL: f64 = 16.0 * UNIT_ROUNDOFF;

/// How the tested code rounds a product that it adds to a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Once: fused multiply-add.
    Fused,
    /// Twice: the product, then the sum.
    Separate,
}

/// The largest error of each number of a state after one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Tolerance {
    /// Of `h`.
    pub hidden: Vec<f64>,
    /// Of `c`; empty unless it is an LSTM's.
    pub cell: Vec<f64>,
}

/// The error of a sum of `terms` products whose magnitudes add up to `dot.magnitude`.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "a count of terms is far below 2^53")]
pub fn dot_tolerance(dot: Dot, terms: usize, rounding: Rounding) -> f64 {
    let per_term = if rounding == Rounding::Fused { 1.0 } else { 2.0 };
    // Four more for the biases' sum and the sums of partial chains; a fifth for what is squared.
    (per_term * terms as f64 + 5.0) * UNIT_ROUNDOFF * dot.magnitude
}

impl Recurrent {
    /// How far the `f32` state after a step may be from `step.state`, if the step began from
    /// `before` exactly.
    ///
    /// # Panics
    ///
    /// If the shapes are not those of the step.
    #[must_use]
    pub fn tolerance(&self, before: &State, step: &Step, rounding: Rounding) -> Tolerance {
        let bounds = Bounds { layer: self, before, step, rounding };
        match self.cell {
            Cell::Simple { activation, .. } => bounds.simple(activation),
            Cell::Lstm { .. } => bounds.lstm(),
            Cell::Gru { activation, recurrent_activation, reset, .. } => {
                bounds.gru(activation, recurrent_activation, reset)
            }
        }
    }

    /// Whether nothing but sums stands between the input and the activations, and nothing but the
    /// usual formula behind them.
    fn is_plain(&self) -> bool {
        let extras = match self.cell {
            Cell::Simple { clip, .. } | Cell::Gru { clip, .. } => clip.is_some(),
            Cell::Lstm { coupling, clip, cell_clip, .. } => {
                coupling != Coupling::None || clip.is_some() || cell_clip.is_some()
            }
        };
        let weights = !self.peepholes.is_empty() || !self.projection.is_empty();
        !extras && !weights && self.recurrence == Recurrence::Matrix
    }
}

/// A step whose errors are to be bounded. A clip moves two numbers no further apart.
struct Bounds<'a> {
    layer: &'a Recurrent,
    before: &'a State,
    step: &'a Step,
    rounding: Rounding,
}

impl Bounds<'_> {
    fn sum_error(&self, row: usize) -> f64 {
        // Two roundings of a peephole or a diagonal.
        let recurrent = match self.layer.recurrence {
            Recurrence::Matrix => self.layer.state_size(),
            Recurrence::Diagonal | Recurrence::Identity => 2,
        };
        let peephole = if self.layer.peepholes.is_empty() { 0 } else { 2 };
        let terms = self.layer.input_size + recurrent + peephole;
        dot_tolerance(self.step.pre_activations[row], terms, self.rounding)
    }

    /// The error of a gate from an error of its sum.
    fn through(&self, activation: Activation, row: usize, error: f64) -> f64 {
        slope(activation, self.step.pre_activations[row].value, error) * error
    }

    /// The error of a gate from the error of its sum alone.
    fn gate_error(&self, activation: Activation, row: usize) -> f64 {
        self.through(activation, row, self.sum_error(row))
    }

    fn gate(&self, index: usize, unit: usize) -> f64 {
        self.step.gates[index * self.layer.hidden_size + unit]
    }

    fn formula(&self, activations: &[Activation], usual: &[Activation]) -> f64 {
        if self.layer.is_plain() && activations == usual { FUSED_CELL } else { GENERAL_CELL }
    }

    fn simple(&self, activation: Activation) -> Tolerance {
        let formula = self.formula(&[activation], &[Activation::Tanh]);
        let hidden = (0..self.layer.hidden_size).map(|j| {
            let scale = self.gate(0, j).abs().max(1.0);
            self.gate_error(activation, j) + formula * scale
        });
        Tolerance { hidden: hidden.collect(), cell: Vec::new() }
    }

    fn lstm(&self) -> Tolerance {
        let Cell::Lstm { activation, recurrent_activation, output_activation, coupling, .. } =
            self.layer.cell
        else {
            unreachable!("asked for by the cell");
        };
        let formula = self.formula(
            &[activation, recurrent_activation, output_activation],
            &[Activation::Tanh, Activation::Sigmoid, Activation::Tanh],
        );
        let size = self.layer.hidden_size;
        let gates = LstmGates::of(coupling);
        let mut tolerance = Tolerance { hidden: Vec::new(), cell: Vec::new() };
        for j in 0..size {
            // A gate and its error; of a gate without weights those of 1 minus the other.
            let one = |gate: usize| {
                let error = self.gate_error(recurrent_activation, gate * size + j);
                (self.gate(gate, j), error)
            };
            let ((i, ei), (f, ef)) = match (gates.input.map(one), gates.forget.map(one)) {
                (Some(i), Some(f)) => (i, f),
                (Some((i, ei)), None) => ((i, ei), (1.0 - i, ei)),
                (None, Some((f, ef))) => ((1.0 - f, ef), (f, ef)),
                (None, None) => unreachable!("one of them has weights"),
            };
            let (g, o) = (self.gate(gates.candidate, j), self.gate(gates.output, j));
            let eg = self.gate_error(activation, gates.candidate * size + j);
            let c = self.before.cell[j].abs();
            let scale = c.max(1.0).max((f * c).abs() + (i * g).abs());
            let cell = c * ef + g.abs() * ei + i.abs() * eg + ei * eg + formula * scale;
            let row = gates.output * size + j;
            let seen = self.layer.peephole(gates.output, j).abs() * cell;
            let eo = self.through(recurrent_activation, row, self.sum_error(row) + seen);
            let new = self.step.state.cell[j];
            let shown = output_activation.apply(new).abs();
            let shown_error = slope(output_activation, new, cell) * cell;
            let hidden = o.abs() * shown_error + shown * eo + eo * shown_error;
            let scale = (o * shown).abs().max(1.0).max(shown);
            tolerance.cell.push(cell);
            tolerance.hidden.push(hidden + formula * scale);
        }
        if !self.layer.projection.is_empty() {
            tolerance.hidden = self.projected(&tolerance.hidden);
        }
        tolerance
    }

    /// The errors of a projection of units with these errors.
    fn projected(&self, errors: &[f64]) -> Vec<f64> {
        // New states below this are zero.
        let flushed = 2.0_f64.powi(-96);
        let rows = self.layer.projection.chunks(self.layer.hidden_size);
        let rows = rows.map(|weights| {
            let products = weights.iter().zip(&self.step.units).map(|(v, unit)| (v * unit).abs());
            let moved: f64 = weights.iter().zip(errors).map(|(v, error)| v.abs() * error).sum();
            let magnitude = products.sum::<f64>() + moved;
            let dot = Dot { value: 0.0, magnitude };
            moved + dot_tolerance(dot, weights.len(), self.rounding) + flushed
        });
        rows.collect()
    }

    fn gru(
        &self,
        activation: Activation,
        recurrent_activation: Activation,
        reset: Reset,
    ) -> Tolerance {
        let formula = self
            .formula(&[activation, recurrent_activation], &[Activation::Tanh, Activation::Sigmoid]);
        let size = self.layer.hidden_size;
        let hidden = &self.before.hidden;
        let reset_errors: Vec<f64> = (0..size)
            .map(|j| {
                let scale = self.gate(1, j).abs().max(1.0);
                self.gate_error(recurrent_activation, size + j) + formula * scale
            })
            .collect();
        // What errors of r do to the candidates' sums.
        let through_reset: Vec<f64> = match reset {
            Reset::AfterProduct => {
                let products = self.layer.recurrent_sums(hidden, 2 * size..3 * size);
                products
                    .iter()
                    .zip(&reset_errors)
                    .map(|(dot, error)| dot.magnitude * error)
                    .collect()
            }
            Reset::BeforeProduct => (2 * size..3 * size)
                .map(|row| {
                    let moved = |k: usize| {
                        (self.recurrent_weight(row, k) * hidden[k]).abs() * reset_errors[k]
                    };
                    (0..size).map(moved).sum()
                })
                .collect(),
        };
        let hidden = (0..size).map(|j| {
            let row = 2 * size + j;
            let en = self.through(activation, row, self.sum_error(row) + through_reset[j]);
            let ez = self.gate_error(recurrent_activation, j);
            let (z, n, h) = (self.gate(0, j), self.gate(2, j), hidden[j]);
            let blend = (h - n).abs() * ez + (1.0 - z).abs() * en + ez * en;
            let scale = h.abs().max(1.0).max((z * h).abs() + ((1.0 - z) * n).abs());
            blend + formula * scale
        });
        Tolerance { hidden: hidden.collect(), cell: Vec::new() }
    }

    /// What unit `column` of h weighs in a row of gates.
    fn recurrent_weight(&self, row: usize, column: usize) -> f64 {
        let (weights, size) = (&self.layer.recurrent_weights, self.layer.hidden_size);
        let own = row % size == column;
        match self.layer.recurrence {
            Recurrence::Matrix => weights[row * size + column],
            Recurrence::Diagonal if own => weights[row],
            Recurrence::Identity if own => 1.0,
            Recurrence::Diagonal | Recurrence::Identity => 0.0,
        }
    }
}

/// The steepest slope of an activation within `error` of `x`.
fn slope(activation: Activation, x: f64, error: f64) -> f64 {
    match activation {
        Activation::Sigmoid => 0.25,
        Activation::LeakyRelu { alpha } | Activation::Elu { alpha } => alpha.abs().max(1.0),
        Activation::Selu => 1.7581,
        Activation::HardSigmoid { slope, .. } => slope.abs(),
        Activation::ScaledTanh { alpha, beta } => (alpha * beta).abs(),
        Activation::Affine { alpha, .. } => alpha.abs(),
        // At the threshold a step of its height, on the way to the next number.
        Activation::ThresholdedRelu { alpha } if error > 0.0 && (x - alpha).abs() <= error => {
            1.0 + alpha.abs() / error
        }
        Activation::Silu => 1.0999,
        Activation::Gelu | Activation::GeluTanh => 1.13,
        Activation::Exponential => (x + error).exp(),
        Activation::Linear
        | Activation::Tanh
        | Activation::Relu
        | Activation::Relu6
        | Activation::ThresholdedRelu { .. }
        | Activation::Softplus
        | Activation::Softsign
        | Activation::HardTanh => 1.0,
    }
}
