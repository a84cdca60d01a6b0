//! `W x + b`, and how large the terms of its sum are.

use std::ops::Add;

use crate::Activation;

/// A sum, and the sum of the absolute values of its terms.
///
/// However `n` products are added in `f32`, the error is at most about `n·2⁻²⁴·magnitude`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dot {
    /// `Σ termₖ`
    pub value: f64,
    /// `Σ |termₖ|`
    pub magnitude: f64,
}

impl Dot {
    /// A sum of one term.
    #[must_use]
    pub fn of(term: f64) -> Self {
        Self { value: term, magnitude: term.abs() }
    }

    /// Every term times `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, magnitude: self.magnitude * factor.abs() }
    }
}

impl Add for Dot {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, magnitude: self.magnitude + other.magnitude }
    }
}

/// `y = W x + b`: the part of every layer that is linear.
///
/// ```text
/// y[row] = b[row] + Σₖ W[row, k]·x[k]      W [rows, columns] row-major, x [columns], b and y [rows]
/// ```
///
/// # Panics
/// If `weights` is not `[bias.len(), input.len()]`.
#[must_use]
pub fn affine(weights: &[f64], input: &[f64], bias: &[f64]) -> Vec<Dot> {
    let columns = input.len();
    assert_eq!(weights.len(), bias.len() * columns, "weights are not [rows, columns]");
    let mut sums = Vec::new();
    for row in 0..bias.len() {
        let mut sum = Dot::of(bias[row]);
        for k in 0..columns {
            sum = sum + Dot::of(weights[row * columns + k] * input[k]);
        }
        sums.push(sum);
    }
    sums
}

/// A dense layer: `y = activation(W x + b)`, `W [output_size, input_size]`.
///
/// # Panics
/// If `weights` is not `[bias.len(), input.len()]`.
#[must_use]
pub fn dense(weights: &[f64], input: &[f64], bias: &[f64], activation: Activation) -> Vec<f64> {
    affine(weights, input, bias).iter().map(|sum| activation.apply(sum.value)).collect()
}

/// `f32` numbers as `f64`, exactly.
#[must_use]
pub fn widen(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affine_is_row_major_and_knows_its_magnitude() {
        let sums = affine(&[1.0, 2.0, 3.0, -4.0, 5.0, 6.0], &[10.0, -1.0, 0.5], &[7.0, -8.0]);
        assert_eq!(
            sums[0],
            Dot { value: 7.0 + 10.0 - 2.0 + 1.5, magnitude: 7.0 + 10.0 + 2.0 + 1.5 }
        );
        assert_eq!(
            sums[1],
            Dot { value: -8.0 - 40.0 - 5.0 + 3.0, magnitude: 8.0 + 40.0 + 5.0 + 3.0 }
        );
        assert_eq!(sums[1].scaled(-2.0), Dot { value: 100.0, magnitude: 112.0 });
    }

    #[test]
    fn dense_activates_every_row() {
        let weights = [1.0, 2.0, 3.0, -4.0, 5.0, 6.0];
        let y = dense(&weights, &[10.0, -1.0, 0.5], &[7.0, -8.0], Activation::Relu);
        assert_eq!(y, [16.5, 0.0]);
    }
}
