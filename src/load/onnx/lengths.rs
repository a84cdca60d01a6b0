//! Constants and the arithmetic of shapes: what exporters emit around a layer to fill its initial
//! states with zeros, and to join and part its axes.

use super::Reason;
use super::call::{Call, place};
use super::dims::Dim;
use super::filled::repeated;
use super::known::{Known, MOST_SIZES, Sizes};
use super::reader::Reader;
use super::tensor::Tensor;
use super::view::View;
use crate::load::container::onnx::Numbers;

pub(super) fn constant(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    call.at_most(0)?;
    let scalar = |numbers| Tensor { dims: Vec::new(), numbers };
    let tensor = if let Some(stored) = call.tensor("value")? {
        let (dims, numbers) = stored.read()?;
        Tensor { dims, numbers }
    } else if let Some(number) = call.int("value_int")? {
        scalar(Numbers::I64(vec![number]))
    } else if let Some(numbers) = call.ints("value_ints")? {
        Tensor::integers(numbers)
    } else if let Some(number) = call.float("value_float")? {
        scalar(Numbers::F32(vec![number]))
    } else if let Some(numbers) = call.floats("value_floats")? {
        Tensor { dims: vec![numbers.len()], numbers: Numbers::F32(numbers.to_vec()) }
    } else {
        return Err(Reason("it holds no tensor of numbers".into()));
    };
    Ok(vec![reader.constant(tensor)?])
}

/// The lengths of the axes of something.
fn dims(reader: &Reader<'_, '_>, known: &Known) -> Result<Vec<Dim>, Reason> {
    Ok(match known {
        Known::Constant(tensor) => tensor.dims.iter().map(|&length| Dim::of(length)).collect(),
        Known::Sizes(Sizes { scalar: true, .. }) | Known::Less(..) => Vec::new(),
        Known::Sizes(Sizes { dims, .. }) => vec![Dim::of(dims.len())],
        Known::Filled(_, dims) | Known::Repeated(_, dims) => dims.clone(),
        Known::Data(view) => view.shape(&reader.axes)?,
        Known::Step(_) | Known::Running(..) => Vec::new(),
        Known::Wrapped(_, view) | Known::Erf(view, _) => view.shape(&reader.axes)?,
        Known::Lengths(_) => return Err(Reason("it asks for the number of lengths".into())),
        Known::Refused => return Err(Reason("the node before it is refused".into())),
    })
}

pub(super) fn shape(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let dims = dims(reader, call.input(0)?)?;
    let clamp = |end: i64| {
        let length = i64::try_from(dims.len()).unwrap_or(i64::MAX);
        let end = if end < 0 { end.saturating_add(length) } else { end };
        usize::try_from(end.clamp(0, length)).unwrap_or(0)
    };
    let start = clamp(call.int("start")?.unwrap_or(0));
    let end = call.int("end")?.map_or(dims.len(), clamp).max(start);
    let sizes = Sizes { dims: dims[start..end].to_vec(), scalar: false };
    Ok(vec![Known::of_sizes(sizes)])
}

pub(super) fn size(reader: &mut Reader<'_, '_>, call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    let dims = dims(reader, call.input(0)?)?;
    Ok(vec![Known::of_sizes(Sizes { dims: vec![product_of(&dims)?], scalar: true })])
}

fn product_of(dims: &[Dim]) -> Result<Dim, Reason> {
    Dim::product(dims).ok_or_else(|| Reason("a product of lengths is too large".into()))
}

pub(super) fn constant_of_shape(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let shape = sizes_of(call, 0)?;
    let number = match call.tensor("value")? {
        None => 0.0,
        Some(stored) => match stored.read()?.1 {
            Numbers::F32(numbers) if numbers.len() == 1 => numbers[0],
            Numbers::I64(numbers) if numbers.len() == 1 => {
                return integers_of_shape(reader, &shape, numbers[0]);
            }
            _ => return Err(Reason("its value is not one number".into())),
        },
    };
    Ok(vec![reader.filled(number, shape.dims)?])
}

/// A list of one integer as often as a length says, such as the ones of a shape to expand to.
fn integers_of_shape(
    reader: &mut Reader<'_, '_>,
    shape: &Sizes,
    number: i64,
) -> Result<Vec<Known>, Reason> {
    let count = match &shape.dims[..] {
        [] => Some(1),
        [length] => length.as_number().and_then(|length| usize::try_from(length).ok()),
        _ => None,
    };
    match count.filter(|&count| count <= MOST_SIZES) {
        Some(count) => Ok(vec![reader.constant(Tensor::integers(vec![number; count]))?]),
        None => Err(Reason("it makes integers of open number".into())),
    }
}

/// An input that is lengths.
pub(super) fn sizes_of(call: &Call<'_, '_>, index: usize) -> Result<Sizes, Reason> {
    let known = call.input(index)?;
    known.sizes().ok_or_else(|| {
        Reason(format!("its input {index} is {}, and no lengths known beforehand", known.name()))
    })
}

pub(super) fn expand<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    let target = sizes_of(call, 1)?.dims;
    let input = call.input(0)?.clone();
    if let (Known::Sizes(sizes), [_]) = (&input, &target[..])
        && let [length] = &sizes.dims[..]
    {
        return Ok(vec![Known::Lengths(length.clone())]);
    }
    let found = dims(reader, &input)?;
    let one = Dim::number(1);
    let rank = found.len().max(target.len());
    let at = |dims: &[Dim], axis: usize| {
        (axis + dims.len()).checked_sub(rank).map_or_else(|| one.clone(), |at| dims[at].clone())
    };
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        let (from, to) = (at(&found, axis), at(&target, axis));
        shape.push(match (from == one, to == one) {
            (true, _) => to,
            (_, true) => from,
            _ if from == to => from,
            _ => return Err(Reason(format!("a length of {from} cannot become {to}"))),
        });
    }
    // A length for each row of the batch.
    let length = input.integers().filter(|length| length.len() == 1 && shape.len() == 1);
    Ok(vec![match input {
        _ if found == shape => input,
        Known::Data(view) => along(reader, call, &view, &found, &shape)?,
        _ if length.is_some() => Known::Lengths(Dim::number(length.map_or(0, |length| length[0]))),
        Known::Constant(tensor) => match tensor.only() {
            Some(number) => reader.filled(number, shape)?,
            None => Known::Repeated(tensor, shape),
        },
        Known::Filled(number, _) => reader.filled(number, shape)?,
        _ => return Err(Reason("only constants are repeated along an axis".into())),
    }])
}

/// A vector that is repeated along a new axis, the only one that becomes longer.
fn along<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
    view: &View,
    found: &[Dim],
    shape: &[Dim],
) -> Result<Known, Reason> {
    let mut axes = view.axes.clone();
    axes.splice(..0, vec![Vec::new(); shape.len() - found.len()]);
    let missing = axes.len() - found.len();
    let longer = |&axis: &usize| axis < missing || found[axis - missing] != shape[axis];
    let longer: Vec<usize> = (0..shape.len()).filter(longer).collect();
    let [axis] = longer[..] else {
        return Err(Reason("it repeats along several axes".into()));
    };
    let steps = shape[axis].as_number().and_then(|steps| usize::try_from(steps).ok());
    let steps = steps.filter(|steps| (1..=i32::MAX as usize).contains(steps));
    let steps = steps.ok_or_else(|| Reason("it repeats an open number of times".into()))?;
    repeated(reader, call, &View { axes, ..view.clone() }, axis, steps)
}

pub(super) fn product(call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    let sizes = sizes_of(call, 0)?;
    match call.axes("axes", 1)? {
        Some(axes) if axes.len() != 1 || place(axes[0], 1).is_err() => {
            return Err(Reason("it multiplies along other axes than the only one".into()));
        }
        _ => {}
    }
    let scalar = call.int("keepdims")?.unwrap_or(1) == 0;
    if call.int("noop_with_empty_axes")?.unwrap_or(0) != 0 {
        return Err(Reason("noop_with_empty_axes is set".into()));
    }
    Ok(vec![Known::of_sizes(Sizes { dims: vec![product_of(&sizes.dims)?], scalar })])
}

/// A length as a real number, for comparisons.
fn length_of(known: &Known) -> Option<Dim> {
    match known {
        Known::Constant(tensor) => match &tensor.numbers {
            Numbers::F32(numbers) => match numbers[..] {
                #[allow(
                    clippy::cast_possible_truncation,
                    reason = "whole numbers of this size fit"
                )]
                [number] if number.fract() == 0.0 && number.abs() < 1e9 => {
                    Some(Dim::number(number as i64))
                }
                _ => None,
            },
            Numbers::I64(numbers) => match numbers[..] {
                [number] => Some(Dim::number(number)),
                _ => None,
            },
        },
        other => match &other.sizes()?.dims[..] {
            [length] => Some(length.clone()),
            _ => None,
        },
    }
}

pub(super) fn less(call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    if let (Known::Step(ahead), Some(end)) = (call.input(0)?, length_of(call.input(1)?)) {
        return Ok(vec![Known::Running(*ahead, end)]);
    }
    match (length_of(call.input(0)?), length_of(call.input(1)?)) {
        (Some(left), Some(right)) => Ok(vec![Known::Less(left, right)]),
        _ => Err(Reason("only lengths of axes are compared".into())),
    }
}

/// Lengths held against numbers; one that is open is no negative number.
pub(super) fn equal(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    if call.inputs.iter().flatten().any(|known| matches!(known, Known::Data(_))) {
        return Err(Reason("it compares data with a number, as masks do".into()));
    }
    let (a, b) = (sizes_of(call, 0)?, sizes_of(call, 1)?);
    let same = |(a, b): (&Dim, &Dim)| match (a.as_number(), b.as_number()) {
        (Some(a), Some(b)) => Some(i64::from(a == b)),
        (None, Some(number)) | (Some(number), None) if number < 0 => Some(0),
        _ => (a == b).then_some(1),
    };
    let equal: Option<Vec<i64>> = match a.dims.len() == b.dims.len() {
        true => a.dims.iter().zip(&b.dims).map(same).collect(),
        false => None,
    };
    let equal = equal.ok_or_else(|| Reason("it compares lengths that are open".into()))?;
    Ok(vec![reader.constant(Tensor::integers(equal))?])
}

/// Lengths chosen from two lists.
pub(super) fn choose(call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    let (a, b) = (sizes_of(call, 1)?, sizes_of(call, 2)?);
    match call.input(0)?.integers() {
        Some(which) if which.len() == a.dims.len() && which.len() == b.dims.len() => {
            let pairs = a.dims.iter().zip(&b.dims).zip(which);
            let dims =
                pairs.map(|((a, b), which)| if which != 0 { a } else { b }.clone()).collect();
            Ok(vec![Known::of_sizes(Sizes { dims, scalar: a.scalar })])
        }
        _ => Err(Reason("only lengths of axes are chosen".into())),
    }
}

pub(super) fn and(call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    match (call.input(0)?, call.input(1)?) {
        (Known::Less(a, b), Known::Less(c, d)) if (a, b) == (c, d) => {
            Ok(vec![Known::Less(a.clone(), b.clone())])
        }
        (Known::Running(a, end), Known::Running(b, other)) if end == other => {
            Ok(vec![Known::Running(*a.max(b), end.clone())])
        }
        _ => Err(Reason("only the same truth twice is joined".into())),
    }
}

/// Product or quotient of lengths, if the inputs of a node are lengths.
pub(super) fn arithmetic(
    call: &Call<'_, '_>,
    compute: impl Fn(&Dim, &Dim) -> Option<Dim>,
) -> Option<Result<Vec<Known>, Reason>> {
    let (a, b) = (call.optional(0)?.sizes()?, call.optional(1)?.sizes()?);
    let dims: Option<Vec<Dim>> = match (a.dims.len(), b.dims.len()) {
        (m, n) if m == n => a.dims.iter().zip(&b.dims).map(|(a, b)| compute(a, b)).collect(),
        (_, 1) => a.dims.iter().map(|a| compute(a, &b.dims[0])).collect(),
        (1, _) => b.dims.iter().map(|b| compute(&a.dims[0], b)).collect(),
        _ => None,
    };
    let scalar = a.scalar && b.scalar;
    Some(match dims {
        Some(dims) => Ok(vec![Known::of_sizes(Sizes { dims, scalar })]),
        None => Err(Reason("these lengths have no such product or quotient".into())),
    })
}
