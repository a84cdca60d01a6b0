//! Stages that move numbers or combine them one by one. Each operation is rounded once, in the order
//! that is written here, so that the bits are the same on every level.

use ritornello_kernels::{View, ViewMut};

use super::rows::{NodeSteps, RowTimes};
use crate::model::{Matrix, Merge};

/// `to = from`
pub(crate) fn copy(from: View<'_>, mut to: ViewMut<'_>) {
    each_row(from, &mut to, |from, to| to.copy_from_slice(from));
}

/// `to = to + from`
pub(crate) fn add(from: View<'_>, mut to: ViewMut<'_>) {
    each_row(from, &mut to, |from, to| each(from, to, |from, to| to + from));
}

/// `to = to × from`
pub(crate) fn multiply(from: View<'_>, mut to: ViewMut<'_>) {
    each_row(from, &mut to, |from, to| each(from, to, |from, to| to * from));
}

/// The two directions of a layer into one, the first in `to`.
pub(crate) fn merge(merge: Merge, mut to: ViewMut<'_>, second: View<'_>) {
    each_row(second, &mut to, |from, to| each(from, to, |from, to| merged(merge, to, from)));
}

/// A number of both directions into one.
pub(crate) fn merged(merge: Merge, first: f32, second: f32) -> f32 {
    match merge {
        Merge::Concat => unreachable!("a concatenation is written in place"),
        Merge::Sum => first + second,
        Merge::Mul => first * second,
        Merge::Average => 0.5 * (first + second),
    }
}

/// `to = scale × from + shift`
pub(crate) fn scale_shift(from: View<'_>, mut to: ViewMut<'_>, scale: &[f32], shift: &[f32]) {
    each_row(from, &mut to, |from, to| {
        for (i, to) in to.iter_mut().enumerate() {
            *to = from[i] * scale[i] + shift[i];
        }
    });
}

/// One step of each row, counted from its end if negative. Of a row without steps it is zero; a row
/// that ended in an earlier piece keeps what that gave.
pub(crate) fn select_step(from: View<'_>, times: RowTimes<'_>, step: isize, mut to: ViewMut<'_>) {
    for batch in 0..from.batch() {
        if times.is_over(batch) {
            continue;
        }
        let (steps, to) = (times.row(batch), to.row_mut(0, batch));
        if steps.count() == 0 {
            // Memory may hold what another call left there.
            to.fill(0.0);
            continue;
        }
        let start = if step < 0 { steps.count() } else { 0 };
        let at = start.checked_add_signed(step).expect("a step inside the sequence");
        to.copy_from_slice(from.row(steps.at(at), batch));
    }
}

/// The mean of all steps that count, summed from the first to the last. Of no steps it is NaN.
pub(crate) fn mean_over_time(from: View<'_>, steps: NodeSteps<'_>, mut to: ViewMut<'_>) {
    for batch in 0..from.batch() {
        let to = to.row_mut(0, batch);
        to.fill(0.0);
        let mut count = 0_usize;
        for time in steps.each(batch) {
            each(from.row(time, batch), to, |from, to| to + from);
            count += 1;
        }
        #[allow(clippy::cast_precision_loss, reason = "the mean of 2^24 steps is rounded anyway")]
        to.iter_mut().for_each(|to| *to /= count as f32);
    }
}

/// The greatest of all steps; NaN where there is one. Of no steps it is minus infinity.
pub(crate) fn max_over_time(from: View<'_>, times: RowTimes<'_>, mut to: ViewMut<'_>) {
    for batch in 0..from.batch() {
        let to = to.row_mut(0, batch);
        to.fill(f32::NEG_INFINITY);
        for time in times.row(batch).each() {
            each(
                from.row(time, batch),
                to,
                |from, to| {
                    if from > to || from.is_nan() { from } else { to }
                },
            );
        }
    }
}

/// A mask: 1 at steps with a feature that is not `value`, else 0.
pub(crate) fn differs(from: View<'_>, value: f32, mut to: ViewMut<'_>) {
    each_row(from, &mut to, |from, to| {
        #[allow(clippy::float_cmp, reason = "the mask is of exactly this number")]
        let counts = from.iter().any(|&x| x != value);
        to[0] = f32::from(u8::from(counts));
    });
}

/// `to = from` where the mask is not zero, else zero.
pub(crate) fn masked(from: View<'_>, mask: View<'_>, mut to: ViewMut<'_>) {
    for time in 0..from.time() {
        for batch in 0..from.batch() {
            let to = to.row_mut(time, batch);
            if mask.row(time, batch)[0] == 0.0 {
                to.fill(0.0);
            } else {
                to.copy_from_slice(from.row(time, batch));
            }
        }
    }
}

/// Zero in steps that do not count.
pub(crate) fn zero_padding(times: RowTimes<'_>, mut to: ViewMut<'_>) {
    for batch in 0..to.batch() {
        let mut counting = times.row(batch).each().peekable();
        for time in 0..to.time() {
            if counting.next_if_eq(&time).is_none() {
                to.row_mut(time, batch).fill(0.0);
            }
        }
    }
}

/// All steps of a row behind each other.
pub(crate) fn flatten(from: View<'_>, mut to: ViewMut<'_>) {
    let features = from.features();
    for batch in 0..from.batch() {
        let to = to.row_mut(0, batch);
        for time in 0..from.time() {
            to[time * features..][..features].copy_from_slice(from.row(time, batch));
        }
    }
}

/// The vector as every step, or as the first of steps that are else zero.
pub(crate) fn spread(from: View<'_>, mut to: ViewMut<'_>, others: Others) {
    for batch in 0..from.batch() {
        for time in 0..to.time() {
            let row = to.row_mut(time, batch);
            if time == 0 || others == Others::Same {
                row.copy_from_slice(from.row(0, batch));
            } else {
                row.fill(0.0);
            }
        }
    }
}

/// The same step or state in every row of the batch.
pub(crate) fn every_row(rows: &Matrix, mut to: ViewMut<'_>) {
    for time in 0..to.time() {
        for batch in 0..to.batch() {
            to.row_mut(time, batch).copy_from_slice(rows.row(time));
        }
    }
}

/// What the steps after the first are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    Same,
    Zero,
}

fn each(from: &[f32], to: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = f(from, *to);
    }
}

fn each_row(from: View<'_>, to: &mut ViewMut<'_>, mut f: impl FnMut(&[f32], &mut [f32])) {
    for time in 0..from.time() {
        for batch in 0..from.batch() {
            f(from.row(time, batch), to.row_mut(time, batch));
        }
    }
}
