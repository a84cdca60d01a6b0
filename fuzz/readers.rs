//! What each target does with its bytes. The tests of the library do the same with the corpus.

use std::io::{Cursor, Write};

use ritornello::load::{
    KerasMask, Spec, from_bytes, from_bytes_with_spec, from_keras, from_tensors, npy, npz,
};
use ritornello::{Array, Error};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// What a target is called, and what it does.
pub(crate) type Reader = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const READERS: [Reader; 9] = [
    ("hdf5", hdf5),
    ("json", json),
    ("keras_config", keras_config),
    ("npz", numpy),
    ("onnx", onnx),
    ("pickle", pickle),
    ("safetensors", safetensors),
    ("torch_legacy", torch_legacy),
    ("zip", archive),
];

/// An error is an answer, but it has words.
fn said<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        assert!(error.to_string().len() > 8, "an error that says nothing");
    }
}

/// Whole models and weights in HDF5.
pub(crate) fn hdf5(data: &[u8]) {
    if data.starts_with(b"\x89HDF\r\n") {
        said(from_bytes(data));
        said(from_bytes_with_spec(data, &spec("lstm/")));
    }
}

/// Models of audio plugins, and specs.
pub(crate) fn json(data: &[u8]) {
    if data.first() == Some(&b'{') {
        said(from_bytes(data));
    }
    if let Ok(Ok(spec)) = std::str::from_utf8(data).map(Spec::from_json) {
        let array = |(name, shape): (&str, &[usize])| {
            let count = shape.iter().product();
            (name.to_owned(), Array::new(shape, vec![0.5; count]).unwrap())
        };
        let arrays: [(&str, &[usize]); 5] = [
            ("rnn.weight_ih_l0", &[12, 3]),
            ("rnn.weight_hh_l0", &[12, 4]),
            ("rnn.bias_ih_l0", &[12]),
            ("rnn.bias_hh_l0", &[12]),
            ("norm.weight", &[4]),
        ];
        said(from_tensors(&spec, arrays.map(array).into()));
    }
}

/// Configurations of Keras models, of all versions, without weights.
pub(crate) fn keras_config(data: &[u8]) {
    if let Ok(config) = std::str::from_utf8(data) {
        for version in ["1.2.2", "2.2.4", "2.15.0", "3.15.1"] {
            said(from_keras(config, version, Vec::new(), KerasMask::None));
        }
    }
}

/// `.npy` and `.npz` files.
pub(crate) fn numpy(data: &[u8]) {
    said(npy::parse(data));
    said(npz::parse(data));
}

/// ONNX graphs, and the tensors in them.
pub(crate) fn onnx(data: &[u8]) {
    if data.first() == Some(&8) {
        said(from_bytes(data));
        said(from_bytes_with_spec(data, &spec("rnn.")));
    }
}

/// Pickles of PyTorch, inside a zip whose checksums fit.
pub(crate) fn pickle(data: &[u8]) {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in [("m/data.pkl", data), ("m/data/0", &[1; 64]), ("m/data/1", &[2; 128])] {
        writer.start_file(name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    said(from_bytes(&writer.finish().unwrap().into_inner()));
}

/// `.safetensors` files, those with a specification among them.
pub(crate) fn safetensors(data: &[u8]) {
    if data.get(8) == Some(&b'{') {
        said(from_bytes(data));
        said(from_bytes_with_spec(data, &spec("rnn.")));
    }
}

/// PyTorch files from before the zips.
pub(crate) fn torch_legacy(data: &[u8]) {
    if data.starts_with(b"\x80\x02\x8a\x0a\x6c\xfc") {
        said(from_bytes_with_spec(data, &spec("rnn.")));
    }
}

/// `.keras` and `.pt` files as zips.
pub(crate) fn archive(data: &[u8]) {
    if data.starts_with(b"PK\x03\x04") {
        said(from_bytes(data));
        said(from_bytes_with_spec(data, &spec("rnn.")));
    }
}

/// A layer whose weights have this prefix.
fn spec(prefix: &str) -> Spec {
    let (op, convention) =
        if prefix.ends_with('/') { ("lstm", "keras") } else { ("gru", "pytorch") };
    Spec::from_json(&format!(
        r#"{{"ritornello": 1, "inputs": [{{"name": "x", "axes": ["batch", "time", 3]}}],
            "nodes": [{{"name": "rnn", "op": "{op}", "inputs": ["x"],
                        "weights": {{"convention": "{convention}", "prefix": "{prefix}"}}}}],
            "outputs": ["rnn"]}}"#
    ))
    .unwrap()
}
