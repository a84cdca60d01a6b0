//! Recurrent networks (Elman RNN, LSTM, GRU) on CPUs.
//!
//! ```text
//! input sequence ──► projection ──────────► recurrence ───────────────► head
//! [batch,time,I]     one GEMM for the       h[t] from P[t] + U·h[t-1],  Dense on last
//!                    whole sequence:        all gates of a unit in one  or every step
//!                    P = X·Wᵀ + b           register tile, activations
//!                                           fused, state never leaves L1
//!
//! Model  ──►  Plan  ──►  Session
//! what is     how this    one stream: State (h, c: survives a call)
//! computed    machine     + Scratch (means nothing between calls)
//!             does it
//! ```
//!
//! A [`StreamPool`] is many streams that come and go.
#![forbid(unsafe_code)]

pub mod model;
pub mod load;
pub mod plan;
pub mod run;

mod array;
mod error;
mod parallel;
mod self_test;
#[cfg(feature = "npz")]
mod snapshot;

pub use array::{Array, ArrayView, Mask, Numbers, Values};
pub use error::Error;
pub use load::{keras, load, pytorch};
pub use model::Model;
pub use plan::{Plan, PlanOptions, Threads};
pub use ritornello_kernels::{Isa, Precision, Tune, UnknownPrecision, UnknownTune};
pub use run::{HandCell, Session, State, Steps, StreamId, StreamPool};
pub use self_test::Difference;

/// Runs the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
