//! Which layer is called on which: a `Sequential` or `Functional` configuration as one list of
//! calls in an order in which they can be made.

use std::collections::HashMap;

use serde_json::Value;

use super::config::Layer;
use super::nested::is_model;
use super::paths::Counter;
use super::{Version, inside};
use crate::Error;

/// A Keras tensor: the result of this index of this call of this layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tensor {
    pub(super) layer: String,
    pub(super) call: usize,
    pub(super) index: usize,
}

/// One call of a layer.
pub(super) struct Call<'a> {
    pub(super) layer: Layer<'a>,
    /// The layer's name, with those of the models it is in.
    pub(super) name: String,
    /// Which of the layer's calls: 0, 1, ...
    pub(super) number: usize,
    /// The path of the layer's weights, from `layers/` on.
    pub(super) path: String,
    pub(super) inputs: Vec<Tensor>,
    pub(super) initial_state: Vec<Tensor>,
    /// The mask that it is given.
    pub(super) mask: Option<Tensor>,
    /// A number that an operation is given.
    pub(super) constant: Option<f64>,
    /// What `x[key]` takes.
    pub(super) key: Option<&'a Value>,
}

impl<'a> Call<'a> {
    /// Without arguments.
    fn new(layer: Layer<'a>, number: usize, path: String) -> Self {
        let (inputs, initial_state) = (Vec::new(), Vec::new());
        let name = layer.name.into();
        let (mask, constant, key) = (None, None, None);
        Self { layer, name, number, path, inputs, initial_state, mask, constant, key }
    }

    /// The tensors that it depends on.
    fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.inputs.iter().chain(&self.initial_state).chain(&self.mask)
    }

    /// The same, to be changed.
    pub(super) fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.inputs.iter_mut().chain(&mut self.initial_state).chain(&mut self.mask)
    }
}

/// A whole model.
pub(super) struct Topology<'a> {
    /// All calls, each after those it depends on.
    pub(super) calls: Vec<Call<'a>>,
    /// The model's inputs, in order: each an `InputLayer`.
    pub(super) inputs: Vec<Tensor>,
    pub(super) outputs: Vec<Tensor>,
    /// The layer, or the model inside, that each output comes from.
    pub(super) names: Vec<String>,
    /// What models inside are called on, with the masks that they are called with.
    pub(super) masks: Vec<(Tensor, Tensor)>,
}

/// Reads the configuration of a model.
pub(super) fn read(config: &Value, version: Version) -> Result<Topology<'_>, Error> {
    let class = config.get("class_name").and_then(Value::as_str).unwrap_or("nothing");
    let inner = config.get("config");
    let layers = inner.and_then(|inner| inner.get("layers")).and_then(Value::as_array);
    match (class, inner, layers) {
        ("Sequential", Some(_), Some(layers)) => sequential(layers),
        ("Functional" | "Model", Some(inner), Some(layers)) => functional(inner, layers, version),
        _ => Err(Error::Unsupported {
            what: format!("a Keras model of class {class}"),
            advice: "only Sequential and Functional models are read; a subclassed model says \
                     nothing about its computation: rebuild it with the functional API"
                .into(),
        }),
    }
}

fn topology<'a>(calls: Vec<Call<'a>>, inputs: Vec<Tensor>, outputs: Vec<Tensor>) -> Topology<'a> {
    let names = outputs.iter().map(|output| output.layer.clone()).collect();
    Topology { calls, inputs, outputs, names, masks: Vec::new() }
}

fn problem(what: impl std::fmt::Display) -> Error {
    inside("config.json", &what)
}

fn sequential(layers: &[Value]) -> Result<Topology<'_>, Error> {
    let mut counter = Counter::default();
    let mut calls: Vec<Call<'_>> = Vec::new();
    for (index, value) in layers.iter().enumerate() {
        let layer = Layer::new(&format!("layers[{index}]"), value)?;
        if (index == 0) != (layer.class == "InputLayer") {
            return Err(problem(if index == 0 {
                "the model has no InputLayer; call it once on data before it is saved".into()
            } else {
                format!("{} is not the first layer", layer.label())
            }));
        }
        // The input layer of a Sequential model is not among the layers of the weights' file.
        let path = if index == 0 { String::new() } else { counter.next(layer.class) };
        let inputs = calls.last().map(|call| tensor(call.layer.name)).into_iter().collect();
        calls.push(Call { inputs, ..Call::new(layer, 0, path) });
    }
    let (Some(first), Some(last)) = (calls.first(), calls.last()) else {
        return Err(problem("the model has no layers"));
    };
    let (inputs, outputs) = (vec![tensor(first.layer.name)], vec![tensor(last.layer.name)]);
    unique(&calls)?;
    Ok(topology(calls, inputs, outputs))
}

/// The only result of the first call.
fn tensor(layer: &str) -> Tensor {
    Tensor { layer: layer.into(), call: 0, index: 0 }
}

fn functional<'a>(
    config: &'a Value,
    layers: &'a [Value],
    version: Version,
) -> Result<Topology<'a>, Error> {
    let mut counter = Counter::default();
    let mut calls = Vec::new();
    for (index, value) in layers.iter().enumerate() {
        let layer = Layer::new(&format!("layers[{index}]"), value)?;
        // Operations are not among the layers of the weights' file.
        let path = if layer.is_operation() { String::new() } else { counter.next(layer.class) };
        let nodes = value.get("inbound_nodes").and_then(Value::as_array);
        let nodes =
            nodes.ok_or_else(|| problem(format!("{} has no inbound_nodes", layer.label())))?;
        if layer.class == "InputLayer" {
            calls.push(Call::new(layer, 0, path));
            continue;
        }
        for (number, node) in nodes.iter().enumerate() {
            let mut call = Call::new(layer, number, path.clone());
            arguments(&mut call, node)?;
            calls.push(call);
        }
    }
    unique(&calls)?;
    let ends = |key: &str| -> Result<Vec<Tensor>, Error> {
        let value = config.get(key).ok_or_else(|| problem(format!("{key} is missing")))?;
        let mut found = Vec::new();
        references(value, &mut found).ok_or_else(|| problem(format!("{key} is {value}")))?;
        Ok(found)
    };
    let (inputs, mut outputs) = (ends("input_layers")?, ends("output_layers")?);
    if version.major < 3 {
        count_from_zero(&mut calls, &mut outputs);
    } else {
        // Keras 3 counts calls of Functional models from 1 here, and from 0 elsewhere.
        let counted = |tensor: &Tensor| {
            let of_it = |call: &Call<'_>| call.layer.name == tensor.layer;
            calls.iter().any(|call| of_it(call) && call.layer.class == "Functional")
        };
        for tensor in outputs.iter_mut().filter(|tensor| counted(tensor)) {
            tensor.call = tensor.call.saturating_sub(1);
        }
    }
    Ok(topology(sorted(calls)?, inputs, outputs))
}

/// Counts the calls of models inside from 0, as those of layers are: Keras 2 counts from 1 where such
/// a model was made by a call of its own.
fn count_from_zero(calls: &mut [Call<'_>], outputs: &mut [Tensor]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for call in calls.iter().filter(|call| is_model(call.layer.class)) {
        *counts.entry(call.layer.name.into()).or_insert(0) += 1;
    }
    let mut tensors: Vec<&mut Tensor> =
        calls.iter_mut().flat_map(Call::tensors_mut).chain(outputs).collect();
    counts.retain(|name, count| {
        tensors.iter().any(|tensor| tensor.layer == *name && tensor.call == *count)
    });
    for tensor in tensors.iter_mut().filter(|tensor| counts.contains_key(&tensor.layer)) {
        tensor.call = tensor.call.saturating_sub(1);
    }
}

/// Fails if two layers have one name.
fn unique(calls: &[Call<'_>]) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    for call in calls {
        if !seen.insert((call.layer.name, call.number)) {
            let name = call.layer.name.into();
            return Err(Error::DuplicateName { what: "layer", name });
        }
    }
    Ok(())
}

/// `["layer", 0, 0]`, or any structure of these.
fn references(value: &Value, found: &mut Vec<Tensor>) -> Option<()> {
    match value {
        Value::Array(list) => match &list[..] {
            [Value::String(layer), call, index] => {
                let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
                let (call, index) = (number(call)?, number(index)?);
                found.push(Tensor { layer: layer.clone(), call, index });
                Some(())
            }
            list => list.iter().try_for_each(|value| references(value, found)),
        },
        Value::Object(map) => map.values().try_for_each(|value| references(value, found)),
        _ => None,
    }
}

/// Reads what a call is given: inputs, initial states, a mask.
fn arguments<'a>(call: &mut Call<'a>, node: &'a Value) -> Result<(), Error> {
    let layer = &call.layer;
    let args = node.get("args").and_then(Value::as_array).ok_or_else(|| {
        let advice = "it is known as Keras 2 and 3 write it; load it there and save it again";
        layer.unsupported("with inbound_nodes of another form", advice)
    })?;
    let (inputs, states) = (&mut call.inputs, &mut call.initial_state);
    for (position, value) in args.iter().enumerate() {
        // The second argument of a recurrent layer's call is initial_state.
        let into = match position {
            1 if layer.is_operation() && layer.class == "GetItem" => {
                call.key = Some(value);
                continue;
            }
            _ if layer.is_operation() && value.is_number() => {
                call.constant = value.as_f64();
                continue;
            }
            _ if layer.is_operation() => &mut *inputs,
            0 => &mut *inputs,
            1 if !value.is_null() => &mut *states,
            _ if value.is_null() => continue,
            _ => return Err(layer.unsupported("called with more arguments", "call it with one")),
        };
        keras_tensors(layer, value, into)?;
    }
    for (key, value) in node.get("kwargs").and_then(Value::as_object).into_iter().flatten() {
        match (key.as_str(), value) {
            (_, Value::Null) | ("training", Value::Bool(false)) => {}
            ("initial_state", value) => keras_tensors(layer, value, states)?,
            ("mask", value) => {
                let mut masks = Vec::new();
                // One for each input: none for those behind the first.
                let (first, others) = match value.as_array().and_then(|list| list.split_first()) {
                    Some((first, others)) => (first, others),
                    None => (value, &[][..]),
                };
                if others.iter().any(|other| !other.is_null()) {
                    let advice = "call it with one, that of its first input";
                    return Err(layer.unsupported("called with several masks", advice));
                }
                if !first.is_null() {
                    keras_tensors(layer, first, &mut masks)?;
                }
                call.mask = masks.pop();
            }
            _ => {
                let what = format!("called with {key}={value}");
                return Err(layer.unsupported(&what, "call it without"));
            }
        }
    }
    Ok(())
}

/// Collects serialized Keras tensors, alone or in lists.
fn keras_tensors(layer: &Layer<'_>, value: &Value, into: &mut Vec<Tensor>) -> Result<(), Error> {
    if let Value::Array(list) = value {
        return list.iter().try_for_each(|value| keras_tensors(layer, value, into));
    }
    let history = value.get("config").and_then(|config| config.get("keras_history"));
    history.and_then(|history| references(history, into)).ok_or_else(|| {
        let advice = "its inputs can only be results of layers";
        layer.unsupported(&format!("called on {value}"), advice)
    })
}

/// Puts calls behind those they depend on, otherwise in the order given.
fn sorted(calls: Vec<Call<'_>>) -> Result<Vec<Call<'_>>, Error> {
    let places: HashMap<(&str, usize), usize> =
        calls.iter().enumerate().map(|(i, call)| ((call.layer.name, call.number), i)).collect();
    let needed = |place: usize, which: usize| calls[place].tensors().nth(which);
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; calls.len()];
    let mut order = Vec::with_capacity(calls.len());
    for start in 0..calls.len() {
        // The calls that wait for each other, each with the argument it waits for.
        let mut waiting = vec![(start, 0)];
        while let Some(top) = waiting.len().checked_sub(1) {
            let (place, which) = waiting[top];
            if which == 0 && marks[place] == Mark::Done {
                waiting.pop();
                continue;
            }
            marks[place] = Mark::Open;
            let Some(tensor) = needed(place, which) else {
                marks[place] = Mark::Done;
                order.push(place);
                waiting.pop();
                continue;
            };
            waiting[top].1 += 1;
            let Some(&next) = places.get(&(tensor.layer.as_str(), tensor.call)) else {
                let label = calls[place].layer.label();
                return Err(problem(format!(
                    "{label} is called on '{}', which is nowhere",
                    tensor.layer
                )));
            };
            match marks[next] {
                Mark::New => waiting.push((next, 0)),
                Mark::Open => {
                    let label = calls[place].layer.label();
                    return Err(problem(format!("{label} depends on its own result")));
                }
                Mark::Done => {}
            }
        }
    }
    let mut calls: Vec<Option<Call<'_>>> = calls.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|place| calls[place].take()).collect())
}
