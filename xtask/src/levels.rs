//! `cargo xtask levels`: the tests of library and command once more, forced to each other level with fused
//! multiply-add. On the best one they run anyway.

use std::path::Path;
use std::process::{Command, Output};

use crate::shell;

/// What a plan without a level of its own reads.
const VARIABLE: &str = "RITORNELLO_ISA";

const LEVELS: [&str; 2] = ["avx2", "avx512"];

/// How a level is refused that the CPU lacks.
const ABSENT: &str = "this CPU has no";

/// Runs them; a level that the CPU lacks is said not to have been run.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let best = demo(root, Command::new("cargo").env_remove(VARIABLE))?;
    if !best.status.success() {
        return Err(format!("demo: {}", String::from_utf8_lossy(&best.stderr)));
    }
    let best = String::from_utf8_lossy(&best.stdout);
    let mut left = Vec::new();
    for level in LEVELS {
        if best.contains(&format!("\"isa\": \"{level}\"")) {
            left.push(format!("levels: {level} is what `cargo test` runs on"));
            continue;
        }
        let forced = demo(root, Command::new("cargo").env(VARIABLE, level))?;
        let complaint = String::from_utf8_lossy(&forced.stderr);
        if complaint.contains(ABSENT) {
            left.push(format!("levels: not run: {level}: {}", complaint.trim()));
            continue;
        }
        if !forced.status.success() {
            return Err(format!("demo with {VARIABLE}={level}: {complaint}"));
        }
        eprint!("{VARIABLE}={level} ");
        let mut tests = Command::new("cargo");
        tests.args(["test", "--package", "ritornello", "--package", "ritornello-cli", "--tests"]);
        shell(tests.current_dir(root).env(VARIABLE, level))?;
    }
    left.iter().for_each(|line| eprintln!("{line}"));
    Ok(())
}

/// What the command says that tries everything on the level that plans choose.
fn demo(root: &Path, cargo: &mut Command) -> Result<Output, String> {
    cargo.args(["run", "--quiet", "--package", "ritornello-cli", "--", "demo", "--json"]);
    cargo.current_dir(root).output().map_err(|reason| format!("cargo: {reason}"))
}
