//! Bytes to named arrays: what a file holds, without a thought of what it means.
//!
//! No reader allocates by a length that a file merely claims: claims are checked against the bytes
//! that are there.

#[cfg(feature = "keras")]
pub(super) mod hdf5;
#[cfg(any(feature = "npz", feature = "safetensors", feature = "keras"))]
mod half;
#[cfg(feature = "safetensors")]
pub(super) use half::Float;
#[cfg(feature = "npz")]
pub mod npy;
#[cfg(feature = "npz")]
pub mod npz;
#[cfg(feature = "safetensors")]
pub(super) mod safetensors;
#[cfg(any(feature = "npz", feature = "keras"))]
pub(super) mod zip;
