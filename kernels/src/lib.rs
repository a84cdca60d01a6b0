//! The SIMD kernels of ritornello: slices in, slices out. No files, models or threads.
//!
//! ```text
//! Kernels::available()      one table of stage functions for each level the CPU has
//!     pack_cell, pack_dense     weights into the order in which the level reads them, once
//!     project                   P = X·Wᵀ + b for a whole sequence
//!     recur                     the whole time loop of one layer in one direction
//!     dense, activate           the head
//!     calibrate                 what the level can do at most on this CPU, measured
//! ```
//!
//! Every algorithm is written once, over `trait Simd` (`simd.rs`); `isa/` implements it for each
//! instruction set, and `kernels.rs` turns each into a table of functions. All `unsafe` of the
//! numeric code is here, and its premises are checked where a table is called.
//!
//! **Numerics.** Levels with fused multiply-add give the same bits, for any number of rows, any
//! position of a row, and any cut of a sequence into calls. See `docs/numerics.md`.

#![cfg_attr(not(feature = "std"), no_std)]
#![allow(
    clippy::inline_always,
    reason = "kernels become part of the function that enables features"
)]
#![allow(clippy::needless_range_loop, reason = "constant loops over tiles of registers")]

#[cfg(not(any(feature = "std", feature = "libm")))]
compile_error!(
    "without `std` the multiply-add is that of the crate `libm`: turn on the feature `libm`"
);

mod activation;
mod arithmetic;
mod cell;
mod contract;
pub mod fixed;
mod formula;

#[cfg(feature = "std")]
mod bf16;
#[cfg(feature = "std")]
mod buffer;
#[cfg(feature = "std")]
mod calibrate;
#[cfg(feature = "std")]
mod gemm;
#[cfg(feature = "std")]
mod isa;
#[cfg(feature = "std")]
mod kernels;
#[cfg(feature = "std")]
mod matrix_unit;
#[cfg(feature = "std")]
mod pack;
#[cfg(feature = "std")]
mod quantise;
#[cfg(feature = "std")]
mod precision;
#[cfg(feature = "std")]
mod recurrence;
#[cfg(feature = "std")]
mod simd;
#[cfg(feature = "std")]
pub mod team;
#[cfg(feature = "std")]
mod times;
#[cfg(feature = "std")]
mod tune;
#[cfg(feature = "std")]
mod tuning;
#[cfg(feature = "std")]
mod view;

pub use activation::Activation;
pub use cell::{Cell, Coupling, Gate, Gru, GruReset, Lstm, SimpleRnn};
pub use contract::chains;

#[cfg(feature = "std")]
pub use activation::UnknownActivation;
#[cfg(feature = "std")]
pub use bf16::{from_bf16, to_bf16};
#[cfg(feature = "std")]
pub use buffer::AlignedBuffer;
#[cfg(feature = "std")]
pub use calibrate::Calibration;
#[cfg(feature = "std")]
pub use isa::{Isa, IsaError};
#[cfg(feature = "std")]
pub use kernels::Kernels;
#[cfg(feature = "std")]
pub use pack::{MatrixSource, PackedMatrix, StepOrder};
#[cfg(feature = "std")]
pub use precision::{Precision, UnknownPrecision};
#[cfg(feature = "std")]
pub use recurrence::{
    CellSource, Meeting, PackedCell, RecurArgs, RecurrentSource, Share, state_stride,
};
#[cfg(feature = "std")]
pub use tune::{Tune, UnknownTune};
#[cfg(feature = "std")]
pub use view::{Pick, View, ViewMut};
