//! NumPy's arrays as the library sees them.

use numpy::ndarray::{ArrayD, Dimension, IxDyn};
use numpy::{
    PyArrayDyn, PyReadonlyArray, PyReadonlyArrayDyn, PyReadwriteArray, PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use ritornello::model::{Element, Extent, Input, SequenceAxes, Shape};
use ritornello::{Array, ArrayView, Values};

use crate::failure::{self, raised};

/// An array of the caller's, borrowed for a call.
pub(crate) enum Given<'py> {
    Numbers(PyReadonlyArrayDyn<'py, f32>),
    Indices(PyReadonlyArrayDyn<'py, i32>),
}

impl<'py> Given<'py> {
    /// Borrows the array for an input.
    pub(crate) fn new(input: &Input, array: &Bound<'py, PyAny>) -> PyResult<Self> {
        let wrong = |dtype: &str| {
            let found = array.get_type();
            let text = format!("input '{}' is {found}, expected an array of {dtype}", input.name);
            failure::Error::new_err(text)
        };
        match input.element {
            Element::F32 => array.extract().map(Self::Numbers).map_err(|_| wrong("float32")),
            Element::Index => array.extract().map(Self::Indices).map_err(|_| wrong("int32")),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Self::Numbers(array) => array.shape(),
            Self::Indices(array) => array.shape(),
        }
    }

    /// Sees the numbers as an array of `shape`, which may have other axes of length 1.
    pub(crate) fn view<'a>(&'a self, shape: &'a [usize]) -> PyResult<ArrayView<'a>> {
        match self {
            Self::Numbers(array) => ArrayView::new(shape, in_order(array)?),
            Self::Indices(array) => ArrayView::from_indices(shape, in_order(array)?),
        }
        .map_err(raised)
    }
}

/// The numbers of an array, last axis fastest: NumPy calls arrays contiguous whose first axis is.
pub(crate) fn in_order<'a, T: numpy::Element, D: Dimension>(
    array: &'a PyReadonlyArray<'_, T, D>,
) -> PyResult<&'a [T]> {
    let scattered = || failure::Error::new_err("an array is not contiguous and aligned");
    if !array.is_c_contiguous() {
        return Err(scattered());
    }
    array.as_slice().map_err(|_| scattered())
}

/// The same of memory for a result.
pub(crate) fn in_order_mut<'a, D: Dimension>(
    array: &'a mut PyReadwriteArray<'_, f32, D>,
) -> PyResult<&'a mut [f32]> {
    let scattered = || failure::Error::new_err("an array of out is not contiguous and aligned");
    if !array.is_c_contiguous() {
        return Err(scattered());
    }
    array.as_slice_mut().map_err(|_| scattered())
}

/// The shape of the caller's array for a value; `times` are the steps of each input.
pub(crate) fn outside_shape(
    shape: Shape,
    order: SequenceAxes,
    batch: usize,
    times: &[usize],
) -> Vec<usize> {
    let features = shape.features();
    match shape {
        Shape::Vector { .. } => vec![batch, features],
        Shape::States { count, .. } => vec![count, batch, features],
        Shape::Sequence { time, .. } => {
            let time = match time {
                Extent::Input(input) => times.get(input).copied().unwrap_or(0),
                Extent::Fixed(steps) => steps,
            };
            match order {
                SequenceAxes::BatchTime => vec![batch, time, features],
                SequenceAxes::TimeBatch => vec![time, batch, features],
            }
        }
    }
}

/// The steps of each input, 1 where it is no sequence.
pub(crate) fn times(plan: &ritornello::Plan, shapes: &[&[usize]]) -> Vec<usize> {
    let pairs = plan.inputs().iter().zip(shapes);
    let each = pairs.map(|(input, shape)| match input.shape {
        Shape::Sequence { .. } => {
            let axis = 1 - batch_axis(input.shape, plan.axes());
            shape.get(axis).copied().unwrap_or(0)
        }
        _ => 1,
    });
    each.collect()
}

/// A tensor of weights or states, copied.
pub(crate) fn copied(array: &PyReadonlyArrayDyn<'_, f32>) -> PyResult<Array> {
    let numbers = array.as_array().iter().copied().collect();
    Array::new(array.shape(), numbers).map_err(raised)
}

/// An array of the library's as NumPy's, without a copy.
pub(crate) fn given_back<'py>(
    py: Python<'py>,
    array: &Array,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let numbers = match array.values() {
        Values::F32(numbers) => numbers.clone(),
        Values::Index(_) => Vec::new(),
    };
    owned(py, array.shape(), numbers)
}

/// Numbers as NumPy's array, which owns them from now on.
pub(crate) fn owned<'py>(
    py: Python<'py>,
    shape: &[usize],
    numbers: Vec<f32>,
) -> PyResult<Bound<'py, PyArrayDyn<f32>>> {
    let array = ArrayD::from_shape_vec(IxDyn(shape), numbers)
        .map_err(|problem| failure::Error::new_err(problem.to_string()))?;
    Ok(PyArrayDyn::from_owned_array(py, array))
}

/// What a value is and its axes in the caller's order: names, or lengths that are fixed.
pub(crate) fn axes(shape: Shape, element: Element, order: SequenceAxes) -> (String, Vec<String>) {
    let features = shape.features().to_string();
    let (kind, mut axes) = match shape {
        Shape::Vector { .. } => ("vector", vec!["batch".to_owned()]),
        Shape::States { count, .. } => ("states", vec![count.to_string(), "batch".into()]),
        Shape::Sequence { time, .. } => {
            let time = match time {
                Extent::Input(_) => "time".to_owned(),
                Extent::Fixed(steps) => steps.to_string(),
            };
            let axes = match order {
                SequenceAxes::BatchTime => vec!["batch".to_owned(), time],
                SequenceAxes::TimeBatch => vec![time, "batch".to_owned()],
            };
            ("sequence", axes)
        }
    };
    if element == Element::F32 {
        axes.push(features);
    }
    (kind.to_owned(), axes)
}

/// Which axis of the caller's array is the batch.
pub(crate) fn batch_axis(shape: Shape, order: SequenceAxes) -> usize {
    match (shape, order) {
        (Shape::Vector { .. }, _) | (Shape::Sequence { .. }, SequenceAxes::BatchTime) => 0,
        _ => 1,
    }
}
