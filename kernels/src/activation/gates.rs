//! The two functions of the default cells in the form in which a cell's formula merges them.
//!
//! ```text
//! sigmoid(x) = 1 / (1 + e),  1 - sigmoid(x) = e / (1 + e),   e = exp(-x)
//! tanh(x)    = T / Q
//! ```
//!
//! A product of gates is then one division: `sigmoid(x) tanh(y) = T / (Q + e Q)`. The coefficients
//! are derived in `minimax.py`, section gates.

use crate::arithmetic::{Arithmetic, SHIFTER};

/// `exp(-x)`; `x` is first kept in [-64, 64], beyond which a sigmoid is 0 or 1 to within 2e-28.
///
/// Relative error at most 1e-7 + 2e-8 |x|. NaN stays.
#[inline(always)]
pub(crate) fn exp_of_negative<S: Arithmetic>(s: S, x: S::V) -> S::V {
    let x = s.min(s.splat(64.0), s.max(s.splat(-64.0), x));
    let minus_log2_e = s.splat(-core::f32::consts::LOG2_E);
    let shifted = s.fma(x, minus_log2_e, s.splat(SHIFTER));
    let n = s.sub(s.splat(SHIFTER), shifted);
    let r = s.fma(x, minus_log2_e, n);
    let mut p = s.fma(s.splat(0.001_322_588_5), r, s.splat(0.009_671_497));
    p = s.fma(p, r, s.splat(0.055_508_636));
    p = s.fma(p, r, s.splat(0.240_222_42));
    p = s.fma(p, r, s.splat(0.693_146_9));
    p = s.fma(p, r, s.splat(1.0));
    s.mul(p, s.exp2_shifted(shifted))
}

/// T and Q with tanh(x) = T / Q, |T| ≤ Q and 1 ≤ Q ≤ 702.
///
/// From |x| = 9 on, T is ±Q; for tiny x, T is x and Q is 1. NaN stays, in T.
#[inline(always)]
pub(crate) fn tanh_ratio<S: Arithmetic>(s: S, x: S::V) -> (S::V, S::V) {
    // tanh(x) = 2 t / (1 + t²) of t = tanh(x / 2) = p / (2 q), a rational approximation whose errors
    // fade as 1 / cosh(x).
    let x = s.min(s.splat(9.0), s.max(s.splat(-9.0), x));
    let u = s.mul(x, x);
    let mut q = s.fma(s.splat(1.227_982_4e-6), u, s.splat(0.001_206_286_1));
    q = s.fma(q, u, s.splat(0.113_104_56));
    q = s.fma(q, u, s.splat(1.0));
    let p = s.fma(s.splat(0.000_114_201_49), u, s.splat(0.029_771_263));
    let p = s.fma(s.mul(x, u), p, x);
    (s.mul(p, q), s.fma(s.mul(p, s.splat(0.25)), p, s.mul(q, q)))
}
