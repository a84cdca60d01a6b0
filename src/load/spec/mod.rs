//! The specification: what a file of weights does not say.
//!
//! ```json
//! { "ritornello": 1,
//!   "inputs":  [{"name": "x", "axes": ["batch", "time", 16]}],
//!   "nodes":   [{"name": "rnn", "op": "lstm", "inputs": ["x"], "layers": 2,
//!                "direction": "bidirectional",
//!                "weights": {"convention": "pytorch", "prefix": "encoder."}},
//!               {"name": "head", "op": "dense", "inputs": ["rnn.last"], "activation": "softmax",
//!                "weights": {"convention": "pytorch", "prefix": "fc."}}],
//!   "outputs": ["head", "rnn.h_n"] }
//! ```
//!
//! A recurrent node offers the values `NAME` (its sequence), `NAME.last`, `NAME.h_n` and, if it is
//! an LSTM, `NAME.c_n`; with the merge `none` it offers `NAME.forward`, `NAME.backward`,
//! `NAME.forward.last` and `NAME.backward.last` instead of the first two. Every other node offers
//! `NAME`. `docs/spec.schema.json` lists every key.

mod build;
mod draft;
mod from_model;
mod grammar;
mod json;
mod names;
mod node;
mod read;
mod recurrent;
mod weights;
mod write;

use std::path::Path;

#[cfg(feature = "audio")]
use grammar::NodeKind;
use grammar::{NodeSpec, OutputSpec};

use super::tensors::Tensors;
use crate::Error;
#[cfg(feature = "audio")]
use crate::model::Cell;
use crate::model::{Input, Model, SequenceAxes};

pub(super) use draft::draft;
pub use draft::{Draft, Note, NoteKind};
#[cfg(feature = "safetensors")]
pub(super) use from_model::canonical_tensors;

/// A checked specification, version 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    inputs: Vec<Input>,
    axes: SequenceAxes,
    nodes: Vec<NodeSpec>,
    outputs: Vec<OutputSpec>,
}

impl Spec {
    /// Reads a specification.
    ///
    /// # Errors
    ///
    /// If it is no JSON, says something it may not say, or has a key that is not known.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        read::spec(text)
    }

    /// Reads a specification from a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or as [`from_json`](Self::from_json).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Io { path: path.into(), source })?;
        Self::from_json(&text).map_err(|error| error.in_file(path))
    }

    /// Writes it as JSON that [`from_json`](Self::from_json) reads back.
    #[must_use]
    pub fn to_json(&self) -> String {
        write::spec(self)
    }

    /// Describes a model, whose weights are then those in a file that [`save`](crate::load::save)
    /// writes.
    ///
    /// # Errors
    ///
    /// If two values of the model have one name, or it is set up in a way that has no effect and
    /// no words in a specification: a merge of a single direction, say.
    pub fn from_model(model: &Model) -> Result<Self, Error> {
        from_model::spec(model)
    }

    /// The name of the first Elman RNN.
    #[cfg(feature = "audio")]
    pub(super) fn simple_rnn(&self) -> Option<&str> {
        let simple = |node: &&NodeSpec| match &node.kind {
            NodeKind::Recurrent(layer, _) => matches!(layer.cell, Cell::SimpleRnn(_)),
            _ => false,
        };
        self.nodes.iter().find(simple).map(|node| node.name.as_str())
    }

    /// The same with another name for its only output.
    #[cfg(feature = "audio")]
    pub(super) fn with_output_named(mut self, name: &str) -> Self {
        if let [output] = &mut self.outputs[..] {
            output.name = name.into();
        }
        self
    }

    /// Makes the model from a file's tensors, every one of which must be used.
    pub(super) fn build(&self, tensors: &Tensors) -> Result<Model, Error> {
        let model = build::model(self, tensors)?;
        tensors.finish()?;
        Ok(model)
    }
}
