//! `cargo xtask c`: the C interface as others use it, installed in a fresh prefix.

mod header;
mod install;
mod npz;
mod toolchain;
mod trials;

pub(crate) use header::run as header;
pub(crate) use install::run as install;

use std::path::Path;
use std::process::Command;

use crate::target;

/// Where the crate lies.
const CRATE: &str = "bindings/c";

/// Installs the library and tries it: `--dev` builds with the profile of tests.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let profile = match words {
        [] => Profile::Release,
        [word] if word == "--dev" => Profile::Dev,
        _ => return Err(format!("c: unknown arguments: {}", words.join(" "))),
    };
    let folder = target(root)?.join("c");
    if folder.exists() {
        let removed = std::fs::remove_dir_all(&folder);
        removed.map_err(|reason| format!("{}: {reason}", folder.display()))?;
    }
    let prefix = folder.join("prefix");
    install::install(root, &prefix, profile)?;
    trials::run(root, &folder, &prefix)
}

/// How the library is built.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Release,
    Dev,
}

/// What a command prints; an error if it fails.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ended = command.output().map_err(|reason| format!("{name}: {reason}"))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("{name}: {}\n{said}", ended.status));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).into_owned())
}

/// Writes a file, and its folder if it is missing.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let named = |reason: std::io::Error| format!("{}: {reason}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(named)?;
    }
    std::fs::write(path, text).map_err(named)
}

/// Copies a file, and makes its folder if it is missing.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let named = |reason: std::io::Error| format!("{}: {reason}", from.display());
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(named)?;
    }
    std::fs::copy(from, to).map(drop).map_err(named)
}

/// The text of a file.
fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|reason| format!("{}: {reason}", path.display()))
}
