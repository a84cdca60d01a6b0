//! [`Spec`] and tensors to [`Model`].

use super::Spec;
use super::grammar::{NodeKind, NodeSpec};
use super::names::{Names, Offer};
use super::recurrent::{self, StateCount};
use super::weights;
use crate::Error;
use crate::load::tensors::Tensors;
use crate::model::{Model, Op, Shape};

/// Makes the model.
pub(super) fn model(spec: &Spec, tensors: &Tensors) -> Result<Model, Error> {
    let mut names = Names::default();
    names.graph.axes(spec.axes);
    for input in &spec.inputs {
        let value = names.graph.input(&input.name, input.shape, input.element);
        names.offer(input.name.clone(), Offer::Value(value))?;
    }
    let mut counts = Vec::new();
    for node in &spec.nodes {
        add(node, tensors, &mut names, &mut counts).map_err(|error| error.within(&node.name))?;
    }
    for output in &spec.outputs {
        let value = names.value(&output.value)?;
        names.graph.output(&output.name, value);
    }
    let model = names.graph.build()?;
    for StateCount { place, value, count } in counts {
        match model.shape(value)? {
            Shape::States { count: found, .. } if found == count => {}
            found => {
                return Err(Error::Shape {
                    what: place,
                    expected: format!("[layers × directions={count}, batch, hidden]"),
                    found: found.to_string(),
                });
            }
        }
    }
    Ok(model)
}

fn add(
    node: &NodeSpec,
    tensors: &Tensors,
    names: &mut Names,
    counts: &mut Vec<StateCount>,
) -> Result<(), Error> {
    let inputs = node.inputs.iter().map(|name| names.value(name)).collect::<Result<Vec<_>, _>>()?;
    let label = format!("node '{}'", node.name);
    let op = match &node.kind {
        NodeKind::Recurrent(spec, place) => {
            return recurrent::add(node, spec, place, &inputs, tensors, names, counts);
        }
        NodeKind::Dense { activation, bias, weights } => {
            Op::Dense(weights::dense(tensors, weights, *bias, *activation, &label)?)
        }
        NodeKind::Embedding(weights) => {
            Op::Embedding(weights::embedding(tensors, weights, &label)?)
        }
        NodeKind::ScaleShift { eps, weights } => {
            Op::ScaleShift(weights::scale_shift(tensors, weights, *eps, &label)?)
        }
        NodeKind::Constant { kind, tensor } => {
            Op::Constant(weights::constant(tensors, *kind, tensor, &label)?)
        }
        NodeKind::Plain(op) => op.clone(),
        NodeKind::Dropout => {
            let &[input] = &inputs[..] else {
                return Err(Error::Shape {
                    what: "the inputs of dropout".into(),
                    expected: "one value".into(),
                    found: inputs.len().to_string(),
                });
            };
            return names.offer(node.name.clone(), Offer::Value(input));
        }
    };
    let value = names.graph.node(&node.name, op, &inputs);
    names.offer(node.name.clone(), Offer::Value(value))
}
