//! Tensors behind each other along an axis.

use super::Reason;
use super::call::{Call, place};
use super::dims::Dim;
use super::known::{Known, MOST_SIZES, Sizes};
use super::reader::Reader;
use super::tensor::Tensor;
use super::unrolled;
use super::view::{Atom, Form, View, row};
use crate::model::{Op, Value};

pub(super) fn concat<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    let axis = call.int("axis")?.ok_or_else(|| Reason("it does not say its axis".into()))?;
    let inputs: Vec<&Known> =
        (0..call.inputs.len()).map(|index| call.input(index)).collect::<Result<_, _>>()?;
    if let [only] = inputs[..] {
        return Ok(vec![only.clone()]);
    }
    let lists = inputs.iter().map(|known| known.sizes().filter(|sizes| !sizes.scalar));
    if let Some(lists) = lists.collect::<Option<Vec<Sizes>>>() {
        let dims: Vec<Dim> = lists.into_iter().flat_map(|sizes| sizes.dims).collect();
        if dims.len() > MOST_SIZES {
            return Err(Reason("it joins more lengths than a shape has".into()));
        }
        return Ok(vec![Known::of_sizes(Sizes { dims, scalar: false })]);
    }
    if let Some(joined) = fills(&inputs, axis)? {
        return Ok(vec![joined]);
    }
    let mut constants: Vec<&Tensor> = Vec::new();
    let mut views: Vec<View> = Vec::new();
    for known in &inputs {
        match known {
            Known::Constant(tensor) => constants.push(&**tensor),
            Known::Data(view) => views.push(view.clone()),
            other => return Err(Reason(format!("it joins {}", other.name()))),
        }
    }
    if views.is_empty() {
        let rank = constants.first().map_or(0, |tensor| tensor.dims.len());
        reader.spend(constants.iter().map(|tensor| tensor.dims.iter().product::<usize>()).sum())?;
        let joined = Tensor::joined(&constants, place(axis, rank)?)?;
        return Ok(vec![reader.constant(joined)?]);
    }
    if !constants.is_empty() {
        return Err(Reason("it joins data with constants".into()));
    }
    let axis = place(axis, views[0].rank())?;
    joined(reader, call, &views, axis)
}

/// Shapes filled with one number, joined.
fn fills(inputs: &[&Known], axis: i64) -> Result<Option<Known>, Reason> {
    let mut filled: Option<(f32, Vec<Dim>)> = None;
    for known in inputs {
        let Known::Filled(number, dims) = known else { return Ok(None) };
        let axis = place(axis, dims.len())?;
        filled = Some(match filled {
            None => (*number, dims.clone()),
            Some((first, mut sum)) if first == *number && sum.len() == dims.len() => {
                let total = sum[axis].as_number().zip(dims[axis].as_number());
                let total = total.and_then(|(a, b)| a.checked_add(b));
                let total = total.ok_or_else(|| Reason("it joins along an open axis".into()))?;
                sum[axis] = Dim::number(total);
                (first, sum)
            }
            Some(_) => return Ok(None),
        });
    }
    Ok(filled.map(|(number, dims)| Known::Filled(number, dims)))
}

fn joined<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
    views: &[View],
    axis: usize,
) -> Result<Vec<Known>, Reason> {
    let rank = views[0].rank();
    if views.iter().any(|view| view.rank() != rank) {
        return Err(Reason("it joins tensors of different numbers of axes".into()));
    }
    if axis + 1 == rank {
        for view in views {
            reader.claim_row(view)?;
        }
    }
    let batch =
        views[0].axes.iter().position(|axis| axis.iter().any(|atom| matches!(atom, Atom::Axis(_))));
    let sequence = views.iter().any(|view| view.form == Form::Sequence);
    let states = batch.is_some_and(|batch| axis < batch) && !sequence;
    if let Some(whole) = unrolled::joined(reader, call, views, axis)? {
        return Ok(vec![reader.data(whole)?]);
    }
    if let Some(whole) = neighbours(views, axis) {
        return Ok(vec![reader.data(whole)?]);
    }
    let mut settled: Vec<View> =
        views.iter().map(|view| reader.settled(view)).collect::<Result<_, _>>()?;
    if !states && settled.iter().any(|view| view.form != settled[0].form) {
        settled = settled.into_iter().map(|view| reader.as_vector(view)).collect();
    }
    let known_row = |atoms: &Vec<Atom>| atoms.iter().all(|atom| matches!(atom, Atom::Row { .. }));
    let result = if states {
        stacked(reader, call, &settled, axis)?
    } else if settled.iter().all(|view| view.form == Form::Open || known_row(&view.axes[axis])) {
        features(reader, call, &settled, axis)?
    } else {
        return Err(Reason(
            "it joins along the batch or time; joined are features, and states".into(),
        ));
    };
    Ok(vec![reader.data(result)?])
}

/// Parts of one value's features that stand behind each other there too.
fn neighbours(views: &[View], axis: usize) -> Option<View> {
    let first = &views[0];
    let mut end = first.start;
    for view in views {
        let row: Vec<Atom> = view.atoms().filter(|atom| !matches!(atom, Atom::Axis(_))).collect();
        let (others, len) = match (&row[..], &view.axes[axis][..]) {
            ([Atom::Row { len, stride: 1 }], [Atom::Row { .. }]) => (1, *len),
            ([], []) => (0, 1),
            _ => return None,
        };
        let same = view.value == first.value && view.form == first.form;
        if !same || view.start != end || view.rank() != first.rank() || others > 1 {
            return None;
        }
        let alike = |place: usize| place == axis || view.axes[place] == first.axes[place];
        if !(0..view.rank()).all(alike) || !matches!(view.form, Form::Sequence | Form::Vector) {
            return None;
        }
        end += len;
    }
    let mut whole = first.clone();
    whole.axes[axis] = row(end - first.start, 1);
    Some(whole)
}

/// Fails unless all axes but one are the same.
fn check_others(reader: &Reader<'_, '_>, views: &[View], axis: usize) -> Result<(), Reason> {
    let first = views[0].shape(&reader.axes)?;
    for view in views {
        let shape = view.shape(&reader.axes)?;
        let open =
            |place: usize| shape[place].as_number().is_none() || first[place].as_number().is_none();
        // Axes of open length are held against each other when the model runs.
        let differs = (0..first.len())
            .find(|&place| place != axis && shape[place] != first[place] && !open(place));
        if let Some(place) = differs {
            return Err(Reason(format!(
                "it joins a length of {} with one of {} on axis {place}",
                first[place], shape[place]
            )));
        }
    }
    Ok(())
}

/// States behind each other.
fn stacked(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    views: &[View],
    axis: usize,
) -> Result<View, Reason> {
    check_others(reader, views, axis)?;
    let counts = views.iter().map(|view| match view.axes[axis][..] {
        [] => Ok(1),
        [Atom::States(count)] => Ok(count),
        _ => Err(Reason("it joins features with states".into())),
    });
    let counts: Vec<usize> = counts.collect::<Result<_, _>>()?;
    let count = counts.iter().try_fold(0_usize, |sum, &count| sum.checked_add(count));
    let count = count.ok_or_else(|| Reason("it joins too many states".into()))?;
    let values: Vec<Value> = views.iter().map(|view| view.value).collect();
    let value = reader.emit(call.name(), Op::Stack, &values);
    let mut axes = views[0].axes.clone();
    axes[axis] = vec![Atom::States(count)];
    Ok(View::new(value, Form::States(count), views[0].features, axes))
}

/// Features behind each other: along the outermost of them the rows become longer; along another
/// axis the new one steps from part to part.
fn features(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    views: &[View],
    axis: usize,
) -> Result<View, Reason> {
    check_others(reader, views, axis)?;
    let values: Vec<Value> = views.iter().map(|view| view.value).collect();
    let value = reader.emit(call.name(), Op::Concat, &values);
    let total = views.iter().try_fold(0_usize, |sum, view| sum.checked_add(view.features));
    let total = total.ok_or_else(|| Reason("it joins too many features".into()))?;
    let mut axes = views[0].axes.clone();
    let outer = axes[..axis].iter().flatten().all(|atom| !matches!(atom, Atom::Row { .. }));
    let inner: usize = axes[axis + 1..]
        .iter()
        .flatten()
        .map(|atom| if let Atom::Row { len, .. } = atom { *len } else { 1 })
        .product();
    let first = &views[0];
    axes[axis] = if outer {
        row(total / inner.max(1), inner)
    } else if views.iter().all(|view| view.axes[axis].is_empty() && view.features == first.features)
    {
        row(views.len(), first.features)
    } else {
        return Err(Reason("it joins on an inner axis of features".into()));
    };
    let open = views.iter().any(|view| view.form == Form::Open);
    if !open && views.iter().any(|view| view.form != first.form) {
        return Err(Reason("it joins sequences, states or vectors with one another".into()));
    }
    let form = if open { Form::Open } else { first.form };
    Ok(View::new(value, form, total, axes))
}
