//! Files of every Keras: whole models as `.h5`, weights with a spec, and what is refused of them.

#![cfg(all(feature = "keras", feature = "safetensors", feature = "npz"))]

mod load_fixtures;
mod models;
mod refusal;

use std::io::{Cursor, Read, Write};

use load_fixtures::{assert_fits_case, assert_round_trip, fixture, folders_with, scratch};
use refusal::refused;
use ritornello::load::{KerasMask, Spec, from_keras, load_with_spec};
use ritornello::model::{Activation, Cell, Model, Op};
use ritornello::{Error, load};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

fn file(folder: &str) -> std::path::PathBuf {
    fixture(folder, "model.h5")
}

/// A file with some bytes replaced by as many others, wherever they are.
fn changed(folder: &str, from: &str, to: &str) -> std::path::PathBuf {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(file(folder)).unwrap();
    let mut count = 0;
    for at in 0..=bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            count += 1;
        }
    }
    assert!(count > 0, "{folder} has no {from}");
    let path = scratch(&format!("{folder}-{}.h5", to.replace(|c: char| !c.is_alphanumeric(), "")));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn spec(nodes: &str, output: &str) -> Spec {
    let json = format!(
        r#"{{"ritornello": 1, "inputs": [{{"name": "x", "axes": ["batch", "time", 3]}}],
            "nodes": [{nodes}], "outputs": ["{output}"]}}"#
    );
    Spec::from_json(&json).unwrap()
}

/// One node of a spec.
fn node(name: &str, op: &str, input: &str, rest: &str) -> String {
    format!(
        r#"{{"name": "{name}", "op": "{op}", "inputs": ["{input}"],
             "weights": {{"convention": "keras", "prefix": "{name}/"}}{rest}}}"#
    )
}

fn ops(model: &Model) -> Vec<&Op> {
    model.nodes().iter().map(|node| &node.op).collect()
}

#[test]
fn every_whole_model_fits_its_case_and_round_trips() {
    for folder in folders_with("model.h5") {
        let name = folder.file_name().unwrap().to_str().unwrap();
        if folder.join("spec.json").is_file() {
            refused(load(file(name)), &["model.h5", "weights only", "--spec", "model.save("]);
            continue;
        }
        let model = load(file(name)).unwrap_or_else(|e| panic!("{e}"));
        assert_fits_case(&model, &folder.join("case.npz"));
        assert_round_trip(&model, name);
        // A file in memory is known by how it begins.
        let bytes = std::fs::read(file(name)).unwrap();
        assert!(load::from_bytes(&bytes).unwrap() == model, "{name} in memory");
    }
}

/// The length of the bias tells the layout of `CuDNN`, and the number of arrays that of Keras 1.
#[test]
fn a_spec_finds_the_layouts_that_a_configuration_names() {
    let hard = r#", "recurrent_activation": "hard_sigmoid(0.2,0.5)""#;
    let cudnn = [
        node("lstm", "lstm", "x", ""),
        node("both", "lstm", "lstm", r#", "direction": "bidirectional""#),
        node("gru", "gru", "both", ""),
        node("head", "dense", "gru.last", ""),
    ];
    let keras_1 = [
        node("lstm", "lstm", "x", hard),
        node("gpu", "lstm", "lstm", hard),
        node("each", "dense", "gpu", ""),
        node("gru", "gru", "each", &format!(r#"{hard}, "reset": "before""#)),
        node("rnn", "rnn", "gru", ""),
        node("head", "dense", "rnn.last", ""),
    ];
    for (folder, nodes) in [("keras-2-cudnn", &cudnn[..]), ("keras-1-h5", &keras_1[..])] {
        let whole = load(file(folder)).unwrap();
        let by_spec = load_with_spec(file(folder), &spec(&nodes.join(", "), "head")).unwrap();
        assert_eq!(ops(&whole), ops(&by_spec), "{folder}");
    }
    let wrong = cudnn[0].replace("\"weights\"", "\"bias\": false, \"weights\"");
    refused(
        load_with_spec(file("keras-2-cudnn"), &spec(&wrong, "lstm")),
        &["node 'lstm'", "variables of 'lstm/'", "3 (", "lstm/lstm/kernel:0", "\"bias\": false"],
    );
    let both = node("both", "lstm", "x", "");
    refused(
        load_with_spec(file("keras-2-cudnn"), &spec(&both, "both")),
        &["node 'both'", "is 6 (", "expected 3 (kernel, recurrent_kernel, bias)"],
    );
    let before = node("gru", "gru", "x", r#", "reset": "before""#);
    refused(
        load_with_spec(file("keras-2-cudnn"), &spec(&before, "gru")),
        &["gru/gru/bias:0", "[18]", "3×hidden=9"],
    );
}

#[test]
fn hard_sigmoid_is_that_of_its_version() {
    for (folder, name, expected) in [
        ("keras-2-h5", "both", Activation::HARD_SIGMOID_FIFTH),
        ("keras-1-h5", "lstm", Activation::HARD_SIGMOID_FIFTH),
    ] {
        let model = load(file(folder)).unwrap();
        let node = model.nodes().iter().find(|node| node.name == name).unwrap();
        let Op::Recurrent(layer) = &node.op else { panic!("{name}") };
        let Cell::Lstm(lstm) = layer.cell() else { panic!("{name}") };
        assert_eq!(lstm.recurrent_activation, expected, "{folder}");
    }
}

#[test]
fn layers_of_models_inside_have_their_names_before_their_own() {
    let model = load(fixture("nested", "model.keras")).unwrap();
    let names: Vec<&str> = model.nodes().iter().map(|node| node.name.as_str()).collect();
    for name in ["inner/lstm", "inner/deep/in", "pair/gru", "pair.call_1/gru", "end"] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    let outputs: Vec<&str> = model.outputs().iter().map(|output| output.name.as_str()).collect();
    assert_eq!(outputs, ["pair_0", "pair_1", "end"]);
}

#[test]
fn what_is_not_read_of_old_files_is_named() {
    for (folder, from, to, words) in [
        (
            "keras-2-sequential",
            "\"time_major\": false",
            "\"time_major\": true ",
            &["'lstm'", "time_major=true"][..],
        ),
        ("keras-2-cudnn", "\"go_backwards\"", "\"go_sidewards\"", &["'lstm'", "go_sidewards"]),
        (
            "keras-2-h5",
            "\"merge_mode\": \"concat\"",
            "\"merge_mode\": \"concxt\"",
            &["'both'", "concxt", "mul, ave"],
        ),
        (
            "keras-2-cudnn",
            "\"use_bias\": true",
            "\"use_bias\": 1   ",
            &["'head'", "use_bias is 1", "true or false"],
        ),
        // Of this Keras nobody can look what it shows.
        ("keras-2-masking", "2.21.0", "2.2.04", &["'both'", "old Keras with a mask", "tf_keras"]),
    ] {
        refused(load(changed(folder, from, to)), words);
    }
    refused(
        load(changed("keras-2-h5", "hard_sigmoid", "hard_sigmoix")),
        &["'inner'", "hard_sigmoix", "there are:"],
    );
    refused(
        load(changed("keras-2-cudnn", "\"name\": \"gru\"", "\"name\": \"grx\"")),
        &["weight_names of layer 'grx' (GRU)", "is 0", "3 names"],
    );
    refused(
        load(changed(
            "keras-2-cudnn",
            "\"class_name\": \"Sequential\"",
            "\"class_name\": \"Sequentiel\"",
        )),
        &["a Keras model of class Sequentiel", "Functional"],
    );
    refused(load(changed("keras-2-cudnn", "2.1.5", "x.1.5")), &["'x.1.5' is no version"]);
    refused(load(fixture("keras-files", "convolution.h5")), &["'conv'", "Conv1D", "there are"]);
    refused(
        load(fixture("keras-files", "quantized.keras")),
        &["'head'", "QuantizedDTypePolicy", "float32 weights, not quantized"],
    );
}

/// A model of `depth` models inside each other, each of which calls the next one `calls` times.
fn tower(depth: usize, calls: usize) -> String {
    let input = r#"{"class_name": "InputLayer", "name": "i", "inbound_nodes": [],
        "config": {"name": "i", "batch_shape": [null, 2]}}"#;
    let tensor = |layer: &str, call: usize| {
        format!(
            r#"{{"args": [{{"config": {{"keras_history": ["{layer}", {call}, 0]}}}}], "kwargs": {{}}}}"#
        )
    };
    let mut model = String::new();
    for level in 0..depth {
        let nodes = |name: &str, count: usize| {
            let nodes: Vec<String> = (0..count)
                .map(|call| if call == 0 { tensor("i", 0) } else { tensor(name, call - 1) })
                .collect();
            nodes.join(", ")
        };
        let (name, layer) = if level == 0 {
            let config =
                r#""class_name": "Activation", "config": {"name": "a", "activation": "relu"}"#;
            ("a".to_owned(), config.to_owned())
        } else {
            (format!("m{}", level - 1), model)
        };
        // Calls of models are counted from 1 here.
        let last = if level == 0 { calls - 1 } else { calls };
        model = format!(
            r#""class_name": "Functional", "config": {{"name": "m{level}", "layers": [{input},
                {{{layer}, "name": "{name}", "inbound_nodes": [{}]}}],
                "input_layers": [["i", 0, 0]], "output_layers": [["{name}", {last}, 0]]}}"#,
            nodes(&name, calls)
        );
    }
    format!("{{{model}}}")
}

fn from_config(config: &str) -> Result<Model, Error> {
    from_keras(config, "3.15.1", Vec::new(), KerasMask::None)
}

#[test]
fn models_inside_models_end() {
    assert_eq!(from_config(&tower(4, 3)).unwrap().nodes().len(), 81);
    refused(from_config(&tower(16, 2)), &["more than 10000 calls"]);
    refused(from_config(&tower(200, 1)), &["recursion limit"]);
    let two = tower(2, 1).replacen(
        r#""input_layers": [["i", 0, 0]]"#,
        r#""input_layers": [["i", 0, 0], ["i", 0, 0]]"#,
        1,
    );
    refused(from_config(&two), &["'m0'", "number of tensors it is called on", "expected 2"]);
    let lost = tower(2, 1).replace(r#"["m0", 1, 0]"#, r#"["m0", 1, 7]"#);
    refused(from_config(&lost), &["no result 7 of call 0 of model 'm0'"]);
}

#[test]
fn a_spec_says_what_it_leaves_out() {
    let nodes = [node("lstm", "lstm", "x", "")].join("");
    let rest = |unused: &str| {
        let json = format!(
            r#"{{"ritornello": 1, "inputs": [{{"name": "x", "axes": ["batch", "time", 3]}}],
                "nodes": [{nodes}], "outputs": ["lstm"], "unused": [{unused}]}}"#
        );
        Spec::from_json(&json).unwrap()
    };
    let all = rest(r#""model_weights/both/", "model_weights/gru/", "model_weights/head/""#);
    assert_eq!(load_with_spec(file("keras-2-cudnn"), &all).unwrap().nodes().len(), 1);
    assert_eq!(Spec::from_json(&all.to_json()).unwrap(), all);
    let some = rest(r#""model_weights/both/", "model_weights/gru/""#);
    refused(load_with_spec(file("keras-2-cudnn"), &some), &["no layer uses", "head/head/kernel:0"]);
    let none = rest(r#""model_weights/b", "model_weights/gru/", "model_weights/h", "nobody""#);
    refused(load_with_spec(file("keras-2-cudnn"), &none), &["unused[3]", "begins 'nobody'"]);
}

/// A `.keras` file whose members `change` has changed.
fn rezipped(folder: &str, change: impl Fn(&mut String, &mut Vec<u8>)) -> std::path::PathBuf {
    let bytes = std::fs::read(fixture(folder, "model.keras")).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).unwrap();
        let (mut name, mut bytes) = (member.name().unwrap().into_owned(), Vec::new());
        member.read_to_end(&mut bytes).unwrap();
        change(&mut name, &mut bytes);
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    let path = scratch(&format!("rezipped-{folder}.keras"));
    std::fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
    path
}

/// The same with a text of its configuration replaced.
fn with_config(folder: &str, from: &str, to: &str) -> std::path::PathBuf {
    rezipped(folder, |name, bytes| {
        if name == "config.json" {
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.contains(from), "{folder} has no {from}");
            *bytes = text.replace(from, to).into_bytes();
        }
    })
}

/// Weights are float32 whatever the policy, and so is what is computed with them.
#[test]
fn mixed_precision_is_a_matter_of_training() {
    let policy = |name: &str| format!(r#""DTypePolicy", "config": {{"name": "{name}"}}"#);
    for name in ["mixed_bfloat16", "mixed_float16"] {
        let other = with_config("shapes-t1-b1", &policy("float32"), &policy(name));
        let whole = load(fixture("shapes-t1-b1", "model.keras")).unwrap();
        assert!(load(other).unwrap() == whole, "{name}");
    }
    let int8 = with_config("shapes-t1-b1", &policy("float32"), &policy("int8"));
    refused(load(int8), &["'lstm' (LSTM)", "with dtype int8", "float32 weights"]);
}

#[test]
fn masks_of_models_inside_are_those_of_their_inputs() {
    let other = with_config("nested-masking", r#"["any", 0, 0]"#, r#"["not_equal", 0, 0]"#);
    refused(load(other), &["a model inside called on 'mask' with another mask"]);
    let second = r#""mask": [null, {"config": {"keras_history": ["x", 0, 0]}}]"#;
    let several = with_config("nested", r#""mask": [null, null]"#, second);
    refused(load(several), &["'pair'", "several masks", "that of its first input"]);
}

#[test]
fn weights_elsewhere_than_in_hdf5_are_refused() {
    refused(
        load(fixture("keras-files", "npz.keras")),
        &[
            "model.weights.npz, where Keras pickles",
            "save it where the model is made",
            "model.save(\"model.keras\")",
        ],
    );
    let other = rezipped("keras-2-12", |name, _| {
        if name == "model.weights.h5" {
            *name = "weights.h5".into();
        }
    });
    refused(load(other), &["without model.weights.h5", "metadata.json", "default options"]);
    refused(
        load_with_spec(
            fixture("keras-2-12", "model.keras"),
            &spec(&node("a", "lstm", "x", ""), "a"),
        ),
        &["a spec beside a .keras file", "load it without"],
    );
}

/// A folder with the shards of the fixture, and an index that says `map`.
fn sharded(name: &str, map: &str) -> std::path::PathBuf {
    let folder = scratch(name);
    std::fs::create_dir_all(&folder).unwrap();
    for file in ["model_00000.weights.h5", "model_00001.weights.h5"] {
        std::fs::copy(fixture("keras-3-shards", file), folder.join(file)).unwrap();
    }
    let path = folder.join("model.weights.json");
    std::fs::write(&path, map).unwrap();
    path
}

#[test]
fn weights_in_several_files_are_one() {
    let index = fixture("keras-3-shards", "model.weights.json");
    let spec = Spec::read(index.with_file_name("spec.json")).unwrap();
    let model = load_with_spec(&index, &spec).unwrap();
    assert_round_trip(&model, "keras-3-shards");
    refused(load(&index), &["model.weights.json", "index of weights of Keras", "--spec SPEC.json"]);

    let whole = std::fs::read_to_string(&index).unwrap();
    let read = |map: &str| load_with_spec(sharded("sharded", map), &spec);
    assert!(read(&whole).unwrap() == model);
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "no {from}");
        read(&whole.replacen(from, to, 1))
    };
    let beside = ["the index", "'/layers/lstm/cell/vars' is in", "files beside the index"];
    for path in ["/etc/model.weights.h5", "../model_00000.weights.h5", "a\\\\b.weights.h5", "x.h5"]
    {
        refused(changed("model_00000.weights.h5", path), &beside);
    }
    refused(changed("\"model_00000.weights.h5\"", "3"), &beside);
    refused(changed("model_00000", "model_00002"), &["model_00002.weights.h5: No such file"]);
    refused(
        changed("/layers/dense/vars", "/layers/dense_1/vars"),
        &["'/layers/dense_1/vars' is in 'model_00001.weights.h5'", "no such group"],
    );
    let lstm = whole.find("\"model_00000").unwrap()..whole.find("\"model_00001").unwrap();
    let first = whole.replacen(&whole[lstm], "", 1);
    refused(read(&first), &["missing, needed by node 'lstm'", "layers/lstm/cell/vars/1"]);
    let dense = whole.replacen(",\n        \"/layers/dense/vars\"", ", \"x\"", 1);
    refused(read(&dense), &["/x' is in 'model_00001.weights.h5'", "no such group"]);
    let unsaid = whole.replacen("[\n            \"model_00001.weights.h5\"\n        ]", "[]", 1);
    refused(read(&unsaid), &["'/layers/dense/vars' is in []", "files beside the index"]);
    refused(changed("\"metadata\"", "\"metadatum\""), &["the key 'metadatum' is not known"]);
    refused(read("[\"weight_map\"]"), &["the index", "it is no object"]);
    refused(read("{\"weight_map\": []}"), &["the index", "weight_map is no object"]);
    refused(read("{\"weight_map\": {"), &["the index", "EOF"]);
    let twice = "{\"weight_map\": {}, \"weight_map\": {}}";
    refused(read(twice), &["the index", "'weight_map' is there twice"]);
    // A link out of the folder of the index.
    #[cfg(unix)]
    {
        let _ = std::fs::remove_dir_all(scratch("sharded-link"));
        let path = sharded("sharded-link", &whole);
        let shard = path.with_file_name("model_00001.weights.h5");
        let outside = path.parent().unwrap().with_file_name("outside.weights.h5");
        let _ = std::fs::remove_file(&outside);
        std::fs::rename(&shard, &outside).unwrap();
        std::os::unix::fs::symlink(&outside, &shard).unwrap();
        let words = ["the index", "'model_00001.weights.h5' is a link out of the folder"];
        refused(load_with_spec(&path, &spec), &words);
    }
    // A shard of another model.
    let path = sharded("sharded-other", &whole);
    std::fs::copy(
        path.with_file_name("model_00001.weights.h5"),
        path.with_file_name("model_00000.weights.h5"),
    )
    .unwrap();
    refused(
        load_with_spec(&path, &spec),
        &["'/layers/dense/vars' is in 'model_00000.weights.h5'", "does not say"],
    );
}
