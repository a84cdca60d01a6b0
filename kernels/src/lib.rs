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

#![allow(
    clippy::inline_always,
    reason = "kernels become part of the function that enables features"
)]
#![allow(clippy::needless_range_loop, reason = "constant loops over tiles of registers")]

mod activation;
mod buffer;
mod calibrate;
mod cell;
mod gemm;
mod isa;
mod kernels;
mod pack;
mod recurrence;
mod simd;
mod times;
pub mod team;
mod tuning;
mod view;

pub use activation::{Activation, UnknownActivation};
pub use buffer::AlignedBuffer;
pub use calibrate::Calibration;
pub use cell::{Cell, Coupling, Gate, Gru, GruReset, Lstm, SimpleRnn};
pub use isa::{Isa, IsaError};
pub use kernels::{Kernels, Precision, UnknownPrecision};
pub use pack::{MatrixSource, PackedMatrix};
pub use recurrence::{
    CellSource, Meeting, PackedCell, RecurArgs, RecurrentSource, Share, state_stride,
};
pub use tuning::chains;
pub use view::{Pick, View, ViewMut};
