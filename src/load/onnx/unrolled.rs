//! An Elman network written out step by step, as PyTorch's dynamo exporter does for `nn.RNN` over a
//! fixed number of steps: recognised where its steps are joined along time.

use super::Reason;
use super::call::Call;
use super::reader::Reader;
use super::view::{Atom, Form, View, row};
use crate::model::{
    Activation, Cell, CellWeights, Dense, Direction, Node, Op, Port, Recurrent, RecurrentWeights,
    Select, Value,
};

/// One step: `activation(step of a sequence + U h + b)`.
struct Link<'m> {
    activation: Activation,
    sequence: Value,
    step: isize,
    before: Before<'m>,
}

/// The state that a step starts from.
enum Before<'m> {
    /// A state, and what it is multiplied by.
    State(Value, &'m Dense),
    /// Zero: of its product the bias is left.
    Zero(&'m [f32]),
}

/// The sequence that the joined steps of a network are, if that is what they are.
pub(super) fn recognised(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    views: &[View],
    axis: usize,
) -> Result<Option<View>, Reason> {
    let plain = |view: &View| {
        view.form == Form::Vector
            && view.axes[axis].is_empty()
            && view.start == 0
            && view.rank() == 3
    };
    if views.len() < 2 || !views.iter().all(plain) {
        return Ok(None);
    }
    let values: Vec<Value> = views.iter().map(|view| view.value).collect();
    let Some((layer, input, initial)) = chain(&reader.nodes, &values) else { return Ok(None) };
    let Some(time) = time_axis(reader, input, views.len()) else { return Ok(None) };
    let units = layer.hidden_size();
    let mut inputs = vec![input];
    inputs.extend(initial);
    let backwards = layer.direction() == Direction::Reverse;
    let value = reader.emit(call.name(), Op::Recurrent(layer), &inputs);
    // What looks at single steps looks at the layer from now on.
    for (step, &old) in values.iter().enumerate() {
        let last = if backwards { step == 0 } else { step + 1 == values.len() };
        let new = match value {
            Value::Node { node, .. } if last => Value::Node { node, port: Port::Last },
            _ => reader.select(value, Select::Step(isize::try_from(step).unwrap_or(isize::MAX))),
        };
        reader.replace(old, new);
    }
    let mut axes = views[0].axes.clone();
    axes[axis] = vec![Atom::Axis(time)];
    if let Some(last) = axes.last_mut() {
        *last = row(units, 1);
    }
    Ok(Some(View { sole: false, ..View::new(value, Form::Sequence, units, axes) }))
}

/// The axis of time of the sequence `input`, if it has so many steps.
fn time_axis(reader: &Reader<'_, '_>, input: Value, steps: usize) -> Option<usize> {
    let time = reader.time_of(input)?;
    (reader.axes.size(time) == Some(steps)).then_some(time)
}

/// The layer that gives these values, its sequence, and where it starts if that is not zero.
fn chain(nodes: &[Node], values: &[Value]) -> Option<(Recurrent, Value, Option<Value>)> {
    let links: Vec<Link<'_>> =
        values.iter().map(|&value| link(nodes, value)).collect::<Option<_>>()?;
    let follows = |link: &Link<'_>, before: Value| matches!(link.before, Before::State(state, _) if state == before);
    let count = links.len();
    let forward = (1..count).all(|step| follows(&links[step], values[step - 1]));
    let reverse = (1..count).all(|step| follows(&links[step - 1], values[step]));
    let (direction, first, second) = match (forward, reverse) {
        (true, false) => (Direction::Forward, &links[0], &links[1]),
        (false, true) => (Direction::Reverse, &links[count - 1], &links[count - 2]),
        _ => return None,
    };
    let Before::State(_, recurrent) = second.before else { return None };
    for (step, link) in links.iter().enumerate() {
        let place = isize::try_from(step).ok()?;
        let last = step + 1 == count && link.step == -1;
        let alike = match link.before {
            Before::State(_, dense) => dense == recurrent,
            Before::Zero(_) => std::ptr::eq(link, first),
        };
        let same = link.activation == first.activation && link.sequence == first.sequence;
        if !(alike && same && (link.step == place || last)) {
            return None;
        }
    }
    let initial = match first.before {
        Before::State(state, _) => Some(state),
        // The product with zero leaves the bias.
        Before::Zero(bias) if recurrent.bias().unwrap_or_default() == bias => None,
        Before::Zero(bias) if recurrent.bias().is_none() && bias.iter().all(|&b| b == 0.0) => None,
        Before::Zero(_) => return None,
    };
    let Value::Node { node, port: Port::Main } = first.sequence else { return None };
    let Node { op: Op::Dense(input), inputs, .. } = &nodes[node] else { return None };
    let linear = |dense: &Dense| dense.activation() == Activation::Linear;
    if !linear(input) || !linear(recurrent) {
        return None;
    }
    let weights = CellWeights {
        bias: input.bias().map(<[f32]>::to_vec),
        recurrent_bias: recurrent.bias().map(<[f32]>::to_vec),
        ..CellWeights::new(
            input.weights().clone(),
            RecurrentWeights::Matrix(recurrent.weights().clone()),
        )
    };
    let cell = Cell::simple_rnn(first.activation);
    let layer = Recurrent::new(cell, direction, vec![weights]).ok()?;
    Some((layer, inputs[0], initial))
}

fn node(nodes: &[Node], value: Value) -> Option<&Node> {
    match value {
        Value::Node { node, port: Port::Main } => nodes.get(node),
        _ => None,
    }
}

fn link(nodes: &[Node], value: Value) -> Option<Link<'_>> {
    let Node { op: Op::Activation(activation), inputs, .. } = node(nodes, value)? else {
        return None;
    };
    let sum = node(nodes, inputs[0])?;
    let (step, before) = match (&sum.op, &sum.inputs[..]) {
        (Op::Add, &[a, b]) => {
            let (dense, step) = match (node(nodes, a), node(nodes, b)) {
                (Some(Node { op: Op::Dense(dense), inputs, .. }), _) => ((inputs[0], dense), b),
                (_, Some(Node { op: Op::Dense(dense), inputs, .. })) => ((inputs[0], dense), a),
                _ => return None,
            };
            (step, Before::State(dense.0, dense.1))
        }
        (Op::ScaleShift(affine), &[of]) if affine.scale().iter().all(|&s| s == 1.0) => {
            (of, Before::Zero(affine.shift()))
        }
        (Op::Select(_), _) => (inputs[0], Before::Zero(&[])),
        _ => return None,
    };
    let Node { op: Op::Select(Select::Step(place)), inputs, .. } = node(nodes, step)? else {
        return None;
    };
    Some(Link { activation: *activation, sequence: inputs[0], step: *place, before })
}
