//! `ritornello._ritornello`: models, plans and streams for the Python package.
//!
//! Arrays come in as NumPy's, contiguous and of the right type; whatever else a user may call a
//! model with, and whatever a framework knows, is Python code of the package.

mod arrays;
mod failure;
mod model;
mod plan;
mod stream;

use pyo3::prelude::*;

/// The extension module of the package `ritornello`.
#[pymodule(gil_used = false)]
fn _ritornello(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("Error", py.get_type::<failure::Error>())?;
    module.add("UnsupportedError", py.get_type::<failure::UnsupportedError>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<model::Model>()?;
    module.add_class::<plan::Plan>()?;
    module.add_class::<stream::Stream>()
}
