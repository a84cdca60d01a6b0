//! Models for audio plugins, in JSON: RTNeural, AIDA-X, GuitarML and Neural Amp Modeler.
//!
//! | file | what it says | what it leaves out |
//! |---|---|---|
//! | RTNeural, as its Keras script writes it | layers with activations and weights | |
//! | AIDA-X | the same; gains, whether the input is added to the output, a self-test | |
//! | GuitarML (NeuralPi, Proteus) | sizes, a `state_dict` of PyTorch | |
//! | a `state_dict` of PyTorch as JSON, which RTNeural reads by hand | tensors | the order of layers |
//! | `.nam` | architecture, sizes, all weights in one list, learned initial states | |
//!
//! All take `x` `[batch, time, features]` and give `y`. What makes no recurrent network (`conv1d`,
//! `WaveNet`) is refused by name.

mod aida;
mod guitarml;
mod json;
mod nam;
mod rtneural;
mod state_dict;

use serde_json::Value;

use super::model_file::ModelFile;
use super::tensors::Tensors;
use crate::Error;
use json::Object;

/// Reads a model.
pub(super) fn read(bytes: &[u8]) -> Result<ModelFile, Error> {
    let value = parse(bytes)?;
    let top = Object::new("JSON", "the top", &value)?;
    let has = |keys: &[&str]| keys.iter().all(|key| top.has(key));
    if has(&["layers"]) && (has(&["in_shape"]) || !has(&["architecture"])) {
        rtneural::read(&top.of_file("RTNeural"))
    } else if has(&["architecture"]) {
        nam::read(&top.of_file("NAM"))
    } else if has(&["model_data", "state_dict"]) {
        guitarml::read(&top.of_file("GuitarML"))
    } else if state_dict::is_one(&top) {
        state_dict::read(&top.of_file("state_dict"))
    } else {
        Err(unknown(&top))
    }
}

/// Reads the tensors of a `state_dict`.
pub(super) fn tensors(bytes: &[u8]) -> Result<Tensors, Error> {
    let value = parse(bytes)?;
    let top = Object::new("JSON", "the top", &value)?;
    if state_dict::is_one(&top) {
        return state_dict::tensors(&top.of_file("state_dict"));
    }
    if read(bytes).is_ok() {
        return Err(Error::Unsupported {
            what: "a spec beside this JSON".into(),
            advice: "the file says itself what its layers are; load it without".into(),
        });
    }
    Err(unknown(&top))
}

fn parse(bytes: &[u8]) -> Result<Value, Error> {
    // Windows' editors put a mark in front.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(text)
        .map_err(|problem| Error::Format { container: "JSON".into(), problem: problem.to_string() })
}

fn unknown(top: &Object<'_>) -> Error {
    if top.has("ritornello") {
        return Error::Unsupported {
            what: "a spec by itself".into(),
            advice: "give it beside the file of the weights (load_with_spec, or --spec SPEC.json)"
                .into(),
        };
    }
    Error::Unsupported {
        what: format!("JSON with the keys {}", top.keys()),
        advice: "there are: RTNeural and AIDA-X (in_shape, layers), GuitarML (model_data, \
                 state_dict), Neural Amp Modeler (version, architecture, config, weights), and a \
                 state_dict of PyTorch (weight_ih_l0 and its like)"
            .into(),
    }
}
