//! What a spec may not say of its weights, what no spec can say, and what arrays of other frameworks,
//! drafts and models of audio plugins refuse: each message names the place, what is there and what
//! should be.

#![cfg(all(feature = "safetensors", feature = "keras", feature = "audio", feature = "npz"))]

mod load_fixtures;
mod models;
mod refusal;

use load_fixtures::{fixture, scratch};
use refusal::{lstm, refused, zeros};
use ritornello::load::{self, Spec, draft_spec, keras, load_with_spec, npz, pytorch};
use ritornello::model::{
    Cell, Direction, Element, Merge, Model, Op, OutputOrder, Recurrent, Shape,
};
use ritornello::{Array, Error};
use serde_json::{Value, json};

#[test]
fn arrays_of_other_frameworks_that_are_too_many_or_too_few() {
    let three = || vec![zeros(&[2, 3]); 3];
    let linear = ["arrays for linear is 3", "expected 2 (weight, bias), or 1 without bias"];
    refused(pytorch::linear(&three()), &linear);
    refused(pytorch::linear(&[]), &["arrays for linear is 0"]);
    refused(keras::embedding(&three()), &["arrays for embedding is 3 [2, 3]", "1 (embeddings)"]);
    refused(
        pytorch::recurrent(Cell::SIMPLE_RNN, Direction::Bidirectional, &vec![zeros(&[2, 2]); 6]),
        &["arrays for rnn is 6", "expected 8 (weight_ih, weight_hh, bias_ih, bias_hh", "or 4"],
    );
    let indices = Array::from_indices(&[2, 3], vec![0; 6]).unwrap();
    refused(pytorch::linear(&[indices]), &["weight is indices, expected real numbers"]);
}

/// A file of these arrays, and a spec of one node of them.
fn one_node(
    op: &str,
    convention: &str,
    rest: &str,
    arrays: &[(&str, &[usize])],
) -> Result<Model, Error> {
    let path = scratch(&format!("node-{op}-{convention}.npz"));
    let arrays: Vec<(String, Array)> =
        arrays.iter().map(|(name, shape)| (format!("p.{name}"), zeros(shape))).collect();
    npz::write(&path, &arrays).unwrap();
    let spec = format!(
        r#"{{"ritornello": 1, "inputs": [{{"name": "x", "axes": ["batch", "time", 3]}}],
            "nodes": [{{"name": "n", "op": "{op}", "inputs": ["x"]{rest},
                        "weights": {{"convention": "{convention}", "prefix": "p."}}}}],
            "outputs": ["n"]}}"#
    );
    load_with_spec(&path, &Spec::from_json(&spec)?)
}

#[test]
fn nodes_that_say_other_than_their_weights() {
    let lstm: [(&str, &[usize]); 5] = [
        ("weight_ih_l0", &[8, 3]),
        ("weight_hh_l0", &[8, 1]),
        ("bias_ih_l0", &[8]),
        ("bias_hh_l0", &[8]),
        ("weight_hr_l0", &[1, 2]),
    ];
    one_node("lstm", "pytorch", r#", "proj_size": 1"#, &lstm).unwrap();
    for (rest, words) in [
        (
            r#", "proj_size": 3"#,
            &["n: proj_size is 1 in the weights", "expected 3 as the spec says"][..],
        ),
        (r#", "proj_size": 1, "layers": 2"#, &["_l1' is missing", "node 'n'"]),
        (r#", "proj_size": 1, "bias": false"#, &["p.bias_hh_l0, p.bias_ih_l0"]),
    ] {
        refused(one_node("lstm", "pytorch", rest, &lstm), words);
    }
    let own: [(&str, &[usize]); 3] =
        [("input_weights", &[2, 3]), ("recurrent_weights", &[2, 2]), ("bias", &[2])];
    one_node("rnn", "ritornello", "", &own).unwrap();
    refused(
        one_node("rnn", "ritornello", r#", "bias": false"#, &own),
        &["node 'n'", "\"bias\" is false, but there is 'p.bias'"],
    );
    refused(
        one_node("rnn", "ritornello", r#", "hidden_size": 3"#, &own),
        &["n", "p.recurrent_weights", "hidden=3", "[2, 2]"],
    );
    let identity: [(&str, &[usize]); 2] = [("weight", &[2, 3]), ("bias", &[2])];
    let linear = |rest: &str| {
        one_node("rnn", "linear", &format!(r#", "recurrent": "identity"{rest}"#), &identity)
    };
    linear("").unwrap();
    refused(
        linear(r#", "hidden_size": 5"#),
        &["n", "hidden_size is 2 in the weights, expected 5 as the spec says"],
    );
    let scale: [(&str, &[usize]); 2] = [("scale", &[3]), ("shift", &[3])];
    one_node("scale_shift", "ritornello", "", &scale).unwrap();
    refused(
        one_node("scale_shift", "ritornello", r#", "eps": 0.5"#, &scale),
        &["node 'n'", "eps belongs to batch normalisation"],
    );
    refused(
        one_node("scale_shift", "linear", "", &scale),
        &["node 'n'", "'linear' has no scale and shift"],
    );
}

fn spec(inputs: &Value, nodes: &Value, outputs: &Value) -> Result<Spec, Error> {
    let spec = json!({"ritornello": 1, "inputs": inputs, "nodes": nodes, "outputs": outputs});
    Spec::from_json(&spec.to_string())
}

#[test]
fn specs_that_are_not_whole() {
    let x = json!([{"name": "x", "axes": ["batch", "time", 3]}]);
    let node = |node: Value| spec(&x, &json!([node]), &json!(["n"]));
    for (result, words) in [
        (Spec::from_json("[]"), &["the top", "it is a list, expected an object"][..]),
        (Spec::from_json("{}"), &["ritornello", "it is missing"]),
        (spec(&json!({}), &json!([]), &json!([])), &["inputs", "it is an object, expected a list"]),
        (
            spec(&x, &json!([]), &json!([3])),
            &["outputs[0]", "it is 3, expected the name of a value"],
        ),
        (spec(&x, &json!([]), &json!([{"name": "y"}])), &["outputs[0].value", "it is missing"]),
        (node(json!({"op": "add", "inputs": ["x"]})), &["nodes[0].name", "it is missing"]),
        (
            node(json!({"name": "n", "op": "select", "inputs": ["x"], "features": [1]})),
            &["nodes[0].features", "it is a list, expected two counts [start, end]"],
        ),
        (
            node(json!({"name": "n", "op": "select", "inputs": ["x"], "step": 0.5})),
            &["nodes[0].step", "it is 0.5, expected a whole number"],
        ),
        (
            node(json!({"name": "n", "op": "scale_shift", "inputs": ["x"], "eps": -1,
                "weights": {"convention": "keras"}})),
            &["nodes[0].eps", "it is -1, expected a number that is not negative"],
        ),
        (
            node(json!({"name": "n", "op": "lstm", "inputs": ["x"], "layers": 2,
                "direction": "bidirectional", "merge": "none", "weights": {"convention": "keras"}})),
            &["nodes[0].merge", "with 'none' there is one layer", "write the others as nodes"],
        ),
        (
            node(json!({"name": "n", "op": "lstm", "inputs": ["x"], "order": "processing",
                "weights": {"convention": "keras"}})),
            &["nodes[0].order", "only a layer of direction 'reverse'"],
        ),
        (
            spec(&json!([{"name": "x", "axes": ["time", "time", 3]}]), &json!([]), &json!(["x"])),
            &["inputs[0].axes", "these axes are none of: a sequence"],
        ),
        (
            spec(&json!([{"name": "x", "axes": ["batch", "time=x", 3]}]), &json!([]), &json!([])),
            &["inputs[0].axes", "'time=x' is no axis", "time=STEPS"],
        ),
    ] {
        refused(result, words);
    }
    let path = scratch("nothing.npz");
    npz::write(&path, &[]).unwrap();
    let build = |nodes: Value, output: &str| {
        load_with_spec(&path, &spec(&x, &nodes, &json!([output])).unwrap())
    };
    refused(
        build(json!([{"name": "d", "op": "dropout", "inputs": ["x", "x"]}]), "d"),
        &["d", "the inputs of dropout is 2, expected one value"],
    );
    refused(build(json!([]), "y"), &["no value named 'y'", "there are: x"]);
    // Of many names the first are shown, and how many more there are.
    let arrays: Vec<(String, Array)> =
        (0..50).map(|index| (format!("w{index:02}"), zeros(&[1]))).collect();
    npz::write(&path, &arrays).unwrap();
    refused(build(json!([]), "x"), &["no layer uses: w00, w01", "w39, and 10 more"]);
}

#[test]
fn variables_of_keras_that_are_too_many_or_too_few() {
    let load = |nodes: &Value, output: &str| {
        let x = json!([{"name": "x", "axes": ["batch", "time", 3]}]);
        let spec = spec(&x, nodes, &json!([output])).unwrap();
        load_with_spec(fixture("keras-2-cudnn", "model.h5"), &spec)
    };
    let node = |op: &str, layer: &str| {
        json!([{"name": "n", "op": op, "inputs": ["x"],
                "weights": {"convention": "keras", "prefix": format!("{layer}/")}}])
    };
    refused(
        load(&node("scale_shift", "lstm"), "n"),
        &["node 'n'", "the variables of 'lstm/' is 3 (", "2 or 4, or names that tell gamma"],
    );
    let mut odd = node("lstm", "lstm");
    odd[0]["direction"] = "bidirectional".into();
    refused(
        load(&odd, "n"),
        &["node 'n'", "the variables of 'lstm/' is 3 (", "expected as many each way"],
    );
    refused(
        load(&node("dense", "lstm"), "n"),
        &["node 'n'", "the variables of 'lstm/' is 3 (", "expected 2"],
    );
}

/// Our own format says what it cannot say.
#[test]
fn models_that_no_spec_can_say() {
    let mut graph = Model::graph();
    let x = graph.input("x", Shape::Vector { features: 3 }, Element::Index);
    let table = keras::embedding(&[zeros(&[5, 2])]).unwrap();
    let rows = graph.node("rows", Op::Embedding(table), &[x]);
    graph.output("y", rows);
    refused(
        Spec::from_model(&graph.build().unwrap()),
        &["input 'x'", "indices of shape", "no words here"],
    );
    for (change, words) in [
        (
            (|layer| layer.merge = Merge::Sum) as fn(&mut Recurrent),
            &["lstm_0", "a layer of one direction has nothing to merge", "at Concat"][..],
        ),
        (
            |layer| layer.order = OutputOrder::Processing,
            &["lstm_0", "only a reverse layer has an order to choose", "at Time"],
        ),
    ] {
        let mut layer = lstm();
        change(&mut layer);
        let model = Model::chain(3).recurrent(layer).build().unwrap();
        refused(Spec::from_model(&model), words);
    }
    let onnx = load::load(fixture("onnx-node-gru", "model.onnx")).unwrap();
    refused(Spec::from_model(&onnx), &["the model", "axes of their own, as in ONNX"]);
}

/// One of our own files whose header `change` has changed.
fn own(change: impl FnOnce(&mut Value)) -> Result<Model, Error> {
    let bytes = std::fs::read(fixture("own-format-v1", "model.safetensors")).unwrap();
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
    let (header, values) = rest.split_at(length);
    let mut header = serde_json::from_slice(header).unwrap();
    change(&mut header);
    let header = header.to_string();
    let length = u64::try_from(header.len()).unwrap().to_le_bytes();
    load::from_bytes(&[&length[..], header.as_bytes(), values].concat())
}

/// The tensors of a header whose names begin so.
fn named(header: &Value, begin: &str) -> Vec<String> {
    header.as_object().unwrap().keys().filter(|key| key.starts_with(begin)).cloned().collect()
}

#[test]
fn self_tests_of_other_types() {
    own(|_| ()).unwrap();
    let typed = own(|header| {
        let name = &named(header, "@output.")[0];
        assert_eq!(header[name]["dtype"], "F32");
        header[name]["dtype"] = "U32".into();
    });
    refused(typed, &["tensor '@output.", "of type U32", "a self-test has float32, and int32"]);
    // Inputs and nothing to hold an answer against.
    let alone = own(|header| {
        for output in named(header, "@output.") {
            let tensor = header.as_object_mut().unwrap().remove(&output).unwrap();
            header[format!("@input.more.{output}")] = tensor;
        }
    });
    refused(alone, &["self-test", "inputs (@input.NAME) and no outputs (@output.NAME)"]);
}

#[test]
fn drafts_of_what_is_no_layer() {
    let path = scratch("draft.npz");
    let arrays = [("a", zeros(&[2, 2, 2])), ("b", zeros(&[3]))];
    let arrays: Vec<_> = arrays.map(|(name, array)| (name.to_owned(), array)).into();
    npz::write(&path, &arrays).unwrap();
    let words =
        ["a draft for tensors without a layer that is known: a, b", "write the spec by hand"];
    refused(draft_spec(&path), &words);
    npz::write(&path, &[]).unwrap();
    refused(draft_spec(&path), &["without a layer that is known: none"]);
}

/// A file of a fixture with one thing changed.
fn changed(name: &str, file: &str, change: impl FnOnce(&mut Value)) -> Result<Model, Error> {
    let text = std::fs::read_to_string(fixture(name, file)).unwrap();
    let mut value = serde_json::from_str(&text).unwrap();
    change(&mut value);
    load::from_bytes(value.to_string().as_bytes())
}

#[test]
fn audio_models_that_contradict_themselves() {
    let aida = |change: &dyn Fn(&mut Value)| changed("audio-aida", "model.json", change);
    refused(
        aida(&|file| file["in_gain"] = json!(1e6)),
        &["in_gain:", "1000000 dB, more than float32 holds"],
    );
    refused(
        aida(&|file| {
            file.as_object_mut().unwrap().remove("output_batch");
        }),
        &["output_batch:", "missing beside input_batch"],
    );
    refused(
        aida(&|file| {
            file.as_object_mut().unwrap().remove("input_batch");
        }),
        &["input_batch:", "missing beside output_batch"],
    );
    refused(
        aida(&|file| file["output_batch"] = json!([0.5])),
        &["output_batch", "it has 1 steps, and input_batch 16"],
    );
    let wide = json!({"in_shape": [null, null, 1], "in_skip": 1, "layers": [{"type": "dense",
        "shape": [null, null, 2], "activation": "", "weights": [[[1.0, 2.0]], [0.0, 0.0]]}]});
    refused(
        load::from_bytes(wide.to_string().as_bytes()),
        &["AIDA-X: 'in_skip' of a model with 2 outputs", "added to a single output"],
    );
    let rtneural = |layer: usize, key: &'static str, value: Value| {
        changed("audio-rtneural", "model.json", move |file| file["layers"][layer][key] = value)
    };
    refused(
        rtneural(6, "shape", json!([null, null, 9])),
        &["layers[6].shape", "its last axis is 9, but"],
    );
    refused(
        rtneural(4, "activation", json!("relu")),
        &["layers[4].activation", "train it with tanh", "RTNeural runs with tanh"],
    );
    refused(
        rtneural(0, "weights", json!([[[1.0]], [1.0], [1.0]])),
        &["layers[0].weights", "there are 3 arrays, expected 2 (kernel, bias), or 1"],
    );
    let nam = |change: &dyn Fn(&mut Value)| changed("audio-nam", "model.nam", change);
    refused(
        nam(&|file| file["version"] = json!("0.5")),
        &["NAM: version", "it is '0.5', expected like 0.5.4"],
    );
    refused(
        nam(&|file| file["config"]["in_channels"] = json!(3)),
        &["'config.in_channels'", "3 beside 1 inputs", "every input must be a channel"],
    );
    refused(
        nam(&|file| {
            file.as_object_mut().unwrap().remove("weights");
        }),
        &["NAM: weights", "it is missing"],
    );
    refused(
        changed("audio-guitarml", "model.json", |file| {
            file["model_data"]["output_size"] = json!(2);
            file["model_data"]["skip"] = json!(0);
        }),
        &["model_data.output_size", "it is 2, but lin.weight gives 1"],
    );
    let long = "x".repeat(200);
    refused(
        changed("audio-nam", "model.nam", |file| file["sample_rate"] = json!(long)),
        &["sample_rate", "it is a long text, expected a number"],
    );
    let keys = br#"{"a": 1}"#;
    refused(load::from_bytes(keys), &["JSON with the keys a", "RTNeural"]);
}
