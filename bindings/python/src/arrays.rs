//! NumPy's arrays as the library sees them.

use numpy::ndarray::{ArrayD, Dimension, IxDyn};
use numpy::{
    PyArrayDyn, PyReadonlyArray, PyReadonlyArrayDyn, PyReadwriteArray, PyReadwriteArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;
use ritornello::model::{Element, Extent, Input, Shape, ShownAxis};
use ritornello::plan::PlannedOutput;
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

/// The shape of the caller's array for an output; `times` are the steps of each input.
pub(crate) fn outside_shape(output: &PlannedOutput, batch: usize, times: &[usize]) -> Vec<usize> {
    let time = match output.shape {
        Shape::Sequence { time: Extent::Input(input), .. } => times.get(input).copied(),
        _ => None,
    };
    output.axes.iter().map(|axis| axis.length([time.unwrap_or(0), batch])).collect()
}

/// The length of the axis that is the batch, or the time of the caller's array.
pub(crate) fn length_of(axes: &[ShownAxis], wanted: ShownAxis, shape: &[usize]) -> Option<usize> {
    shape.get(axes.iter().position(|axis| *axis == wanted)?).copied()
}

/// The steps of each input, 1 where it is no sequence.
pub(crate) fn times(plan: &ritornello::Plan, shapes: &[&[usize]]) -> Vec<usize> {
    let time_of = |(index, input): (usize, &Input)| match input.shape {
        Shape::Sequence { time: Extent::Input(_), .. } => {
            length_of(plan.input_axes(index), ShownAxis::Time, shapes[index]).unwrap_or(0)
        }
        _ => 1,
    };
    plan.inputs().iter().enumerate().map(time_of).collect()
}

/// The numbers of a result.
pub(crate) fn numbers(array: Array) -> Vec<f32> {
    match array.into_parts() {
        (_, Values::F32(numbers)) => numbers,
        (_, Values::Index(_)) => Vec::new(),
    }
}

/// Whether the caller's memory has the shapes of results.
pub(crate) fn check_out(
    out: &[PyReadwriteArrayDyn<'_, f32>],
    expected: &[Vec<usize>],
) -> PyResult<()> {
    for (index, (memory, expected)) in out.iter().zip(expected).enumerate() {
        if memory.shape() != expected {
            let text = format!("out[{index}] is {:?}, expected {expected:?}", memory.shape());
            return Err(failure::Error::new_err(text));
        }
    }
    Ok(())
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

/// What a value is and the axes of the caller's array: names, or lengths that are fixed.
pub(crate) fn axes(shape: Shape, axes: &[ShownAxis]) -> (String, Vec<String>) {
    let kind = match shape {
        Shape::Vector { .. } => "vector",
        Shape::States { .. } => "states",
        Shape::Sequence { .. } => "sequence",
    };
    (kind.to_owned(), axes.iter().map(ShownAxis::to_string).collect())
}
