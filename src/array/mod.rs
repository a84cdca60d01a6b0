//! Numbers with a shape: what callers with named inputs and outputs give and get.

mod mask;
#[cfg(feature = "ndarray")]
mod ndarray;
mod view;

pub use mask::Mask;
pub use view::{ArrayView, Numbers};

use crate::Error;

/// A dense row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    values: Values,
}

/// The numbers of an [`Array`].
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Real numbers.
    F32(Vec<f32>),
    /// Row numbers of an embedding.
    Index(Vec<i32>),
}

impl Array {
    /// Takes real numbers as an array of `shape`.
    ///
    /// # Errors
    ///
    /// If there are not as many numbers as the shape says.
    pub fn new(shape: &[usize], values: Vec<f32>) -> Result<Self, Error> {
        check_count(shape, values.len())?;
        Ok(Self { shape: shape.to_vec(), values: Values::F32(values) })
    }

    /// Takes indices as an array of `shape`.
    ///
    /// # Errors
    ///
    /// If there are not as many indices as the shape says.
    pub fn from_indices(shape: &[usize], values: Vec<i32>) -> Result<Self, Error> {
        check_count(shape, values.len())?;
        Ok(Self { shape: shape.to_vec(), values: Values::Index(values) })
    }

    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, last axis fastest.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// The numbers, if they are real.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.values {
            Values::F32(values) => Some(values),
            Values::Index(_) => None,
        }
    }

    /// The shape and the numbers, which are moved and not copied.
    #[must_use]
    pub fn into_parts(self) -> (Vec<usize>, Values) {
        (self.shape, self.values)
    }

    pub(crate) fn as_f32_mut(&mut self) -> Option<&mut [f32]> {
        match &mut self.values {
            Values::F32(values) => Some(values),
            Values::Index(_) => None,
        }
    }

    /// The numbers, if they are indices.
    #[must_use]
    pub fn as_indices(&self) -> Option<&[i32]> {
        match &self.values {
            Values::F32(_) => None,
            Values::Index(values) => Some(values),
        }
    }
}

fn check_count(shape: &[usize], found: usize) -> Result<(), Error> {
    let expected = shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis));
    if expected == Some(found) {
        return Ok(());
    }
    Err(Error::Shape {
        what: format!("an array of shape {shape:?}"),
        expected: expected
            .map_or("fewer values than fit in memory".into(), |n| format!("{n} values")),
        found: format!("{found} values"),
    })
}
