//! A dense layer of a fixed size, and activations of arrays.

use super::fence::{Step, fenced};
use super::product::{Blocks, Matrix, Place, block_of, blocks_of, in_blocks, projected};
use super::scalars::Scalars;
use super::source::{FixedError, FixedSource, Operand, packed};
use crate::activation::{Activation, apply};

/// `y = W x + b`, with `I` inputs and `O` outputs.
///
/// The bits are those of [`Kernels::dense`](crate::Kernels::dense) on a level with fused
/// multiply-add.
#[derive(Clone, Debug, PartialEq)]
pub struct FixedDense<const I: usize, const O: usize> {
    weights: Matrix<I, 1, O>,
    bias: [[f32; O]; 1],
}

impl<const I: usize, const O: usize> FixedDense<I, O> {
    /// Packs weights `[output_size, input_size]`, row by row, and a bias `[output_size]`, zeros
    /// without.
    ///
    /// # Errors
    ///
    /// If a slice does not have the length that `I` and `O` ask for.
    pub const fn new(weights: &[f32], bias: Option<&[f32]>) -> Result<Self, FixedError> {
        let (of, rows) = ("FixedDense", ("output", O));
        let operand = Operand { of, name: "bias", gates: 1, rows, columns: None };
        if let Some(bias) = bias
            && let Err(error) = operand.check(bias)
        {
            return Err(error);
        }
        let columns = Some(("input", I));
        if let Err(error) = (Operand { name: "weights", columns, ..operand }).check(weights) {
            return Err(error);
        }
        Ok(Self { weights: packed(weights), bias: [FixedSource::bias_of(bias, 0)] })
    }

    /// y of x.
    #[must_use]
    pub fn apply(&self, x: &[f32; I]) -> [f32; O] {
        let mut y = [0.0; O];
        fenced(DenseStep { layer: self, x, y: &mut y });
        y
    }
}

struct DenseStep<'a, const I: usize, const O: usize> {
    layer: &'a FixedDense<I, O>,
    x: &'a [f32; I],
    y: &'a mut [f32; O],
}

impl<const I: usize, const O: usize> Step for DenseStep<'_, I, O> {
    #[inline(always)]
    fn run(mut self) {
        in_blocks::<O, 8>(&mut self);
    }
}

impl<const I: usize, const O: usize> Blocks for DenseStep<'_, I, O> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let start = blocks_of::<N, O, 1>(&self.layer.bias, first);
        let place = Place { gate: 0, unit: first };
        let [y] = projected(start, self.x, &self.layer.weights, place);
        self.y[first..first + N].copy_from_slice(&y);
    }
}

/// Replaces every number by the activation of it.
///
/// The bits are those of [`Kernels::activate`](crate::Kernels::activate) on a level with fused
/// multiply-add.
///
/// # Errors
///
/// For softmax and log-softmax, which work on whole rows.
#[inline]
pub fn activate<const N: usize>(
    activation: Activation,
    numbers: &mut [f32; N],
) -> Result<(), FixedError> {
    if activation.works_on_rows() {
        return Err(FixedError::of_rows(activation));
    }
    let after = [0.0; N];
    let step = ActivationStep { activation, numbers, after };
    fenced(step);
    Ok(())
}

struct ActivationStep<'a, const N: usize> {
    activation: Activation,
    numbers: &'a mut [f32; N],
    after: [f32; N],
}

impl<const N: usize> Step for ActivationStep<'_, N> {
    #[inline(always)]
    fn run(mut self) {
        in_blocks::<N, 8>(&mut self);
        *self.numbers = self.after;
    }
}

impl<const LEN: usize> Blocks for ActivationStep<'_, LEN> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let numbers = block_of::<N>(self.numbers, first);
        let after = apply(Scalars::<N>, self.activation, numbers);
        self.after[first..first + N].copy_from_slice(&after);
    }
}
