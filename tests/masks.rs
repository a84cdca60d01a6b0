//! A row of a batch with a mask has the bits that it has alone on its steps that count, one behind the
//! other, whatever is in its other steps.

mod models;
mod refusal;

use models::counted::{
    check_rows, first_steps, has_missing_steps, holes, lengths, mask, with_other_holes, words,
};
use models::{Kind, bits, bits_of, cases, cells, get, layer, named, noise, recipes};
use proptest::prelude::*;
use refusal::refused;
use ritornello::model::{
    Activation, Cell, Dense, Direction, MaskRule, Matrix, Op, OutputOrder, PadOutput, SequenceAxes,
};
use ritornello::{Array, Error, Isa, Mask, Model, PlanOptions, Threads};

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_row_has_the_bits_that_it_has_alone(recipe in recipes(Kind::Any), words in words()) {
        let case = recipe.case();
        let steps = holes(&case, &words);
        let mask = mask(&case, &steps);
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let found = plan.run_masked(&named(&case.inputs), &mask);
            if has_missing_steps(&case, &steps) {
                prop_assert!(found.is_err(), "a step that a row does not have");
                continue;
            }
            let found = found.unwrap();
            check_rows(&case, isa, &steps, &found)?;
            let others = with_other_holes(&case, &steps);
            let others = plan.run_masked(&named(&others), &mask).unwrap();
            prop_assert_eq!(bits(&others), bits(&found), "other holes on {}", isa);
        }
    }

    #[test]
    fn lengths_are_masks_without_holes(
        recipe in recipes(Kind::Any),
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let case = recipe.case();
        let lengths = lengths(&case, &places);
        let mask = mask(&case, &first_steps(&lengths));
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let by_mask = plan.run_masked(&named(&case.inputs), &mask);
            let by_lengths = plan.run_lengths(&named(&case.inputs), &lengths);
            let [by_mask, by_lengths] = [by_mask, by_lengths].map(|y| y.ok().map(|y| bits(&y)));
            prop_assert_eq!(by_mask, by_lengths, "on {}", isa);
        }
    }

    #[test]
    fn buffers_for_few_steps_change_nothing(
        recipe in recipes(Kind::Causal),
        words in words(),
        max_time in 1..10_usize,
    ) {
        let case = recipe.case();
        let mask = mask(&case, &holes(&case, &words));
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let whole = plan.run_masked(&named(&case.inputs), &mask).unwrap();
            let mut session = plan.session(case.batch, max_time).unwrap();
            let cut = session.run_arrays_masked(&named(&case.inputs), &mask).unwrap();
            prop_assert_eq!(bits(&cut), bits(&whole), "buffers for {} on {}", max_time, isa);
        }
    }

    /// Rows of a session go on where their own last steps ended.
    #[test]
    fn streams_of_a_batch_pass_over_their_own_holes(
        cell in cells(),
        seed in any::<u64>(),
        masks in prop::collection::vec(any::<[bool; 15]>(), 2),
    ) {
        let (batch, time, features, hidden) = (3, 5, 4, 9);
        let layer = layer(cell, Direction::Forward, [features, hidden], seed);
        let model = Model::chain(features).recurrent(layer).build().unwrap();
        let mut next = noise(seed);
        let calls: Vec<(Vec<f32>, [bool; 15])> = masks
            .into_iter()
            .map(|mask| ((0..batch * time * features).map(|_| next()).collect(), mask))
            .collect();
        for isa in Isa::available() {
            let plan = model.plan(PlanOptions::default().isa(isa).threads(Threads::one())).unwrap();
            let mut session = plan.session(batch, time).unwrap();
            let (mut given, mut taken) = (vec![Vec::new(); batch], vec![Vec::new(); batch]);
            for (x, mask) in &calls {
                let mut y = vec![f32::NAN; batch * time * hidden];
                session.run_masked_into(x, mask, &mut y).unwrap();
                for place in (0..batch * time).filter(|&place| mask[place]) {
                    taken[place / time].extend_from_slice(&x[place * features..][..features]);
                    given[place / time].extend_from_slice(&y[place * hidden..][..hidden]);
                }
            }
            for row in 0..batch {
                let alone = plan.session(1, time).unwrap().run(&taken[row]).unwrap();
                prop_assert_eq!(bits_of(&given[row]), bits_of(&alone), "row {}", row);
            }
        }
    }
}

/// What a layer of one direction shows, from what it shows at the steps that count.
///
/// `y` is `[batch, time, size]`, `initial` what stands before the first step.
fn held(y: &[f32], case: [usize; 3], mask: &[bool], backwards: bool, initial: &[f32]) -> Vec<f32> {
    let [batch, time, size] = case;
    let mut all = y.to_vec();
    for row in 0..batch {
        let mut last = initial[row * size..][..size].to_vec();
        for step in 0..time {
            let step = if backwards { time - 1 - step } else { step };
            let place = row * time + step;
            let of_step = &mut all[place * size..][..size];
            if mask[place] {
                last.copy_from_slice(of_step);
            } else {
                of_step.copy_from_slice(&last);
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(cases(200))]

    /// Sequences, what a dense layer makes of them, and final states, from states that are given.
    #[test]
    fn a_layer_shows_what_it_says_where_nothing_counts(
        cell in cells(),
        seed in any::<u64>(),
        mask in any::<[bool; 15]>(),
        backwards in any::<bool>(),
        processing in any::<bool>(),
    ) {
        let [batch, time, features, size] = [3, 5, 4, 9];
        let direction = if backwards { Direction::Reverse } else { Direction::Forward };
        let mut next = noise(seed);
        let mut array = |shape: &[usize]| {
            let numbers = (0..shape.iter().product()).map(|_| next()).collect();
            Array::new(shape, numbers).unwrap()
        };
        let x = array(&[batch, time, features]);
        let states = [array(&[batch, size]), array(&[batch, size])];
        let weights = Matrix::new(2, size, array(&[2, size]).as_f32().unwrap().to_vec()).unwrap();
        let head = Dense::new(weights, Some(vec![0.5, -0.25]), Activation::Tanh).unwrap();
        let mask = Mask::new([batch, time], mask.to_vec()).unwrap();
        let run = |pad: PadOutput| {
            let mut layer = layer(cell, direction, [features, size], seed);
            layer.pad_output = pad;
            if backwards && processing {
                layer.order = OutputOrder::Processing;
            }
            let mut graph = Model::graph();
            let input = graph.sequence("x", features);
            let mut given = vec![("x", &x)];
            let mut initial = Vec::new();
            for (name, state) in ["h", "c"].into_iter().zip(&states) {
                if name == "h" || cell.has_cell_state() {
                    initial.push(graph.vector(name, size));
                    given.push((name, state));
                }
            }
            let values = graph.recurrent_from("layer", layer, input, &initial);
            let dense = graph.dense("head", head.clone(), values.sequence);
            graph.output("y", values.sequence);
            graph.output("head", dense);
            graph.output("h_n", values.h_n);
            let plan = graph.build().unwrap().plan(PlanOptions::default()).unwrap();
            plan.run_masked(&given, &mask).unwrap()
        };
        let zero = run(PadOutput::Zero);
        let y = get(&zero, "y").as_f32().unwrap();
        let places = (0..batch * time).filter(|&place| !mask.steps()[place]);
        let shown = places.flat_map(|place| y[place * size..][..size].to_vec());
        prop_assert!(shown.into_iter().all(|y| y.to_bits() == 0));
        let h = states[0].as_f32().unwrap();
        let backwards = backwards && !processing;
        for (pad, initial) in
            [(PadOutput::Hold, vec![0.0; batch * size]), (PadOutput::HoldState, h.to_vec())]
        {
            let found = run(pad);
            let shown = get(&found, "y");
            let expected = held(y, [batch, time, size], mask.steps(), backwards, &initial);
            prop_assert_eq!(bits_of(shown.as_f32().unwrap()), bits_of(&expected), "{:?}", pad);
            let mut graph = Model::graph();
            let input = graph.sequence("y", size);
            let dense = graph.dense("head", head.clone(), input);
            graph.output("head", dense);
            let alone = graph.build().unwrap().plan(PlanOptions::default()).unwrap();
            let alone = alone.run(&[("y", shown)]).unwrap();
            prop_assert_eq!(bits(&alone)[0].2.clone(), bits(&found)[1].2.clone(), "{:?}", pad);
        }
        // Rows without steps keep their states.
        let h_n = get(&zero, "h_n").as_f32().unwrap();
        for row in 0..batch {
            let same = bits_of(&h_n[row * size..][..size]) == bits_of(&h[row * size..][..size]);
            prop_assert_eq!(same, !mask.steps()[row * time..][..time].contains(&true));
        }
    }
}

/// Masked steps are written, and do not show what another call left in the memory.
#[test]
fn what_was_there_before_is_not_shown() {
    for direction in [Direction::Forward, Direction::Reverse, Direction::Bidirectional] {
        let mut graph = Model::graph();
        let x = graph.sequence("x", 2);
        let mask = graph.mask("mask", MaskRule::AnyDiffers(0.0), x);
        let layer = layer(Cell::LSTM, direction, [2, 3], 1);
        let weights = Matrix::new(1, layer.output_size(), vec![1.0; layer.output_size()]).unwrap();
        let head = Dense::new(weights, Some(vec![0.25]), Activation::Linear).unwrap();
        let values = graph.recurrent_masked("layer", layer, x, mask);
        let y = graph.dense("y", head, values.sequence);
        graph.output("y", y);
        let plan = graph.build().unwrap().plan(PlanOptions::default()).unwrap();
        let mut session = plan.session(1, 4).unwrap();
        let mut y = [f32::NAN; 4];
        session.run_into(&[0.5; 8], &mut y).unwrap();
        session.reset();
        session.run_into(&[0.5, 0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0], &mut y).unwrap();
        assert_eq!((y[1], y[3]), (0.25, 0.25), "{direction:?}: what dense makes of zeros");
        assert!(y[0] != 0.25 && y[2] != 0.25, "{direction:?}: {y:?}");
    }
}

/// Keras's rules for a mean: of the steps that count, and NaN where there is none.
#[test]
fn a_mean_is_of_the_steps_that_count() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 2);
    let mask = graph.mask("mask", MaskRule::AnyDiffers(-1.0), x);
    let masked = graph.node("masked", Op::Masked, &[x, mask]);
    let mean = graph.node("mean", Op::MeanOverTime, &[x, mask]);
    let largest = graph.node("largest", Op::MaxOverTime, &[masked]);
    for (name, value) in [("mask", mask), ("masked", masked), ("mean", mean), ("max", largest)] {
        graph.output(name, value);
    }
    let plan = graph.build().unwrap().plan(PlanOptions::default()).unwrap();
    let rows = [-4.0, -2.0, -1.0, -1.0, -1.0, -6.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0];
    let x = Array::new(&[2, 3, 2], rows.to_vec()).unwrap();
    let found = plan.run(&[("x", &x)]).unwrap();
    let numbers = |name: &str| get(&found, name).as_f32().unwrap().to_vec();
    assert_eq!(numbers("mask"), [1.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    let zeros = [0.0; 6];
    assert_eq!(numbers("masked"), [&[-4.0, -2.0, 0.0, 0.0, -1.0, -6.0], &zeros[..]].concat());
    assert_eq!(numbers("mean")[..2], [-2.5, -4.0]);
    assert!(numbers("mean")[2..].iter().all(|mean| mean.is_nan()));
    assert_eq!(numbers("max"), [0.0; 4]);
}

#[test]
fn wrong_masks_are_named() {
    let lstm = || layer(Cell::LSTM, Direction::Forward, [2, 3], 1);
    let model = Model::chain(2).recurrent(lstm()).build().unwrap();
    let plan = model.plan(PlanOptions::default()).unwrap();
    let mut session = plan.session(2, 4).unwrap();
    let x = [0.5; 16];
    let message = |result: Result<Vec<f32>, Error>| result.unwrap_err().to_string();
    let few = message(session.run_masked(&x, &[true; 7]));
    assert_eq!(few, "the mask is 7 values, expected [batch=2, time=4]");
    for y in [&mut [0.0; 23][..], &mut [0.0; 25]] {
        let found = y.len().to_string();
        let result = session.run_masked_into(&x, &[true; 8], y);
        refused(result, &["output 'y'", "24 numbers", &found]);
    }
    let y = session.run_masked(&x, &[[true; 4], [false; 4]].concat()).unwrap();
    assert!(y[12..].iter().all(|&y| y == 0.0) && y[..12].iter().all(|&y| y != 0.0));

    let x = Array::new(&[2, 4, 2], x.to_vec()).unwrap();
    let turned = Mask::new([4, 2], vec![true; 8]).unwrap();
    let wrong = session.run_arrays_masked(&[("x", &x)], &turned).unwrap_err().to_string();
    assert_eq!(wrong, "the mask is [4, 2], expected [batch=2, time=4]");
    let error = Mask::new([2, 4], vec![true; 7]).unwrap_err().to_string();
    assert!(error.contains("[2, 4]") && error.contains("8 values") && error.contains('7'));

    let mut graph = Model::graph();
    graph.axes(SequenceAxes::TimeBatch);
    let value = graph.sequence("x", 2);
    let values = graph.recurrent("lstm", lstm(), value);
    graph.output("y", values.sequence);
    let plan = graph.build().unwrap().plan(PlanOptions::default()).unwrap();
    let mask = Mask::new([2, 5], vec![true; 10]).unwrap();
    let wrong = plan.run_masked(&[("x", &x)], &mask).unwrap_err().to_string();
    assert_eq!(wrong, "the mask is [2, 5], expected [time=2, batch=4]");
}

#[test]
fn a_mask_is_of_sequences_of_one_length() {
    let mut graph = Model::graph();
    for (name, output) in [("a", "y"), ("b", "z")] {
        let x = graph.sequence(name, 2);
        graph.output(output, x);
    }
    let plan = graph.build().unwrap().plan(PlanOptions::default()).unwrap();
    let [a, b] = [3, 4].map(|time| Array::new(&[1, time, 2], vec![0.5; time * 2]).unwrap());
    let mask = Mask::new([1, 4], vec![true; 4]).unwrap();
    let wrong = plan.run_masked(&[("a", &a), ("b", &b)], &mask).unwrap_err().to_string();
    assert!(wrong.contains("all the same") && wrong.contains("[3, 4]"), "{wrong}");
}
