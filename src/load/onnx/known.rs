//! What is known of a value of the graph before anything runs.

use std::rc::Rc;

use super::dims::Dim;
use super::tensor::Tensor;
use super::view::View;
use super::wrapping::Part;
use crate::load::container::onnx::Numbers;

/// What is known of a value.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// Its numbers.
    Constant(Rc<Tensor>),
    /// Lengths of axes, one or a list of them.
    Sizes(Sizes),
    /// One number in every place of this shape.
    Filled(f32, Vec<Dim>),
    /// A constant whose axes of length 1 are repeated to this shape.
    Repeated(Rc<Tensor>, Vec<Dim>),
    /// Whether the first length is less than the second.
    Less(Dim, Dim),
    /// The round of the loop that is being read, plus this.
    Step(i64),
    /// Whether the round plus the number is less than the length.
    Running(i64, Dim),
    /// A part of what keeps indices from being negative.
    Wrapped(Part, View),
    /// `erf(x / √2)` of this x, and whether 1 is added to it.
    Erf(View, bool),
    /// One length for each row of the batch.
    Lengths(Dim),
    /// A part of a value of the model.
    Data(View),
    /// The result of a node that is refused.
    Refused,
}

/// Lengths of axes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sizes {
    pub(super) dims: Vec<Dim>,
    /// Whether it is a single length and no list.
    pub(super) scalar: bool,
}

impl Known {
    /// Lengths, if it is lengths or small integers.
    pub(super) fn sizes(&self) -> Option<Sizes> {
        match self {
            Self::Sizes(sizes) => Some(sizes.clone()),
            Self::Constant(tensor) if tensor.dims.len() <= 1 => match &tensor.numbers {
                Numbers::I64(numbers) if numbers.len() <= MOST_SIZES => Some(Sizes {
                    dims: numbers.iter().map(|&number| Dim::number(number)).collect(),
                    scalar: tensor.dims.is_empty(),
                }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Integers that do not depend on open axes.
    pub(super) fn integers(&self) -> Option<Vec<i64>> {
        self.sizes()?.dims.iter().map(Dim::as_number).collect()
    }

    /// Lengths as what they are: a constant where all are numbers.
    pub(super) fn of_sizes(sizes: Sizes) -> Self {
        let numbers: Option<Vec<i64>> = sizes.dims.iter().map(Dim::as_number).collect();
        match numbers {
            Some(numbers) if sizes.scalar => {
                Self::Constant(Rc::new(Tensor { dims: Vec::new(), numbers: Numbers::I64(numbers) }))
            }
            Some(numbers) => Self::Constant(Rc::new(Tensor::integers(numbers))),
            None => Self::Sizes(sizes),
        }
    }

    /// What it is, for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Constant(_) => "a constant",
            Self::Sizes(_) => "lengths of axes",
            Self::Filled(..) | Self::Repeated(..) => "a constant of open shape",
            Self::Less(..) | Self::Running(..) => "a truth value",
            Self::Step(_) => "the round of a loop",
            Self::Wrapped(..) => "indices, held against zero",
            Self::Erf(..) => "a part of GELU",
            Self::Lengths(_) => "lengths of rows",
            Self::Data(_) => "data",
            Self::Refused => "the result of a refused node",
        }
    }
}

/// More lengths than a shape has are no lengths.
pub(super) const MOST_SIZES: usize = 64;
