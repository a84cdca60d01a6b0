//! Projection and recurrence against the f64 reference, and the promises about bits.

mod layer;

use layer::checks::{check_cut, check_rows, check_steps};
use layer::{Extras, Layer, layers};
use proptest::prelude::*;
use ritornello_kernels::{Isa, Kernels};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_step_is_right(layer in layers()) {
        for kernels in Kernels::available() {
            check_steps(&layer, kernels)?;
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours(layer in layers()) {
        for kernels in Kernels::available() {
            check_rows(&layer, kernels)?;
        }
    }

    #[test]
    fn a_sequence_may_be_cut_anywhere(layer in layers(), cut in any::<prop::sample::Index>()) {
        for kernels in Kernels::available() {
            check_cut(&layer, kernels, cut.index(layer.time + 1))?;
        }
    }

    #[test]
    fn levels_with_fused_multiply_add_agree_to_the_bit(layer in layers()) {
        let mut outcomes = Kernels::available()
            .into_iter()
            .filter(|kernels| kernels.isa() != Isa::Portable)
            .map(|kernels| (kernels.isa(), layer.run(kernels).bits()));
        if let Some((first, expected)) = outcomes.next() {
            for (isa, bits) in outcomes {
                prop_assert_eq!(&bits, &expected, "{} and {}", isa, first);
            }
        }
    }
}

/// Larger than the tiles and cache blocks: long dot products, many panels.
#[test]
fn large_layers_are_right() {
    use ritornello_kernels::{Activation, Cell, GruReset};
    let (activation, recurrent_activation) = (Activation::Tanh, Activation::Sigmoid);
    let kinds = [
        Cell::simple_rnn(activation),
        Cell::lstm(activation, recurrent_activation),
        Cell::gru(GruReset::BeforeMatmul),
        Cell::gru(GruReset::AfterMatmul),
    ];
    for (seed, kind) in (1..).zip(kinds) {
        for shape in [[1100, 70, 2, 3], [9, 300, 2, 1], [40, 130, 3, 17]] {
            let layer = Layer::random(kind, Extras::NONE, [true, true], shape, seed);
            for kernels in Kernels::available() {
                check_steps(&layer, kernels).unwrap_or_else(|e| panic!("{kind:?} {shape:?}: {e}"));
            }
        }
    }
}

/// Weights that an L2 does not hold, so that panels may lie in parts, and rows may go through some steps of them
/// before the next, times any number of rows.
#[test]
fn rows_of_large_layers_do_not_depend_on_their_neighbours() {
    use ritornello_kernels::{Activation, Cell, GruReset};
    let kinds = [
        (Cell::simple_rnn(Activation::Tanh), 370),
        (Cell::simple_rnn(Activation::Tanh), 560),
        (Cell::lstm(Activation::Tanh, Activation::Sigmoid), 187),
        (Cell::lstm(Activation::Tanh, Activation::Sigmoid), 275),
        (Cell::lstm(Activation::Tanh, Activation::Sigmoid), 320),
        (Cell::gru(GruReset::BeforeMatmul), 370),
        (Cell::gru(GruReset::BeforeMatmul), 550),
    ];
    for (seed, (kind, hidden_size)) in (1..).zip(kinds) {
        for batch in [2, 3, 4, 5, 6, 7, 8, 11, 16, 17] {
            let layer =
                Layer::random(kind, Extras::NONE, [true, true], [5, hidden_size, 2, batch], seed);
            for kernels in Kernels::available() {
                check_rows(&layer, kernels).unwrap_or_else(|e| panic!("{kind:?} {batch}: {e}"));
            }
        }
    }
}
