//! NaN and infinity reach what depends on them in a recurrence, and nothing else.

mod layer;

use layer::{Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits};
use ritornello_kernels::{Activation, Cell, GruReset, Kernels};

/// The default cells, and one that the general step runs.
fn all_kinds() -> [Cell; 8] {
    let (activation, recurrent_activation) = (Activation::Softsign, Activation::HARD_SIGMOID);
    [
        RNN,
        Cell::simple_rnn(Activation::Relu),
        LSTM,
        GRU_AFTER,
        GRU_BEFORE,
        Cell::lstm(activation, recurrent_activation),
        Cell::gru(GruReset::AfterMatmul),
        Cell::gru(GruReset::BeforeMatmul),
    ]
}

/// Row `row` of every step, or of a state.
fn row_of(numbers: &[f32], row: usize, [batch, size]: [usize; 2]) -> Vec<u32> {
    numbers.chunks(batch * size).flat_map(|step| bits(&step[row * size..][..size])).collect()
}

#[test]
fn nan_and_infinity_stay_in_their_row() {
    for kind in all_kinds() {
        for [size, batch] in [[1, 2], [5, 3], [19, 7], [70, 4]] {
            let clean = Layer::random(kind, Extras::NONE, [true, true], [4, size, 5, batch], 9);
            let bad_row = 1;
            for what in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut layers = vec![clean.clone(), clean.clone()];
                layers[0].input[(2 * batch + bad_row) * 4 + 1] = what;
                layers[1].hidden[bad_row * size + size / 2] = what;
                if kind.has_cell_state() {
                    layers.push(clean.clone());
                    layers[2].cell[bad_row * size + size / 2] = what;
                }
                for (place, layer) in ["x", "h", "c"].into_iter().zip(&layers) {
                    for kernels in Kernels::available() {
                        let (found, expected) = (layer.run(kernels), clean.run(kernels));
                        for row in (0..batch).filter(|&row| row != bad_row) {
                            for (found, expected) in [
                                (&found.output, &expected.output),
                                (&found.hidden, &expected.hidden),
                                (&found.cell, &expected.cell),
                            ] {
                                assert_eq!(
                                    row_of(found, row, [batch, size]),
                                    row_of(expected, row, [batch, size]),
                                    "{kind:?} on {}: row {row} beside {what} in {place}",
                                    kernels.isa()
                                );
                            }
                        }
                        if what.is_nan() && place != "c" {
                            let after = found.hidden[bad_row * size..][..size].iter();
                            assert!(
                                after.clone().all(|h| h.is_nan()),
                                "{kind:?} on {}: NaN in {place} reaches every unit: {after:?}",
                                kernels.isa()
                            );
                        }
                    }
                }
            }
        }
    }
}

/// In the first step NaN in c is in its own unit alone; in the next, U takes it to all.
#[test]
fn nan_in_c_stays_in_its_unit_for_one_step() {
    let (size, batch, unit) = (19, 3, 4);
    let kinds = all_kinds();
    for kind in kinds.into_iter().filter(|kind| kind.has_cell_state()) {
        let clean = Layer::random(kind, Extras::NONE, [true, true], [4, size, 2, batch], 9);
        let mut layer = clean.clone();
        layer.cell[size + unit] = f32::NAN;
        for kernels in Kernels::available() {
            let (found, expected) = (layer.run(kernels), clean.run(kernels));
            for j in 0..size {
                let (found, expected) = (found.output[size + j], expected.output[size + j]);
                let right =
                    if j == unit { found.is_nan() } else { found.to_bits() == expected.to_bits() };
                assert!(right, "{kind:?} on {}: h[{j}] after one step is {found}", kernels.isa());
            }
            let second = &found.output[(batch + 1) * size..][..size];
            assert!(second.iter().all(|h| h.is_nan()), "{kind:?} on {}", kernels.isa());
            let c = &found.cell[size..][..size];
            assert!(c.iter().all(|c| c.is_nan()), "{kind:?} on {}: c {c:?}", kernels.isa());
        }
    }
}

/// NaN in the output gate's sum makes h' NaN and leaves c' alone.
#[test]
fn nan_in_an_output_gate_leaves_c_alone() {
    let clean =
        Layer::with_gates(LSTM, [9, 1, 2], &[(1.0, 0.1), (1.0, 0.2), (1.0, 0.3), (0.0, 0.4)]);
    let mut layer = clean.clone();
    layer.bias.as_mut().expect("a bias")[3 * 9 + 5] = f32::NAN;
    for kernels in Kernels::available() {
        let (found, expected) = (layer.run(kernels), clean.run(kernels));
        assert_eq!(bits(&found.cell), bits(&expected.cell), "c on {}", kernels.isa());
        for (i, (found, expected)) in found.hidden.iter().zip(&expected.hidden).enumerate() {
            let right =
                if i % 9 == 5 { found.is_nan() } else { found.to_bits() == expected.to_bits() };
            assert!(right, "h[{i}] on {} is {found}", kernels.isa());
        }
    }
}
