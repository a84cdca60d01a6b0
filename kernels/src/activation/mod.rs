//! Activation functions over vectors, each a fixed sequence of f32 operations.

mod functions;
mod gates;
mod kind;
#[cfg(feature = "std")]
mod rows;

pub(crate) use functions::{apply, relu, tanh};
pub(crate) use gates::{exp_of_negative, tanh_ratio};
pub use kind::Activation;
#[cfg(feature = "std")]
pub use kind::UnknownActivation;
#[cfg(feature = "std")]
pub(crate) use rows::activate_rows;
