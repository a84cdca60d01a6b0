//! Activations of whole rows, in place.

use super::Activation;
use super::functions::{apply, exp, ln};
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
                _ => map(s, row, Named(activation)),
            }
        }
    }
}

/// What [`map`] does with a vector. Not a closure: that would be compiled by itself, without the
/// features of the level.
trait Function<S: Simd>: Copy {
    fn of(self, s: S, x: S::V) -> S::V;
}

/// An activation.
#[derive(Clone, Copy)]
struct Named(Activation);

/// `exp(x - highest)`
#[derive(Clone, Copy)]
struct ExpBelow(f32);

/// `x / divisor`
#[derive(Clone, Copy)]
struct Over(f32);

/// `x - first - second`, in this order.
#[derive(Clone, Copy)]
struct Minus(f32, f32);

impl<S: Simd> Function<S> for Named {
    #[inline(always)]
    fn of(self, s: S, x: S::V) -> S::V {
        apply(s, self.0, x)
    }
}

impl<S: Simd> Function<S> for ExpBelow {
    #[inline(always)]
    fn of(self, s: S, x: S::V) -> S::V {
        exp(s, s.sub(x, s.splat(self.0)))
    }
}

impl<S: Simd> Function<S> for Over {
    #[inline(always)]
    fn of(self, s: S, x: S::V) -> S::V {
        s.div(x, s.splat(self.0))
    }
}

impl<S: Simd> Function<S> for Minus {
    #[inline(always)]
    fn of(self, s: S, x: S::V) -> S::V {
        s.sub(s.sub(x, s.splat(self.0)), s.splat(self.1))
    }
}

/// Replaces every number of a row.
#[inline(always)]
fn map<S: Simd, F: Function<S>>(s: S, row: &mut [f32], f: F) {
    let len = row.len();
    let mut at = 0;
    while at < len {
        let count = (len - at).min(S::LANES);
        // SAFETY: `count` numbers follow.
        unsafe {
            let place = row.as_mut_ptr().add(at);
            s.store_first(place, count, f.of(s, s.load_first(place, count)));
        }
        at += count;
    }
}

/// `exp(x - max) / Σ exp(x - max)`
#[inline(always)]
fn softmax<S: Simd>(s: S, row: &mut [f32]) {
    map(s, row, ExpBelow(maximum(row)));
    map(s, row, Over(sum(row)));
}

/// `x - max - ln Σ exp(x - max)`
#[inline(always)]
fn log_softmax<S: Simd>(s: S, row: &mut [f32]) {
    let highest = maximum(row);
    let mut lanes = [0.0; LANES];
    for chunk in row.chunks(LANES) {
        let mut block = [0.0; LANES];
        block[..chunk.len()].copy_from_slice(chunk);
        map(s, &mut block, ExpBelow(highest));
        add_to_lanes(&mut lanes, &block[..chunk.len()]);
    }
    let mut total = [tree(lanes); LANES];
    // SAFETY: the array is at least a vector long.
    unsafe { s.store(total.as_mut_ptr(), ln(s, s.load(total.as_ptr()))) };
    map(s, row, Minus(highest, total[0]));
}

/// The greatest number; NaN where there is one.
fn maximum(row: &[f32]) -> f32 {
    row.iter()
        .fold(f32::NEG_INFINITY, |highest, &x| if x > highest || x.is_nan() { x } else { highest })
}

/// Lanes of a sum over a row, on every level.
const LANES: usize = 16;

/// The sum of a row: lane l sums the numbers l, l + 16, ... in order, and the lanes are added in a
/// tree, neighbours at a distance of 8, 4, 2, 1. The same bits on every level.
fn sum(row: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    for chunk in row.chunks(LANES) {
        add_to_lanes(&mut lanes, chunk);
    }
    tree(lanes)
}

fn add_to_lanes(lanes: &mut [f32; LANES], chunk: &[f32]) {
    for (lane, x) in lanes.iter_mut().zip(chunk) {
        *lane += x;
    }
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
