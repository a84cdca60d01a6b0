//! What the default cells do with the sums of their gates: each formula once, for every level, for
//! tiles of registers as for the cells of a fixed size.
//!
//! ```text
//! e(x) = exp(-x), tanh(x) = T(x) / Q(x)
//! LSTM    c' = sigmoid(f) c + sigmoid(i) tanh(g)   =  c / (1 + e(f)) + T(g) / (Q(g) + e(i) Q(g))
//!         h' = sigmoid(o) tanh(c')                 =  T(c') / (Q(c') + e(o) Q(c'))
//! GRU     h' = sigmoid(z) h + (1 - sigmoid(z)) tanh(n)
//!                                                  =  h / (1 + e(z)) + e(z) T(n) / (Q(n) + e(z) Q(n))
//! ```
//!
//! 1. An LSTM has three divisions instead of five.
//! 2. A forget gate and an update gate have a division of their own, so that a saturated one is
//!    exactly 1 and a state is kept for ever to the bit.

use crate::activation::{exp_of_negative, tanh_ratio};
use crate::arithmetic::Arithmetic;
use crate::contract::TINY;

/// Zero for states too small to count; NaN stays.
#[inline(always)]
pub(crate) fn flushed<S: Arithmetic>(s: S, state: S::V) -> S::V {
    let tiny = s.lt(s.abs(state), s.splat(TINY));
    s.select(tiny, s.splat(0.0), state)
}

/// The new h and c of an LSTM, from the sums of its gates `i f g o` and the old c.
#[inline(always)]
pub(crate) fn lstm<S: Arithmetic>(s: S, [i, f, g, o]: [S::V; 4], c: S::V) -> [S::V; 2] {
    let one = s.splat(1.0);
    let (t, q) = tanh_ratio(s, g);
    let added = s.div(t, s.fma(exp_of_negative(s, i), q, q));
    let forget = s.div(one, s.add(one, exp_of_negative(s, f)));
    let c = flushed(s, s.fma(forget, c, added));
    let (t, q) = tanh_ratio(s, c);
    let h = flushed(s, s.div(t, s.fma(exp_of_negative(s, o), q, q)));
    [h, c]
}

/// The reset gate of a GRU, from its sum.
#[inline(always)]
pub(crate) fn reset<S: Arithmetic>(s: S, r: S::V) -> S::V {
    sigmoid_of(s, exp_of_negative(s, r))
}

/// The new h of a GRU, from e(z) of its update gate, the candidate's sum n and the old h.
#[inline(always)]
pub(crate) fn blended<S: Arithmetic>(s: S, ez: S::V, n: S::V, h: S::V) -> S::V {
    let (t, q) = tanh_ratio(s, n);
    let new = s.div(s.mul(ez, t), s.fma(ez, q, q));
    flushed(s, s.fma(sigmoid_of(s, ez), h, new))
}

#[inline(always)]
fn sigmoid_of<S: Arithmetic>(s: S, e: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, e))
}
