//! The equations of one recurrent step, as data.

use crate::activation::Activation;

/// Which recurrent step a layer takes.
///
/// In the equations `x` is the step's input `[batch, input_size]`, `h` the hidden state
/// `[batch, state_size]` and `c` the cell state `[batch, hidden_size]`; `W`, `U`, `b` are the input
/// weights, recurrent weights and bias, `b'` is the recurrent bias; a prime marks the state after
/// the step. σ is `recurrent_activation`, by default the sigmoid, and `act` is `activation`, by
/// default tanh; ⊙ multiplies element by element. A `clip` bounds what goes into σ and `act` to
/// `[-clip, clip]` (ONNX).
///
/// Besides a matrix, `U` may be diagonal, one weight for each unit and gate, or the identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell {
    /// One product, one activation.
    SimpleRnn(SimpleRnn),
    /// Long short-term memory.
    Lstm(Lstm),
    /// Gated recurrent unit.
    Gru(Gru),
}

/// The Elman network (Elman, 1990).
///
/// ```text
/// h' = act(W x + b + U h + b')
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimpleRnn {
    /// Applied to the sum; tanh in both frameworks unless said otherwise.
    pub activation: Activation,
    /// Bounds the sum, if it is bounded.
    pub clip: Option<f32>,
}

/// Long short-term memory (Hochreiter & Schmidhuber, 1997; Gers et al., 2000).
///
/// ```text
/// i = σ(Wi x + bi + Ui h + b'i + pi ⊙ c)       input gate
/// f = σ(Wf x + bf + Uf h + b'f + pf ⊙ c)       forget gate
/// g = act(Wg x + bg + Ug h + b'g)              candidate
/// c' = f ⊙ c + i ⊙ g
/// o = σ(Wo x + bo + Uo h + b'o + po ⊙ c')      output gate
/// m = o ⊙ output_activation(c')
/// h' = m, or V m
/// ```
///
/// The peepholes `p` and the projection `V` are there if the weights have them. The projection is
/// that of Sak, Senior & Beaufays (2014), PyTorch's `proj_size`: h then has its rows as features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lstm {
    /// Of the candidate.
    pub activation: Activation,
    /// Of the three gates.
    pub recurrent_activation: Activation,
    /// Of the new cell state on its way out.
    pub output_activation: Activation,
    /// Whether one of the gates i and f is made of the other.
    pub coupling: Coupling,
    /// Bounds what goes into the gates and the candidate: ONNX and OpenVINO `clip`.
    pub clip: Option<f32>,
    /// Bounds c': TFLite `cell_clip`, cuDNN's clip.
    pub cell_clip: Option<f32>,
    /// Bounds V m: TFLite `proj_clip`.
    pub projection_clip: Option<f32>,
}

/// Which of an LSTM's gates i and f is one minus the other, and has no weights then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Coupling {
    /// Both have weights.
    #[default]
    None,
    /// `f = 1 - i`: ONNX `input_forget`.
    ForgetFromInput,
    /// `i = 1 - f`: TFLite's coupled input and forget gate (CIFG).
    InputFromForget,
}

/// Gated recurrent unit (Cho et al., 2014).
///
/// ```text
/// z = σ(Wz x + bz + Uz h + b'z)            update gate
/// r = σ(Wr x + br + Ur h + b'r)            reset gate
/// n = act(Wn x + bn + r ⊙ (Un h + b'n))    GruReset::AfterMatmul
/// n = act(Wn x + bn + Un (r ⊙ h) + b'n)    GruReset::BeforeMatmul
/// h' = z ⊙ h + (1 - z) ⊙ n
/// ```
///
/// Core ML's GRU, whose biases all stay outside of r, is `AfterMatmul` with the sum of its biases as
/// `bias` and no recurrent bias.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gru {
    /// Where the reset gate enters.
    pub reset: GruReset,
    /// Of the candidate.
    pub activation: Activation,
    /// Of the two gates.
    pub recurrent_activation: Activation,
    /// Bounds what goes into the gates and the candidate, if it is bounded.
    pub clip: Option<f32>,
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

impl SimpleRnn {
    /// With tanh.
    pub const DEFAULT: Self = Self { activation: Activation::Tanh, clip: None };
}

impl Lstm {
    /// With sigmoid and tanh, and nothing special: the LSTM of every framework's default.
    pub const DEFAULT: Self = Self {
        activation: Activation::Tanh,
        recurrent_activation: Activation::Sigmoid,
        output_activation: Activation::Tanh,
        coupling: Coupling::None,
        clip: None,
        cell_clip: None,
        projection_clip: None,
    };

    /// The gates with peepholes, in the order of their weights, if a layer has any.
    #[must_use]
    pub fn peephole_gates(&self) -> &'static [Gate] {
        match self.coupling {
            Coupling::None => &[Gate::Input, Gate::Forget, Gate::Output],
            Coupling::ForgetFromInput => &[Gate::Input, Gate::Output],
            Coupling::InputFromForget => &[Gate::Forget, Gate::Output],
        }
    }
}

impl Gru {
    /// With sigmoid and tanh.
    #[must_use]
    pub const fn new(reset: GruReset) -> Self {
        Self {
            reset,
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            clip: None,
        }
    }
}

impl Cell {
    /// The Elman step with tanh.
    pub const SIMPLE_RNN: Self = Self::SimpleRnn(SimpleRnn::DEFAULT);
    /// The LSTM of every framework's default.
    pub const LSTM: Self = Self::Lstm(Lstm::DEFAULT);

    /// The Elman step with another activation.
    #[must_use]
    pub const fn simple_rnn(activation: Activation) -> Self {
        Self::SimpleRnn(SimpleRnn { activation, clip: None })
    }

    /// An LSTM with other activations; `activation` is also that of c' on its way out, as in Keras.
    #[must_use]
    pub const fn lstm(activation: Activation, recurrent_activation: Activation) -> Self {
        let output_activation = activation;
        Self::Lstm(Lstm { activation, recurrent_activation, output_activation, ..Lstm::DEFAULT })
    }

    /// The GRU with sigmoid and tanh.
    #[must_use]
    pub const fn gru(reset: GruReset) -> Self {
        Self::Gru(Gru::new(reset))
    }

    /// The blocks of rows in the weights, in order.
    #[must_use]
    pub fn gates(&self) -> &'static [Gate] {
        match self {
            Self::SimpleRnn(_) => &[Gate::Hidden],
            Self::Lstm(lstm) => match lstm.coupling {
                Coupling::None => &[Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output],
                Coupling::ForgetFromInput => &[Gate::Input, Gate::Candidate, Gate::Output],
                Coupling::InputFromForget => &[Gate::Forget, Gate::Candidate, Gate::Output],
            },
            Self::Gru(_) => &[Gate::Update, Gate::Reset, Gate::Candidate],
        }
    }

    /// The place of a gate among [`gates`](Self::gates).
    #[must_use]
    pub fn gate(&self, gate: Gate) -> Option<usize> {
        self.gates().iter().position(|&known| known == gate)
    }

    /// Whether a step carries a cell state `c` beside the hidden state `h`.
    #[must_use]
    pub fn has_cell_state(&self) -> bool {
        matches!(self, Self::Lstm(_))
    }

    /// The short name that the command line and the specification use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::SimpleRnn(_) => "rnn",
            Self::Lstm(_) => "lstm",
            Self::Gru(_) => "gru",
        }
    }

    /// Every activation the cell applies.
    pub fn activations(&self) -> impl Iterator<Item = Activation> + use<> {
        let all = match *self {
            Self::SimpleRnn(SimpleRnn { activation, .. }) => [Some(activation), None, None],
            Self::Lstm(Lstm { activation, recurrent_activation, output_activation, .. }) => {
                [Some(activation), Some(recurrent_activation), Some(output_activation)]
            }
            Self::Gru(Gru { activation, recurrent_activation, .. }) => {
                [Some(activation), Some(recurrent_activation), None]
            }
        };
        all.into_iter().flatten()
    }

    /// Every bound the cell has, with its name.
    pub fn clips(&self) -> impl Iterator<Item = (&'static str, f32)> + use<> {
        let all = match *self {
            Self::SimpleRnn(SimpleRnn { clip, .. }) | Self::Gru(Gru { clip, .. }) => {
                [("clip", clip), ("", None), ("", None)]
            }
            Self::Lstm(Lstm { clip, cell_clip, projection_clip, .. }) => {
                [("clip", clip), ("cell_clip", cell_clip), ("projection_clip", projection_clip)]
            }
        };
        all.into_iter().filter_map(|(name, clip)| Some((name, clip?)))
    }

    /// Whether there is a fused kernel for it.
    #[cfg(feature = "std")]
    pub(crate) fn is_default(self) -> bool {
        match self {
            Self::SimpleRnn(SimpleRnn { activation, clip: None }) => {
                matches!(activation, Activation::Tanh | Activation::Relu)
            }
            Self::SimpleRnn(_) => false,
            Self::Lstm(lstm) => lstm == Lstm::DEFAULT,
            Self::Gru(gru) => gru == Gru::new(gru.reset),
        }
    }
}
