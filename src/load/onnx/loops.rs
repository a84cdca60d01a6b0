//! `Loop` as tf2onnx writes Keras' `SimpleRNN` and `GRU`: a step of the sequence, a cell, and a
//! condition that holds for as many steps as there are.

use super::Reason;
use super::axes::Role;
use super::call::Call;
use super::cells::Step;
use super::dims::Dim;
use super::known::{Known, Sizes};
use super::reader::Reader;
use super::tensor::Tensor;
use super::view::{Atom, Form, View, row};
use crate::load::container::onnx::{Graph, Numbers};
use crate::model::{Constant, Direction, Matrix, Op, Port, Select, Value};

/// The sequence that a loop goes through.
struct Source {
    view: View,
    time: Dim,
    batch: Vec<Atom>,
}

pub(super) fn read<'g, 'a>(
    reader: &mut Reader<'g, 'a>,
    call: &Call<'g, 'a>,
) -> Result<Vec<Known>, Reason> {
    let body = call.graph("body")?;
    let carried = call.inputs.len().saturating_sub(2);
    if body.inputs.len() != carried + 2 || body.outputs.len() < carried + 1 {
        return Err(Reason(
            "its body has another number of inputs or outputs than the loop".into(),
        ));
    }
    let source = source(reader, body)?;
    check_start(call, &source)?;
    if source.view.form == Form::Open {
        return Err(Reason("the axes of its sequence are not known".into()));
    }
    let state = state(call, carried)?;
    let units = units(reader, call.input(2 + state)?)?;
    // Stand-ins for a step and for the state before it.
    let step = reader.emit("step", Op::Select(Select::Step(0)), &[source.view.value]);
    let hidden = Op::Constant(Constant::vector(vec![0.0; units]));
    let hidden = reader.emit("state", hidden, &[]);
    let vector = |value: Value, units: usize| {
        let axes = vec![source.batch.clone(), row(units, 1)];
        Known::Data(View { sole: false, ..View::new(value, Form::Vector, units, axes) })
    };
    let mut scope = vec![Known::Step(0), Known::Running(0, source.time.clone())];
    for index in 0..carried {
        let known = call.input(2 + index)?.clone();
        let unchanged = body.outputs[1 + index].name == body.inputs[2 + index].name;
        scope.push(match known {
            _ if index == state => vector(hidden, units),
            known if unchanged => known,
            known if known.integers().as_deref() == Some(&[0]) => Known::Step(0),
            other => return Err(Reason(format!("it carries {} from step to step", other.name()))),
        });
    }
    let current = vector(step, source.view.features);
    let results = reader.body(body, scope, (&source.view, current))?;
    if !matches!(&results[0], Known::Running(ahead, time) if *ahead <= 1 && *time == source.time) {
        return Err(Reason("it may stop before the end of the sequence".into()));
    }
    let Known::Data(new) = &results[1 + state] else {
        return Err(Reason("its new state is no data".into()));
    };
    let direction = if source.view.reversed { Direction::Reverse } else { Direction::Forward };
    let layer =
        Step { nodes: &reader.nodes, input: step, state: hidden }.layer(new.value, direction)?;
    if layer.input_size() != source.view.features || layer.hidden_size() != units {
        return Err(Reason("its weights do not fit its sequence and state".into()));
    }
    let mut inputs = vec![source.view.value];
    inputs.extend(start(reader, call, call.input(2 + state)?, units)?);
    let value = reader.emit(call.name(), Op::Recurrent(layer), &inputs);
    let mut known = Vec::new();
    for (index, result) in results.iter().enumerate().skip(1) {
        let carries = index <= carried;
        known.push(match result {
            Known::Data(view) if view.value == new.value && carries => {
                let Value::Node { node, .. } = value else { continue };
                let last = Value::Node { node, port: Port::FinalHidden };
                let axes = vec![source.batch.clone(), row(units, 1)];
                Known::Data(View { sole: false, ..View::new(last, Form::States(1), units, axes) })
            }
            Known::Data(view) if view.value == new.value && view.rank() == 2 => {
                let axes = vec![source.view.axes[0].clone(), source.batch.clone(), row(units, 1)];
                let view = View::new(value, Form::Sequence, units, axes);
                Known::Data(View { sole: false, reversed: source.view.reversed, ..view })
            }
            Known::Step(1) if carries => {
                Known::of_sizes(Sizes { dims: vec![source.time.clone()], scalar: true })
            }
            _ if carries && index != 1 + state => call.input(1 + index)?.clone(),
            _ => return Err(Reason("it collects other than its state from step to step".into())),
        });
    }
    Ok(known)
}

/// Finds the sequence of which the body takes one step after the other.
fn source(reader: &mut Reader<'_, '_>, body: &Graph<'_>) -> Result<Source, Reason> {
    let own = |name: &str| body.inputs.iter().any(|info| info.name == name);
    let gathers = body.nodes.iter().filter(|node| node.op == "Gather" && node.inputs.len() == 2);
    let mut found: Vec<&str> =
        gathers.filter(|node| own(node.inputs[1])).map(|node| node.inputs[0]).collect();
    found.dedup();
    let &[name] = &found[..] else {
        return Err(Reason("it does not go through exactly one sequence".into()));
    };
    let Some(Known::Data(view)) = reader.known(name) else {
        return Err(Reason("it does not go through a sequence of data".into()));
    };
    let view = view.clone();
    if view.rank() != 3 {
        return Err(Reason(format!("its sequence has {} axes, not 3", view.rank())));
    }
    for (atoms, role) in view.axes.iter().zip([Role::Time, Role::Batch, Role::Features]) {
        if let [Atom::Axis(axis)] = atoms[..] {
            reader.axes.claim(axis, role)?;
        }
    }
    let reversed = view.reversed;
    let view = reader.rows(&View { reversed: false, ..view })?;
    let time = view.shape(&reader.axes)?[0].clone();
    let batch = view.axes[1].clone();
    if view.form != Form::Sequence && view.form != Form::Open {
        return Err(Reason("it goes through other than a sequence".into()));
    }
    Ok(Source { view: View { reversed, ..view }, time, batch })
}

/// Checks that there are as many rounds as steps.
fn check_start(call: &Call<'_, '_>, source: &Source) -> Result<(), Reason> {
    let rounds = call.optional(0).and_then(Known::sizes);
    if !rounds.is_some_and(|rounds| rounds.dims == [source.time.clone()]) {
        return Err(Reason("its number of rounds is not the time of its sequence".into()));
    }
    let starts = match call.optional(1) {
        None => true,
        Some(Known::Less(from, to)) => *from == Dim::number(0) && *to == source.time,
        Some(Known::Constant(tensor)) => tensor.numbers == Numbers::I64(vec![1]),
        Some(_) => false,
    };
    if starts {
        return Ok(());
    }
    Err(Reason("it may not start at all".into()))
}

/// Which of the carried values is the state: the only one that is real numbers and changes.
fn state(call: &Call<'_, '_>, carried: usize) -> Result<usize, Reason> {
    let body = call.graph("body")?;
    let changes = |index: &usize| body.outputs[1 + index].name != body.inputs[2 + index].name;
    let real = |index: &usize| match call.optional(2 + index) {
        Some(Known::Filled(..) | Known::Repeated(..) | Known::Data(_)) => true,
        Some(Known::Constant(tensor)) => matches!(tensor.numbers, Numbers::F32(_)),
        _ => false,
    };
    let states: Vec<usize> = (0..carried).filter(changes).filter(real).collect();
    match states[..] {
        [state] => Ok(state),
        _ => Err(Reason(format!("it carries {} states, not one", states.len()))),
    }
}

/// The features of the initial state.
fn units(reader: &Reader<'_, '_>, known: &Known) -> Result<usize, Reason> {
    let dims: Vec<Dim> = match known {
        Known::Filled(_, dims) | Known::Repeated(_, dims) => dims.clone(),
        Known::Constant(tensor) => tensor.dims.iter().map(|&length| Dim::of(length)).collect(),
        Known::Data(view) => view.shape(&reader.axes)?,
        other => return Err(Reason(format!("its state is {}", other.name()))),
    };
    let units = match &dims[..] {
        [_, units] => units.as_number().and_then(|units| usize::try_from(units).ok()),
        _ => None,
    };
    // A state is one row of weights, which the file holds.
    units
        .filter(|units| (1..1 << 20).contains(units))
        .ok_or_else(|| Reason(format!("its state has the shape {}", super::dims::shape(&dims))))
}

/// The initial state, none where it is zero.
fn start(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    known: &Known,
    units: usize,
) -> Result<Option<Value>, Reason> {
    let numbers = match known {
        Known::Filled(number, _) => vec![*number; units],
        Known::Repeated(tensor, _) | Known::Constant(tensor) => rows_alike(tensor, units)?,
        Known::Data(view) => {
            let view = reader.rows(view)?;
            return match (view.form, &view.axes[0][..]) {
                (Form::Vector | Form::States(1), [Atom::Axis(_)]) => Ok(Some(view.value)),
                _ => Err(Reason(
                    "its state does not start from one row for each of the batch".into(),
                )),
            };
        }
        other => return Err(Reason(format!("its state starts from {}", other.name()))),
    };
    if numbers.iter().all(|&number| number == 0.0) {
        return Ok(None);
    }
    let rows = Constant::states(Matrix::new(1, units, numbers)?);
    Ok(Some(reader.emit(&format!("{}.start", call.name()), Op::Constant(rows), &[])))
}

fn rows_alike(tensor: &Tensor, units: usize) -> Result<Vec<f32>, Reason> {
    let numbers = tensor.reals()?;
    let first = numbers.get(..units).ok_or_else(|| Reason("its state is too short".into()))?;
    if numbers.chunks(units).any(|row| row != first) {
        return Err(Reason("its state starts from other numbers for each row".into()));
    }
    Ok(first.to_vec())
}
