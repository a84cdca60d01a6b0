//! Parts of tensors: slices, splits, and entries by index.

use super::Reason;
use super::axes::Role;
use super::call::{Call, place};
use super::dims::Dim;
use super::known::{Known, Sizes};
use super::reader::Reader;
use super::view::{Atom, Form, View, row};
use crate::model::{Embedding, Matrix, Op, Select, Value};

/// Entries `start..end` of an axis.
#[derive(Clone, Copy, Debug)]
struct Range {
    axis: usize,
    start: usize,
    end: usize,
}

pub(super) fn slice(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let needed = |known: Option<Vec<i64>>, what: &str| {
        known.ok_or_else(|| Reason(format!("it does not say its {what}")))
    };
    let starts = needed(call.axes("starts", 1)?, "starts")?;
    let ends = needed(call.axes("ends", 2)?, "ends")?;
    let axes = match call.axes("axes", 3)? {
        Some(axes) => axes,
        None => (0..starts.len()).map(|axis| i64::try_from(axis).unwrap_or(i64::MAX)).collect(),
    };
    let steps = call.axes("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(Reason("its starts, ends, axes and steps are not equally many".into()));
    }
    if let (Known::Data(view), &[-1], &[-1], &[axis]) =
        (call.input(0)?, &steps[..], &starts[..], &axes[..])
        && ends[0] <= -i64::from(i32::MAX)
    {
        return flipped(reader, view, axis);
    }
    if let Some(step) = steps.iter().find(|&&step| step != 1) {
        return Err(Reason(format!(
            "it takes steps of {step}; read are 1, and -1 over all of time"
        )));
    }
    let mut known = call.input(0)?.clone();
    for ((&axis, &start), &end) in axes.iter().zip(&starts).zip(&ends) {
        known = sliced(reader, known, axis, start, end)?;
    }
    Ok(vec![known])
}

/// All steps in the other order of time.
fn flipped(reader: &mut Reader<'_, '_>, view: &View, axis: i64) -> Result<Vec<Known>, Reason> {
    let [Atom::Axis(found)] = view.axes[place(axis, view.rank())?][..] else {
        return Err(Reason("it puts other than time in the other order".into()));
    };
    reader.axes.claim(found, Role::Time)?;
    Ok(vec![Known::Data(View { reversed: !view.reversed, ..view.clone() })])
}

/// `start..end` of an axis of known length, negative ones counted from its end. Arithmetic of a file may
/// make a length negative.
fn range(axis: usize, start: i64, end: i64, length: i64) -> Result<Range, Reason> {
    let inside = |at: i64| {
        let at = if at < 0 { at.saturating_add(length) } else { at };
        at.clamp(0, length.max(0))
    };
    let (start, end) = (inside(start), inside(end));
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start < end => Ok(Range { axis, start, end }),
        _ => Err(Reason(format!("{start}..{end} of axis {axis}, which has {length}, is empty"))),
    }
}

fn sliced(
    reader: &mut Reader<'_, '_>,
    known: Known,
    axis: i64,
    start: i64,
    end: i64,
) -> Result<Known, Reason> {
    match known {
        Known::Data(view) => {
            let axis = place(axis, view.rank())?;
            let length = view.shape(&reader.axes)?[axis].clone();
            // All of it, or all that there can be.
            if start == 0 && end >= i64::from(i32::MAX) {
                return Ok(Known::Data(view));
            }
            let Some(length) = length.as_number() else {
                return open_step(reader, &view, axis, start, end).map(Known::Data);
            };
            let range = range(axis, start, end, length)?;
            part(reader, &view, range).map(Known::Data)
        }
        Known::Constant(tensor) => {
            let axis = place(axis, tensor.dims.len())?;
            let length = i64::try_from(tensor.dims[axis]).unwrap_or(i64::MAX);
            let range = range(axis, start, end, length)?;
            let wanted: Vec<usize> = (range.start..range.end).collect();
            reader.constant(tensor.taken(axis, &wanted))
        }
        Known::Sizes(Sizes { dims, scalar: false }) => {
            let length = i64::try_from(dims.len()).unwrap_or(i64::MAX);
            let Range { start, end, .. } = range(place(axis, 1)?, start, end, length)?;
            Ok(Known::of_sizes(Sizes { dims: dims[start..end].to_vec(), scalar: false }))
        }
        Known::Filled(number, mut dims) => {
            let axis = place(axis, dims.len())?;
            if start != 0 || end < i64::from(i32::MAX) {
                let length = dims[axis].as_number();
                let length = length.ok_or_else(|| Reason("it cuts an open axis".into()))?;
                let Range { start, end, .. } = range(axis, start, end, length)?;
                dims[axis] = Dim::of(end - start);
            }
            Ok(Known::Filled(number, dims))
        }
        other => Err(Reason(format!("its input is {}", other.name()))),
    }
}

/// One step of an axis whose length is open: the first few, or the last few, one by one.
fn open_step(
    reader: &mut Reader<'_, '_>,
    view: &View,
    axis: usize,
    start: i64,
    end: i64,
) -> Result<View, Reason> {
    let one = start.checked_add(1) == Some(end) || (start == -1 && end >= i64::from(i32::MAX));
    if !one {
        return Err(Reason(format!("{start}..{end} of an open axis is not a single step of it")));
    }
    let mut view = step(reader, view, axis, start)?;
    view.axes.insert(axis, Vec::new());
    Ok(view)
}

/// One entry of the axis of time, and that axis taken out.
fn step(reader: &mut Reader<'_, '_>, view: &View, axis: usize, step: i64) -> Result<View, Reason> {
    let Some(&[Atom::Axis(found)]) = view.axes.get(axis).map(Vec::as_slice) else {
        return Err(Reason("it takes an entry of several axes joined".into()));
    };
    let mut view = view.clone();
    view.axes.remove(axis);
    match reader.axes.role(found) {
        None => {
            suspect(reader, &view, found);
            Ok(view)
        }
        Some(Role::Time) => {
            let place = isize::try_from(step).ok();
            let place = place.filter(|place| place.unsigned_abs() <= i32::MAX as usize);
            let place = place.ok_or_else(|| Reason(format!("there is no step {step}")))?;
            // Backwards, the last is the first.
            let mut place = if view.reversed { -1 - place } else { place };
            // Of a fixed sequence steps count from the first, but for the last.
            let size = reader.axes.size(found).and_then(|size| isize::try_from(size).ok());
            if let Some(size) = size {
                place += if place < 0 { size } else { 0 };
                place = if place + 1 == size { -1 } else { place };
            }
            view.reversed = false;
            view.value = reader.select(view.value, Select::Step(place));
            (view.form, view.sole) = (Form::Vector, false);
            Ok(view)
        }
        _ => Err(Reason(format!("it takes one row of the batch, {}", reader.axes.describe(found)))),
    }
}

/// Notes what an axis may be of which an entry is taken: states of an input itself, else time.
fn suspect(reader: &mut Reader<'_, '_>, view: &View, axis: usize) {
    let given = matches!(view.value, Value::Input(_));
    reader.axes.suspect(axis, if given { Role::States } else { Role::Time });
}

/// Entries of an axis of known length; the axis stays.
fn part(reader: &mut Reader<'_, '_>, view: &View, range: Range) -> Result<View, Reason> {
    let Range { axis, start, end } = range;
    let count = end - start;
    let mut view = view.clone();
    match view.axes[axis][..] {
        [] => Ok(view),
        [Atom::Row { len, stride }] => {
            if count < len {
                view.start += start * stride;
                view.sole = false;
            }
            view.axes[axis] = row(count, stride);
            Ok(view)
        }
        [Atom::States(all)] => {
            if count < all {
                view.state += start;
                view.sole = false;
            }
            view.axes[axis] = if count == 1 { Vec::new() } else { vec![Atom::States(count)] };
            Ok(view)
        }
        [Atom::Axis(found)] => {
            if reader.axes.role(found).is_none() && count == 1 {
                suspect(reader, &view, found);
                return Ok(view);
            }
            if reader.axes.size(found) == Some(count) || reader.axes.role(found).is_none() {
                return Ok(view);
            }
            if count != 1 {
                return Err(Reason(format!(
                    "it takes {start}..{end} of {}: of time only all, or one step",
                    reader.axes.describe(found)
                )));
            }
            let mut view = step(reader, &view, axis, i64::try_from(start).unwrap_or(i64::MAX))?;
            view.axes.insert(axis, Vec::new());
            Ok(view)
        }
        // Entries of the outermost of joined features.
        _ => {
            let settled = reader.settled(&view)?;
            if !settled.axes[axis].iter().all(|atom| matches!(atom, Atom::Row { .. })) {
                return Err(Reason("it cuts several axes that are joined".into()));
            }
            let joined = joined_row(&settled.axes[axis])
                .ok_or_else(|| Reason("it cuts several axes that are joined".into()))?;
            let mut joined_view = settled;
            joined_view.axes[axis] = joined;
            part(reader, &joined_view, range)
        }
    }
}

/// Features that stand behind each other, as one axis.
fn joined_row(atoms: &[Atom]) -> Option<Vec<Atom>> {
    let mut whole: Option<(usize, usize)> = None;
    for &atom in atoms {
        let Atom::Row { len, stride } = atom else { return None };
        whole = Some(match whole {
            None => (len, stride),
            Some((outer, before)) if before == stride * len => (outer * len, stride),
            Some(_) => return None,
        });
    }
    whole.map(|(len, stride)| row(len, stride))
}

pub(super) fn gather(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    call.at_most(2)?;
    let axis = call.int("axis")?.unwrap_or(0);
    let data = call.input(0)?.clone();
    if let (Known::Constant(table), Known::Data(indices)) = (&data, call.input(1)?) {
        let [rows, columns] = table.dims[..] else {
            return Err(Reason(format!("its table has the shape {:?}, not two axes", table.dims)));
        };
        if !indices.index || axis != 0 {
            return Err(Reason("it takes other than rows of a table by integers".into()));
        }
        let values = table.reals()?.to_vec();
        reader.spend(values.len())?;
        let embedding = Embedding::new(Matrix::new(rows, columns, values)?);
        let value = reader.emit(call.name(), Op::Embedding(embedding), &[indices.value]);
        let mut axes = indices.axes.clone();
        axes.push(row(columns, 1));
        let view = View::new(value, indices.form, columns, axes);
        return Ok(vec![reader.data(view)?]);
    }
    if let (Known::Data(view), Known::Step(0), 0) = (&data, call.input(1)?, axis) {
        let Some((value, step)) = reader.step.clone() else {
            return Err(Reason("it takes a step outside of a loop".into()));
        };
        return if view.value == value && view.rank() == 3 {
            Ok(vec![step])
        } else {
            Err(Reason("it takes steps of another sequence".into()))
        };
    }
    let index = call.input(1)?;
    let (Some(indices), Some(sizes)) = (index.integers(), index.sizes()) else {
        return Err(Reason(format!("it takes entries of {} by {}", data.name(), index.name())));
    };
    if sizes.scalar {
        return entry(reader, data, axis, indices[0]).map(|known| vec![known]);
    }
    match data {
        Known::Sizes(_) | Known::Constant(_) if data.sizes().is_some_and(|s| !s.scalar) => {
            let Sizes { dims, .. } =
                data.sizes().unwrap_or(Sizes { dims: Vec::new(), scalar: false });
            let chosen: Result<Vec<Dim>, Reason> =
                indices.iter().map(|&index| Ok(dims[place(index, dims.len())?].clone())).collect();
            Ok(vec![Known::of_sizes(Sizes { dims: chosen?, scalar: false })])
        }
        Known::Constant(tensor) => {
            let axis = place(axis, tensor.dims.len())?;
            let wanted: Vec<usize> = indices
                .iter()
                .map(|&index| place(index, tensor.dims[axis]))
                .collect::<Result<_, _>>()?;
            let inner: usize = tensor.dims.iter().product::<usize>() / tensor.dims[axis].max(1);
            reader.spend(inner.saturating_mul(wanted.len()))?;
            Ok(vec![reader.constant(tensor.taken(axis, &wanted))?])
        }
        other => match indices[..] {
            [one] => {
                let end = one.checked_add(1).filter(|&end| end != 0).unwrap_or(i64::MAX);
                sliced(reader, other, axis, one, end).map(|known| vec![known])
            }
            _ => Err(Reason("it takes several entries of data by index".into())),
        },
    }
}

/// One entry of an axis, which is taken out.
fn entry(
    reader: &mut Reader<'_, '_>,
    known: Known,
    axis: i64,
    index: i64,
) -> Result<Known, Reason> {
    match known {
        Known::Data(view) => {
            let axis = place(axis, view.rank())?;
            if let [Atom::Axis(_)] = view.axes[axis][..] {
                return step(reader, &view, axis, index).map(Known::Data);
            }
            let length = view.shape(&reader.axes)?[axis].as_number().unwrap_or(0);
            let end = index.checked_add(1).filter(|&end| end != 0).unwrap_or(i64::MAX);
            let mut view = part(reader, &view, range(axis, index, end, length)?)?;
            view.axes.remove(axis);
            Ok(Known::Data(view))
        }
        Known::Constant(_) | Known::Sizes(_) if known.sizes().is_some_and(|s| !s.scalar) => {
            let dims = known.sizes().map(|sizes| sizes.dims).unwrap_or_default();
            let dim = dims[place(index, dims.len())?].clone();
            Ok(Known::of_sizes(Sizes { dims: vec![dim], scalar: true }))
        }
        Known::Constant(tensor) => {
            let axis = place(axis, tensor.dims.len())?;
            let entry = place(index, tensor.dims[axis])?;
            let mut taken = tensor.taken(axis, &[entry]);
            taken.dims.remove(axis);
            reader.constant(taken)
        }
        Known::Filled(number, mut dims) => {
            dims.remove(place(axis, dims.len())?);
            Ok(Known::Filled(number, dims))
        }
        other => Err(Reason(format!("it takes an entry of {}", other.name()))),
    }
}

/// The whole of a sequence in the other order of time.
pub(super) fn reverse(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    call.at_most(2)?;
    let mut view = call.data(0)?.clone();
    let time = place(call.int("time_axis")?.unwrap_or(0), view.rank())?;
    let batch = place(call.int("batch_axis")?.unwrap_or(1), view.rank())?;
    for (axis, role) in [(time, Role::Time), (batch, Role::Batch)] {
        let [Atom::Axis(found)] = view.axes[axis][..] else {
            return Err(Reason("it reverses other than time".into()));
        };
        reader.axes.claim(found, role)?;
    }
    let length = view.shape(&reader.axes)?[time].clone();
    let whole = match call.input(1)? {
        Known::Lengths(found) => *found == length,
        other => match other.sizes() {
            Some(sizes) => sizes.dims.iter().all(|found| *found == length),
            None => false,
        },
    };
    if !whole {
        return Err(Reason("it reverses a part of each row only".into()));
    }
    view.reversed = !view.reversed;
    Ok(vec![Known::Data(view)])
}

pub(super) fn split(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let axis = call.int("axis")?.unwrap_or(0);
    let sizes = call.axes("split", 1)?;
    let count = call.int("num_outputs")?;
    let results = i64::try_from(call.results()).unwrap_or(i64::MAX);
    if count.is_some_and(|count| count != results) {
        return Err(Reason(format!("num_outputs is not its {results} outputs")));
    }
    let known = call.input(0)?.clone();
    let length = match &known {
        Known::Data(view) => view.shape(&reader.axes)?[place(axis, view.rank())?].as_number(),
        Known::Constant(tensor) => i64::try_from(tensor.dims[place(axis, tensor.dims.len())?]).ok(),
        Known::Filled(_, dims) => dims[place(axis, dims.len())?].as_number(),
        _ => None,
    };
    let length = length.ok_or_else(|| Reason("it splits an axis of open length".into()))?;
    let sizes = sizes.unwrap_or_else(|| {
        let each = if results == 0 {
            0
        } else {
            length.div_euclid(results) + i64::from(length % results != 0)
        };
        (0..results).map(|part| each.min(length.saturating_sub(part * each))).collect()
    });
    let total = sizes.iter().try_fold(0_i64, |sum, &size| sum.checked_add(size));
    if total != Some(length) || sizes.iter().any(|&size| size < 1) || sizes.len() != call.results()
    {
        return Err(Reason(format!("parts of {sizes:?} do not make {length}")));
    }
    let mut start = 0;
    let mut parts = Vec::with_capacity(sizes.len());
    for size in sizes {
        parts.push(sliced(reader, known.clone(), axis, start, start + size)?);
        start += size;
    }
    Ok(parts)
}
