//! Operators that move axes and compute nothing.

use super::Reason;
use super::call::{Call, place};
use super::dims::Dim;
use super::known::{Known, Sizes};
use super::reader::Reader;
use super::view::{Atom, Form, View};
use crate::load::container::onnx::{Numbers, element};
use crate::model::{Select, Value};

/// Identity, dropout at inference, and casts that change no number.
pub(super) fn same(call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    let known = call.input(0)?.clone();
    match call.node.op {
        "Cast" => cast(call, &known)?,
        "Dropout" => {
            call.float("ratio")?;
            call.int("seed")?;
            call.int("is_test")?;
            call.at_most(3)?;
            let training = match call.optional(2) {
                Some(Known::Constant(flag)) => flag.numbers != Numbers::I64(vec![0]),
                other => other.is_some(),
            };
            if training {
                return Err(Reason("it may drop at inference too (training_mode)".into()));
            }
            if call.has_result(1) {
                return Err(Reason("its mask is used".into()));
            }
        }
        _ => {}
    }
    Ok(vec![known, Known::Refused].into_iter().take(call.results()).collect())
}

fn cast(call: &Call<'_, '_>, known: &Known) -> Result<(), Reason> {
    let to = call.int("to")?.unwrap_or(0);
    call.int("saturate")?;
    let integer = matches!(to, element::INT32 | element::INT64);
    let real = matches!(to, element::FLOAT | element::DOUBLE);
    let fits = match known {
        Known::Data(view) => {
            if view.index {
                integer
            } else {
                to == element::FLOAT
            }
        }
        Known::Constant(tensor) => match &tensor.numbers {
            Numbers::F32(_) => real,
            // As a real number it serves in comparisons only, which lengths do too.
            Numbers::I64(numbers) => integer || (real && numbers.len() == 1) || to == element::BOOL,
        },
        Known::Sizes(_) => integer || real,
        Known::Filled(..) | Known::Repeated(..) => real,
        Known::Step(_) => integer || real,
        Known::Lengths(_) => integer,
        Known::Wrapped(..) | Known::Erf(..) => false,
        Known::Less(..) | Known::Running(..) => to == element::BOOL,
        Known::Refused => true,
    };
    if fits {
        return Ok(());
    }
    Err(Reason(format!("it makes {} of {}", element::name(to), known.name())))
}

pub(super) fn transpose(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    call.at_most(1)?;
    let given = call.ints("perm")?;
    let order = |rank: usize| -> Result<Vec<usize>, Reason> {
        let Some(given) = &given else { return Ok((0..rank).rev().collect()) };
        let order: Vec<usize> =
            given.iter().map(|&axis| place(axis, rank)).collect::<Result<_, _>>()?;
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted == (0..rank).collect::<Vec<_>>() {
            return Ok(order);
        }
        Err(Reason(format!("its perm {given:?} does not order {rank} axes")))
    };
    let moved = |dims: &[Dim]| -> Result<Vec<Dim>, Reason> {
        Ok(order(dims.len())?.into_iter().map(|axis| dims[axis].clone()).collect())
    };
    Ok(vec![match call.input(0)? {
        Known::Data(view) => Known::Data(view.transposed(&order(view.rank())?)),
        Known::Constant(tensor) => {
            reader.constant(tensor.transposed(&order(tensor.dims.len())?))?
        }
        Known::Filled(number, dims) => Known::Filled(*number, moved(dims)?),
        Known::Repeated(tensor, dims) => {
            let order = order(dims.len())?;
            if tensor.dims.len() != dims.len() {
                return Err(Reason("a constant of fewer axes is repeated".into()));
            }
            Known::Repeated(tensor.transposed(&order).into(), moved(dims)?)
        }
        other => return Err(Reason(format!("its input is {}", other.name()))),
    }])
}

pub(super) fn squeeze(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let axes = call.axes("axes", 1)?;
    let places = |shape: &[Dim]| -> Result<Vec<usize>, Reason> {
        let one = Dim::number(1);
        match &axes {
            None => Ok((0..shape.len()).filter(|&axis| shape[axis] == one).collect()),
            Some(axes) => axes.iter().map(|&axis| place(axis, shape.len())).collect(),
        }
    };
    Ok(vec![match call.input(0)?.clone() {
        Known::Data(view) => {
            let mut places = places(&view.shape(&reader.axes)?)?;
            places.sort_unstable();
            places.dedup();
            let mut view = view;
            for axis in places.into_iter().rev() {
                view = squeezed(reader, &view, axis)?;
            }
            Known::Data(view)
        }
        Known::Constant(tensor) => {
            let shape: Vec<Dim> = tensor.dims.iter().map(|&length| Dim::of(length)).collect();
            let places = places(&shape)?;
            let dims = kept(&tensor.dims, &places);
            reader.constant(tensor.reshaped(dims)?)?
        }
        Known::Filled(number, dims) => {
            let places = places(&dims)?;
            Known::Filled(number, kept(&dims, &places))
        }
        Known::Sizes(Sizes { dims, scalar: false }) if dims.len() == 1 => {
            Known::of_sizes(Sizes { dims, scalar: true })
        }
        other => return Err(Reason(format!("its input is {}", other.name()))),
    }])
}

fn kept<T: Clone>(dims: &[T], dropped: &[usize]) -> Vec<T> {
    let all = dims.iter().enumerate();
    all.filter(|(axis, _)| !dropped.contains(axis)).map(|(_, dim)| dim.clone()).collect()
}

/// A view without an axis of length 1.
fn squeezed(reader: &mut Reader<'_, '_>, view: &View, axis: usize) -> Result<View, Reason> {
    let mut view = view.clone();
    let atoms = view.axes.remove(axis);
    match atoms[..] {
        [] => Ok(view),
        [Atom::Axis(axis)] if reader.axes.dim(axis) == Dim::number(1) => {
            drop_step(reader, view, axis)
        }
        _ => Err(Reason(format!("axis {axis} is not one of length 1"))),
    }
}

/// A view whose only step, on the axis that was just taken out, is selected.
fn drop_step(reader: &mut Reader<'_, '_>, view: View, axis: usize) -> Result<View, Reason> {
    use super::axes::Role;
    match reader.axes.role(axis) {
        None => {
            if let Value::Input(_) = view.value {
                reader.axes.suspect(axis, Role::States);
            }
            Ok(view)
        }
        Some(Role::Time) => {
            let value = reader.select(view.value, Select::Step(0));
            Ok(View { value, form: Form::Vector, ..view })
        }
        _ => Err(Reason(format!("it takes out the batch, {}", reader.axes.describe(axis)))),
    }
}

pub(super) fn unsqueeze(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let axes = call.axes("axes", 1)?.ok_or_else(|| Reason("it does not say which axes".into()))?;
    let places = |rank: usize| -> Result<Vec<usize>, Reason> {
        let rank = rank.saturating_add(axes.len());
        if rank > 64 {
            return Err(Reason(format!("it makes {rank} axes")));
        }
        let mut places: Vec<usize> =
            axes.iter().map(|&axis| place(axis, rank)).collect::<Result<_, _>>()?;
        places.sort_unstable();
        Ok(places)
    };
    Ok(vec![match call.input(0)?.clone() {
        Known::Data(mut view) => {
            for place in places(view.rank())? {
                view.axes.insert(place.min(view.axes.len()), Vec::new());
            }
            reader.data(view)?
        }
        Known::Constant(tensor) => {
            let mut dims = tensor.dims.clone();
            for place in places(dims.len())? {
                dims.insert(place.min(dims.len()), 1);
            }
            reader.constant(tensor.reshaped(dims)?)?
        }
        Known::Filled(number, mut dims) => {
            for place in places(dims.len())? {
                dims.insert(place.min(dims.len()), Dim::number(1));
            }
            reader.filled(number, dims)?
        }
        Known::Sizes(Sizes { dims, scalar: true }) if axes == [0] => {
            Known::of_sizes(Sizes { dims, scalar: false })
        }
        other => return Err(Reason(format!("its input is {}", other.name()))),
    }])
}

pub(super) fn reshape(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let wanted = match call.ints("shape")? {
        Some(shape) => shape.into_iter().map(Dim::number).collect(),
        None => super::lengths::sizes_of(call, 1)?.dims,
    };
    let copies = call.int("allowzero")?.unwrap_or(0) == 0;
    let known = call.input(0)?.clone();
    let found = match &known {
        Known::Data(view) => view.shape(&reader.axes)?,
        Known::Constant(tensor) => tensor.dims.iter().map(|&length| Dim::of(length)).collect(),
        Known::Filled(_, dims) => dims.clone(),
        Known::Sizes(Sizes { dims, scalar }) => {
            if *scalar {
                Vec::new()
            } else {
                vec![Dim::of(dims.len())]
            }
        }
        other => return Err(Reason(format!("its input is {}", other.name()))),
    };
    let target = target(&wanted, &found, copies)?;
    Ok(vec![match known {
        Known::Data(view) => reader.data(view.reshaped(&target, &reader.axes)?)?,
        Known::Constant(tensor) => {
            let dims: Option<Vec<usize>> = target
                .iter()
                .map(|dim| dim.as_number().and_then(|length| usize::try_from(length).ok()))
                .collect();
            let dims = dims.ok_or_else(|| Reason("a constant gets an open shape".into()))?;
            reader.constant(tensor.reshaped(dims)?)?
        }
        Known::Filled(number, _) => reader.filled(number, target)?,
        Known::Sizes(Sizes { dims, .. }) => match target.len() {
            0 | 1 => Known::of_sizes(Sizes { dims, scalar: target.is_empty() }),
            _ => return Err(Reason("lengths get more than one axis".into())),
        },
        other => return Err(Reason(format!("its input is {}", other.name()))),
    }])
}

/// The shape that is meant: 0 copies a length, -1 is what is left.
fn target(wanted: &[Dim], found: &[Dim], copies: bool) -> Result<Vec<Dim>, Reason> {
    let (zero, rest) = (Dim::number(0), Dim::number(-1));
    let product = |dims: &[Dim]| {
        Dim::product(dims).ok_or_else(|| Reason("a product of lengths is too large".into()))
    };
    let mut target = wanted.to_vec();
    for (axis, dim) in target.iter_mut().enumerate() {
        if copies && *dim == zero {
            let copied = found.get(axis);
            *dim = copied
                .cloned()
                .ok_or_else(|| Reason(format!("it copies axis {axis}, which is not there")))?;
        }
    }
    if let Some(free) = target.iter().position(|dim| *dim == rest) {
        target[free] = Dim::number(1);
        let left = product(found)?.divided_by(&product(&target)?);
        target[free] = left.ok_or_else(|| {
            Reason(format!(
                "{} does not fill {}",
                super::dims::shape(found),
                super::dims::shape(wanted)
            ))
        })?;
    }
    Ok(target)
}

pub(super) fn flatten(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let axis = call.int("axis")?.unwrap_or(1);
    let view = call.data(0)?.clone();
    let rank = view.rank();
    let axis =
        if axis == i64::try_from(rank).unwrap_or(i64::MAX) { rank } else { place(axis, rank)? };
    let mut axes = view.axes.clone();
    let inner: Vec<Atom> = axes.split_off(axis).into_iter().flatten().collect();
    let outer: Vec<Atom> = axes.into_iter().flatten().collect();
    reader.data(View { axes: vec![outer, inner], ..view }).map(|known| vec![known])
}
