//! `cargo xtask install-c --prefix P`: header, shared and static library, pkg-config and CMake.
//!
//! `cargo cinstall` of cargo-c lays out the same but for the files of CMake, from the metadata in
//! `bindings/c/Cargo.toml`; this does without it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{CRATE, Profile, copy, read, target, write};
use crate::shell;

/// What cargo calls the library, and what it is called where it is installed.
const BUILT: &str = "libritornello_c";
const NAME: &str = "libritornello";

const USAGE: &str = "install-c: --prefix FOLDER [--dev]";

pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let (prefix, profile) = match words {
        [flag, prefix] if flag == "--prefix" => (prefix, Profile::Release),
        [flag, prefix, dev] if flag == "--prefix" && dev == "--dev" => (prefix, Profile::Dev),
        _ => return Err(USAGE.into()),
    };
    install(root, &root.join(prefix), profile)
}

/// Builds the library and lays it out under `prefix`.
pub(super) fn install(root: &Path, prefix: &Path, profile: Profile) -> Result<(), String> {
    if !cfg!(target_os = "linux") {
        return Err(
            "install-c lays out libraries of Linux; elsewhere use `cargo cinstall --package \
                    ritornello-c` (cargo install cargo-c)"
                .into(),
        );
    }
    let version = Version::of(root)?;
    let built = build(root, &version, profile)?;
    let crate_ = root.join(CRATE);
    for header in ["ritornello.h", "ritornello.hpp"] {
        copy(&crate_.join("include").join(header), &prefix.join("include").join(header))?;
    }
    let lib = prefix.join("lib");
    let full = format!("{NAME}.so.{}", version.full());
    copy(&built.join(format!("{BUILT}.a")), &lib.join(format!("{NAME}.a")))?;
    copy(&built.join(format!("{BUILT}.so")), &lib.join(&full))?;
    link(&full, &lib.join(version.soname()))?;
    link(&version.soname(), &lib.join(format!("{NAME}.so")))?;
    let templates = crate_.join("install");
    for (from, to) in [
        ("ritornello.pc.in", "pkgconfig/ritornello.pc"),
        ("ritornello-config.cmake", "cmake/ritornello/ritornello-config.cmake"),
        ("ritornello-config-version.cmake.in", "cmake/ritornello/ritornello-config-version.cmake"),
    ] {
        write(&lib.join(to), &version.fill(&read(&templates.join(from))?))?;
    }
    eprintln!("install-c: ritornello {} is in {}", version.full(), prefix.display());
    Ok(())
}

/// Builds both libraries; gives the folder where they are.
fn build(root: &Path, version: &Version, profile: Profile) -> Result<PathBuf, String> {
    let mut command = Command::new("cargo");
    command.args(["rustc", "--package", "ritornello-c", "--lib"]).current_dir(root);
    let folder = match profile {
        Profile::Release => {
            command.arg("--release");
            "release"
        }
        Profile::Dev => "debug",
    };
    command.args(["--", "-C"]).arg(format!("link-arg=-Wl,-soname,{}", version.soname()));
    shell(&mut command)?;
    Ok(target(root)?.join(folder))
}

/// The version of the workspace.
struct Version([String; 3]);

impl Version {
    fn of(root: &Path) -> Result<Self, String> {
        let manifest = read(&root.join("Cargo.toml"))?;
        let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
        let text = line.and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        let parts = <[String; 3]>::try_from(parts);
        parts.map(Self).map_err(|_| format!("Cargo.toml: '{text}' is no version of three numbers"))
    }

    fn full(&self) -> String {
        self.0.join(".")
    }

    /// While the first number is 0, a change of the second breaks programs.
    fn soname(&self) -> String {
        let [major, minor, _] = &self.0;
        let abi = if major == "0" { format!("0.{minor}") } else { major.clone() };
        format!("{NAME}.so.{abi}")
    }

    fn fill(&self, template: &str) -> String {
        let [major, minor, _] = &self.0;
        let filled = template.replace("@VERSION@", &self.full());
        filled.replace("@MAJOR@", major).replace("@MINOR@", minor)
    }
}

/// A symbolic link, in the place of an older one.
#[cfg(unix)]
fn link(to: &str, at: &Path) -> Result<(), String> {
    let named = |reason: std::io::Error| format!("{}: {reason}", at.display());
    if at.symlink_metadata().is_ok() {
        std::fs::remove_file(at).map_err(named)?;
    }
    std::os::unix::fs::symlink(to, at).map_err(named)
}

#[cfg(not(unix))]
fn link(_to: &str, at: &Path) -> Result<(), String> {
    Err(format!("{}: no symbolic links here", at.display()))
}
