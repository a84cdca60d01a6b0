//! The Elman network with tanh and with relu.
//!
//! ```text
//! h' = activation(sum)
//! ```
//!
//! The units are plain outputs: a panel is up to 4 vectors of them.
//!
//! Registers of a tile on AVX2: 12 sums (3 rows × 4 vectors), 3 broadcasts, 1 weight; on AVX-512: 24
//! sums (6 rows × 4 vectors), 4 weights, 1 broadcast. A row alone: 8 sums of 2 panels.

use super::{
    Alternating, NextHidden, PackedCell, Product, RecurArgs, Rows, Sharing, Tile, flushed,
    state_of, state_stride, sweep_plain,
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

impl<S: Simd, F: Function<S>, const VECTORS: usize> Tile<S, VECTORS> for Simple<'_, '_, F> {
    const BLOCKS: usize = VECTORS;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, row: usize, block: usize) -> [S::V; VECTORS] {
        let mut sums = [s.splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            // SAFETY: passed on; the projection has `width` numbers for each row.
            sums[vector] = unsafe { state_of(s, self.projection, self.width, row, block + vector) };
        }
        sums
    }

    #[inline(always)]
    unsafe fn finish(&mut self, s: S, row: usize, block: usize, sums: [S::V; VECTORS]) {
        for vector in 0..VECTORS {
            let h = flushed(s, F::apply(s, sums[vector]));
            // SAFETY: passed on.
            unsafe { self.next.store(s, row, block + vector, h) };
        }
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
    let mut sharing = Sharing::new(&mut args.share, cell.recurrent().panels());
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
        let product = Product {
            weights: cell.recurrent(),
            chains: cell.chains,
            rows: Rows { numbers: before, stride, batch },
            step: t,
        };
        // SAFETY: passed on; `check` found the rows, and the tile covers every row and panel.
        unsafe { sweep_plain(s, product, sharing.panels.clone(), &mut tile) };
        if !sharing.meet(states.latest(), &[]) {
            break;
        }
    }
    states.finish();
}
