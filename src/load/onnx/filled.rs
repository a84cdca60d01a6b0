//! Constants that stand in the place of data: the states from which cells start, and what is repeated.

use super::Reason;
use super::call::Call;
use super::dims::Dim;
use super::known::Known;
use super::reader::Reader;
use super::view::{Atom, Form, View, row};
use crate::load::container::onnx::Numbers;
use crate::model::{Constant, Op};

/// A row of features is at most so long.
const LONGEST_ROW: usize = 1 << 20;

impl<'a> Reader<'_, 'a> {
    /// A constant `[batch, features]`, perhaps with axes of length 1, every row of which is the same, as data.
    pub(super) fn rows_of(
        &mut self,
        call: &Call<'_, 'a>,
        known: &Known,
    ) -> Result<Option<View>, Reason> {
        let (dims, numbers) = match known {
            Known::Filled(number, dims) => match features(dims) {
                Some(count) => (dims.clone(), vec![*number; count]),
                None => return Ok(None),
            },
            Known::Repeated(tensor, dims) => match (features(dims), &tensor.numbers) {
                (Some(count), Numbers::F32(numbers)) if numbers.len() == count => {
                    (dims.clone(), numbers.clone())
                }
                _ => return Ok(None),
            },
            Known::Constant(tensor) => {
                let dims: Vec<Dim> = tensor.dims.iter().map(|&length| Dim::of(length)).collect();
                match (features(&dims), &tensor.numbers) {
                    (Some(count), Numbers::F32(numbers))
                        if !numbers.is_empty()
                            && numbers.chunks(count).all(|row| *row == numbers[..count]) =>
                    {
                        (dims, numbers[..count].to_vec())
                    }
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        // One axis is the batch, others have the length 1.
        let others = &dims[..dims.len() - 1];
        let longer = |dim: &Dim| *dim != Dim::number(1);
        let place = others.iter().position(longer).unwrap_or(others.len() - 1);
        let single = others.iter().filter(|dim| longer(dim)).count() <= 1;
        let batch = self.axes.batch(&others[place]).filter(|_| single);
        let Some(batch) = batch else { return Ok(None) };
        let count = numbers.len();
        self.spend(count)?;
        let key = (numbers.iter().map(|number| number.to_bits()).collect(), batch);
        let value = match self.constants.get(&key) {
            Some(&value) => value,
            None => {
                let constant = Op::Constant(Constant::vector(numbers));
                self.emit(&format!("{}.start", call.name()), constant, &[])
            }
        };
        self.constants.insert(key, value);
        let mut axes = vec![Vec::new(); others.len()];
        axes[place].push(Atom::Axis(batch));
        axes.push(row(count, 1));
        Ok(Some(View { sole: false, ..View::new(value, Form::Vector, count, axes) }))
    }

    /// An input that is data, or a constant that stands for it.
    pub(super) fn data_or_rows(
        &mut self,
        call: &Call<'_, 'a>,
        index: usize,
    ) -> Result<View, Reason> {
        match self.rows_of(call, call.input(index)?)? {
            Some(view) => Ok(view),
            None => call.data(index).cloned(),
        }
    }
}

/// The features of a shape `[batch, features]`, perhaps with axes of length 1.
fn features(dims: &[Dim]) -> Option<usize> {
    let [_, .., features] = dims else { return None };
    let features = usize::try_from(features.as_number()?).ok()?;
    (1..=LONGEST_ROW).contains(&features).then_some(features)
}

/// The same vector for each of so many steps, along an axis of length 1.
pub(super) fn repeated<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
    view: &View,
    axis: usize,
    steps: usize,
) -> Result<Known, Reason> {
    let view = reader.settled(view)?;
    let view = reader.as_vector(view);
    if view.index || view.form != Form::Vector || !view.axes[axis].is_empty() {
        return Err(Reason(
            "it repeats other than a vector along a new axis, which is that of time".into(),
        ));
    }
    let value = reader.emit(call.name(), Op::Repeat { steps }, &[view.value]);
    let mut axes = view.axes;
    axes[axis] = vec![Atom::Axis(reader.axes.steps(call.name(), steps))];
    reader.data(View::new(value, Form::Sequence, view.features, axes))
}

/// Copies along an axis: Keras' `RepeatVector`.
pub(super) fn tile<'a>(
    reader: &mut Reader<'_, 'a>,
    call: &Call<'_, 'a>,
) -> Result<Vec<Known>, Reason> {
    call.at_most(2)?;
    let view = call.data(0)?.clone();
    let repeats = call.input(1)?.integers();
    let repeats = repeats.ok_or_else(|| Reason("its repeats are not constant".into()))?;
    if repeats.len() != view.rank() {
        return Err(Reason(format!("{} repeats for {} axes", repeats.len(), view.rank())));
    }
    let more: Vec<usize> = (0..repeats.len()).filter(|&axis| repeats[axis] != 1).collect();
    match more[..] {
        [] => Ok(vec![Known::Data(view)]),
        [axis] => match usize::try_from(repeats[axis]) {
            Ok(steps) if (1..=i32::MAX as usize).contains(&steps) => {
                Ok(vec![repeated(reader, call, &view, axis, steps)?])
            }
            _ => Err(Reason(format!("it repeats {} times", repeats[axis]))),
        },
        _ => Err(Reason(format!("it repeats {repeats:?} times; read is one axis"))),
    }
}
