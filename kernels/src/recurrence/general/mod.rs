//! The step for every cell that has no fused kernel: any activations, clips, peepholes, coupled
//! gates, a projection of the state, diagonal and identity recurrence.
//!
//! ```text
//! for each step t
//!     gates = projection[t] + U h                     [batch, width]: products as in fused kernels
//!     for each gate
//!         clip it, add peepholes to it, activate it
//!     new states = the cell's formula, unit by unit
//!     h = V h, if the state is projected
//! ```
//!
//! A step is a few passes over a row of gates in memory. The formula's products and sums, those with
//! a diagonal and with peepholes among them, are rounded one by one on every level.

mod gru;
mod lstm;
mod product;

pub(crate) use product::{ProductArgs, activate_vectors, product};

use std::ops::Range;

use super::{Alternating, PackedCell, RecurArgs, Recurrent};
use crate::activation::Activation;
use crate::cell::{Cell, SimpleRnn};
use crate::contract::{chains, flushed};
use crate::gemm::rows::Rows;
use crate::kernels::Kernels;
use crate::pack::PackedMatrix;

/// The whole time loop. `cell.check(args)` has passed, and `cell` is packed for `kernels`.
pub(crate) fn general(kernels: &Kernels, cell: &PackedCell, args: &mut RecurArgs<'_>) {
    let (batch, width) = (args.batch, cell.projection_width());
    let (spare, rest) = args.scratch.split_at_mut(batch * cell.hidden_stride());
    let (kept, rest) = rest.split_at_mut(batch * cell.cell_stride());
    let (gates, rest) = rest.split_at_mut(batch * width);
    let (projected, bytes) = rest.split_at_mut(batch * cell.projected_width());
    kept.fill(0.0);
    let mut states = Alternating::new(args.hidden, spare);
    for t in 0..args.time {
        let (before, after) = states.next();
        let projection = &args.projection[t * batch * width..][..batch * width];
        gates.copy_from_slice(projection);
        let mut step = Step { kernels, cell, t, batch, before, gates, bytes };
        match cell.kind {
            Cell::SimpleRnn(simple) => step.simple(after, simple),
            Cell::Lstm(lstm) => match &cell.output {
                None => step.lstm(after, args.cell, lstm),
                Some(output) => {
                    step.lstm(kept, args.cell, lstm);
                    step.project(output, kept, projected);
                    step.take(projected, output.width(), after, lstm.projection_clip);
                }
            },
            Cell::Gru(gru) => step.gru(after, kept, projection, gru),
        }
        if let Some(output) = &mut args.output {
            let rows = after.chunks(cell.hidden_stride());
            for (row, state) in rows.take(batch).enumerate() {
                output.row_mut(t, row).copy_from_slice(&state[..cell.state_size]);
            }
        }
    }
    states.finish();
}

/// One step of all rows.
///
/// Gates lie as a projection lays them: `[batch][block of units][gate][lane]`.
struct Step<'a> {
    kernels: &'a Kernels,
    cell: &'a PackedCell,
    t: usize,
    batch: usize,
    before: &'a [f32],
    gates: &'a mut [f32],
    /// Room for rows made into what they are multiplied as.
    bytes: &'a mut [f32],
}

/// A unit of a row: its place among c and other rows of units, and that of its first gate.
#[derive(Clone, Copy)]
struct Unit {
    state: usize,
    gate: usize,
}

impl Step<'_> {
    /// `h' = activation(sum)`
    fn simple(&mut self, after: &mut [f32], SimpleRnn { activation, clip }: SimpleRnn) {
        self.add_recurrent(self.before, 0..1);
        self.activate(0, clip, activation);
        for unit in self.units() {
            after[unit.state] = flushed(self.gates[unit.gate]);
        }
    }

    /// Adds U h to some gates; `numbers` are rows of h, or of what stands in for it.
    fn add_recurrent(&mut self, numbers: &[f32], gates: Range<usize>) {
        match &self.cell.recurrent {
            Recurrent::Matrix(matrix) => self.multiply(matrix, numbers, 0),
            Recurrent::Parted(parts) => {
                self.multiply(&parts[usize::from(gates.start > 0)], numbers, gates.start);
            }
            Recurrent::Diagonal { weights, .. } => {
                let (lanes, width) = (self.lanes(), self.width());
                for unit in self.units() {
                    for gate in gates.clone() {
                        let at = unit.gate + gate * lanes;
                        self.gates[at] += weights[at % width] * numbers[unit.state];
                    }
                }
            }
        }
    }

    /// Adds the products of `weights` and rows of h to the gates from `first` on.
    fn multiply(&mut self, weights: &PackedMatrix, numbers: &[f32], first: usize) {
        self.kernels.product(&mut ProductArgs {
            weights,
            chains: self.cell.chains,
            rows: Rows::new(numbers, self.cell.hidden_stride(), self.batch),
            width: self.width(),
            gates: self.gates,
            vectors: self.cell.kind.gates().len(),
            first,
            step: self.t,
            scratch: self.bytes,
        });
    }

    /// `projected = V units`
    fn project(&mut self, output: &PackedMatrix, units: &[f32], projected: &mut [f32]) {
        projected.fill(0.0);
        self.kernels.product(&mut ProductArgs {
            weights: output,
            chains: chains(self.cell.hidden_size),
            rows: Rows::new(units, self.cell.cell_stride(), self.batch),
            width: output.width(),
            gates: projected,
            vectors: 1,
            first: 0,
            step: self.t,
            scratch: self.bytes,
        });
    }

    /// The new h from its projection, rows of `width`.
    fn take(&self, projected: &[f32], width: usize, after: &mut [f32], clip: Option<f32>) {
        let rows = projected.chunks(width).zip(after.chunks_mut(self.cell.hidden_stride()));
        for (from, to) in rows {
            for (from, to) in from[..self.cell.state_size].iter().zip(to) {
                *to = flushed(clipped(*from, clip));
            }
        }
    }

    /// Clips a gate and applies its activation.
    fn activate(&mut self, gate: usize, clip: Option<f32>, activation: Activation) {
        let (lanes, every) = (self.lanes(), self.cell.kind.gates().len());
        if clip.is_some() {
            for block in self.gates.chunks_exact_mut(every * lanes) {
                let vector = &mut block[gate * lanes..][..lanes];
                vector.iter_mut().for_each(|sum| *sum = clipped(*sum, clip));
            }
        }
        self.kernels.activate_vectors(activation, self.gates, [gate, every]);
    }

    /// Every unit of every row.
    fn units(&self) -> impl Iterator<Item = Unit> + use<> {
        let (lanes, vectors) = (self.lanes(), self.cell.kind.gates().len());
        let (units, stride, width) = (self.cell.hidden_size, self.cell.cell_stride(), self.width());
        (0..self.batch).flat_map(move |row| {
            (0..units).map(move |unit| {
                let block = unit / lanes * vectors * lanes;
                Unit { state: row * stride + unit, gate: row * width + block + unit % lanes }
            })
        })
    }

    fn lanes(&self) -> usize {
        self.cell.projection.layout.registers.lanes
    }

    fn width(&self) -> usize {
        self.cell.projection_width()
    }
}

/// What a clip leaves of a number; NaN stays.
fn clipped(number: f32, clip: Option<f32>) -> f32 {
    clip.map_or(number, |clip| number.clamp(-clip, clip))
}
