//! Products by a matrix unit at f32 accuracy. Where the CPU has no such unit, it is emulated.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod emulator;
mod layer;
mod product;
mod unit;

use layer::checks::{check_cut, check_rows, check_steps};
use layer::{GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits};
use product::{Product, Projection, check_dots};
use ritornello_kernels::{Cell, Precision, Tune, View};
use ritornello_reference::{Rounding, dot_tolerance};
use unit::{check_projection, costs, pair, with_unit};

fn random(kind: Cell, shape: [usize; 4], seed: u64) -> Layer {
    unit::random(Precision::F32Split, kind, shape, seed)
}

/// More rows than two tiles have.
const ROWS: usize = 35;

/// As many roundings of the whole sum as the bound of `docs/numerics.md` has: a block of 32 adds 16 products to each of
/// two sums, then both to each other and six times to the whole; what parts leave out is 8. Of these 9 the
/// tolerance of sums has 5 of its own.
fn terms(depth: usize) -> usize {
    depth.min(32).div_ceil(2) + 6 * depth.div_ceil(32) + 4
}

#[test]
fn projections_are_as_near_as_f32() {
    let Some([_, kernels]) = pair() else { return };
    for kind in [RNN, LSTM, GRU_AFTER] {
        for depth in [16, 31, 32, 33, 70] {
            for size in [1, 17, 33, 50] {
                let product = Product::new(depth, kind.gates().len() * size, ROWS);
                let layer = Projection::of(kernels, kind, product.in_split(), size);
                let input = View::time_major(&layer.product.input, [1, ROWS, depth]);
                check_projection(&layer, kernels, input, terms(depth));
            }
        }
    }
}

#[test]
fn panels_may_be_shared() {
    let Some([_, kernels]) = pair() else { return };
    unit::check_shares(&random(LSTM, [40, 70, 2, 3], 3), kernels);
}

#[test]
fn cells_with_more_than_gates_are_right() {
    let Some([_, kernels]) = pair() else { return };
    for layer in unit::with_extras(Precision::F32Split) {
        let what = format!("{:?}", layer.kind);
        with_unit(&what, || {
            let judge = |checked: Result<(), _>| checked.unwrap_or_else(|e| panic!("{what}: {e}"));
            judge(check_steps(&layer, kernels));
            judge(check_rows(&layer, kernels));
            judge(check_cut(&layer, kernels, 1));
        });
    }
}

#[test]
fn layers_are_right_and_their_rows_by_themselves() {
    let Some([_, kernels]) = pair() else { return };
    for (seed, kind) in (1..).zip([RNN, LSTM, GRU_AFTER, GRU_BEFORE]) {
        for shape in [[40, 65, 2, 3], [33, 70, 2, 1], [64, 96, 1, 18]] {
            let layer = random(kind, shape, seed);
            let what = format!("{kind:?} {shape:?}");
            let name = kernels.cell_name(&layer.packed(kernels));
            assert!(name.starts_with("recurrence-") && name.contains("-f32split-"), "{name}");
            with_unit(&what, || {
                let judge =
                    |checked: Result<(), _>| checked.unwrap_or_else(|e| panic!("{what}: {e}"));
                judge(check_steps(&layer, kernels));
                judge(check_rows(&layer, kernels));
                judge(check_cut(&layer, kernels, 1));
            });
        }
    }
}

/// With latency as the aim, or few states, steps are those of f32.
#[test]
fn steps_are_split_for_throughput_alone() {
    let Some([plain, kernels]) = pair() else { return };
    for (tune, size) in [(Tune::Latency, 70), (Tune::Throughput, 64)] {
        let layer = Layer { tune, ..random(LSTM, [40, size, 2, 3], 5) };
        let name = kernels.cell_name(&layer.packed(kernels));
        let (projection, recurrence) = name.split_once(", ").expect("two kernels");
        assert!(projection.starts_with("projection-f32split-avx512amx-16x64"), "{name}");
        assert!(recurrence.starts_with("recurrence-lstm-f32-avx512-"), "{name}");
        let name = plain.cell_name(&layer.packed(plain));
        assert!(name.starts_with("recurrence-lstm-f32-avx512-"), "{name}");
        check_rows(&layer, kernels).unwrap_or_else(|e| panic!("{tune} {size}: {e}"));
    }
    let layer = random(LSTM, [15, 70, 2, 3], 5);
    let name = kernels.cell_name(&layer.packed(kernels));
    assert!(name.starts_with("projection-f32-avx512-"), "{name}");
    assert!(!plain.has_matrix_unit() && kernels.has_matrix_unit());
    let layer = random(LSTM, [40, 70, 2, 3], 5);
    assert_eq!(costs(&layer, kernels), ([6, 6], [1, 1], 32));
    assert_eq!(costs(&layer, plain), ([4, 4], [0, 0], 1));
    let layer = Layer { tune: Tune::Latency, ..layer };
    assert_eq!(costs(&layer, kernels), ([6, 4], [1, 0], 1));
}

/// A row that is not finite is what it is in f32, and changes no other.
#[test]
fn rows_that_are_not_finite_are_those_of_f32() {
    let Some([plain, kernels]) = pair() else { return };
    let (depth, size, rows) = (40, 20, 19);
    let clean = Product::new(depth, 4 * size, rows);
    let project = |kernels, product| {
        let layer = Projection::of(kernels, LSTM, product, size);
        let input = View::time_major(&layer.product.input, [1, rows, depth]);
        let found = layer.run(kernels, input);
        let width = layer.packed.projection_width();
        found.chunks(width).map(|row| layer.in_order(row)).collect::<Vec<_>>()
    };
    let expected = project(kernels, clean.in_split());
    for number in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let odd = || {
            let mut product = Product::new(depth, 4 * size, rows);
            product.input[17 * depth + 3] = number;
            product
        };
        let found = project(kernels, odd().in_split());
        let in_f32 = project(plain, odd());
        for row in 0..rows {
            let expected = if row == 17 { &in_f32[row] } else { &expected[row] };
            let same =
                |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            assert!(found[row].iter().zip(expected).all(same), "{number}: row {row}");
        }
    }
}

#[test]
fn states_that_are_not_finite_are_those_of_f32() {
    let Some([plain, kernels]) = pair() else { return };
    for kind in [RNN, LSTM, GRU_AFTER, GRU_BEFORE] {
        // An input of zeros: the projection is the bias, in f32 as well.
        let mut layer = random(kind, [40, 70, 1, 3], 9);
        layer.input.fill(0.0);
        layer.hidden[70 + 5] = f32::INFINITY;
        let found = layer.row(1).run(kernels);
        assert_eq!(layer.run(kernels).output[70..140], found.output, "{kind:?}");
        let expected = Layer { precision: Precision::F32, ..layer.row(1) }.run(plain);
        assert_eq!(found.bits(), expected.bits(), "{kind:?}");
    }
}

/// Weights that have no parts are left as they are.
#[test]
fn weights_that_are_not_finite_are_those_of_f32() {
    let Some([plain, kernels]) = pair() else { return };
    // The last gate of a GRU that resets first is a matrix of its own.
    for kind in [LSTM, GRU_BEFORE] {
        let mut layer = random(kind, [40, 70, 2, 3], 11);
        *layer.input_weights.last_mut().expect("weights") = f32::INFINITY;
        *layer.recurrent_weights.last_mut().expect("weights") = f32::NEG_INFINITY;
        let expected = Layer { precision: Precision::F32, ..layer.clone() }.run(plain);
        let name = kernels.cell_name(&layer.packed(kernels));
        assert!(!name.contains("split"), "{name}");
        assert_eq!(layer.run(kernels).bits(), expected.bits(), "{kind:?}");
    }
}

#[test]
fn the_unit_can_be_measured() {
    let Some([plain, kernels]) = pair() else { return };
    assert_eq!(plain.calibrate().split_gflops, 0.0);
    let found = kernels.calibrate().split_gflops;
    assert!(found.is_finite() && found > 0.0, "{found}");
}

/// A product without a bias, of which inputs and weights are so many times those of others.
fn scaled(depth: usize, outputs: usize, rows: usize, [input, weights]: [f32; 2]) -> Product {
    let mut product = Product::new(depth, outputs, rows);
    product.bias.fill(0.0);
    product.input.iter_mut().for_each(|x| *x *= input);
    product.weights.iter_mut().for_each(|x| *x *= weights);
    product
}

/// Down to where the unit takes numbers as zero: each of six products for each of f32 may lose less than the smallest
/// normal number, times the other factor if that is more than 1, and so may each of twelve sums for each block.
#[test]
fn small_numbers_lose_no_more_than_is_said() {
    let Some([_, kernels]) = pair() else { return };
    let (size, rows) = (3, 2);
    for depth in [32_usize, 70] {
        for scales in [
            [1e-10, 1e-10],
            [1e-15, 1e-15],
            [1e-20, 1e-16],
            [1e-30, 1e-8],
            [1e-40, 1.0],
            [1e-40, 1e12],
        ] {
            let product = scaled(depth, 4 * size, rows, scales).in_split();
            let factors = product.input.iter().chain(&product.weights);
            let largest = f64::from(factors.fold(1.0_f32, |largest, x| largest.max(x.abs())));
            let losses = (6 * depth) as f64 * largest + (12 * depth.div_ceil(32)) as f64;
            let lost = losses * f64::from(f32::MIN_POSITIVE);
            let layer = Projection::of(kernels, LSTM, product, size);
            let input = View::time_major(&layer.product.input, [1, rows, depth]);
            let found = layer.in_order(&layer.run(kernels, input));
            for (found, dot) in found.into_iter().zip(layer.product.reference(rows)) {
                let allowed = dot_tolerance(dot, terms(depth), Rounding::Fused) + lost;
                let error = (f64::from(found) - dot.value).abs();
                assert!(
                    error <= allowed,
                    "{scales:?}: {found:e} is off by {error:e} of {allowed:e}"
                );
            }
        }
    }
}

/// Numbers that are too large for sums in any order are not split: none is infinite where f32 is not.
#[test]
fn large_numbers_are_those_of_f32() {
    let Some([plain, kernels]) = pair() else { return };
    let (depth, size, rows) = (40, 5, 3);
    let project = |kernels, product| {
        let layer = Projection::of(kernels, LSTM, product, size);
        let input = View::time_major(&layer.product.input, [1, rows, depth]);
        (kernels.cell_name(&layer.packed), bits(&layer.run(kernels, input)))
    };
    for (scales, split) in
        [([1e20, 1.0], true), ([f32::MAX / 2.0, 1.0], true), ([1.0, 1e30], false)]
    {
        let product = || scaled(depth, 4 * size, rows, scales);
        let (name, found) = project(kernels, product().in_split());
        assert_eq!(name.contains("projection-f32split-"), split, "{scales:?}: {name}");
        assert_eq!(found, project(plain, product()).1, "{scales:?}");
    }
    // The largest that are split: no sum is infinite.
    let product = scaled(depth, 4 * size, rows, [5e14, 5e14]).in_split();
    let layer = Projection::of(kernels, LSTM, product, size);
    let input = View::time_major(&layer.product.input, [1, rows, depth]);
    let found = layer.in_order(&layer.run(kernels, input));
    let what = layer.what(kernels);
    check_dots(&what, kernels, &found, &layer.product.reference(rows), terms(depth));
}

/// A block of 16 rows, or the part of one, has room for all of them.
#[test]
fn scratch_is_of_blocks_of_rows() {
    let Some([_, kernels]) = pair() else { return };
    let packed = random(LSTM, [40, 70, 1, 1], 1).packed(kernels);
    let of = |rows| packed.projection_scratch_len(rows);
    assert_eq!([of(0), of(16), of(17), of(160)], [0, of(1), 2 * of(1), 10 * of(1)]);
}
