//! The default LSTM: sigmoid gates, tanh.
//!
//! ```text
//! i, f, g, o = sums
//! c' = sigmoid(f) c + sigmoid(i) tanh(g)
//! h' = sigmoid(o) tanh(c')
//! ```
//!
//! Everything after the sums ([`formula::lstm`]) happens in registers, for some rows or panels side by
//! side.
//!
//! Registers of a tile on AVX2: 12 sums (6 rows × 2 gates, then the other 2), 2 weights, 1 number of a
//! row, or (3 rows × 4 gates), 3 numbers, 1 weight; on AVX-512: 24 sums (6 rows × 4 gates), 4 weights,
//! 1 number. A row alone: 8 sums of 2 panels, on AVX-512 up to 24 of 3 panels in 2 chains, 1
//! number, weights from memory.

use super::{
    Alternating, NextHidden, PackedCell, Place, Preactivations, Product, RecurArgs, Sharing, Tile,
    gates_of, state_stride, states_of, store_state, sweep,
};
use crate::formula;
use crate::gemm::rows::Rows;
use crate::gemm::weights::Written;
use crate::simd::Simd;
use crate::times::Times;

const GATES: usize = 4;

struct Lstm<'a, 'b> {
    projection: Preactivations<'a>,
    cell: &'a mut [f32],
    next: NextHidden<'a, 'b>,
}

impl<S: Simd> Tile<S, GATES> for Lstm<'_, '_> {
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; GATES] {
        // SAFETY: passed on.
        unsafe { self.projection.vectors(s, place) }
    }

    #[inline(always)]
    unsafe fn finish<const N: usize>(
        &mut self,
        s: S,
        places: [Place; N],
        sums: [[S::V; GATES]; N],
    ) {
        let stride = self.next.stride;
        // SAFETY: passed on; cell states are `[batch, stride]`.
        let c = unsafe { states_of(s, self.cell, stride, places) };
        let gates = gates_of(s, sums);
        let w = Times::<S, N>(s);
        let [h, c] = formula::lstm(w, gates, c);
        // SAFETY: as for the load above.
        unsafe {
            for n in 0..N {
                store_state(s, self.cell, stride, places[n], c[n]);
            }
            self.next.store(s, places, h);
        }
    }
}

/// The whole time loop.
///
/// # Safety
///
/// `cell.check(args)` has passed, and `cell` is a default LSTM packed for `S`, and so written down.
#[inline(always)]
pub(crate) unsafe fn lstm<S: Simd, F: Written>(
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
        let mut tile = Lstm {
            projection: projection.step(t),
            cell: args.cell,
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
        if !sharing.meet(states.latest(), args.cell) {
            break;
        }
    }
    states.finish();
}
