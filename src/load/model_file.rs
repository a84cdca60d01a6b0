//! All that a model file holds: the model, what the file says of it, and how to check it.

use crate::{Array, Model};

/// A model with what stands beside it in its file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModelFile {
    /// What is computed.
    pub model: Model,
    /// What the file says that changes no number, by key: a name, a licence, a sample rate in Hz.
    pub about: Vec<(String, String)>,
    /// Inputs with the outputs that they must give, if the file holds some.
    pub self_test: Option<SelfTest>,
}

/// Inputs of a model, and what it gives for them from fresh states.
#[derive(Clone, Debug, PartialEq)]
pub struct SelfTest {
    /// An array for each input, by name.
    pub inputs: Vec<(String, Array)>,
    /// An array for each output that is compared, by name.
    pub outputs: Vec<(String, Array)>,
}

impl ModelFile {
    /// A model of which nothing else is said.
    #[must_use]
    pub fn new(model: Model) -> Self {
        Self { model, about: Vec::new(), self_test: None }
    }
}
