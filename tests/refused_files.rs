//! What a file may not be: each message names the part of the file, what is there, what should be,
//! and what to do instead.

#![cfg(all(
    feature = "keras",
    feature = "onnx",
    feature = "safetensors",
    feature = "pytorch",
    feature = "npz"
))]

mod load_fixtures;
mod models;
mod refusal;

use std::io::{Cursor, Write};

use load_fixtures::{fixture, scratch};
use refusal::refused;
use ritornello::load::{self, Spec, from_bytes, load_with_spec, npy, npz};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The bytes of an `.npy` file.
fn array(version: &[u8], header: &str, values: usize) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY", version, &length, header.as_bytes(), &vec![0; values]].concat()
}

fn zipped(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in members {
        writer.start_file(*name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn arrays_of_numpy() {
    let of = |descr: &str, shape: &str| {
        format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n")
    };
    let floats = |shape: &str, values| npy::parse(&array(b"\x01\0", &of("'<f4'", shape), values));
    let found = ["the values of a float32 array [3]", "8 bytes", "expected 12 bytes"];
    refused(floats("(3,)", 8), &found);
    refused(
        floats("(9223372036854775807, 3)", 8),
        &["is 8 bytes", "expected fewer than fit in memory"],
    );
    refused(npy::parse(b"nothing"), &["npy: it does not begin like one"]);
    for cut in [&b"\x93NUMPY"[..], b"\x93NUMPY\x01\0\x05", b"\x93NUMPY\x01\0\x05\0{"] {
        refused(npy::parse(cut), &["npy: the file ends inside its header"]);
    }
    let version = |version: &[u8]| npy::parse(&array(version, &of("'<f4'", "()"), 4));
    refused(version(b"\x04\x02"), &["version 4.2 is not known, only 1 to 3"]);
    refused(npy::parse(b"\x93NUMPY\x01\0\x01\0\xff"), &["its header is not text"]);
    for header in [
        "",
        "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (x,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (), 'more': 1}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()} more",
    ] {
        let words = ["npy: its header is not what NumPy writes", header];
        refused(npy::parse(&array(b"\x01\0", header, 4)), &words);
    }
    for (descr, words) in [
        ("[('a', '<f4')]", &["a structured array", "as arrays of their own"][..]),
        ("'<c8'", &["an array of '<c8'", "save it as float32, or indices as int32"]),
        ("'|O'", &["an array of '|O'", "save it as float32"]),
        ("'<U3'", &["an array of '<U3'"]),
    ] {
        refused(npy::parse(&array(b"\x01\0", &of(descr, "(1,)"), 8)), words);
    }
    let long = [&array(b"\x01\0", &of("'<i8'", "(1,)"), 0)[..], &i64::MAX.to_le_bytes()].concat();
    refused(npy::parse(&long), &["int64 array", "9223372036854775807", "fits in int32"]);
}

#[test]
fn archives() {
    let whole = array(b"\x01\0", "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", 4);
    assert_eq!(npz::parse(&zipped(&[("a.npy", &whole), ("b.npy", &whole)])).unwrap().len(), 2);
    refused(npz::parse(b"nothing"), &["zip: "]);
    let other = zipped(&[("a.npy", &whole), ("readme.txt", b"x")]);
    refused(npz::parse(&other), &["npz: member 'readme.txt' is no array"]);
    let cut = zipped(&[("a.npy", &whole[..whole.len() - 1])]);
    refused(npz::parse(&cut), &["array 'a'", "float32 array [1]", "3 bytes", "expected 4 bytes"]);
    // The second entry of the table of contents has the place of the first member.
    let mut overlapping = zipped(&[("a.npy", &whole), ("b.npy", &whole)]);
    let entry = overlapping.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    overlapping[entry + 42..entry + 46].fill(0);
    refused(npz::parse(&overlapping), &["zip: its members overlap"]);
    // It says in the table of contents that it is longer.
    let mut longer = zipped(&[("a.npy", &whole)]);
    let entry = longer.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    longer[entry + 24] += 1;
    refused(npz::parse(&longer), &["zip: member 'a.npy'", "bytes, not", "as it says"]);
    // A member of which one byte is another.
    let mut damaged = zipped(&[("a.npy", &whole)]);
    let place = damaged.windows(6).position(|bytes| bytes == b"\x93NUMPY").unwrap();
    damaged[place + 8] ^= 1;
    refused(npz::parse(&damaged), &["zip: member 'a.npy'", "checksum"]);
    // A spec that asks for an array of indices as a weight.
    let path = scratch("indices.npz");
    let indices = ritornello::Array::from_indices(&[1, 2], vec![1, 2]).unwrap();
    npz::write(&path, &[("w".into(), indices)]).unwrap();
    let spec = r#"{"ritornello": 1, "inputs": [{"name": "x", "axes": ["batch", 2]}],
        "nodes": [{"name": "fc", "op": "dense", "inputs": ["x"], "bias": false,
                   "weights": {"convention": "ritornello", "prefix": ""}}], "outputs": ["fc"]}"#;
    let spec = Spec::from_json(spec).unwrap();
    refused(load_with_spec(&path, &spec), &["node 'fc'", "'weights' is missing", "holds: w"]);
    let spec = spec.to_json().replace("\"ritornello\",", "\"pytorch\",");
    let named = ritornello::Array::from_indices(&[1, 2], vec![1, 2]).unwrap();
    npz::write(&path, &[("weight".into(), named)]).unwrap();
    refused(
        load_with_spec(&path, &Spec::from_json(&spec).unwrap()),
        &["node 'fc'", "tensor 'weight' of type integer", "weights are float32"],
    );
}

#[test]
fn files_of_keras_that_are_not_whole() {
    let keras = |members: &[(&str, &[u8])]| from_bytes(&zipped(members));
    let config = br#"{"class_name": "Sequential", "config": {"layers": []}}"#;
    let version = br#"{"keras_version": "3.15.1"}"#;
    refused(
        keras(&[("metadata.json", version), ("x", b"")]),
        &["a .keras file without config.json", "it holds metadata.json, x", "model.save("],
    );
    refused(keras(&[("config.json", config)]), &["without metadata.json", "it holds config.json"]);
    refused(
        keras(&[("config.json", config), ("metadata.json", version)]),
        &["without model.weights.h5", "it holds config.json, metadata.json"],
    );
    let whole = |config, metadata| {
        keras(&[
            ("config.json", config),
            ("metadata.json", metadata),
            ("model.weights.h5", b"nothing"),
        ])
    };
    refused(whole(b"{", version), &["config.json: ", "EOF"]);
    for metadata in [&b"{}"[..], br#"{"keras_version": 3}"#, br#"{"keras_version": "x"}"#] {
        refused(whole(config, metadata), &["metadata.json", "does not say the keras_version"]);
    }
    refused(whole(config, version), &["model.weights.h5: HDF5 '/'"]);
}

/// Bytes of a file in which every `from` is `to`.
fn with(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "{from:?} is not there");
    places.iter().for_each(|&at| bytes[at..at + to.len()].copy_from_slice(to));
    bytes
}

#[test]
fn weights_in_hdf5() {
    let whole = std::fs::read(fixture("keras-3-weights", "model.h5")).unwrap();
    let spec = Spec::read(fixture("keras-3-weights", "spec.json")).unwrap();
    let path = scratch("changed.h5");
    let load = |bytes: Vec<u8>| {
        std::fs::write(&path, bytes).unwrap();
        load_with_spec(&path, &spec)
    };
    load(whole.clone()).unwrap();
    // The datatype of all of them: float32 becomes int32.
    let float = b"\x11\x20\x1f\0\x04\0\0\0";
    refused(
        load(with(whole.clone(), float, b"\x10\x08\0\0\x04\0\0\0")),
        &["changed.h5", "tensor '", "of type int32", "weights are float32, float64"],
    );
    let mut plain = whole.clone();
    plain[0] = 0;
    refused(load(plain), &["HDF5 '/'"]);
    // A dataspace of two axes: its version, its rank, flags, the axes, and each axis at most.
    let axes = |rows: u64, columns: u64| {
        let sizes = [rows, columns, rows, columns].map(u64::to_le_bytes).concat();
        [&b"\x01\x02\x01\0\0\0\0\0"[..], &sizes].concat()
    };
    let kernel = (1..40).flat_map(|rows| (1..40).map(move |columns| (rows, columns)));
    let found = kernel.map(|(rows, columns)| axes(rows, columns));
    let found = found.filter(|axes| whole.windows(axes.len()).any(|bytes| bytes == axes));
    let found: Vec<_> = found.collect();
    assert!(!found.is_empty(), "there are matrices");
    refused(
        load(with(whole, &found[0], &axes(1 << 40, 1 << 10))),
        &["HDF5 '", "its shape [1099511627776, 1024] needs more bytes than the file has"],
    );
}

#[test]
fn kinds_that_are_known_and_not_read() {
    let spec = r#"{"ritornello": 1, "inputs": [{"name": "x", "axes": ["batch", 2]}], "nodes": [],
                   "outputs": ["x"]}"#;
    let spec = Spec::from_json(spec).unwrap();
    let json = fixture("audio-rtneural", "model.json");
    refused(load_with_spec(json, &spec), &["a spec beside this JSON", "load it without"]);
    refused(
        load::load(fixture("cells", "weights.npz")),
        &["an .npz file by itself", "say with a spec", "--spec SPEC.json"],
    );
    refused(
        from_bytes(b"what is this?"),
        &["a file that looks like nothing known", "give a .keras, .h5, .onnx or .safetensors file"],
    );
    let saved = scratch("saved_model.pb");
    std::fs::write(&saved, b"\x08\x01").unwrap();
    let model = ["a TensorFlow SavedModel", "open it in Keras and save it as `.keras`"];
    refused(load::load(&saved), &model);
    // A SavedModel is a folder.
    let folder = scratch("saved");
    std::fs::create_dir_all(&folder).unwrap();
    let empty = ["-saved", "a folder", "give the file of a model that is in it"];
    refused(load::load(&folder), &empty);
    refused(load_with_spec(&folder, &spec), &empty);
    std::fs::copy(&saved, folder.join("saved_model.pb")).unwrap();
    refused(load::load(&folder), &model);
    std::fs::remove_dir_all(folder).unwrap();
}

/// How a file of PyTorch before the zips begins: pickles of a number, of the protocol, and of the
/// machine.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const PROTOCOL: &[u8] = b"\x80\x02M\xe9\x03.";
const LITTLE: &[u8] = b"\x80\x02}X\x0d\0\0\0little_endian\x88s.";
/// A state dict `w` of one number of the storage `0`, and the list of storages.
const STATE: &[u8] = b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\n\
    FloatStorage\nU\x010U\x03cpuK\x01NtQK\x00))\x89NtRs.";
const KEYS: &[u8] = b"\x80\x02]U\x010a.";
const ONE: [&[u8]; 2] = [b"\x01\0\0\0\0\0\0\0", b"\0\0\x80\x3f"];

#[test]
fn pytorch_from_before_the_zips() {
    let read = |parts: &[&[u8]]| {
        let path = scratch("old.pt");
        std::fs::write(&path, parts.concat()).unwrap();
        load::load(&path)
    };
    let whole = [MAGIC, PROTOCOL, LITTLE, STATE, KEYS, ONE[0], ONE[1]];
    let changed = |index: usize, part: &'static [u8]| {
        let mut parts = whole;
        parts[index] = part;
        read(&parts)
    };
    refused(read(&whole), &["weights only", "--spec"]);
    let magic = ["neither as a zip nor with PyTorch's magic number"];
    refused(changed(0, b"\x80\x02K\x01."), &magic);
    refused(changed(1, b"\x80\x02M\xe8\x03."), &["PyTorch file: its protocol is not 1001"]);
    refused(changed(2, b"\x80\x02N."), &["does not say on what machine it was written"]);
    let big = b"\x80\x02}X\x0d\0\0\0little_endian\x89s.";
    refused(changed(2, big), &["big-endian machine", "save it again"]);
    refused(changed(2, b"\x80\x02}."), &["big-endian machine"]);
    refused(changed(4, b"\x80\x02N."), &["its storages have no list of keys"]);
    refused(changed(4, b"\x80\x02]K\x01a."), &["the key of a storage is no text"]);
    refused(changed(4, b"\x80\x02]U\x011a."), &["no tensor uses '1'"]);
    refused(changed(4, b"\x80\x02]."), &["there is more behind its storages"]);
    refused(changed(5, b"\x02\0\0\0\0\0\0\0"), &["storage '0' has 2 numbers, expected 1"]);
    refused(changed(6, b"\0\0"), &["the file ends inside the storage '0'"]);
    refused(changed(5, b"\x01\0"), &["the file ends inside the storage '0'"]);
    refused(changed(6, b"\0\0\x80\x3f?"), &["there is more behind its storages"]);
}

#[test]
fn pytorch_in_zips() {
    let read = |pickle: &[u8]| {
        let path = scratch("new.pt");
        std::fs::write(&path, zipped(&[("m/data.pkl", pickle), ("m/data/0", ONE[1])])).unwrap();
        load::load(&path)
    };
    refused(read(STATE), &["weights only", "--spec"]);
    let path = scratch("none.pt");
    std::fs::write(&path, zipped(&[("a/x", b""), ("b", b"")])).unwrap();
    refused(load::load(&path), &["it holds no data.pkl but a/x, b"]);
    std::fs::write(&path, zipped(&[("a/data.pkl", STATE), ("b/data.pkl", STATE)])).unwrap();
    refused(load::load(&path), &["expected one data.pkl", "a/data.pkl, b/data.pkl"]);
    let key: Vec<u8> = with(STATE.to_vec(), b"U\x01w", b"0K\x01");
    let key = [b"\x80\x02}K\x01", &key[6..]].concat();
    refused(read(&key), &["a key of its state dict is no text"]);
    for (pickle, words) in [
        (
            &b"ctorch._utils\n_rebuild_parameter\n(NNNtR."[..],
            &["a parameter is made of no tensor"][..],
        ),
        (
            b"ctorch._utils\n_rebuild_parameter\n)R.",
            &["'torch._utils._rebuild_parameter' is called with 0 arguments"],
        ),
        (b"ccollections\nOrderedDict\n(NNtR.", &["OrderedDict' is called with 2 arguments"]),
        (b"NN\x93.", &["pickle: at byte 3: it imports what is no name"]),
        (b"ctorch", &["at byte 1: a line has no end"]),
        (b"c\xff\n\n.", &["a name is not UTF-8"]),
        (b"N(Nb.", &["stack is empty"]),
        (b"NNb.", &["attributes to what is no dict"]),
    ] {
        refused(read(pickle), words);
    }
}
