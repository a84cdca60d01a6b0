//! Activations of whole rows, in place.

use super::functions::{apply, exp, ln};
use super::Activation;
use crate::simd::Simd;
use crate::view::ViewMut;

/// Applies an activation to every row.
#[inline(always)]
pub(crate) fn activate_rows<S: Simd>(s: S, activation: Activation, rows: &mut ViewMut<'_>) {
    for time in 0..rows.time() {
        for batch in 0..rows.batch() {
            let row = rows.row_mut(time, batch);
            match activation {
                Activation::Softmax => softmax(s, row),
                Activation::LogSoftmax => log_softmax(s, row),
                _ => map(s, row, |x| apply(s, activation, x)),
            }
        }
    }
}

/// Replaces every number of a row.
#[inline(always)]
fn map<S: Simd>(s: S, row: &mut [f32], f: impl Fn(S::V) -> S::V) {
    let len = row.len();
    let mut at = 0;
    while at < len {
        let count = (len - at).min(S::LANES);
        // SAFETY: `count` numbers follow.
        unsafe {
            let place = row.as_mut_ptr().add(at);
            let result = f(s.load_first(place, count));
            s.store_first(place, count, result);
        }
        at += count;
    }
}

/// `exp(x - max) / Σ exp(x - max)`
#[inline(always)]
fn softmax<S: Simd>(s: S, row: &mut [f32]) {
    let highest = s.splat(maximum(row));
    map(s, row, |x| exp(s, s.sub(x, highest)));
    let total = s.splat(sum(row));
    map(s, row, |x| s.div(x, total));
}

/// `(x - max) - ln Σ exp(x - max)`
#[inline(always)]
fn log_softmax<S: Simd>(s: S, row: &mut [f32]) {
    let highest = s.splat(maximum(row));
    map(s, row, |x| s.sub(x, highest));
    let total = sum_of(s, row, |x| exp(s, x));
    let log = ln(s, s.splat(total));
    map(s, row, |x| s.sub(x, log));
}

/// The greatest number; NaN where there is one.
fn maximum(row: &[f32]) -> f32 {
    row.iter().fold(f32::NEG_INFINITY, |highest, &x| if x > highest || x.is_nan() { x } else { highest })
}

/// Lanes of a sum over a row, on every level.
const LANES: usize = 16;

/// The sum of a row: lane l sums the numbers l, l + 16, ... in order, and the lanes are added in a
/// tree, neighbours at a distance of 8, 4, 2, 1. The same bits on every level.
fn sum(row: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for chunk in row.chunks(LANES) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x;
        }
    }
    tree(lanes)
}

/// The sum of a function of a row, likewise.
#[inline(always)]
fn sum_of<S: Simd>(s: S, row: &[f32], f: impl Fn(S::V) -> S::V) -> f32 {
    let mut lanes = [0.0; LANES];
    for chunk in row.chunks(LANES) {
        let mut block = [0.0; LANES];
        block[..chunk.len()].copy_from_slice(chunk);
        map(s, &mut block, &f);
        for (lane, x) in lanes.iter_mut().zip(&block[..chunk.len()]) {
            *lane += x;
        }
    }
    tree(lanes)
}

fn tree(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}
