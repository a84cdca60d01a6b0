//! The default LSTM: sigmoid gates, tanh.
//!
//! ```text
//! i, f, g, o = sums                                         e(x) = exp(-x), tanh(x) = T(x) / Q(x)
//! c' = sigmoid(f) c + sigmoid(i) tanh(g)    =  c / (1 + e(f)) + T(g) / (Q(g) + e(i) Q(g))
//! h' = sigmoid(o) tanh(c')                  =  T(c') / (Q(c') + e(o) Q(c'))
//! ```
//!
//! 1. Three divisions instead of five.
//! 2. The forget gate has a division of its own, so that a saturated one is exactly 1 and a cell
//!    state is kept for ever to the bit.
//! 3. Everything after the sums happens in registers.
//!
//! Registers of a tile on AVX2: 12 sums (3 rows × 4 gates), 3 numbers of the rows, 1 weight; on
//! AVX-512: 24 sums (6 rows × 4 gates), 4 weights, 1 number. A row alone: 8 sums of 2 panels, 1 number,
//! weights from memory.

use super::{
    Alternating, NextHidden, PackedCell, Product, RecurArgs, Rows, Sharing, Tile, flushed,
    panel_of, state_of, state_stride, sweep,
};
use crate::activation::{exp_of_negative, tanh_ratio};
use crate::simd::Simd;

const GATES: usize = 4;

struct Lstm<'a, 'b> {
    /// This step's pre-activations `[batch, width]`.
    projection: &'a [f32],
    width: usize,
    cell: &'a mut [f32],
    next: NextHidden<'a, 'b>,
}

impl<S: Simd> Tile<S, GATES> for Lstm<'_, '_> {
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, row: usize, block: usize) -> [S::V; GATES] {
        // SAFETY: passed on; the projection has `width` numbers for each row.
        unsafe { panel_of(s, self.projection, self.width, row, block) }
    }

    #[inline(always)]
    unsafe fn finish(&mut self, s: S, row: usize, block: usize, [i, f, g, o]: [S::V; GATES]) {
        let stride = self.next.stride;
        // SAFETY: passed on; cell states are `[batch, stride]`.
        let c = unsafe { state_of(s, self.cell, stride, row, block) };
        let one = s.splat(1.0);
        let (t, q) = tanh_ratio(s, g);
        let added = s.div(t, s.fma(exp_of_negative(s, i), q, q));
        let forget = s.div(one, s.add(one, exp_of_negative(s, f)));
        let c = flushed(s, s.fma(forget, c, added));
        let (t, q) = tanh_ratio(s, c);
        let h = flushed(s, s.div(t, s.fma(exp_of_negative(s, o), q, q)));
        // SAFETY: as for the load above.
        unsafe {
            s.store(self.cell.as_mut_ptr().add(row * stride + block * S::LANES), c);
            self.next.store(s, row, block, h);
        }
    }
}

/// The whole time loop.
///
/// # Safety
///
/// `cell.check(args)` has passed, and `cell` is a default LSTM packed for `S`.
#[inline(always)]
pub(crate) unsafe fn lstm<S: Simd>(s: S, cell: &PackedCell, args: &mut RecurArgs<'_>) {
    let (batch, width) = (args.batch, cell.projection_width());
    let stride = state_stride(cell.hidden_size);
    let mut sharing = Sharing::new(&mut args.share, cell.recurrent().panels());
    let mut states = Alternating::new(args.hidden, args.scratch);
    for t in 0..args.time {
        let (before, after) = states.next();
        let mut tile = Lstm {
            projection: &args.projection[t * batch * width..][..batch * width],
            width,
            cell: args.cell,
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
        if !sharing.meet(states.latest(), args.cell) {
            break;
        }
    }
    states.finish();
}
