//! Projection and recurrence against the f64 reference, and the promises about bits.

mod layer;

use layer::{Extras, Layer, layers};
use proptest::prelude::*;
use ritornello_kernels::{Isa, Kernels};
use ritornello_reference::{Rounding, State, widen};

/// Every step from the tested code's own state, within the derived tolerance.
fn check_steps(layer: &Layer, kernels: &Kernels) -> Result<(), TestCaseError> {
    let reference = layer.reference();
    let rounding =
        if kernels.isa() == Isa::Portable { Rounding::Separate } else { Rounding::Fused };
    let mut now = layer.clone();
    for t in 0..layer.time {
        let step = now.steps(t, t + 1);
        let outcome = step.run(kernels);
        for row in 0..layer.batch {
            let one = step.row(row);
            let before = State::from_f32(&one.hidden, &one.cell);
            let expected = reference.step(&widen(&one.input), &before);
            let tolerance = reference.tolerance(&before, &expected, rounding);
            for (name, found, expected, bounds) in [
                ("h", &outcome.hidden, expected.state.hidden, tolerance.hidden),
                ("c", &outcome.cell, expected.state.cell, tolerance.cell),
            ] {
                for (unit, (expected, bound)) in expected.iter().zip(&bounds).enumerate() {
                    let found = f64::from(found[row * bounds.len() + unit]);
                    let error = (found - expected).abs();
                    prop_assert!(
                        error <= *bound,
                        "{}: {name}[{unit}] of row {row} after step {t} is {found}, expected \
                         {expected}: off by {error:e} of {bound:e}",
                        kernels.isa(),
                    );
                }
            }
        }
        now.hidden = outcome.hidden;
        now.cell = outcome.cell;
    }
    Ok(())
}

/// Every row of a batch has the bits that it has alone.
fn check_rows(layer: &Layer, kernels: &Kernels) -> Result<(), TestCaseError> {
    let whole = layer.run(kernels);
    let size = layer.state_size();
    for row in 0..layer.batch {
        let alone = layer.row(row).run(kernels);
        let in_batch: Vec<u32> = whole
            .output
            .chunks(size)
            .skip(row)
            .step_by(layer.batch)
            .flatten()
            .map(|x| x.to_bits())
            .collect();
        prop_assert_eq!(&alone.bits()[0], &in_batch, "row {} on {}", row, kernels.isa());
        let last: Vec<u32> =
            whole.hidden[row * size..][..size].iter().map(|x| x.to_bits()).collect();
        prop_assert_eq!(&alone.bits()[1], &last, "state {} on {}", row, kernels.isa());
    }
    Ok(())
}

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
            let whole = layer.run(kernels);
            let cut = cut.index(layer.time + 1);
            let head = layer.steps(0, cut).run(kernels);
            let tail = Layer {
                hidden: head.hidden.clone(),
                cell: head.cell.clone(),
                ..layer.steps(cut, layer.time)
            }
            .run(kernels);
            let mut joined = tail.clone();
            joined.output = [head.output, tail.output].concat();
            prop_assert_eq!(joined.bits(), whole.bits(), "cut at {} on {}", cut, kernels.isa());
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

/// Weights that an L2 does not hold, so that panels may lie in parts, times any number of rows.
#[test]
fn rows_of_large_layers_do_not_depend_on_their_neighbours() {
    use ritornello_kernels::{Activation, Cell, GruReset};
    let kinds = [
        (Cell::simple_rnn(Activation::Tanh), 370),
        (Cell::lstm(Activation::Tanh, Activation::Sigmoid), 187),
        (Cell::gru(GruReset::BeforeMatmul), 370),
    ];
    for (seed, (kind, hidden_size)) in (1..).zip(kinds) {
        for batch in [2, 3, 4, 5, 6, 7, 16] {
            let layer =
                Layer::random(kind, Extras::NONE, [true, true], [5, hidden_size, 2, batch], seed);
            for kernels in Kernels::available() {
                check_rows(&layer, kernels).unwrap_or_else(|e| panic!("{kind:?} {batch}: {e}"));
            }
        }
    }
}
