//! The activation functions, element by element.
//!
//! Errors are in units in the last place of the exact result, over all f32 inputs unless said
//! otherwise; the tests measure them. NaN gives NaN, infinities the limits. The coefficients are
//! derived in `minimax.py`, under the names of the functions here.

use super::Activation;
use crate::arithmetic::{Arithmetic, SHIFTER};

/// The activation of this name, chosen at run time. Those of whole rows leave `x` as it is.
#[inline(always)]
pub(crate) fn apply<S: Arithmetic>(s: S, activation: Activation, x: S::V) -> S::V {
    match activation {
        Activation::Linear | Activation::Softmax | Activation::LogSoftmax => x,
        Activation::Tanh => tanh(s, x),
        Activation::Sigmoid => sigmoid(s, x),
        Activation::Relu => relu(s, x),
        Activation::Relu6 => s.min(s.splat(6.0), relu(s, x)),
        Activation::LeakyRelu { alpha } => negative_branch(s, x, s.mul(s.splat(alpha), x)),
        Activation::Elu { alpha } => {
            negative_branch(s, x, s.mul(s.splat(alpha), exp_m1_of_negative(s, x)))
        }
        Activation::Selu => {
            let positive = s.mul(s.splat(SELU_SCALE), x);
            let negative = s.mul(s.splat(SELU_SCALE * SELU_ALPHA), exp_m1_of_negative(s, x));
            s.select(s.lt(x, s.splat(0.0)), negative, positive)
        }
        Activation::Softplus => softplus(s, x),
        Activation::Softsign => softsign(s, x),
        Activation::HardSigmoid { slope, offset } => {
            let line = s.fma(s.splat(slope), x, s.splat(offset));
            s.min(s.splat(1.0), s.max(s.splat(0.0), line))
        }
        Activation::HardTanh => s.min(s.splat(1.0), s.max(s.splat(-1.0), x)),
        Activation::ScaledTanh { alpha, beta } => {
            s.mul(s.splat(alpha), tanh(s, s.mul(s.splat(beta), x)))
        }
        Activation::Affine { alpha, beta } => s.fma(s.splat(alpha), x, s.splat(beta)),
        // NaN is not below it, and stays.
        Activation::ThresholdedRelu { alpha } => s.select(s.lt(x, s.splat(alpha)), s.splat(0.0), x),
        Activation::Silu => silu(s, x),
        Activation::Gelu => gelu(s, x),
        Activation::GeluTanh => gelu_tanh(s, x),
        Activation::Exponential => exp(s, x),
    }
}

/// Klambauer et al., Self-Normalizing Neural Networks, 2017, equation 14, rounded to f32.
const SELU_SCALE: f32 = 1.050_701;
const SELU_ALPHA: f32 = 1.673_263_2;

/// `max(x, 0)`; exact.
#[inline(always)]
pub(crate) fn relu<S: Arithmetic>(s: S, x: S::V) -> S::V {
    s.max(s.splat(0.0), x)
}

/// `x` unless it is negative.
#[inline(always)]
fn negative_branch<S: Arithmetic>(s: S, x: S::V, negative: S::V) -> S::V {
    s.select(s.lt(x, s.splat(0.0)), negative, x)
}

/// ln 2, cut so that an integral multiple of the first part is exact, and the rest.
const LN2_HI: f32 = 0.693_359_4;
const LN2_LO: f32 = -0.000_212_194_44;

/// x = n ln 2 + r, as n + [`SHIFTER`], n, and r.
struct Reduced<V> {
    shifted: V,
    n: V,
    r: V,
}

/// For |x| ≤ 104.
#[inline(always)]
fn reduce<S: Arithmetic>(s: S, x: S::V) -> Reduced<S::V> {
    let shifted = s.fma(x, s.splat(core::f32::consts::LOG2_E), s.splat(SHIFTER));
    let n = s.sub(shifted, s.splat(SHIFTER));
    let r = s.fma(n, s.splat(-LN2_HI), x);
    Reduced { shifted, n, r: s.fma(n, s.splat(-LN2_LO), r) }
}

/// `exp(r) - 1` for |r| ≤ ln(2) / 2.
#[inline(always)]
fn exp_m1_small<S: Arithmetic>(s: S, r: S::V) -> S::V {
    let mut g = s.fma(s.splat(0.001_386_001_8), r, s.splat(0.008_366_541));
    g = s.fma(g, r, s.splat(0.041_667_55));
    g = s.fma(g, r, s.splat(0.166_665_43));
    g = s.fma(g, r, s.splat(0.499_999_97));
    s.fma(s.mul(r, r), g, r)
}

/// `exp(n ln 2 + r)`, in two steps, so that the result may be denormal.
#[inline(always)]
fn exp_of_reduced<S: Arithmetic>(s: S, n: S::V, r: S::V) -> S::V {
    let half = s.fma(n, s.splat(0.5), s.splat(SHIFTER));
    let rest = s.sub(n, s.sub(half, s.splat(SHIFTER)));
    let one_and_more = s.add(exp_m1_small(s, r), s.splat(1.0));
    let scaled = s.mul(one_and_more, s.exp2_shifted(half));
    s.mul(scaled, s.exp2_shifted(s.add(rest, s.splat(SHIFTER))))
}

/// `exp(x)`; at most 1.1 ULP.
#[inline(always)]
pub(crate) fn exp<S: Arithmetic>(s: S, x: S::V) -> S::V {
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let Reduced { n, r, .. } = reduce(s, x);
    exp_of_reduced(s, n, r)
}

/// `exp(x) - 1` for x ≤ 0; at most 1 ULP. For positive x it is of no use.
#[inline(always)]
fn exp_m1_of_negative<S: Arithmetic>(s: S, x: S::V) -> S::V {
    exp_m1_of_reduced(s, s.min(s.splat(88.0), s.max(s.splat(-18.0), x)))
}

/// `exp(x) - 1` for -18 ≤ x ≤ 88.
#[inline(always)]
fn exp_m1_of_reduced<S: Arithmetic>(s: S, x: S::V) -> S::V {
    let Reduced { shifted, r, .. } = reduce(s, x);
    let scale = s.exp2_shifted(shifted);
    s.fma(scale, exp_m1_small(s, r), s.sub(scale, s.splat(1.0)))
}

/// `1 / (1 + exp(-x))`; at most 2.5 ULP, also where the result is tiny.
#[inline(always)]
pub(crate) fn sigmoid<S: Arithmetic>(s: S, x: S::V) -> S::V {
    let e = exp(s, s.neg(s.abs(x)));
    let one = s.splat(1.0);
    let numerator = s.select(s.lt(x, s.splat(0.0)), e, one);
    s.div(numerator, s.add(one, e))
}

/// `tanh(x)`; at most 2.6 ULP.
#[inline(always)]
pub(crate) fn tanh<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // 2 - 2 / (1 + exp(2a)) - 1 without its cancellation: (e / (e + 2)) of e = exp(2a) - 1.
    let a = s.min(s.splat(9.1), s.abs(x));
    let e = exp_m1_of_reduced(s, s.add(a, a));
    s.copy_sign(s.div(e, s.add(e, s.splat(2.0))), x)
}

/// `ln(1 + exp(x))`; at most 1.9 ULP.
#[inline(always)]
fn softplus<S: Arithmetic>(s: S, x: S::V) -> S::V {
    s.add(s.max(s.splat(0.0), x), ln_1p(s, exp(s, s.neg(s.abs(x)))))
}

/// `ln(1 + y)` for 0 ≤ y ≤ 1; at most 1.2 ULP.
#[inline(always)]
fn ln_1p<S: Arithmetic>(s: S, y: S::V) -> S::V {
    let g = horner(
        s,
        y,
        [
            0.499_999_23,
            -0.333_302_05,
            0.249_553_8,
            -0.196_789_16,
            0.153_080_91,
            -0.106_009_48,
            0.056_883_823,
            -0.019_791_648,
            0.003_227_406_4,
        ],
    );
    s.fma(s.neg(s.mul(y, y)), g, y)
}

/// `ln(x)` for normal positive x; at most 0.9 ULP.
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) fn ln<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // x = 2ⁿ (1 + f) with 1 + f in [√½, √2): a mantissa above √2 is halved.
    let mantissa = s.mantissa(x);
    let high = s.lt(s.splat(core::f32::consts::SQRT_2), mantissa);
    let n = s.add(s.exponent(x), s.select(high, s.splat(1.0), s.splat(0.0)));
    let mantissa = s.select(high, s.mul(mantissa, s.splat(0.5)), mantissa);
    let f = s.sub(mantissa, s.splat(1.0));
    let square = s.mul(f, f);
    let g = horner(
        s,
        f,
        [
            0.333_333_55,
            -0.250_008_52,
            0.199_997_65,
            -0.166_213_12,
            0.142_281_35,
            -0.132_035_32,
            0.126_149_74,
            -0.073_533_446,
        ],
    );
    let small = s.fma(s.mul(f, square), g, s.mul(n, s.splat(LN2_LO)));
    let small = s.fma(square, s.splat(-0.5), small);
    s.fma(n, s.splat(LN2_HI), s.add(small, f))
}

/// `x / (1 + |x|)`; the limits ±1 at infinity.
#[inline(always)]
fn softsign<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // Beyond 2²⁵ the result is ±1 to the last bit, and infinity over infinity is not.
    let x = s.min(s.splat(33_554_432.0), s.max(s.splat(-33_554_432.0), x));
    s.div(x, s.add(s.splat(1.0), s.abs(x)))
}

/// `x sigmoid(x)`; 0 at minus infinity.
#[inline(always)]
fn silu<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // sigmoid(x) is 0 in f32 below -104, where x may be infinite.
    s.mul(s.max(s.splat(-104.0), x), sigmoid(s, x))
}

/// `x Φ(x)`; at most 3.6 ULP above zero and 6.3 below.
#[inline(always)]
fn gelu<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // max(x, 0) - a Φ(-a), a = |x|, and Φ(-a) = exp(-a²/2) R(a): nothing cancels.
    let a = s.min(s.splat(14.5), s.abs(x));
    let square = s.mul(a, a);
    let lost = s.fma(a, a, s.neg(square));
    let Reduced { n, r, .. } = reduce(s, s.mul(s.splat(-0.5), square));
    let tail = exp_of_reduced(s, n, s.fma(lost, s.splat(-0.5), r));
    let p = horner(s, a, [0.5, 0.440_071_52, 0.184_578_58, 0.041_093_38, 0.004_186_300_6]);
    let q = horner(s, a, [1.0, 1.678_028, 1.208_024_7, 0.473_021_86, 0.103_011_83, 0.010_493_389]);
    s.fma(s.neg(s.div(s.mul(a, p), q)), tail, s.max(s.splat(0.0), x))
}

/// `x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2`
#[inline(always)]
fn gelu_tanh<S: Arithmetic>(s: S, x: S::V) -> S::V {
    // (1 + tanh(y)) / 2 = sigmoid(2 y), which is 0 or 1 in f32 for |x| ≥ 15.
    let near = s.min(s.splat(15.0), s.max(s.splat(-15.0), x));
    let cube = s.mul(s.mul(near, near), near);
    let y = s.fma(s.splat(0.044_715), cube, near);
    let gate = sigmoid(s, s.mul(s.splat(1.595_769), y));
    s.mul(s.max(s.splat(-15.0), x), gate)
}

/// The polynomial with these coefficients, the constant first.
#[inline(always)]
fn horner<S: Arithmetic, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut value = s.splat(coefficients[N - 1]);
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        value = s.fma(value, x, s.splat(coefficients[i]));
    }
    value
}
