//! `cargo xtask`: what the continuous integration runs, a person runs by the same name.

#![forbid(unsafe_code)]

mod c;
mod check;
mod fixtures;
mod levels;
mod python;
mod rooms;
mod source;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask check              format, lints, docs and rooms: what must hold before a commit
cargo xtask rooms              who may name whom, file by file
cargo xtask levels             the tests of library and command, forced to each other level with fused multiply-add
cargo xtask fixtures [NAME]... runs the frameworks again and compares with tests/fixtures
cargo xtask python [ARGUMENT]... builds and installs the Python package, runs pytest with these
cargo xtask python-environment  only what the former needs of pip's, which takes its minutes to fetch
cargo xtask c [--dev]          installs the C library in a fresh prefix, builds and runs what uses it
cargo xtask install-c --prefix FOLDER [--dev]  the C library: header, libraries, pkg-config, CMake
cargo xtask header [--check]   writes ritornello.h from its sources, or says whether it is theirs
cargo xtask race [ARGUMENT]... races all rivals: benches/peers/run.sh with these arguments";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("check", [])) => check::run(&root()),
        Some(("rooms", [])) => rooms::run(&root()),
        Some(("levels", [])) => levels::run(&root()),
        Some(("fixtures", names)) => fixtures::run(&root(), names),
        Some(("python", words)) => python::run(&root(), words),
        Some(("python-environment", [])) => python::prepare(&root()),
        Some(("c", words)) => c::run(&root(), words),
        Some(("install-c", words)) => c::install(&root(), words),
        Some(("header", words)) => c::header(&root(), words),
        Some(("race", words)) => {
            shell(Command::new(root().join("benches/peers/run.sh")).args(words))
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this package lies in a folder of the repository").to_owned()
}

/// The target directory that this program was built in.
fn target(root: &Path) -> Result<PathBuf, String> {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        return Ok(root.join(folder));
    }
    let program = std::env::current_exe().map_err(|reason| reason.to_string())?;
    let folder = program.ancestors().nth(2).map(Path::to_owned);
    folder.ok_or_else(|| format!("{} lies in no target directory", program.display()))
}

/// Says what is run, runs it, and fails if it fails.
fn shell(command: &mut Command) -> Result<(), String> {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    eprintln!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{line}: {status}")),
        Err(reason) => Err(format!("{line}: {reason}")),
    }
}
