//! `cargo xtask header`: `ritornello.h`, which cbindgen writes from the sources of the C interface.

use std::path::Path;
use std::process::Command;

use super::{CRATE, output, read, target, write};

/// Writes the header, or with `--check` says whether it is the one that would be written.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let checks = match words {
        [] => false,
        [word] if word == "--check" => true,
        _ => return Err(format!("header: unknown arguments: {}", words.join(" "))),
    };
    let path = root.join(CRATE).join("include/ritornello.h");
    let fresh = fresh(root)?;
    if !checks {
        return write(&path, &fresh);
    }
    let committed = read(&path)?;
    if committed == fresh {
        eprintln!("header: {} is that of the sources", path.display());
        return Ok(());
    }
    let same = |(a, b): &(&str, &str)| a == b;
    let line = committed.lines().zip(fresh.lines()).take_while(same).count() + 1;
    Err(format!(
        "header: {} differs from its sources in line {line}; `cargo xtask header` writes it",
        path.display()
    ))
}

/// The header of the sources as they are. cbindgen and the program around it are a workspace of
/// their own, with a target directory of their own.
fn fresh(root: &Path) -> Result<String, String> {
    let mut command = Command::new("cargo");
    command.args(["run", "--quiet", "--locked", "--manifest-path"]);
    command.arg(root.join(CRATE).join("header/Cargo.toml")).current_dir(root);
    command.env("CARGO_TARGET_DIR", target(root)?.join("header"));
    output(&mut command)
}
