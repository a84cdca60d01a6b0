//! What a configuration of Keras may not say: each message names the layer, what it says, and what
//! to do instead.

#![cfg(all(feature = "keras", feature = "safetensors", feature = "npz"))]

mod models;
mod refusal;

use refusal::refused;
use ritornello::load::{KerasMask, from_keras};
use ritornello::{Array, Error, Model};
use serde_json::{Value, json};

fn read(config: &Value, mask: KerasMask) -> Result<Model, Error> {
    from_keras(&config.to_string(), "3.15.1", Vec::new(), mask)
}

fn layer(class: &str, mut config: Value) -> Value {
    if config.get("name").is_none() {
        config["name"] = "it".into();
    }
    if class != "InputLayer" {
        config["trainable"] = true.into();
    }
    json!({"class_name": class, "config": config})
}

fn input(name: &str, shape: &Value) -> Value {
    layer("InputLayer", json!({"name": name, "batch_shape": shape}))
}

fn sequence() -> Value {
    json!([null, null, 2])
}

fn sequential(layers: &[Value]) -> Result<Model, Error> {
    read(&json!({"class_name": "Sequential", "config": {"layers": layers}}), KerasMask::None)
}

/// A sequence of two features into one layer.
fn one(class: &str, config: Value) -> Result<Model, Error> {
    sequential(&[input("x", &sequence()), layer(class, config)])
}

fn tensor(layer: &str) -> Value {
    json!({"class_name": "__keras_tensor__", "config": {"keras_history": [layer, 0, 0]}})
}

/// A layer that is called once, with these arguments.
fn called(mut layer: Value, args: &Value, kwargs: &Value) -> Value {
    layer["inbound_nodes"] = json!([{"args": args, "kwargs": kwargs}]);
    layer
}

/// A Functional model of the inputs `x` and `z`, both sequences, and of these layers.
fn functional(layers: &[Value], output: &Value) -> Value {
    let mut all = ["x", "z"].map(|name| input(name, &sequence())).to_vec();
    all.iter_mut().for_each(|layer| layer["inbound_nodes"] = json!([]));
    all.extend_from_slice(layers);
    json!({"class_name": "Functional", "config": {"layers": all,
        "input_layers": [["x", 0, 0], ["z", 0, 0]], "output_layers": [output]}})
}

/// One layer on `x`, called with these arguments.
fn call(class: &str, config: Value, args: &Value, kwargs: &Value) -> Result<Model, Error> {
    let layers = [called(layer(class, config), args, kwargs)];
    read(&functional(&layers, &json!(["it", 0, 0])), KerasMask::None)
}

#[test]
fn what_is_tried_here_loads_where_nothing_is_wrong() {
    one("Activation", json!({"activation": "tanh"})).unwrap();
    call("ReLU", json!({}), &json!([tensor("x")]), &json!({})).unwrap();
}

#[test]
fn layers_that_are_not_whole() {
    let x = input("x", &sequence());
    for (broken, words) in [
        (json!({"config": {"name": "it"}}), &["config.json: layers[1]", "no class_name"][..]),
        (json!({"class_name": "ReLU"}), &["layers[1]", "no config"]),
        (json!({"class_name": "ReLU", "config": {}}), &["layers[1]", "no name"]),
        (
            json!({"class_name": "ReLU", "module": "mine.layers", "config": {"name": "it"}}),
            &["layer 'it' (ReLU)", "from the module mine.layers", "only Keras's own"],
        ),
    ] {
        refused(sequential(&[x.clone(), broken]), words);
    }
    refused(sequential(&[]), &["config.json", "no layers"]);
    refused(sequential(&[layer("ReLU", json!({}))]), &["no InputLayer", "call it once on data"]);
    refused(sequential(&[x.clone(), x.clone()]), &["'x' (InputLayer)", "is not the first layer"]);
    let twice = layer("ReLU", json!({"name": "x"}));
    refused(sequential(&[x, twice]), &["two layers are named 'x'"]);
    refused(
        read(&json!({"class_name": "Functional", "config": {}}), KerasMask::None),
        &["of class Functional", "functional API"],
    );
}

#[test]
fn inputs_of_other_kinds() {
    for (config, words) in [
        (json!({"batch_shape": [null, null]}), &["'x' (InputLayer)", "of shape [null,null]"][..]),
        (json!({"batch_shape": [null, 2, 3, 4]}), &["of shape [null,2,3,4]", "a sequence (batch"]),
        (json!({}), &["of shape nothing", "a vector (batch, features)"]),
        (json!({"dtype": "int32"}), &["with dtype int32", "unless an Embedding reads it"]),
        (json!({"sparse": true}), &["with sparse=True", "use a plain input"]),
        (json!({"ragged": true}), &["with ragged=True"]),
        (json!({"optional": true}), &["with optional=True"]),
        (json!({"optional": 1}), &["optional is 1, expected true or false"]),
    ] {
        let mut config = config;
        config["name"] = "x".into();
        refused(sequential(&[layer("InputLayer", config), layer("ReLU", json!({}))]), words);
    }
    let vector = [input("x", &json!([null, 2])), layer("ReLU", json!({}))];
    let vector = json!({"class_name": "Sequential", "config": {"layers": vector}});
    refused(
        read(&vector, KerasMask::InLastFeature),
        &["'x' (InputLayer)", "called with a mask", "Embedding(mask_zero=True)"],
    );
    let mut lost = functional(&[], &json!(["x", 0, 0]));
    lost["config"]["input_layers"] = json!([["y", 0, 0]]);
    refused(read(&lost, KerasMask::None), &["the input 'y' is no InputLayer"]);
}

#[test]
fn attributes_that_are_not_what_they_can_be() {
    for (class, config, words) in [
        ("RepeatVector", json!({}), &["'it' (RepeatVector)", "n is missing", "a count"][..]),
        ("RepeatVector", json!({"n": -1}), &["n is -1, expected a count"]),
        ("LeakyReLU", json!({"alpha": "big"}), &["alpha is \"big\", expected a number"]),
        ("LSTM", json!({"units": 2, "return_state": 1}), &["return_state is 1, expected true"]),
        ("Softmax", json!({"axis": 1}), &["with axis=1", "only the last axis, -1"]),
        ("Softmax", json!({"axis": [0, 1]}), &["axis is [0,1], expected a number"]),
        ("BatchNormalization", json!({"axis": 0}), &["with axis=0", "only the last axis"]),
        ("BatchNormalization", json!({"renorm": true}), &["with renorm=True", "plain batch"]),
        (
            "Activation",
            json!({"activation": "mish"}),
            &["activation=\"mish\"", "there are: linear"],
        ),
        ("Activation", json!({"activation": 3}), &["activation=3", "there are: linear"]),
        (
            "ReLU",
            json!({"max_value": 3.0}),
            &["max_value=3, negative_slope=0, threshold=0", "max_value None, or 6"],
        ),
        ("ReLU", json!({"threshold": 0.5}), &["threshold=0.5", "threshold 0"]),
        ("Flatten", json!({"data_format": "channels_first"}), &["channels_first", "channels_last"]),
        ("GlobalMaxPooling1D", json!({"keepdims": true}), &["keepdims=True", "without keepdims"]),
        ("GlobalMaxPooling1D", json!({"data_format": 1}), &["data_format=1", "channels_last"]),
        ("Conv1D", json!({}), &["layer 'it' (Conv1D) is not supported", "there are: Input"]),
        ("GRU", json!({"units": 2, "time_major": true}), &["time_major=true", "save the layer"]),
        ("ReLU", json!({"dtype": "int8"}), &["with dtype int8", "float32 weights"]),
        (
            "ReLU",
            json!({"dtype": {"class_name": "QuantizedDTypePolicy", "config": {"name": "int8"}}}),
            &["with dtype int8", "not quantized"],
        ),
    ] {
        refused(one(class, config), words);
    }
}

#[test]
fn layers_inside_layers() {
    let inner = |class: &str| layer(class, json!({"name": "in", "units": 2}));
    let cells = |cells: Value| layer("StackedRNNCells", json!({"name": "in", "cells": cells}));
    for (class, config, words) in [
        ("TimeDistributed", json!({}), &["'it' (TimeDistributed)", "without a layer"][..]),
        (
            "TimeDistributed",
            json!({"layer": inner("LSTM")}),
            &["around layer 'in' (LSTM)", "there are: Dense, Activation"],
        ),
        ("Bidirectional", json!({}), &["'it' (Bidirectional)", "without a layer", "recurrent"]),
        (
            "Bidirectional",
            json!({"layer": inner("Dense")}),
            &["'in' (Dense)", "as a recurrent cell", "there are SimpleRNN, LSTM and GRU"],
        ),
        ("RNN", json!({}), &["'it' (RNN)", "without a cell", "one or several cells"]),
        ("RNN", json!({"cell": cells(json!([]))}), &["'it' (RNN)", "without a cell"]),
        ("RNN", json!({"cell": cells(json!(3))}), &["cells is 3, expected a list of layers"]),
        (
            "RNN",
            json!({"cell": inner("ConvLSTMCell")}),
            &["'in' (ConvLSTMCell)", "as a recurrent cell"],
        ),
        (
            "RNN",
            json!({"cell": {"class_name": "LSTMCell", "config": {}}}),
            &["layer 'it' (RNN): cell", "no name"],
        ),
    ] {
        refused(one(class, config), words);
    }
}

#[test]
fn calls_that_are_not_read() {
    let (x, z) = (tensor("x"), tensor("z"));
    let two = json!([[x, z]]);
    let none = || json!({});
    for (result, words) in [
        (call("ReLU", none(), &two, &none()), &["'it' (ReLU)", "on 2 tensors", "on one"][..]),
        (call("ReLU", none(), &json!([x, z]), &none()), &["with more arguments", "with one"]),
        (call("ReLU", none(), &json!([x, null, z]), &none()), &["with more arguments"]),
        (
            call("ReLU", none(), &json!([x]), &json!({"training": true})),
            &["called with training=true", "without"],
        ),
        (call("ReLU", none(), &json!([3]), &none()), &["called on 3", "only be results of layers"]),
        (
            call("ReLU", none(), &json!([x]), &json!({"mask": z})),
            &["'it' (ReLU)", "called with a mask", "no use for one"],
        ),
        (
            call("GRU", json!({"units": 2}), &json!([x]), &json!({"mask": z})),
            &["'it' (GRU)", "a mask made of others", "masks come from Masking"],
        ),
        (
            call("GRU", json!({"units": 2}), &json!([x]), &json!({"mask": [x, z]})),
            &["several masks", "that of its first input"],
        ),
        (call("Concatenate", json!({"axis": 1}), &two, &none()), &["axis=1", "last axis"]),
    ] {
        refused(result, words);
    }
    let relu = layer("ReLU", json!({}));
    let graph = |layer: &Value, output: Value| {
        read(&functional(std::slice::from_ref(layer), &output), KerasMask::None)
    };
    refused(graph(&relu, json!(["it", 0, 0])), &["'it' (ReLU)", "no inbound_nodes"]);
    let old =
        json!({"class_name": "ReLU", "config": {"name": "it"}, "inbound_nodes": [[["x", 0]]]});
    refused(graph(&old, json!(["it", 0, 0])), &["inbound_nodes of another form", "save it again"]);
    let itself = called(relu.clone(), &json!([tensor("it")]), &none());
    refused(graph(&itself, json!(["it", 0, 0])), &["'it' (ReLU) depends on its own result"]);
    let lost = called(relu.clone(), &json!([tensor("y")]), &none());
    refused(graph(&lost, json!(["it", 0, 0])), &["'it' (ReLU) is called on 'y', which is nowhere"]);
    let right = called(relu, &json!([x]), &none());
    refused(graph(&right, json!(["it", 0, 1])), &["no result 1 of call 0 of layer 'it'"]);
    refused(graph(&right, json!("it")), &["output_layers is [\"it\"]"]);
    let mut endless = functional(std::slice::from_ref(&right), &json!(["it", 0, 0]));
    endless["config"].as_object_mut().unwrap().remove("output_layers");
    refused(read(&endless, KerasMask::None), &["output_layers is missing"]);
}

/// `x[key]`, `x - z` and the like leave operations in a model.
#[test]
fn operations_that_are_not_read() {
    let operation = |class: &str, args: Value| {
        let mut layer = called(layer(class, json!({})), &args, &json!({}));
        layer["module"] = "keras.src.ops.numpy".into();
        read(&functional(&[layer], &json!(["it", 0, 0])), KerasMask::None)
    };
    let part = |start: Value, stop: Value, step: Value| {
        json!({"class_name": "__slice__",
               "config": {"start": start, "stop": stop, "step": step}})
    };
    let all = part(Value::Null, Value::Null, Value::Null);
    let (x, z) = (tensor("x"), tensor("z"));
    let item = |key: Value| operation("GetItem", json!([x, key]));
    item(json!([all, -1])).unwrap();
    item(json!([all, 0, all])).unwrap();
    item(json!([all, all, part(json!(1), json!(2), Value::Null)])).unwrap();
    operation("Add", json!([x, z])).unwrap();
    operation("Multiply", json!([x, 0.5])).unwrap();
    for key in [
        json!(0),
        json!([0]),
        json!([all, part(json!(1), Value::Null, Value::Null)]),
        json!([all, 1.5, all]),
        json!([all, 1, part(json!(1), json!(2), Value::Null)]),
        json!([all, all, part(json!(-1), Value::Null, Value::Null)]),
        json!([all, all, part(json!(0), json!(2), json!(2))]),
        json!([{"class_name": "__ellipsis__", "config": {}}, 0]),
        json!([all, all, all, all]),
    ] {
        let said = format!("with the key {key}");
        refused(item(key), &["layer 'it' (GetItem)", &said, "x[:, 3] or x[:, -1, :]"]);
    }
    let advice = "of operations there are x + y, x * y, concatenate and x[:, step]";
    refused(operation("Subtract", json!([x, z])), &["'it' (Subtract) on numbers", advice]);
    refused(operation("Mean", json!([x])), &["'it' (Mean) on numbers", "others can be layers"]);
    // As a layer, on two tensors: it is the layer that is not known.
    let two = json!([[x, z]]);
    refused(
        call("Average", json!({}), &two, &json!({})),
        &["layer 'it' (Average) is not supported", "there are: InputLayer, SimpleRNN"],
    );
}

/// A GRU or an LSTM of two units on two features, by itself or in both directions.
fn states(class: &str, both: bool, states: &[Value]) -> Result<Model, Error> {
    let gates = if class == "GRU" { 3 } else { 4 };
    let inner = layer(class, json!({"name": "in", "units": 2, "use_bias": false}));
    let it = if both { layer("Bidirectional", json!({"layer": inner})) } else { inner };
    let name = it["config"]["name"].clone();
    let layers = [called(it, &json!([tensor("x")]), &json!({"initial_state": states}))];
    let sides: &[&str] = if both {
        &["bidirectional/forward_layer", "bidirectional/backward_layer"]
    } else {
        &[if class == "GRU" { "gru" } else { "lstm" }]
    };
    let zeros = || Array::new(&[2, gates * 2], vec![0.0; gates * 4]).unwrap();
    let weights = sides
        .iter()
        .flat_map(|side| [0, 1].map(|index| (format!("layers/{side}/cell/vars/{index}"), zeros())));
    let config = functional(&layers, &json!([name, 0, 0])).to_string();
    from_keras(&config, "3.15.1", weights.collect(), KerasMask::None)
}

#[test]
fn states_that_are_too_many_or_too_few() {
    let (x, z) = (tensor("x"), tensor("z"));
    refused(
        states("LSTM", false, std::slice::from_ref(&x)),
        &["'in' (LSTM)", "the number of initial states is 1, expected 2"],
    );
    refused(
        states("GRU", false, &[x.clone(), z.clone()]),
        &["'in' (GRU)", "the number of initial states is 2, expected 1"],
    );
    refused(
        states("LSTM", true, &[x.clone(), z.clone()]),
        &["'it' (Bidirectional)", "initial states is 2, expected 4, forward first"],
    );
    // As many as there should be, but sequences.
    refused(
        states("LSTM", false, &[x.clone(), z.clone()]),
        &["'in' (LSTM): initial state 0 is a sequence", "expected [batch, units]"],
    );
    let both = states("GRU", true, &[x, z]);
    refused(both, &["'it' (Bidirectional): initial state 0 is a sequence"]);
}

#[test]
fn models_inside_that_are_called_otherwise() {
    let mut inner = functional(
        &[called(layer("ReLU", json!({"name": "deep"})), &json!([tensor("x")]), &json!({}))],
        &json!(["deep", 0, 0]),
    );
    inner["config"]["name"] = "inner".into();
    inner["config"]["input_layers"] = json!([["x", 0, 0]]);
    let outer = called(inner, &json!([tensor("x")]), &json!({}));
    refused(
        read(&functional(&[outer], &json!(["inner", 0, 0])), KerasMask::None),
        &["layer 'z' (InputLayer)", "is no input of its model"],
    );
    let empty = called(
        json!({"class_name": "Sequential", "config": {"name": "inner", "layers": []}}),
        &json!([tensor("x")]),
        &json!({}),
    );
    refused(
        read(&functional(&[empty], &json!(["inner", 0, 0])), KerasMask::None),
        &["the model has no layers"],
    );
}

#[test]
fn what_is_no_configuration_and_no_version() {
    let from =
        |config: &str, version: &str| from_keras(config, version, Vec::new(), KerasMask::None);
    refused(from("{", "3.15.1"), &["the configuration", "line 1"]);
    refused(from("{}", "three"), &["'three' is no version such as 3.15.1"]);
    refused(from("[]", "3.15.1"), &["a Keras model of class nothing", "Sequential"]);
    let subclassed = r#"{"class_name": "Net", "config": {}}"#;
    refused(from(subclassed, "3.15.1"), &["of class Net", "rebuild it with the functional API"]);
}

/// Keras 1 has three arrays for each gate.
#[test]
fn gates_of_keras_1_that_differ() {
    let layers = [json!({"class_name": "GRU", "config": {"name": "it", "output_dim": 2,
            "batch_input_shape": [null, null, 3], "return_sequences": true}})];
    let config = json!({"class_name": "Sequential", "config": layers}).to_string();
    let load = |columns: usize, count: usize| {
        let array = |index: usize| {
            let shape = match index % 3 {
                0 => vec![3, if index == 3 { columns } else { 2 }],
                1 => vec![2, 2],
                _ => vec![2],
            };
            let zeros = vec![0.0; shape.iter().product()];
            (format!("layers/gru/cell/vars/{index}"), Array::new(&shape, zeros).unwrap())
        };
        from_keras(&config, "1.2.2", (0..count).map(array).collect(), KerasMask::None)
    };
    load(2, 9).unwrap();
    refused(
        load(5, 9),
        &["'it' (GRU)", "layers/gru/cell/vars/3", "[3, 5]", "[3, 2] as for the first gate"],
    );
    refused(load(2, 8), &["'layers/gru/cell/vars/8' is missing", "'it' (GRU)"]);
    refused(load(2, 10), &["no layer uses: layers/gru/cell/vars/9"]);
}
