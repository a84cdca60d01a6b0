//! `.npz` with a spec: every way in which NumPy may have written the same weights.

#![cfg(all(feature = "safetensors", feature = "npz"))]

mod load_fixtures;

use std::io::{Cursor, Write};

use load_fixtures::scratch;
use ritornello::load::{Spec, load_with_spec};
use ritornello::model::Model;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A GRU of three units on two features, and a dense layer.
const TENSORS: [(&str, &[usize]); 6] = [
    ("rnn.weight_ih_l0", &[9, 2]),
    ("rnn.weight_hh_l0", &[9, 3]),
    ("rnn.bias_ih_l0", &[9]),
    ("rnn.bias_hh_l0", &[9]),
    ("head.weight", &[4, 3]),
    ("head.bias", &[4]),
];

const SPEC: &str = r#"{"ritornello": 1, "inputs": [{"name": "x", "axes": ["batch", "time", 2]}],
    "nodes": [{"name": "rnn", "op": "gru", "inputs": ["x"],
               "weights": {"convention": "pytorch", "prefix": "rnn."}},
              {"name": "head", "op": "dense", "inputs": ["rnn"],
               "weights": {"convention": "pytorch", "prefix": "head."}}],
    "outputs": ["head"]}"#;

/// Numbers that float16 holds, no two alike: sixty-fourths, from -2 on.
fn numbers(shape: &[usize], tensor: usize) -> Vec<f32> {
    let count = shape.iter().product::<usize>();
    (0..count).map(|at| ((at * 37 + tensor * 11) % 251) as f32 / 64.0 - 2.0).collect()
}

/// The bits of a number that is a multiple of 1/64 below 2 in size, as float16.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    if value == 0.0 {
        return 0;
    }
    let exponent = (bits >> 23 & 0xff) + 15 - 127;
    u16::try_from(bits >> 16 & 0x8000 | exponent << 10 | bits >> 13 & 0x3ff).unwrap()
}

/// One array as NumPy writes it.
fn npy(shape: &[usize], values: &[f32], descr: &str, fortran: bool) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({axes}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    let columns = shape.get(1).copied().unwrap_or(1);
    for place in 0..values.len() {
        // The first axis runs fastest in Fortran's order.
        let at = if fortran { place % shape[0] * columns + place / shape[0] } else { place };
        let mut number = match &descr[1..] {
            "f2" => half(values[at]).to_le_bytes().to_vec(),
            "f4" => values[at].to_le_bytes().to_vec(),
            _ => f64::from(values[at]).to_le_bytes().to_vec(),
        };
        if descr.starts_with('>') {
            number.reverse();
        }
        bytes.extend_from_slice(&number);
    }
    bytes
}

fn load(descr: &str, fortran: bool, method: zip::CompressionMethod) -> Model {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (index, (name, shape)) in TENSORS.iter().enumerate() {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(format!("{name}.npy"), options).unwrap();
        writer.write_all(&npy(shape, &numbers(shape, index), descr, fortran)).unwrap();
    }
    let path = scratch(&format!("corners-{}-{fortran}.npz", &descr[1..]));
    std::fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
    let model = load_with_spec(&path, &Spec::from_json(SPEC).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    model
}

#[test]
fn types_byte_orders_and_orders_of_axes_are_one_model() {
    let plain = load("<f4", false, zip::CompressionMethod::Stored);
    let ritornello::model::Op::Dense(dense) = &plain.nodes()[1].op else { panic!("a head") };
    assert_eq!(dense.weights().values(), numbers(&[4, 3], 4));
    assert_eq!(dense.bias().unwrap(), numbers(&[4], 5));
    for descr in ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"] {
        for fortran in [false, true] {
            let other = load(descr, fortran, zip::CompressionMethod::Deflated);
            assert!(other == plain, "{descr}, Fortran's order: {fortran}");
        }
    }
}
