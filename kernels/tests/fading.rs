//! A state that fades is zero from where its products would be denormal.

mod layer;

use layer::{GRU_AFTER, GRU_BEFORE, LSTM, Layer, SIGMOID, TANH, bits, noise};
use ritornello_kernels::{Activation, Cell, Kernels};

/// The smallest state that counts.
const TINY: f32 = f32::from_bits((127 - 96) << 23);

/// Halves from step to step, exactly, and is +0 from where it would be below 2^-96.
fn halving(start: f32, steps: i32) -> f32 {
    let value = start * 0.5_f32.powi(steps);
    if value.abs() < TINY { 0.0 } else { value }
}

#[test]
fn a_state_that_fades_becomes_zero_at_two_to_the_minus_96() {
    let starts = [1.0, -1.0, 1.5, -0.75, 2.0_f32.powi(-95), -TINY, 1.999 * TINY];
    let (size, steps) = (starts.len(), 130);
    let shape = [size, steps, 2];
    let general = Cell::lstm(Activation::Linear, SIGMOID);
    // Every gate's sum is 0, so that gates are exactly a half; the candidate is 0.
    let half = [(0.0, 0.0); 4];
    for kind in [LSTM, general, GRU_AFTER, GRU_BEFORE] {
        let mut layer = Layer::with_gates(kind, shape, &half[..kind.gates().len()]);
        let start = starts.repeat(2);
        if kind.has_cell_state() {
            layer.cell = start;
        } else {
            layer.hidden = start;
        }
        for kernels in Kernels::available() {
            let (packed, isa) = (layer.packed(kernels), kernels.isa());
            let mut now = Layer { time: 1, ..layer.clone() };
            now.input.truncate(2 * now.input_size);
            for step in 1..=130 {
                let found = now.run_packed(kernels, &packed);
                let states = if kind.has_cell_state() { &found.cell } else { &found.hidden };
                let expected: Vec<f32> =
                    starts.repeat(2).iter().map(|&start| halving(start, step)).collect();
                assert_eq!(bits(states), bits(&expected), "{kind:?} on {isa}, step {step}");
                let shown = found.hidden.iter().chain(&found.output);
                for h in shown {
                    let right = h.to_bits() == 0 || h.abs() >= TINY;
                    assert!(right, "{kind:?} on {isa}: h = {h:e} after step {step}");
                }
                (now.hidden, now.cell) = (found.hidden, found.cell);
            }
            assert_eq!(bits(&now.hidden), vec![0; 2 * size], "{kind:?} on {isa} ends at +0");
            // Many steps in one call give the same.
            let whole = layer.run_packed(kernels, &packed);
            assert_eq!(bits(&whole.hidden), vec![0; 2 * size], "{kind:?} on {isa} in one call");
        }
    }
}

/// Simple networks fade through their matrix, or through the identity not at all.
#[test]
fn a_simple_network_that_fades_becomes_zero() {
    for activation in [TANH, Activation::Relu, Activation::Linear] {
        let kind = Cell::simple_rnn(activation);
        let size = 7;
        let mut layer = Layer::with_gates(kind, [size, 130, 2], &[(0.0, 0.0)]);
        let mut next = noise(1);
        layer.hidden = (0..2 * size).map(|_| 0.3 + 0.2 * next()).collect();
        for unit in 0..size {
            layer.recurrent_weights[unit * size + unit] = 0.5;
        }
        for kernels in Kernels::available() {
            let found = layer.run(kernels);
            for h in &found.output {
                let right = h.to_bits() == 0 || h.abs() >= TINY;
                assert!(right, "{activation} on {}: h = {h:e}", kernels.isa());
            }
            assert!(found.output[..2 * size].iter().all(|&h| h > 0.0), "not at once");
            assert_eq!(bits(&found.hidden), vec![0; 2 * size], "{activation} on {}", kernels.isa());
        }
    }
}
