//! A recurrent node of a specification: one model node for each layer, and the values it offers.

use super::grammar::{NodeSpec, RecurrentSpec, WeightsSpec};
use super::names::{Names, Offer};
use super::weights;
use crate::Error;
use crate::load::tensors::Tensors;
use crate::model::{Direction, Merge, Op, Port, Recurrent, Select, Value};

/// A value that must hold this many states.
pub(super) struct StateCount {
    pub(super) place: String,
    pub(super) value: Value,
    pub(super) count: usize,
}

/// Adds the layers, named `NAME.0`, `NAME.1`, ... and the last one `NAME`.
pub(super) fn add(
    node: &NodeSpec,
    spec: &RecurrentSpec,
    place: &WeightsSpec,
    inputs: &[Value],
    tensors: &Tensors,
    names: &mut Names,
    counts: &mut Vec<StateCount>,
) -> Result<(), Error> {
    let &[mut input] = inputs else {
        return Err(Error::Shape {
            what: "the inputs".into(),
            expected: "one sequence; states have the keys initial_h and initial_c, a mask has mask"
                .into(),
            found: inputs.len().to_string(),
        });
    };
    let directions = spec.direction.count();
    let mut initial = Vec::new();
    for (key, state) in [("initial_h", &spec.initial_h), ("initial_c", &spec.initial_c)] {
        if let Some(state) = state {
            let value = names.value(state)?;
            if spec.layers > 1 {
                let place = format!("{}: {key} '{state}'", node.name);
                let count = spec.layers.saturating_mul(directions);
                counts.push(StateCount { place, value, count });
            }
            initial.push((key, value));
        }
    }
    let mask = spec.mask.as_ref().map(|mask| names.value(mask)).transpose()?;
    let mut nodes = Vec::new();
    let mut features = 0;
    for layer in 0..spec.layers {
        let last = layer + 1 == spec.layers;
        let name = if last { node.name.clone() } else { format!("{}.{layer}", node.name) };
        let mut values = vec![input];
        for &(key, value) in &initial {
            values.push(if spec.layers == 1 {
                value
            } else {
                let (start, end) = (layer * directions, (layer + 1) * directions);
                let name = format!("{}.{layer}.{key}", node.name);
                names.graph.select(&name, Select::States { start, end }, value)
            });
        }
        values.extend(mask);
        let label = format!("node '{}'", node.name);
        let recurrent = one(spec, weights::cells(tensors, place, spec, layer, &label)?)?;
        features = recurrent.state_size();
        input = names.graph.node(&name, Op::Recurrent(recurrent), &values);
        nodes.push(input);
    }
    offer(node, spec, &nodes, features, names)
}

/// One layer.
fn one(spec: &RecurrentSpec, weights: Vec<crate::model::CellWeights>) -> Result<Recurrent, Error> {
    let mut layer = Recurrent::new(spec.cell, spec.direction, weights)?;
    for (key, said, found) in [
        ("hidden_size", spec.hidden_size, layer.hidden_size()),
        ("proj_size", spec.proj_size, layer.state_size()),
    ] {
        if let Some(said) = said.filter(|&said| said != found) {
            return Err(Error::Shape {
                what: key.into(),
                expected: format!("{said} as the spec says"),
                found: format!("{found} in the weights"),
            });
        }
    }
    layer.merge = spec.merge.unwrap_or(Merge::Concat);
    layer.order = spec.order;
    layer.state_scope = spec.state_scope;
    layer.pad_output = spec.pad_output;
    Ok(layer)
}

fn port(value: Value, port: Port) -> Value {
    match value {
        Value::Node { node, .. } => Value::Node { node, port },
        input @ Value::Input(_) => input,
    }
}

/// Names the results.
fn offer(
    node: &NodeSpec,
    spec: &RecurrentSpec,
    layers: &[Value],
    features: usize,
    names: &mut Names,
) -> Result<(), Error> {
    let top = layers[layers.len() - 1];
    let name = &node.name;
    for kind in [Port::FinalHidden, Port::FinalCell] {
        if kind == Port::FinalCell && !spec.cell.has_cell_state() {
            continue;
        }
        let states: Vec<Value> = layers.iter().map(|&layer| port(layer, kind)).collect();
        let offer = match states[..] {
            [only] => Offer::Value(only),
            _ => Offer::Made {
                node: format!("{name}.stacked_{}", &kind.suffix()[1..]),
                op: Op::Stack,
                inputs: states,
            },
        };
        names.offer(format!("{name}{}", kind.suffix()), offer)?;
    }
    for kind in [Port::Main, Port::Last] {
        let value = port(top, kind);
        let suffix = kind.suffix();
        if spec.merge.is_some() || spec.direction != Direction::Bidirectional {
            names.offer(format!("{name}{suffix}"), Offer::Value(value))?;
            continue;
        }
        for (side, start) in [("forward", 0), ("backward", features)] {
            let side = format!("{name}.{side}{suffix}");
            let op = Op::Select(Select::Features { start, end: start + features });
            let made = Offer::Made { node: side.clone(), op, inputs: vec![value] };
            names.offer(side, made)?;
        }
    }
    Ok(())
}
