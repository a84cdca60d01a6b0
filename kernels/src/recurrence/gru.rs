//! The default GRU, sigmoid gates and tanh, with the reset before or after the product.
//!
//! ```text
//! z, r = gates                                              e(x) = exp(-x), tanh(x) = T(x) / Q(x)
//! after:    n = projection of n + r (U h + b')              sums: z, r, U h + b'
//! before:   n = projection of n + U (r h)                   sums: z, r in one sweep, n in a second
//! h' = sigmoid(z) h + (1 - sigmoid(z)) tanh(n)  =  h / (1 + e(z)) + e(z) T(n) / (Q(n) + e(z) Q(n))
//! ```
//!
//! 1. The update gate has a division of its own, so that a saturated one is exactly 1 and a state
//!    is kept for ever to the bit.
//! 2. With the reset after the product, one sweep makes all sums of a unit; everything after them
//!    happens in registers. The candidate's recurrent bias starts the third chain.
//! 3. With the reset before it, the candidate's product needs r h of every unit: two sweeps a step.
//!
//! Registers of a tile on AVX2: 12 sums (4 rows × 3 gates), 3 weights, 1 number of a row; on AVX-512: 18
//! sums (6 rows × 3 gates), 3 weights, 1 number. A row alone: 9 sums of 3 panels, 1 number, weights
//! from memory.

use super::{
    Alternating, NextHidden, PackedCell, Product, RecurArgs, Rows, Sharing, Tile, flushed,
    panel_of, state_of, state_stride, sweep, sweep_plain,
};
use crate::activation::{exp_of_negative, tanh_ratio};
use crate::simd::Simd;

/// Gates in a row of pre-activations.
const GATES: usize = 3;

#[inline(always)]
fn sigmoid_of<S: Simd>(s: S, e: S::V) -> S::V {
    let one = s.splat(1.0);
    s.div(one, s.add(one, e))
}

/// The new state from e(z), the candidate's pre-activation and the old state.
#[inline(always)]
fn blended<S: Simd>(s: S, ez: S::V, n: S::V, h: S::V) -> S::V {
    let (t, q) = tanh_ratio(s, n);
    let new = s.div(s.mul(ez, t), s.fma(ez, q, q));
    flushed(s, s.fma(sigmoid_of(s, ez), h, new))
}

struct After<'a, 'b> {
    /// This step's pre-activations `[batch, width]`.
    projection: &'a [f32],
    width: usize,
    /// What the candidate's sums start from, `[panels × 3 × lanes]`; of it the third vectors.
    recurrent_bias: &'a [f32],
    before: &'a [f32],
    next: NextHidden<'a, 'b>,
}

impl<S: Simd> Tile<S, GATES> for After<'_, '_> {
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, row: usize, block: usize) -> [S::V; GATES] {
        // SAFETY: passed on; the projection has `width` numbers for each row, the bias one row.
        unsafe {
            let [z, r, _] = panel_of(s, self.projection, self.width, row, block);
            let [_, _, n] = panel_of(s, self.recurrent_bias, self.width, 0, block);
            [z, r, n]
        }
    }

    #[inline(always)]
    unsafe fn finish(&mut self, s: S, row: usize, block: usize, [z, r, product]: [S::V; GATES]) {
        // SAFETY: passed on; states are `[batch, stride]`.
        let (projected, h) = unsafe {
            let [_, _, n] = panel_of::<S, GATES>(s, self.projection, self.width, row, block);
            (n, state_of(s, self.before, self.next.stride, row, block))
        };
        let reset = sigmoid_of(s, exp_of_negative(s, r));
        let n = s.fma(reset, product, projected);
        let h = blended(s, exp_of_negative(s, z), n, h);
        // SAFETY: passed on.
        unsafe { self.next.store(s, row, block, h) };
    }
}

/// The whole time loop, reset after the product.
///
/// # Safety
///
/// `cell.check(args)` has passed, and `cell` is such a GRU packed for `S`.
#[inline(always)]
pub(crate) unsafe fn gru_after<S: Simd>(s: S, cell: &PackedCell, args: &mut RecurArgs<'_>) {
    let (batch, width) = (args.batch, cell.projection_width());
    let stride = state_stride(cell.hidden_size);
    let mut sharing = Sharing::new(&mut args.share, cell.recurrent().panels());
    let mut states = Alternating::new(args.hidden, args.scratch);
    for t in 0..args.time {
        let (before, after) = states.next();
        let mut tile = After {
            projection: &args.projection[t * batch * width..][..batch * width],
            width,
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
        let product = Product {
            weights: cell.recurrent(),
            chains: cell.chains,
            rows: Rows { numbers: before, stride, batch },
            step: t,
        };
        // SAFETY: passed on; `check` found the rows, and the tile covers every row and panel.
        unsafe { sweep::<S, _, GATES>(s, product, sharing.panels.clone(), &mut tile) };
        if !sharing.meet(states.latest(), &[]) {
            break;
        }
    }
    states.finish();
}

/// The first sweep of a step: z and r.
struct ResetFirst<'a> {
    projection: &'a [f32],
    width: usize,
    before: &'a [f32],
    stride: usize,
    /// e(z), `[batch, stride]`
    update: &'a mut [f32],
    /// r h, `[batch, stride]`
    kept: &'a mut [f32],
}

impl<S: Simd> Tile<S, 2> for ResetFirst<'_> {
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, row: usize, block: usize) -> [S::V; 2] {
        // SAFETY: passed on; the projection has `width` numbers for each row.
        let [z, r, _] = unsafe { panel_of(s, self.projection, self.width, row, block) };
        [z, r]
    }

    #[inline(always)]
    unsafe fn finish(&mut self, s: S, row: usize, block: usize, [z, r]: [S::V; 2]) {
        let at = row * self.stride + block * S::LANES;
        debug_assert!(at + S::LANES <= self.kept.len(), "a vector of states");
        // SAFETY: passed on; all are `[batch, stride]`.
        unsafe {
            let h = state_of(s, self.before, self.stride, row, block);
            let reset = sigmoid_of(s, exp_of_negative(s, r));
            s.store(self.update.as_mut_ptr().add(at), exp_of_negative(s, z));
            s.store(self.kept.as_mut_ptr().add(at), s.mul(reset, h));
        }
    }
}

/// The second sweep of a step: the candidate.
struct CandidateSecond<'a, 'b> {
    projection: &'a [f32],
    width: usize,
    before: &'a [f32],
    update: &'a [f32],
    next: NextHidden<'a, 'b>,
}

impl<S: Simd, const VECTORS: usize> Tile<S, VECTORS> for CandidateSecond<'_, '_> {
    const BLOCKS: usize = VECTORS;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, row: usize, block: usize) -> [S::V; VECTORS] {
        let mut sums = [s.splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            // SAFETY: passed on; the projection has `width` numbers for each row.
            let [_, _, n] =
                unsafe { panel_of(s, self.projection, self.width, row, block + vector) };
            sums[vector] = n;
        }
        sums
    }

    #[inline(always)]
    unsafe fn finish(&mut self, s: S, row: usize, block: usize, sums: [S::V; VECTORS]) {
        for vector in 0..VECTORS {
            let block = block + vector;
            // SAFETY: passed on; all are `[batch, stride]`.
            unsafe {
                let h = state_of(s, self.before, self.next.stride, row, block);
                let ez = state_of(s, self.update, self.next.stride, row, block);
                self.next.store(s, row, block, blended(s, ez, sums[vector], h));
            }
        }
    }
}

/// The whole time loop, reset before the product.
///
/// # Safety
///
/// `cell.check(args)` has passed, and `cell` is such a GRU packed for `S`.
#[inline(always)]
pub(crate) unsafe fn gru_before<S: Simd>(s: S, cell: &PackedCell, args: &mut RecurArgs<'_>) {
    let (batch, width) = (args.batch, cell.projection_width());
    let stride = state_stride(cell.hidden_size);
    let (spare, rest) = args.scratch.split_at_mut(batch * stride);
    let (update, kept) = rest.split_at_mut(batch * stride);
    let mut states = Alternating::new(args.hidden, spare);
    for t in 0..args.time {
        let (before, after) = states.next();
        let projection = &args.projection[t * batch * width..][..batch * width];
        let mut first = ResetFirst { projection, width, before, stride, update, kept };
        let product = Product {
            weights: cell.recurrent(),
            chains: cell.chains,
            rows: Rows { numbers: before, stride, batch },
            step: t,
        };
        // SAFETY: passed on; `check` found the rows, and the tile covers every row and panel.
        unsafe { sweep::<S, _, 2>(s, product, 0..cell.recurrent().panels(), &mut first) };
        let next = NextHidden {
            state: after,
            stride,
            units: cell.hidden_size,
            output: args.output.as_mut(),
            time: t,
        };
        let mut second = CandidateSecond { projection, width, before, update, next };
        let product = Product {
            weights: cell.candidate(),
            chains: cell.chains,
            rows: Rows { numbers: kept, stride, batch },
            step: t,
        };
        // SAFETY: as above.
        unsafe { sweep_plain(s, product, 0..cell.candidate().panels(), &mut second) };
    }
    states.finish();
}
