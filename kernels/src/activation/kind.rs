//! The names of the activation functions.

use core::fmt;
#[cfg(feature = "std")]
use std::str::FromStr;

/// An activation function. All are applied element by element, except the two that work on rows.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `x`
    Linear,
    /// `tanh(x)`
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `x` where positive, else `alpha x`
    LeakyRelu {
        /// The slope on the negative side.
        alpha: f32,
    },
    /// `x` where positive, else `alpha (exp(x) - 1)`
    Elu {
        /// The distance to the asymptote on the negative side.
        alpha: f32,
    },
    /// `scale x` where positive, else `scale alpha (exp(x) - 1)`, with the constants of
    /// Klambauer et al., 2017.
    Selu,
    /// `ln(1 + exp(x))`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `slope x + offset`, kept in `[0, 1]`
    HardSigmoid {
        /// 1/6 in Keras 3, 0.2 in Keras 1 and 2 and in ONNX.
        slope: f32,
        /// 0.5 everywhere.
        offset: f32,
    },
    /// `x`, kept in `[-1, 1]`
    HardTanh,
    /// `alpha tanh(beta x)`
    ScaledTanh {
        /// The limit at infinity.
        alpha: f32,
        /// What `x` is multiplied by.
        beta: f32,
    },
    /// `alpha x + beta`
    Affine {
        /// The slope.
        alpha: f32,
        /// The value at 0.
        beta: f32,
    },
    /// `x` from `alpha` on, else 0
    ThresholdedRelu {
        /// The least number that is kept.
        alpha: f32,
    },
    /// `x sigmoid(x)`
    Silu,
    /// `x (1 + erf(x / √2)) / 2`
    Gelu,
    /// `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`
    GeluTanh,
    /// `exp(x)`
    Exponential,
    /// `exp(x) / Σ exp(x)` over a row
    Softmax,
    /// `x - ln Σ exp(x)` over a row
    LogSoftmax,
}

impl Activation {
    /// `clip(x / 6 + 0.5, 0, 1)`: Keras 3.
    pub const HARD_SIGMOID: Self = Self::HardSigmoid { slope: 1.0 / 6.0, offset: 0.5 };
    /// `clip(0.2 x + 0.5, 0, 1)`: Keras 1 and 2, ONNX.
    pub const HARD_SIGMOID_FIFTH: Self = Self::HardSigmoid { slope: 0.2, offset: 0.5 };

    /// One of each, with the usual parameters; both hard sigmoids.
    pub const ALL: [Self; 22] = [
        Self::Linear,
        Self::Tanh,
        Self::Sigmoid,
        Self::Relu,
        Self::Relu6,
        Self::LeakyRelu { alpha: 0.2 },
        Self::Elu { alpha: 1.0 },
        Self::Selu,
        Self::Softplus,
        Self::Softsign,
        Self::HARD_SIGMOID,
        Self::HARD_SIGMOID_FIFTH,
        Self::HardTanh,
        Self::ScaledTanh { alpha: 1.0, beta: 1.0 },
        Self::Affine { alpha: 1.0, beta: 0.0 },
        Self::ThresholdedRelu { alpha: 1.0 },
        Self::Silu,
        Self::Gelu,
        Self::GeluTanh,
        Self::Exponential,
        Self::Softmax,
        Self::LogSoftmax,
    ];

    /// Whether a result depends on the whole row, so that it can only stand after a layer.
    #[must_use]
    pub fn works_on_rows(self) -> bool {
        matches!(self, Self::Softmax | Self::LogSoftmax)
    }

    /// The word for it in specs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu { .. } => "elu",
            Self::Selu => "selu",
            Self::Softplus => "softplus",
            Self::Softsign => "softsign",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::HardTanh => "hard_tanh",
            Self::ScaledTanh { .. } => "scaled_tanh",
            Self::Affine { .. } => "affine",
            Self::ThresholdedRelu { .. } => "thresholded_relu",
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
            Self::Exponential => "exponential",
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log_softmax",
        }
    }
}

/// The name, followed by the parameters where there are any: `leaky_relu(0.2)`.
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::LeakyRelu { alpha } | Self::Elu { alpha } | Self::ThresholdedRelu { alpha } => {
                write!(f, "({alpha})")
            }
            Self::ScaledTanh { alpha, beta } | Self::Affine { alpha, beta } => {
                write!(f, "({alpha},{beta})")
            }
            Self::HardSigmoid { slope, offset } => write!(f, "({slope},{offset})"),
            _ => Ok(()),
        }
    }
}

/// No activation has this name, or its parameters are not numbers.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownActivation(pub String);

#[cfg(feature = "std")]
impl fmt::Display for UnknownActivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = Activation::ALL.iter().map(|a| a.name()).collect();
        write!(f, "unknown activation '{}'; there are: {}", self.0, known.join(", "))
    }
}

#[cfg(feature = "std")]
impl std::error::Error for UnknownActivation {}

/// Reads what [`Display`](fmt::Display) writes; without parameters: leaky relu 0.2, elu 1, hard
/// sigmoid 1/6 and 0.5, as in Keras 3; scaled tanh 1 and 1, affine 1 and 0, thresholded relu 1, as
/// in ONNX.
#[cfg(feature = "std")]
impl FromStr for Activation {
    type Err = UnknownActivation;

    fn from_str(text: &str) -> Result<Self, UnknownActivation> {
        let unknown = || UnknownActivation(text.into());
        let (name, parameters) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(unknown)?),
            None => (text, ""),
        };
        let parameters: Vec<f32> = parameters
            .split(',')
            .filter(|p| !p.is_empty())
            .map(|p| p.trim().parse().map_err(|_| unknown()))
            .collect::<Result<_, _>>()?;
        let usual = Self::ALL.into_iter().find(|known| known.name() == name).ok_or_else(unknown)?;
        match (usual, &parameters[..]) {
            (_, []) => Ok(usual),
            (Self::LeakyRelu { .. }, &[alpha]) => Ok(Self::LeakyRelu { alpha }),
            (Self::Elu { .. }, &[alpha]) => Ok(Self::Elu { alpha }),
            (Self::ThresholdedRelu { .. }, &[alpha]) => Ok(Self::ThresholdedRelu { alpha }),
            (Self::ScaledTanh { .. }, &[alpha, beta]) => Ok(Self::ScaledTanh { alpha, beta }),
            (Self::Affine { .. }, &[alpha, beta]) => Ok(Self::Affine { alpha, beta }),
            (Self::HardSigmoid { .. }, &[slope, offset]) => Ok(Self::HardSigmoid { slope, offset }),
            _ => Err(unknown()),
        }
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for activation in Activation::ALL {
            assert_eq!(activation.to_string().parse(), Ok(activation));
        }
        for activation in [
            Activation::LeakyRelu { alpha: 0.01 },
            Activation::ScaledTanh { alpha: 1.7159, beta: 0.6667 },
            Activation::Affine { alpha: -0.5, beta: 0.25 },
            Activation::ThresholdedRelu { alpha: 0.3 },
        ] {
            assert_eq!(activation.to_string().parse(), Ok(activation));
        }
        assert_eq!("hard_sigmoid".parse(), Ok(Activation::HARD_SIGMOID));
        for wrong in ["", "tangh", "tanh(1)", "elu(", "elu(x)", "hard_sigmoid(1)"] {
            assert!(wrong.parse::<Activation>().is_err(), "{wrong:?} must be refused");
        }
    }
}
