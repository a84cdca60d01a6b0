//! NaN and infinity reach what depends on them in a recurrence, and nothing else.

mod layer;

use layer::{Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits};
use ritornello_kernels::{Activation, Cell, Coupling, Gru, GruReset, Kernels, Lstm};
use ritornello_reference::Recurrence;

/// The default cells, and some that the general step runs.
fn all_kinds() -> [Cell; 9] {
    let general_gru = |reset| {
        let (activation, recurrent_activation) = (Activation::Softsign, Activation::HARD_SIGMOID);
        Cell::Gru(Gru { activation, recurrent_activation, ..Gru::new(reset) })
    };
    let (activation, recurrent_activation) = (Activation::Softsign, Activation::HARD_SIGMOID);
    [
        RNN,
        Cell::simple_rnn(Activation::Relu),
        LSTM,
        GRU_AFTER,
        GRU_BEFORE,
        Cell::lstm(activation, recurrent_activation),
        general_gru(GruReset::AfterMatmul),
        general_gru(GruReset::BeforeMatmul),
        Cell::simple_rnn(Activation::Softsign),
    ]
}

/// Row `row` of every step, or of a state.
fn row_of(numbers: &[f32], row: usize, [batch, size]: [usize; 2]) -> Vec<u32> {
    numbers.chunks(batch * size).flat_map(|step| bits(&step[row * size..][..size])).collect()
}

/// Every kind as it is, and with everything that it may have beside its matrices.
fn all_layers() -> Vec<(Cell, Extras)> {
    let mut layers: Vec<_> = all_kinds().into_iter().map(|kind| (kind, Extras::NONE)).collect();
    for kind in [RNN, LSTM, GRU_AFTER, GRU_BEFORE] {
        for recurrence in [Recurrence::Diagonal, Recurrence::Identity] {
            layers.push((kind, Extras { recurrence, ..Extras::NONE }));
        }
    }
    for coupling in [Coupling::None, Coupling::ForgetFromInput, Coupling::InputFromForget] {
        let kind = Cell::Lstm(Lstm { coupling, ..Lstm::DEFAULT });
        layers.push((kind, Extras { peepholes: true, ..Extras::NONE }));
        layers.push((kind, Extras { projection: Some(3), ..Extras::NONE }));
    }
    layers
}

#[test]
fn nan_and_infinity_stay_in_their_row() {
    for (kind, extras) in all_layers() {
        for [size, batch] in [[1, 2], [5, 3], [19, 7], [70, 4]] {
            let clean = Layer::random(kind, extras, [true, true], [4, size, 5, batch], 9);
            let (states, bad_row) = (clean.state_size(), 1);
            for what in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut layers = vec![clean.clone(), clean.clone()];
                layers[0].input[(2 * batch + bad_row) * 4 + 1] = what;
                layers[1].hidden[bad_row * states + states / 2] = what;
                if kind.has_cell_state() {
                    layers.push(clean.clone());
                    layers[2].cell[bad_row * size + size / 2] = what;
                }
                for (place, layer) in ["x", "h", "c"].into_iter().zip(&layers) {
                    for kernels in Kernels::available() {
                        let (found, expected) = (layer.run(kernels), clean.run(kernels));
                        for row in (0..batch).filter(|&row| row != bad_row) {
                            for (found, expected, size) in [
                                (&found.output, &expected.output, states),
                                (&found.hidden, &expected.hidden, states),
                                (&found.cell, &expected.cell, size),
                            ] {
                                assert_eq!(
                                    row_of(found, row, [batch, size]),
                                    row_of(expected, row, [batch, size]),
                                    "{kind:?}, {extras:?} on {}: row {row} beside {what} in {place}",
                                    kernels.isa()
                                );
                            }
                        }
                        // x has weights of its own to every unit; h in a matrix alone.
                        let everywhere =
                            place == "x" || place == "h" && extras.recurrence == Recurrence::Matrix;
                        if what.is_nan() && everywhere {
                            let after = found.hidden[bad_row * states..][..states].iter();
                            assert!(
                                after.clone().all(|h| h.is_nan()),
                                "{kind:?}, {extras:?} on {}: NaN in {place} reaches every unit: \
                                 {after:?}",
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
