//! Constants, and what is done with them before anything runs.

use super::Reason;
use crate::load::container::onnx::Numbers;

/// A constant tensor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) dims: Vec<usize>,
    pub(super) numbers: Numbers,
}

impl Tensor {
    pub(super) fn integers(numbers: Vec<i64>) -> Self {
        Self { dims: vec![numbers.len()], numbers: Numbers::I64(numbers) }
    }

    /// Its real numbers.
    pub(super) fn reals(&self) -> Result<&[f32], Reason> {
        match &self.numbers {
            Numbers::F32(numbers) => Ok(numbers),
            Numbers::I64(_) => Err(Reason("integers stand where real numbers should".into())),
        }
    }

    /// The number that all of its are, if they are one.
    pub(super) fn only(&self) -> Option<f32> {
        let Numbers::F32(numbers) = &self.numbers else { return None };
        let first = *numbers.first()?;
        numbers.iter().all(|&number| number == first).then_some(first)
    }

    fn len(&self) -> usize {
        match &self.numbers {
            Numbers::F32(numbers) => numbers.len(),
            Numbers::I64(numbers) => numbers.len(),
        }
    }

    /// The same numbers in another shape.
    pub(super) fn reshaped(&self, dims: Vec<usize>) -> Result<Self, Reason> {
        let count = dims.iter().try_fold(1_usize, |count, &length| count.checked_mul(length));
        if count != Some(self.len()) {
            return Err(Reason(format!("{:?} numbers do not fit the shape {dims:?}", self.dims)));
        }
        Ok(Self { dims, numbers: self.numbers.clone() })
    }

    /// The numbers at these places, in this shape.
    fn picked(&self, dims: Vec<usize>, places: &[usize]) -> Self {
        let numbers = match &self.numbers {
            Numbers::F32(all) => Numbers::F32(places.iter().map(|&place| all[place]).collect()),
            Numbers::I64(all) => Numbers::I64(places.iter().map(|&place| all[place]).collect()),
        };
        Self { dims, numbers }
    }

    /// Its axes in another order; `order` has each of them once.
    pub(super) fn transposed(&self, order: &[usize]) -> Self {
        let dims: Vec<usize> = order.iter().map(|&axis| self.dims[axis]).collect();
        let mut strides = vec![1; self.dims.len()];
        for axis in (1..self.dims.len()).rev() {
            strides[axis - 1] = strides[axis] * self.dims[axis];
        }
        let mut places = Vec::with_capacity(self.len());
        let mut at = vec![0; dims.len()];
        for _ in 0..self.len() {
            places.push(order.iter().zip(&at).map(|(&axis, &index)| strides[axis] * index).sum());
            for axis in (0..dims.len()).rev() {
                at[axis] += 1;
                if at[axis] < dims[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
        self.picked(dims, &places)
    }

    /// The entries of one axis at these places.
    pub(super) fn taken(&self, axis: usize, wanted: &[usize]) -> Self {
        let inner: usize = self.dims[axis + 1..].iter().product();
        let outer: usize = self.dims[..axis].iter().product();
        let length = self.dims[axis];
        let mut places = Vec::new();
        for block in 0..outer {
            for &entry in wanted {
                let first = (block * length + entry) * inner;
                places.extend(first..first + inner);
            }
        }
        let mut dims = self.dims.clone();
        dims[axis] = wanted.len();
        self.picked(dims, &places)
    }

    /// Several of one kind behind each other along an axis.
    pub(super) fn joined(parts: &[&Self], axis: usize) -> Result<Self, Reason> {
        let misfit = || Reason("constants of different shapes are joined".into());
        let first = parts.first().ok_or_else(misfit)?;
        let mut dims = first.dims.clone();
        let fits = |part: &&&Self| {
            part.dims.len() == dims.len()
                && (0..dims.len()).all(|other| other == axis || part.dims[other] == dims[other])
        };
        if axis >= dims.len() || !parts.iter().all(|part| fits(&part)) {
            return Err(misfit());
        }
        dims[axis] = parts.iter().map(|part| part.dims[axis]).sum();
        let outer: usize = dims[..axis].iter().product();
        let mut joined = Self { dims, numbers: Numbers::F32(Vec::new()) };
        if let Numbers::I64(_) = first.numbers {
            joined.numbers = Numbers::I64(Vec::new());
        }
        for block in 0..outer {
            for part in parts {
                let size: usize = part.dims[axis..].iter().product();
                let range = block * size..(block + 1) * size;
                match (&mut joined.numbers, &part.numbers) {
                    (Numbers::F32(all), Numbers::F32(these)) => all.extend(&these[range]),
                    (Numbers::I64(all), Numbers::I64(these)) => all.extend(&these[range]),
                    _ => return Err(misfit()),
                }
            }
        }
        Ok(joined)
    }
}
