//! An Elman network of a fixed size.

use super::HiddenState;
use super::fence::{Step, fenced};
use super::product::{Blocks, Matrix, Place, blocks_of, in_blocks, projected, recurrent};
use super::scalars::Scalars;
use super::source::{FixedError, FixedSource, packed};
use crate::activation::{relu, tanh};
use crate::formula::flushed;

const GATES: usize = 1;
const WIDEST: usize = 32;

/// The Elman network with tanh or relu, with `I` features and `H` units.
///
/// The equation is that of [`SimpleRnn`](crate::SimpleRnn), the bits those of
/// [`Cell::simple_rnn`](crate::Cell::simple_rnn) on a level with fused multiply-add.
#[derive(Clone, Debug, PartialEq)]
#[repr(align(64))]
pub struct FixedRnn<const I: usize, const H: usize> {
    function: Function,
    input: Matrix<I, GATES, H>,
    recurrent: Matrix<H, GATES, H>,
    bias: [[f32; H]; GATES],
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Function {
    Tanh,
    Relu,
}

impl<const I: usize, const H: usize> FixedRnn<I, H> {
    /// Packs weights of a network with tanh.
    ///
    /// # Errors
    ///
    /// If a slice does not have the length that `I` and `H` ask for.
    pub const fn tanh(source: FixedSource<'_>) -> Result<Self, FixedError> {
        Self::new(source, Function::Tanh)
    }

    /// Packs weights of a network with relu.
    ///
    /// # Errors
    ///
    /// If a slice does not have the length that `I` and `H` ask for.
    pub const fn relu(source: FixedSource<'_>) -> Result<Self, FixedError> {
        Self::new(source, Function::Relu)
    }

    const fn new(source: FixedSource<'_>, function: Function) -> Result<Self, FixedError> {
        if let Err(error) = source.check("FixedRnn", GATES, [I, H]) {
            return Err(error);
        }
        Ok(Self {
            function,
            input: packed(source.input_weights),
            recurrent: packed(source.recurrent_weights),
            bias: source.biases(),
        })
    }

    /// One step: the state becomes that after `x`. The new h, which is the output.
    pub fn step<'s>(&self, x: &[f32; I], state: &'s mut HiddenState<H>) -> &'s [f32; H] {
        fenced(RnnStep { weights: self, x, state });
        &state.hidden
    }
}

struct RnnStep<'a, const I: usize, const H: usize> {
    weights: &'a FixedRnn<I, H>,
    x: &'a [f32; I],
    state: &'a mut HiddenState<H>,
}

impl<const I: usize, const H: usize> Step for RnnStep<'_, I, H> {
    #[inline(always)]
    fn run(self) {
        let Self { weights, x, state } = self;
        let before = &state.hidden;
        let mut blocks = RnnBlocks { weights, x, before, after: [0.0; H] };
        in_blocks::<H, WIDEST>(&mut blocks);
        state.hidden = blocks.after;
    }
}

struct RnnBlocks<'a, const I: usize, const H: usize> {
    weights: &'a FixedRnn<I, H>,
    x: &'a [f32; I],
    before: &'a [f32; H],
    after: [f32; H],
}

impl<const I: usize, const H: usize> Blocks for RnnBlocks<'_, I, H> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let (s, weights) = (Scalars::<N>, self.weights);
        let place = Place { gate: 0, unit: first };
        let start = blocks_of::<N, H, GATES>(&weights.bias, first);
        let start = projected(start, self.x, &weights.input, place);
        let [sum] = recurrent(start, self.before, &weights.recurrent, place);
        let h = match weights.function {
            Function::Tanh => tanh(s, sum),
            Function::Relu => relu(s, sum),
        };
        self.after[first..first + N].copy_from_slice(&flushed(s, h));
    }
}
