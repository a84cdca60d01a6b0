//! `.onnx` files whose tensors are in files beside them.

#![cfg(feature = "onnx")]

mod load_fixtures;
mod onnx_writer;

use std::path::{Path, PathBuf};

use load_fixtures::{fixture, scratch};
use onnx_writer::{File, Node};
use ritornello::load::{from_bytes, load};

#[test]
fn tensors_in_another_file_are_those_of_one_file() {
    let whole = load(fixture("onnx-dynamo-lstm", "model.onnx")).unwrap();
    let parted = load(fixture("onnx-dynamo-lstm", "external.onnx")).unwrap();
    assert!(whole == parted, "another model");
}

#[test]
fn in_memory_there_is_no_file_beside() {
    let bytes = std::fs::read(fixture("onnx-dynamo-lstm", "external.onnx")).unwrap();
    let error = from_bytes(&bytes).unwrap_err().to_string();
    for part in ["another file", "by its path", "external_data=False"] {
        assert!(error.contains(part), "no '{part}' in: {error}");
    }
}

/// A folder for one test, with a model in it.
struct Room(PathBuf);

impl Room {
    fn new(name: &str) -> Self {
        let folder = scratch(name);
        std::fs::create_dir_all(folder.join("model/sub")).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Loads a dense layer `[3, 2]` whose weights are where the entries say; the error, or nothing.
    fn load(&self, entries: &[(&str, &str)]) -> Result<(), String> {
        let mut file = File::new(14);
        file.input("x", &["b", "3"]);
        file.external("W", &[3, 2], entries);
        file.node(Node::new("MatMul", &["x", "W"], &["y"]));
        file.output("y");
        self.load_file(&file)
    }

    fn load_file(&self, file: &File) -> Result<(), String> {
        let path = self.path("model/model.onnx");
        std::fs::write(&path, file.bytes()).unwrap();
        load(&path).map(|_| ()).map_err(|error| error.to_string())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn only_what_is_there_is_read_and_only_from_the_folder() {
    let room = Room::new("external");
    let numbers: Vec<u8> = (0..8_u8).flat_map(|k| f32::from(k).to_le_bytes()).collect();
    for name in ["model/w.bin", "model/sub/w.bin", "outside.bin"] {
        std::fs::write(room.path(name), &numbers).unwrap();
    }
    let at = |location: &'static str, offset: &'static str, length: &'static str| {
        vec![("location", location), ("offset", offset), ("length", length)]
    };
    for entries in [
        at("w.bin", "0", "24"),
        at("w.bin", "8", "24"),
        at("sub/w.bin", "4", "24"),
        vec![("location", "w.bin"), ("length", "24")],
        vec![("location", "w.bin"), ("offset", "8")],
    ] {
        assert_eq!(room.load(&entries), Ok(()), "{entries:?}");
    }
    let absolute = room.path("outside.bin").canonicalize().unwrap();
    let absolute = absolute.to_str().unwrap();
    for (entries, part) in [
        (at("../outside.bin", "0", "24"), "outside of the folder"),
        (at("sub/../../outside.bin", "0", "24"), "outside of the folder"),
        (vec![("location", absolute), ("length", "24")], "outside of the folder"),
        (at("", "0", "24"), "outside of the folder"),
        (at("absent.bin", "0", "24"), "absent.bin"),
        (at("sub", "0", "24"), "it is no file"),
        (at("w.bin", "12", "24"), "24 bytes from 12 of 'w.bin', which has 32"),
        (at("w.bin", "40", "24"), "which has 32"),
        (vec![("location", "w.bin"), ("offset", "40")], "all bytes from 40"),
        (at("w.bin", "18446744073709551615", "24"), "which has 32"),
        (at("w.bin", "0", "18446744073709551615"), "which has 32"),
        (at("w.bin", "-8", "24"), "is no number of bytes"),
        (at("w.bin", "0", "28"), "7 numbers for the shape [3, 2]"),
        (at("w.bin", "0", "26"), "26 bytes of numbers of 4 bytes each"),
        (vec![("offset", "0")], "does not say in which file"),
        (vec![("location", "w.bin"), ("location", "w.bin")], "its location twice"),
        (vec![("location", "w.bin"), ("checksum", "00")], "'checksum' of the tensor 'W'"),
    ] {
        let error = room.load(&entries).unwrap_err();
        assert!(error.contains(part), "{entries:?}: no '{part}' in: {error}");
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed() {
    let room = Room::new("external-links");
    std::fs::write(room.path("outside.bin"), [0; 24]).unwrap();
    std::fs::write(room.path("model/inside.bin"), [0; 24]).unwrap();
    let link = |to: &Path, name: &str| {
        std::os::unix::fs::symlink(to, room.path(name)).unwrap();
    };
    link(&room.path("outside.bin").canonicalize().unwrap(), "model/link.bin");
    link(&room.0.canonicalize().unwrap(), "model/folder");
    link(Path::new("inside.bin"), "model/alias.bin");
    for name in ["link.bin", "folder/outside.bin"] {
        let error = room.load(&[("location", name)]).unwrap_err();
        assert!(error.contains("outside of the folder"), "{error}");
    }
    assert_eq!(room.load(&[("location", "alias.bin")]), Ok(()));
}

#[test]
fn no_byte_is_read_for_two_tensors() {
    let room = Room::new("external-twice");
    std::fs::write(room.path("model/w.bin"), [0; 24]).unwrap();
    let mut file = File::new(14);
    file.input("x", &["b", "3"]);
    for name in ["W", "V"] {
        file.external(name, &[3, 2], &[("location", "w.bin")]);
        file.node(Node::new("MatMul", &["x", name], &[&format!("y{name}")]));
        file.output(&format!("y{name}"));
    }
    let error = room.load_file(&file).unwrap_err();
    assert!(error.contains("more than all of 'w.bin'"), "{error}");
}
