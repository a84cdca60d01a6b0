//! Arrays of the caller's that are seen and not taken.

use super::{Array, Values, check_count};
use crate::Error;

/// An array that lies in the caller's memory, row-major and dense.
#[derive(Clone, Copy, Debug)]
pub struct ArrayView<'a> {
    shape: &'a [usize],
    numbers: Numbers<'a>,
}

/// The numbers of an [`ArrayView`].
#[derive(Clone, Copy, Debug)]
pub enum Numbers<'a> {
    /// Real numbers.
    F32(&'a [f32]),
    /// Row numbers of an embedding.
    Index(&'a [i32]),
}

impl<'a> ArrayView<'a> {
    /// Sees real numbers as an array of `shape`.
    ///
    /// # Errors
    ///
    /// If there are not as many numbers as the shape says.
    pub fn new(shape: &'a [usize], numbers: &'a [f32]) -> Result<Self, Error> {
        check_count(shape, numbers.len())?;
        Ok(Self { shape, numbers: Numbers::F32(numbers) })
    }

    /// Sees indices as an array of `shape`.
    ///
    /// # Errors
    ///
    /// If there are not as many indices as the shape says.
    pub fn from_indices(shape: &'a [usize], indices: &'a [i32]) -> Result<Self, Error> {
        check_count(shape, indices.len())?;
        Ok(Self { shape, numbers: Numbers::Index(indices) })
    }

    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The numbers, last axis fastest.
    #[must_use]
    pub fn numbers(&self) -> Numbers<'a> {
        self.numbers
    }
}

impl Array {
    /// Sees the array without taking it.
    #[must_use]
    pub fn as_view(&self) -> ArrayView<'_> {
        let numbers = match &self.values {
            Values::F32(numbers) => Numbers::F32(numbers),
            Values::Index(indices) => Numbers::Index(indices),
        };
        ArrayView { shape: &self.shape, numbers }
    }
}
