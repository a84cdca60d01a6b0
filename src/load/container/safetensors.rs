//! `.safetensors`: a JSON header, then raw values.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::half;
use crate::load::tensors::{Data, Tensors};
use crate::{Error, Numbers};

/// A file taken apart.
pub(crate) struct Contents {
    /// What it holds.
    pub(crate) tensors: Tensors,
    /// The free text in its header.
    pub(crate) metadata: HashMap<String, String>,
}

/// Reads the bytes of a file. Narrower floats are widened exactly, float64 is rounded once.
pub(crate) fn parse(bytes: &[u8]) -> Result<Contents, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let mut tensors = Tensors::default();
    for (name, tensor) in file.tensors() {
        tensors.insert(name, tensor.shape().to_vec(), data(&tensor))?;
    }
    Ok(Contents { tensors, metadata: header.metadata().clone().unwrap_or_default() })
}

/// The bytes of a file of tensors with `metadata` in its header.
pub(crate) fn encode(
    tensors: &[(String, Vec<usize>, Numbers<'_>)],
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, Error> {
    let bytes: Vec<(Dtype, Vec<u8>)> = tensors
        .iter()
        .map(|(_, _, numbers)| match numbers {
            Numbers::F32(values) => {
                (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
            Numbers::Index(values) => {
                (Dtype::I32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
            }
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), (dtype, bytes))| {
            Ok((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(broken)?))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    safetensors::serialize(views, Some(metadata)).map_err(broken)
}

fn data(tensor: &TensorView<'_>) -> Data {
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => Data::F32(each(bytes, f32::from_le_bytes)),
        Dtype::F64 => Data::F32(each(bytes, |b| half::from_f64(f64::from_le_bytes(b)))),
        Dtype::F16 => Data::F32(each(bytes, |b| half::from_f16(u16::from_le_bytes(b)))),
        Dtype::BF16 => Data::F32(each(bytes, |b| half::from_bf16(u16::from_le_bytes(b)))),
        Dtype::I32 => {
            let words = bytes.as_chunks().0.iter();
            Data::Index(words.map(|&word| i32::from_le_bytes(word)).collect())
        }
        other => Data::Other(other.to_string()),
    }
}

fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err as it is")]
fn broken(problem: impl ToString) -> Error {
    Error::Format { container: "safetensors".into(), problem: problem.to_string() }
}
