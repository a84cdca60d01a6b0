//! The step for every cell that has no fused kernel: any activations, identity recurrence.
//!
//! A step is a few passes over a row of gates `[batch, width]` in memory: the products of the fused
//! kernels, tile by tile, then each gate's activation, then the cell's formula in plain loops. The
//! formula's products and sums are rounded one by one on every level.

use super::{
    Alternating, CellKind, PackedCell, Place, Product, RecurArgs, Reset, Rows, Tile, blocks_from,
    state_stride, sweep, sweep_plain,
};
use crate::activation::{Activation, apply};
use crate::kernels::Kernels;
use crate::pack::{Columns, PackedMatrix, TINY};
use crate::simd::Simd;

/// What a product of one step reads and adds to.
pub(crate) struct ProductArgs<'a> {
    pub(crate) weights: &'a PackedMatrix,
    pub(crate) chains: usize,
    pub(crate) rows: Rows<'a>,
    /// `[batch, width]`: blocks of `vectors` vectors, to whose vectors from `first` on is added.
    pub(crate) gates: &'a mut [f32],
    pub(crate) width: usize,
    pub(crate) vectors: usize,
    pub(crate) first: usize,
    pub(crate) step: usize,
}

impl ProductArgs<'_> {
    /// Panics unless the buffers fit, which is what [`product`] relies on.
    pub(crate) fn check(&self) {
        let (layout, batch) = (&self.weights.layout, self.rows.batch);
        let (gates, blocks) = match layout.columns {
            Columns::Gates { .. } => (layout.vectors, layout.panels),
            Columns::Plain { .. } => (1, layout.width() / layout.lanes),
        };
        assert!(self.first + gates <= self.vectors, "vectors of a product");
        let width = blocks * self.vectors * layout.lanes;
        assert_eq!(self.width, width, "the width of a row of gates");
        assert_eq!(self.gates.len(), batch * width, "rows of gates");
        assert!(self.rows.stride >= self.weights.depth, "the stride of a product's rows");
        assert_eq!(self.rows.numbers.len(), batch * self.rows.stride, "rows of a product");
    }
}

/// Adds the products of all rows and panels to the gates.
///
/// # Safety
///
/// `args.check()` has passed, and the weights are packed for `S`.
#[inline(always)]
pub(crate) unsafe fn product<S: Simd>(s: S, args: &mut ProductArgs<'_>) {
    let ProductArgs { weights, chains, rows, step, width, vectors, first, .. } = *args;
    let product = Product { weights, chains, rows, step };
    let panels = 0..weights.panels();
    let gates = Gates { numbers: args.gates, width, vectors, first };
    // SAFETY: passed on; each function is called for the layout and the vectors it is made for, and
    // the tiles cover every row and panel.
    unsafe {
        match (weights.layout.columns, weights.layout.vectors) {
            (Columns::Plain { .. }, _) => {
                sweep_plain(s, product, panels, &mut OneGate(gates));
            }
            (_, 2) => sweep::<S, _, 2>(s, product, panels, &mut AllGates(gates)),
            (_, 3) => sweep::<S, _, 3>(s, product, panels, &mut AllGates(gates)),
            (_, 4) => sweep::<S, _, 4>(s, product, panels, &mut AllGates(gates)),
            (_, other) => unreachable!("{other} gates are never interleaved"),
        }
    }
}

/// Where sums come from and go to in rows of gates.
struct Gates<'a> {
    numbers: &'a mut [f32],
    width: usize,
    vectors: usize,
    first: usize,
}

impl Gates<'_> {
    /// One vector of a block, counted from `first` on.
    #[inline(always)]
    fn of<S: Simd>(&mut self, Place { row, block }: Place, vector: usize) -> *mut f32 {
        let at = row * self.width + (block * self.vectors + self.first + vector) * S::LANES;
        debug_assert!(at + S::LANES <= self.numbers.len(), "the sums of a block");
        self.numbers.as_mut_ptr().wrapping_add(at)
    }
}

/// The vectors of a panel are gates of the same units.
struct AllGates<'a>(Gates<'a>);

/// The vectors of a panel are blocks of units.
struct OneGate<'a>(Gates<'a>);

impl<S: Simd, const VECTORS: usize> Tile<S, VECTORS> for AllGates<'_> {
    const BLOCKS: usize = 1;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; VECTORS] {
        let mut sums = [s.splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            // SAFETY: passed on; gates are `[batch, width]`.
            sums[vector] = unsafe { s.load(self.0.of::<S>(place, vector)) };
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
        for n in 0..N {
            for vector in 0..VECTORS {
                // SAFETY: passed on; gates are `[batch, width]`.
                unsafe { s.store(self.0.of::<S>(places[n], vector), sums[n][vector]) };
            }
        }
    }
}

impl<S: Simd, const VECTORS: usize> Tile<S, VECTORS> for OneGate<'_> {
    const BLOCKS: usize = VECTORS;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; VECTORS] {
        let mut sums = [s.splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            let place = blocks_from::<VECTORS>(place)[vector];
            // SAFETY: passed on; gates are `[batch, width]`.
            sums[vector] = unsafe { s.load(self.0.of::<S>(place, 0)) };
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
        for n in 0..N {
            for vector in 0..VECTORS {
                let place = blocks_from::<VECTORS>(places[n])[vector];
                // SAFETY: passed on; gates are `[batch, width]`.
                unsafe { s.store(self.0.of::<S>(place, 0), sums[n][vector]) };
            }
        }
    }
}

/// Applies an activation to the vectors `first`, `first + every`, ... of `numbers`.
#[inline(always)]
pub(crate) fn activate_vectors<S: Simd>(
    s: S,
    activation: Activation,
    numbers: &mut [f32],
    [first, every]: [usize; 2],
) {
    for block in numbers.chunks_exact_mut(every * S::LANES) {
        let vector = &mut block[first * S::LANES..][..S::LANES];
        // SAFETY: the slice is a vector long.
        unsafe { s.store(vector.as_mut_ptr(), apply(s, activation, s.load(vector.as_ptr()))) };
    }
}

/// The whole time loop. `cell.check(args)` has passed, and `cell` is packed for `kernels`.
pub(crate) fn general(kernels: &Kernels, cell: &PackedCell, args: &mut RecurArgs<'_>) {
    let (batch, width) = (args.batch, cell.projection_width());
    let stride = state_stride(cell.hidden_size);
    let (spare, rest) = args.scratch.split_at_mut(batch * stride);
    let (kept, gates) = rest.split_at_mut(batch * stride);
    kept.fill(0.0);
    let mut states = Alternating::new(args.hidden, spare);
    for t in 0..args.time {
        let (before, after) = states.next();
        let projection = &args.projection[t * batch * width..][..batch * width];
        gates.copy_from_slice(projection);
        let mut step = Step { kernels, cell, t, batch, width, stride, before, gates };
        match cell.kind {
            CellKind::Simple { activation } => step.simple(after, activation),
            CellKind::Lstm { activation, recurrent_activation } => {
                step.lstm(after, args.cell, activation, recurrent_activation);
            }
            CellKind::Gru { reset: Reset::After, activation, recurrent_activation } => {
                step.gru_after(after, projection, activation, recurrent_activation);
            }
            CellKind::Gru { reset: Reset::Before, activation, recurrent_activation } => {
                step.gru_before(after, kept, activation, recurrent_activation);
            }
        }
        if let Some(output) = &mut args.output {
            for row in 0..batch {
                let state = &after[row * stride..][..cell.hidden_size];
                output.row_mut(t, row).copy_from_slice(state);
            }
        }
    }
    states.finish();
}

/// One step of all rows.
struct Step<'a> {
    kernels: &'a Kernels,
    cell: &'a PackedCell,
    t: usize,
    batch: usize,
    width: usize,
    stride: usize,
    before: &'a [f32],
    gates: &'a mut [f32],
}

impl Step<'_> {
    /// Adds the products of `weights` and `numbers`, rows of states, to the gates from `first` on.
    fn multiply(&mut self, weights: &PackedMatrix, numbers: &[f32], first: usize) {
        self.kernels.product(&mut ProductArgs {
            weights,
            chains: self.cell.chains,
            rows: Rows { numbers, stride: self.stride, batch: self.batch },
            gates: self.gates,
            width: self.width,
            vectors: self.cell.kind.gates(),
            first,
            step: self.t,
        });
    }

    fn activate(&mut self, activation: Activation, gate: usize) {
        let every = self.cell.kind.gates();
        self.kernels.activate_vectors(activation, self.gates, [gate, every]);
    }

    /// Every unit of every row: its place among the states and its place among the gates.
    fn units(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (lanes, vectors) = (self.cell.projection.layout.lanes, self.cell.kind.gates());
        let (units, stride, width) = (self.cell.hidden_size, self.stride, self.width);
        (0..self.batch).flat_map(move |row| {
            (0..units).map(move |unit| {
                let block = unit / lanes * vectors * lanes;
                (row * stride + unit, row * width + block + unit % lanes)
            })
        })
    }

    fn lanes(&self) -> usize {
        self.cell.projection.layout.lanes
    }

    fn simple(&mut self, after: &mut [f32], activation: Activation) {
        if self.cell.is_identity() {
            for (state, gate) in self.units() {
                self.gates[gate] += self.before[state];
            }
        } else {
            self.multiply(self.cell.recurrent(), self.before, 0);
        }
        self.activate(activation, 0);
        for (state, gate) in self.units() {
            after[state] = flushed(self.gates[gate]);
        }
    }

    /// `c' = f c + i g`, `h' = o activation(c')`
    fn lstm(
        &mut self,
        after: &mut [f32],
        cell_state: &mut [f32],
        activation: Activation,
        recurrent_activation: Activation,
    ) {
        self.multiply(self.cell.recurrent(), self.before, 0);
        for gate in [0, 1, 3] {
            self.activate(recurrent_activation, gate);
        }
        self.activate(activation, 2);
        let lanes = self.lanes();
        let [f, g, o] = [lanes, 2 * lanes, 3 * lanes];
        // The new c goes where f was read, to be activated there.
        for (state, i) in self.units() {
            let gates = &mut self.gates[i..];
            let c = flushed(gates[f] * cell_state[state] + gates[0] * gates[g]);
            cell_state[state] = c;
            gates[f] = c;
        }
        self.activate(activation, 1);
        for (state, i) in self.units() {
            let gates = &self.gates[i..];
            after[state] = flushed(gates[o] * gates[f]);
        }
    }

    /// `n = activation(projection + r (U h + b'))`
    fn gru_after(
        &mut self,
        after: &mut [f32],
        projection: &[f32],
        activation: Activation,
        recurrent_activation: Activation,
    ) {
        let lanes = self.lanes();
        let [r, n] = [lanes, 2 * lanes];
        // The candidate's sums start from its recurrent bias; its projection waits.
        let bias = &self.cell.recurrent().bias;
        for (_, z) in self.units() {
            self.gates[z + n] = bias[z % self.width + n];
        }
        self.multiply(self.cell.recurrent(), self.before, 0);
        self.activate(recurrent_activation, 0);
        self.activate(recurrent_activation, 1);
        for (_, z) in self.units() {
            let gates = &mut self.gates[z..];
            gates[n] = projection[z + n] + gates[r] * gates[n];
        }
        self.activate(activation, 2);
        self.blend(after);
    }

    /// `n = activation(projection + U (r h))`
    fn gru_before(
        &mut self,
        after: &mut [f32],
        kept: &mut [f32],
        activation: Activation,
        recurrent_activation: Activation,
    ) {
        self.multiply(self.cell.recurrent(), self.before, 0);
        self.activate(recurrent_activation, 0);
        self.activate(recurrent_activation, 1);
        let lanes = self.lanes();
        for (state, z) in self.units() {
            kept[state] = self.gates[z + lanes] * self.before[state];
        }
        self.multiply(self.cell.candidate(), kept, 2);
        self.activate(activation, 2);
        self.blend(after);
    }

    /// `h' = z h + (1 - z) n`
    fn blend(&self, after: &mut [f32]) {
        let n = 2 * self.lanes();
        for (state, z) in self.units() {
            let gates = &self.gates[z..];
            let kept = gates[0] * self.before[state];
            after[state] = flushed(kept + (1.0 - gates[0]) * gates[n]);
        }
    }
}

/// Zero for states too small to count; NaN stays.
fn flushed(state: f32) -> f32 {
    if state.abs() < TINY { 0.0 } else { state }
}
