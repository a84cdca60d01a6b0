//! Configurations of Keras 1 and 2, said as Keras 3 says them: other names of attributes, layers
//! without input layers, connections without arguments.
//!
//! What is not known here stays as it is, and is refused by name where a layer is read.

use serde_json::{Map, Value, json};

use super::Version;
use super::nested::is_model;

/// Recurrent layers: what they are called on beside a sequence are initial states.
const RECURRENT: [&str; 5] = ["SimpleRNN", "LSTM", "GRU", "RNN", "Bidirectional"];

/// What a Keras 1 attribute is called since.
const RENAMED: [(&str, &str); 4] = [
    ("output_dim", "units"),
    ("inner_activation", "recurrent_activation"),
    ("bias", "use_bias"),
    ("p", "rate"),
];

/// Attributes of Keras 1 that have no effect at inference.
const TRAINING_ONLY: [&str; 12] = [
    "init",
    "inner_init",
    "forget_bias_init",
    "W_regularizer",
    "U_regularizer",
    "b_regularizer",
    "W_constraint",
    "U_constraint",
    "b_constraint",
    "dropout_W",
    "dropout_U",
    "input_dim",
];

/// The configuration of a model, whatever Keras wrote it, as Keras 3 would write it.
pub(super) fn modern(mut config: Value, version: Version) -> Value {
    if version.major < 3 {
        model(&mut config, version);
    } else {
        operations(&mut config);
    }
    config
}

/// What Keras 3 calls the module of operations; in `.h5` it leaves out every module.
const OPERATIONS: &str = "keras.src.ops";

/// What the configurations of operations say. Those of layers say whether they are trained.
const OF_OPERATIONS: [&str; 4] = ["name", "axis", "keepdims", "dtype"];

/// Names the module of operations among the layers of a model of Keras 3 in `.h5`.
fn operations(value: &mut Value) {
    let layers = value.get_mut("config").and_then(|config| config.get_mut("layers"));
    for layer in layers.and_then(Value::as_array_mut).into_iter().flatten() {
        let keys = layer.get("config").and_then(Value::as_object);
        let bare =
            keys.is_some_and(|keys| keys.keys().all(|key| OF_OPERATIONS.contains(&key.as_str())));
        if is_model(&class(layer)) {
            operations(layer);
        } else if let Some(layer) = layer.as_object_mut().filter(|_| bare) {
            layer.entry("module").or_insert(OPERATIONS.into());
        }
    }
}

fn class(value: &Value) -> String {
    value.get("class_name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn model(value: &mut Value, version: Version) {
    let Some(object) = value.as_object_mut() else { return };
    module(object);
    let Some(config) = object.get_mut("config") else { return };
    // A Sequential model was a list of layers.
    if config.is_array() {
        *config = json!({"name": "sequential", "layers": config.take()});
    }
    let sequential = object.get("class_name").is_some_and(|class| class == "Sequential");
    let Some(config) = object.get_mut("config").and_then(Value::as_object_mut) else { return };
    let built = config.get("build_input_shape").cloned();
    let Some(layers) = config.get_mut("layers").and_then(Value::as_array_mut) else { return };
    if sequential {
        input_layer(layers, built.as_ref());
    }
    for value in layers {
        layer(value, version);
        connections(value);
    }
}

/// The shape of what a layer is called on, which the first one of a Sequential model has.
const SHAPE: &str = "batch_input_shape";

/// Puts an input layer, named as Keras names it, before the first layer if that is none.
fn input_layer(layers: &mut Vec<Value>, built: Option<&Value>) {
    let Some(first) = layers.first() else { return };
    let config = first.get("config");
    let said = |key: &str| config.and_then(|config| config.get(key)).filter(|v| !v.is_null());
    let Some(shape) = said(SHAPE).or(built) else { return };
    if class(first) == "InputLayer" {
        return;
    }
    let name = said("name").and_then(Value::as_str).unwrap_or("layer");
    let name = format!("{name}_input");
    let input = json!({"class_name": "InputLayer", "config": {"name": name, SHAPE: shape}});
    layers.insert(0, input);
}

/// Takes away the module of a Keras of its time.
fn module(object: &mut Map<String, Value>) {
    let module = object.get("module").and_then(Value::as_str).unwrap_or_default();
    if ["keras", "tf_keras", "tensorflow"].iter().any(|begin| module.starts_with(begin)) {
        object.remove("module");
    }
}

fn layer(value: &mut Value, version: Version) {
    if is_model(&class(value)) {
        return model(value, version);
    }
    let Some(object) = value.as_object_mut() else { return };
    module(object);
    let class = object.get("class_name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let plain = match class.as_str() {
        "CuDNNLSTM" => "LSTM",
        "CuDNNGRU" => "GRU",
        other => other,
    };
    let cudnn = plain != class;
    object.insert("class_name".into(), plain.into());
    let Some(config) = object.get_mut("config").and_then(Value::as_object_mut) else { return };
    if version.major < 2 {
        keras_1(config, plain);
    }
    attributes(config, plain, cudnn, version);
    for key in ["layer", "backward_layer", "cell"] {
        if let Some(inner) = config.get_mut(key) {
            layer(inner, version);
        }
    }
    for inner in config.get_mut("cells").and_then(Value::as_array_mut).into_iter().flatten() {
        layer(inner, version);
    }
}

fn keras_1(config: &mut Map<String, Value>, class: &str) {
    let renames = class != "Embedding";
    for (old, new) in RENAMED.into_iter().filter(|_| renames) {
        if let Some(value) = config.remove(old) {
            config.insert(new.into(), value);
        }
    }
    if class != "InputLayer" {
        config.remove("input_dtype");
    }
    // What Keras 2 calls the same: the third has the layout of all gates in one.
    if let Some(way) = config.remove("consume_less") {
        config.insert("implementation".into(), if way == "gpu" { 2 } else { 0 }.into());
    }
    config.retain(|key, _| {
        let length = key == "input_length" || key == "dropout";
        !(TRAINING_ONLY.contains(&key.as_str()) && (renames || key != "input_dim")) && !length
    });
}

fn attributes(config: &mut Map<String, Value>, class: &str, cudnn: bool, version: Version) {
    if class == "InputLayer" {
        for (old, new) in [(SHAPE, "batch_shape"), ("input_dtype", "dtype")] {
            if let Some(value) = config.remove(old) {
                config.insert(new.into(), value);
            }
        }
    }
    config.remove(SHAPE);
    // What these say where they are false holds for every layer that is read.
    config.retain(|key, value| {
        !(matches!(key.as_str(), "time_major" | "sparse")
            && *value == false
            && class != "InputLayer")
    });
    let mut default = |key: &str, value: Value| {
        if !config.contains_key(key) {
            config.insert(key.into(), value);
        }
    };
    if matches!(class, "LSTM" | "GRU" | "LSTMCell" | "GRUCell") && !cudnn {
        let gates = if version.standalone { "hard_sigmoid" } else { "sigmoid" };
        default("recurrent_activation", gates.into());
    }
    if matches!(class, "GRU" | "GRUCell") {
        default("reset_after", cudnn.into());
    }
    if let Some(policy) = config.get_mut("dtype").filter(|policy| policy.is_object()) {
        let name = policy.get("config").and_then(|config| config.get("name")).cloned();
        if policy.get("class_name").is_some_and(|class| class == "Policy") {
            *policy = name.unwrap_or(Value::Null);
        }
    }
}

/// `[[["layer", 0, 0, {}], ...], ...]`, one list for each call, as arguments.
fn connections(value: &mut Value) {
    let recurrent = RECURRENT.contains(&class(value).as_str());
    let Some(nodes) = value.get_mut("inbound_nodes").and_then(Value::as_array_mut) else { return };
    for node in nodes {
        if let Some(arguments) = arguments(node, recurrent) {
            *node = arguments;
        }
    }
}

fn arguments(node: &Value, recurrent: bool) -> Option<Value> {
    let node = node.as_array()?;
    let mut tensors = Vec::new();
    let mut kwargs = Map::new();
    for reference in node {
        tensors.push(tensor(reference)?);
        let given = reference.get(3).and_then(Value::as_object).into_iter().flatten();
        for (key, value) in given.filter(|(_, value)| !value.is_null()) {
            kwargs.insert(key.clone(), argument(value));
        }
    }
    let states = if recurrent && !tensors.is_empty() { tensors.split_off(1) } else { Vec::new() };
    if !states.is_empty() {
        if kwargs.contains_key("initial_state") {
            return None;
        }
        kwargs.insert("initial_state".into(), states.into());
    }
    Some(json!({"args": [tensors], "kwargs": kwargs}))
}

/// `["layer", call, index]`, with or without more behind it.
fn tensor(reference: &Value) -> Option<Value> {
    let [layer, call, index, rest @ ..] = reference.as_array()?.as_slice() else { return None };
    let fits = layer.is_string() && call.is_u64() && index.is_u64() && rest.len() <= 1;
    fits.then(|| json!({"config": {"keras_history": [layer, call, index]}}))
}

/// An argument by name: a tensor, a list of tensors, or whatever else it is.
fn argument(value: &Value) -> Value {
    let list = || value.as_array()?.iter().map(tensor).collect::<Option<Vec<_>>>();
    tensor(value).or_else(|| list().map(Value::from)).unwrap_or_else(|| value.clone())
}
