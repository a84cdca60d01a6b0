//! Where numbers come from: files and arrays of other frameworks become a [`Model`].
//!
//! Two axes that do not know each other: a *container* turns bytes into named tensors, a
//! *convention* turns named tensors into canonical weights. What stands between them says which
//! tensor belongs to which layer: the configuration inside a `.keras` file, or a [`Spec`].
//!
//! Every tensor in a file is used, or loading fails with its name; every attribute is honoured, or
//! refused by name.

#[cfg(feature = "audio")]
mod audio;
#[cfg(any(feature = "npz", feature = "safetensors", feature = "keras", feature = "onnx"))]
mod container;
mod convention;
#[cfg(feature = "keras")]
mod keras_model;
#[cfg(any(feature = "safetensors", feature = "audio"))]
mod json;
mod kind;
mod model_file;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "safetensors")]
mod own;
#[cfg(any(feature = "safetensors", feature = "audio"))]
mod spec;
#[cfg_attr(
    not(any(feature = "safetensors", feature = "keras", feature = "audio")),
    allow(dead_code, reason = "only files have names to keep account of")
)]
mod tensors;

use std::borrow::Cow;
use std::path::Path;

#[cfg(feature = "npz")]
pub use container::{npy, npz};
pub use convention::{keras, pytorch};
#[cfg(feature = "keras")]
pub use keras_model::KerasMask;
pub use model_file::{ModelFile, SelfTest};
#[cfg(any(feature = "safetensors", feature = "audio"))]
pub use spec::{Draft, Note, NoteKind, Spec};

use self::kind::Kind;
#[cfg(any(feature = "safetensors", feature = "keras", feature = "audio"))]
use crate::Array;
use crate::{Error, Model};

/// Reads a model file: a `.keras` file, a whole Keras model in an `.h5` file, an `.onnx` file, a
/// `.safetensors` file that [`save`] wrote, or JSON of audio plugins (RTNeural, AIDA-X, GuitarML,
/// `.nam`). The tensors of an `.onnx` file may be in other files of the same folder.
///
/// # Errors
///
/// If the file cannot be read, is damaged, is of a kind that is not read here, holds something that
/// is not supported, or needs a [`Spec`] beside it.
pub fn load(path: impl AsRef<Path>) -> Result<Model, Error> {
    Ok(open(path)?.model)
}

/// The same with what else the file holds: texts about the model, a self-test.
///
/// # Errors
///
/// As [`load`].
pub fn open(path: impl AsRef<Path>) -> Result<ModelFile, Error> {
    let path = path.as_ref();
    in_file(path, |bytes| read(Kind::of(path, &bytes), bytes.into(), Some(path)))
}

/// [`load`] for a file that is in memory, such as one embedded in a program.
///
/// # Errors
///
/// As [`load`].
pub fn from_bytes(bytes: &[u8]) -> Result<Model, Error> {
    Ok(open_bytes(bytes)?.model)
}

/// [`open`] for a file that is in memory.
///
/// # Errors
///
/// As [`load`].
pub fn open_bytes(bytes: &[u8]) -> Result<ModelFile, Error> {
    read(Kind::of(Path::new(""), bytes), bytes.into(), None)
}

#[cfg_attr(
    not(feature = "onnx"),
    allow(
        unused_variables,
        reason = "only these files name others, and without a format no bytes are read"
    )
)]
#[cfg_attr(
    not(feature = "safetensors"),
    allow(clippy::needless_pass_by_value, reason = "only that format keeps the bytes")
)]
fn read(kind: Kind, bytes: Cow<'_, [u8]>, path: Option<&Path>) -> Result<ModelFile, Error> {
    match kind {
        #[cfg(feature = "keras")]
        Kind::Keras => Ok(ModelFile::new(keras_model::read(&bytes)?)),
        #[cfg(feature = "keras")]
        Kind::Hdf5 => Ok(ModelFile::new(keras_model::read_h5(bytes.into_owned())?)),
        #[cfg(all(feature = "keras", feature = "safetensors"))]
        Kind::Shards(_) => Err(weights_only("an index of weights of Keras in several files")),
        #[cfg(feature = "onnx")]
        Kind::Onnx => Ok(ModelFile::new(onnx::read(&bytes, path)?)),
        #[cfg(feature = "safetensors")]
        Kind::Safetensors => own::read(container::safetensors::parse(bytes.into_owned())?),
        #[cfg(feature = "pytorch")]
        Kind::Torch => {
            // What is no state dict has other advice.
            container::torch::parse(&bytes)?;
            Err(weights_only("a PyTorch file of weights only"))
        }
        #[cfg(feature = "audio")]
        Kind::Json => audio::read(&bytes),
        other => Err(other.refused()),
    }
}

/// The error that a file lacks what a spec says.
#[cfg(feature = "safetensors")]
fn weights_only(what: &str) -> Error {
    Error::Unsupported {
        what: what.into(),
        advice: "say with a spec which layers they belong to \
                 (load_with_spec, or --spec SPEC.json; `ritornello inspect FILE --spec` drafts one)"
            .into(),
    }
}

/// Reads a file of weights only, `.safetensors`, `.pt`, `.h5`, `.npz` or a `state_dict` as JSON, and
/// takes the rest from `spec`; of an index `.weights.json` also the files beside it that it names, of an
/// `.onnx` file the stored tensors and not the graph.
///
/// # Errors
///
/// If the file cannot be read, is damaged, lacks a tensor, or holds one that the specification does
/// not use; if anything in the specification contradicts the weights.
#[cfg(any(feature = "safetensors", feature = "audio"))]
pub fn load_with_spec(path: impl AsRef<Path>, spec: &Spec) -> Result<Model, Error> {
    let path = path.as_ref();
    in_file(path, |bytes| spec.build(&weights(&Kind::of(path, &bytes), bytes, Some(path))?))
}

/// The same for a file that is in memory.
///
/// # Errors
///
/// As [`load_with_spec`].
#[cfg(feature = "safetensors")]
pub fn from_bytes_with_spec(bytes: &[u8], spec: &Spec) -> Result<Model, Error> {
    spec.build(&weights(&Kind::of(Path::new(""), bytes), bytes.to_vec(), None)?)
}

/// Drafts a specification for a file of weights only: what their names and shapes tell, and notes of
/// what they do not.
///
/// # Errors
///
/// If the file cannot be read or is damaged, or no layer is found in it.
#[cfg(any(feature = "safetensors", feature = "audio"))]
pub fn draft_spec(path: impl AsRef<Path>) -> Result<Draft, Error> {
    let path = path.as_ref();
    in_file(path, |bytes| spec::draft(&weights(&Kind::of(path, &bytes), bytes, Some(path))?))
}

/// The tensors of a file of weights only.
#[cfg(any(feature = "safetensors", feature = "audio"))]
#[cfg_attr(
    not(feature = "safetensors"),
    allow(clippy::needless_pass_by_value, reason = "only that format keeps the bytes")
)]
#[cfg_attr(not(feature = "onnx"), allow(unused_variables, reason = "only these files name others"))]
fn weights(kind: &Kind, bytes: Vec<u8>, path: Option<&Path>) -> Result<tensors::Tensors, Error> {
    match kind {
        #[cfg(feature = "safetensors")]
        Kind::Safetensors => Ok(container::safetensors::parse(bytes)?.tensors),
        #[cfg(feature = "keras")]
        Kind::Hdf5 => keras_model::read_weights(bytes),
        #[cfg(feature = "keras")]
        Kind::Shards(path) => keras_model::read_shards(&bytes, path),
        #[cfg(feature = "pytorch")]
        Kind::Torch => container::torch::parse(&bytes),
        #[cfg(feature = "npz")]
        Kind::Npz => {
            let arrays = npz::parse(&bytes)?.into_iter().map(|(name, read)| (name, read.array));
            tensors::Tensors::of_arrays(arrays.collect())
        }
        #[cfg(feature = "onnx")]
        Kind::Onnx => onnx::tensors(&bytes, path),
        #[cfg(feature = "audio")]
        Kind::Json => audio::tensors(&bytes),
        Kind::Keras => Err(Error::Unsupported {
            what: "a spec beside a .keras file".into(),
            advice: "the file says itself what its layers are; load it without".into(),
        }),
        other => Err(other.refused()),
    }
}

/// The same for weights that are in memory, each under the name that it has in a file.
///
/// # Errors
///
/// If a tensor is missing, or is not used; if anything in the specification contradicts the weights.
#[cfg(any(feature = "safetensors", feature = "audio"))]
pub fn from_tensors(spec: &Spec, tensors: Vec<(String, Array)>) -> Result<Model, Error> {
    spec.build(&tensors::Tensors::of_arrays(tensors)?)
}

/// Reads a Keras model that is in no file: `config` is what `model.to_json()` gives, `version` is
/// `keras.__version__`, and each array has the path that it has in `model.weights.h5`:
/// `layers/lstm/cell/vars/0`.
///
/// # Errors
///
/// As [`load`] for a `.keras` file.
#[cfg(feature = "keras")]
pub fn from_keras(
    config: &str,
    version: &str,
    tensors: Vec<(String, Array)>,
    mask: KerasMask,
) -> Result<Model, Error> {
    keras_model::from_parts(config, version, tensors::Tensors::of_arrays(tensors)?, mask)
}

/// Writes a model as `.safetensors`, with a [`Spec`] in its header, from which [`load`] makes an
/// equal model, bit for bit.
///
/// # Errors
///
/// If the file cannot be written, or no specification can describe the model
/// ([`Spec::from_model`]).
#[cfg(feature = "safetensors")]
pub fn save(model: &Model, path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let bytes = to_bytes(model).map_err(|error| error.in_file(path))?;
    std::fs::write(path, bytes).map_err(|source| Error::Io { path: path.into(), source })
}

/// The bytes of the file that [`save`] writes, which [`from_bytes`] reads.
///
/// # Errors
///
/// If no specification can describe the model ([`Spec::from_model`]).
#[cfg(feature = "safetensors")]
pub fn to_bytes(model: &Model) -> Result<Vec<u8>, Error> {
    own::encode(model, &[], None)
}

/// [`save`] with what is said of the model, and with a self-test if there is one.
///
/// # Errors
///
/// As [`save`], and if two texts about the model have one key, or a key is `ritornello`.
#[cfg(feature = "safetensors")]
pub fn save_file(file: &ModelFile, path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let bytes = own::encode(&file.model, &file.about, file.self_test.as_ref());
    let bytes = bytes.map_err(|error| error.in_file(path))?;
    std::fs::write(path, bytes).map_err(|source| Error::Io { path: path.into(), source })
}

/// Reads the whole file and names it in errors.
fn in_file<T>(path: &Path, read: impl FnOnce(Vec<u8>) -> Result<T, Error>) -> Result<T, Error> {
    if path.is_dir() {
        return Err(Kind::of_folder(path).refused().in_file(path));
    }
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    read(bytes).map_err(|error| error.in_file(path))
}
