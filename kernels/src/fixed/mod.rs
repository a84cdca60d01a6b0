//! Cells whose sizes the compiler knows: for audio plugins and microcontrollers.
//!
//! No heap, no file, no thread, no `unsafe`; everything is an array whose length is in its type. The
//! bits are those of the levels with fused multiply-add ([`Kernels`](crate::Kernels)): the same
//! formulas in the same order, of a multiply-add that rounds once on every machine.
//!
//! ```text
//! FixedLstm, FixedGru, FixedRnn     one step:  state' = cell(x, state)
//! FixedDense, activate              the head:  y = activation(W h + b)
//! ```
//!
//! Constructors are `const`: a network whose weights are constants lies in the program's read-only
//! memory, packed when it is compiled. One that is made at run time is a value of many kilobytes:
//! make it where it stays.
//!
//! # Speed
//!
//! With `std` on x86-64 a step looks whether the CPU has AVX2 and FMA, and is compiled for both
//! cases; nothing need be said to the compiler. Everywhere else a step is compiled for what the
//! build targets: `RUSTFLAGS="-C target-cpu=native"`, or the CPU's name. On a target without fused
//! multiply-add each one is a call of a function, which gives the same bits and takes longer.
//!
//! Without `std` the multiply-add is that of the crate `libm` (feature `libm`), a call, which asks
//! the CPU on x86-64, is an instruction on ARM of 64 bits, and is done in software elsewhere.
//!
//! # Examples
//!
//! ```
//! use ritornello_kernels::fixed::{FixedDense, FixedLstm, FixedSource, LstmState};
//!
//! // Gate after gate, i f g o, row by row: PyTorch's weight_ih_l0 and weight_hh_l0 as they are.
//! static LSTM: FixedLstm<1, 2> = match FixedLstm::new(FixedSource {
//!     input_weights: &[0.5, -0.5, 0.25, 1.0, 0.75, -1.0, 0.5, 0.5],
//!     recurrent_weights: &[0.125; 16],
//!     bias: Some(&[0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
//!     recurrent_bias: None,
//! }) {
//!     Ok(cell) => cell,
//!     Err(_) => panic!("weights of an LSTM of 1 feature and 2 units"),
//! };
//! static HEAD: FixedDense<2, 1> = match FixedDense::new(&[1.0, -1.0], None) {
//!     Ok(head) => head,
//!     Err(_) => panic!("weights of 2 inputs and 1 output"),
//! };
//!
//! let mut state = LstmState::ZERO;
//! let mut samples = [0.5, -0.25, 0.125];
//! for sample in &mut samples {
//!     let [out] = HEAD.apply(LSTM.step(&[*sample], &mut state));
//!     *sample = out;
//! }
//! # assert!(samples.iter().all(|sample| sample.abs() < 0.25 && *sample != 0.0));
//! ```

#[cfg(test)]
mod bits;
mod dense;
mod fence;
mod gru;
mod lstm;
mod product;
mod rnn;
mod scalars;
mod source;

pub use dense::{FixedDense, activate};
pub use gru::FixedGru;
pub use lstm::{FixedLstm, LstmState};
pub use rnn::FixedRnn;
pub use source::{FixedError, FixedSource};

/// What a [`FixedGru`] or a [`FixedRnn`] of `H` units remembers between two steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HiddenState<const H: usize> {
    /// h, which is also the output of the step that made it.
    pub hidden: [f32; H],
}

impl<const H: usize> HiddenState<H> {
    /// The state before the first step.
    pub const ZERO: Self = Self { hidden: [0.0; H] };

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self::ZERO;
    }
}

impl<const H: usize> Default for HiddenState<H> {
    fn default() -> Self {
        Self::ZERO
    }
}
