//! Products by a matrix unit of weights and rows rounded to bf16. Where the CPU has no such unit, it is emulated.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod emulator;
mod layer;
mod product;
mod unit;

use layer::checks::{check_cut, check_rows, check_steps};
use layer::{GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits, in_bf16};
use product::{Product, Projection};
use ritornello_kernels::{Cell, Kernels, Precision, Tune, View};
use unit::{check_projection, costs, pair, with_unit};

fn random(kind: Cell, shape: [usize; 4], seed: u64) -> Layer {
    unit::random(Precision::Bf16, kind, shape, seed)
}

/// More rows than two tiles have.
const ROWS: usize = 35;

/// As many roundings of the whole sum as the bound of `docs/numerics.md` has, without the 5 that the tolerance of
/// sums has of its own: a block of 32 adds 16 products to each of two sums, then both to each other and to the whole.
fn terms(depth: usize) -> usize {
    depth.min(32).div_ceil(2) + depth.div_ceil(32) + 1 - 5
}

/// The very products of rounded numbers, and a row by itself is what it is among others.
#[test]
fn projections_are_those_of_rounded_numbers() {
    let Some([_, kernels]) = pair() else { return };
    for kind in [RNN, LSTM, GRU_AFTER] {
        for depth in [16, 31, 32, 33, 70] {
            for size in [1, 17, 33, 50] {
                let product = Product::new(depth, kind.gates().len() * size, ROWS);
                let exact = product.input.clone();
                let mut product = product.in_bf16();
                in_bf16(&mut product.input);
                let layer = Projection::of(kernels, kind, product, size);
                let input = View::time_major(&exact, [1, ROWS, depth]);
                check_projection(&layer, kernels, input, terms(depth));
            }
        }
    }
}

/// A layer whose weights, inputs and states are bf16 already, so that the reference knows what is multiplied. Of a
/// GRU that resets first r h is multiplied: gates that are wide open leave h as it is.
fn in_bf16_throughout(kind: Cell, shape: [usize; 4], seed: u64) -> Layer {
    let mut layer = random(kind, shape, seed);
    if kind == GRU_BEFORE {
        let units = layer.hidden_size;
        layer.bias.as_mut().expect("a bias")[units..2 * units].fill(40.0);
    }
    let mut layer = layer.in_bf16();
    in_bf16(&mut layer.input);
    in_bf16(&mut layer.hidden);
    layer
}

#[test]
fn steps_are_right() {
    let Some([_, kernels]) = pair() else { return };
    for (seed, kind) in (1..).zip([RNN, LSTM, GRU_AFTER, GRU_BEFORE]) {
        for shape in [[40, 65, 1, 3], [33, 70, 1, 1], [64, 96, 1, 18]] {
            let layer = in_bf16_throughout(kind, shape, seed);
            let what = format!("{kind:?} {shape:?}");
            let name = kernels.cell_name(&layer.packed(kernels));
            assert!(name.starts_with("recurrence-") && name.contains("-bf16-avx512amx-"), "{name}");
            with_unit(&what, || {
                check_steps(&layer, kernels).unwrap_or_else(|e| panic!("{what}: {e}"));
            });
        }
    }
}

#[test]
fn rows_and_cuts_change_no_bit() {
    let Some([_, kernels]) = pair() else { return };
    for (seed, kind) in (1..).zip([RNN, LSTM, GRU_AFTER, GRU_BEFORE]) {
        for shape in [[40, 65, 2, 3], [33, 70, 3, 1], [64, 96, 2, 18]] {
            let layer = random(kind, shape, seed);
            let judge = |checked: Result<(), _>| {
                checked.unwrap_or_else(|e| panic!("{kind:?} {shape:?}: {e}"));
            };
            judge(check_rows(&layer, kernels));
            judge(check_cut(&layer, kernels, 1));
        }
    }
    for layer in unit::with_extras(Precision::Bf16) {
        let judge =
            |checked: Result<(), _>| checked.unwrap_or_else(|e| panic!("{:?}: {e}", layer.kind));
        judge(check_rows(&layer, kernels));
        judge(check_cut(&layer, kernels, 1));
    }
    unit::check_shares(&random(LSTM, [40, 70, 2, 3], 3), kernels);
}

/// A diagonal is no matrix, and no unit does it.
#[test]
fn names_are_those_of_what_is_done() {
    let Some([_, kernels]) = pair() else { return };
    let name = |precision| {
        let layers = unit::with_extras(precision);
        kernels.cell_name(&layers.last().expect("layers").packed(kernels))
    };
    let of_tanh = "recurrence-rnn_tanh";
    let expected = format!("projection-bf16-avx512amx-16x48, {of_tanh}-bf16-avx512-general");
    assert_eq!(name(Precision::Bf16), expected);
    let expected = format!("projection-f32split-avx512amx-16x48, {of_tanh}-f32-avx512-general");
    assert_eq!(name(Precision::F32Split), expected);
}

/// What an f32 may be and a bf16 may not, and numbers that the unit takes as zero.
#[test]
fn numbers_at_the_limits() {
    let Some([_, kernels]) = pair() else { return };
    let (depth, size, rows) = (40, 5, 3);
    let project = |kernels: &Kernels, [input, weight]: [f32; 2]| {
        let mut product = Product::new(depth, 4 * size, rows).in_bf16();
        product.bias.fill(0.0);
        product.input.fill(input);
        product.weights.fill(weight);
        let layer = Projection::of(kernels, LSTM, product, size);
        let input = View::time_major(&layer.product.input, [1, rows, depth]);
        layer.in_order(&layer.run(kernels, input))
    };
    let largest = f32::from_bits(0x7f7f_0000);
    for (factors, expected) in [
        ([f32::MAX, 1.0 / 64.0], 40.0 / 64.0 * largest),
        ([f32::MIN, -1.0 / 64.0], 40.0 / 64.0 * largest),
        ([1.0 / 64.0, f32::MAX], 40.0 / 64.0 * largest),
        ([f32::MAX, 1.0], f32::INFINITY),
        ([1.0 + 1.0 / 256.0, 1.0], 40.0),
        ([1.0 + 3.0 / 256.0, 1.0], 40.0 * (1.0 + 4.0 / 256.0)),
        ([1e-39, 1e10], 0.0),
    ] {
        let found = project(kernels, factors);
        assert!(found.iter().all(|&sum| sum == expected), "{factors:?}: {found:?}");
    }
}

/// Where h is only multiplied, a state is as good as its nearest bf16.
#[test]
fn states_are_rounded_to_the_nearest() {
    let Some([_, kernels]) = pair() else { return };
    for kind in [RNN, LSTM] {
        let layer = random(kind, [40, 70, 1, 5], 3);
        let mut rounded = layer.clone();
        in_bf16(&mut rounded.hidden);
        assert_ne!(rounded.hidden, layer.hidden, "{kind:?}");
        assert_eq!(rounded.run(kernels).bits(), layer.run(kernels).bits(), "{kind:?}");
    }
}

/// With latency as the aim, or few states, vectors do the steps; few inputs as well.
#[test]
fn shapes_and_the_aim_choose() {
    let Some([plain, kernels]) = pair() else { return };
    for (tune, size) in [(Tune::Latency, 70), (Tune::Throughput, 64)] {
        let layer = Layer { tune, ..random(LSTM, [40, size, 2, 3], 5) };
        let name = kernels.cell_name(&layer.packed(kernels));
        let (projection, recurrence) = name.split_once(", ").expect("two kernels");
        assert!(projection.starts_with("projection-bf16-avx512amx-16x64"), "{name}");
        assert!(recurrence.starts_with("recurrence-lstm-bf16-avx512-6x64"), "{name}");
        let name = plain.cell_name(&layer.packed(plain));
        assert!(name.starts_with("recurrence-lstm-bf16-avx512-6x64"), "{name}");
        check_rows(&layer, kernels).unwrap_or_else(|e| panic!("{tune} {size}: {e}"));
    }
    let layer = random(LSTM, [15, 70, 2, 3], 5);
    let name = kernels.cell_name(&layer.packed(kernels));
    assert!(
        name.starts_with("projection-bf16-avx512-6x64, recurrence-lstm-bf16-avx512amx-"),
        "{name}"
    );
    let layer = random(LSTM, [40, 70, 2, 3], 5);
    assert_eq!(costs(&layer, kernels), ([2, 2], [6, 6], 32));
    assert_eq!(costs(&layer, plain), ([2, 2], [0, 0], 1));
    let layer = Layer { tune: Tune::Latency, ..layer };
    assert_eq!(costs(&layer, kernels), ([2, 2], [6, 0], 1));
}

/// Numbers that are not finite stay in their rows, and weights in their units.
#[test]
fn what_is_not_finite_stays_where_it_is() {
    let Some([_, kernels]) = pair() else { return };
    let layer = random(LSTM, [40, 70, 1, 18], 9);
    let usual = layer.run(kernels).output;
    for number in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let mut odd = layer.clone();
        odd.input[17 * 40 + 3] = number;
        let found = odd.run(kernels).output;
        assert_eq!(bits(&found[..17 * 70]), bits(&usual[..17 * 70]), "{number}");
        let last = &found[17 * 70..];
        // Infinite gates are shut or wide open.
        assert!(last.iter().all(|h| h.is_nan() == number.is_nan()), "{number}: {last:?}");
    }
    let mut odd = layer.clone();
    odd.input_weights[3 * 40 + 5] = f32::NAN;
    odd.recurrent_weights[(70 + 9) * 70] = f32::NAN;
    let found = odd.run(kernels).output;
    for (found, usual) in found.chunks(70).zip(usual.chunks(70)) {
        for unit in 0..70 {
            let same = found[unit].to_bits() == usual[unit].to_bits();
            assert_eq!(same, ![3, 9].contains(&unit), "unit {unit}");
            assert_eq!(found[unit].is_nan(), [3, 9].contains(&unit), "unit {unit}");
        }
    }
}

/// A bf16 is half of an f32, and so are all of them where sizes fill tiles.
#[test]
fn packed_weights_take_half_the_memory() {
    let Some([plain, kernels]) = pair() else { return };
    let layer = random(LSTM, [256, 256, 1, 1], 5);
    let whole = Layer { precision: Precision::F32, ..layer.clone() }.packed(plain).bytes();
    let bias = 2 * 4 * 4 * 256;
    assert_eq!(2 * (layer.packed(kernels).bytes() - bias), whole - bias);
}
