//! The Elman network with tanh and with relu.
//!
//! ```text
//! h' = activation(sum)
//! ```
//!
//! The units are plain outputs: a panel is up to 4 vectors of them.
//!
//! Registers of a tile on AVX2: 12 sums (6 rows × 2 vectors, then the other 2), 2 weights, 1 broadcast,
//! or (3 rows × 4 vectors), 3 broadcasts, 1 weight; on AVX-512: 24 sums (6 rows × 4 vectors), 4 weights,
//! 1 broadcast. A row alone: 8 sums of 2 panels, on AVX-512 up to 24 of 3 in 2 chains.

use super::{
    Alternating, NextHidden, PackedCell, Place, Preactivations, Product, RecurArgs, Sharing, Tile,
    blocks_from, state_stride, sweep_any,
};
use crate::activation::{relu, tanh};
use crate::formula::flushed;
use crate::gemm::rows::Rows;
use crate::gemm::weights::Written;
use crate::pack::plain_panels;
use crate::simd::Simd;
use crate::times::Times;

/// The activations that have a kernel of their own.
trait Function {
    fn apply<S: Simd>(s: S, x: S::V) -> S::V;
}

struct Tanh;
struct Relu;

impl Function for Tanh {
    #[inline(always)]
    fn apply<S: Simd>(s: S, x: S::V) -> S::V {
        tanh(s, x)
    }
}

impl Function for Relu {
    #[inline(always)]
    fn apply<S: Simd>(s: S, x: S::V) -> S::V {
        relu(s, x)
    }
}

struct Simple<'a, 'b, A> {
    projection: Preactivations<'a>,
    next: NextHidden<'a, 'b>,
    function: std::marker::PhantomData<A>,
}

impl<S: Simd, A: Function, const VECTORS: usize> Tile<S, VECTORS> for Simple<'_, '_, A> {
    const BLOCKS: usize = VECTORS;
    const PANELS: usize = plain_panels(VECTORS);

    #[inline(always)]
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; VECTORS] {
        // SAFETY: passed on.
        unsafe { self.projection.vectors(s, place) }
    }

    #[inline(always)]
    unsafe fn finish<const N: usize>(
        &mut self,
        s: S,
        places: [Place; N],
        sums: [[S::V; VECTORS]; N],
    ) {
        let w = Times::<S, VECTORS>(s);
        for n in 0..N {
            let h = flushed(w, A::apply(w, sums[n]));
            // SAFETY: passed on.
            unsafe { self.next.store(s, blocks_from::<VECTORS>(places[n]), h) };
        }
    }
}

/// The whole time loop with tanh.
///
/// # Safety
///
/// `cell.check(args)` has passed, and `cell` is a simple RNN with a matrix, packed for `S`, and so written down.
#[inline(always)]
pub(crate) unsafe fn simple_tanh<S: Simd, F: Written>(
    s: S,
    written: F,
    cell: &PackedCell,
    args: &mut RecurArgs<'_>,
) {
    // SAFETY: passed on.
    unsafe { simple::<S, F, Tanh>(s, written, cell, args) }
}

/// The whole time loop with relu.
///
/// # Safety
///
/// As [`simple_tanh`].
#[inline(always)]
pub(crate) unsafe fn simple_relu<S: Simd, F: Written>(
    s: S,
    written: F,
    cell: &PackedCell,
    args: &mut RecurArgs<'_>,
) {
    // SAFETY: passed on.
    unsafe { simple::<S, F, Relu>(s, written, cell, args) }
}

/// # Safety
///
/// As [`simple_tanh`].
#[inline(always)]
unsafe fn simple<S: Simd, F: Written, A: Function>(
    s: S,
    written: F,
    cell: &PackedCell,
    args: &mut RecurArgs<'_>,
) {
    let (batch, projection) = (args.batch, Preactivations::of(cell, args));
    let stride = state_stride(cell.hidden_size);
    let mut sharing = Sharing::new(&mut args.share, cell.recurrent().panels());
    let (spare, bytes) = args.scratch.split_at_mut(batch * stride);
    let mut states = Alternating::new(args.hidden, spare);
    for t in 0..args.time {
        let (before, after) = states.next();
        let mut tile = Simple {
            projection: projection.step(t),
            next: NextHidden {
                state: after,
                stride,
                units: cell.hidden_size,
                output: args.output.as_mut(),
                time: t,
            },
            function: std::marker::PhantomData::<A>,
        };
        let (weights, rows) = (cell.recurrent(), Rows::new(before, stride, batch));
        let rows = rows.as_read(s, written, weights.depth, bytes);
        let product = Product { written, weights, chains: cell.chains, rows, step: t };
        // SAFETY: passed on; `check` found the rows, and the tile covers every row and panel.
        unsafe { sweep_any(s, product, sharing.panels.clone(), &mut tile) };
        if !sharing.meet(states.latest(), &[]) {
            break;
        }
    }
    states.finish();
}
