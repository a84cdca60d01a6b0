//! Models of audio plugins: what is read, what is refused by name, and that a stream of blocks is the
//! whole.

#![cfg(all(feature = "audio", feature = "safetensors", feature = "npz"))]

mod load_fixtures;

use std::path::{Path, PathBuf};

use load_fixtures::{assert_round_trip, fixture};
use ritornello::load::{self, ModelFile, Spec};
use ritornello::model::{Cell, Model, Op};
use ritornello::{Isa, PlanOptions};
use serde_json::{Value, json};

/// The folder of real models, if there is one.
fn models() -> Option<PathBuf> {
    let folder = std::env::var_os("RITORNELLO_MODELS");
    if folder.is_none() {
        eprintln!("RITORNELLO_MODELS is not set: no real model is looked at");
    }
    folder.map(|folder| PathBuf::from(folder).join("rtneural"))
}

/// One number on a line.
fn numbers(path: &Path) -> Vec<f32> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.trim().parse().unwrap()).collect()
}

/// Six models of RTNeural with its own goldens, of which those that PyTorch made have no architecture.
#[test]
fn real_models_of_rtneural_give_their_goldens_and_blocks_give_the_whole() {
    let Some(folder) = models() else { return };
    for name in ["lstm", "lstm_1d", "lstm_torch", "gru", "gru_1d", "gru_torch"] {
        let model = load::load(folder.join(format!("{name}.json"))).unwrap();
        let x = numbers(&folder.join(format!("{name}_x.csv")));
        let expected = numbers(&folder.join(format!("{name}_y.csv")));
        // The pass line of all goldens: 5e-7 × max(1, max|y|).
        let line = expected.iter().fold(1.0_f32, |most, y| most.max(y.abs())) * 5e-7;
        for isa in Isa::available() {
            let plan = model.plan(PlanOptions::default().isa(isa)).unwrap();
            let mut session = plan.session(1, 64).unwrap();
            let whole = session.run(&x).unwrap();
            assert_eq!(whole.len(), expected.len(), "{name}");
            for (at, (found, expected)) in whole.iter().zip(&expected).enumerate() {
                let distance = (found - expected).abs();
                assert!(distance <= line, "{name} on {isa}: sample {at} is off by {distance:e}");
            }
            for block in [1, 7, 32] {
                session.reset();
                let blocks = x.chunks(block).map(|x| session.run(x).unwrap());
                let blocks: Vec<f32> = blocks.flatten().collect();
                assert!(blocks == whole, "{name} on {isa} in blocks of {block}");
            }
        }
        assert_round_trip(&model, &format!("rtneural-{name}"));
    }
}

fn text(name: &str, file: &str) -> String {
    std::fs::read_to_string(fixture(name, file)).unwrap()
}

fn open(text: &str) -> Result<ModelFile, String> {
    load::open_bytes(text.as_bytes()).map_err(|error| error.to_string())
}

/// A fixture's file with one thing changed.
fn changed(name: &str, file: &str, change: impl FnOnce(&mut Value)) -> Result<ModelFile, String> {
    let mut value: Value = serde_json::from_str(&text(name, file)).unwrap();
    change(&mut value);
    open(&value.to_string())
}

#[track_caller]
fn refused(result: Result<ModelFile, String>, words: &[&str]) {
    let Err(error) = result else { panic!("accepted, where the error should say {words:?}") };
    for word in words {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
}

#[test]
fn every_audio_fixture_round_trips_through_our_own_format() {
    for (name, file) in [
        ("audio-rtneural", "model.json"),
        ("audio-aida", "model.json"),
        ("audio-guitarml", "model.json"),
        ("audio-nam", "model.nam"),
    ] {
        let model = load::load(fixture(name, file)).unwrap();
        assert!(model == load::from_bytes(text(name, file).as_bytes()).unwrap());
        assert_round_trip(&model, name);
    }
}

#[test]
fn what_a_file_says_of_itself_is_kept() {
    let nam = open(&text("audio-nam", "model.nam")).unwrap();
    let about = |key: &str| nam.about.iter().find(|(known, _)| known == key).map(|(_, v)| v);
    assert_eq!(about("sample_rate").unwrap(), "48000");
    assert_eq!(about("version").unwrap(), "0.5.4");
    assert_eq!(about("date").unwrap(), "{\"year\":2026}");
    let aida = open(&text("audio-aida", "model.json")).unwrap();
    assert!(aida.about.contains(&("samplerate".into(), "48000".into())));
    // The same at the top, where some files have it, beside that in the metadata.
    let both = changed("audio-aida", "model.json", |file| file["samplerate"] = json!(44100));
    let both = both.unwrap().about;
    assert_eq!(both[0], ("samplerate".into(), "44100".into()));
    assert!(both.contains(&("metadata.samplerate".into(), "48000".into())), "{both:?}");
    let test = aida.self_test.unwrap();
    assert_eq!(test.inputs[0].1.shape(), [1, 16, 1]);
    assert_eq!(test.outputs[0].0, "y");
}

/// The learned states of a `.nam` file are where a stream starts and what a reset goes back to.
#[test]
fn nam_starts_from_its_states() {
    let model = open(&text("audio-nam", "model.nam")).unwrap().model;
    let weights: Value = serde_json::from_str(&text("audio-nam", "model.nam")).unwrap();
    // Layer 0: 16 rows of 1 + 4 columns, 16 biases, then h and c.
    let number = |at: usize| weights["weights"][at].as_f64().unwrap();
    let mut session = model.plan(PlanOptions::default()).unwrap().session(1, 8).unwrap();
    for _ in 0..2 {
        let state = session.state().unwrap();
        for (name, start) in [("lstm_0.h", 96), ("lstm_0.c", 100)] {
            let values = state.get(name).unwrap().as_f32().unwrap();
            for (unit, &value) in values.iter().enumerate() {
                assert_eq!(f64::from(value), number(start + unit), "{name}[{unit}]");
            }
        }
        session.run(&[0.5; 8]).unwrap();
        session.reset();
    }
}

#[test]
fn prelu_has_a_slope_for_each_feature_or_one() {
    let layer = |alpha: Value, size: usize| {
        json!({"in_shape": [null, null, size], "layers": [
            {"type": "prelu", "shape": [null, null, size], "weights": [alpha]}]})
        .to_string()
    };
    let run = |text: &str, x: &[f32]| {
        let model = open(text).unwrap().model;
        model.plan(PlanOptions::default()).unwrap().session(1, 4).unwrap().run(x).unwrap()
    };
    let x = [-2.0, 3.0, 4.0, -5.0];
    assert_eq!(run(&layer(json!([[0.5, -0.25]]), 2), &x), [-1.0, 3.0, 4.0, 1.25]);
    assert_eq!(run(&layer(json!([[0.5]]), 2), &x), [-1.0, 3.0, 4.0, -2.5]);
    refused(open(&layer(json!([[0.5, 0.5, 0.5]]), 2)), &["layers[0].weights", "alpha", "[1, 3]"]);
}

#[test]
fn rtneural_refuses_by_name() {
    let change = |change: &dyn Fn(&mut Value)| changed("audio-rtneural", "model.json", change);
    let layer = |index: usize, key: &'static str, value: Value| {
        change(&move |file: &mut Value| file["layers"][index][key] = value.clone())
    };
    refused(layer(4, "type", json!("conv1d")), &["conv1d", "layers[4].type", "convolutions"]);
    refused(layer(4, "type", json!("unknown")), &["unknown", "layers[4]", "lstm"]);
    refused(layer(4, "activation", json!("relu")), &["layers[4].activation", "relu", "tanh"]);
    refused(layer(5, "activation", json!("gelu")), &["layers[5].activation", "gelu", "elu"]);
    refused(layer(5, "activation", json!(3)), &["layers[5].activation", "3", "a text"]);
    refused(layer(5, "groups", json!(2)), &["layers[5].groups", "not known"]);
    refused(layer(3, "epsilon", json!(-1.0)), &["layers[3].epsilon", "not negative"]);
    refused(layer(1, "shape", json!([null, null, 6])), &["layers[1].weights", "3×hidden=18"]);
    refused(layer(3, "shape", json!([null, null, 6])), &["layers[3].shape", "6", "5"]);
    refused(layer(0, "shape", json!([])), &["layers[0].shape", "empty"]);
    refused(layer(0, "shape", json!([1, 2, 3, 4])), &["layers[0].shape", "four axes"]);
    refused(layer(0, "weights", json!([])), &["layers[0].weights", "0 arrays", "kernel"]);
    refused(layer(6, "weights", json!([[1.0]])), &["layers[6].weights", "1 arrays", "none"]);
    refused(
        layer(0, "weights", json!([[[1.0, 2.0], [3.0]]])),
        &["layers[0].weights[0]", "list of 2"],
    );
    refused(layer(0, "weights", json!([[["a"]]])), &["layers[0].weights[0]", "float32"]);
    refused(layer(0, "weights", json!([[[1e39]]])), &["1e+39", "float32"]);
    // A GRU with one row of biases resets before the product, which RTNeural does not.
    let one_row = change(&|file: &mut Value| {
        let row = file["layers"][1]["weights"][2][0].clone();
        file["layers"][1]["weights"][2] = row;
    });
    refused(one_row, &["layers[1].weights", "bias", "[15]"]);
    refused(change(&|file| file["layers"] = json!([])), &["layers", "there are none"]);
    refused(change(&|file| file["in_shape"] = json!([null, null, 3])), &["layers[0]", "input=3"]);
    refused(change(&|file| file["extra"] = json!(1)), &["RTNeural", "extra", "not known"]);
}

#[test]
fn aida_refuses_by_name() {
    let set = |key: &'static str, value: Value| {
        changed("audio-aida", "model.json", move |file| file[key] = value)
    };
    refused(set("in_skip", json!(2)), &["in_skip", "2", "0 or 1"]);
    refused(set("in_skip", json!(true)), &["in_skip", "true", "0 or 1"]);
    refused(set("in_gain", json!("3")), &["in_gain", "a number"]);
    refused(set("out_gain", json!(1e6)), &["out_gain", "float32"]);
    refused(set("output_batch", json!([1.0])), &["output_batch", "1 steps", "16"]);
    refused(set("output_batch", json!([[1.0, 2.0]])), &["output_batch", "[1, 2]", "features=1"]);
    refused(set("output_batch", Value::Null), &["output_batch", "missing"]);
    refused(set("metadata", json!(3)), &["metadata", "an object"]);
    refused(set("input_size", json!(1)), &["input_size", "not known"]);
    let silent = set("in_gain", json!(-90.0)).unwrap().model;
    let mut session = silent.plan(PlanOptions::default()).unwrap().session(1, 2).unwrap();
    assert_eq!(session.run(&[0.5]).unwrap(), {
        session.reset();
        session.run(&[0.0]).unwrap()
    });
}

#[test]
fn nam_refuses_by_name() {
    let set = |key: &'static str, value: Value| {
        changed("audio-nam", "model.nam", move |file| file[key] = value)
    };
    let config = |key: &'static str, value: Value| {
        changed("audio-nam", "model.nam", move |file| file["config"][key] = value)
    };
    for other in ["WaveNet", "ConvNet", "Linear", "SlimmableContainer"] {
        refused(set("architecture", json!(other)), &["architecture", other, "only LSTM"]);
    }
    refused(set("version", json!("0.8.0")), &["version", "0.8.0", "0.5 to 0.7"]);
    refused(set("version", json!("1.0.0")), &["version", "1.0.0"]);
    refused(set("version", json!("new")), &["version", "new", "0.5.4"]);
    refused(set("weights", json!([1.0])), &["weights", "1 numbers", "expected 261"]);
    refused(set("weights", json!([[1.0]])), &["weights", "[1, 1]", "one list"]);
    refused(set("extra", json!(1)), &["extra", "not known"]);
    refused(set("sample_rate", json!("high")), &["sample_rate", "a number"]);
    refused(config("hidden_size", json!(5)), &["weights", "261 numbers", "5 units"]);
    refused(config("hidden_size", json!(1_u64 << 63)), &["weights", "more than memory holds"]);
    refused(config("hidden_size", json!(-1)), &["config.hidden_size", "-1", "a count"]);
    refused(config("num_layers", json!(0)), &["config.num_layers", "at least 1"]);
    refused(config("in_channels", json!(2)), &["config.in_channels", "2", "1 inputs"]);
    refused(config("skip", json!(1)), &["config.skip", "not known"]);
}

#[test]
fn guitarml_refuses_by_name() {
    let set = |key: &'static str, value: Value| {
        changed("audio-guitarml", "model.json", move |file| file["model_data"][key] = value)
    };
    refused(set("model", json!("ConvNet")), &["model_data.model", "ConvNet", "SimpleRNN"]);
    refused(set("unit_type", json!("Conv")), &["model_data.unit_type", "Conv", "LSTM"]);
    refused(set("unit_type", json!("GRU")), &["rec", "3×hidden"]);
    refused(set("skip", json!(2)), &["model_data.skip", "2"]);
    refused(set("output_size", json!(2)), &["model_data.skip", "only output"]);
    refused(set("input_size", json!(3)), &["rec", "3"]);
    refused(set("num_layers", json!(2)), &["rec.", "_l1"]);
    refused(set("bias_fl", json!(false)), &["lin.bias"]);
    refused(set("gain", json!(1)), &["model_data.gain", "not known"]);
    let extra = changed("audio-guitarml", "model.json", |file| {
        file["state_dict"]["rec.extra"] = json!([1.0]);
    });
    refused(extra, &["rec.extra"]);
}

/// Tensors of an LSTM of three units and a linear layer, in one order or the other.
fn state_dict(head_first: bool, inputs: usize, outputs: usize, columns: usize) -> Value {
    let matrix = |rows: usize, columns: usize| json!(vec![vec![0.25; columns]; rows]);
    let zeros = |count: usize| json!(vec![0.0; count]);
    let head = [("head.weight", matrix(outputs, columns)), ("head.bias", zeros(outputs))];
    let rec = [
        ("rec.weight_ih_l0", matrix(12, inputs)),
        ("rec.weight_hh_l0", matrix(12, 3)),
        ("rec.bias_ih_l0", zeros(12)),
        ("rec.bias_hh_l0", zeros(12)),
    ];
    let (head, rec) = (head.into_iter(), rec.into_iter());
    let mut all: Vec<_> = rec.chain(head).collect();
    if head_first {
        all.rotate_right(2);
    }
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[test]
fn a_state_dict_is_read_where_it_leaves_one_chain() {
    let ops = |text: &str| -> Vec<&'static str> {
        open(text).unwrap().model.nodes().iter().map(|node| node.op.name()).collect()
    };
    // One order fits; the other way round, what was written first comes first.
    assert_eq!(ops(&state_dict(true, 1, 2, 3).to_string()), ["lstm", "dense"]);
    assert_eq!(ops(&state_dict(false, 1, 1, 3).to_string()), ["lstm", "dense"]);
    assert_eq!(ops(&state_dict(true, 1, 1, 3).to_string()), ["dense", "lstm"]);
    let model = open(&state_dict(false, 1, 1, 3).to_string()).unwrap().model;
    assert!(matches!(&model.nodes()[0].op, Op::Recurrent(layer) if layer.cell() == Cell::LSTM));
    assert_eq!((&*model.inputs()[0].name, &*model.outputs()[0].name), ("x", "y"));

    refused(open(&state_dict(false, 1, 2, 2).to_string()), &["no order", "--spec"]);
    let mut twice = state_dict(true, 1, 2, 3);
    for (part, rows) in [("weight_ih_l0", 12), ("weight_hh_l0", 12)] {
        twice[format!("more.{part}")] = json!(vec![vec![0.5; 3]; rows]);
        twice[format!("most.{part}")] = json!(vec![vec![0.5; 3]; rows]);
    }
    refused(open(&twice.to_string()), &["order of nodes", "more", "most", "--spec"]);
    let mut left = state_dict(false, 1, 1, 3);
    left["gain"] = json!([1.0]);
    refused(open(&left.to_string()), &["in no node", "gain"]);
    let rnn = json!({"weight_ih_l0": [[1.0]], "weight_hh_l0": [[1.0]]});
    refused(open(&rnn.to_string()), &["RNN", "tanh or relu"]);
    refused(open(&json!({"conv.weight": [[[1.0]]]}).to_string()), &["conv.weight", "spec"]);

    // With a spec, the same file.
    let spec = Spec::from_json(
        &json!({"ritornello": 1, "inputs": [{"name": "x", "axes": ["batch", "time", 1]}],
        "nodes": [{"name": "rec", "op": "rnn", "inputs": ["x"], "activation": "relu", "bias": false,
                   "weights": {"convention": "pytorch"}}], "outputs": ["rec"]})
        .to_string(),
    )
    .unwrap();
    let path = load_fixtures::scratch("state-dict.json");
    std::fs::write(&path, rnn.to_string()).unwrap();
    let model: Model = load::load_with_spec(&path, &spec).unwrap();
    assert_eq!(model.parameters(), 2);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn unknown_json_is_refused_with_what_is_known() {
    refused(
        open("{\"a\": 1, \"b\": 2}"),
        &["a, b", "RTNeural", "AIDA-X", "GuitarML", "Neural Amp"],
    );
    refused(open("{}"), &["keys none"]);
    refused(open("{\"ritornello\": 1}"), &["a spec by itself", "--spec"]);
    refused(open(" {\"a\": "), &["JSON", "EOF"]);
    refused(open("{\"layers\": [],\n \"layers\": []}"), &["'layers' is there twice", "line 2"]);
    refused(open("{\"in_shape\": [1], \"layers\": 3}"), &["layers", "a list", "3"]);
    let path = load_fixtures::scratch("no-object.json");
    std::fs::write(&path, "[1, 2]").unwrap();
    let error = load::load(&path).unwrap_err().to_string();
    assert!(error.contains("no-object.json") && error.contains("a list of 2"), "{error}");
    std::fs::remove_file(path).unwrap();
    // A mark of Windows' editors in front.
    let marked = format!("\u{feff}{}", text("audio-guitarml", "model.json"));
    assert!(open(&marked).is_ok());
}
