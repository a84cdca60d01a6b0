//! Weights of bytes: every number is what the definition gives, on every level.

mod layer;
mod product;

use layer::{
    Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, Outcome, RNN, bits, fused, layers, multiply_add,
};
use product::{Product, Projection, ROWS};
use proptest::prelude::*;
use ritornello_kernels::{Kernels, Precision, View};
use ritornello_reference::Recurrence;

/// Numbers as parts of 127 of the largest, and what a part is.
fn quantised(numbers: &[f32]) -> (f32, Vec<i64>) {
    let largest = numbers.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return (0.0, vec![0; numbers.len()]);
    }
    #[allow(clippy::cast_possible_truncation, reason = "at most 127")]
    let part = |x: &f32| (x * (127.0 / largest)).round_ties_even() as i64;
    (largest / 127.0, numbers.iter().map(part).collect())
}

/// `start + row · weights`
fn dot(kernels: &Kernels, row: &[f32], weights: &[f32], start: f32) -> f32 {
    let ((of_row, row), (of_weights, weights)) = (quantised(row), quantised(weights));
    let sum: i64 = row.iter().zip(&weights).map(|(a, b)| a * b).sum();
    multiply_add(kernels, sum as f32, of_row * of_weights, start)
}

#[test]
fn projections_are_what_is_defined() {
    for kind in [RNN, LSTM, GRU_AFTER] {
        for depth in [0, 1, 2, 3, 4, 5, 511, 512, 513, 1025] {
            for size in [1, 8, 9, 17, 33, 70] {
                let rows = kind.gates().len() * size;
                let product = || Product::new(depth, rows, ROWS).in_int8();
                let expected = product();
                for kernels in Kernels::available() {
                    let layer = Projection::of(kernels, kind, product(), size);
                    let input = View::time_major(&layer.product.input, [1, ROWS, depth]);
                    let found = layer.in_order(&layer.run(kernels, input));
                    let number = |(row, output): (usize, usize)| {
                        let weights = &expected.weights[output * depth..][..depth];
                        dot(kernels, expected.row(row), weights, expected.bias[output])
                    };
                    let places = (0..ROWS).flat_map(|row| (0..rows).map(move |o| (row, o)));
                    let expected: Vec<f32> = places.map(number).collect();
                    assert_eq!(bits(&found), bits(&expected), "{}", layer.what(kernels));
                }
            }
        }
    }
}

/// The steps of a layer of one row: products as they are defined, between them the f32 layer whose gates
/// have these sums and no weights.
fn expected(kernels: &Kernels, layer: &Layer) -> Outcome {
    let (size, depth) = (layer.hidden_size, layer.input_size);
    let gates = layer.kind.gates().len();
    let own_chain = if layer.kind == GRU_AFTER { 2 * size } else { gates * size };
    let at = |bias: &Option<Vec<f32>>, row: usize| bias.as_ref().map_or(0.0, |bias| bias[row]);
    let mut step = Layer {
        precision: Precision::F32,
        input_size: 1,
        input_weights: vec![0.0; gates * size],
        recurrent_weights: vec![0.0; gates * size * size],
        time: 1,
        input: vec![0.0],
        ..layer.clone()
    };
    let mut output = Vec::new();
    for input in layer.input.chunks(depth) {
        let (mut sums, mut apart) = (Vec::new(), vec![0.0; gates * size]);
        for (row, apart) in apart.iter_mut().enumerate() {
            let weights = &layer.input_weights[row * depth..][..depth];
            let recurrent = &layer.recurrent_weights[row * size..][..size];
            let (bias, own) = (at(&layer.bias, row), at(&layer.recurrent_bias, row));
            if row < own_chain {
                let projected = dot(kernels, input, weights, bias + own);
                sums.push(dot(kernels, &step.hidden, recurrent, projected));
            } else {
                sums.push(dot(kernels, input, weights, bias));
                *apart = dot(kernels, &step.hidden, recurrent, own);
            }
        }
        (step.bias, step.recurrent_bias) = (Some(sums), Some(apart));
        let found = step.run(kernels);
        output.extend(found.output);
        (step.hidden, step.cell) = (found.hidden, found.cell);
    }
    Outcome { output, hidden: step.hidden, cell: step.cell }
}

#[test]
fn steps_are_what_is_defined() {
    for (seed, kind) in (1..).zip([RNN, LSTM, GRU_AFTER]) {
        for size in [1, 2, 15, 16, 17, 33, 64, 65, 129] {
            let shape = [size + 3, size, 3, 1];
            let mut layer = Layer::random(kind, Extras::NONE, [true, true], shape, seed);
            layer.precision = Precision::Int8;
            for kernels in Kernels::available() {
                let found = layer.run(kernels).bits();
                let expected = expected(kernels, &layer).bits();
                assert_eq!(found, expected, "{kind:?} {shape:?} on {}", kernels.isa());
            }
        }
    }
}

/// Every row alone, and every level with fused multiply-add.
fn check(layer: &Layer) -> Result<(), TestCaseError> {
    let layer = Layer { precision: Precision::Int8, ..layer.clone() };
    let mut of_levels = Vec::new();
    for kernels in Kernels::available() {
        let whole = layer.run(kernels);
        let size = layer.state_size();
        for row in 0..layer.batch {
            let alone = layer.row(row).run(kernels);
            let steps = whole.output.chunks((layer.batch * size).max(1));
            let of_row: Vec<f32> =
                steps.flat_map(|step| step[row * size..][..size].to_vec()).collect();
            prop_assert_eq!(bits(&alone.output), bits(&of_row), "row {} on {}", row, kernels.isa());
        }
        if fused(kernels) {
            of_levels.push(whole.bits());
        }
    }
    prop_assert!(of_levels.windows(2).all(|pair| pair[0] == pair[1]), "levels");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batch_and_levels_change_no_bit(layer in layers()) {
        check(&layer)?;
    }
}

/// Tiles of any height, panels of any width.
#[test]
fn shapes_of_every_kind_of_tile() {
    for (seed, kind) in (1..).zip([RNN, LSTM, GRU_AFTER, GRU_BEFORE]) {
        for size in [1, 7, 16, 33, 65, 257] {
            for batch in [0, 1, 2, 3, 5, 6, 13] {
                let shape = [size + 3, size, 3, batch];
                let layer = Layer::random(kind, Extras::NONE, [true, true], shape, seed);
                check(&layer).unwrap_or_else(|e| panic!("{kind:?} {shape:?}: {e}"));
            }
        }
    }
}

/// An error of half a part of 127 in every number makes one of about 1 % in sums of many, and states follow.
#[test]
fn layers_are_near_those_of_f32() {
    let projected = Extras { projection: Some(40), ..Extras::NONE };
    let kinds = [RNN, LSTM, GRU_AFTER, GRU_BEFORE].map(|kind| (kind, Extras::NONE));
    for (kind, extras) in kinds.into_iter().chain([(LSTM, projected)]) {
        let layer = Layer::random(kind, extras, [true, true], [64, 96, 30, 4], 3);
        let asked = Layer { precision: Precision::Int8, ..layer.clone() };
        for kernels in Kernels::available() {
            let [exact, found] = [&layer, &asked].map(|layer| layer.run(kernels).output);
            let pairs = || exact.iter().zip(&found);
            let error: f32 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
            let size: f32 = pairs().map(|(a, _)| a.powi(2)).sum();
            let relative = (error / size).sqrt();
            assert!((1e-4..0.02).contains(&relative), "{kind:?} on {}: {relative}", kernels.isa());
        }
    }
}

/// Where a number of a row is not finite, that row is NaN and no other.
#[test]
fn rows_that_are_not_finite() {
    for kind in [RNN, LSTM, GRU_AFTER, GRU_BEFORE] {
        let mut layer = Layer::random(kind, Extras::NONE, [true, true], [5, 19, 2, 3], 5);
        layer.precision = Precision::Int8;
        for kernels in Kernels::available() {
            let usual = layer.run(kernels);
            for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut with = layer.clone();
                with.input[7] = number;
                let found = with.run(kernels);
                let rows = found.output.chunks(19).zip(usual.output.chunks(19)).enumerate();
                for (row, (found, usual)) in rows {
                    if row % 3 == 1 {
                        let what = format!("{kind:?}, {number} on {}", kernels.isa());
                        assert!(found.iter().all(|x| x.is_nan()), "{what}: {found:?}");
                    } else {
                        assert_eq!(bits(found), bits(usual), "row {row}");
                    }
                }
            }
        }
    }
}

/// The largest numbers, those too small to count, and none at all.
#[test]
fn numbers_at_the_limits() {
    for kernels in Kernels::available() {
        let mut layer = Layer::random(LSTM, Extras::NONE, [true, true], [3, 9, 2, 2], 5);
        layer.precision = Precision::Int8;
        layer.input.fill(0.0);
        layer.hidden.fill(0.0);
        let usual = layer.run(kernels);
        layer.input_weights[..3].copy_from_slice(&[f32::MAX, f32::MIN, 1e-40]);
        assert_eq!(layer.run(kernels).bits(), usual.bits(), "nothing times large weights");
        layer.input.fill(1e-40);
        assert_eq!(layer.run(kernels).bits(), usual.bits(), "too little to count");
        layer.input_weights[..3].fill(0.1);
        layer.input.fill(f32::MAX);
        let found = layer.run(kernels);
        assert!(found.output.iter().all(|x| x.is_finite()), "gates saturate: {found:?}");
        layer.input.fill(0.0);
        layer.input_weights[0] = f32::NAN;
        let found = layer.run(kernels);
        assert!(found.output[0].is_nan(), "NaN stays");
    }
}

#[test]
fn packed_weights_take_a_quarter_of_the_memory() {
    for kernels in Kernels::available() {
        let layer = Layer::random(LSTM, Extras::NONE, [true, true], [256, 256, 1, 1], 5);
        let [whole, quarter] = [Precision::F32, Precision::Int8]
            .map(|precision| Layer { precision, ..layer.clone() }.packed(kernels).bytes());
        // Of each output of both matrices: its bias, its scale, and what sums of shifted bytes start from.
        let each = 2 * 4 * 4 * 256;
        assert_eq!(4 * (quarter - 3 * each), whole - each, "on {}", kernels.isa());
    }
}

/// Sums of more products than an integer is sure to hold: the whole direction stays f32.
#[test]
fn too_many_inputs_stay_f32() {
    for kernels in Kernels::available() {
        let mut layer = Layer::random(RNN, Extras::NONE, [true, true], [(1 << 17) + 1, 3, 1, 2], 5);
        let exact = layer.run(kernels).bits();
        layer.precision = Precision::Int8;
        assert_eq!(layer.run(kernels).bits(), exact, "on {}", kernels.isa());
        assert!(kernels.cell_name(&layer.packed(kernels)).contains("-f32-"));
        layer = Layer::random(RNN, Extras::NONE, [true, true], [1 << 17, 3, 1, 2], 5);
        layer.input.fill(1.0);
        layer.input_weights.fill(0.5);
        layer.precision = Precision::Int8;
        assert!(layer.run(kernels).output.iter().all(|&h| h == 1.0), "the sum is not wrapped");
    }
}

/// A diagonal is no matrix: it stays as it is.
#[test]
fn diagonals_stay() {
    let extras = Extras { recurrence: Recurrence::Diagonal, ..Extras::NONE };
    let mut layer = Layer::random(RNN, extras, [true, false], [3, 20, 4, 2], 9);
    layer.input_weights.fill(0.0);
    for kernels in Kernels::available() {
        let [f32, int8] = [Precision::F32, Precision::Int8]
            .map(|precision| Layer { precision, ..layer.clone() }.run(kernels).bits());
        assert_eq!(f32, int8, "on {}", kernels.isa());
    }
}
