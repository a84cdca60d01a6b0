//! What must be true of a layer on any kernels.

use proptest::prelude::*;
use ritornello_kernels::{Isa, Kernels};
use ritornello_reference::{Rounding, State, widen};

use super::Layer;

/// Every step from the tested code's own state, within the derived tolerance.
pub(crate) fn check_steps(layer: &Layer, kernels: &Kernels) -> Result<(), TestCaseError> {
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
pub(crate) fn check_rows(layer: &Layer, kernels: &Kernels) -> Result<(), TestCaseError> {
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

/// A sequence in two pieces has the bits that it has whole.
pub(crate) fn check_cut(layer: &Layer, kernels: &Kernels, cut: usize) -> Result<(), TestCaseError> {
    let whole = layer.run(kernels);
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
    Ok(())
}
