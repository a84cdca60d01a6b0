//! What can go wrong, one variant per thing a caller can do wrong.

use std::path::PathBuf;

/// Why a call was refused. Each message names what, where, expected and found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something has a size that does not fit.
    #[error("{what} is {found}, expected {expected}")]
    Shape {
        /// The operand, with its layer.
        what: String,
        /// What would fit.
        expected: String,
        /// What it is.
        found: String,
    },

    /// A part that is known but not run here.
    #[error("{what} is not supported: {advice}")]
    Unsupported {
        /// The part.
        what: String,
        /// What to do instead.
        advice: String,
    },

    /// A name that nothing has.
    #[error("there is no {what} named '{name}'; there are: {known}")]
    UnknownName {
        /// The kind of thing.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },

    /// Two things with one name.
    #[error("two {what}s are named '{name}'")]
    DuplicateName {
        /// The kind of thing.
        what: &'static str,
        /// Their name.
        name: String,
    },

    /// A file that is not what its format says.
    #[error("{container}: {problem}")]
    Format {
        /// The format, or the part of the file.
        container: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A tensor that the model needs and the file lacks.
    #[error("tensor '{name}' is missing, needed by {needed_by}; the file holds: {present}")]
    MissingTensor {
        /// The tensor's name in the file.
        name: String,
        /// The layer that needs it.
        needed_by: String,
        /// Names that are there.
        present: String,
    },

    /// Tensors that no part of the model uses: nothing in a file is ignored.
    #[error("the file holds tensors that no layer uses: {names}")]
    UnusedTensors {
        /// Their names.
        names: String,
    },

    /// A specification that says something it may not say.
    #[error("spec: {place}: {problem}")]
    Spec {
        /// Where in the specification.
        place: String,
        /// What is wrong.
        problem: String,
    },

    /// A model that does not give what its file says it gives.
    #[error("self-test: output '{output}' differs by {found:e}, allowed {allowed:e}")]
    SelfTest {
        /// The output.
        output: String,
        /// The greatest difference.
        found: f64,
        /// The greatest that passes.
        allowed: f64,
    },

    /// A level that this CPU or build lacks, or an unknown one.
    #[error(transparent)]
    Isa(#[from] ritornello_kernels::IsaError),

    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },

    /// An error inside the file at `path`.
    #[error("{path}: {source}")]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: Box<Self>,
    },
}

impl Error {
    /// Says in which file the error is, unless that is said already.
    #[must_use]
    pub fn in_file(self, path: &std::path::Path) -> Self {
        match self {
            Self::InFile { .. } | Self::Io { .. } => self,
            source => Self::InFile { path: path.to_owned(), source: Box::new(source) },
        }
    }

    /// Puts `place` in front of the name of what does not fit.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        match self {
            Self::Shape { what, expected, found } => {
                Self::Shape { what: format!("{place}: {what}"), expected, found }
            }
            Self::Unsupported { what, advice } => {
                Self::Unsupported { what: format!("{place}: {what}"), advice }
            }
            other => other,
        }
    }
}
