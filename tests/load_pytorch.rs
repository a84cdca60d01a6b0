//! PyTorch weights in `.safetensors` files with a spec, and arrays as a `state_dict` gives them.

#![cfg(all(feature = "safetensors", feature = "npz"))]

mod load_fixtures;
mod models;
mod refusal;

use std::collections::HashMap;

use load_fixtures::{assert_fits_case, assert_round_trip, fixture, folders_with, scratch};
use refusal::refused;
use ritornello::load::{Spec, load_with_spec, pytorch};
use ritornello::model::{
    Cell, Direction, Gate, GruReset, Model, Op, Recurrent, RecurrentWeights, SequenceAxes,
};
use ritornello::{Array, Error};
use safetensors::tensor::{Dtype, TensorView};

fn load(name: &str) -> Result<Model, Error> {
    let spec = Spec::read(fixture(name, "spec.json")).unwrap_or_else(|e| panic!("{e}"));
    load_with_spec(fixture(name, "model.safetensors"), &spec)
}

fn layers(model: &Model) -> Vec<(&str, &Recurrent)> {
    let layers = model.nodes().iter().filter_map(|node| match &node.op {
        Op::Recurrent(layer) => Some((node.name.as_str(), layer)),
        _ => None,
    });
    layers.collect()
}

#[test]
fn every_fixture_loads_fits_its_cases_and_round_trips() {
    for folder in folders_with("model.safetensors") {
        if !folder.join("spec.json").is_file() {
            continue; // one of this library's own files
        }
        let name = folder.file_name().unwrap().to_str().unwrap();
        let model = load(name).unwrap_or_else(|e| panic!("{e}"));
        for case in ["case.npz", "case-2.npz"] {
            let case = folder.join(case);
            if case.is_file() {
                assert_fits_case(&model, &case);
            }
        }
        assert_round_trip(&model, name);
    }
}

#[test]
fn a_projection_makes_the_hidden_state_smaller_than_the_cell_state() {
    let model = load("torch-lstm-proj").unwrap();
    for (name, layer) in layers(&model) {
        assert_eq!(
            (layer.hidden_size(), layer.state_size(), layer.output_size()),
            (8, 3, 6),
            "{name}"
        );
    }
    // Four gates of 8 units over 5 or 6 inputs and 3 states, and two biases; and 3 × 8 numbers.
    assert_eq!(model.parameters(), 2 * (32 * (5 + 3 + 2) + 24 + 32 * (6 + 3 + 2) + 24));
}

#[test]
fn stacks_become_one_node_for_each_layer() {
    let model = load("torch-bilstm-3-layers").unwrap();
    let layers = layers(&model);
    let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["rnn.0", "rnn.1", "rnn"]);
    assert_eq!(layers.iter().map(|(_, l)| l.input_size()).collect::<Vec<_>>(), [7, 22, 22]);
    assert_eq!(model.parameters(), 2 * (44 * (7 + 11 + 2) + 2 * 44 * (22 + 11 + 2)));
}

#[test]
fn what_only_the_spec_knows_is_honoured() {
    let time_major = load("torch-birnn-time-major").unwrap();
    assert_eq!(time_major.axes(), SequenceAxes::TimeBatch);
    let identity = load("torch-identity-loop").unwrap();
    let (_, layer) = layers(&identity)[0];
    assert_eq!(layer.weights()[0].recurrent, RecurrentWeights::Identity);
    assert!(layer.weights()[0].bias.is_some());
}

/// An array whose values are their own places.
fn counted(shape: &[usize]) -> Array {
    let count: usize = shape.iter().product();
    Array::new(shape, (0..count).map(|i| i as f32).collect()).unwrap()
}

#[test]
fn gate_rows_find_their_places() {
    let weights = [counted(&[3, 2]), counted(&[3, 1]), counted(&[3]), counted(&[3])];
    let gru = pytorch::gru(&weights).unwrap();
    for (row, gate) in [Gate::Reset, Gate::Update, Gate::Candidate].into_iter().enumerate() {
        let first = 2.0 * row as f32;
        assert_eq!(gru.input_gate(0, gate).unwrap().values(), [first, first + 1.0], "{gate:?}");
        assert_eq!(gru.recurrent_gate(0, gate).unwrap().values(), [row as f32], "{gate:?}");
    }
    assert_eq!(gru.weights()[0].bias.as_deref().unwrap(), [1.0, 0.0, 2.0]);
    assert_eq!(gru.weights()[0].recurrent_bias.as_deref().unwrap(), [1.0, 0.0, 2.0]);
    assert_eq!(gru.cell(), Cell::gru(GruReset::AfterMatmul));

    let lstm = pytorch::lstm(&[counted(&[4, 2]), counted(&[4, 1])]).unwrap();
    for (row, gate) in
        [Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output].into_iter().enumerate()
    {
        assert_eq!(lstm.recurrent_gate(0, gate).unwrap().values(), [row as f32], "{gate:?}");
    }
    let linear = pytorch::linear(&[counted(&[2, 3]), counted(&[2])]).unwrap();
    assert_eq!(linear.weights().row(1), [3.0, 4.0, 5.0]);
}

#[test]
fn arrays_that_do_not_fit_are_named() {
    let message = |result: Result<Recurrent, Error>| result.unwrap_err().to_string();
    let error = message(pytorch::lstm(&[counted(&[16, 3]), counted(&[12, 4])]));
    assert!(error.contains("weight_hh") && error.contains("4×hidden=16"), "{error}");
    let error = message(pytorch::rnn(&[counted(&[4, 3]), counted(&[4, 4]), counted(&[4])]));
    assert!(
        error.contains("bias_hh") && error.contains("found") | error.contains("is 3"),
        "{error}"
    );
    let both: Vec<Array> = (0..2).flat_map(|_| [counted(&[4, 3]), counted(&[4, 4])]).collect();
    let layer = pytorch::recurrent(Cell::SIMPLE_RNN, Direction::Bidirectional, &both).unwrap();
    assert_eq!(layer.output_size(), 8);
}

/// A file of these tensors.
fn file(name: &str, tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> std::path::PathBuf {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
    });
    let none: Option<HashMap<String, String>> = None;
    let path = scratch(name);
    std::fs::write(&path, safetensors::serialize(views, none).unwrap()).unwrap();
    path
}

fn dense_spec(rest: &str) -> Spec {
    let json = format!(
        r#"{{"ritornello": 1, "inputs": [{{"name": "x", "axes": ["batch", 2]}}],
            "nodes": [{{"name": "fc", "op": "dense", "inputs": ["x"]{rest},
                        "weights": {{"convention": "pytorch", "prefix": "fc."}}}}],
            "outputs": ["fc"]}}"#
    );
    Spec::from_json(&json).unwrap()
}

#[test]
fn other_floats_become_f32_once() {
    let f64s: Vec<u8> = [0.1_f64, -2.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    let f16s: Vec<u8> = [0x3555_u16].iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = file(
        "floats.safetensors",
        &[("fc.weight", Dtype::F64, &[1, 2], f64s), ("fc.bias", Dtype::F16, &[1], f16s)],
    );
    let model = load_with_spec(&path, &dense_spec("")).unwrap();
    let Op::Dense(dense) = &model.nodes()[0].op else { panic!() };
    assert_eq!(dense.weights().values(), [0.1_f32, -2.5]);
    assert_eq!(dense.bias().unwrap(), [0.333_251_95]);

    let bf16: Vec<u8> = [0x3f81_u16, 0xc000].iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = file("bf16.safetensors", &[("fc.weight", Dtype::BF16, &[1, 2], bf16)]);
    let model = load_with_spec(&path, &dense_spec(r#", "bias": false"#)).unwrap();
    let Op::Dense(dense) = &model.nodes()[0].op else { panic!() };
    assert_eq!(dense.weights().values(), [1.007_812_5, -2.0]);

    let path = file("i32.safetensors", &[("fc.weight", Dtype::I32, &[1, 2], vec![0; 8])]);
    let error = load_with_spec(&path, &dense_spec(r#", "bias": false"#)).unwrap_err().to_string();
    assert!(error.contains("fc.weight") && error.contains("I32"), "{error}");
}

#[test]
fn missing_and_unused_tensors_are_named() {
    let path = file("short.safetensors", &[("fc.weight", Dtype::F32, &[1, 2], vec![0; 8])]);
    let error = load_with_spec(&path, &dense_spec("")).unwrap_err();
    assert!(error.to_string().contains("short.safetensors"), "{error}");
    let Error::InFile { source, .. } = error else { panic!("{error}") };
    assert!(
        matches!(&*source, Error::MissingTensor { name, present, .. }
            if name == "fc.bias" && present == "fc.weight"),
        "{source}"
    );
    let path = file(
        "long.safetensors",
        &[
            ("fc.weight", Dtype::F32, &[1, 2], vec![0; 8]),
            ("fc.bias", Dtype::F32, &[1], vec![0; 4]),
        ],
    );
    let error = load_with_spec(&path, &dense_spec(r#", "bias": false"#)).unwrap_err();
    let Error::InFile { source, .. } = error else { panic!("{error}") };
    assert!(matches!(&*source, Error::UnusedTensors { names } if names == "fc.bias"), "{source}");
}

/// A layer of this operation with tensors of the prefix `rnn.`; `rest` is more of the node.
fn rnn_spec(op: &str, rest: &str) -> Spec {
    let json = format!(
        r#"{{"ritornello": 1, "inputs": [{{"name": "x", "axes": ["batch", "time", 3]}}],
            "nodes": [{{"name": "rnn", "op": "{op}", "inputs": ["x"]{rest},
                        "weights": {{"convention": "pytorch", "prefix": "rnn."}}}}],
            "outputs": ["rnn"]}}"#
    );
    Spec::from_json(&json).unwrap()
}

/// A file of layers of 2 units over 3 features, or over 2 of the layer before: the tensors of each
/// suffix, whose numbers are their own places.
fn rnn_file(name: &str, gates: usize, suffixes: &[&str]) -> std::path::PathBuf {
    let mut tensors = Vec::new();
    for (layer, suffix) in suffixes.iter().enumerate() {
        let columns = if layer == 0 { 3 } else { 2 };
        let rows = gates * 2;
        for (part, shape) in [
            ("weight_ih", vec![rows, columns]),
            ("weight_hh", vec![rows, 2]),
            ("bias_ih", vec![rows]),
            ("bias_hh", vec![rows]),
        ] {
            let numbers = counted(&shape).as_f32().unwrap().to_vec();
            let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
            tensors.push((format!("rnn.{part}{suffix}"), shape, bytes));
        }
    }
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, shape, bytes)| (&name[..], Dtype::F32, &shape[..], bytes.clone()))
        .collect();
    file(name, &tensors)
}

/// `nn.LSTMCell` and its like have the names of a layer without `_l0`.
#[test]
fn a_cell_is_loaded_like_a_layer() {
    for (op, gates) in [("rnn", 1), ("gru", 3), ("lstm", 4)] {
        let of_cell = rnn_file(&format!("{op}-cell.safetensors"), gates, &[""]);
        let of_layer = rnn_file(&format!("{op}-layer.safetensors"), gates, &["_l0"]);
        let [cell, layer] =
            [&of_cell, &of_layer].map(|path| load_with_spec(path, &rnn_spec(op, "")).unwrap());
        assert!(cell == layer, "{op}");
        assert_eq!(cell.parameters(), gates * 2 * (3 + 2 + 2), "{op}");
        // A stack and a second direction are of layers; the names of a cell are not theirs.
        for rest in [r#", "layers": 2"#, r#", "direction": "bidirectional""#] {
            let result = load_with_spec(&of_cell, &rnn_spec(op, rest));
            refused(result, &["_l0' is missing", "node 'rnn'", "rnn.weight_ih"]);
        }
    }
    // Where a file has both, neither is passed over.
    let both = rnn_file("both.safetensors", 4, &["_l0", ""]);
    let unused = ["rnn.bias_hh, rnn.bias_ih, rnn.weight_hh, rnn.weight_ih"];
    refused(load_with_spec(&both, &rnn_spec("lstm", "")), &unused);
}

/// A file of more than the spec says is not loaded in part.
#[test]
fn layers_and_directions_that_the_spec_leaves_out_are_named() {
    let three = rnn_file("three.safetensors", 4, &["_l0", "_l1", "_l2"]);
    let all = load_with_spec(&three, &rnn_spec("lstm", r#", "layers": 3"#)).unwrap();
    assert_eq!(layers(&all).len(), 3);
    refused(
        load_with_spec(&three, &rnn_spec("lstm", r#", "layers": 2"#)),
        &[
            "three.safetensors",
            "rnn.bias_hh_l2, rnn.bias_ih_l2, rnn.weight_hh_l2, rnn.weight_ih_l2",
        ],
    );
    let left = ["rnn.bias_hh_l1, rnn.bias_hh_l2", "rnn.weight_ih_l1", "rnn.weight_ih_l2"];
    refused(load_with_spec(&three, &rnn_spec("lstm", "")), &left);
    refused(
        load_with_spec(&three, &rnn_spec("lstm", r#", "layers": 4"#)),
        &["_l3' is missing", "node 'rnn'", "rnn.weight_ih_l2"],
    );
    let path = fixture("torch-bilstm-3-layers", "model.safetensors");
    let spec = std::fs::read_to_string(path.with_file_name("spec.json")).unwrap();
    let forward = spec.replace(r#""direction": "bidirectional""#, r#""direction": "forward""#);
    assert_ne!(spec, forward);
    let error = load_with_spec(&path, &Spec::from_json(&forward).unwrap());
    // The second layer's input would be one direction, and its weights are for two.
    refused(error, &["rnn"]);
}

#[test]
fn a_file_of_weights_only_asks_for_a_spec() {
    let error = ritornello::load(fixture("torch-rnn-h0", "model.safetensors")).unwrap_err();
    assert!(error.to_string().contains("--spec"), "{error}");
}
