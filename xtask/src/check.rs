//! `cargo xtask check`: everything but the tests that `cargo test` runs.

use std::path::Path;
use std::process::Command;

use crate::{c, rooms, shell};

/// One line each: the arguments of cargo.
const STEPS: [&str; 15] = [
    "fmt --all --check",
    "clippy --workspace --all-targets --all-features -- --deny warnings",
    // A feature adds to the interface: without any, and with each alone, the library still builds.
    "clippy --package ritornello --no-default-features -- --deny warnings",
    "clippy --package ritornello --no-default-features --features keras -- --deny warnings",
    "clippy --package ritornello --no-default-features --features onnx -- --deny warnings",
    "clippy --package ritornello --no-default-features --features safetensors -- --deny warnings",
    "clippy --package ritornello --no-default-features --features pytorch -- --deny warnings",
    "clippy --package ritornello --no-default-features --features npz -- --deny warnings",
    "clippy --package ritornello --no-default-features --features audio -- --deny warnings",
    // Cells of a fixed size are for machines that have neither `std` nor an allocator, with the bits
    // of all others.
    "clippy --package ritornello-kernels --no-default-features --features libm -- --deny warnings",
    "test --package ritornello-kernels --no-default-features --features libm --lib",
    "doc --workspace --no-deps --all-features",
    // The locks of the workspaces beside this one know what the library depends on.
    "update --quiet --workspace --locked --manifest-path benches/peers/Cargo.toml",
    "update --quiet --workspace --locked --manifest-path bindings/c/header/Cargo.toml",
    "update --quiet --workspace --locked --manifest-path fuzz/Cargo.toml",
];

/// Runs every step, so that one run tells all that is wrong.
pub(crate) fn run(root: &Path) -> Result<(), String> {
    let mut problems = Vec::new();
    problems.extend(rooms::run(root).err());
    problems.extend(c::header(root, &["--check".into()]).err());
    for step in STEPS {
        let mut command = Command::new("cargo");
        command.args(step.split(' ')).current_dir(root).env("RUSTDOCFLAGS", "--deny warnings");
        problems.extend(shell(&mut command).err());
    }
    if problems.is_empty() {
        eprintln!("check: all is well");
        return Ok(());
    }
    let (failed, all) = (problems.len(), STEPS.len() + 2);
    Err(format!("\ncheck: {failed} of {all} steps failed\n{}", problems.join("\n")))
}
