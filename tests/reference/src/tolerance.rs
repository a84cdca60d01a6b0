//! How far one step of `f32` code may be from the reference: the one formula, derived in
//! `docs/numerics.md`.

use crate::{Activation, Cell, Dot, Recurrent, Reset, State, Step, affine};

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
        let size = self.hidden_size;
        let terms = self.input_size + size;
        let sum_error = |row: usize| dot_tolerance(step.pre_activations[row], terms, rounding);
        // The error of a gate from the error of its sum alone.
        let gate_error = |activation: Activation, row: usize| {
            let error = sum_error(row);
            slope(activation, step.pre_activations[row].value, error) * error
        };
        let gate = |index: usize, unit: usize| step.gates[index * size + unit];
        let mut tolerance = Tolerance { hidden: vec![0.0; size], cell: Vec::new() };
        match self.cell {
            Cell::Simple { activation, .. } => {
                let formula =
                    if activation == Activation::Tanh { FUSED_CELL } else { GENERAL_CELL };
                for j in 0..size {
                    let scale = gate(0, j).abs().max(1.0);
                    tolerance.hidden[j] = gate_error(activation, j) + formula * scale;
                }
            }
            Cell::Lstm { activation, recurrent_activation } => {
                let formula = formula(activation, recurrent_activation);
                for j in 0..size {
                    let (i, f, g, o) = (gate(0, j), gate(1, j), gate(2, j), gate(3, j));
                    let [ei, ef, eo] =
                        [0, 1, 3].map(|k| gate_error(recurrent_activation, k * size + j));
                    let eg = gate_error(activation, 2 * size + j);
                    let c = before.cell[j].abs();
                    let scale = c.max(1.0).max((f * c).abs() + (i * g).abs());
                    let cell = c * ef + g.abs() * ei + i.abs() * eg + ei * eg + formula * scale;
                    let shown = activation.apply(step.state.cell[j]).abs();
                    let shown_error = slope(activation, step.state.cell[j], cell) * cell;
                    let hidden = o.abs() * shown_error + shown * eo + eo * shown_error;
                    let scale = (o * shown).abs().max(1.0).max(shown);
                    tolerance.cell.push(cell);
                    tolerance.hidden[j] = hidden + formula * scale;
                }
            }
            Cell::Gru { activation, recurrent_activation, reset } => {
                let formula = formula(activation, recurrent_activation);
                let products = self.candidate_products(before, step, reset);
                let reset_errors: Vec<f64> = (0..size)
                    .map(|j| {
                        let scale = gate(1, j).abs().max(1.0);
                        gate_error(recurrent_activation, size + j) + formula * scale
                    })
                    .collect();
                for j in 0..size {
                    let row = 2 * size + j;
                    // What an error of r does to the candidate's sum.
                    let through_reset: f64 = match reset {
                        Reset::AfterProduct => reset_errors[j] * products[j],
                        Reset::BeforeProduct => (0..size)
                            .map(|k| {
                                let weight = self.recurrent_weights[row * size + k];
                                (weight * before.hidden[k]).abs() * reset_errors[k]
                            })
                            .sum(),
                    };
                    let sum = sum_error(row) + through_reset;
                    let en = slope(activation, step.pre_activations[row].value, sum) * sum;
                    let ez = gate_error(recurrent_activation, j);
                    let (z, n, h) = (gate(0, j), gate(2, j), before.hidden[j]);
                    let blend = (h - n).abs() * ez + (1.0 - z).abs() * en + ez * en;
                    let scale = h.abs().max(1.0).max((z * h).abs() + ((1.0 - z) * n).abs());
                    tolerance.hidden[j] = blend + formula * scale;
                }
            }
        }
        tolerance
    }

    /// |U h + b'| of each candidate of a GRU that resets after the product.
    fn candidate_products(&self, before: &State, step: &Step, reset: Reset) -> Vec<f64> {
        let size = self.hidden_size;
        assert_eq!(step.gates.len(), 3 * size, "gates of a GRU");
        if reset == Reset::BeforeProduct {
            return Vec::new();
        }
        let weights = &self.recurrent_weights[2 * size * size..];
        let products = affine(weights, &before.hidden, &self.recurrent_bias[2 * size..]);
        products.iter().map(|product| product.magnitude).collect()
    }
}

fn formula(activation: Activation, recurrent_activation: Activation) -> f64 {
    if (activation, recurrent_activation) == (Activation::Tanh, Activation::Sigmoid) {
        FUSED_CELL
    } else {
        GENERAL_CELL
    }
}

/// The steepest slope of an activation within `error` of `x`.
fn slope(activation: Activation, x: f64, error: f64) -> f64 {
    match activation {
        Activation::Sigmoid => 0.25,
        Activation::LeakyRelu { alpha } | Activation::Elu { alpha } => alpha.abs().max(1.0),
        Activation::Selu => 1.7581,
        Activation::HardSigmoid { slope, .. } => slope.abs(),
        Activation::Silu => 1.0999,
        Activation::Gelu | Activation::GeluTanh => 1.13,
        Activation::Exponential => (x + error).exp(),
        Activation::Linear
        | Activation::Tanh
        | Activation::Relu
        | Activation::Softplus
        | Activation::Softsign
        | Activation::HardTanh => 1.0,
    }
}
