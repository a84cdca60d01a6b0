//! The Elman network with tanh and with relu.
//!
//! ```text
//! h' = activation(sum)
//! ```
//!
//! Registers of a tile on AVX2: 12 sums (6 rows × 2 blocks, or 1 row × 4 blocks), 6 broadcasts at
//! most, of which those that do not fit are read from memory, 1 weight.

use super::{
    Alternating, NextHidden, PackedCell, RecurArgs, Rows, Tile, flushed, panel_of, state_stride,
    sweep,
};
use crate::activation::{relu, tanh};
use crate::simd::Simd;

/// The activations that have a kernel of their own.
trait Function<S: Simd> {
    fn apply(s: S, x: S::V) -> S::V;
}

struct Tanh;
struct Relu;

impl<S: Simd> Function<S> for Tanh {
    #[inline(always)]
    fn apply(s: S, x: S::V) -> S::V {
        tanh(s, x)
    }
}

impl<S: Simd> Function<S> for Relu {
    #[inline(always)]
    fn apply(s: S, x: S::V) -> S::V {
        relu(s, x)
    }
}

struct Simple<'a, 'b, F> {
    /// This step's pre-activations `[batch, width]`.
    projection: &'a [f32],
    width: usize,
    next: NextHidden<'a, 'b>,
    function: std::marker::PhantomData<F>,
}

impl<S: Simd, F: Function<S>> Tile<S, 1> for Simple<'_, '_, F> {
    #[inline(always)]
    unsafe fn start(&self, s: S, row: usize, block: usize) -> [S::V; 1] {
        // SAFETY: passed on; the projection has `width` numbers for each row.
        unsafe { panel_of(s, self.projection, self.width, row, block) }
    }

    #[inline(always)]
    unsafe fn finish(&mut self, s: S, row: usize, block: usize, [sum]: [S::V; 1]) {
        let h = flushed(s, F::apply(s, sum));
        // SAFETY: passed on.
        unsafe { self.next.store(s, row, block, h) };
    }
}

/// The whole time loop with tanh.
///
/// # Safety
///
/// `cell.check(args)` has passed, and `cell` is a simple RNN with a matrix, packed for `S`.
#[inline(always)]
pub(crate) unsafe fn simple_tanh<S: Simd>(s: S, cell: &PackedCell, args: &mut RecurArgs<'_>) {
    // SAFETY: passed on.
    unsafe { simple::<S, Tanh>(s, cell, args) }
}

/// The whole time loop with relu.
///
/// # Safety
///
/// As [`simple_tanh`].
#[inline(always)]
pub(crate) unsafe fn simple_relu<S: Simd>(s: S, cell: &PackedCell, args: &mut RecurArgs<'_>) {
    // SAFETY: passed on.
    unsafe { simple::<S, Relu>(s, cell, args) }
}

/// # Safety
///
/// As [`simple_tanh`].
#[inline(always)]
unsafe fn simple<S: Simd, F: Function<S>>(s: S, cell: &PackedCell, args: &mut RecurArgs<'_>) {
    let (batch, width) = (args.batch, cell.projection_width());
    let stride = state_stride(cell.hidden_size);
    let mut states = Alternating::new(args.hidden, args.scratch);
    for t in 0..args.time {
        let (before, after) = states.next();
        let mut tile = Simple {
            projection: &args.projection[t * batch * width..][..batch * width],
            width,
            next: NextHidden {
                state: after,
                stride,
                units: cell.hidden_size,
                output: args.output.as_mut(),
                time: t,
            },
            function: std::marker::PhantomData::<F>,
        };
        let rows = Rows { numbers: before, stride, batch };
        // SAFETY: passed on; `check` found the rows, and the tile covers every row and panel.
        unsafe { sweep::<S, _, 1>(s, cell.recurrent(), cell.chains, rows, t, &mut tile) };
    }
    states.finish();
}
