//! The corpus of every fuzz target: each of its files gives an error or a model, and no target is
//! without files.

#![cfg(all(
    feature = "keras",
    feature = "safetensors",
    feature = "pytorch",
    feature = "npz",
    feature = "onnx",
    feature = "audio"
))]

#[path = "../fuzz/readers.rs"]
mod readers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

#[test]
fn every_file_of_the_corpus_is_read() {
    let mut total = 0;
    for (target, read) in readers::READERS {
        let folder = fuzz().join("corpus").join(target);
        let files = names(&folder);
        assert!(!files.is_empty(), "{target} has nothing to start from");
        for file in &files {
            read(&std::fs::read(folder.join(file)).unwrap());
        }
        total += files.len();
    }
    eprintln!("{total} files");
}

#[test]
fn targets_and_folders_are_those_of_the_readers() {
    let known: BTreeSet<String> = readers::READERS.map(|(name, _)| name.to_owned()).into();
    assert_eq!(names(&fuzz().join("corpus")), known);
    let targets = known.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&fuzz().join("targets")), targets);
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in known {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "no [[bin]] {name}");
    }
}
