//! A row of a batch of different lengths has the bits that it has alone, whatever its padding holds.

mod models;

use models::{
    Arrays, Case, Kind, batch_axis, bits, bits_of, cases, cells, cut, get, holds, is_index, layer,
    named, noise, pick, recipes, time_axis,
};
use proptest::prelude::*;
use ritornello::model::{
    Cell, Direction, Element, Embedding, Extent, Matrix, Op, OutputOrder, Select, Shape,
};
use ritornello::{Array, Error, Isa, Model, PlanOptions, Threads};

/// A length of at most `time` for each row.
fn lengths(case: &Case, places: &[prop::sample::Index]) -> Vec<usize> {
    (0..case.batch).map(|row| places[row % places.len()].index(case.time + 1)).collect()
}

/// The inputs with something else where rows have ended: NaN, and an index that no table has.
fn with_other_padding(case: &Case, lengths: &[usize]) -> Arrays {
    let axes = case.model.axes();
    let inputs = case.model.inputs().iter().zip(&case.inputs);
    let each = inputs.map(|(input, (name, array))| {
        let Shape::Sequence { time: Extent::Input(_), .. } = input.shape else {
            return (name.clone(), array.clone());
        };
        let shape = array.shape().to_vec();
        let inner = if is_index(input) { 1 } else { shape[2] };
        let is_padding = |place: usize| {
            let at = [place / inner / shape[1], place / inner % shape[1]];
            at[time_axis(axes)] >= lengths[at[batch_axis(input.shape, axes)]]
        };
        let array = match (array.as_f32(), array.as_indices()) {
            (Some(x), _) => {
                let x = x.iter().enumerate();
                Array::new(
                    &shape,
                    x.map(|(i, &x)| if is_padding(i) { f32::NAN } else { x }).collect(),
                )
            }
            (_, Some(x)) => {
                let x = x.iter().enumerate();
                Array::from_indices(
                    &shape,
                    x.map(|(i, &x)| if is_padding(i) { -7 } else { x }).collect(),
                )
            }
            _ => unreachable!("an array is of one kind"),
        };
        (name.clone(), array.unwrap())
    });
    each.collect()
}

/// Holds every row of `found` against its run alone at its own length.
fn check_rows(
    case: &Case,
    isa: Isa,
    lengths: &[usize],
    found: &Arrays,
) -> Result<(), TestCaseError> {
    let axes = case.model.axes();
    for (row, &length) in lengths.iter().enumerate() {
        let alone = Case { inputs: case.steps(0, length), time: length, ..case.clone() };
        let alone = alone.rows(&[row]).run(isa);
        for output in case.model.outputs() {
            let shape = case.model.shape(output.value).unwrap();
            let of_row = pick(get(found, &output.name), batch_axis(shape, axes), &[row]);
            let name =
                format!("'{}' of row {row}, {length} of {}, on {isa}", output.name, case.time);
            let of_row = match shape {
                Shape::Sequence { time: Extent::Input(_), .. } => {
                    let padding = cut(&of_row, time_axis(axes), length, case.time);
                    let zero = padding.as_f32().unwrap().iter().all(|&y| y.to_bits() == 0);
                    prop_assert!(zero || holds(&case.model), "the padding of {name}");
                    cut(&of_row, time_axis(axes), 0, length)
                }
                _ => of_row,
            };
            let (of_row, alone) = (of_row.as_f32().unwrap(), get(&alone, &output.name));
            let alone = alone.as_f32().unwrap();
            prop_assert_eq!(bits_of(of_row), bits_of(alone), "{}", name);
        }
    }
    Ok(())
}

/// Whether a model asks for steps that rows of these lengths do not have.
fn has_missing_steps(case: &Case, lengths: &[usize]) -> bool {
    case.model.nodes().iter().any(|node| match &node.op {
        Op::Select(Select::Step(step)) => {
            let free = matches!(
                case.model.shape(node.inputs[0]),
                Ok(Shape::Sequence { time: Extent::Input(_), .. })
            );
            let last = if *step < 0 { step.unsigned_abs() } else { step.unsigned_abs() + 1 };
            free && lengths.iter().any(|&length| length > 0 && length < last)
        }
        _ => false,
    })
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_row_has_the_bits_that_it_has_alone(
        recipe in recipes(Kind::Any),
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let case = recipe.case();
        let lengths = lengths(&case, &places);
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let found = plan.run_lengths(&named(&case.inputs), &lengths);
            if has_missing_steps(&case, &lengths) {
                prop_assert!(found.is_err(), "a step that a row does not have");
                continue;
            }
            let found = found.unwrap();
            check_rows(&case, isa, &lengths, &found)?;
            let padded = with_other_padding(&case, &lengths);
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

/// Layers that are large enough for several threads.
#[test]
fn threads_change_no_bit() {
    for (direction, order) in [
        (Direction::Bidirectional, OutputOrder::Time),
        (Direction::Reverse, OutputOrder::Processing),
        (Direction::Forward, OutputOrder::Time),
    ] {
        let (batch, time, features, hidden) = (9, 40, 48, 64);
        let mut first = layer(Cell::LSTM, direction, [features, hidden], 7);
        first.order = order;
        let width = first.output_size();
        let next = layer(Cell::LSTM, Direction::Forward, [width, hidden], 8);
        let model = Model::chain(features).recurrent(first).recurrent(next).build().unwrap();
        let mut noise = noise(9);
        let x: Vec<f32> = (0..batch * time * features).map(|_| noise()).collect();
        let lengths = [3, 40, 0, 17, 40, 1, 39, 22, 8];
        for isa in Isa::available() {
            let mut runs = [1, 2, 3].into_iter().map(|threads| {
                let options =
                    PlanOptions::default().isa(isa).threads(Threads::new(threads).unwrap());
                let mut session = model.plan(options).unwrap().session(batch, time).unwrap();
                bits_of(&session.run_lengths(&x, &lengths).unwrap())
            });
            let one = runs.next().unwrap();
            for (run, threads) in runs.zip(2..) {
                let differs = one.iter().zip(&run).position(|(a, b)| a != b);
                assert_eq!(differs, None, "{direction:?} on {isa}, {threads} threads");
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
    let message = |result: Result<Vec<f32>, Error>| result.unwrap_err().to_string();
    let few = message(session.run_lengths(&x, &[4]));
    assert!(few.contains("the lengths") && few.contains("2, one for each row"), "{few}");
    let long = message(session.run_lengths(&x, &[4, 5]));
    assert!(long.contains("the length of row 1") && long.contains("at most 4"), "{long}");
    let y = session.run_lengths(&x, &[4, 0]).unwrap();
    assert!(y[12..].iter().all(|&y| y == 0.0) && y[..12].iter().all(|&y| y != 0.0));
    let mut short = [0.0; 3];
    assert!(session.run_lengths_into(&x, &[1, 1], &mut short).is_err());
}
