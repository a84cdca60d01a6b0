//! Which steps count.

use super::check_count;
use crate::Error;
use crate::run::Counting;

/// Which steps of each row of a batch count: `true` where one does.
///
/// `[batch, time]`, or `[time, batch]` where the model's own order of axes is that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    shape: [usize; 2],
    steps: Vec<bool>,
}

impl Mask {
    /// Takes `steps`, last axis fastest, as a mask of `shape`.
    ///
    /// # Errors
    ///
    /// If there are not as many as the shape says.
    pub fn new(shape: [usize; 2], steps: Vec<bool>) -> Result<Self, Error> {
        check_count(&shape, steps.len())?;
        Ok(Self { shape, steps })
    }

    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Whether each step counts, last axis fastest.
    #[must_use]
    pub fn steps(&self) -> &[bool] {
        &self.steps
    }

    /// The same as a call takes it.
    pub(crate) fn counting(&self) -> Counting<'_> {
        Counting::Mask { shape: Some(self.shape), steps: &self.steps }
    }
}
