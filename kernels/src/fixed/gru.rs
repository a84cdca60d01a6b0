//! A GRU of a fixed size.

use super::HiddenState;
use super::fence::{Step, fenced};
use super::product::{Blocks, Matrix, Place, block_of, blocks_of, in_blocks, projected, recurrent};
use super::scalars::Scalars;
use super::source::{FixedError, FixedSource, packed};
use crate::activation::exp_of_negative;
use crate::arithmetic::Arithmetic;
use crate::cell::GruReset;
use crate::formula;

const GATES: usize = 3;
const WIDEST: usize = 16;
/// The place of n among the gates.
const CANDIDATE: usize = 2;

/// The GRU with sigmoid gates and tanh, with `I` features and `H` units.
///
/// The equations are those of [`Gru`](crate::Gru), the bits those of
/// [`Cell::gru`](crate::Cell::gru) on a level with fused multiply-add.
#[derive(Clone, Debug, PartialEq)]
#[repr(align(64))]
pub struct FixedGru<const I: usize, const H: usize> {
    reset: GruReset,
    input: Matrix<I, GATES, H>,
    recurrent: Matrix<H, GATES, H>,
    bias: [[f32; H]; GATES],
    /// What the candidate's recurrent product starts from, if it has a chain of its own.
    recurrent_bias: [f32; H],
}

impl<const I: usize, const H: usize> FixedGru<I, H> {
    /// Packs weights with the gates `z r n`.
    ///
    /// # Errors
    ///
    /// If a slice does not have the length that `I` and `H` ask for.
    pub const fn new(source: FixedSource<'_>, reset: GruReset) -> Result<Self, FixedError> {
        if let Err(error) = source.check("FixedGru", GATES, [I, H]) {
            return Err(error);
        }
        let mut bias: [[f32; H]; GATES] = source.biases();
        let mut recurrent_bias = [0.0; H];
        if matches!(reset, GruReset::AfterMatmul) {
            bias[CANDIDATE] = FixedSource::bias_of(source.bias, CANDIDATE);
            recurrent_bias = FixedSource::bias_of(source.recurrent_bias, CANDIDATE);
        }
        Ok(Self {
            reset,
            input: packed(source.input_weights),
            recurrent: packed(source.recurrent_weights),
            bias,
            recurrent_bias,
        })
    }

    /// One step: the state becomes that after `x`. The new h, which is the output.
    pub fn step<'s>(&self, x: &[f32; I], state: &'s mut HiddenState<H>) -> &'s [f32; H] {
        match self.reset {
            GruReset::AfterMatmul => fenced(AfterStep { weights: self, x, state }),
            GruReset::BeforeMatmul => fenced(BeforeStep { weights: self, x, state }),
        }
        &state.hidden
    }

    /// The sums of a block that the projection makes.
    #[inline(always)]
    fn projected<const N: usize>(&self, x: &[f32; I], first: usize) -> [[f32; N]; GATES] {
        let start = blocks_of::<N, H, GATES>(&self.bias, first);
        projected(start, x, &self.input, Place { gate: 0, unit: first })
    }
}

struct AfterStep<'a, const I: usize, const H: usize> {
    weights: &'a FixedGru<I, H>,
    x: &'a [f32; I],
    state: &'a mut HiddenState<H>,
}

impl<const I: usize, const H: usize> Step for AfterStep<'_, I, H> {
    #[inline(always)]
    fn run(self) {
        let Self { weights, x, state } = self;
        let before = &state.hidden;
        let mut blocks = AfterBlocks { weights, x, before, after: [0.0; H] };
        in_blocks::<H, WIDEST>(&mut blocks);
        state.hidden = blocks.after;
    }
}

struct AfterBlocks<'a, const I: usize, const H: usize> {
    weights: &'a FixedGru<I, H>,
    x: &'a [f32; I],
    before: &'a [f32; H],
    after: [f32; H],
}

impl<const I: usize, const H: usize> Blocks for AfterBlocks<'_, I, H> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let (s, weights) = (Scalars::<N>, self.weights);
        let [z, r, candidate] = weights.projected::<N>(self.x, first);
        let start = [z, r, block_of(&weights.recurrent_bias, first)];
        let place = Place { gate: 0, unit: first };
        let [z, r, product] = recurrent(start, self.before, &weights.recurrent, place);
        let n = s.fma(formula::reset(s, r), product, candidate);
        let h = block_of(self.before, first);
        let h = formula::blended(s, exp_of_negative(s, z), n, h);
        self.after[first..first + N].copy_from_slice(&h);
    }
}

struct BeforeStep<'a, const I: usize, const H: usize> {
    weights: &'a FixedGru<I, H>,
    x: &'a [f32; I],
    state: &'a mut HiddenState<H>,
}

impl<const I: usize, const H: usize> Step for BeforeStep<'_, I, H> {
    #[inline(always)]
    fn run(self) {
        let Self { weights, x, state } = self;
        let before = &state.hidden;
        let (update, kept, candidate) = ([0.0; H], [0.0; H], [0.0; H]);
        let mut first = ResetFirst { weights, x, before, update, kept, candidate };
        in_blocks::<H, WIDEST>(&mut first);
        let mut second = CandidateSecond { first, after: [0.0; H] };
        in_blocks::<H, WIDEST>(&mut second);
        state.hidden = second.after;
    }
}

/// The first half of a step: z and r of every unit, which the candidate's product needs.
struct ResetFirst<'a, const I: usize, const H: usize> {
    weights: &'a FixedGru<I, H>,
    x: &'a [f32; I],
    before: &'a [f32; H],
    /// e(z)
    update: [f32; H],
    /// r h
    kept: [f32; H],
    /// The projection of n.
    candidate: [f32; H],
}

impl<const I: usize, const H: usize> Blocks for ResetFirst<'_, I, H> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let (s, weights) = (Scalars::<N>, self.weights);
        let [z, r, candidate] = weights.projected::<N>(self.x, first);
        let place = Place { gate: 0, unit: first };
        let [z, r] = recurrent([z, r], self.before, &weights.recurrent, place);
        let kept = s.mul(formula::reset(s, r), block_of(self.before, first));
        self.update[first..first + N].copy_from_slice(&exp_of_negative(s, z));
        self.kept[first..first + N].copy_from_slice(&kept);
        self.candidate[first..first + N].copy_from_slice(&candidate);
    }
}

/// The second half: the candidate, and the new state.
struct CandidateSecond<'a, const I: usize, const H: usize> {
    first: ResetFirst<'a, I, H>,
    after: [f32; H],
}

impl<const I: usize, const H: usize> Blocks for CandidateSecond<'_, I, H> {
    #[inline(always)]
    fn block<const N: usize>(&mut self, first: usize) {
        let ResetFirst { weights, before, update, kept, candidate, .. } = &self.first;
        let place = Place { gate: CANDIDATE, unit: first };
        let start = [block_of::<N>(candidate, first)];
        let [n] = recurrent(start, kept, &weights.recurrent, place);
        let (ez, h) = (block_of(update, first), block_of(*before, first));
        let h = formula::blended(Scalars::<N>, ez, n, h);
        self.after[first..first + N].copy_from_slice(&h);
    }
}
