//! The default GRU, sigmoid gates and tanh, with the reset before or after the product.
//!
//! ```text
//! z, r = gates
//! after:    n = projection of n + r (U h + b')              sums: z, r, U h + b'
//! before:   n = projection of n + U (r h)                   sums: z, r in one sweep, n in a second
//! h' = sigmoid(z) h + (1 - sigmoid(z)) tanh(n)
//! ```
//!
//! 1. With the reset after the product, one sweep makes all sums of a unit; everything after them
//!    ([`formula`]) happens in registers. The candidate's recurrent bias starts the third chain.
//! 2. With the reset before it, the candidate's product needs r h of every unit: two sweeps a step.
//!
//! Registers of a tile on AVX2: 12 sums (4 rows × 3 gates), 3 weights, 1 number of a row; on AVX-512: 24
//! sums (8 rows × 3 gates), 3 weights, 1 number. A row alone: 9 sums of 3 panels, 1 number, weights
//! from memory.

use super::{
    Alternating, NextHidden, PackedCell, Place, Preactivations, Product, RecurArgs, Sharing, Tile,
    blocks_from, gates_of, panel_of, state_stride, states_of, store_state, sweep, sweep_any,
};
use crate::activation::exp_of_negative;
use crate::arithmetic::Arithmetic;
use crate::formula;
use crate::gemm::rows::Rows;
use crate::gemm::weights::Written;
use crate::pack::plain_panels;
use crate::simd::Simd;
use crate::times::Times;

/// Gates in a row of pre-activations.
const GATES: usize = 3;

struct After<'a, 'b> {
    projection: Preactivations<'a>,
    /// What the candidate's sums start from, `[panels × 3 × lanes]`; of it the third vectors.
    recurrent_bias: &'a [f32],
    before: &'a [f32],
    next: NextHidden<'a, 'b>,
}

impl<S: Simd> Tile<S, GATES> for After<'_, '_> {
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; GATES] {
        // SAFETY: passed on; the bias is one row.
        unsafe {
            let [z, r, _] = self.projection.vectors(s, place);
            let [_, _, n] = panel_of(s, self.recurrent_bias, 0, Place { row: 0, ..place });
            [z, r, n]
        }
    }

    #[inline(always)]
    unsafe fn finish<const N: usize>(
        &mut self,
        s: S,
        places: [Place; N],
        sums: [[S::V; GATES]; N],
    ) {
        let mut projected = [s.splat(0.0); N];
        for n in 0..N {
            // SAFETY: passed on.
            let [_, _, candidate]: [_; GATES] = unsafe { self.projection.vectors(s, places[n]) };
            projected[n] = candidate;
        }
        // SAFETY: passed on; states are `[batch, stride]`.
        let h = unsafe { states_of(s, self.before, self.next.stride, places) };
        let [z, r, product] = gates_of(s, sums);
        let w = Times::<S, N>(s);
        let n = w.fma(formula::reset(w, r), product, projected);
        let h = formula::blended(w, exp_of_negative(w, z), n, h);
        // SAFETY: passed on.
        unsafe { self.next.store(s, places, h) };
    }
}

/// The whole time loop, reset after the product.
///
/// # Safety
///
/// `cell.check(args)` has passed, and `cell` is such a GRU packed for `S`, and so written down.
#[inline(always)]
pub(crate) unsafe fn gru_after<S: Simd, F: Written>(
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
        let mut tile = After {
            projection: projection.step(t),
            recurrent_bias: &cell.recurrent().bias,
            before,
            next: NextHidden {
                state: after,
                stride,
                units: cell.hidden_size,
                output: args.output.as_mut(),
                time: t,
            },
        };
        let (weights, rows) = (cell.recurrent(), Rows::new(before, stride, batch));
        let rows = rows.as_read(s, written, weights.depth, bytes);
        let product = Product { written, weights, chains: cell.chains, rows, step: t };
        // SAFETY: passed on; `check` found the rows, and the tile covers every row and panel.
        unsafe { sweep::<S, _, _, GATES>(s, product, sharing.panels.clone(), &mut tile) };
        if !sharing.meet(states.latest(), &[]) {
            break;
        }
    }
    states.finish();
}

/// The first sweep of a step: z and r.
struct ResetFirst<'a> {
    projection: Preactivations<'a>,
    before: &'a [f32],
    stride: usize,
    /// e(z), `[batch, stride]`
    update: &'a mut [f32],
    /// r h, `[batch, stride]`
    kept: &'a mut [f32],
}

impl<S: Simd> Tile<S, 2> for ResetFirst<'_> {
    const BLOCKS: usize = 1;
    const APART: bool = true;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; 2] {
        // SAFETY: passed on.
        let [z, r, _] = unsafe { self.projection.vectors(s, place) };
        [z, r]
    }

    #[inline(always)]
    unsafe fn finish<const N: usize>(&mut self, s: S, places: [Place; N], sums: [[S::V; 2]; N]) {
        let [z, r] = gates_of(s, sums);
        let w = Times::<S, N>(s);
        // SAFETY: passed on; all are `[batch, stride]`.
        unsafe {
            let h = states_of(s, self.before, self.stride, places);
            let kept = w.mul(formula::reset(w, r), h);
            let update = exp_of_negative(w, z);
            for n in 0..N {
                store_state(s, self.update, self.stride, places[n], update[n]);
                store_state(s, self.kept, self.stride, places[n], kept[n]);
            }
        }
    }
}

/// The second sweep of a step: the candidate.
struct CandidateSecond<'a, 'b> {
    projection: Preactivations<'a>,
    before: &'a [f32],
    update: &'a [f32],
    next: NextHidden<'a, 'b>,
}

impl<S: Simd, const VECTORS: usize> Tile<S, VECTORS> for CandidateSecond<'_, '_> {
    const BLOCKS: usize = VECTORS;
    const PANELS: usize = plain_panels(VECTORS);

    #[inline(always)]
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; VECTORS] {
        let mut sums = [s.splat(0.0); VECTORS];
        let places = blocks_from::<VECTORS>(place);
        for vector in 0..VECTORS {
            // SAFETY: passed on.
            let [_, _, candidate] = unsafe { self.projection.vectors(s, places[vector]) };
            sums[vector] = candidate;
        }
        sums
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
            let places = blocks_from::<VECTORS>(places[n]);
            // SAFETY: passed on; all are `[batch, stride]`.
            unsafe {
                let h = states_of(s, self.before, self.next.stride, places);
                let ez = states_of(s, self.update, self.next.stride, places);
                self.next.store(s, places, formula::blended(w, ez, sums[n], h));
            }
        }
    }
}

/// The whole time loop, reset before the product.
///
/// # Safety
///
/// `cell.check(args)` has passed, and `cell` is such a GRU packed for `S`, and so written down.
#[inline(always)]
pub(crate) unsafe fn gru_before<S: Simd, F: Written>(
    s: S,
    written: F,
    cell: &PackedCell,
    args: &mut RecurArgs<'_>,
) {
    let (batch, projection) = (args.batch, Preactivations::of(cell, args));
    let stride = state_stride(cell.hidden_size);
    let (spare, rest) = args.scratch.split_at_mut(batch * stride);
    let (update, rest) = rest.split_at_mut(batch * stride);
    let (kept, bytes) = rest.split_at_mut(batch * stride);
    let mut states = Alternating::new(args.hidden, spare);
    for t in 0..args.time {
        let (before, after) = states.next();
        let projection = projection.step(t);
        let mut first = ResetFirst { projection, before, stride, update, kept };
        let (weights, rows) = (cell.recurrent(), Rows::new(before, stride, batch));
        let rows = rows.as_read(s, written, weights.depth, bytes);
        let product = Product { written, weights, chains: cell.chains, rows, step: t };
        // SAFETY: passed on; `check` found the rows, and the tile covers every row and panel.
        unsafe { sweep::<S, _, _, 2>(s, product, 0..cell.recurrent().panels(), &mut first) };
        let next = NextHidden {
            state: after,
            stride,
            units: cell.hidden_size,
            output: args.output.as_mut(),
            time: t,
        };
        let mut second = CandidateSecond { projection, before, update, next };
        let (weights, rows) = (cell.candidate(), Rows::new(kept, stride, batch));
        let rows = rows.as_read(s, written, weights.depth, bytes);
        let product = Product { written, weights, chains: cell.chains, rows, step: t };
        // SAFETY: as above.
        unsafe { sweep_any(s, product, 0..cell.candidate().panels(), &mut second) };
    }
    states.finish();
}
