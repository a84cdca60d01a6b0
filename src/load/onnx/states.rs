//! The initial states of recurrent nodes: inputs, constants, or zeros however they are made.

use super::Reason;
use super::call::Call;
use super::known::Known;
use super::reader::Reader;
use super::recurrent::Layout;
use super::tensor::Tensor;
use super::view::{Atom, Form, View};
use crate::load::container::onnx::Numbers;
use crate::model::{Constant, Matrix, Op, Select, Value};

/// Where a layer starts.
enum Start {
    Zero,
    At(Value),
}

/// The initial states of a node, `initial_h` and for an LSTM `initial_c`; none where all are zero.
pub(super) fn initial(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    states: usize,
    directions: usize,
    hidden_size: usize,
    layout: Layout,
) -> Result<Vec<Value>, Reason> {
    let mut starts = Vec::new();
    for index in 5..5 + states {
        starts.push(match call.optional(index) {
            None => Start::Zero,
            Some(known) => start(reader, call, &known.clone(), directions, hidden_size, layout)
                .map_err(|Reason(reason)| Reason(format!("its initial state: {reason}")))?,
        });
    }
    if starts.iter().all(|start| matches!(start, Start::Zero)) {
        return Ok(Vec::new());
    }
    let name = format!("{}.zero", call.name());
    starts
        .into_iter()
        .map(|start| match start {
            Start::At(value) => Ok(value),
            Start::Zero => {
                let numbers = vec![0.0; directions * hidden_size];
                let rows = Matrix::new(directions, hidden_size, numbers)?;
                Ok(reader.emit(&name, Op::Constant(Constant::states(rows)), &[]))
            }
        })
        .collect()
}

fn start(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    known: &Known,
    directions: usize,
    hidden_size: usize,
    layout: Layout,
) -> Result<Start, Reason> {
    match known {
        Known::Filled(0.0, dims) => {
            let states = usize::from(layout == Layout::BatchFirst);
            let fits = |place: usize, length: usize| {
                dims.get(place).and_then(|dim| dim.as_number()) == i64::try_from(length).ok()
            };
            if dims.len() == 3 && fits(states, directions) && fits(2, hidden_size) {
                return Ok(Start::Zero);
            }
            Err(Reason(format!("zeros of the shape {}", super::dims::shape(dims))))
        }
        Known::Filled(number, dims) if dims.len() == 3 => {
            let numbers = vec![*number; directions * hidden_size];
            learned(reader, call, numbers, directions, hidden_size)
        }
        Known::Constant(tensor) | Known::Repeated(tensor, _) => {
            let rows = constant_rows(tensor, directions, hidden_size, layout)?;
            if rows.iter().all(|&number| number == 0.0) {
                return Ok(Start::Zero);
            }
            learned(reader, call, rows, directions, hidden_size)
        }
        Known::Data(view) => {
            given(reader, call, view, directions, hidden_size, layout).map(Start::At)
        }
        other => Err(Reason(format!("it is {}", other.name()))),
    }
}

fn learned(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    numbers: Vec<f32>,
    directions: usize,
    hidden_size: usize,
) -> Result<Start, Reason> {
    let rows = Matrix::new(directions, hidden_size, numbers)?;
    let constant = Op::Constant(Constant::states(rows));
    Ok(Start::At(reader.emit(&format!("{}.start", call.name()), constant, &[])))
}

/// The rows of a constant state, `[directions, hidden]`, if every row of the batch has the same.
fn constant_rows(
    tensor: &Tensor,
    directions: usize,
    hidden_size: usize,
    layout: Layout,
) -> Result<Vec<f32>, Reason> {
    let Numbers::F32(_) = tensor.numbers else { return Err(Reason("it holds integers".into())) };
    if tensor.dims.len() != 3 {
        return Err(Reason(format!("a constant of shape {:?}", tensor.dims)));
    }
    // Directions, batch, hidden.
    let tensor = match layout {
        Layout::TimeFirst => tensor.clone(),
        Layout::BatchFirst => tensor.transposed(&[1, 0, 2]),
    };
    let batch = tensor.dims[1];
    if tensor.dims != [directions, batch, hidden_size] || batch == 0 {
        return Err(Reason(format!(
            "a constant of shape {:?} for {directions} directions of {hidden_size} units",
            tensor.dims
        )));
    }
    let first = tensor.taken(1, &[0]);
    let alike = (1..batch).all(|row| tensor.taken(1, &[row]).numbers == first.numbers);
    if !alike {
        return Err(Reason(format!("a constant with other numbers for each of {batch} rows")));
    }
    Ok(first.reals()?.to_vec())
}

/// A value of the model as states.
fn given(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    view: &View,
    directions: usize,
    hidden_size: usize,
    layout: Layout,
) -> Result<Value, Reason> {
    let view = match layout {
        Layout::TimeFirst => view.clone(),
        Layout::BatchFirst if view.rank() == 3 => view.transposed(&[1, 0, 2]),
        Layout::BatchFirst => return Err(Reason(format!("it has {} axes, not 3", view.rank()))),
    };
    if view.form == Form::Open {
        return Ok(view.value);
    }
    let view = reader.settled(&view)?;
    let units = |atoms: &[Atom]| match atoms {
        [] => hidden_size == 1,
        atoms => {
            let lens = atoms.iter().map(|atom| match atom {
                Atom::Row { len, .. } => Some(*len),
                _ => None,
            });
            lens.product::<Option<usize>>() == Some(hidden_size)
        }
    };
    let fits = match &view.axes[..] {
        [states, batch, features] if units(features) && matches!(batch[..], [Atom::Axis(_)]) => {
            match (&states[..], view.form) {
                ([], Form::Vector | Form::States(1)) => directions == 1,
                ([Atom::States(count)], Form::States(_)) => *count == directions,
                ([Atom::Row { len, .. }], Form::Vector) => *len == directions,
                _ => false,
            }
        }
        _ => false,
    };
    if !fits {
        return Err(Reason(format!(
            "it has the shape {}, expected directions {directions}, batch, hidden {hidden_size}",
            super::dims::shape(&view.shape(&reader.axes)?)
        )));
    }
    if directions > 1 && view.form == Form::Vector {
        let parts: Vec<Value> = (0..directions)
            .map(|side| {
                let (start, end) = (side * hidden_size, (side + 1) * hidden_size);
                reader.select(view.value, Select::Features { start, end })
            })
            .collect();
        return Ok(reader.emit(&format!("{}.start", call.name()), Op::Stack, &parts));
    }
    Ok(view.value)
}
