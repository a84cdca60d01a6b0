//! A step of a GRU of any kind.

use super::Step;
use crate::cell::{Gru, GruReset};
use crate::contract::flushed;
use crate::recurrence::Recurrent;

impl Step<'_> {
    /// Gates z and r, the candidate n, and `h' = z h + (1 - z) n`.
    ///
    /// `kept` is room for rows of units; `projection` that of this step.
    pub(super) fn gru(
        &mut self,
        after: &mut [f32],
        kept: &mut [f32],
        projection: &[f32],
        gru: Gru,
    ) {
        match gru.reset {
            GruReset::AfterMatmul => self.reset_after(projection, gru),
            GruReset::BeforeMatmul => self.reset_before(kept, gru),
        }
        self.activate(2, gru.clip, gru.activation);
        let n = 2 * self.lanes();
        for unit in self.units() {
            let gates = &self.gates[unit.gate..];
            let kept = gates[0] * self.before[unit.state];
            after[unit.state] = flushed(kept + (1.0 - gates[0]) * gates[n]);
        }
    }

    /// What goes into the candidate's activation: `projection + r (U h + b')`.
    fn reset_after(&mut self, projection: &[f32], gru: Gru) {
        let [r, n] = [self.lanes(), 2 * self.lanes()];
        // The candidate's sums start from its recurrent bias; its projection waits.
        let bias = match &self.cell.recurrent {
            Recurrent::Diagonal { bias, .. } => bias,
            _ => &self.cell.recurrent().bias,
        };
        for unit in self.units() {
            let at = unit.gate + n;
            self.gates[at] = bias[at % self.width()];
        }
        self.add_recurrent(self.before, 0..3);
        self.activate(0, gru.clip, gru.recurrent_activation);
        self.activate(1, gru.clip, gru.recurrent_activation);
        for unit in self.units() {
            let gates = &mut self.gates[unit.gate..];
            gates[n] = projection[unit.gate + n] + gates[r] * gates[n];
        }
    }

    /// Likewise `projection + U (r h)`.
    fn reset_before(&mut self, kept: &mut [f32], gru: Gru) {
        self.add_recurrent(self.before, 0..2);
        self.activate(0, gru.clip, gru.recurrent_activation);
        self.activate(1, gru.clip, gru.recurrent_activation);
        let r = self.lanes();
        for unit in self.units() {
            kept[unit.state] = self.gates[unit.gate + r] * self.before[unit.state];
        }
        self.add_recurrent(kept, 2..3);
    }
}
