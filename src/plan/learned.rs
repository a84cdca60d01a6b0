//! Learned initial states: computed once, when a plan is made.
//!
//! What a layer starts from may be a constant of the model, or anything made of constants. That part
//! of the model, which has no inputs, is a model of its own; a plan runs it for a single row.

use ritornello_kernels::Isa;

use super::stage::Start;
use super::{PlanOptions, Threads};
use crate::model::{Model, Node, Output, Value};
use crate::{Error, Values};

/// What each recurrent layer starts from, by node; `None` for zero and for what inputs give.
pub(super) fn starts(
    model: &Model,
    isa: Isa,
    options: &PlanOptions,
) -> Result<Vec<Option<Start>>, Error> {
    let constant = model.constant_nodes();
    let learned: Vec<Option<&[Value]>> =
        (0..model.nodes().len()).map(|node| model.learned_states(node, &constant)).collect();
    let wanted: Vec<Value> = learned.iter().flatten().copied().flatten().copied().collect();
    if wanted.is_empty() {
        return Ok(vec![None; learned.len()]);
    }
    let options = options.clone().isa(isa).threads(Threads::one());
    let plan = part(model, &wanted)?.into_plan(options)?;
    let results = plan.session(1, 0)?.run_arrays(&[])?;
    let mut rows = results.into_iter().map(|(_, array)| match array.into_parts() {
        (_, Values::F32(numbers)) => numbers,
        (_, Values::Index(_)) => unreachable!("outputs are real numbers"),
    });
    let starts = learned.into_iter().map(|states| {
        let mut row = || rows.next().unwrap_or_default().into();
        states.map(|states| Start {
            hidden: row(),
            cell: if states.len() > 1 { row() } else { [].into() },
        })
    });
    Ok(starts.collect())
}

/// Which nodes of a model run: all but those that only learned states are made of.
pub(super) fn nodes_to_run(model: &Model, starts: &[Option<Start>]) -> Vec<bool> {
    let mut runs: Vec<bool> = model.constant_nodes().iter().map(|constant| !constant).collect();
    let outputs: Vec<Value> = model.outputs().iter().map(|output| output.value).collect();
    mark(&mut runs, &outputs);
    for (index, node) in model.nodes().iter().enumerate().rev() {
        if runs[index] {
            let (inputs, mask) = inputs(model, node, starts[index].as_ref());
            mark(&mut runs, inputs);
            mark(&mut runs, mask.as_slice());
        }
    }
    runs
}

/// What a node reads while it runs, and its mask: of a layer that has learned what it starts from,
/// the sequence alone.
pub(super) fn inputs<'a>(
    model: &Model,
    node: &'a Node,
    start: Option<&Start>,
) -> (&'a [Value], Option<Value>) {
    let (inputs, mask) = model.split_mask(node);
    (if start.is_some() { &inputs[..1] } else { inputs }, mask)
}

/// Marks the nodes of some values.
fn mark(nodes: &mut [bool], values: &[Value]) {
    for value in values {
        if let Value::Node { node, .. } = *value {
            nodes[node] = true;
        }
    }
}

/// The part of a model that gives some values which are made of constants.
fn part(model: &Model, wanted: &[Value]) -> Result<Model, Error> {
    let mut needed = vec![false; model.nodes().len()];
    mark(&mut needed, wanted);
    for index in (0..needed.len()).rev() {
        if needed[index] {
            mark(&mut needed, &model.nodes()[index].inputs);
        }
    }
    let mut nodes = Vec::new();
    let mut places = vec![0; needed.len()];
    let moved = |value: Value, places: &[usize]| match value {
        Value::Node { node, port } => Value::Node { node: places[node], port },
        input @ Value::Input(_) => input,
    };
    for (index, node) in model.nodes().iter().enumerate().filter(|(index, _)| needed[*index]) {
        places[index] = nodes.len();
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|value| *value = moved(*value, &places));
        nodes.push(node);
    }
    let outputs = wanted
        .iter()
        .enumerate()
        .map(|(index, &value)| Output { name: index.to_string(), value: moved(value, &places) });
    Model::new(Vec::new(), nodes, outputs.collect(), model.axes())
}
