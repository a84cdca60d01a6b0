//! The recurrent operators: `LSTM`, `GRU`, `RNN`.

use std::rc::Rc;

use super::Reason;
use super::activation::Parameters;
use super::axes::Role;
use super::call::Call;
use super::known::Known;
use super::reader::Reader;
use super::states::initial;
use super::tensor::Tensor;
use super::view::{Atom, Form, View, row};
use crate::load::convention::onnx as convention;
use crate::model::{
    Activation, Cell, CellWeights, Direction, Gru, GruReset, Lstm, Op, Port, Recurrent, Select,
    SimpleRnn, Value,
};

/// The order of the axes of X, Y and the states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[time, batch, input]`, `[time, directions, batch, hidden]`, `[directions, batch, hidden]`.
    TimeFirst,
    /// `[batch, time, input]`, `[batch, time, directions, hidden]`, `[batch, directions, hidden]`.
    BatchFirst,
}

pub(super) fn read<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    let layout = match call.int("layout")?.unwrap_or(0) {
        0 => Layout::TimeFirst,
        1 => Layout::BatchFirst,
        other => return Err(Reason(format!("its layout is {other}"))),
    };
    let direction = match call.text("direction")?.unwrap_or("forward") {
        "forward" => Direction::Forward,
        "reverse" => Direction::Reverse,
        "bidirectional" => Direction::Bidirectional,
        other => return Err(Reason(format!("its direction is '{other}'"))),
    };
    claim(reader, call, layout)?;
    let (reversed, direction) = match (call.data(0)?.reversed, direction) {
        (false, direction) => (false, direction),
        // Backwards over what is backwards in time.
        (true, Direction::Forward) => (true, Direction::Reverse),
        (true, Direction::Reverse) => (true, Direction::Forward),
        (true, Direction::Bidirectional) => {
            return Err(Reason("it goes both ways through a sequence backwards in time".into()));
        }
    };
    let cells = cells(call, direction.count())?;
    let layers = layers(reader, call, direction, &cells)?;
    let states = if cells[0].has_cell_state() { 2 } else { 1 };
    call.at_most(if states == 2 { 8 } else { 6 })?;
    let x = View { reversed: false, ..call.data(0)?.clone() };
    let x = Steps { reversed, ..steps(reader, &x, layout)? };
    let (input_size, hidden_size) = (layers[0].input_size(), layers[0].hidden_size());
    if x.form != Form::Open && x.features != input_size {
        return Err(Reason(format!("X has {} features, W is for {input_size}", x.features)));
    }
    check_lengths(reader, call, &x)?;
    let initial = initial(reader, call, states, direction.count(), hidden_size, layout)?;
    Ok(results(reader, call, &x, layers, &initial, layout))
}

/// Notes what the axes of the data mean, before anything else is looked at.
fn claim<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
    layout: Layout,
) -> Result<(), Reason> {
    use Role::{Batch, Features, States, Time};
    let (x, states) = match layout {
        Layout::TimeFirst => ([Time, Batch, Features], [States, Batch, Features]),
        Layout::BatchFirst => ([Batch, Time, Features], [Batch, Features, Features]),
    };
    for (index, roles) in [(0, x), (5, states), (6, states)] {
        let Some(Known::Data(view)) = call.optional(index) else { continue };
        if view.rank() != 3 {
            return Err(Reason(format!("its input {index} has {} axes, not 3", view.rank())));
        }
        for (atoms, role) in view.axes.iter().zip(roles) {
            if let [Atom::Axis(axis)] = atoms[..] {
                reader.axes.claim(axis, role)?;
            }
        }
    }
    Ok(())
}

/// X as a value of the model, and its atoms of time and batch.
struct Steps {
    value: Value,
    form: Form,
    features: usize,
    time: Vec<Atom>,
    batch: Vec<Atom>,
    /// Whether what is wanted is in the order from the last step to the first.
    reversed: bool,
}

fn steps(reader: &mut Reader<'_, '_>, x: &View, layout: Layout) -> Result<Steps, Reason> {
    let view = reader.rows(x)?;
    if view.index {
        return Err(Reason("X are indices".into()));
    }
    let (time, batch) = match layout {
        Layout::TimeFirst => (view.axes[0].clone(), view.axes[1].clone()),
        Layout::BatchFirst => (view.axes[1].clone(), view.axes[0].clone()),
    };
    let is = |atoms: &[Atom], role: Role| match atoms {
        [Atom::Axis(axis)] => reader.axes.role(*axis) == Some(role),
        _ => false,
    };
    if view.form != Form::Open {
        if !is(&batch, Role::Batch) {
            return Err(Reason("the axis of X that is the batch is another thing".into()));
        }
        let single = time.is_empty() && view.form == Form::Vector;
        let sequence = is(&time, Role::Time) && view.form == Form::Sequence;
        if !single && !sequence {
            return Err(Reason("the axis of X that is time is another thing".into()));
        }
    }
    let (value, form, features) = (view.value, view.form, view.features);
    Ok(Steps { value, form, features, time, batch, reversed: false })
}

/// Honours `sequence_lens`: lengths of a run, or all steps.
fn check_lengths<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
    x: &Steps,
) -> Result<(), Reason> {
    let Some(lengths) = call.optional(4) else {
        if reader.axes.lengths.is_some() {
            reader.unlike_lengths = true;
        }
        return Ok(());
    };
    if let (Some(integers), [Atom::Axis(time)]) = (lengths.integers(), &x.time[..]) {
        let size = reader.axes.size(*time).and_then(|size| i64::try_from(size).ok());
        if size.is_some_and(|size| integers.iter().all(|&length| length == size)) {
            return Ok(());
        }
        return Err(Reason(format!(
            "its sequence_lens are the constants {integers:?}, not the time of X; \
             make them an input, and give them to run_lengths"
        )));
    }
    // An input of the graph, whatever casts stand between.
    match lengths {
        Known::Data(View { index: true, axes, .. }) if axes.len() == 1 => match axes[0][..] {
            [Atom::Axis(axis)] if reader.axes.of(reader.axes.input(axis)).len() == 1 => {
                reader.axes.claim(axis, Role::Batch)?;
                reader.axes.claim_lengths(reader.axes.input(axis))
            }
            _ => Err(Reason("its sequence_lens are other than an input, one for each row".into())),
        },
        _ => {
            Err(Reason("its sequence_lens are computed; only an input of the graph is read".into()))
        }
    }
}

/// The cell of each direction.
fn cells(call: &Call<'_, '_>, directions: usize) -> Result<Vec<Cell>, Reason> {
    let defaults: &[&str] = match call.node.op {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    let repeated = defaults.repeat(directions);
    let names = call.texts("activations")?.unwrap_or(&repeated);
    if names.len() != repeated.len() {
        return Err(Reason(format!(
            "it names {} activations, not {}",
            names.len(),
            repeated.len()
        )));
    }
    let mut parameters = Parameters::new(
        call.floats("activation_alpha")?.unwrap_or_default(),
        call.floats("activation_beta")?.unwrap_or_default(),
    );
    let activations: Vec<Activation> =
        names.iter().map(|name| parameters.named(name)).collect::<Result<_, _>>()?;
    parameters.finish()?;
    let clip = call.float("clip")?;
    let coupled = match call.node.op {
        "LSTM" => call.int("input_forget")?.unwrap_or(0) != 0,
        _ => false,
    };
    let reset = match call.node.op {
        "GRU" if call.int("linear_before_reset")?.unwrap_or(0) != 0 => GruReset::AfterMatmul,
        _ => GruReset::BeforeMatmul,
    };
    let cell = |activations: &[Activation]| match *activations {
        [gates, candidate, output] => Cell::Lstm(Lstm {
            activation: candidate,
            recurrent_activation: gates,
            output_activation: output,
            coupling: convention::coupling(coupled),
            clip,
            ..Lstm::DEFAULT
        }),
        [gates, candidate] => {
            Cell::Gru(Gru { reset, activation: candidate, recurrent_activation: gates, clip })
        }
        _ => Cell::SimpleRnn(SimpleRnn { activation: activations[0], clip }),
    };
    Ok(activations.chunks(defaults.len()).map(cell).collect())
}

/// The layer, or one for each direction where their activations differ.
fn layers(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    direction: Direction,
    cells: &[Cell],
) -> Result<Vec<Recurrent>, Reason> {
    let directions = direction.count();
    let gates = convention::gates(cells[0]);
    let (w, r) = (call.constant(1)?, call.constant(2)?);
    let optional = |index: usize| call.optional(index).map(|_| call.constant(index)).transpose();
    let b = optional(3)?;
    let p = if cells[0].has_cell_state() { optional(7)? } else { None };
    let hidden_size = match r.dims[..] {
        [_, _, hidden] => hidden,
        _ => return Err(Reason(format!("R has the shape {:?}, not three axes", r.dims))),
    };
    let input_size = w.dims.get(2).copied().unwrap_or(0);
    if call.int("hidden_size")?.is_some_and(|size| i64::try_from(hidden_size) != Ok(size)) {
        return Err(Reason(format!(
            "its hidden_size is not the {hidden_size} of R; an LSTM with proj_size is exported so by mistake"
        )));
    }
    let rows = gates.saturating_mul(hidden_size);
    check(&w, "W", [directions, rows, input_size])?;
    check(&r, "R", [directions, rows, hidden_size])?;
    let (bias, peepholes) = (rows.saturating_mul(2), hidden_size.saturating_mul(3));
    b.iter().try_for_each(|b| check(b, "B", [directions, bias]))?;
    p.iter().try_for_each(|p| check(p, "P", [directions, peepholes]))?;
    let tensors = [Some(&w), Some(&r), b.as_ref(), p.as_ref()];
    reader.spend(tensors.into_iter().flatten().map(|t| t.dims.iter().product::<usize>()).sum())?;
    let part = |tensor: &Rc<Tensor>, side: usize| -> Result<Vec<f32>, Reason> {
        let numbers = tensor.reals()?;
        let each = numbers.len() / directions;
        Ok(numbers[side * each..(side + 1) * each].to_vec())
    };
    let mut weights: Vec<CellWeights> = Vec::new();
    for (side, &cell) in cells.iter().enumerate() {
        let (w, r) = (part(&w, side)?, part(&r, side)?);
        let b = b.as_ref().map(|b| part(b, side)).transpose()?;
        let p = p.as_ref().map(|p| part(p, side)).transpose()?;
        let stored = convention::Direction {
            w: &w,
            r: &r,
            b: b.as_deref(),
            p: p.as_deref(),
            input_size,
            hidden_size,
        };
        weights.push(convention::cell_weights(cell, stored)?);
    }
    if cells.iter().all(|cell| *cell == cells[0]) {
        return Ok(vec![Recurrent::new(cells[0], direction, weights)?]);
    }
    let sides = [Direction::Forward, Direction::Reverse];
    let layers = cells.iter().zip(sides).zip(weights);
    Ok(layers
        .map(|((&cell, side), weights)| Recurrent::new(cell, side, vec![weights]))
        .collect::<Result<_, _>>()?)
}

fn check<const N: usize>(tensor: &Tensor, name: &str, expected: [usize; N]) -> Result<(), Reason> {
    if tensor.dims == expected && expected.iter().all(|&length| length > 0) {
        return Ok(());
    }
    Err(Reason(format!("{name} has the shape {:?}, expected {expected:?}", tensor.dims)))
}

/// Adds the layers to the model: Y, `Y_h` and `Y_c`.
fn results(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    x: &Steps,
    layers: Vec<Recurrent>,
    initial: &[Value],
    layout: Layout,
) -> Vec<Known> {
    let hidden_size = layers[0].hidden_size();
    let lstm = layers[0].cell().has_cell_state();
    let single = x.form == Form::Vector;
    let sequence = if single {
        reader.emit(&format!("{}.step", call.name()), Op::Unroll { steps: 1 }, &[x.value])
    } else {
        x.value
    };
    let port = if single { Port::Last } else { Port::Main };
    let sides = layers.len();
    let mut values = Vec::new();
    for (side, layer) in layers.into_iter().enumerate() {
        let mut inputs = vec![sequence];
        for &state in initial {
            inputs.push(if sides == 1 { state } else { reader.select(state, Select::State(side)) });
        }
        let directions = layer.direction().count();
        let suffix = ["", ".backward"][usize::from(sides > 1 && side == 1)];
        let value = reader.emit(&format!("{}{suffix}", call.name()), Op::Recurrent(layer), &inputs);
        values.push((value, directions));
    }
    let count: usize = values.iter().map(|(_, directions)| directions).sum();
    let mut of = |port: Port, join: Op, name: &str| {
        let parts: Vec<Value> = values.iter().map(|(value, _)| at(*value, port)).collect();
        match parts[..] {
            [one] => one,
            _ => reader.emit(&format!("{}.{name}", call.name()), join, &parts),
        }
    };
    let y = of(port, Op::Concat, "Y");
    let finals = [Port::FinalHidden, Port::FinalCell];
    let names = ["Y_h", "Y_c"];
    let states: Vec<Value> = finals[..1 + usize::from(lstm)]
        .iter()
        .zip(names)
        .map(|(&port, name)| of(port, Op::Stack, name))
        .collect();
    let (directions, units) = (row(count, hidden_size), row(hidden_size, 1));
    let (time, batch) = (x.time.clone(), x.batch.clone());
    let axes = match layout {
        Layout::TimeFirst => vec![time, directions, batch, units],
        Layout::BatchFirst => vec![batch, time, directions, units],
    };
    let y = View::new(y, x.form, count * hidden_size, axes);
    let y = View { sole: false, reversed: x.reversed, ..y };
    let mut known = vec![Known::Data(y)];
    for value in states {
        let several = if count == 1 { Vec::new() } else { vec![Atom::States(count)] };
        let axes = match layout {
            Layout::TimeFirst => vec![several, x.batch.clone(), row(hidden_size, 1)],
            Layout::BatchFirst => vec![x.batch.clone(), several, row(hidden_size, 1)],
        };
        let form = if x.form == Form::Open { Form::Open } else { Form::States(count) };
        known.push(Known::Data(View { sole: false, ..View::new(value, form, hidden_size, axes) }));
    }
    known
}

fn at(value: Value, port: Port) -> Value {
    match value {
        Value::Node { node, .. } => Value::Node { node, port },
        input => input,
    }
}
