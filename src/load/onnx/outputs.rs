//! The end of a graph: its outputs, and the order of axes that all of it has in common.

use super::Reason;
use super::axes::Role::{Batch, Time};
use super::known::Known;
use super::reader::Reader;
use super::view::{Atom, Form, View};
use super::{order, unrolled};
use crate::Error;
use crate::model::{
    Direction, Model, Node, Op, Output, OutputOrder, Port, Select, SequenceAxes, Shape, ShownAxis,
    Value,
};

/// How a value is shown to the caller.
struct Shown {
    axes: Vec<ShownAxis>,
    /// The order of batch and time, of a sequence.
    order: Option<SequenceAxes>,
}

/// Makes the model of what was read.
pub(super) fn finish(mut reader: Reader<'_, '_>) -> Result<Model, Error> {
    let (mut outputs, mut shown_outputs, mut orders) = (Vec::new(), Vec::new(), Vec::new());
    unrolled::collapse(&mut reader);
    let infos: Vec<&str> = reader.graph.outputs.iter().map(|info| info.name).collect();
    for name in infos {
        let view = match reader.known(name) {
            Some(Known::Data(view)) => view.clone(),
            Some(other) => return Err(refused(name, &format!("{}, and no data", other.name()))),
            None => {
                return Err(Error::Format {
                    container: "ONNX".into(),
                    problem: format!("no node makes the output '{name}'"),
                });
            }
        };
        let view = whole(&mut reader, &view).map_err(|Reason(reason)| refused(name, &reason))?;
        let shown = shown(&reader, name, &view.axes)?;
        orders.extend(shown.order.map(|order| (name.to_owned(), order)));
        shown_outputs.push(shown.axes);
        outputs.push(Output { name: name.into(), value: view.value });
    }
    let mut shown_inputs = Vec::new();
    for info in super::reader::given(reader.graph) {
        if reader.axes.lengths == Some(info.name) {
            continue;
        }
        let axes: Vec<Vec<Atom>> =
            reader.axes.of(info.name).map(|axis| vec![Atom::Axis(axis)]).collect();
        let shown = shown(&reader, info.name, &axes)?;
        orders.extend(shown.order.map(|order| (info.name.to_owned(), order)));
        shown_inputs.push(shown.axes);
    }
    let axes = orders.first().map_or(SequenceAxes::BatchTime, |(_, order)| *order);
    if let Some((other, _)) = orders.iter().find(|(_, order)| *order != axes) {
        let what = format!(
            "a sequence with batch and time in another order than '{}'; all of a model have one",
            orders[0].0
        );
        return Err(refused(other, &what));
    }
    order::sort(&mut reader.nodes, &mut outputs);
    prune(&mut reader.nodes, &mut outputs);
    let (named, unlike) = (reader.axes.lengths, reader.unlike_lengths);
    let Reader { inputs, nodes, .. } = reader;
    let model = Model::new(inputs, nodes, outputs, axes)?;
    if let Some(name) = named {
        lengths(&model, name, unlike)?;
    }
    model.with_shown_axes(shown_inputs, shown_outputs)
}

/// Leaves out nodes from which nothing goes to an output.
fn prune(nodes: &mut Vec<Node>, outputs: &mut [Output]) {
    let mut used = vec![false; nodes.len()];
    let mark = |value: Value, used: &mut [bool]| {
        if let Value::Node { node, .. } = value {
            used[node] = true;
        }
    };
    outputs.iter().for_each(|output| mark(output.value, &mut used));
    for node in (0..nodes.len()).rev() {
        if used[node] {
            nodes[node].inputs.iter().for_each(|&value| mark(value, &mut used));
        }
    }
    let mut places = Vec::with_capacity(nodes.len());
    let mut next = 0;
    for &used in &used {
        places.push(next);
        next += usize::from(used);
    }
    let moved = |value: &mut Value| {
        if let Value::Node { node, .. } = value {
            *node = places[*node];
        }
    };
    let mut used = used.into_iter();
    nodes.retain(|_| used.next().unwrap_or(false));
    nodes.iter_mut().flat_map(|node| &mut node.inputs).for_each(&moved);
    outputs.iter_mut().for_each(|output| moved(&mut output.value));
}

/// The error that an input or output cannot be shown to a caller as it is in the graph.
fn refused(name: &str, what: &str) -> Error {
    Error::Unsupported {
        what: format!("'{name}', which is {what}"),
        advice: "inputs and outputs are [batch, time, features] or [time, batch, features], \
                 [batch, features], and states [count, batch, features]; features may be several \
                 axes behind the batch and time, of outputs the first of them also right before the \
                 second of batch and time"
            .into(),
    }
}

/// The view as the whole of a value.
fn whole(reader: &mut Reader<'_, '_>, view: &View) -> Result<View, Reason> {
    let mut view = view.clone();
    in_order_of_steps(reader, &mut view);
    let mut view = reader.settled(&view)?;
    if view.form == Form::States(1) && view.rank() == 2 {
        view.value = reader.select(view.value, Select::State(0));
        view.form = Form::Vector;
    }
    if view.index {
        return Err(Reason("indices, as they were given".into()));
    }
    Ok(view)
}

/// From which nodes anything goes to an output.
fn used(reader: &Reader<'_, '_>) -> Vec<bool> {
    let mut used = vec![false; reader.nodes.len()];
    let outputs = reader.graph.outputs.iter().filter_map(|info| match reader.known(info.name) {
        Some(Known::Data(view)) => Some(view.value),
        _ => None,
    });
    let mut waiting: Vec<Value> = outputs.collect();
    while let Some(value) = waiting.pop() {
        if let Value::Node { node, .. } = value
            && !std::mem::replace(&mut used[node], true)
        {
            waiting.extend(&reader.nodes[node].inputs);
        }
    }
    used
}

/// Lets a layer hand out its steps in the order in which it takes them, if that is what an output
/// shows, and nothing else looks at them.
fn in_order_of_steps(reader: &mut Reader<'_, '_>, view: &mut View) {
    let Value::Node { node, port: Port::Main } = view.value else { return };
    let used = used(reader);
    let nodes = reader.nodes.iter().zip(&used).filter(|(_, used)| **used).map(|(node, _)| node);
    let users = nodes.flat_map(|node| &node.inputs).filter(|&&v| v == view.value);
    let outputs = reader.graph.outputs.iter().filter_map(|info| reader.known(info.name));
    let shown = outputs.filter(|k| matches!(k, Known::Data(other) if other.value == view.value));
    if !view.reversed || users.count() > 0 || shown.count() > 1 {
        return;
    }
    if let Op::Recurrent(layer) = &mut reader.nodes[node].op
        && layer.direction() == Direction::Reverse
    {
        layer.order = OutputOrder::Processing;
        view.reversed = false;
    }
}

/// The axes of a caller's array.
fn shown(reader: &Reader<'_, '_>, name: &str, axes: &[Vec<Atom>]) -> Result<Shown, Error> {
    let (mut result, mut order) = (Vec::new(), Vec::new());
    let is_row = |atom: &&Atom| matches!(atom, Atom::Row { .. });
    let rows = axes.iter().flatten().take_while(is_row).count();
    if rows > 0 && axes.iter().flatten().filter(|atom| !is_row(atom)).count() > 1 {
        return Err(refused(name, "a tensor with features in front of its batch, time and states"));
    }
    for atoms in axes {
        let mut length = 1_usize;
        for &atom in atoms {
            let size = match atom {
                Atom::Axis(axis) => {
                    let role = reader.axes.role(axis);
                    if atoms.len() > 1 && matches!(role, Some(Batch | Time)) {
                        return Err(refused(
                            name,
                            "a tensor whose batch or time is joined with another axis",
                        ));
                    }
                    order.extend(role.filter(|role| matches!(role, Batch | Time)));
                    reader.axes.size(axis).unwrap_or(1)
                }
                Atom::States(count) => count,
                Atom::Row { len, .. } => len,
            };
            length = length.saturating_mul(size);
        }
        let role = match atoms[..] {
            [Atom::Axis(axis)] => reader.axes.role(axis).map(|role| (role, reader.axes.size(axis))),
            _ => None,
        };
        result.push(match role {
            Some((Batch, _)) => ShownAxis::Batch,
            Some((Time, None)) => ShownAxis::Time,
            _ => ShownAxis::Length(length),
        });
    }
    let order = match order[..] {
        [Batch, Time] => Some(SequenceAxes::BatchTime),
        [Time, Batch] => Some(SequenceAxes::TimeBatch),
        [Batch] => None,
        _ => return Err(refused(name, "a tensor without one batch, or with more than one time")),
    };
    Ok(Shown { axes: result, order })
}

/// Which nodes give sequences of layers, several behind each other, or parts of these: zero in the
/// padding.
fn of_layers(model: &Model) -> Vec<bool> {
    let mut found = Vec::with_capacity(model.nodes().len());
    for Node { op, inputs, .. } in model.nodes() {
        let zero = |value: &Value| match *value {
            Value::Node { node, .. } => found[node],
            Value::Input(_) => false,
        };
        found.push(match op {
            Op::Recurrent(_) => true,
            Op::Concat | Op::Select(Select::Features { .. }) => inputs.iter().all(zero),
            _ => false,
        });
    }
    found
}

/// Holds `sequence_lens` against what the lengths of a run do to everything else; `unlike` says that a
/// recurrent node takes all steps.
fn lengths(model: &Model, name: &str, unlike: bool) -> Result<(), Error> {
    let wrong = |what: String| Error::Unsupported {
        what: format!("sequence_lens '{name}' of a graph in which {what}"),
        advice: "the lengths of a run hold for all of a model: leave sequence_lens out, and give \
                 the lengths to run_lengths"
            .into(),
    };
    if unlike {
        return Err(wrong("another recurrent node takes all steps".into()));
    }
    for node in model.nodes() {
        let over_time = matches!(
            node.op,
            Op::MeanOverTime | Op::MaxOverTime | Op::Flatten | Op::Select(Select::Step(_))
        );
        if over_time {
            return Err(wrong(format!("'{}' works over time, padding too", node.name)));
        }
    }
    let zero = of_layers(model);
    for output in model.outputs() {
        let zero = match output.value {
            Value::Node { node, .. } => zero[node],
            Value::Input(_) => true,
        };
        let sequence = matches!(model.shape(output.value)?, Shape::Sequence { .. });
        if sequence && !zero {
            return Err(wrong(format!("output '{}' is computed from padding too", output.name)));
        }
    }
    Ok(())
}
