//! The equations of one recurrent step.
//!
//! `x` is the step's input `[batch, input_size]`, `h` and `c` the states `[batch, hidden_size]`, `W`, `U`, `b` the input
//! weights, recurrent weights and bias, `b'` the recurrent bias; a prime marks the state after the step. σ is
//! `recurrent_activation` (by default the sigmoid), `act` is `activation` (by default tanh), ⊙ multiplies element by
//! element.
//!
//! ```text
//! SimpleRnn   h' = act(W x + b + U h + b')                                   (Elman, 1990)
//!
//! Lstm        i = σ(Wi x + bi + Ui h + b'i)        input gate                 (Hochreiter & Schmidhuber, 1997;
//!             f = σ(Wf x + bf + Uf h + b'f)        forget gate                 Gers et al., 2000)
//!             g = act(Wg x + bg + Ug h + b'g)      candidate
//!             o = σ(Wo x + bo + Uo h + b'o)        output gate
//!             c' = f ⊙ c + i ⊙ g
//!             h' = o ⊙ act(c')
//!
//! Gru         z = σ(Wz x + bz + Uz h + b'z)        update gate                (Cho et al., 2014)
//!             r = σ(Wr x + br + Ur h + b'r)        reset gate
//!             n = act(Wn x + bn + r ⊙ (Un h + b'n))        GruReset::AfterMatmul
//!             n = act(Wn x + bn + Un (r ⊙ h) + b'n)        GruReset::BeforeMatmul
//!             h' = z ⊙ h + (1 - z) ⊙ n
//! ```

use super::Activation;

/// Which recurrent step a layer takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// The Elman network: one product, one activation.
    SimpleRnn {
        /// Applied to the sum; tanh in both frameworks unless said otherwise.
        activation: Activation,
    },
    /// Long short-term memory.
    Lstm {
        /// Of the candidate and of the new cell state on its way out.
        activation: Activation,
        /// Of the three gates.
        recurrent_activation: Activation,
    },
    /// Gated recurrent unit.
    Gru {
        /// Where the reset gate enters.
        reset: GruReset,
        /// Of the candidate.
        activation: Activation,
        /// Of the two gates.
        recurrent_activation: Activation,
    },
}

/// Where the reset gate of a GRU enters the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GruReset {
    /// `Un (r ⊙ h)`: Keras `reset_after=False`, ONNX `linear_before_reset=0`.
    BeforeMatmul,
    /// `r ⊙ (Un h + b'n)`: PyTorch always, Keras by default, ONNX `linear_before_reset=1`.
    AfterMatmul,
}

/// The name of one block of rows in a layer's weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// The only block of a [`Cell::SimpleRnn`].
    Hidden,
    /// `i` of an LSTM.
    Input,
    /// `f` of an LSTM.
    Forget,
    /// `g` of an LSTM (Keras writes `c`), `n` of a GRU (Keras writes `h`).
    Candidate,
    /// `o` of an LSTM.
    Output,
    /// `z` of a GRU.
    Update,
    /// `r` of a GRU.
    Reset,
}

impl Cell {
    /// The Elman step with tanh.
    pub const SIMPLE_RNN: Self = Self::SimpleRnn { activation: Activation::Tanh };
    /// The LSTM of every framework's default.
    pub const LSTM: Self =
        Self::Lstm { activation: Activation::Tanh, recurrent_activation: Activation::Sigmoid };

    /// The GRU with sigmoid and tanh.
    #[must_use]
    pub const fn gru(reset: GruReset) -> Self {
        Self::Gru { reset, activation: Activation::Tanh, recurrent_activation: Activation::Sigmoid }
    }

    /// The blocks of rows in the weights, in order.
    #[must_use]
    pub fn gates(&self) -> &'static [Gate] {
        match self {
            Self::SimpleRnn { .. } => &[Gate::Hidden],
            Self::Lstm { .. } => &[Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output],
            Self::Gru { .. } => &[Gate::Update, Gate::Reset, Gate::Candidate],
        }
    }

    /// Whether a step carries a cell state `c` beside the hidden state `h`.
    #[must_use]
    pub fn has_cell_state(&self) -> bool {
        matches!(self, Self::Lstm { .. })
    }

    /// The short name that the command line and the spec use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SimpleRnn { .. } => "rnn",
            Self::Lstm { .. } => "lstm",
            Self::Gru { .. } => "gru",
        }
    }

    /// Every activation the cell applies.
    pub(crate) fn activations(&self) -> impl Iterator<Item = Activation> {
        match *self {
            Self::SimpleRnn { activation } => [Some(activation), None],
            Self::Lstm { activation, recurrent_activation }
            | Self::Gru { activation, recurrent_activation, .. } => {
                [Some(activation), Some(recurrent_activation)]
            }
        }
        .into_iter()
        .flatten()
    }
}
