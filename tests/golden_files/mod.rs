//! Where a golden's model is: what every test that goes through the folders of `tests/fixtures` agrees on.

use std::path::{Path, PathBuf};

/// The names that the file of a model may have.
const MODELS: [&str; 8] = [
    "model.keras",
    "model.h5",
    "model.weights.json",
    "model.onnx",
    "model.json",
    "model.nam",
    "model.pt",
    "model.safetensors",
];

/// The model in a folder, if there is one.
pub(crate) fn model_in(folder: &Path) -> Option<PathBuf> {
    MODELS.map(|name| folder.join(name)).into_iter().find(|file| file.is_file())
}
