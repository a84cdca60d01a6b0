//! Softmax and log-softmax of whole rows on every level: their errors, their limits, their bits.

mod domain;
mod layer;

use domain::{apply, stated};
use layer::{bits, fused, noise};
use ritornello_kernels::{Activation, Isa, Kernels, ViewMut};
use ritornello_reference::{UNIT_ROUNDOFF, log_softmax, softmax, widen};

/// Rows for softmax: ordinary, wide, one number far above all others, equal numbers, infinite lows.
fn softmax_rows(length: usize) -> Vec<Vec<f32>> {
    let mut next = noise(1000 + length as u64);
    let mut draw = |scale: f32| -> Vec<f32> { (0..length).map(|_| scale * next()).collect() };
    let mut peak = draw(1.0);
    peak[length / 2] = 30.0;
    let mut low = draw(3.0);
    if length > 1 {
        low[length - 1] = f32::NEG_INFINITY;
    }
    let mut huge = draw(3.0e38);
    huge[0] = f32::MAX;
    vec![
        draw(1.0),
        draw(20.0),
        draw(200.0),
        peak,
        low,
        huge,
        vec![7.25; length],
        vec![f32::MAX; length],
    ]
}

/// The error bounds of softmax and log-softmax for each element, by counting roundings: of the
/// difference to the maximum, which moves exp by as much; of exp; of the sum's additions, 16 lanes
/// and a tree of 4; of the division, or of ln and two differences.
fn softmax_bounds(row: &[f32], isa: Isa) -> (Vec<f64>, Vec<f64>) {
    const LANES: usize = 16;
    let row = widen(row);
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares = softmax(&row);
    let u = UNIT_ROUNDOFF;
    // ULP of a result are at most 2 u of it. Where a share is 0 the distance does not matter.
    let exp = 2.0 * stated(Activation::Exponential, isa) * u;
    let argument = |x: f64, share: f64| if share == 0.0 { 0.0 } else { (most - x) * u };
    let additions = (row.len().div_ceil(LANES) + 4) as f64 * u;
    let shifts: f64 = row.iter().zip(&shares).map(|(&x, &share)| share * argument(x, share)).sum();
    let total = shifts + exp + additions;
    let tiny = 2.0_f64.powi(-149);
    let of_share = |(&x, &share): (&f64, &f64)| {
        share * (argument(x, share) + exp + total + u) * 1.001 + 2.0 * tiny
    };
    let logs = log_softmax(&row);
    let ln_total = (row.len() as f64).ln();
    let of_log = |(&x, &log): (&f64, &f64)| {
        // ln errs by 0.9 ULP; portable by 1.2.
        (u * (most - x) + total + 2.0 * 1.2 * u * ln_total + u * log.abs()) * 1.001
    };
    let shares = row.iter().zip(&shares).map(of_share).collect();
    (shares, row.iter().zip(&logs).map(of_log).collect())
}

#[test]
fn softmax_and_log_softmax_are_right() {
    for kernels in Kernels::available() {
        let isa = kernels.isa();
        for length in 1..=70 {
            for row in softmax_rows(length) {
                let (bounds, log_bounds) = softmax_bounds(&row, isa);
                let shares = apply(kernels, Activation::Softmax, &row);
                let logs = apply(kernels, Activation::LogSoftmax, &row);
                for (what, found, expected, bounds) in [
                    ("softmax", &shares, softmax(&widen(&row)), &bounds),
                    ("log_softmax", &logs, log_softmax(&widen(&row)), &log_bounds),
                ] {
                    for j in 0..length {
                        let beyond =
                            expected[j] < -f64::from(f32::MAX) && found[j] == f32::NEG_INFINITY;
                        let error = (f64::from(found[j]) - expected[j]).abs();
                        assert!(
                            error <= bounds[j] || beyond,
                            "{what} on {isa}: {:e} at {j} of {length}, exact {:e}: off by {error:e}, allowed {:e}",
                            found[j],
                            expected[j],
                            bounds[j]
                        );
                    }
                }
                let sum: f64 = shares.iter().map(|&share| f64::from(share)).sum();
                let allowed: f64 = bounds.iter().sum();
                assert!((sum - 1.0).abs() <= allowed, "{length} shares sum to {sum} on {isa}");
                assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "shares in [0, 1]");
                assert!(
                    logs.iter().all(|&log| log <= 0.0),
                    "logarithms of shares, {length} on {isa}"
                );
            }
        }
    }
}

#[test]
fn softmax_of_infinity_and_nan() {
    for kernels in Kernels::available() {
        for activation in [Activation::Softmax, Activation::LogSoftmax] {
            for length in [1, 2, 7, 8, 9, 16, 17, 33, 70] {
                for place in [0, length / 2, length - 1] {
                    for what in [f32::NAN, -f32::NAN, f32::INFINITY] {
                        let mut row: Vec<f32> = (0..length).map(|i| i as f32).collect();
                        row[place] = what;
                        let found = apply(kernels, activation, &row);
                        // ∞ - ∞ has no value; beside it everything else has, 0 or -∞.
                        let right = if what.is_nan() || activation == Activation::Softmax {
                            found.iter().all(|y| y.is_nan())
                        } else {
                            found[place].is_nan()
                        };
                        assert!(
                            right,
                            "{activation} on {} of {length} with {what} at {place}: {found:?}",
                            kernels.isa()
                        );
                    }
                }
                let nothing = vec![f32::NEG_INFINITY; length];
                let found = apply(kernels, activation, &nothing);
                assert!(found.iter().all(|y| y.is_nan()), "{activation} of nothing but -∞");
            }
        }
    }
}

#[test]
fn softmax_does_not_depend_on_level_or_place() {
    for activation in [Activation::Softmax, Activation::LogSoftmax] {
        for length in 1..=70 {
            let mut rows = softmax_rows(length);
            rows.insert(3, vec![f32::NAN; length]);
            let count = rows.len();
            let mut of_levels: Vec<Vec<Vec<u32>>> = Vec::new();
            for kernels in Kernels::available() {
                let alone: Vec<Vec<u32>> =
                    rows.iter().map(|row| bits(&apply(kernels, activation, row))).collect();
                for first in 0..count {
                    let mut memory: Vec<f32> =
                        (0..count).flat_map(|i| rows[(first + i) % count].clone()).collect();
                    kernels
                        .activate(activation, ViewMut::time_major(&mut memory, [1, count, length]));
                    for (i, found) in memory.chunks(length).enumerate() {
                        let row = (first + i) % count;
                        let nan = found.iter().all(|y| y.is_nan()) && rows[row][0].is_nan();
                        assert!(
                            nan || bits(found) == alone[row],
                            "{activation} of {length} on {}: row {row} in place {i}",
                            kernels.isa()
                        );
                    }
                }
                if fused(kernels) {
                    of_levels
                        .push((0..count).filter(|&i| i != 3).map(|i| alone[i].clone()).collect());
                }
            }
            for other in of_levels.iter().skip(1) {
                assert_eq!(other, &of_levels[0], "{activation} of {length} on levels with FMA");
            }
        }
    }
}
