//! [`Model`] to [`Spec`], and its weights to tensors.

use std::collections::HashSet;

use super::Spec;
use super::grammar::{
    ConstantKind, Convention, NodeKind, NodeSpec, OutputSpec, Recurrence, RecurrentSpec,
    WeightsSpec,
};
use super::json::wrong;
use crate::Error;
use crate::model::{
    CellWeights, Direction, Element, MaskRule, Matrix, Merge, Model, Node, Op, OutputOrder, Port,
    Recurrent, RecurrentWeights, Shape, Value,
};

/// Describes a model whose weights are those of [`canonical_tensors`].
pub(super) fn spec(model: &Model) -> Result<Spec, Error> {
    check_names(model)?;
    for input in model.inputs() {
        if input.element == Element::Index && input.shape.features() != 1 {
            let problem = format!("indices of shape {} have no words here", input.shape);
            return Err(wrong(format!("input '{}'", input.name), problem));
        }
    }
    let nodes = model.nodes().iter().map(|n| node(model, n)).collect::<Result<_, _>>()?;
    let outputs = model.outputs().iter().map(|output| OutputSpec {
        name: output.name.clone(),
        value: model.value_name(output.value),
    });
    Ok(Spec {
        inputs: model.inputs().to_vec(),
        axes: model.axes(),
        nodes,
        outputs: outputs.collect(),
    })
}

/// The weights of every node, by name, with their shapes.
#[cfg(feature = "safetensors")]
pub(in crate::load) fn canonical_tensors(model: &Model) -> Vec<(String, Vec<usize>, &[f32])> {
    let mut tensors = Vec::new();
    for node in model.nodes() {
        let mut add = |name: &str, shape: Vec<usize>, values| {
            tensors.push((format!("{}.{name}", node.name), shape, values));
        };
        match &node.op {
            Op::Recurrent(layer) => {
                for (weights, side) in layer.weights().iter().zip(["", ".backward"]) {
                    for tensor in weights.tensors() {
                        add(&format!("{}{side}", tensor.name), tensor.shape, tensor.values);
                    }
                }
            }
            Op::Dense(dense) => {
                let weights = dense.weights();
                add("weights", vec![weights.rows(), weights.columns()], weights.values());
                if let Some(bias) = dense.bias() {
                    add("bias", vec![bias.len()], bias);
                }
            }
            Op::Embedding(embedding) => {
                let table = embedding.table();
                add("table", vec![table.rows(), table.columns()], table.values());
            }
            Op::ScaleShift(affine) => {
                add("scale", vec![affine.scale().len()], affine.scale());
                add("shift", vec![affine.shift().len()], affine.shift());
            }
            Op::Constant(constant) => {
                let (rows, shape) = (constant.rows(), constant.shape());
                let shape = match shape {
                    Shape::Vector { features } => vec![features],
                    _ => vec![rows.rows(), rows.columns()],
                };
                add("value", shape, rows.values());
            }
            _ => {}
        }
    }
    tensors
}

/// Fails if two values that a specification offers have one name.
fn check_names(model: &Model) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let inputs = model.inputs().iter().map(|input| input.name.clone());
    let nodes = model.nodes().iter().flat_map(|node| {
        let ports: &[Port] = match &node.op {
            Op::Recurrent(layer) if layer.cell().has_cell_state() => &Port::ALL,
            Op::Recurrent(_) => &Port::ALL[..3],
            _ => &Port::ALL[..1],
        };
        ports.iter().map(|port| format!("{}{}", node.name, port.suffix()))
    });
    for name in inputs.chain(nodes) {
        if !seen.insert(name.clone()) {
            return Err(Error::DuplicateName { what: "value", name });
        }
    }
    Ok(())
}

fn node(model: &Model, node: &Node) -> Result<NodeSpec, Error> {
    let name = |value: &Value| model.value_name(*value);
    let weights =
        WeightsSpec { convention: Convention::Ritornello, prefix: format!("{}.", node.name) };
    let mut inputs: Vec<String> = node.inputs.iter().map(name).collect();
    let kind = match &node.op {
        Op::Recurrent(layer) => {
            let mask = model.split_mask(node).1.and_then(|_| inputs.pop());
            let mut initial = inputs.split_off(1).into_iter();
            let mut spec = recurrent(layer).map_err(|problem| wrong(&node.name, problem))?;
            spec.initial_h = initial.next();
            spec.initial_c = initial.next();
            spec.mask = mask;
            NodeKind::Recurrent(spec, weights)
        }
        Op::Dense(dense) => NodeKind::Dense {
            activation: dense.activation(),
            bias: dense.bias().is_some(),
            weights,
        },
        Op::Embedding(_) => NodeKind::Embedding(weights),
        Op::Mask(MaskRule::AnyDiffers(value)) if !value.is_finite() => {
            return Err(wrong(
                &node.name,
                format!("a mask of the value {value} has no words here"),
            ));
        }
        Op::ScaleShift(_) => NodeKind::ScaleShift { eps: None, weights },
        Op::Constant(constant) => NodeKind::Constant {
            kind: match constant.shape() {
                Shape::Vector { .. } => ConstantKind::Vector,
                Shape::States { .. } => ConstantKind::States,
                Shape::Sequence { .. } => ConstantKind::Sequence,
            },
            tensor: format!("{}.value", node.name),
        },
        plain => NodeKind::Plain(plain.clone()),
    };
    Ok(NodeSpec { name: node.name.clone(), inputs, kind })
}

fn recurrent(layer: &Recurrent) -> Result<RecurrentSpec, &'static str> {
    let direction = layer.direction();
    if direction != Direction::Bidirectional && layer.merge != Merge::Concat {
        return Err("a layer of one direction has nothing to merge; leave `merge` at Concat");
    }
    if direction != Direction::Reverse && layer.order != OutputOrder::Time {
        return Err("only a reverse layer has an order to choose; leave `order` at Time");
    }
    let weights = layer.weights();
    let kinds = weights.iter().map(|weights| (recurrence(weights), weights.peepholes.is_some()));
    let kinds: Vec<_> = kinds.collect();
    if kinds.iter().any(|kind| *kind != kinds[0]) {
        return Err("one direction has a recurrent matrix or peepholes and the other none");
    }
    let (recurrence, peepholes) = kinds[0];
    Ok(RecurrentSpec {
        cell: layer.cell(),
        hidden_size: Some(layer.hidden_size()),
        layers: 1,
        direction,
        merge: Some(layer.merge),
        bias: weights.iter().any(|w| w.bias.is_some() || w.recurrent_bias.is_some()),
        recurrence,
        peepholes,
        proj_size: weights[0].projection.as_ref().map(Matrix::rows),
        initial_h: None,
        initial_c: None,
        order: layer.order,
        state_scope: layer.state_scope,
        mask: None,
        pad_output: layer.pad_output,
    })
}

fn recurrence(weights: &CellWeights) -> Recurrence {
    match weights.recurrent {
        RecurrentWeights::Matrix(_) => Recurrence::Matrix,
        RecurrentWeights::Diagonal(_) => Recurrence::Diagonal,
        RecurrentWeights::Identity => Recurrence::Identity,
    }
}
