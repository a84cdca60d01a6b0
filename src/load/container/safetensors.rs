//! `.safetensors`: a JSON header, then raw values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, View};

use super::half::Float;
use crate::load::tensors::{Data, Tensors};
use crate::{Error, Numbers};

/// A file taken apart.
pub(crate) struct Contents {
    /// What it holds.
    pub(crate) tensors: Tensors,
    /// The free text in its header.
    pub(crate) metadata: HashMap<String, String>,
}

/// Reads the bytes of a file. Floats stay where they are, until they are used.
pub(crate) fn parse(bytes: Vec<u8>) -> Result<Contents, Error> {
    let bytes = Arc::new(bytes);
    let file = SafeTensors::deserialize(&bytes).map_err(broken)?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
    let mut tensors = Tensors::default();
    for (name, tensor) in file.tensors() {
        tensors.insert(name, tensor.shape().to_vec(), data(&bytes, &tensor))?;
    }
    Ok(Contents { tensors, metadata: header.metadata().clone().unwrap_or_default() })
}

/// The bytes of a file of tensors with `metadata` in its header. Beside them, the bytes of one tensor at
/// a time are in memory.
pub(crate) fn encode(
    tensors: &[(String, Vec<usize>, Numbers<'_>)],
    metadata: HashMap<String, String>,
) -> Result<Vec<u8>, Error> {
    let views = tensors
        .iter()
        .map(|(name, shape, numbers)| (name, Written { shape: shape.clone(), numbers: *numbers }));
    safetensors::serialize(views, Some(metadata)).map_err(broken)
}

/// A tensor to be written.
struct Written<'a> {
    shape: Vec<usize>,
    numbers: Numbers<'a>,
}

impl View for Written<'_> {
    fn dtype(&self) -> Dtype {
        match self.numbers {
            Numbers::F32(_) => Dtype::F32,
            Numbers::Index(_) => Dtype::I32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.numbers {
            Numbers::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Numbers::Index(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        match self.numbers {
            Numbers::F32(values) => size_of_val(values),
            Numbers::Index(values) => size_of_val(values),
        }
    }
}

fn data(file: &Arc<Vec<u8>>, tensor: &TensorView<'_>) -> Data {
    let bytes = tensor.data();
    let float = match tensor.dtype() {
        Dtype::F32 => Float::F32,
        Dtype::F64 => Float::F64,
        Dtype::F16 => Float::F16,
        Dtype::BF16 => Float::BF16,
        Dtype::I32 => {
            let words = bytes.as_chunks().0.iter();
            return Data::Index(words.map(|&word| i32::from_le_bytes(word)).collect());
        }
        other => return Data::Other(other.to_string()),
    };
    let start = bytes.as_ptr().addr() - file.as_ptr().addr();
    Data::Bytes(Arc::clone(file), start..start + bytes.len(), float)
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err as it is")]
fn broken(problem: impl ToString) -> Error {
    Error::Format { container: "safetensors".into(), problem: problem.to_string() }
}
