//! Arrays from and to the crate `ndarray`.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension, IxDyn};

use super::{Array, Values};
use crate::Error;

/// Copies the numbers in their logical order, whatever the strides.
impl<S: Data<Elem = f32>, D: Dimension> From<&ArrayBase<S, D>> for Array {
    fn from(array: &ArrayBase<S, D>) -> Self {
        let values = Values::F32(array.iter().copied().collect());
        Self { shape: array.shape().to_vec(), values }
    }
}

impl Array {
    /// Sees real numbers as a view of `ndarray`.
    ///
    /// # Errors
    ///
    /// If the array holds indices.
    pub fn view(&self) -> Result<ArrayViewD<'_, f32>, Error> {
        let Values::F32(values) = &self.values else {
            return Err(Error::Shape {
                what: "an array to view".into(),
                expected: "real numbers (f32)".into(),
                found: "indices (integers)".into(),
            });
        };
        ArrayViewD::from_shape(IxDyn(&self.shape), values).map_err(|reason| Error::Shape {
            what: "an array to view".into(),
            expected: format!("the shape {:?}", self.shape),
            found: reason.to_string(),
        })
    }

    /// Copies real numbers to an array of `ndarray`.
    ///
    /// # Errors
    ///
    /// As [`view`](Self::view).
    pub fn to_ndarray(&self) -> Result<ArrayD<f32>, Error> {
        Ok(self.view()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_followed() {
        let array = ndarray::arr2(&[[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let transposed = Array::from(&array.t());
        assert_eq!(transposed.shape(), [3, 2]);
        assert_eq!(transposed.as_f32(), Some(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0][..]));
        assert_eq!(transposed.view().unwrap(), array.t().into_dyn());
        assert_eq!(transposed.to_ndarray().unwrap(), array.t().to_owned().into_dyn());
        assert!(Array::from_indices(&[1], vec![7]).unwrap().view().is_err());
    }
}
