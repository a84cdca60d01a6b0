//! Specifications: what they say, and what they refuse.

#![cfg(all(feature = "safetensors", feature = "npz"))]

mod load_fixtures;

use load_fixtures::{assert_round_trip, scratch};
use ritornello::Array;
use ritornello::load::{Spec, load_with_spec, npz};
use ritornello::model::{Extent, MaskRule, Model, Op, Select, Shape};

const WHOLE: &str = r#"{"ritornello": 1,
  "inputs": [{"name": "x", "axes": ["batch", "time", 3]}],
  "nodes": [{"name": "rnn", "op": "lstm", "inputs": ["x"], "hidden_size": 2,
             "weights": {"convention": "keras", "prefix": "lstm."}}],
  "outputs": ["rnn.last"]}"#;

/// A file of arrays for an LSTM of 3 inputs and 2 units, one direction or two.
fn arrays(name: &str) -> std::path::PathBuf {
    let mut all = Vec::new();
    for side in ["", "forward.", "backward."] {
        for (part, shape) in
            [("kernel", &[3, 8][..]), ("recurrent_kernel", &[2, 8]), ("bias", &[8])]
        {
            let count: usize = shape.iter().product();
            let numbers = (0..count).map(|place| place as f32).collect();
            let array = Array::new(shape, numbers).unwrap();
            if side.is_empty() == (name == "one") {
                all.push((format!("lstm.{side}{part}"), array));
            }
        }
    }
    let path = scratch(&format!("{name}.npz"));
    npz::write(&path, &all).unwrap();
    path
}

fn changed(from: &str, to: &str) -> String {
    let text = WHOLE.replace(from, to);
    assert_ne!(text, WHOLE, "there is no {from}");
    text
}

#[test]
fn what_a_spec_may_not_say_is_refused_with_its_place() {
    for (from, to, parts) in [
        ("hidden_size", "hiden_size", &["nodes[0].hiden_size", "hidden_size"][..]),
        ("\"outputs\"", "\"output\"", &["output", "outputs"]),
        ("\"prefix\"", "\"prefx\"", &["nodes[0].weights.prefx"]),
        ("\"axes\"", "\"axis\"", &["inputs[0].axis"]),
        ("\"lstm\",", "\"lsmt\",", &["nodes[0].op", "lsmt", "gru"]),
        ("keras", "torch", &["nodes[0].weights.convention", "torch", "pytorch"]),
        ("\"ritornello\": 1", "\"ritornello\": 1, \"ritornello\": 1", &["is there twice"]),
        ("\"ritornello\": 1", "\"ritornello\": 2", &["version 2"]),
        ("\"hidden_size\": 2", "\"hidden_size\": -2", &["nodes[0].hidden_size", "-2", "a count"]),
        ("\"hidden_size\": 2", "\"merge\": \"sum\"", &["nodes[0].merge"]),
        ("\"hidden_size\": 2", "\"layers\": 0", &["nodes[0].layers"]),
        ("\"hidden_size\": 2", "\"initial_h\": \"x\"", &["initial_c"]),
        ("\"hidden_size\": 2", "\"mask\": 3", &["nodes[0].mask", "a text"]),
        (
            "\"hidden_size\": 2",
            "\"pad_output\": \"keep\"",
            &["nodes[0].pad_output", "keep", "zero, hold, hold_state"],
        ),
        ("\"hidden_size\": 2", "\"reset\": \"before\"", &["nodes[0].reset"]),
        ("\"hidden_size\": 2", "\"activation\": \"tan\"", &["nodes[0].activation", "tan", "tanh"]),
        ("[\"batch\", \"time\", 3]", "[\"batch\", \"time\"]", &["inputs[0].axes", "int32"]),
        ("[\"batch\", \"time\", 3]", "[\"time\", 3]", &["inputs[0].axes"]),
        ("[\"batch\", \"time\", 3]", "[\"batch\", \"tim\", 3]", &["inputs[0].axes", "'tim'"]),
        (
            "}],\n  \"nodes\"",
            "}, {\"name\": \"y\", \"axes\": [\"time\", \"batch\", 1]}],\n  \"nodes\"",
            &["inputs[1].axes", "other way round"],
        ),
        ("\"rnn.last\"]", "3]", &["outputs[0]"]),
        ("]}", "]", &["JSON"]),
    ] {
        let error = Spec::from_json(&changed(from, to)).expect_err(to).to_string();
        for part in parts {
            assert!(error.contains(part), "{to}: no {part} in: {error}");
        }
    }
}

#[test]
fn a_mask_has_one_rule() {
    let node = |keys: &str| {
        format!(
            r#"{{"ritornello": 1, "inputs": [{{"name": "x", "axes": ["batch", "time", 3]}}],
            "nodes": [{{"name": "m", "op": "mask", "inputs": ["x"]{keys}}}], "outputs": ["m"]}}"#
        )
    };
    assert!(Spec::from_json(&node(r#", "value": -1"#)).is_ok());
    for (keys, parts) in [
        ("", ["nodes[0].mask", "value", "index"]),
        (r#", "value": 1, "index": 1"#, ["nodes[0].mask", "value", "index"]),
        (r#", "value": "x""#, ["nodes[0].value", "x", "a number"]),
        (r#", "value": 1e39"#, ["nodes[0].value", "e+39", "a number"]),
        (r#", "index": 0.5"#, ["nodes[0].index", "0.5", "an index"]),
        (r#", "index": 3000000000"#, ["nodes[0].index", "3000000000", "an index"]),
    ] {
        let error = Spec::from_json(&node(keys)).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{keys}: no {part} in: {error}");
        }
    }
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    let mask = graph.mask("m", MaskRule::AnyDiffers(f32::INFINITY), x);
    graph.output("y", mask);
    let error = Spec::from_model(&graph.build().unwrap()).unwrap_err().to_string();
    assert!(error.contains('m') && error.contains("inf"), "{error}");
}

#[test]
fn what_contradicts_the_weights_is_refused_with_both_numbers() {
    let path = arrays("one");
    assert!(load_with_spec(&path, &Spec::from_json(WHOLE).unwrap()).is_ok());
    for (from, to, parts) in [
        ("\"hidden_size\": 2", "\"hidden_size\": 5", &["rnn", "hidden=5", "[2, 8]"][..]),
        ("\"time\", 3]", "\"time\", 4]", &["rnn", "4]", "3]"]),
        ("\"hidden_size\": 2", "\"bias\": false", &["lstm.bias"]),
        ("\"lstm\",", "\"gru\",", &["rnn", "3×hidden", "[2, 8]"]),
        (
            "\"hidden_size\": 2",
            "\"direction\": \"bidirectional\"",
            &["lstm.forward.", "lstm.kernel"],
        ),
        ("\"hidden_size\": 2", "\"layers\": 2", &["rnn", "2 nodes"]),
        ("\"inputs\": [\"x\"]", "\"inputs\": [\"z\"]", &["'z'", "x"]),
        ("\"rnn.last\"", "\"rnn.first\"", &["rnn.first", "rnn.last"]),
    ] {
        let spec = Spec::from_json(&changed(from, to)).unwrap_or_else(|e| panic!("{to}: {e}"));
        let error = load_with_spec(&path, &spec).expect_err(to).to_string();
        for part in parts {
            assert!(error.contains(part), "{to}: no {part} in: {error}");
        }
    }
}

/// What frameworks have no tensors for is not made of those that they have.
#[test]
fn what_a_convention_has_no_layout_for_is_refused() {
    let path = arrays("one");
    for convention in ["keras", "pytorch"] {
        for (key, said) in [
            ("coupling", "\"forget_from_input\""),
            ("coupling", "\"input_from_forget\""),
            ("peepholes", "true"),
            ("recurrent", "\"diagonal\""),
            ("recurrent", "\"identity\""),
        ] {
            let text = changed("\"hidden_size\": 2", &format!("\"{key}\": {said}"));
            let spec = Spec::from_json(&text.replace("keras", convention)).unwrap();
            let error = load_with_spec(&path, &spec).unwrap_err().to_string();
            let of_key: &[&str] = match said {
                "\"identity\"" => &["\"identity\"", "\"linear\""],
                _ => &["'ritornello'", convention, key],
            };
            for part in of_key.iter().chain(&["node 'rnn'"]) {
                assert!(error.contains(part), "{key} {said}: no {part} in: {error}");
            }
        }
    }
}

#[test]
fn the_merge_none_offers_both_directions() {
    let text =
        changed("\"hidden_size\": 2", "\"direction\": \"bidirectional\", \"merge\": \"none\"")
            .replace(
                "[\"rnn.last\"]",
                "[\"rnn.forward\", {\"name\": \"end\", \"value\": \"rnn.backward.last\"}]",
            );
    let model = load_with_spec(arrays("two"), &Spec::from_json(&text).unwrap()).unwrap();
    let shapes: Vec<Shape> =
        model.outputs().iter().map(|o| model.shape(o.value).unwrap()).collect();
    let time = Extent::Input(0);
    assert_eq!(shapes, [Shape::Sequence { time, features: 2 }, Shape::Vector { features: 2 }]);
    let names: Vec<&str> = model.nodes().iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["rnn", "rnn.forward", "rnn.backward.last"], "only what is used is made");
    let Op::Select(Select::Features { start, end }) = model.nodes()[2].op else { panic!() };
    assert_eq!((start, end), (2, 4));
    assert_round_trip(&model, "none");
}

#[test]
fn initial_states_of_a_stack_are_counted() {
    let fixture = load_fixtures::fixture("torch-lstm-h0-c0", "model.safetensors");
    let text = std::fs::read_to_string(fixture.with_file_name("spec.json")).unwrap();
    let too_many = text.replace("[2, \"batch\", 8]", "[3, \"batch\", 8]");
    assert_ne!(text, too_many);
    let error =
        load_with_spec(&fixture, &Spec::from_json(&too_many).unwrap()).unwrap_err().to_string();
    assert!(error.contains("initial_h") && error.contains("=2") && error.contains("=3"), "{error}");
}

/// Lengths whose products do not fit in memory are refused, not computed with.
#[test]
fn sizes_beyond_all_measure_are_refused() {
    let spec = |axes: &str, nodes: &str, output: &str| {
        let text = format!(
            r#"{{"ritornello": 1, "inputs": [{{"name": "n0", "axes": {axes}}}],
                "nodes": [{nodes}], "outputs": ["{output}"]}}"#
        );
        let path = scratch("empty.npz");
        npz::write(&path, &[]).unwrap();
        load_with_spec(&path, &Spec::from_json(&text).unwrap())
    };
    let doubled: Vec<String> = (1..70)
        .map(|i| {
            format!(r#"{{"name": "n{i}", "op": "concat", "inputs": ["n{0}", "n{0}"]}}"#, i - 1)
        })
        .collect();
    assert!(spec("[\"batch\", 1]", &doubled[..20].join(","), "n20").is_ok());
    assert!(spec("[\"batch\", 1]", &doubled.join(","), "n69").is_err());
    let stacked = doubled.join(",").replace("concat", "stack");
    assert!(spec("[\"batch\", 1]", &stacked, "n69").is_err());
    let step = |step: &str| {
        format!(r#"{{"name": "s", "op": "select", "inputs": ["n0"], "step": {step}}}"#)
    };
    for time in ["9223372036854775808", "18446744073709551615", "0"] {
        let axes = format!("[\"batch\", {time}, 2]");
        for at in ["-9223372036854775808", "9223372036854775807", "0", "-1"] {
            assert!(spec(&axes, &step(at), "s").is_err(), "{time} {at}");
        }
    }
    for (at, fits) in [("4", true), ("-5", true), ("5", false), ("-6", false), ("0", true)] {
        assert_eq!(spec("[\"batch\", 5, 2]", &step(at), "s").is_ok(), fits, "{at}");
    }
    let flat = r#"{"name": "f", "op": "flatten", "inputs": ["n0"]}"#;
    assert!(spec("[\"batch\", 2147483647, 2147483647]", flat, "f").is_err());
}
