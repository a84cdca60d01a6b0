//! A step of an LSTM of any kind.

use super::{Step, clipped};
use crate::cell::{Cell, Coupling, Gate, Lstm};
use crate::contract::flushed;

impl Step<'_> {
    /// `c' = f c + i g`, `units = o output_activation(c')`, with the gates of [`Lstm`].
    pub(super) fn lstm(&mut self, units: &mut [f32], cell_state: &mut [f32], lstm: Lstm) {
        let gates = self.cell.kind.gates().len();
        self.add_recurrent(self.before, 0..gates);
        let of = |gate| Cell::Lstm(lstm).gate(gate);
        for gate in [Gate::Input, Gate::Forget] {
            if let Some(place) = of(gate) {
                self.add_peephole(lstm, gate, cell_state);
                self.activate(place, lstm.clip, lstm.recurrent_activation);
            }
        }
        let (Some(candidate), Some(output)) = (of(Gate::Candidate), of(Gate::Output)) else {
            unreachable!("every LSTM has a candidate and an output gate");
        };
        self.activate(candidate, lstm.clip, lstm.activation);
        let lanes = self.lanes();
        let [input, forget] = [Gate::Input, Gate::Forget].map(|gate| of(gate).unwrap_or(0) * lanes);
        let [candidate_at, output_at] = [candidate, output].map(|gate| gate * lanes);
        // The new c goes where the candidate was read, to be activated there.
        for unit in self.units() {
            let gates = &mut self.gates[unit.gate..];
            let (i, f) = match lstm.coupling {
                Coupling::None => (gates[input], gates[forget]),
                Coupling::ForgetFromInput => (gates[input], 1.0 - gates[input]),
                Coupling::InputFromForget => (1.0 - gates[forget], gates[forget]),
            };
            let c = f * cell_state[unit.state] + i * gates[candidate_at];
            let c = flushed(clipped(c, lstm.cell_clip));
            cell_state[unit.state] = c;
            gates[candidate_at] = c;
        }
        self.add_peephole(lstm, Gate::Output, cell_state);
        self.activate(output, lstm.clip, lstm.recurrent_activation);
        self.activate(candidate, None, lstm.output_activation);
        for unit in self.units() {
            let gates = &self.gates[unit.gate..];
            units[unit.state] = flushed(gates[output_at] * gates[candidate_at]);
        }
    }

    /// `gate += p c`, if there are peepholes.
    fn add_peephole(&mut self, lstm: Lstm, gate: Gate, cell_state: &[f32]) {
        let all =
            lstm.peephole_gates().iter().zip(self.cell.peepholes.chunks(self.cell.hidden_size));
        let Some((_, peephole)) = all.into_iter().find(|(known, _)| **known == gate) else {
            return;
        };
        let at = self.cell.kind.gate(gate).map_or(0, |place| place * self.lanes());
        let stride = self.cell.cell_stride();
        for unit in self.units() {
            let product = peephole[unit.state % stride] * cell_state[unit.state];
            self.gates[unit.gate + at] += product;
        }
    }
}
