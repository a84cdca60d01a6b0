//! What activations are tried on: which of them, on which numbers, and how.

#![allow(dead_code, reason = "each test takes what it needs")]

use ritornello_kernels::{Activation, Isa, Kernels, ViewMut};

use crate::layer::noise;

/// Those that map number to number, with parameters beside the usual ones.
pub(crate) fn elementwise() -> Vec<Activation> {
    let usual = Activation::ALL.into_iter().filter(|activation| !activation.works_on_rows());
    let others = [
        Activation::LeakyRelu { alpha: 0.01 },
        Activation::Elu { alpha: 1.98 },
        Activation::Elu { alpha: 0.3 },
        Activation::HardSigmoid { slope: 0.37, offset: 0.25 },
        Activation::ScaledTanh { alpha: 1.7159, beta: 0.6667 },
        Activation::ScaledTanh { alpha: -0.3, beta: 3.0 },
        Activation::Affine { alpha: -0.5, beta: 0.25 },
        Activation::ThresholdedRelu { alpha: 0.3 },
        Activation::ThresholdedRelu { alpha: -0.5 },
    ];
    usual.chain(others).collect()
}

/// The number that guards the memory around rows; no activation gives it.
pub(crate) const GUARD: f32 = -12345.678;

/// Applies to one row, behind which nothing is touched.
pub(crate) fn apply(kernels: &Kernels, activation: Activation, numbers: &[f32]) -> Vec<f32> {
    let mut rows = [numbers, &[GUARD; 32]].concat();
    let shape = [1, 1, numbers.len()];
    kernels.activate(activation, ViewMut::time_major(&mut rows, shape));
    let guards = rows.split_off(numbers.len());
    assert!(guards == [GUARD; 32], "{activation} on {} left its row", kernels.isa());
    rows
}

/// The stated maximum error in ULP of tanh, sigmoid and exp, measured over all f32. The portable
/// level rounds the products of their polynomials by themselves.
pub(crate) fn stated(activation: Activation, isa: Isa) -> f64 {
    match (activation, isa) {
        (Activation::Tanh, Isa::Portable) => 2.7,
        (Activation::Tanh, _) => 2.6,
        (Activation::Sigmoid, _) => 2.5,
        (Activation::Exponential, _) => 1.1,
        (other, _) => panic!("{other} has another bound"),
    }
}

/// Where a formula changes, or a result becomes denormal, zero, one or infinite.
pub(crate) const THRESHOLDS: [f32; 34] = [
    0.0,
    1.2e-38,
    2.4e-38,
    3.0e-8,
    5.9e-8,
    1.2e-7,
    2.4e-4,
    0.173,
    0.346_573_6,
    0.5,
    0.549,
    std::f32::consts::LN_2,
    0.9,
    1.0,
    1.04,
    2.5,
    3.0,
    6.0,
    9.0,
    9.01,
    9.1,
    14.5,
    15.0,
    16.64,
    17.33,
    18.0,
    18.2,
    87.34,
    88.0,
    88.722_84,
    89.0,
    103.28,
    103.972,
    104.0,
];

/// Every 1201st f32 of both signs, 400 neighbours of each threshold, and many ordinary numbers.
pub(crate) fn inputs() -> Vec<f32> {
    let mut inputs: Vec<f32> = (0..=u32::MAX).step_by(1201).map(f32::from_bits).collect();
    let far = [33_554_432.0, 2.0_f32.powi(64), f32::MAX];
    for threshold in THRESHOLDS.into_iter().chain(far) {
        let middle = threshold.to_bits();
        for bits in middle.saturating_sub(200)..=middle + 200 {
            inputs.extend([f32::from_bits(bits), -f32::from_bits(bits)]);
        }
    }
    let mut next = noise(5);
    inputs.extend((0..200_000).map(|_| 18.0 * next()));
    inputs.extend((0..100_000).map(|_| 1.5 * next()));
    inputs
}
