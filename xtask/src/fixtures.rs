//! `cargo xtask fixtures`: are the goldens what Keras and PyTorch give?

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell;

const VARIABLE: &str = "RITORNELLO_PYTHON";

const HOW: &str = "\
fixtures: RITORNELLO_PYTHON must name a Python that has tests/fixtures/requirements.txt installed
    python3 -m venv ~/fixtures
    ~/fixtures/bin/pip install -r tests/fixtures/requirements.txt
    RITORNELLO_PYTHON=~/fixtures/bin/python cargo xtask fixtures";

/// Compares the fixtures of these names, or all, with a fresh run of the frameworks.
pub(crate) fn run(root: &Path, names: &[String]) -> Result<(), String> {
    let Some(python) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
        return Err(HOW.into());
    };
    let script = root.join("tests/fixtures/generate.py");
    shell(Command::new(python).arg(script).arg("--check").args(names))
}
