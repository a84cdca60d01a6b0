//! Sums and products element by element.

use super::Reason;
use super::axes::Role;
use super::call::Call;
use super::dims::Dim;
use super::gelu;
use super::head::vector;
use super::known::Known;
use super::lengths;
use super::reader::Reader;
use super::tensor::Tensor;
use super::view::{Atom, Form, View};
use crate::load::container::onnx::Numbers;
use crate::model::{Activation, Dense, Op, Port, ScaleShift, Value};

/// What a node combines.
enum Operands {
    Both(View, View),
    /// Data, a constant, and whether the constant comes first.
    Constant(View, std::rc::Rc<Tensor>, bool),
}

fn operands<'a>(reader: &mut Reader<'_, 'a>, call: &Call<'_, 'a>) -> Result<Operands, Reason> {
    call.at_most(2)?;
    if call.int("broadcast")?.unwrap_or(0) != 0 || call.int("axis")?.is_some() {
        return Err(Reason("its broadcast is that of an opset before 7".into()));
    }
    let number = |number: f32| {
        std::rc::Rc::new(Tensor { dims: Vec::new(), numbers: Numbers::F32(vec![number]) })
    };
    let constant = |known: &Known| match known {
        Known::Constant(tensor) => Some(tensor.clone()),
        Known::Filled(value, _) => Some(number(*value)),
        _ => None,
    };
    let (a, b) = (beside(reader, call, 0, 1)?, beside(reader, call, 1, 0)?);
    match (&a, &b) {
        (Known::Data(a), Known::Data(b)) => Ok(Operands::Both(a.clone(), b.clone())),
        (Known::Data(view), other) => match constant(other) {
            Some(tensor) => Ok(Operands::Constant(view.clone(), tensor, false)),
            None => Err(Reason(format!("it combines data with {}", other.name()))),
        },
        (other, Known::Data(view)) => match constant(other) {
            Some(tensor) => Ok(Operands::Constant(view.clone(), tensor, true)),
            None => Err(Reason(format!("it combines {} with data", other.name()))),
        },
        (a, b) => Err(Reason(format!("it combines {} with {}", a.name(), b.name()))),
    }
}

/// An input; a constant of open shape is a vector if the other input is one of this shape.
fn beside<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
    index: usize,
    other: usize,
) -> Result<Known, Reason> {
    let known = call.input(index)?;
    if let (Known::Filled(_, dims) | Known::Repeated(_, dims), Known::Data(view)) =
        (known, call.input(other)?)
        && view.form == Form::Vector
        && view.shape(&reader.axes)? == *dims
        && let Some(rows) = reader.rows_of(call, known)?
    {
        return Ok(Known::Data(rows));
    }
    Ok(known.clone())
}

/// Two constants, element by element, where one has one number or both have one shape.
fn constants(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    compute: impl Fn(f32, f32) -> f32,
) -> Option<Result<Vec<Known>, Reason>> {
    let (Known::Constant(a), Known::Constant(b)) = (call.optional(0)?, call.optional(1)?) else {
        return None;
    };
    let (Ok(x), Ok(y)) = (a.reals(), b.reals()) else { return None };
    let (dims, numbers) = match (x.len(), y.len()) {
        (_, 1) if a.dims.len() >= b.dims.len() => {
            (a.dims.clone(), x.iter().map(|&x| compute(x, y[0])).collect())
        }
        (1, _) if b.dims.len() >= a.dims.len() => {
            (b.dims.clone(), y.iter().map(|&y| compute(x[0], y)).collect())
        }
        _ if a.dims == b.dims => {
            (a.dims.clone(), x.iter().zip(y).map(|(&x, &y)| compute(x, y)).collect())
        }
        _ => return Some(Err(Reason("its constants have different shapes".into()))),
    };
    let tensor = Tensor { dims, numbers: Numbers::F32(numbers) };
    Some(reader.constant(tensor).map(|known| vec![known]))
}

/// `scale ⊙ x + shift`, each made from the constant's number for a feature.
fn scale_shift(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    view: &View,
    tensor: &Tensor,
    of: impl Fn(f32) -> (f32, f32),
) -> Result<Vec<Known>, Reason> {
    let view = match tensor.only().filter(|_| tensor.dims.iter().all(|&length| length == 1)) {
        Some(_) => reader.settled(view)?,
        None => reader.rows(view)?,
    };
    let view = widened(&view, tensor.dims.len());
    reader.spend(view.features)?;
    let aligned = tensor.dims.len() == view.rank();
    let numbers = match aligned && tensor.dims.len() > 1 {
        true => vector(&narrowed(reader, &view, tensor)?, view.features)?,
        false => vector(tensor, view.features)?,
    };
    let (scale, shift) = numbers.into_iter().map(of).unzip();
    let op = Op::ScaleShift(ScaleShift::new(scale, shift)?);
    let value = reader.emit(call.name(), op, &[view.value]);
    Ok(vec![Known::Data(View { value, sole: true, ..view })])
}

pub(super) fn add<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    if let (Some(Known::Step(ahead)), Some(other)) = (call.optional(0), call.optional(1)) {
        return match other.integers().as_deref() {
            Some(&[more]) => Ok(vec![Known::Step(ahead.saturating_add(more))]),
            _ => Err(Reason("it adds other than a number to the round of a loop".into())),
        };
    }
    if let Some(result) = lengths::arithmetic(call, |a, b| {
        Some(Dim::number(a.as_number()?.checked_add(b.as_number()?)?))
    }) {
        return result;
    }
    if let Some(result) = constants(reader, call, |a, b| a + b) {
        return result;
    }
    if let Some(result) = gelu::combined(reader, call) {
        return result;
    }
    match operands(reader, call)? {
        Operands::Both(a, b) => both(reader, call, &a, &b, Op::Add),
        Operands::Constant(view, tensor, _) => match biased(reader, &view, &tensor)? {
            Some(view) => Ok(vec![Known::Data(view)]),
            None => scale_shift(reader, call, &view, &tensor, |number| (1.0, number)),
        },
    }
}

/// The dense layer behind a view with the constant as its bias, if it has none and nothing else
/// looks at it.
fn biased(
    reader: &mut Reader<'_, '_>,
    view: &View,
    tensor: &Tensor,
) -> Result<Option<View>, Reason> {
    let Value::Node { node, port: Port::Main } = view.value else { return Ok(None) };
    if !view.sole || view.form == Form::Open || tensor.dims.len() > view.rank() {
        return Ok(None);
    }
    let settled = reader.rows(view)?;
    let Op::Dense(dense) = &reader.nodes[node].op else { return Ok(None) };
    if settled.value != view.value
        || dense.bias().is_some()
        || dense.activation() != Activation::Linear
    {
        return Ok(None);
    }
    let bias = vector(tensor, dense.weights().rows())?;
    let dense = Dense::new(dense.weights().clone(), Some(bias), Activation::Linear)?;
    reader.nodes[node].op = Op::Dense(dense);
    Ok(Some(settled))
}

pub(super) fn sub<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    if let Some(result) = constants(reader, call, |a, b| a - b) {
        return result;
    }
    match operands(reader, call)? {
        Operands::Both(a, b) => {
            // b times -1, then the sum: both exact as a difference.
            let b = reader.settled(&b)?;
            reader.spend(2 * b.features)?;
            let op =
                Op::ScaleShift(ScaleShift::new(vec![-1.0; b.features], vec![-0.0; b.features])?);
            let name = format!("{}.negative", call.name());
            let value = reader.emit(&name, op, &[b.value]);
            both(reader, call, &a, &View { value, sole: true, ..b }, Op::Add)
        }
        Operands::Constant(view, tensor, false) => {
            scale_shift(reader, call, &view, &tensor, |number| (1.0, -number))
        }
        Operands::Constant(view, tensor, true) => {
            scale_shift(reader, call, &view, &tensor, |number| (-1.0, number))
        }
    }
}

pub(super) fn mul<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    if let Some(result) = lengths::arithmetic(call, Dim::times) {
        return result;
    }
    if let Some(result) = constants(reader, call, |a, b| a * b) {
        return result;
    }
    if let Some(result) = gelu::combined(reader, call) {
        return result;
    }
    match operands(reader, call)? {
        Operands::Both(a, b) => both(reader, call, &a, &b, Op::Multiply),
        Operands::Constant(view, tensor, _) => {
            scale_shift(reader, call, &view, &tensor, |number| (number, -0.0))
        }
    }
}

pub(super) fn div<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    if let Some(result) = lengths::arithmetic(call, Dim::divided_by) {
        return result;
    }
    if let Some(result) = constants(reader, call, |a, b| a / b) {
        return result;
    }
    match operands(reader, call)? {
        Operands::Constant(view, tensor, false) => {
            scale_shift(reader, call, &view, &tensor, |number| (1.0 / number, -0.0))
        }
        _ => Err(Reason("it divides by data; only division by a constant is read".into())),
    }
}

pub(super) fn neg(reader: &mut Reader<'_, '_>, call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    let view = call.data(0)?.clone();
    let one = Tensor { dims: Vec::new(), numbers: Numbers::F32(vec![-1.0]) };
    scale_shift(reader, call, &view, &one, |number| (number, -0.0))
}

/// Two tensors of one shape.
fn both(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    a: &View,
    b: &View,
    op: Op,
) -> Result<Vec<Known>, Reason> {
    let rank = a.rank().max(b.rank());
    let (a, b) = (reader.settled(&widened(a, rank))?, reader.settled(&widened(b, rank))?);
    if a.index || b.index {
        return Err(Reason("it computes with indices".into()));
    }
    let unlike = a.form != b.form;
    let (a, b) = if unlike { (reader.as_vector(a), reader.as_vector(b)) } else { (a, b) };
    let open = a.form == Form::Open || b.form == Form::Open;
    if !open && !alike(reader, &a, &b) {
        return Err(Reason(format!(
            "its inputs have the shapes {} and {}, or another order of axes; those of data are not broadcast",
            super::dims::shape(&a.shape(&reader.axes)?),
            super::dims::shape(&b.shape(&reader.axes)?)
        )));
    }
    let value = reader.emit(call.name(), op, &[a.value, b.value]);
    let form = if open { Form::Open } else { a.form };
    Ok(vec![Known::Data(View { value, form, sole: true, ..a })])
}

/// A view with axes of length 1 in front.
fn widened(view: &View, rank: usize) -> View {
    let missing = rank.saturating_sub(view.rank());
    let axes = vec![Vec::new(); missing].into_iter().chain(view.axes.iter().cloned()).collect();
    View { axes, ..view.clone() }
}

/// The row of a constant that has one for each row of a batch of fixed size, if they are all alike.
fn narrowed(reader: &Reader<'_, '_>, view: &View, tensor: &Tensor) -> Result<Tensor, Reason> {
    let (shape, mut tensor) = (view.shape(&reader.axes)?, tensor.clone());
    for axis in 0..tensor.dims.len().saturating_sub(1) {
        let length = tensor.dims[axis];
        if length <= 1 || shape.get(axis) != Some(&Dim::of(length)) {
            continue;
        }
        let first = tensor.taken(axis, &[0]);
        if tensor.taken(axis, &vec![0; length]) == tensor {
            tensor = first;
        }
    }
    Ok(tensor)
}

/// Whether two tensors have the same axes.
fn alike(reader: &Reader<'_, '_>, a: &View, b: &View) -> bool {
    let same = |(a, b): (&Atom, &Atom)| match (a, b) {
        (Atom::Axis(a), Atom::Axis(b)) => {
            let role = reader.axes.role(*a);
            role.is_some() && role == reader.axes.role(*b) && role != Some(Role::Features)
        }
        (a, b) => a == b,
    };
    let axes = |(a, b): (&Vec<Atom>, &Vec<Atom>)| a.len() == b.len() && a.iter().zip(b).all(same);
    a.form == b.form && a.rank() == b.rank() && a.axes.iter().zip(&b.axes).all(axes)
}
