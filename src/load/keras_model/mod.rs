//! `.keras`: a zip of `config.json` (the layers), `metadata.json` (the version) and
//! `model.weights.h5`. A whole model as `.h5`: the configuration is an attribute, and lists of names
//! say which dataset is which variable.
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
mod legacy;
mod lists;
mod masks;
mod nested;
mod operations;
mod paths;
mod recurrent;
#[cfg(any(feature = "safetensors", feature = "audio"))]
mod shards;
mod topology;
#[cfg(any(feature = "safetensors", feature = "audio"))]
mod weights_only;

use std::collections::BTreeMap;

use serde_json::Value;

use super::container::hdf5;
use super::container::zip::Archive;
use super::tensors::{TensorView, Tensors};
use crate::{Error, Model};

/// What a layer is read from, beside its own configuration.
struct File {
    version: Version,
    tensors: Tensors,
    /// The names of the layers as the weights' file knows them, by path.
    names: BTreeMap<String, String>,
    /// The variables' names, where these are not their paths.
    places: Option<lists::Places>,
}

/// What a group of layers is called in files of Keras 2.12 and 2.13; since then it is `layers`.
const OLD_LAYERS: &str = "_layer_checkpoint_dependencies";

impl File {
    /// A file in which variables have paths.
    fn new(version: Version, tensors: Tensors, names: BTreeMap<String, String>) -> Self {
        let old = |name: &str| name.starts_with(OLD_LAYERS);
        let places = tensors.names().any(old).then(|| {
            let path = |name: &str| name.replace(OLD_LAYERS, "layers");
            tensors.names().map(|name| (path(name), name.to_owned())).collect()
        });
        Self { version, tensors, names, places }
    }

    /// The variable of this number at a path.
    fn variable(&self, path: &str, index: usize, label: &str) -> Result<TensorView<'_>, Error> {
        let path = format!("{path}/vars/{index}");
        let name = self.places.as_ref().and_then(|places| places.get(&path));
        self.tensors.get(name.unwrap_or(&path), label)
    }
}

/// The Keras that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    major: u32,
    /// Before 2.4, and not the Keras of TensorFlow: other defaults, other masks.
    standalone: bool,
}

#[cfg(any(feature = "safetensors", feature = "audio"))]
pub(super) use shards::read as read_shards;
#[cfg(any(feature = "safetensors", feature = "audio"))]
pub(super) use weights_only::read as read_weights;

/// The groups of a whole model that hold no weights of layers.
const NOT_LAYERS: [&str; 3] = ["optimizer", "optimizer_weights", "metrics"];

/// Where a whole model in `.h5` has the groups of its layers.
const MODEL: &str = "model_weights/";

/// Reads the bytes of a `.keras` file.
pub(super) fn read(bytes: &[u8]) -> Result<Model, Error> {
    let mut archive = Archive::of_model(bytes)?;
    let names = archive.names()?;
    let members = ["config.json", "metadata.json", "model.weights.h5"];
    let has = |member: &str| names.iter().any(|name| name == member);
    if has("model.weights.npz") && !has("model.weights.h5") {
        return Err(Error::Unsupported {
            what: "a .keras file with model.weights.npz, where Keras pickles its own variables,"
                .into(),
            advice: "a pickle is a program, and Keras 3.15 does not read this one back either; \
                     save it where the model is made: `model.save(\"model.keras\")`, with h5py"
                .into(),
        });
    }
    if let Some(missing) = members.into_iter().find(|member| !has(member)) {
        return Err(Error::Unsupported {
            what: format!("a .keras file without {missing} (it holds {})", names.join(", ")),
            advice: "save it with `model.save(\"model.keras\")` and the default options".into(),
        });
    }
    let config = json(&mut archive, "config.json")?;
    let version = version(&json(&mut archive, "metadata.json")?)?;
    let config = legacy::modern(config, version);
    let weights = hdf5::parse(archive.read("model.weights.h5")?, &NOT_LAYERS)
        .map_err(|error| inside("model.weights.h5", &error))?;
    let file = File::new(version, weights.tensors, weights.names);
    model(&config, &file, KerasMask::None)
}

/// Reads the bytes of an `.h5` file that holds a whole model.
pub(super) fn read_h5(bytes: Vec<u8>) -> Result<Model, Error> {
    let contents = hdf5::parse(bytes, &NOT_LAYERS)?;
    let Some(config) = contents.texts.get("model_config") else {
        return Err(Error::Unsupported {
            what: "an HDF5 file of weights only".into(),
            advice: "say with a spec which layers they belong to (load_with_spec, or \
                     --spec SPEC.json), or save the whole model: model.save(\"model.keras\")"
                .into(),
        });
    };
    // Keras 1 did not say its version at first.
    let version = contents.texts.get("keras_version").map_or("1", String::as_str);
    let version = parsed(version)
        .ok_or_else(|| inside("keras_version", &format!("'{version}' is no version")))?;
    let config = serde_json::from_str(config).map_err(|error| inside("model_config", &error))?;
    let config = legacy::modern(config, version);
    let list = |layer: &str| {
        let group = format!("{}{layer}", MODEL);
        contents.lists.get(&group).map(Vec::as_slice)
    };
    let places = Some(lists::places(&config, version, list)?);
    let file = File { version, tensors: contents.tensors, names: BTreeMap::new(), places };
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
    let config: Value =
        serde_json::from_str(config).map_err(|error| inside("the configuration", &error))?;
    let version = parsed(version).ok_or_else(|| {
        inside("the version of Keras", &format!("'{version}' is no version such as 3.15.1"))
    })?;
    let config = legacy::modern(config, version);
    model(&config, &File::new(version, tensors, BTreeMap::new()), mask)
}

fn model(config: &Value, file: &File, mask: KerasMask) -> Result<Model, Error> {
    let model = layers::model(&nested::flat(config, file.version)?, file, mask)?;
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
    let mut numbers = text.split(['.', '-']).map(str::parse);
    let major = numbers.next()?.ok()?;
    let minor = numbers.next().and_then(Result::ok).unwrap_or(0);
    let standalone = (major, minor) < (2, 4) && !text.contains("tf");
    Some(Version { major, standalone })
}

/// The error that something in a member of the archive is wrong.
fn inside(member: &str, problem: &impl ToString) -> Error {
    Error::Format { container: member.into(), problem: problem.to_string() }
}
