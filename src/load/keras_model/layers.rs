//! A topology and its weights to a model.

use std::collections::{HashMap, HashSet};

use super::config::Layer;
use super::graph::{Graph, Produced};
use super::masks::Mask;
use super::topology::{Call, Tensor, Topology};
use super::{File, KerasMask, bidirectional, elementwise, inside, masks, operations, recurrent};
use crate::Error;
use crate::model::{Element, Extent, Model, Op, Select, Shape};

/// Makes the model.
pub(super) fn model(topology: &Topology<'_>, file: &File, mask: KerasMask) -> Result<Model, Error> {
    let mut graph = Graph::default();
    graph.indices = indices(topology);
    graph.rules = masks::MaskRules::of(file.version);
    // Inputs come first, in the order in which the model is called.
    for (index, tensor) in topology.inputs.iter().enumerate() {
        let call = topology.calls.iter().find(|call| call.layer.name == tensor.layer);
        let Some(call) = call.filter(|call| call.layer.class == "InputLayer") else {
            let problem = format!("the input '{}' is no InputLayer", tensor.layer);
            return Err(inside("config.json", &problem));
        };
        let element = if graph.is_index(tensor) { Element::Index } else { Element::F32 };
        let shape = input_shape(&call.layer, index, element)?;
        if index == 0 && mask == KerasMask::InLastFeature {
            masked_input(tensor, &call.layer, shape, element, &mut graph)?;
            continue;
        }
        let axes = call.layer.get("batch_shape").and_then(|shape| shape.as_array()).map(Vec::len);
        graph.axes.extend(axes.map(|axes| (tensor.clone(), axes)));
        let value = graph.builder.input(call.layer.name, shape, element);
        graph.enter(tensor.clone(), Produced::Value(value));
    }
    for call in &topology.calls {
        add(call, file, &mut graph)?;
    }
    for (input, mask) in &topology.masks {
        if graph.flow(input) != graph.truths(mask) {
            return Err(Error::Unsupported {
                what: format!("a model inside called on '{}' with another mask", input.layer),
                advice: "call it without; it gets the mask of its input".into(),
            });
        }
    }
    let mut total: HashMap<&str, usize> = HashMap::new();
    for name in &topology.names {
        *total.entry(name).or_insert(0) += 1;
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (output, name) in topology.outputs.iter().zip(&topology.names) {
        let value = graph.value(output)?;
        let number = seen.entry(name).or_insert(0);
        if total[name.as_str()] > 1 {
            graph.builder.output(&format!("{name}_{number}"), value);
        } else {
            graph.builder.output(name, value);
        }
        *number += 1;
    }
    graph.builder.build()
}

/// An input that the caller gives with a mask behind its features.
fn masked_input(
    tensor: &Tensor,
    layer: &Layer<'_>,
    shape: Shape,
    element: Element,
    graph: &mut Graph,
) -> Result<(), Error> {
    let features = shape.features();
    if element == Element::Index || !matches!(shape, Shape::Sequence { .. }) {
        let advice = "a mask goes with a sequence of numbers; for indices use \
                      Embedding(mask_zero=True)";
        return Err(layer.unsupported("called with a mask", advice));
    }
    let both = graph.builder.input(layer.name, shape.with_features(features + 1), element);
    let mut part = |name: &str, start, end| {
        let select = Op::Select(Select::Features { start, end });
        graph.builder.node(&format!("{}.{name}", layer.name), select, &[both])
    };
    let (numbers, mask) = (part("numbers", 0, features), part("mask", features, features + 1));
    graph.enter(tensor.clone(), Produced::Value(numbers));
    graph.flows.insert(tensor.clone(), Mask::Steps(mask));
    Ok(())
}

/// The input layers that an embedding reads, whatever type they declare.
fn indices(topology: &Topology<'_>) -> HashSet<String> {
    let embeddings = topology.calls.iter().filter(|call| call.layer.class == "Embedding");
    embeddings.flat_map(|call| call.inputs.iter().map(|tensor| tensor.layer.clone())).collect()
}

fn input_shape(layer: &Layer<'_>, index: usize, element: Element) -> Result<Shape, Error> {
    layer.know(&["batch_shape", "dtype", "sparse", "ragged", "optional"])?;
    let numbers = layer.get("dtype").and_then(|dtype| dtype.as_str()).unwrap_or("float32");
    if element == Element::F32 && !numbers.contains("float") {
        let advice = "an input is floating point unless an Embedding reads it";
        return Err(layer.unsupported(&format!("with dtype {numbers}"), advice));
    }
    for key in ["sparse", "ragged", "optional"] {
        if layer.switch(key, false)? {
            return Err(layer.unsupported(&format!("with {key}=True"), "use a plain input"));
        }
    }
    let shape = layer.get("batch_shape").and_then(|shape| shape.as_array());
    let known = |axis: &serde_json::Value| usize::try_from(axis.as_u64()?).ok();
    let time = |axis: &serde_json::Value| known(axis).map_or(Extent::Input(index), Extent::Fixed);
    let fits = match (shape.map(Vec::as_slice), element) {
        (Some([_]), Element::Index) => Some(Shape::Vector { features: 1 }),
        (Some([_, steps]), Element::Index) => {
            Some(Shape::Sequence { time: time(steps), features: 1 })
        }
        (Some([_, features]), Element::F32) => {
            known(features).map(|features| Shape::Vector { features })
        }
        (Some([_, steps, features]), Element::F32) => {
            known(features).map(|features| Shape::Sequence { time: time(steps), features })
        }
        _ => None,
    };
    fits.ok_or_else(|| {
        let found = layer.get("batch_shape").map_or("nothing".into(), ToString::to_string);
        let advice = "an input is a sequence (batch, time, features), a vector (batch, \
                      features), or indices (batch, time) for an Embedding";
        layer.unsupported(&format!("of shape {found}"), advice)
    })
}

/// Adds what one call computes.
fn add(call: &Call<'_>, file: &File, graph: &mut Graph) -> Result<(), Error> {
    let axes = call.inputs.first().and_then(|tensor| graph.axes.get(tensor)).copied();
    let layer = &call.layer.called_on(axes);
    let path = format!("layers/{}", call.path);
    if layer.class == "InputLayer" {
        return Ok(());
    }
    let name = match call.number {
        0 => call.name.clone(),
        number => format!("{}.call_{number}", call.name),
    };
    let result = |index: usize| Tensor { layer: call.name.clone(), call: call.number, index };
    if layer.is_operation() {
        let Some((op, axes)) = operations::of_numbers(call, axes, graph)? else {
            let mask = masks::operation(call, graph)?;
            graph.truths.insert(result(0), mask);
            return Ok(());
        };
        let inputs = call.inputs.iter().map(|t| graph.value(t)).collect::<Result<Vec<_>, _>>()?;
        let value = graph.builder.node(&name, op, &inputs);
        graph.enter(result(0), Produced::Value(value));
        graph.axes.extend(axes.map(|axes| (result(0), axes)));
        return Ok(());
    }
    elementwise::expect_known(layer)?;
    if let Some(name) = file.names.get(&format!("{path}/vars")).filter(|name| *name != layer.name) {
        let problem = format!("'{path}' belongs to '{name}', expected {}", layer.label());
        return Err(inside("model.weights.h5", &problem));
    }
    let recurrent = matches!(layer.class, "SimpleRNN" | "LSTM" | "GRU" | "RNN" | "Bidirectional");
    let many = matches!(layer.class, "Concatenate" | "Add" | "Multiply");
    if !recurrent && !call.initial_state.is_empty() {
        return Err(layer.unsupported("called with more arguments", "call it with one"));
    }
    if !many && call.inputs.len() != 1 {
        let what = format!("called on {} tensors", call.inputs.len());
        return Err(layer.unsupported(&what, "call it on one"));
    }
    masks::check(call, graph)?;
    if recurrent {
        let results = if layer.class == "Bidirectional" {
            bidirectional::both_ways(call, &name, &path, file, graph)?
        } else {
            recurrent::one_way(call, &name, &path, file, graph)?
        };
        let count = results.produced.len();
        for (index, produced) in results.produced.into_iter().enumerate() {
            graph.enter(result(index), produced);
        }
        graph
            .axes
            .extend((0..count).map(|i| (result(i), if i < results.sequences { 3 } else { 2 })));
        let mask = masks::handed_on(call, graph);
        graph.flows.extend((0..results.sequences).filter_map(|index| Some((result(index), mask?))));
        return Ok(());
    }
    let mut inputs = call.inputs.iter().map(|t| graph.value(t)).collect::<Result<Vec<_>, _>>()?;
    let mut flow = masks::handed_on(call, graph);
    if let Some(rule) = masks::made(layer)? {
        let mask = graph.mask(&call.name, inputs[0], rule);
        flow = Some(Mask::Steps(mask));
        if layer.class == "Masking" {
            inputs.push(mask);
        }
    }
    if layer.class == "GlobalAveragePooling1D" {
        inputs.extend(masks::used(call, graph)?);
    }
    let op = match layer.class {
        "Masking" => Some(Op::Masked),
        "Concatenate" => {
            layer.know(&["axis"])?;
            layer.expect_last_axis("axis")?;
            Some(Op::Concat)
        }
        "Add" | "Multiply" => {
            layer.know(&[])?;
            Some(if layer.class == "Add" { Op::Add } else { Op::Multiply })
        }
        _ => elementwise::op(layer, &path, file)?,
    };
    let axes = match layer.class {
        "Embedding" => axes.map(|axes| axes + 1),
        "RepeatVector" => Some(3),
        "Flatten" | "GlobalAveragePooling1D" | "GlobalMaxPooling1D" => Some(2),
        _ => axes,
    };
    graph.axes.extend(axes.map(|axes| (result(0), axes)));
    let value = match op {
        Some(op) => graph.builder.node(&name, op, &inputs),
        None => inputs[0],
    };
    graph.enter(result(0), Produced::Value(value));
    graph.flows.extend(flow.map(|mask| (result(0), mask)));
    Ok(())
}
