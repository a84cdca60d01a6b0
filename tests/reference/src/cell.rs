//! One step of each cell.
//!
//! Symbols of the equations: `x` input, `h` hidden state, `c` cell state before the step, a prime
//! after it; `W` input weights, `U` recurrent weights, `b` bias, `b'` recurrent bias, a subscript
//! its block of a gate; `⊙` elementwise.

use crate::{Activation, Dot, affine, widen};

/// Which equations a layer steps with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// Simple (Elman) RNN, 1 gate.
    ///
    /// ```text
    /// h' = activation(W x + b + U h + b')
    /// ```
    Simple {
        /// Of the new state.
        activation: Activation,
        /// Whether there is a `U`.
        recurrence: Recurrence,
    },
    /// LSTM, 4 gates in the order `i f g o`.
    ///
    /// ```text
    /// i = recurrent_activation(W_i x + b_i + U_i h + b'_i)      how much of the candidate enters
    /// f = recurrent_activation(W_f x + b_f + U_f h + b'_f)      how much of the cell state stays
    /// g =           activation(W_g x + b_g + U_g h + b'_g)      candidate
    /// o = recurrent_activation(W_o x + b_o + U_o h + b'_o)      how much of the cell state shows
    /// c' = f ⊙ c + i ⊙ g
    /// h' = o ⊙ activation(c')
    /// ```
    Lstm {
        /// Of the candidate, and of the cell state on its way out.
        activation: Activation,
        /// Of the gates `i`, `f` and `o`.
        recurrent_activation: Activation,
    },
    /// GRU, 3 gates in the order `z r n`.
    ///
    /// ```text
    /// z = recurrent_activation(W_z x + b_z + U_z h + b'_z)      how much of the state stays
    /// r = recurrent_activation(W_r x + b_r + U_r h + b'_r)      how much of the state the candidate sees
    /// n = activation(W_n x + b_n + U_n (r ⊙ h) + b'_n)          candidate, reset before the product
    /// n = activation(W_n x + b_n + r ⊙ (U_n h + b'_n))          candidate, reset after the product
    /// h' = z ⊙ h + (1 - z) ⊙ n
    /// ```
    Gru {
        /// Of the candidate.
        activation: Activation,
        /// Of the gates `z` and `r`.
        recurrent_activation: Activation,
        /// Where `r` acts.
        reset: Reset,
    },
}

/// What a simple RNN adds from its last state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// `U h`
    Matrix,
    /// `h` itself: there are no recurrent weights.
    Identity,
}

/// Where the reset gate of a GRU acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// On the state, before the product: `U_n (r ⊙ h) + b'_n`.
    BeforeProduct,
    /// On the product and its bias: `r ⊙ (U_n h + b'_n)`.
    AfterProduct,
}

/// A recurrent layer in one direction: equations, sizes and weights.
///
/// Gate blocks follow each other along the rows of every array, in the order that [`Cell`] states.
/// A layer with one bias has zeros in the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// The equations.
    pub cell: Cell,
    /// Numbers per step of the input.
    pub input_size: usize,
    /// Numbers per state.
    pub hidden_size: usize,
    /// `W [gates×hidden_size, input_size]`, row-major.
    pub input_weights: Vec<f64>,
    /// `U [gates×hidden_size, hidden_size]`, row-major; empty for [`Recurrence::Identity`].
    pub recurrent_weights: Vec<f64>,
    /// `b [gates×hidden_size]`
    pub bias: Vec<f64>,
    /// `b' [gates×hidden_size]`
    pub recurrent_bias: Vec<f64>,
}

/// What a layer remembers between two steps, for one row of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// `h [hidden_size]`, which is also the output of the step that made it.
    pub hidden: Vec<f64>,
    /// `c [hidden_size]` of an LSTM, empty for other cells.
    pub cell: Vec<f64>,
}

impl State {
    /// A state of `f32` code, exactly; `cell` is empty unless it is an LSTM's.
    #[must_use]
    pub fn from_f32(hidden: &[f32], cell: &[f32]) -> Self {
        Self { hidden: widen(hidden), cell: widen(cell) }
    }
}

/// The outcome of one step, and what a bound of its rounding error is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The state after the step.
    pub state: State,
    /// The arguments of the gates' activations, `[gates×hidden_size]`. The magnitude is that of all
    /// terms, of `W x + b` and of the recurrent part (for the candidate of a GRU: with `r` as a
    /// factor in them).
    pub pre_activations: Vec<Dot>,
    /// The gates, `[gates×hidden_size]`: the activations of `pre_activations`.
    pub gates: Vec<f64>,
}

impl Recurrent {
    /// The number of gate blocks: 1 for a simple RNN, 4 for LSTM, 3 for GRU.
    #[must_use]
    pub fn gates(&self) -> usize {
        match self.cell {
            Cell::Simple { .. } => 1,
            Cell::Lstm { .. } => 4,
            Cell::Gru { .. } => 3,
        }
    }

    /// The state of zeros.
    #[must_use]
    pub fn zero_state(&self) -> State {
        let cell_size = if matches!(self.cell, Cell::Lstm { .. }) { self.hidden_size } else { 0 };
        State { hidden: vec![0.0; self.hidden_size], cell: vec![0.0; cell_size] }
    }

    /// One step from the state `before`, which may come from anywhere: a test restarts here from
    /// the `f32` state of the code it tests ([`State::from_f32`]).
    ///
    /// # Panics
    /// If the shape of the input, the state or a weight is not what the sizes say.
    #[must_use]
    pub fn step(&self, input: &[f64], before: &State) -> Step {
        let rows = self.gates() * self.hidden_size;
        let zero_state = self.zero_state();
        assert_eq!(input.len(), self.input_size, "input is not [input_size]");
        assert_eq!(before.hidden.len(), zero_state.hidden.len(), "h is not [hidden_size]");
        assert_eq!(
            before.cell.len(),
            zero_state.cell.len(),
            "c is not [hidden_size], or not of an LSTM"
        );
        assert_eq!(self.bias.len(), rows, "bias is not [gates×hidden_size]");
        assert_eq!(self.recurrent_bias.len(), rows, "recurrent_bias is not [gates×hidden_size]");

        let size = self.hidden_size;
        let from_input = affine(&self.input_weights, input, &self.bias);
        let from_hidden = match self.cell {
            Cell::Simple { recurrence: Recurrence::Identity, .. } => {
                assert!(self.recurrent_weights.is_empty(), "an identity recurrence has no weights");
                (0..size)
                    .map(|j| Dot::of(before.hidden[j]) + Dot::of(self.recurrent_bias[j]))
                    .collect()
            }
            _ => affine(&self.recurrent_weights, &before.hidden, &self.recurrent_bias),
        };
        // gate blocks: row = gate·size + j
        let mut sums: Vec<Dot> = (0..rows).map(|row| from_input[row] + from_hidden[row]).collect();
        let mut gates = vec![0.0; rows];
        let mut state = self.zero_state();
        match self.cell {
            Cell::Simple { activation, .. } => {
                for j in 0..size {
                    gates[j] = activation.apply(sums[j].value);
                    state.hidden[j] = gates[j];
                }
            }
            Cell::Lstm { activation, recurrent_activation } => {
                // i f g o
                for j in 0..size {
                    let i = recurrent_activation.apply(sums[j].value);
                    let f = recurrent_activation.apply(sums[size + j].value);
                    let g = activation.apply(sums[2 * size + j].value);
                    let o = recurrent_activation.apply(sums[3 * size + j].value);
                    (gates[j], gates[size + j], gates[2 * size + j], gates[3 * size + j]) =
                        (i, f, g, o);
                    state.cell[j] = f * before.cell[j] + i * g;
                    state.hidden[j] = o * activation.apply(state.cell[j]);
                }
            }
            Cell::Gru { activation, recurrent_activation, reset } => {
                for row in 0..2 * size {
                    gates[row] = recurrent_activation.apply(sums[row].value);
                }
                // z r n: the sums of n wait for r
                let (z, r) = (gates[..size].to_vec(), gates[size..2 * size].to_vec());
                let reset_hidden: Vec<f64> = (0..size).map(|j| r[j] * before.hidden[j]).collect();
                let from_reset_hidden = affine(
                    &self.recurrent_weights[2 * size * size..],
                    &reset_hidden,
                    &self.recurrent_bias[2 * size..],
                );
                for j in 0..size {
                    let row = 2 * size + j;
                    sums[row] = from_input[row]
                        + match reset {
                            Reset::BeforeProduct => from_reset_hidden[j],
                            Reset::AfterProduct => from_hidden[row].scaled(r[j]),
                        };
                    gates[row] = activation.apply(sums[row].value);
                    state.hidden[j] = z[j] * before.hidden[j] + (1.0 - z[j]) * gates[row];
                }
            }
        }
        Step { state, pre_activations: sums, gates }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation::{Linear, Relu, Sigmoid, Tanh};

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found_one, expected_one) in found.iter().zip(expected) {
            assert!((found_one - expected_one).abs() < 1e-14, "{found:?}, expected {expected:?}");
        }
    }

    /// Sizes of 1, and biases such that at `x` and `h` the pre-activations are `sums`.
    fn layer_of_one(cell: Cell, sums: &[f64], x: f64, h: f64) -> Recurrent {
        let gates = sums.len();
        let weights =
            |scale: f64| (0..gates).map(|gate| scale * (gate + 1) as f64).collect::<Vec<f64>>();
        let (input_weights, recurrent_weights, recurrent_bias) =
            (weights(0.5), weights(-0.3), weights(0.7));
        let bias = (0..gates)
            .map(|gate| {
                sums[gate]
                    - input_weights[gate] * x
                    - recurrent_weights[gate] * h
                    - recurrent_bias[gate]
            })
            .collect();
        Recurrent {
            cell,
            input_size: 1,
            hidden_size: 1,
            input_weights,
            recurrent_weights,
            bias,
            recurrent_bias,
        }
    }

    /// `sigmoid(ln a) = a / (a + 1)` and `tanh(ln a) = (a² - 1) / (a² + 1)` make steps that one can
    /// do by hand.
    #[test]
    fn lstm_by_hand() {
        let cell = Cell::Lstm { activation: Tanh, recurrent_activation: Sigmoid };
        let [ln2, ln3, ln4] = [2.0_f64.ln(), 3.0_f64.ln(), 4.0_f64.ln()];
        let layer = layer_of_one(cell, &[ln3, -ln3, ln2, ln4], 0.8, -0.6);
        // c' = 1/4·c + 3/4·3/5 shall be ln 2
        let before = State { hidden: vec![-0.6], cell: vec![4.0 * (ln2 - 0.45)] };
        let step = layer.step(&[0.8], &before);
        assert_close(&step.gates, &[0.75, 0.25, 0.6, 0.8]);
        assert_close(&step.state.cell, &[ln2]);
        assert_close(&step.state.hidden, &[0.8 * 0.6]);
    }

    #[test]
    fn gru_by_hand_in_both_reset_modes() {
        let [ln2, ln3] = [2.0_f64.ln(), 3.0_f64.ln()];
        let (x, h) = (0.8, -0.6);
        // z = 3/4, r = 1/4. For the candidate U h + b' is 0.54 + 2.1 = 2.64, of which b' is 2.1:
        // r·2.64 is 1.98 less than 2.64, and r·0.54 + 2.1 is 0.405 less.
        for (reset, less) in [(Reset::AfterProduct, 1.98), (Reset::BeforeProduct, 0.405)] {
            let cell = Cell::Gru { activation: Tanh, recurrent_activation: Sigmoid, reset };
            let layer = layer_of_one(cell, &[ln3, -ln3, ln2 + less], x, h);
            let step = layer.step(&[x], &State { hidden: vec![h], cell: vec![] });
            assert_close(&step.gates, &[0.75, 0.25, 0.6]);
            assert_close(&step.state.hidden, &[0.75 * -0.6 + 0.25 * 0.6]);
            let recurrent =
                if reset == Reset::AfterProduct { 2.64 / 4.0 } else { 0.54 / 4.0 + 2.1 };
            let magnitude = 1.5 * x + layer.bias[2].abs() + recurrent;
            assert_close(&[step.pre_activations[2].magnitude], &[magnitude]);
        }
    }

    #[test]
    fn simple_by_hand_with_a_matrix_and_with_the_identity() {
        let mut layer = Recurrent {
            cell: Cell::Simple { activation: Relu, recurrence: Recurrence::Matrix },
            input_size: 1,
            hidden_size: 2,
            input_weights: vec![2.0, -3.0],
            recurrent_weights: vec![1.0, 2.0, 4.0, 8.0],
            bias: vec![0.5, 0.25],
            recurrent_bias: vec![16.0, -32.0],
        };
        let before = State { hidden: vec![1.0, -1.5], cell: vec![] };
        let step = layer.step(&[3.0], &before);
        assert_eq!(step.pre_activations[0], Dot { value: 20.5, magnitude: 26.5 });
        assert_eq!(step.pre_activations[1], Dot { value: -48.75, magnitude: 57.25 });
        assert_eq!(step.state.hidden, [20.5, 0.0]);

        layer.cell = Cell::Simple { activation: Linear, recurrence: Recurrence::Identity };
        layer.recurrent_weights = vec![];
        let step = layer.step(&[3.0], &before);
        assert_eq!(step.state.hidden, [6.0 + 0.5 + 1.0 + 16.0, -9.0 + 0.25 - 1.5 - 32.0]);
        assert_eq!(step.pre_activations[1].magnitude, 9.0 + 0.25 + 1.5 + 32.0);
    }

    #[test]
    #[should_panic(expected = "recurrent_bias is not [gates×hidden_size]")]
    fn a_wrong_shape_panics() {
        let cell = Cell::Simple { activation: Tanh, recurrence: Recurrence::Matrix };
        let mut layer = layer_of_one(cell, &[0.0], 0.0, 0.0);
        layer.recurrent_bias.clear();
        let _ = layer.step(&[0.0], &layer.zero_state());
    }
}
