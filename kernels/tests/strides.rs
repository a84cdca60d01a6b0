//! Where rows are in memory changes no bit of a product, and nothing beside them is touched.

mod layer;
mod product;

use layer::{LSTM, bits};
use product::{GUARD, Product, Projection};
use ritornello_kernels::{Kernels, View, ViewMut};

/// A sequence `[time, batch, features]` laid out in guarded memory in some way.
#[derive(Clone, Copy, Debug)]
enum Way {
    TimeMajor,
    BatchMajor,
    /// Gaps between rows and steps.
    Wide,
    /// Features 3.. of rows that are 5 longer.
    Columns,
    /// The last step first.
    Reversed,
}

const WAYS: [Way; 5] = [Way::TimeMajor, Way::BatchMajor, Way::Wide, Way::Columns, Way::Reversed];

impl Way {
    /// The distances of steps and rows, and the numbers before the first.
    fn strides(self, [time, batch, features]: [usize; 3]) -> [usize; 3] {
        match self {
            Self::TimeMajor | Self::Reversed => [batch * features, features, 0],
            Self::BatchMajor => [features, time * features, 0],
            Self::Wide => [batch * (features + 3) + 2, features + 3, 0],
            Self::Columns => [batch * (features + 5), features + 5, 3],
        }
    }

    /// Where step `t` of row `b` begins.
    fn place(self, shape: [usize; 3], t: usize, b: usize) -> usize {
        let [step, row, first] = self.strides(shape);
        let t = if matches!(self, Self::Reversed) { shape[0] - 1 - t } else { t };
        t * step + b * row + first
    }

    fn len(self, shape: [usize; 3]) -> usize {
        let [step, row, _] = self.strides(shape);
        (shape[0] - 1) * step + (shape[1] - 1) * row + shape[2] + 5
    }

    /// The memory with the rows of `numbers`, `[time, batch, features]`, in their places.
    fn laid_out(self, numbers: &[f32], shape @ [time, batch, features]: [usize; 3]) -> Vec<f32> {
        let mut memory = vec![GUARD; self.len(shape)];
        for t in 0..time {
            for b in 0..batch {
                let row = &numbers[(t * batch + b) * features..][..features];
                memory[self.place(shape, t, b)..][..features].copy_from_slice(row);
            }
        }
        memory
    }

    fn view(self, memory: &[f32], shape @ [time, batch, features]: [usize; 3]) -> View<'_> {
        let [step, row, _] = self.strides(shape);
        match self {
            Self::Columns => {
                View::new(memory, [time, batch, features + 5], [step, row]).columns(3, 3 + features)
            }
            Self::Reversed => View::new(memory, shape, [step, row]).reversed(),
            _ => View::new(memory, shape, [step, row]),
        }
    }

    fn view_mut(
        self,
        memory: &mut [f32],
        shape @ [time, batch, features]: [usize; 3],
    ) -> ViewMut<'_> {
        let [step, row, _] = self.strides(shape);
        match self {
            Self::Columns => {
                let wide = ViewMut::new(memory, [time, batch, features + 5], [step, row]);
                wide.split_columns(3).1.split_columns(features).0
            }
            Self::Reversed => ViewMut::new(memory, shape, [step, row]).reversed(),
            _ => ViewMut::new(memory, shape, [step, row]),
        }
    }
}

/// Multiplies with every way of input and output: the bits are those of the first, in their places,
/// and nothing else is touched.
fn check_ways(
    what: &str,
    input: &[f32],
    [time, batch, depth]: [usize; 3],
    width: usize,
    multiply: impl Fn(View<'_>, ViewMut<'_>),
) {
    let (from, to) = ([time, batch, depth], [time, batch, width]);
    let mut plain = vec![0.0; time * batch * width];
    multiply(View::time_major(input, from), ViewMut::time_major(&mut plain, to));
    for way_in in WAYS {
        let memory_in = way_in.laid_out(input, from);
        for way_out in WAYS {
            let mut memory = vec![GUARD; way_out.len(to)];
            multiply(way_in.view(&memory_in, from), way_out.view_mut(&mut memory, to));
            let expected = way_out.laid_out(&plain, to);
            assert_eq!(bits(&memory), bits(&expected), "{what}: {way_in:?} to {way_out:?}");
        }
    }
}

#[test]
fn strides_change_no_bit_and_nothing_beside_the_rows() {
    for kernels in Kernels::available() {
        for [time, batch] in [[1, 1], [1, 5], [5, 1], [3, 4], [7, 2]] {
            for depth in [1, 7, 513] {
                for outputs in [1, 8, 13, 33, 70] {
                    let product = Product::new(depth, outputs, time * batch);
                    let packed = product.packed(kernels);
                    let shape = [time, batch, depth];
                    let what = format!("{shape:?} by {outputs} on {}", kernels.isa());
                    check_ways(&what, &product.input, shape, outputs, |from, to| {
                        kernels.dense(&packed, from, to);
                    });
                }
                let layer = Projection::new(kernels, LSTM, depth, 11, time * batch);
                let (shape, width) = ([time, batch, depth], layer.packed.projection_width());
                check_ways(&layer.what(kernels), &layer.product.input, shape, width, |from, to| {
                    kernels.project(&layer.packed, from, to, &mut []);
                });
            }
        }
    }
}
