//! A `state_dict` of PyTorch as JSON: lists of numbers by name, `lstm.weight_ih_l0` and its like.
//!
//! It does not say what becomes of its layers. It is read without a spec where names and sizes make
//! one chain of LSTM, GRU and linear layers, each step of one being the input of the next, as the
//! examples of RTNeural run it. Where sizes allow several, it is the one in the order of the file.

use serde_json::Value as Json;

use super::json::Object;
use crate::Error;
use crate::load::model_file::ModelFile;
use crate::load::spec::{NoteKind, draft};
use crate::load::tensors::Tensors;

/// Whether all values are lists, and some name is that of a weight.
pub(super) fn is_one(top: &Object<'_>) -> bool {
    let mut entries = top.entries();
    entries.all(|(_, value)| matches!(value, Json::Array(_)))
        && top.entries().any(|(key, _)| key.contains("weight"))
}

/// The lists as tensors.
pub(super) fn tensors(top: &Object<'_>) -> Result<Tensors, Error> {
    let arrays = top.entries().map(|(name, _)| Ok((name.to_owned(), top.array(name)?)));
    Tensors::of_arrays(arrays.collect::<Result<_, Error>>()?)
}

/// Reads a chain.
pub(super) fn read(top: &Object<'_>) -> Result<ModelFile, Error> {
    let tensors = tensors(top)?;
    let draft = draft(&tensors)?;
    let refuse = |what: String| {
        Err(Error::Unsupported {
            what,
            advice: "say with a spec what the layers are (load_with_spec, or --spec SPEC.json); \
                     `ritornello inspect FILE --spec` drafts one"
                .into(),
        })
    };
    if let Some(note) = draft.notes.iter().find(|note| note.kind != NoteKind::Default) {
        return refuse(format!("state_dict: {}", note.text));
    }
    if let Some(node) = draft.spec.simple_rnn() {
        return refuse(format!("state_dict: node '{node}', an RNN of tanh or relu"));
    }
    let spec = draft.spec.with_output_named("y");
    Ok(ModelFile::new(spec.build(&tensors)?))
}
