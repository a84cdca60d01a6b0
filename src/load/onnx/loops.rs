//! `Loop` as tf2onnx writes Keras' `SimpleRNN`, `GRU` and, with activations of its own, `LSTM`: a step of
//! the sequence, a cell, and a condition that holds for as many steps as there are.

use super::Reason;
use super::axes::Role;
use super::call::Call;
use super::cells::{Found, Step};
use super::dims::Dim;
use super::known::{Known, Sizes};
use super::reader::Reader;
use super::tensor::Tensor;
use super::view::{Atom, Form, View, row};
use crate::load::container::onnx::{Graph, Numbers};
use crate::model::{Constant, Direction, Matrix, Node, Op, Port, Select, Value};

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
    let states = states(call, carried)?;
    let units = units(reader, call.input(2 + states[0])?)?;
    // Stand-ins for a step and for the states before it, none of them zero.
    let step = reader.emit("step", Op::Select(Select::Step(0)), &[source.view.value]);
    let mut stand_ins = Vec::new();
    for _ in &states {
        let stand_in = Op::Constant(Constant::vector(vec![1.0; units]));
        stand_ins.push(reader.emit("state", stand_in, &[]));
    }
    let vector = |value: Value, units: usize| {
        let axes = vec![source.batch.clone(), row(units, 1)];
        Known::Data(View { sole: false, ..View::new(value, Form::Vector, units, axes) })
    };
    let mut scope = vec![Known::Step(0), Known::Running(0, source.time.clone())];
    for index in 0..carried {
        let known = call.input(2 + index)?.clone();
        let unchanged = body.outputs[1 + index].name == body.inputs[2 + index].name;
        scope.push(match states.iter().position(|&state| state == index) {
            Some(place) => vector(stand_ins[place], units),
            None if unchanged => known,
            None if known.integers().as_deref() == Some(&[0]) => Known::Step(0),
            None => return Err(Reason(format!("it carries {} from step to step", known.name()))),
        });
    }
    let current = vector(step, source.view.features);
    let results = reader.body(body, scope, (&source.view, current))?;
    if !matches!(&results[0], Known::Running(ahead, time) if *ahead <= 1 && *time == source.time) {
        return Err(Reason("it may stop before the end of the sequence".into()));
    }
    let round = Round { states: &states, stand_ins: &stand_ins, step, results: &results };
    let (found, order) = round.cell(&reader.nodes)?;
    let direction = if source.view.reversed { Direction::Reverse } else { Direction::Forward };
    let layer = found.layer(direction)?;
    if layer.input_size() != source.view.features || layer.hidden_size() != units {
        return Err(Reason("its weights do not fit its sequence and state".into()));
    }
    let mut starts = Vec::new();
    for &state in &order {
        starts.push(start(reader, call, call.input(2 + state)?, units)?);
    }
    let mut inputs = vec![source.view.value];
    if starts.iter().any(Option::is_some) {
        for start in starts {
            inputs.push(start.unwrap_or_else(|| {
                let zero = Op::Constant(Constant::vector(vec![0.0; units]));
                reader.emit(&format!("{}.zero", call.name()), zero, &[])
            }));
        }
    }
    let value = reader.emit(call.name(), Op::Recurrent(layer), &inputs);
    let Value::Node { node, .. } = value else { return Ok(Vec::new()) };
    let is_new = |known: &Known, state: usize| match (known, &results[1 + state]) {
        (Known::Data(known), Known::Data(new)) => known.value == new.value,
        _ => false,
    };
    let mut known = Vec::new();
    for (index, result) in results.iter().enumerate().skip(1) {
        let carries = index <= carried;
        let last = order.iter().position(|&state| is_new(result, state)).filter(|_| carries);
        known.push(match (last, result) {
            (Some(place), _) => {
                let port = [Port::FinalHidden, Port::FinalCell][place];
                let axes = vec![source.batch.clone(), row(units, 1)];
                let view = View::new(Value::Node { node, port }, Form::States(1), units, axes);
                Known::Data(View { sole: false, ..view })
            }
            (None, Known::Data(view)) if is_new(result, order[0]) && view.rank() == 2 => {
                let axes = vec![source.view.axes[0].clone(), source.batch.clone(), row(units, 1)];
                let view = View::new(value, Form::Sequence, units, axes);
                Known::Data(View { sole: false, reversed: source.view.reversed, ..view })
            }
            (None, Known::Step(1)) if carries => {
                Known::of_sizes(Sizes { dims: vec![source.time.clone()], scalar: true })
            }
            (None, _) if carries && !states.contains(&(index - 1)) => {
                call.input(1 + index)?.clone()
            }
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

/// Which of the carried values are states: those that are real numbers and change, h, or h and c.
fn states(call: &Call<'_, '_>, carried: usize) -> Result<Vec<usize>, Reason> {
    let body = call.graph("body")?;
    let changes = |index: &usize| body.outputs[1 + index].name != body.inputs[2 + index].name;
    let real = |index: &usize| match call.optional(2 + index) {
        Some(Known::Filled(..) | Known::Repeated(..) | Known::Data(_)) => true,
        Some(Known::Constant(tensor)) => matches!(tensor.numbers, Numbers::F32(_)),
        _ => false,
    };
    let states: Vec<usize> = (0..carried).filter(changes).filter(real).collect();
    if (1..=2).contains(&states.len()) {
        return Ok(states);
    }
    Err(Reason(format!("it carries {} states, not h, or h and c", states.len())))
}

/// What one round of a loop makes of its states.
struct Round<'r> {
    /// The places of the states among what is carried.
    states: &'r [usize],
    stand_ins: &'r [Value],
    step: Value,
    results: &'r [Known],
}

impl Round<'_> {
    /// The cell, and which of the states is h and which c.
    fn cell(&self, nodes: &[Node]) -> Result<(Found, Vec<usize>), Reason> {
        for (place, &state) in self.states.iter().enumerate() {
            let Known::Data(new) = &self.results[1 + state] else {
                return Err(Reason("its new state is no data".into()));
            };
            let step = Step { nodes, input: Some(self.step), state: Some(self.stand_ins[place]) };
            let Some(found) = step.cell(new.value) else { continue };
            let Some(other) = (0..self.states.len()).find(|&other| other != place) else {
                if found.new_cell.is_none() {
                    return Ok((found, vec![state]));
                }
                continue;
            };
            let cell = self.states[other];
            let new_cell = match &self.results[1 + cell] {
                Known::Data(view) => Some(view.value),
                _ => None,
            };
            if new_cell.is_some()
                && found.new_cell == new_cell
                && found.old_cell == Some(self.stand_ins[other])
            {
                return Ok((found, vec![state, cell]));
            }
        }
        Err(Reason("what it computes is no step of a cell that is known".into()))
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
