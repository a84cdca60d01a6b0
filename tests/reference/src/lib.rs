//! The equations of recurrent networks in `f64`, in plain loops: the oracle of ritornello's tests.
//!
//! It shares nothing with the library, so that no mistake can be on both sides, and it is written
//! to be checked against a textbook in one sitting; nothing here is fast. Goldens from Keras keep
//! it honest (`tests/goldens.rs`).
//!
//! * [`Activation`], [`softmax`], [`log_softmax`], [`erf`]: right to about 1e-15, tails included;
//! * [`affine`] and [`dense`]: `W x + b`, with the sum of the magnitudes that a rounding bound needs;
//! * [`Recurrent`]: one step of a simple (Elman) RNN, an LSTM or a GRU, from any state;
//! * [`Recurrent::run`] and [`Merge`]: sequences in either direction, and both merged.
//!
//! Wrong shapes panic.
//!
//! # Following `f32` code through a sequence
//!
//! A recurrence can amplify a rounding without bound, so two sequences are not compared at their
//! ends. Instead restart the reference from the tested code's own state at every step, and bound
//! the error of that one step:
//!
//! ```
//! use ritornello_reference::{Activation, Cell, Recurrent, State, widen};
//!
//! let weights = [vec![0.5], vec![-0.25], vec![1.0], vec![0.0]];
//! let layer = Recurrent::new(Cell::simple(Activation::Tanh), [1, 1], weights);
//! let (input, before, after) = ([2.0_f32], [0.5_f32], [(2.0_f32 * 0.5 + 0.5 * -0.25 + 1.0).tanh()]);
//! let step = layer.step(&widen(&input), &State::from_f32(&before, &[]));
//! let rounding = f64::from(f32::EPSILON) * (4.0 * step.pre_activations[0].magnitude + 1.0);
//! assert!((step.state.hidden[0] - f64::from(after[0])).abs() <= rounding);
//! ```
#![forbid(unsafe_code)]

mod activation;
mod affine;
mod cell;
mod sequence;
mod tolerance;

pub use activation::{Activation, erf, erfc, log_softmax, softmax};
pub use affine::{Dot, affine, dense, widen};
pub use cell::{Cell, Coupling, Recurrence, Recurrent, Reset, State, Step};
pub use sequence::{Direction, Merge, Run, Sequence};
pub use tolerance::{Rounding, Tolerance, UNIT_ROUNDOFF, dot_tolerance};
