//! One step of each cell.
//!
//! Symbols of the equations: `x` input, `h` hidden state, `c` cell state before the step, a prime
//! after it; `W` input weights, `U` recurrent weights, `b` bias, `b'` recurrent bias, `p` peepholes,
//! `V` projection, a subscript its block of a gate; `⊙` elementwise; `[ ]` bounds to ±clip, if there
//! is one.

use std::ops::Range;

use crate::{Activation, Dot, affine, widen};

/// Which equations a layer steps with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// Simple (Elman) RNN, 1 gate.
    ///
    /// ```text
    /// h' = activation([W x + b + U h + b'])
    /// ```
    Simple {
        /// Of the new state.
        activation: Activation,
        /// Of the sum.
        clip: Option<f64>,
    },
    /// LSTM, 4 gates in the order `i f g o`; coupled, 3 gates `i g o` or `f g o`.
    ///
    /// ```text
    /// i = recurrent_activation([W_i x + b_i + U_i h + b'_i + p_i ⊙ c])      how much of the candidate enters
    /// f = recurrent_activation([W_f x + b_f + U_f h + b'_f + p_f ⊙ c])      how much of the cell state stays
    /// g =           activation([W_g x + b_g + U_g h + b'_g])                candidate
    /// c' = [f ⊙ c + i ⊙ g]
    /// o = recurrent_activation([W_o x + b_o + U_o h + b'_o + p_o ⊙ c'])     how much of the cell state shows
    /// h' = o ⊙ output_activation(c'), or [V (o ⊙ output_activation(c'))]
    /// ```
    Lstm {
        /// Of the candidate.
        activation: Activation,
        /// Of the gates `i`, `f` and `o`.
        recurrent_activation: Activation,
        /// Of the cell state on its way out.
        output_activation: Activation,
        /// Whether one of `i` and `f` is made of the other.
        coupling: Coupling,
        /// Of the sums.
        clip: Option<f64>,
        /// Of the new cell state.
        cell_clip: Option<f64>,
        /// Of the projection.
        projection_clip: Option<f64>,
    },
    /// GRU, 3 gates in the order `z r n`.
    ///
    /// ```text
    /// z = recurrent_activation([W_z x + b_z + U_z h + b'_z])      how much of the state stays
    /// r = recurrent_activation([W_r x + b_r + U_r h + b'_r])      how much of the state the candidate sees
    /// n = activation([W_n x + b_n + U_n (r ⊙ h) + b'_n])          candidate, reset before the product
    /// n = activation([W_n x + b_n + r ⊙ (U_n h + b'_n)])          candidate, reset after the product
    /// h' = z ⊙ h + (1 - z) ⊙ n
    /// ```
    Gru {
        /// Of the candidate.
        activation: Activation,
        /// Of the gates `z` and `r`.
        recurrent_activation: Activation,
        /// Where `r` acts.
        reset: Reset,
        /// Of the sums.
        clip: Option<f64>,
    },
}

/// Which gate of an LSTM is one minus the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coupling {
    /// None.
    None,
    /// `f = 1 - i`
    ForgetFromInput,
    /// `i = 1 - f`
    InputFromForget,
}

/// What the last state is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// `U h`
    Matrix,
    /// `u ⊙ h`: one number for each gate and unit.
    Diagonal,
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

impl Cell {
    /// A simple RNN without a clip.
    #[must_use]
    pub fn simple(activation: Activation) -> Self {
        Self::Simple { activation, clip: None }
    }

    /// An LSTM of two activations and nothing else.
    #[must_use]
    pub fn lstm(activation: Activation, recurrent_activation: Activation) -> Self {
        Self::Lstm {
            activation,
            recurrent_activation,
            output_activation: activation,
            coupling: Coupling::None,
            clip: None,
            cell_clip: None,
            projection_clip: None,
        }
    }

    /// A GRU without a clip.
    #[must_use]
    pub fn gru(reset: Reset, activation: Activation, recurrent_activation: Activation) -> Self {
        Self::Gru { activation, recurrent_activation, reset, clip: None }
    }

    /// The number of gate blocks.
    #[must_use]
    pub fn gates(&self) -> usize {
        match self {
            Self::Simple { .. } => 1,
            Self::Lstm { coupling: Coupling::None, .. } => 4,
            Self::Lstm { .. } | Self::Gru { .. } => 3,
        }
    }
}

/// Where an LSTM's gates are among its blocks.
pub(crate) struct LstmGates {
    pub(crate) input: Option<usize>,
    pub(crate) forget: Option<usize>,
    pub(crate) candidate: usize,
    pub(crate) output: usize,
}

impl LstmGates {
    pub(crate) fn of(coupling: Coupling) -> Self {
        let (input, forget, candidate) = match coupling {
            Coupling::None => (Some(0), Some(1), 2),
            Coupling::ForgetFromInput => (Some(0), None, 1),
            Coupling::InputFromForget => (None, Some(0), 1),
        };
        Self { input, forget, candidate, output: candidate + 1 }
    }

    /// The gates with peepholes, in their order.
    pub(crate) fn with_peepholes(&self) -> impl Iterator<Item = usize> + use<> {
        [self.input, self.forget, Some(self.output)].into_iter().flatten()
    }
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
    /// Numbers per cell state, and per state that is not projected.
    pub hidden_size: usize,
    /// `W [gates×hidden_size, input_size]`, row-major.
    pub input_weights: Vec<f64>,
    /// What `recurrent_weights` are.
    pub recurrence: Recurrence,
    /// `U [gates×hidden_size, state_size]`, row-major; `u [gates×hidden_size]` of
    /// [`Recurrence::Diagonal`]; empty for [`Recurrence::Identity`].
    pub recurrent_weights: Vec<f64>,
    /// `b [gates×hidden_size]`
    pub bias: Vec<f64>,
    /// `b' [gates×hidden_size]`
    pub recurrent_bias: Vec<f64>,
    /// `p [gates with one×hidden_size]` of an LSTM, in the order `i f o`; empty without.
    pub peepholes: Vec<f64>,
    /// `V [state_size, hidden_size]` of an LSTM, row-major; empty without.
    pub projection: Vec<f64>,
}

/// What a layer remembers between two steps, for one row of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// `h [state_size]`, which is also the output of the step that made it.
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
    /// terms before a clip, of `W x + b` and of the recurrent part (for the candidate of a GRU: with
    /// `r` as a factor in them).
    pub pre_activations: Vec<Dot>,
    /// The gates, `[gates×hidden_size]`: the activations of `pre_activations`.
    pub gates: Vec<f64>,
    /// What is projected, or is the new state: `[hidden_size]`.
    pub units: Vec<f64>,
}

impl Recurrent {
    /// A layer with a recurrent matrix, and neither peepholes nor projection:
    /// `[input_weights, recurrent_weights, bias, recurrent_bias]`.
    #[must_use]
    pub fn new(
        cell: Cell,
        [input_size, hidden_size]: [usize; 2],
        [input_weights, recurrent_weights, bias, recurrent_bias]: [Vec<f64>; 4],
    ) -> Self {
        Self {
            cell,
            input_size,
            hidden_size,
            input_weights,
            recurrence: Recurrence::Matrix,
            recurrent_weights,
            bias,
            recurrent_bias,
            peepholes: Vec::new(),
            projection: Vec::new(),
        }
    }

    /// Numbers per state `h`.
    #[must_use]
    pub fn state_size(&self) -> usize {
        if self.projection.is_empty() {
            return self.hidden_size;
        }
        self.projection.len() / self.hidden_size
    }

    /// The state of zeros.
    #[must_use]
    pub fn zero_state(&self) -> State {
        let cell_size = if matches!(self.cell, Cell::Lstm { .. }) { self.hidden_size } else { 0 };
        State { hidden: vec![0.0; self.state_size()], cell: vec![0.0; cell_size] }
    }

    /// One step from the state `before`, which may come from anywhere: a test restarts here from
    /// the `f32` state of the code it tests ([`State::from_f32`]).
    ///
    /// # Panics
    /// If the shape of the input, the state or a weight is not what the sizes say.
    #[must_use]
    pub fn step(&self, input: &[f64], before: &State) -> Step {
        let rows = self.cell.gates() * self.hidden_size;
        let zero_state = self.zero_state();
        assert_eq!(input.len(), self.input_size, "input is not [input_size]");
        assert_eq!(before.hidden.len(), zero_state.hidden.len(), "h is not [state_size]");
        assert_eq!(
            before.cell.len(),
            zero_state.cell.len(),
            "c is not [hidden_size], or not of an LSTM"
        );
        assert_eq!(self.bias.len(), rows, "bias is not [gates×hidden_size]");
        assert_eq!(self.recurrent_bias.len(), rows, "recurrent_bias is not [gates×hidden_size]");

        let from_input = affine(&self.input_weights, input, &self.bias);
        let from_hidden = self.recurrent_sums(&before.hidden, 0..rows);
        // gate blocks: row = gate·size + j
        let sums = (0..rows).map(|row| from_input[row] + from_hidden[row]).collect();
        let step = Step {
            state: zero_state,
            pre_activations: sums,
            gates: vec![0.0; rows],
            units: vec![0.0; self.hidden_size],
        };
        match self.cell {
            Cell::Simple { activation, clip } => self.simple(step, activation, clip),
            Cell::Lstm { .. } => self.lstm(step, before),
            Cell::Gru { .. } => self.gru(step, before, &from_input, &from_hidden),
        }
    }

    /// `U h + b'` of some rows of gates.
    pub(crate) fn recurrent_sums(&self, hidden: &[f64], rows: Range<usize>) -> Vec<Dot> {
        let size = self.hidden_size;
        let alone = |row: usize, weight: f64| {
            Dot::of(weight * hidden[row % size]) + Dot::of(self.recurrent_bias[row])
        };
        match self.recurrence {
            Recurrence::Matrix => {
                let columns = self.state_size();
                let weights = &self.recurrent_weights[rows.start * columns..rows.end * columns];
                affine(weights, hidden, &self.recurrent_bias[rows])
            }
            Recurrence::Diagonal => {
                rows.map(|row| alone(row, self.recurrent_weights[row])).collect()
            }
            Recurrence::Identity => {
                assert!(self.recurrent_weights.is_empty(), "an identity recurrence has no weights");
                rows.map(|row| alone(row, 1.0)).collect()
            }
        }
    }

    fn simple(&self, mut step: Step, activation: Activation, clip: Option<f64>) -> Step {
        for j in 0..self.hidden_size {
            step.activate(j, clip, activation);
            step.units[j] = step.gates[j];
        }
        step.state.hidden.clone_from(&step.units);
        step
    }

    fn lstm(&self, mut step: Step, before: &State) -> Step {
        let Cell::Lstm {
            activation,
            recurrent_activation,
            output_activation,
            coupling,
            clip,
            cell_clip,
            projection_clip,
        } = self.cell
        else {
            unreachable!("asked for by the cell");
        };
        let size = self.hidden_size;
        let gates = LstmGates::of(coupling);
        for j in 0..size {
            for gate in [gates.input, gates.forget].into_iter().flatten() {
                let row = gate * size + j;
                let peephole = Dot::of(self.peephole(gate, j) * before.cell[j]);
                step.pre_activations[row] = step.pre_activations[row] + peephole;
                step.activate(row, clip, recurrent_activation);
            }
            let candidate = gates.candidate * size + j;
            step.activate(candidate, clip, activation);
            let gate = |gate: Option<usize>| gate.map(|gate| step.gates[gate * size + j]);
            let (i, f) = match (gate(gates.input), gate(gates.forget)) {
                (Some(i), Some(f)) => (i, f),
                (Some(i), None) => (i, 1.0 - i),
                (None, Some(f)) => (1.0 - f, f),
                (None, None) => unreachable!("one of them has weights"),
            };
            let c = clipped(f * before.cell[j] + i * step.gates[candidate], cell_clip);
            step.state.cell[j] = c;
            let row = gates.output * size + j;
            let peephole = Dot::of(self.peephole(gates.output, j) * c);
            step.pre_activations[row] = step.pre_activations[row] + peephole;
            step.activate(row, clip, recurrent_activation);
            step.units[j] = step.gates[row] * output_activation.apply(c);
        }
        step.state.hidden = if self.projection.is_empty() {
            step.units.clone()
        } else {
            let none = vec![0.0; self.state_size()];
            let projected = affine(&self.projection, &step.units, &none);
            projected.iter().map(|h| clipped(h.value, projection_clip)).collect()
        };
        step
    }

    /// p of a gate and unit, 0 if there is none.
    pub(crate) fn peephole(&self, gate: usize, unit: usize) -> f64 {
        let Cell::Lstm { coupling, .. } = self.cell else { return 0.0 };
        let place = LstmGates::of(coupling).with_peepholes().position(|with| with == gate);
        match place {
            Some(place) if !self.peepholes.is_empty() => {
                self.peepholes[place * self.hidden_size + unit]
            }
            _ => 0.0,
        }
    }

    fn gru(&self, mut step: Step, before: &State, from_input: &[Dot], from_hidden: &[Dot]) -> Step {
        let Cell::Gru { activation, recurrent_activation, reset, clip } = self.cell else {
            unreachable!("asked for by the cell");
        };
        let size = self.hidden_size;
        for row in 0..2 * size {
            step.activate(row, clip, recurrent_activation);
        }
        // z r n: the sums of n wait for r
        let (z, r) = (step.gates[..size].to_vec(), step.gates[size..2 * size].to_vec());
        let reset_hidden: Vec<f64> = (0..size).map(|j| r[j] * before.hidden[j]).collect();
        let from_reset_hidden = self.recurrent_sums(&reset_hidden, 2 * size..3 * size);
        for j in 0..size {
            let row = 2 * size + j;
            step.pre_activations[row] = from_input[row]
                + match reset {
                    Reset::BeforeProduct => from_reset_hidden[j],
                    Reset::AfterProduct => from_hidden[row].scaled(r[j]),
                };
            step.activate(row, clip, activation);
            step.units[j] = z[j] * before.hidden[j] + (1.0 - z[j]) * step.gates[row];
        }
        step.state.hidden.clone_from(&step.units);
        step
    }
}

impl Step {
    /// Bounds one sum and makes its gate.
    fn activate(&mut self, row: usize, clip: Option<f64>, activation: Activation) {
        let sum = &mut self.pre_activations[row];
        sum.value = clipped(sum.value, clip);
        self.gates[row] = activation.apply(sum.value);
    }
}

fn clipped(number: f64, clip: Option<f64>) -> f64 {
    clip.map_or(number, |clip| number.clamp(-clip, clip))
}
