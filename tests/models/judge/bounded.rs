//! Numbers in f64 and how far ours may be from them, through sums, products and activations.

use ritornello::Isa;
use ritornello::model::Activation;
use ritornello_reference as reference;
use ritornello_reference::{Rounding, UNIT_ROUNDOFF};

use super::truth::reference_activation;

/// A number in f64, and how far the f32 number may be from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounded {
    pub(super) value: f64,
    pub(super) bound: f64,
}

impl Bounded {
    pub(super) fn exact(value: f32) -> Self {
        Self { value: value.into(), bound: 0.0 }
    }

    /// After one rounding to f32, normal or not.
    pub(super) fn rounded(self) -> Self {
        let size = self.value.abs() + self.bound;
        Self { bound: self.bound + UNIT_ROUNDOFF * size + SMALLEST, ..self }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let value = self.value + other.value;
        Self { value, bound: self.bound + other.bound }.rounded()
    }

    pub(super) fn times(self, other: Self) -> Self {
        let bound = self.bound * (other.value.abs() + other.bound) + other.bound * self.value.abs();
        Self { value: self.value * other.value, bound }.rounded()
    }

    pub(super) fn accepts(self, found: f32) -> bool {
        let found = f64::from(found);
        found == self.value
            || (found.is_nan() && self.value.is_nan())
            || (found - self.value).abs() <= self.bound
    }
}

/// Half the least f32 above zero.
const SMALLEST: f64 = 0.5 * 1.401_298_464_324_817e-45;

pub(super) fn rounding(isa: Isa) -> Rounding {
    if isa == Isa::Portable { Rounding::Separate } else { Rounding::Fused }
}

/// An activation of numbers that are known within bounds; the table is in `docs/numerics.md`.
pub(super) fn activated(activation: Activation, row: &[Bounded], isa: Isa) -> Vec<Bounded> {
    match activation {
        Activation::Softmax => softmax(row, isa),
        Activation::LogSoftmax => log_softmax(row, isa),
        _ => row.iter().map(|&x| element(activation, x, isa)).collect(),
    }
}

/// Without FMA each rounding of a function may be two, and in exp(x) - 1 a product is up to 1.4
/// times the result.
fn roundings(isa: Isa) -> f64 {
    if isa == Isa::Portable { 2.4 } else { 1.0 }
}

fn element(activation: Activation, x: Bounded, isa: Isa) -> Bounded {
    let function = |x: f64| reference_activation(activation).apply(x);
    let value = function(x.value);
    if x.bound.is_nan() || value.is_nan() {
        return Bounded { value, bound: f64::NAN };
    }
    // How far the function moves within the bound: monotone ones most at its ends.
    let through = match activation {
        _ if x.bound == 0.0 => 0.0,
        Activation::Silu | Activation::Gelu | Activation::GeluTanh => 1.13 * x.bound,
        _ => {
            let [low, high] = [x.value - x.bound, x.value + x.bound].map(function);
            (value - low).abs().max((high - value).abs())
        }
    };
    let size = value.abs() + through;
    // A unit in the last place is at most 2u of the number.
    let ulp = |units: f64| 2.0 * units * (UNIT_ROUNDOFF * size + SMALLEST);
    let below = |units: f64| {
        let lowest = x.value - x.bound;
        ulp(units) + if lowest < 0.0 { 1.5e-7 * lowest.abs() } else { 0.0 }
    };
    let own = match activation {
        Activation::Linear | Activation::Relu | Activation::Relu6 | Activation::HardTanh => 0.0,
        Activation::ThresholdedRelu { .. } => 0.0,
        Activation::LeakyRelu { .. } => ulp(0.5),
        Activation::Affine { alpha, .. } => {
            let product = (f64::from(alpha) * x.value).abs() + x.bound;
            ulp(0.5) + if isa == Isa::Portable { UNIT_ROUNDOFF * product } else { 0.0 }
        }
        // tanh in units of a product that may be half as long, its argument's rounding, its own.
        Activation::ScaledTanh { .. } => ulp(2.0 * 2.7 + 1.0 + 0.5),
        Activation::HardSigmoid { slope, .. } => {
            let product = (f64::from(slope) * x.value).abs() + x.bound;
            ulp(0.5) + if isa == Isa::Portable { UNIT_ROUNDOFF * product } else { 0.0 }
        }
        Activation::Exponential => ulp(1.1) * roundings(isa),
        Activation::Sigmoid => ulp(2.5) * roundings(isa),
        Activation::Tanh => ulp(2.6) * roundings(isa),
        Activation::Elu { alpha } => ulp(if alpha == 1.0 { 1.0 } else { 1.5 }) * roundings(isa),
        Activation::Selu => ulp(1.9) * roundings(isa),
        Activation::Softplus => ulp(1.9) * roundings(isa),
        Activation::Softsign => ulp(1.6) * roundings(isa),
        Activation::Silu => below(2.2) * roundings(isa),
        Activation::Gelu => below(3.6) * roundings(isa),
        Activation::GeluTanh => below(2.6) * roundings(isa),
        other => unreachable!("{other} has no line in the table"),
    };
    Bounded { value, bound: through + own }
}

/// How exp(x - max) of a row errs, relatively: through the bound of x and of max, the rounding of
/// their difference, and exp itself; and how many roundings one lane and the tree make.
fn exponentials(row: &[Bounded], isa: Isa) -> (f64, Vec<f64>, f64) {
    let highest = row.iter().map(|x| x.value).fold(f64::NEG_INFINITY, f64::max);
    let widest = row.iter().map(|x| x.bound).fold(0.0, f64::max);
    let errors = row.iter().map(|x| {
        let below = highest - x.value + 2.0 * widest;
        let argument = x.bound + widest + UNIT_ROUNDOFF * below;
        argument.exp_m1() + 2.2 * UNIT_ROUNDOFF * roundings(isa)
    });
    let sums = UNIT_ROUNDOFF * (row.len().div_ceil(16) + 4) as f64;
    (highest, errors.collect(), sums)
}

fn softmax(row: &[Bounded], isa: Isa) -> Vec<Bounded> {
    let values: Vec<f64> = row.iter().map(|x| x.value).collect();
    let shares = reference::softmax(&values);
    let (_, errors, sums) = exponentials(row, isa);
    // Errors of the terms weigh in the sum as the terms do.
    let total: f64 = shares.iter().zip(&errors).map(|(share, error)| share * error).sum();
    let bound = |(&share, &error): (&f64, &f64)| {
        let relative = (1.0 + error) * (1.0 + UNIT_ROUNDOFF) / (1.0 - total - sums) - 1.0;
        Bounded { value: share, bound: share * relative + 4.0 * SMALLEST }
    };
    shares.iter().zip(&errors).map(bound).collect()
}

fn log_softmax(row: &[Bounded], isa: Isa) -> Vec<Bounded> {
    let values: Vec<f64> = row.iter().map(|x| x.value).collect();
    let shares = reference::softmax(&values);
    let logs = reference::log_softmax(&values);
    let (highest, errors, sums) = exponentials(row, isa);
    let total: f64 = shares.iter().zip(&errors).map(|(share, error)| share * error).sum();
    let widest = row.iter().map(|x| x.bound).fold(0.0, f64::max);
    // ln of a sum between 1 and the length of the row.
    let ln = (row.len() as f64).ln();
    let of_sum = -(1.0 - total - sums).ln() + 1.8 * UNIT_ROUNDOFF * ln * roundings(isa);
    let bound = |(x, &log): (&Bounded, &f64)| {
        let below = highest - x.value + 2.0 * widest;
        let own = UNIT_ROUNDOFF * (below + log.abs() + of_sum);
        Bounded { value: log, bound: x.bound + widest + of_sum + own }
    };
    row.iter().zip(&logs).map(bound).collect()
}
