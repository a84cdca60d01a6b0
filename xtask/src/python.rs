//! `cargo xtask python`: builds and installs the Python package and runs its tests, in a virtual
//! environment under the target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{shell, target};

/// The Python that makes the environment, if it is not `python3`.
const VARIABLE: &str = "RITORNELLO_PYTHON";
const PACKAGE: &str = "bindings/python";
/// Of the target directory.
const FOLDER: &str = "python";

/// Runs pytest with these arguments.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let folder = target(root)?.join(FOLDER);
    let python = environment(root, &folder.join("venv"))?;
    let package = root.join(PACKAGE);
    // Built without isolation: maturin is among the requirements, and the target directory is that
    // of everything else here.
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--no-deps", "--no-build-isolation", "--force-reinstall"]).arg(&package);
    shell(install.env("PATH", first_in_path(&python)?))?;
    let mut tests = Command::new(&python);
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).args(words);
    tests.current_dir(package.join("tests")).env("KERAS_BACKEND", "torch");
    tests
        .env("RITORNELLO_ROOT", root)
        .env("HYPOTHESIS_STORAGE_DIRECTORY", folder.join("hypothesis"));
    shell(&mut tests)
}

/// Makes the environment in which [`run`] does so.
pub(crate) fn prepare(root: &Path) -> Result<(), String> {
    environment(root, &target(root)?.join(FOLDER).join("venv")).map(drop)
}

/// A program of the environment, if it has it.
pub(crate) fn program(root: &Path, name: &str) -> Option<PathBuf> {
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    let found = target(root).ok()?.join(FOLDER).join("venv").join(folder).join(name);
    found.is_file().then_some(found)
}

/// The search path with the programs of the environment, maturin among them, before others.
fn first_in_path(python: &Path) -> Result<std::ffi::OsString, String> {
    let others = std::env::var_os("PATH").unwrap_or_default();
    let folders = python.parent().map(Path::to_owned).into_iter();
    let folders = folders.chain(std::env::split_paths(&others));
    std::env::join_paths(folders).map_err(|reason| format!("python: PATH: {reason}"))
}

/// The environment's Python. It is made, and the requirements are installed, unless they are those
/// of the last time.
fn environment(root: &Path, folder: &Path) -> Result<PathBuf, String> {
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let requirements = root.join(PACKAGE).join("tests/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements)
        .map_err(|reason| format!("{}: {reason}", requirements.display()))?;
    let installed = folder.join("requirements.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    let maker = std::env::var_os(VARIABLE).unwrap_or_else(|| "python3".into());
    shell(Command::new(maker).args(["-m", "venv"]).arg(folder))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]);
    shell(pip.arg(&requirements))?;
    std::fs::write(&installed, wanted)
        .map_err(|reason| format!("{}: {reason}", installed.display()))?;
    Ok(python)
}
