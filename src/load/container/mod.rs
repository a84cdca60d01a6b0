//! Bytes to named arrays: what a file holds, without a thought of what it means.
//!
//! No reader allocates by a length that a file merely claims: claims are checked against the bytes
//! that are there.

#[cfg(any(
    feature = "onnx",
    all(feature = "keras", any(feature = "safetensors", feature = "audio"))
))]
pub(super) mod beside;
#[cfg(feature = "onnx")]
pub(super) mod external;
#[cfg(feature = "keras")]
pub(super) mod hdf5;
#[cfg(any(feature = "npz", feature = "safetensors", feature = "keras", feature = "onnx"))]
mod half;
#[cfg(feature = "safetensors")]
pub(super) use half::Float;
#[cfg(feature = "npz")]
pub mod npy;
#[cfg(feature = "npz")]
pub mod npz;
#[cfg(feature = "pytorch")]
mod pickle;
#[cfg(feature = "onnx")]
pub(crate) mod onnx;
#[cfg(feature = "onnx")]
mod protobuf;
#[cfg(feature = "safetensors")]
pub(super) mod safetensors;
#[cfg(feature = "pytorch")]
pub(super) mod torch;
#[cfg(feature = "pytorch")]
mod torch_tensor;
#[cfg(any(feature = "npz", feature = "keras", feature = "pytorch"))]
pub(super) mod zip;
