//! Our numbers of a value, as the judge walks them.

use ritornello::Array;
use ritornello::model::{SequenceAxes, Shape};

/// Our numbers of a value, `[time, batch, features]`.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) extent: [usize; 3],
    pub(super) values: Vec<f32>,
}

impl Numbers {
    /// From the caller's array.
    pub(super) fn of(array: &Array, shape: Shape, axes: SequenceAxes) -> Self {
        let values = array.as_f32().expect("real").to_vec();
        let batch_first =
            matches!(shape, Shape::Sequence { .. }) && axes == SequenceAxes::BatchTime;
        match *array.shape() {
            [batch, features] => Self { extent: [1, batch, features], values },
            [batch, time, features] if batch_first => {
                let extent = [time, batch, features];
                let whole = Self { extent: [batch, time, features], values };
                Self::from_fn(extent, |[t, b, i]| whole.at([b, t, i]))
            }
            [time, batch, features] => Self { extent: [time, batch, features], values },
            ref other => panic!("no value has the shape {other:?}"),
        }
    }

    pub(super) fn from_fn(extent: [usize; 3], f: impl FnMut([usize; 3]) -> f32) -> Self {
        Self { extent, values: places(extent).map(f).collect() }
    }

    pub(super) fn at(&self, [t, b, i]: [usize; 3]) -> f32 {
        let [_, batch, features] = self.extent;
        self.values[(t * batch + b) * features + i]
    }

    pub(super) fn row(&self, t: usize, b: usize) -> &[f32] {
        let [_, batch, features] = self.extent;
        &self.values[(t * batch + b) * features..][..features]
    }

    /// All rows of a step.
    pub(super) fn step(&self, t: usize) -> &[f32] {
        let [_, batch, features] = self.extent;
        &self.values[t * batch * features..][..batch * features]
    }
}

pub(super) fn places([time, batch, features]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..time).flat_map(move |t| (0..batch).flat_map(move |b| (0..features).map(move |i| [t, b, i])))
}
