//! A row of a batch of different lengths has the bits that it has alone, whatever its padding holds.

mod models;
mod refusal;

use models::counted::{check_rows, first_steps, has_missing_steps, lengths, with_other_holes};
use models::{Kind, bits, bits_of, cases, cells, layer, named, noise, recipes};
use proptest::prelude::*;
use refusal::refused;
use ritornello::model::{Cell, Direction, Element, Embedding, Extent, Matrix, Shape};
use ritornello::{Array, Isa, Model, PlanOptions, Threads};

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_row_has_the_bits_that_it_has_alone(
        recipe in recipes(Kind::Any),
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let case = recipe.case();
        let lengths = lengths(&case, &places);
        let steps = first_steps(&lengths);
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let found = plan.run_lengths(&named(&case.inputs), &lengths);
            if has_missing_steps(&case, &steps) {
                prop_assert!(found.is_err(), "a step that a row does not have");
                continue;
            }
            let found = found.unwrap();
            check_rows(&case, isa, &steps, &found)?;
            let padded = with_other_holes(&case, &steps);
            let padded = plan.run_lengths(&named(&padded), &lengths).unwrap();
            prop_assert_eq!(bits(&padded), bits(&found), "other padding on {}", isa);
            let whole = vec![case.time; case.batch];
            let whole = plan.run_lengths(&named(&case.inputs), &whole);
            if let Ok(whole) = whole {
                prop_assert_eq!(bits(&whole), bits(&case.run(isa)), "full lengths on {}", isa);
            }
        }
    }

    #[test]
    fn buffers_for_few_steps_change_nothing(
        recipe in recipes(Kind::Causal),
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        max_time in 1..10_usize,
    ) {
        let case = recipe.case();
        let lengths = lengths(&case, &places);
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let whole = plan.run_lengths(&named(&case.inputs), &lengths).unwrap();
            let mut session = plan.session(case.batch, max_time).unwrap();
            let cut = session.run_arrays_lengths(&named(&case.inputs), &lengths).unwrap();
            prop_assert_eq!(bits(&cut), bits(&whole), "buffers for {} on {}", max_time, isa);
        }
    }

    /// Rows of a session go on where their own last steps ended.
    #[test]
    fn streams_of_a_batch_advance_by_their_own_lengths(
        cell in cells(),
        seed in any::<u64>(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 6),
    ) {
        let (batch, time, features, hidden) = (3, 5, 4, 9);
        let model = Model::chain(features).recurrent(layer(cell, Direction::Forward, [features, hidden], seed)).build().unwrap();
        let mut next = noise(seed);
        let calls: Vec<(Vec<f32>, Vec<usize>)> = places
            .chunks(batch)
            .map(|places| {
                let x = (0..batch * time * features).map(|_| next()).collect();
                (x, places.iter().map(|place| place.index(time + 1)).collect())
            })
            .collect();
        for isa in Isa::available() {
            let plan = model.plan(PlanOptions::default().isa(isa).threads(Threads::one())).unwrap();
            let mut session = plan.session(batch, time).unwrap();
            let mut given = vec![Vec::new(); batch];
            for (x, lengths) in &calls {
                let y = session.run_lengths(x, lengths).unwrap();
                for row in 0..batch {
                    given[row].extend_from_slice(&y[row * time * hidden..][..lengths[row] * hidden]);
                }
            }
            for row in 0..batch {
                let steps = calls.iter().flat_map(|(x, lengths)| {
                    x[row * time * features..][..lengths[row] * features].to_vec()
                });
                let x: Vec<f32> = steps.collect();
                let mut alone = plan.session(1, time).unwrap();
                prop_assert_eq!(bits_of(&given[row]), bits_of(&alone.run(&x).unwrap()), "row {}", row);
            }
        }
    }
}

/// Lengths are of sequences of free length: one of a fixed length beside them has no padding.
#[test]
fn a_wrong_index_in_a_sequence_of_fixed_length_is_named() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 2);
    let fixed = Shape::Sequence { time: Extent::Fixed(3), features: 1 };
    let words = graph.input("words", fixed, Element::Index);
    let table = Embedding::new(Matrix::new(2, 2, vec![0.5; 4]).unwrap());
    let words = graph.embedding("table", table, words);
    graph.output("x", x);
    graph.output("words", words);
    let plan = graph.build().unwrap().plan(PlanOptions::default()).unwrap();
    let x = Array::new(&[2, 4, 2], vec![0.5; 16]).unwrap();
    let words = Array::from_indices(&[2, 3], vec![0, 1, 0, 1, 0, 7]).unwrap();
    let wrong = plan.run_lengths(&[("x", &x), ("words", &words)], &[1, 2]).unwrap_err().to_string();
    assert!(wrong.contains("index 5 of input 'words'"), "{wrong}");
}

#[test]
fn wrong_lengths_are_named() {
    let model = Model::chain(2)
        .recurrent(layer(Cell::LSTM, Direction::Forward, [2, 3], 1))
        .build()
        .unwrap();
    let plan = model.plan(PlanOptions::default()).unwrap();
    let mut session = plan.session(2, 4).unwrap();
    let x = [0.5; 16];
    let expected = "2, one for each row of the batch";
    refused(session.run_lengths(&x, &[4]), &["the lengths", expected, "is 1"]);
    refused(session.run_lengths(&x, &[4, 1, 1]), &["the lengths", expected, "is 3"]);
    let result = session.run_lengths(&x, &[4, 5]);
    refused(result, &["the length of row 1", "at most 4, the time of the sequence", "is 5"]);
    let result = session.run_lengths(&x, &[usize::MAX, 5]);
    refused(result, &["the length of row 0", "at most 4", &usize::MAX.to_string()]);
    let y = session.run_lengths(&x, &[4, 0]).unwrap();
    assert!(y[12..].iter().all(|&y| y == 0.0) && y[..12].iter().all(|&y| y != 0.0));
    for y in [&mut [0.0; 23][..], &mut [0.0; 25]] {
        let found = y.len().to_string();
        let result = session.run_lengths_into(&x, &[1, 1], y);
        refused(result, &["output 'y'", "24 numbers", &found]);
    }
}
