//! `.keras`: a zip of `config.json` (the layers), `metadata.json` (the version) and
//! `model.weights.h5`.
//!
//! Inputs are named by their input layers, outputs by the layers they come from; where one layer
//! gives several outputs they are `NAME_0`, `NAME_1`, ... A batch size fixed in the file is not
//! kept: any will do.

mod activation;
mod bidirectional;
mod cells;
mod config;
mod elementwise;
mod graph;
mod layers;
mod masks;
mod paths;
mod recurrent;
mod topology;

use serde_json::Value;

use super::container::hdf5;
use super::container::zip::Archive;
use super::tensors::Tensors;
use crate::{Error, Model};

/// What a layer is read from, beside its own configuration.
struct File {
    version: Version,
    tensors: Tensors,
    /// The names of the layers as the weights' file knows them, by path.
    names: std::collections::BTreeMap<String, String>,
}

/// The Keras that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
}

/// Reads the bytes of a `.keras` file.
pub(super) fn read(bytes: &[u8]) -> Result<Model, Error> {
    let mut archive = Archive::of_model(bytes)?;
    let config = json(&mut archive, "config.json")?;
    let version = version(&json(&mut archive, "metadata.json")?)?;
    let names = archive.names()?;
    if !names.iter().any(|name| name == "model.weights.h5") {
        return Err(Error::Unsupported {
            what: format!("a .keras file without model.weights.h5 (it holds {})", names.join(", ")),
            advice: "save it with `model.save(\"model.keras\")` and the default options".into(),
        });
    }
    let weights = hdf5::parse(archive.read("model.weights.h5")?, &["optimizer"])
        .map_err(|error| inside("model.weights.h5", &error))?;
    let file = File { version, tensors: weights.tensors, names: weights.names };
    model(&config, &file, KerasMask::None)
}

/// Whether the caller of a model gives a mask beside its input, as in `model(x, mask=mask)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KerasMask {
    /// Masks come only from layers.
    None,
    /// The first input, a sequence of numbers, has one feature more: the last is 1 at steps that
    /// count and 0 at others. It goes with the input wherever Keras hands its mask on.
    InLastFeature,
}

/// Makes a model from a configuration and the tensors of the weights' file.
pub(super) fn from_parts(
    config: &str,
    version: &str,
    tensors: Tensors,
    mask: KerasMask,
) -> Result<Model, Error> {
    let config =
        serde_json::from_str(config).map_err(|error| inside("the configuration", &error))?;
    let version = parsed(version).ok_or_else(|| {
        inside("the version of Keras", &format!("'{version}' is no version such as 3.15.1"))
    })?;
    let file = File { version, tensors, names: std::collections::BTreeMap::new() };
    model(&config, &file, mask)
}

fn model(config: &Value, file: &File, mask: KerasMask) -> Result<Model, Error> {
    let model = layers::model(&topology::read(config)?, file, mask)?;
    // The state of a dropout's random numbers.
    file.tensors.pass_over(|name| name.contains("seed_generator/"));
    file.tensors.finish()?;
    Ok(model)
}

fn json(archive: &mut Archive<'_>, member: &str) -> Result<Value, Error> {
    serde_json::from_slice(&archive.read(member)?).map_err(|error| inside(member, &error))
}

fn version(metadata: &Value) -> Result<Version, Error> {
    let text = metadata.get("keras_version").and_then(Value::as_str);
    text.and_then(parsed)
        .ok_or_else(|| inside("metadata.json", &"it does not say the keras_version"))
}

fn parsed(text: &str) -> Option<Version> {
    text.split('.').next()?.parse().ok().map(|major| Version { major })
}

/// The error that something in a member of the archive is wrong.
fn inside(member: &str, problem: &impl ToString) -> Error {
    Error::Format { container: member.into(), problem: problem.to_string() }
}
