//! An LSTM of a fixed size.

use super::fence::{Step, fenced};
use super::product::{Blocks, Matrix, Place, block_of, blocks_of, in_blocks, projected, recurrent};
use super::scalars::Scalars;
use super::source::{FixedError, FixedSource, packed};
use crate::formula;

const GATES: usize = 4;
const WIDEST: usize = 16;

/// The LSTM of every framework's default, with `I` features and `H` units.
///
/// The equations are those of [`Lstm`](crate::Lstm) with sigmoid gates and tanh; the bits those of
/// [`Cell::LSTM`](crate::Cell::LSTM) on a level with fused multiply-add.
#[derive(Clone, Debug, PartialEq)]
#[repr(align(64))]
pub struct FixedLstm<const I: usize, const H: usize> {
    input: Matrix<I, GATES, H>,
    recurrent: Matrix<H, GATES, H>,
    bias: [[f32; H]; GATES],
}

/// What a [`FixedLstm`] of `H` units remembers between two steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LstmState<const H: usize> {
    /// h, which is also the output of the step that made it.
    pub hidden: [f32; H],
    /// c.
    pub cell: [f32; H],
}

impl<const H: usize> LstmState<H> {
    /// The state before the first step.
    pub const ZERO: Self = Self { hidden: [0.0; H], cell: [0.0; H] };

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::ZERO;
    }
}

impl<const H: usize> Default for LstmState<H> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<const I: usize, const H: usize> FixedLstm<I, H> {
    /// Packs weights with the gates `i f g o`.
    ///
    /// # Errors
    ///
    /// If a slice does not have the length that `I` and `H` ask for.
    pub const fn new(source: FixedSource<'_>) -> Result<Self, FixedError> {
        if let Err(error) = source.check("FixedLstm", GATES, [I, H]) {
            return Err(error);
        }
        Ok(Self {
            input: packed(source.input_weights),
            recurrent: packed(source.recurrent_weights),
            bias: source.biases(),
        })
    }

    /// One step: the state becomes that after `x`. The new h, which is the output.
    pub fn step<'s>(&self, x: &[f32; I], state: &'s mut LstmState<H>) -> &'s [f32; H] {
        fenced(LstmStep { weights: self, x, state });
        &state.hidden
    }
}

struct LstmStep<'a, const I: usize, const H: usize> {
    weights: &'a FixedLstm<I, H>,
    x: &'a [f32; I],
    state: &'a mut LstmState<H>,
}

impl<const I: usize, const H: usize> Step for LstmStep<'_, I, H> {
    #[inline(always)]
    fn run(self) {
        let Self { weights, x, state } = self;
        let mut blocks = LstmBlocks { weights, x, before: state, after: LstmState::ZERO };
        in_blocks::<H, WIDEST>(&mut blocks);
        *state = blocks.after;
    }
}

struct LstmBlocks<'a, const I: usize, const H: usize> {
    weights: &'a FixedLstm<I, H>,
    x: &'a [f32; I],
    before: &'a LstmState<H>,
    after: LstmState<H>,
}

impl<const I: usize, const H: usize> Blocks for LstmBlocks<'_, I, H> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let (weights, place) = (self.weights, Place { gate: 0, unit: first });
        let start = blocks_of::<N, H, GATES>(&weights.bias, first);
        let start = projected(start, self.x, &weights.input, place);
        let sums = recurrent(start, &self.before.hidden, &weights.recurrent, place);
        let [h, c] = formula::lstm(Scalars::<N>, sums, block_of(&self.before.cell, first));
        self.after.hidden[first..first + N].copy_from_slice(&h);
        self.after.cell[first..first + N].copy_from_slice(&c);
    }
}
