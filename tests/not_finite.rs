//! NaN and infinity in a step that counts: they stay in their row, whether all steps of the others
//! count or some.

mod models;

use models::counted::{first_steps, has_missing_steps, holes, lengths, mask, with_in_step, words};
use models::{
    Arrays, Case, Kind, all_layers, batch_axis, bits, bits_of, cases, layer_with, named, noise,
    pick, plan, recipes,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ritornello::model::{Activation, Cell, Direction};
use ritornello::{Array, Isa, Model};

/// All outputs without one row.
fn others(case: &Case, found: &Arrays, row: usize) -> Arrays {
    let rows: Vec<usize> = (0..case.batch).filter(|&other| other != row).collect();
    let outputs = case.model.outputs().iter().zip(found).map(|(output, (name, array))| {
        let shape = case.model.shape(output.value).unwrap();
        (name.clone(), pick(array, batch_axis(shape, case.model.axes()), &rows))
    });
    outputs.collect()
}

fn odd() -> impl Strategy<Value = f32> {
    select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY])
}

/// A row with such a step leaves the others as they are, in any call that `run` makes.
fn check(
    case: &Case,
    place: [usize; 2],
    number: f32,
    run: impl Fn(&[(String, Array)]) -> Arrays,
) -> Result<(), TestCaseError> {
    let [good, bad] = [case.inputs.clone(), with_in_step(case, place, number)].map(|x| run(&x));
    let [good, bad] = [good, bad].map(|found| bits(&others(case, &found, place[0])));
    prop_assert_eq!(bad, good, "{} in {:?}", number, place);
    Ok(())
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn they_stay_in_their_row(
        recipe in recipes(Kind::Any),
        places in prop::collection::vec(any::<Index>(), 1..6),
        words in words(),
        at in any::<[Index; 2]>(),
        number in odd(),
    ) {
        let case = recipe.case();
        prop_assume!(case.batch > 1 && case.time > 0);
        let row = at[0].index(case.batch);
        let lengths = lengths(&case, &places);
        let (by_lengths, by_mask) = (first_steps(&lengths), holes(&case, &words));
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let all = [row, at[1].index(case.time)];
            check(&case, all, number, |x| plan.run(&named(x)).unwrap())?;
            if !by_lengths[row].is_empty() && !has_missing_steps(&case, &by_lengths) {
                let counted = [row, *at[1].get(&by_lengths[row])];
                check(&case, counted, number, |x| plan.run_lengths(&named(x), &lengths).unwrap())?;
            }
            if !by_mask[row].is_empty() && !has_missing_steps(&case, &by_mask) {
                let counted = [row, *at[1].get(&by_mask[row])];
                let mask = mask(&case, &by_mask);
                check(&case, counted, number, |x| plan.run_masked(&named(x), &mask).unwrap())?;
            }
        }
    }
}

/// Whether all activations are flat at both ends.
fn saturates(cell: Cell) -> bool {
    cell.activations().all(|a| matches!(a, Activation::Tanh | Activation::Sigmoid))
}

/// An infinite feature is one that is far beyond where all gates are at their ends.
#[test]
fn a_gate_that_gets_infinity_is_at_its_end() {
    let [batch, time, features, hidden] = [3, 5, 4, 19];
    let mut checked = 0;
    for (name, kind) in all_layers().into_iter().filter(|(_, (cell, _))| saturates(*cell)) {
        let layer = layer_with(kind, Direction::Bidirectional, [features, hidden], 5);
        let model = Model::chain(features).recurrent(layer).build().unwrap();
        for isa in Isa::available() {
            let mut session = plan(&model, isa).session(batch, time).unwrap();
            let mut next = noise(6);
            let x: Vec<f32> = (0..batch * time * features).map(|_| next()).collect();
            let mut run = |number: f32| {
                let mut x = x.clone();
                // Row 1, step 2, one feature: two would add up to NaN.
                x[(time + 2) * features + 1] = number;
                let mut y = session.run(&x).unwrap();
                session.run_into(&x, &mut y).unwrap();
                assert!(y.iter().all(|y| y.is_finite()), "{name} on {isa}");
                bits_of(&y)
            };
            for (infinite, large) in [(f32::INFINITY, 1e30), (f32::NEG_INFINITY, -1e30)] {
                assert_eq!(run(infinite), run(large), "{name} on {isa}: {infinite}");
            }
            assert_ne!(run(f32::INFINITY), run(f32::NEG_INFINITY), "{name} on {isa}");
        }
        checked += 1;
    }
    assert!(checked > 10, "{checked} kinds of layers");
}
