//! Damaged and lying `.h5` files: each gives an error or a model, never a panic, and never more
//! memory than a small multiple of the file.

#![cfg(all(feature = "keras", feature = "safetensors", feature = "npz"))]

mod allocator;
mod load_fixtures;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};

use load_fixtures::{fixture, scratch};
use random::Random;
use ritornello::load::{Spec, load_with_spec};

/// What any file may need: a header counts up to 65535 messages. And how many times its own length
/// a longer one.
const BASE: usize = 16 << 20;
const TIMES: usize = 64;

/// Reads `bytes` as an `.h5` file: the error, if it is one.
fn survive(bytes: &[u8], spec: Option<&Spec>, how: &str) -> Result<(), String> {
    let thread = format!("{:?}", std::thread::current().id());
    let path = scratch(&format!("hostile-{}.h5", thread.replace(['(', ')'], "")));
    std::fs::write(&path, bytes).unwrap();
    let read = || match spec {
        Some(spec) => load_with_spec(&path, spec),
        None => ritornello::load(&path),
    };
    let (result, _, peak) = allocator::measured(|| catch_unwind(AssertUnwindSafe(read)));
    let result = result.unwrap_or_else(|_| panic!("{how}: the reader panicked"));
    let most = BASE + TIMES * bytes.len();
    assert!(peak.unsigned_abs() < most, "{how}: {peak} bytes for a file of {}", bytes.len());
    result.map(drop).map_err(|error| error.to_string())
}

fn files() -> Vec<(&'static str, Vec<u8>, Option<Spec>)> {
    ["keras-1-h5", "keras-2-cudnn", "keras-3-weights", "keras-2-weights"]
        .map(|name| {
            let spec = fixture(name, "spec.json");
            let spec = spec.is_file().then(|| Spec::read(spec).unwrap());
            (name, std::fs::read(fixture(name, "model.h5")).unwrap(), spec)
        })
        .into()
}

#[test]
fn truncated_files() {
    for (name, whole, spec) in files() {
        assert!(survive(&whole, spec.as_ref(), name).is_ok(), "{name} is whole");
        // Every byte of the first part, where all but values is; then here and there.
        let all = (0..2000).chain((2000..whole.len()).step_by(61));
        for end in all {
            let how = format!("{name} cut to {end} bytes");
            assert!(survive(&whole[..end], spec.as_ref(), &how).is_err(), "{how}: it loads");
        }
    }
}

#[test]
fn damaged_files() {
    let mut random = Random(11);
    for (name, whole, spec) in files() {
        for _ in 0..1500 {
            let mut bytes = whole.clone();
            let place = random.below(bytes.len() - 8);
            match random.below(3) {
                0 => bytes[place] = random.next().to_le_bytes()[0],
                1 => bytes[place] ^= 1 << random.below(8),
                _ => {
                    let huge = (u64::MAX >> random.below(60)).to_le_bytes();
                    bytes[place..place + 8].copy_from_slice(&huge);
                }
            }
            let _ = survive(&bytes, spec.as_ref(), &format!("{name}, byte {place}"));
        }
    }
}

/// Where a signature stands.
fn places(bytes: &[u8], signature: &[u8]) -> Vec<usize> {
    (0..bytes.len() - signature.len()).filter(|&at| bytes[at..].starts_with(signature)).collect()
}

fn address(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// A table of symbols is a signature, a count, and entries of 40 bytes: a name's place, the address
/// of an object, and, of a group, of its tree and its names.
#[test]
fn groups_inside_themselves() {
    let mut cycles = 0;
    for (name, whole, spec) in files() {
        // The entry of the root in the superblock.
        let root = 56;
        let tables = places(&whole, b"SNOD");
        for &table in &tables {
            let count = u16::from_le_bytes([whole[table + 6], whole[table + 7]]);
            for entry in (0..usize::from(count)).map(|entry| table + 8 + 40 * entry) {
                for other in [root].into_iter().chain(tables.iter().map(|table| table + 8)) {
                    let mut bytes = whole.clone();
                    bytes.copy_within(other + 8..other + 40, entry + 8);
                    if bytes == whole {
                        continue;
                    }
                    let how = format!("{name}: the entry at {entry} is that at {other}");
                    // A table that nothing uses may say what it likes.
                    let seen = "inside itself or has two places";
                    let result = survive(&bytes, spec.as_ref(), &how);
                    cycles += usize::from(result.is_err_and(|error| error.contains(seen)));
                }
            }
        }
        // A tree that is its own child: nodes have their children behind 24 bytes and a key.
        for tree in places(&whole, b"TREE") {
            let mut bytes = whole.clone();
            bytes[tree + 5] = 1;
            bytes[tree + 32..tree + 40].copy_from_slice(&(tree as u64).to_le_bytes());
            let how = format!("{name}: the tree at {tree} is its own child");
            let empty = whole[tree + 6..tree + 8] == [0, 0];
            assert!(survive(&bytes, spec.as_ref(), &how).is_err() || empty, "{how}: it loads");
        }
    }
    assert!(cycles > 50, "only {cycles} files were seen through");
}

/// An object's header may go on elsewhere: here at its own beginning.
#[test]
fn headers_that_go_on_in_themselves() {
    for (name, whole, spec) in files() {
        let root = address(&whole, 64);
        for at in places(&whole, &[0x10, 0x00, 0x10, 0x00]) {
            let mut bytes = whole.clone();
            for (target, length) in [(root + 16, 1 << 20), (root + 16, 24), (at as u64, 64)] {
                bytes[at + 8..at + 16].copy_from_slice(&u64::to_le_bytes(target));
                bytes[at + 16..at + 24].copy_from_slice(&u64::to_le_bytes(length));
                let _ =
                    survive(&bytes, spec.as_ref(), &format!("{name}: a header goes on at {at}"));
            }
        }
    }
}

/// Texts of attributes lie in a heap, where many may be one: each here says that it is the longest.
#[test]
fn texts_that_are_all_the_same() {
    let whole = std::fs::read(fixture("keras-3-h5", "model.h5")).unwrap();
    let heaps = places(&whole, b"GCOL");
    let references = |bytes: &[u8]| {
        let heap = heaps[0] as u64;
        let all = (0..bytes.len() - 16).filter(move |&at| address(bytes, at + 4) == heap);
        all.collect::<Vec<_>>()
    };
    let found = references(&whole);
    assert!(found.len() > 10, "the names of weights are texts in a heap");
    let longest = found
        .iter()
        .max_by_key(|&&at| u32::from_le_bytes(whole[at..at + 4].try_into().unwrap()))
        .copied()
        .unwrap();
    let mut bytes = whole.clone();
    for at in found {
        bytes.copy_within(longest..longest + 16, at);
    }
    let error = survive(&bytes, None, "one text for all").unwrap_err();
    assert!(error.contains("attributes need more bytes than the file has"), "{error}");
}
