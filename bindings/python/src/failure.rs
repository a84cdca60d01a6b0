//! The library's errors as Python's exceptions.

use std::io::ErrorKind;

use pyo3::create_exception;
use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyValueError};
use pyo3::prelude::*;

create_exception!(ritornello, Error, PyValueError, "Something that does not fit; says what.");
create_exception!(ritornello, UnsupportedError, Error, "Known, but not run here; says what to do.");

/// The exception for an error.
#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err as it is")]
pub(crate) fn raised(error: ritornello::Error) -> PyErr {
    let text = error.to_string();
    let mut inner = &error;
    while let ritornello::Error::InFile { source, .. } = inner {
        inner = source;
    }
    match inner {
        ritornello::Error::Unsupported { .. } => UnsupportedError::new_err(text),
        ritornello::Error::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            PyFileNotFoundError::new_err(text)
        }
        ritornello::Error::Io { .. } => PyOSError::new_err(text),
        _ => Error::new_err(text),
    }
}
