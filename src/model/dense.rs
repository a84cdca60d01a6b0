//! The head's layers: dense, embedding, scale and shift.

use super::{Activation, Matrix};
use crate::Error;

/// `y = activation(W x + b)` on every row.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    weights: Matrix,
    bias: Option<Vec<f32>>,
    activation: Activation,
}

impl Dense {
    /// Takes `weights` `[output_size, input_size]` and an optional bias `[output_size]`.
    ///
    /// # Errors
    ///
    /// If the bias has another length, or there are no outputs.
    pub fn new(
        weights: Matrix,
        bias: Option<Vec<f32>>,
        activation: Activation,
    ) -> Result<Self, Error> {
        let outputs = weights.rows();
        if outputs == 0 {
            return Err(Error::Shape {
                what: "dense: outputs".into(),
                expected: "at least 1".into(),
                found: "0".into(),
            });
        }
        if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != outputs) {
            return Err(Error::Shape {
                what: "dense: bias".into(),
                expected: format!("[output={outputs}]"),
                found: format!("[{}]", bias.len()),
            });
        }
        Ok(Self { weights, bias, activation })
    }

    /// W, `[output_size, input_size]`.
    #[must_use]
    pub fn weights(&self) -> &Matrix {
        &self.weights
    }

    /// b, `[output_size]`.
    #[must_use]
    pub fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref()
    }

    /// What is applied to the sum.
    #[must_use]
    pub fn activation(&self) -> Activation {
        self.activation
    }
}

/// A row of a table for each index.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    table: Matrix,
}

impl Embedding {
    /// Takes the table `[indices, features]`.
    #[must_use]
    pub fn new(table: Matrix) -> Self {
        Self { table }
    }

    /// The table `[indices, features]`.
    #[must_use]
    pub fn table(&self) -> &Matrix {
        &self.table
    }
}

/// `y = scale ⊙ x + shift` on every row: batch normalisation at inference.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleShift {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl ScaleShift {
    /// Takes `scale` and `shift`, both `[features]`.
    ///
    /// # Errors
    ///
    /// If their lengths differ.
    pub fn new(scale: Vec<f32>, shift: Vec<f32>) -> Result<Self, Error> {
        if scale.len() != shift.len() {
            return Err(Error::Shape {
                what: "scale_shift: shift".into(),
                expected: format!("[{}] like scale", scale.len()),
                found: format!("[{}]", shift.len()),
            });
        }
        Ok(Self { scale, shift })
    }

    /// Folds batch normalisation, `gamma (x - mean) / sqrt(variance + epsilon) + beta`, in f64.
    ///
    /// # Errors
    ///
    /// If the lengths differ.
    pub fn from_batch_norm(
        gamma: Option<&[f32]>,
        beta: Option<&[f32]>,
        mean: &[f32],
        variance: &[f32],
        epsilon: f64,
    ) -> Result<Self, Error> {
        for (name, values) in [("gamma", gamma), ("beta", beta), ("variance", Some(variance))] {
            if let Some(values) = values.filter(|values| values.len() != mean.len()) {
                return Err(Error::Shape {
                    what: format!("batch normalisation: {name}"),
                    expected: format!("[{}] like mean", mean.len()),
                    found: format!("[{}]", values.len()),
                });
            }
        }
        let at = |values: Option<&[f32]>, i: usize, default: f64| {
            values.map_or(default, |values| f64::from(values[i]))
        };
        let scale = |i: usize| at(gamma, i, 1.0) / (f64::from(variance[i]) + epsilon).sqrt();
        let shift = |i: usize| at(beta, i, 0.0) - f64::from(mean[i]) * scale(i);
        #[allow(clippy::cast_possible_truncation, reason = "the weights of a plan are f32")]
        let narrow = |value: f64| value as f32;
        Self::new(
            (0..mean.len()).map(|i| narrow(scale(i))).collect(),
            (0..mean.len()).map(|i| narrow(shift(i))).collect(),
        )
    }

    /// The factors.
    #[must_use]
    pub fn scale(&self) -> &[f32] {
        &self.scale
    }

    /// The summands.
    #[must_use]
    pub fn shift(&self) -> &[f32] {
        &self.shift
    }
}
