//! Weights of bf16, multiplied by vectors: the numbers are those of the same weights in f32, whatever the layer.

mod layer;
mod product;

use layer::{Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits, fused, layers, without_unit};
use product::{Projection, ROWS};
use proptest::prelude::*;
use ritornello_kernels::{Precision, View};
use ritornello_reference::Recurrence;

/// Packing rounds the weights, and nothing else is rounded.
fn check(layer: &Layer) -> Result<(), TestCaseError> {
    let asked = Layer { precision: Precision::Bf16, ..layer.clone() };
    let rounded = layer.clone().in_bf16();
    for kernels in without_unit() {
        let found = asked.run(kernels);
        prop_assert_eq!(found.bits(), rounded.run(kernels).bits(), "{}", kernels.isa());
        if fused(kernels) {
            let expected = Layer { precision: Precision::F32, ..rounded.clone() }.run(kernels);
            prop_assert_eq!(found.bits(), expected.bits(), "{}", kernels.isa());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layers_are_those_of_rounded_weights(layer in layers()) {
        check(&layer)?;
    }
}

/// Every number of chains, tiles of any height, panels in parts, odd and even dot products.
#[test]
fn shapes_of_every_kind_of_tile() {
    for (seed, kind) in (1..).zip([RNN, LSTM, GRU_AFTER, GRU_BEFORE]) {
        for size in [1, 2, 15, 16, 17, 33, 64, 65, 129, 257] {
            for batch in [1, 2, 3, 5, 6, 13] {
                let shape = [size + 3, size, 3, batch];
                let layer = Layer::random(kind, Extras::NONE, [true, true], shape, seed);
                check(&layer).unwrap_or_else(|e| panic!("{kind:?} {shape:?}: {e}"));
            }
        }
    }
}

/// Projections, on the portable level too: it sums as its dense layers do, whatever the size.
#[test]
fn projections_are_one_chain_from_the_bias() {
    for kind in [RNN, LSTM, GRU_AFTER] {
        for depth in [0, 1, 2, 7, 511, 512, 513, 1025] {
            for size in [1, 8, 9, 17, 33, 70] {
                for kernels in without_unit() {
                    let layer = Projection::in_bf16(kernels, kind, depth, size, ROWS);
                    let input = View::time_major(&layer.product.input, [1, ROWS, depth]);
                    let found = layer.in_order(&layer.run(kernels, input));
                    let chain = layer.product.chain(kernels, ROWS);
                    assert_eq!(bits(&found), bits(&chain), "the chain of {}", layer.what(kernels));
                }
            }
        }
    }
}

/// What an f32 may be and a bf16 may not.
#[test]
fn numbers_at_the_limits() {
    for kernels in without_unit() {
        let mut layer = Layer::random(LSTM, Extras::NONE, [true, true], [3, 9, 2, 2], 5);
        layer.precision = Precision::Bf16;
        layer.input.fill(0.0);
        layer.hidden.fill(0.0);
        let usual = layer.run(kernels);
        layer.input_weights[..3].copy_from_slice(&[f32::MAX, f32::MIN, 1e-40]);
        assert_eq!(layer.run(kernels).bits(), usual.bits(), "no weight became infinite");
        layer.input_weights[0] = f32::NAN;
        let found = layer.run(kernels);
        assert!(found.output[0].is_nan(), "NaN stays");
        assert_eq!(bits(&found.output[1..9]), bits(&usual.output[1..9]), "where it is");
    }
}

#[test]
fn packed_weights_take_half_the_memory() {
    for kernels in without_unit() {
        let layer = Layer::random(LSTM, Extras::NONE, [true, true], [256, 256, 1, 1], 5);
        let [whole, half] = [Precision::F32, Precision::Bf16]
            .map(|precision| Layer { precision, ..layer.clone() }.packed(kernels).bytes());
        let bias = 2 * 4 * 4 * 256;
        assert_eq!(2 * (half - bias), whole - bias, "on {}", kernels.isa());
    }
}

/// A diagonal is no matrix: it stays as it is.
#[test]
fn diagonals_stay() {
    let extras = Extras { recurrence: Recurrence::Diagonal, ..Extras::NONE };
    let mut layer = Layer::random(RNN, extras, [true, false], [3, 20, 4, 2], 9);
    layer.input_weights = layer.clone().in_bf16().input_weights;
    for kernels in without_unit() {
        let [f32, bf16] = [Precision::F32, Precision::Bf16]
            .map(|precision| Layer { precision, ..layer.clone() }.run(kernels).bits());
        assert_eq!(f32, bf16, "on {}", kernels.isa());
    }
}
