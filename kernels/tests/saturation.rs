//! What a recurrence makes of gates that are open or shut for good, and of infinite numbers.

mod layer;

use layer::{Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits};
use ritornello_kernels::Kernels;
use ritornello_reference::{State, widen};

#[test]
fn an_lstm_whose_forget_gate_is_open_and_input_gate_shut_keeps_c_for_ever() {
    let kept = [
        1.0,
        -1.0,
        0.1,
        -0.3,
        0.999_999_94,
        std::f32::consts::PI,
        -12_345.679,
        1e-3,
        -1e-10,
        1e-19,
        1e10,
        1e30,
        -1e30,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        8.0,
        -0.7,
        0.25,
        1.0 / 3.0,
    ];
    // Far gates, and a little beyond where 1 + exp(-x) is 1; the input gate is shut in both.
    for (forget, gates_scale) in [(200.0, 1.0), (200.0, 0.0), (f32::MAX, 0.0)] {
        let gates = [(0.0, -200.0), (0.0, forget), (gates_scale, 0.4), (gates_scale, 0.1)];
        let mut layer = Layer::with_gates(LSTM, [kept.len(), 1000, 3], &gates);
        layer.cell = kept.repeat(3);
        for kernels in Kernels::available() {
            let outcome = layer.run(kernels);
            assert_eq!(
                bits(&outcome.cell),
                bits(&layer.cell),
                "c after 1000 steps on {}, forget gate {forget}",
                kernels.isa()
            );
            assert!(outcome.output.iter().all(|h| h.abs() <= 1.0), "|h| <= 1 on {}", kernels.isa());
        }
    }
}

#[test]
fn a_gru_whose_update_gate_is_open_keeps_h_for_ever() {
    let kept = [
        1.0,
        -1.0,
        0.1,
        -0.3,
        0.999_999_94,
        std::f32::consts::PI,
        -12_345.679,
        1e-3,
        -1e-10,
        1e-19,
        1e10,
        -1e30,
        0.5,
        -0.7,
        0.25,
        1.0 / 3.0,
        0.125,
    ];
    for kind in [GRU_AFTER, GRU_BEFORE] {
        for scale in [1.0, 0.0] {
            let gates = [(0.0, 200.0), (scale, 0.3), (scale, 0.4)];
            let mut layer = Layer::with_gates(kind, [kept.len(), 1000, 3], &gates);
            layer.hidden = kept.repeat(3);
            for kernels in Kernels::available() {
                let outcome = layer.run(kernels);
                let isa = kernels.isa();
                assert_eq!(bits(&outcome.hidden), bits(&layer.hidden), "{kind:?} on {isa}");
            }
        }
    }
}

/// An infinite sum saturates the default cells' gates: what they give is what the limits give.
#[test]
fn infinite_inputs_saturate_the_default_cells() {
    for kind in [RNN, LSTM, GRU_AFTER, GRU_BEFORE] {
        for what in [f32::INFINITY, f32::NEG_INFINITY] {
            let mut layer = Layer::random(kind, Extras::NONE, [true, true], [4, 19, 1, 2], 3);
            layer.input[2] = what;
            let reference = layer.reference();
            for kernels in Kernels::available() {
                let found = layer.run(kernels);
                let one = layer.row(0);
                let before = State::from_f32(&one.hidden, &one.cell);
                let expected = reference.step(&widen(&one.input), &before).state;
                // Gates are exact but for exp(-64), so that only the cell's formula errs: 4.5e-7.
                for (found, expected, old) in [
                    (&found.hidden, &expected.hidden, &one.hidden),
                    (&found.cell, &expected.cell, &one.cell),
                ] {
                    for (unit, &exact) in expected.iter().enumerate() {
                        let error = (f64::from(found[unit]) - exact).abs();
                        let scale = f64::from(old[unit].abs()).max(1.0);
                        assert!(
                            error <= 4.5e-7 * scale,
                            "{kind:?} on {}: {} for {exact} in unit {unit}, x = {what}",
                            kernels.isa(),
                            found[unit]
                        );
                    }
                }
            }
        }
    }
}

/// c = ±∞ stays, and shows as ± the output gate.
#[test]
fn an_infinite_c_shows_as_the_output_gate() {
    let gates = [(1.0, 0.1), (1.0, -3.0), (1.0, 0.3), (0.0, 0.6)];
    let mut layer = Layer::with_gates(LSTM, [4, 3, 1], &gates);
    layer.cell = vec![f32::INFINITY, 0.5, f32::NEG_INFINITY, 0.0];
    let gate = 1.0 / (1.0 + (-0.6_f32 as f64).exp());
    for kernels in Kernels::available() {
        let found = layer.run(kernels);
        assert_eq!([found.cell[0], found.cell[2]], [f32::INFINITY, f32::NEG_INFINITY]);
        for step in found.output.chunks(4) {
            for (h, expected) in [(step[0], gate), (step[2], -gate)] {
                let error = (f64::from(h) - expected).abs();
                assert!(error <= 4.5e-7, "{h} for {expected} on {}", kernels.isa());
            }
        }
    }
}
