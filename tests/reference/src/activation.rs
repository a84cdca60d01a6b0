//! Functions of one number, and of one row.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI, FRAC_2_SQRT_PI};

/// A function of one number. NaN gives NaN, ±∞ gives the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `x`
    Linear,
    /// `tanh(x)`
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
    /// `max(x, 0)`
    Relu,
    /// `x`, clamped to `[0, 6]`
    Relu6,
    /// `x` if `x > 0`, else `alpha·x`
    LeakyRelu {
        /// The slope for negative `x`.
        alpha: f64,
    },
    /// `x` if `x > 0`, else `alpha·(exp(x) - 1)`
    Elu {
        /// Minus the limit at -∞.
        alpha: f64,
    },
    /// `scale·x` if `x > 0`, else `scale·alpha·(exp(x) - 1)`, scale 1.0507009873554805, alpha
    /// 1.6732632423543772
    Selu,
    /// `ln(1 + exp(x))`
    Softplus,
    /// `x / (1 + |x|)`
    Softsign,
    /// `slope·x + offset`, clamped to `[0, 1]`. See [`Activation::HARD_SIGMOID_FIFTH`],
    /// [`Activation::HARD_SIGMOID_SIXTH`].
    HardSigmoid {
        /// The factor of `x`.
        slope: f64,
        /// The value at 0.
        offset: f64,
    },
    /// `x`, clamped to `[-1, 1]`
    HardTanh,
    /// `alpha·tanh(beta·x)`
    ScaledTanh {
        /// The limit at ∞.
        alpha: f64,
        /// The factor of `x`.
        beta: f64,
    },
    /// `alpha·x + beta`
    Affine {
        /// The factor of `x`.
        alpha: f64,
        /// The value at 0.
        beta: f64,
    },
    /// `x` if `x >= alpha`, else 0
    ThresholdedRelu {
        /// The threshold.
        alpha: f64,
    },
    /// `x·sigmoid(x)`
    Silu,
    /// `x·Φ(x)`, `Φ(x) = erfc(-x / √2) / 2`: the cumulative normal distribution
    Gelu,
    /// `x·(1 + tanh(u)) / 2`, `u = √(2/π)·(x + 0.044715·x³)`
    GeluTanh,
    /// `exp(x)`
    Exponential,
}

impl Activation {
    /// The hard sigmoid of Keras 1 and 2, and the default of ONNX: `x/5 + 1/2`, clamped.
    pub const HARD_SIGMOID_FIFTH: Self = Self::HardSigmoid { slope: 0.2, offset: 0.5 };
    /// The hard sigmoid of Keras 3: `x/6 + 1/2`, clamped.
    pub const HARD_SIGMOID_SIXTH: Self = Self::HardSigmoid { slope: 1.0 / 6.0, offset: 0.5 };

    /// The value at `x`.
    #[must_use]
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Self::Linear => x,
            Self::Tanh => x.tanh(),
            Self::Sigmoid => sigmoid(x),
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::Relu6 => x.clamp(0.0, 6.0),
            Self::LeakyRelu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x
                }
            }
            Self::Elu { alpha } => {
                if x > 0.0 {
                    x
                } else {
                    alpha * x.exp_m1()
                }
            }
            Self::Selu => {
                let elu = Self::Elu { alpha: 1.6732632423543772 };
                1.0507009873554805 * elu.apply(x)
            }
            // ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(-|x|)): the exponential cannot overflow
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Softsign => {
                if x.is_infinite() {
                    x.signum()
                } else {
                    x / (1.0 + x.abs())
                }
            }
            Self::HardSigmoid { slope, offset } => (slope * x + offset).clamp(0.0, 1.0),
            Self::HardTanh => x.clamp(-1.0, 1.0),
            Self::ScaledTanh { alpha, beta } => alpha * (beta * x).tanh(),
            Self::Affine { alpha, beta } => alpha * x + beta,
            Self::ThresholdedRelu { alpha } => {
                if x < alpha {
                    0.0
                } else {
                    x
                }
            }
            Self::Silu => gated(x, sigmoid(x)),
            Self::Gelu => gated(x, 0.5 * erfc(-x * FRAC_1_SQRT_2)),
            // (1 + tanh(u)) / 2 = sigmoid(2u), which does not cancel for negative u
            Self::GeluTanh => {
                gated(x, sigmoid(2.0 * FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x)))
            }
            Self::Exponential => x.exp(),
        }
    }
}

/// `1 / (1 + exp(-x))`. Each branch keeps the exponential at most 1.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `x·gate`, and 0 where the gate is 0: its limit at `x = -∞`.
fn gated(x: f64, gate: f64) -> f64 {
    if gate == 0.0 { 0.0 } else { x * gate }
}

/// Where the series of erf hands over to the continued fraction of erfc: both are accurate there.
const SERIES_BELOW: f64 = 1.5;

/// The error function `2/√π ∫₀ˣ exp(-t²) dt`.
#[must_use]
pub fn erf(x: f64) -> f64 {
    if x.abs() < SERIES_BELOW { erf_series(x) } else { (1.0 - erfc_fraction(x.abs())).copysign(x) }
}

/// `1 - erf(x)`, with a small relative error in the right tail as well (where `1.0 - erf(x)` would
/// be 0).
#[must_use]
pub fn erfc(x: f64) -> f64 {
    if x.abs() < SERIES_BELOW {
        1.0 - erf_series(x)
    } else if x < 0.0 {
        2.0 - erfc_fraction(-x)
    } else {
        erfc_fraction(x)
    }
}

/// `erf(x) = 2/√π·exp(-x²)·Σₙ 2ⁿ x²ⁿ⁺¹ / (1·3·5···(2n+1))`: no term cancels another.
fn erf_series(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..50 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `erfc(x) = exp(-x²)/√π / (x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...))))` for `x > 0`, from the
/// inside out.
fn erfc_fraction(x: f64) -> f64 {
    let mut tail = 0.0;
    for k in (1..=120).rev() {
        tail = 0.5 * f64::from(k) / (x + tail);
    }
    0.5 * FRAC_2_SQRT_PI * (-x * x).exp() / (x + tail)
}

/// `exp(xⱼ) / Σₖ exp(xₖ)` for every `j`, shifted by the largest `x` so that nothing overflows.
#[must_use]
pub fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = row.iter().map(|x| (x - max).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|exponential| exponential / sum).collect()
}

/// `xⱼ - ln Σₖ exp(xₖ)` for every `j`, shifted by the largest `x`, whose own `exp(0) = 1` is the 1
/// of `ln_1p`.
#[must_use]
pub fn log_softmax(row: &[f64]) -> Vec<f64> {
    let Some(peak) = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])) else {
        return Vec::new();
    };
    let others: f64 =
        (0..row.len()).filter(|&k| k != peak).map(|k| (row[k] - row[peak]).exp()).sum();
    row.iter().map(|x| (x - row[peak]) - others.ln_1p()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
        let error = (found - expected).abs();
        assert!(error <= tolerance * expected.abs(), "{what}: {found:e}, expected {expected:e}");
    }

    /// Expected values: mpmath with 50 digits. Those beyond ±1 that decay see the rounding of their
    /// argument.
    #[test]
    fn activations_are_right_in_the_middle_and_in_the_tails() {
        use Activation::*;
        let elu = Elu { alpha: 1.0 };
        for (activation, x, expected) in [
            (Linear, -3.5, -3.5),
            (Tanh, 1e-12, 1e-12),
            (Tanh, 0.5, 0.46211715726000974),
            (Sigmoid, -700.0, 9.85967654375977e-305),
            (Sigmoid, -40.0, 4.248354255291589e-18),
            (Sigmoid, 1.0, 0.7310585786300049),
            (Relu, 2.5, 2.5),
            (Relu, -2.5, 0.0),
            (LeakyRelu { alpha: 0.25 }, -2.0, -0.5),
            (LeakyRelu { alpha: 0.25 }, 2.0, 2.0),
            (elu, -1e-12, -9.999999999995e-13),
            (elu, -2.0, -0.8646647167633873),
            (Elu { alpha: 3.0 }, -2.0, -3.0 * 0.8646647167633873),
            (elu, 2.0, 2.0),
            (Selu, -1e-12, -1.7580993408464977e-12),
            (Selu, -2.0, -1.520166468595695),
            (Selu, 2.0, 2.101401974710961),
            (Softplus, -40.0, 4.248354255291589e-18),
            (Softplus, 1.0, 1.3132616875182228),
            (Softplus, 800.0, 800.0),
            (Softsign, 3.0, 0.75),
            (Softsign, -3.0, -0.75),
            (Activation::HARD_SIGMOID_FIFTH, 1.0, 0.7),
            (Activation::HARD_SIGMOID_FIFTH, -2.6, 0.0),
            (Activation::HARD_SIGMOID_FIFTH, 2.6, 1.0),
            (Activation::HARD_SIGMOID_SIXTH, 1.5, 0.75),
            (Activation::HARD_SIGMOID_SIXTH, -2.6, 0.2 / 3.0),
            (HardTanh, 0.5, 0.5),
            (HardTanh, 1.5, 1.0),
            (HardTanh, -1.5, -1.0),
            (Relu6, 7.0, 6.0),
            (Relu6, 2.5, 2.5),
            (ScaledTanh { alpha: 1.5, beta: 0.5 }, 1.0, 1.5 * 0.46211715726000974),
            (Affine { alpha: -0.5, beta: 0.25 }, 2.0, -0.75),
            (ThresholdedRelu { alpha: 0.75 }, 0.75, 0.75),
            (ThresholdedRelu { alpha: 0.75 }, 0.7, 0.0),
            (Silu, -700.0, -6.90177358063184e-302),
            (Silu, 1.0, 0.7310585786300049),
            (Gelu, -10.0, -7.619853024160526e-23),
            (Gelu, -3.0, -0.0040496940948902835),
            (Gelu, 1.0, 0.8413447460685429),
            (GeluTanh, -10.0, -1.2040923482098107e-37),
            (GeluTanh, -3.0, -0.003637392081773019),
            (GeluTanh, 1.0, 0.8411919906082767),
            (Exponential, -2.0, 0.1353352832366127),
        ] {
            let tolerance = if x < -3.0 { 4e-14 } else { 2e-15 };
            assert_close(&format!("{activation:?}({x})"), activation.apply(x), expected, tolerance);
        }
    }

    #[test]
    fn activations_have_their_limits_and_pass_nan_on() {
        use Activation::*;
        let (infinity, elu) = (f64::INFINITY, Elu { alpha: 2.0 });
        for (activation, low, high) in [
            (Linear, -infinity, infinity),
            (Tanh, -1.0, 1.0),
            (Sigmoid, 0.0, 1.0),
            (Relu, 0.0, infinity),
            (LeakyRelu { alpha: 0.1 }, -infinity, infinity),
            (elu, -2.0, infinity),
            (Selu, -1.0507009873554805 * 1.6732632423543772, infinity),
            (Softplus, 0.0, infinity),
            (Softsign, -1.0, 1.0),
            (Activation::HARD_SIGMOID_FIFTH, 0.0, 1.0),
            (HardTanh, -1.0, 1.0),
            (Relu6, 0.0, 6.0),
            (ScaledTanh { alpha: 1.5, beta: -0.5 }, 1.5, -1.5),
            (Affine { alpha: -0.5, beta: 0.25 }, infinity, -infinity),
            (ThresholdedRelu { alpha: 0.75 }, 0.0, infinity),
            (Silu, 0.0, infinity),
            (Gelu, 0.0, infinity),
            (GeluTanh, 0.0, infinity),
            (Exponential, 0.0, infinity),
        ] {
            assert_eq!(activation.apply(-infinity), low, "{activation:?}(-inf)");
            assert_eq!(activation.apply(infinity), high, "{activation:?}(inf)");
            assert!(activation.apply(f64::NAN).is_nan(), "{activation:?}(NaN)");
        }
        assert_eq!(sigmoid(-800.0), 0.0);
        assert!(sigmoid(-720.0) > 0.0, "exp(720) would overflow, exp(-720) is 2e-313");
    }

    /// Expected values: mpmath with 50 digits.
    #[test]
    fn erf_and_erfc_are_right() {
        for (x, expected) in [
            (1e-300, 1.1283791670955126e-300),
            (0.1, 0.1124629160182849),
            (0.5, 0.5204998778130465),
            (1.0, 0.8427007929497149),
            (1.25, 0.9229001282564583),
            (1.5, 0.9661051464753108),
            (2.0, 0.9953222650189527),
            (3.0, 0.9999779095030014),
            (5.5, 0.9999999999999927),
        ] {
            assert_close(&format!("erf({x})"), erf(x), expected, 1e-15);
            assert_eq!(erf(-x), -erf(x));
        }
        for (x, expected, tolerance) in [
            (-2.0, 1.9953222650189528, 1e-15),
            (0.5, 0.4795001221869535, 1e-15),
            (1.5, 0.033894853524689274, 1e-15),
            (2.0, 0.004677734981047266, 1e-15),
            (3.0, 2.209049699858544e-5, 1e-15),
            (10.0, 2.088487583762545e-45, 1e-14),
            (26.0, 5.663192408856143e-296, 1e-13),
        ] {
            assert_close(&format!("erfc({x})"), erfc(x), expected, tolerance);
        }
    }

    #[test]
    fn softmax_is_right_and_does_not_overflow() {
        let row = [1000.0, 1000.0 + 3.0_f64.ln(), -1000.0];
        for (found, expected) in softmax(&row).into_iter().zip([0.25, 0.75, 0.0]) {
            assert_close("softmax", found, expected, 1e-13);
        }
        let expected = [0.25_f64.ln(), 0.75_f64.ln(), -2000.0 + 0.25_f64.ln()];
        for (found, expected) in log_softmax(&row).into_iter().zip(expected) {
            assert_close("log_softmax", found, expected, 1e-12);
        }
        assert_close("log_softmax", log_softmax(&[0.0, -40.0])[0], -(-40.0_f64).exp(), 1e-15);
        assert!(softmax(&[]).is_empty() && log_softmax(&[]).is_empty());
    }
}
