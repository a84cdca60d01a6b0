//! A stream has the same bits however it is cut, and a row whatever stands beside it.

mod models;

use std::collections::HashMap;

use models::{
    Arrays, Case, Kind, batch_axis, bits, cases, cells, get, is_stateful, join, layer, named,
    noise, pick, recipes, run, time_axis,
};
use proptest::prelude::*;
use ritornello::model::{
    Activation, Cell, CellWeights, Direction, Element, Extent, Matrix, Merge, Op, Port, Recurrent,
    RecurrentWeights, Select, Shape, StateScope, Value,
};
use ritornello::{Array, Isa, Model, State};

/// Cuts a length into pieces, some of them empty.
fn pieces(length: usize, cuts: &[prop::sample::Index]) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(length + 1)).collect();
    ends.sort_unstable();
    ends.push(length);
    let mut start = 0;
    ends.into_iter().map(|end| (std::mem::replace(&mut start, end), end)).collect()
}

/// Outputs of consecutive pieces as those of the whole: sequences behind each other, of the rest
/// what the last piece gave.
fn joined(case: &Case, parts: &[Arrays]) -> Arrays {
    let outputs = case.model.outputs().iter().map(|output| {
        let each: Vec<&Array> = parts.iter().map(|part| get(part, &output.name)).collect();
        let array = match case.model.shape(output.value).unwrap() {
            Shape::Sequence { .. } => join(&each, time_axis(case.model.axes())),
            _ => each[each.len() - 1].clone(),
        };
        (output.name.clone(), array)
    });
    outputs.collect()
}

/// The pieces of a stream's only input.
fn stream_pieces(case: &Case, cuts: &[(usize, usize)]) -> Vec<Vec<f32>> {
    let piece =
        |&(start, end): &(usize, usize)| case.steps(start, end)[0].1.as_f32().unwrap().to_vec();
    cuts.iter().map(piece).collect()
}

fn output_shape(case: &Case) -> (bool, usize) {
    let shape = case.model.shape(case.model.outputs()[0].value).unwrap();
    (matches!(shape, Shape::Sequence { .. }), shape.features())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_stream_may_be_cut_anywhere(
        recipe in recipes(Kind::Stream),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        max_time in 1..10_usize,
    ) {
        let case = recipe.case();
        let cuts = pieces(case.time, &cuts);
        let steps: Vec<(usize, usize)> = (0..case.time).map(|t| (t, t + 1)).collect();
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let whole = case.run(isa);
            // In buffers for few steps the session cuts by itself.
            let mut session = plan.session(case.batch, max_time).unwrap();
            let at_once = run(&mut session, &case.inputs);
            prop_assert_eq!(bits(&at_once), bits(&whole), "buffers for {} on {}", max_time, isa);
            session.reset();
            prop_assert_eq!(&session.run(case.stream()).unwrap()[..], whole[0].1.as_f32().unwrap());

            for (cuts, single) in [(&cuts, false), (&steps, true)] {
                session.reset();
                let mut outputs = Vec::new();
                for ((start, end), x) in cuts.iter().zip(stream_pieces(&case, cuts)) {
                    let (is_sequence, features) = output_shape(&case);
                    let time = if is_sequence { end - start } else { 1 };
                    let mut y = vec![f32::NAN; case.batch * time * features];
                    if single {
                        session.step(&x, &mut y).unwrap();
                    } else {
                        session.run_into(&x, &mut y).unwrap();
                    }
                    let mut shape = get(&whole, "y0").shape().to_vec();
                    if is_sequence {
                        shape[time_axis(case.model.axes())] = time;
                    }
                    outputs.push(vec![("y0".to_owned(), Array::new(&shape, y).unwrap())]);
                }
                if !outputs.is_empty() {
                    let parts = joined(&case, &outputs);
                    prop_assert_eq!(bits(&parts), bits(&whole), "{:?} on {}", cuts, isa);
                }
            }
        }
    }

    #[test]
    fn several_outputs_may_be_cut_and_states_carried_elsewhere(
        recipe in recipes(Kind::Causal),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        max_time in 1..10_usize,
    ) {
        let case = recipe.case();
        let cuts: Vec<_> =
            pieces(case.time, &cuts).into_iter().filter(|(start, end)| start < end).collect();
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let whole = case.run(isa);
            let mut stays = plan.session(case.batch, max_time).unwrap();
            let fresh = stays.state().unwrap();
            let (mut parts, mut moved_parts, mut state) = (Vec::new(), Vec::new(), fresh.clone());
            for &(start, end) in &cuts {
                let piece = case.steps(start, end);
                parts.push(run(&mut stays, &piece));
                // Another session for each piece, dirty from another run.
                let mut moves = plan.session(case.batch, case.time).unwrap();
                run(&mut moves, &case.inputs);
                moves.set_state(&state).unwrap();
                prop_assert_eq!(bits(moves.state().unwrap().arrays()), bits(state.arrays()));
                moved_parts.push(run(&mut moves, &piece));
                state = moves.state().unwrap();
            }
            prop_assert_eq!(bits(state.arrays()), bits(stays.state().unwrap().arrays()));
            if !parts.is_empty() {
                let [stayed, moved] = [&parts, &moved_parts].map(|parts| joined(&case, parts));
                prop_assert_eq!(bits(&stayed), bits(&whole), "{:?} on {}", &cuts, isa);
                prop_assert_eq!(bits(&moved), bits(&whole), "moved, {:?} on {}", &cuts, isa);
            }
            stays.reset();
            prop_assert_eq!(bits(stays.state().unwrap().arrays()), bits(fresh.arrays()));
            prop_assert_eq!(bits(&run(&mut stays, &case.inputs)), bits(&whole), "after reset");
        }
    }

    #[test]
    fn a_row_does_not_know_its_neighbours(
        recipe in recipes(Kind::Any),
        order in any::<u64>(),
    ) {
        let case = recipe.case();
        let mut next = noise(order);
        let mut keys: Vec<(f32, usize)> = (0..case.batch).map(|row| (next(), row)).collect();
        keys.sort_by(|a, b| a.0.total_cmp(&b.0));
        let order: Vec<usize> = keys.into_iter().map(|(_, row)| row).collect();
        let some = &order[..case.batch.div_ceil(2)];
        let alone: Vec<Vec<usize>> = (0..case.batch).map(|row| vec![row]).collect();
        let selections =
            [&order[..], some].into_iter().chain(alone.iter().map(|row| &row[..]));
        for isa in Isa::available() {
            let whole = case.run(isa);
            for rows in selections.clone() {
                let expected: Arrays = case
                    .model
                    .outputs()
                    .iter()
                    .zip(&whole)
                    .map(|(output, (name, array))| {
                        let shape = case.model.shape(output.value).unwrap();
                        (name.clone(), pick(array, batch_axis(shape, case.model.axes()), rows))
                    })
                    .collect();
                let found = case.rows(rows).run(isa);
                prop_assert_eq!(bits(&found), bits(&expected), "rows {:?} on {}", rows, isa);
            }
        }
    }

    /// What needs whole sequences starts afresh with every run, whatever ran before; but layers whose
    /// states are a session's go on from where they ended, wherever these states are brought.
    #[test]
    fn runs_of_whole_sequences_are_alike(recipe in recipes(Kind::Any)) {
        let case = recipe.case();
        prop_assume!(!case.model.is_causal());
        for isa in Isa::available() {
            let whole = case.run(isa);
            let plan = case.plan(isa);
            let mut session = plan.session(case.batch, case.time + 3).unwrap();
            for attempt in 0..3 {
                let found = run(&mut session, &case.inputs);
                prop_assert_eq!(bits(&found), bits(&whole), "run {} on {}", attempt, isa);
                if !is_stateful(&case.model) {
                    continue;
                }
                let mut other = plan.session(case.batch, case.time).unwrap();
                other.set_state(&session.state().unwrap()).unwrap();
                let [here, there] = [&mut session, &mut other].map(|s| run(s, &case.inputs));
                prop_assert_eq!(bits(&there), bits(&here), "carried on, {} on {}", attempt, isa);
                session.reset();
            }
        }
    }

    /// States that are inputs are taken anew with each call: whoever cuts hands them on.
    #[test]
    fn given_states_may_be_handed_on(
        cell in cells(),
        sizes in (1..9_usize, 1..40_usize),
        time in 0..8_usize,
        cut in any::<prop::sample::Index>(),
        seed in any::<u64>(),
    ) {
        let (input_size, hidden) = sizes;
        let mut graph = Model::graph();
        let x = graph.sequence("x", input_size);
        let mut given = vec![graph.states("h", 1, hidden)];
        if cell.has_cell_state() {
            given.push(graph.states("c", 1, hidden));
        }
        let layer = layer(cell, Direction::Forward, [input_size, hidden], seed);
        let values = graph.recurrent_from("r", layer, x, &given);
        graph.output("y", values.sequence);
        graph.output("last", values.last);
        graph.output("h", values.h_n);
        if cell.has_cell_state() {
            graph.output("c", values.c_n);
        }
        let batch = 3;
        let mut next = noise(seed);
        let mut array = |shape: &[usize]| {
            let count = shape.iter().product();
            Array::new(shape, (0..count).map(|_| next()).collect()).unwrap()
        };
        let inputs = [
            ("x", vec![batch, time, input_size]),
            ("h", vec![1, batch, hidden]),
            ("c", vec![1, batch, hidden]),
        ];
        let inputs = inputs[..1 + given.len()].iter();
        let inputs = inputs.map(|(name, shape)| ((*name).to_owned(), array(shape))).collect();
        let case = Case { model: graph.build().unwrap(), inputs, time, batch };
        let cut = cut.index(time + 1);
        for isa in Isa::available() {
            let whole = case.run(isa);
            let mut session = case.plan(isa).session(batch, 2).unwrap();
            let head = run(&mut session, &case.steps(0, cut));
            let mut rest = case.steps(cut, time);
            for (name, array) in &mut rest[1..] {
                *array = get(&head, name).clone();
            }
            let tail = run(&mut session, &rest);
            let parts = joined(&case, &[head, tail]);
            prop_assert_eq!(bits(&parts), bits(&whole), "cut at {} on {}", cut, isa);
        }
    }
}

#[test]
fn a_model_that_needs_whole_sequences_refuses_a_step() {
    let time = |op: Op| {
        let chain = Model::chain(3).then(op);
        chain.build().unwrap()
    };
    let mut both = layer(Cell::LSTM, Direction::Bidirectional, [3, 5], 1);
    both.merge = Merge::Sum;
    for (model, node) in [
        (Model::chain(3).recurrent(both).build().unwrap(), "lstm_0"),
        (time(Op::MeanOverTime), "mean_time_0"),
        (time(Op::MaxOverTime), "max_time_0"),
        (time(Op::Select(Select::Step(0))), "select_0"),
    ] {
        let plan = models::plan(&model, Isa::Portable);
        assert!(!plan.is_causal() && !model.is_causal());
        let mut session = plan.session(1, 4).unwrap();
        let error = session.step(&[0.0; 3], &mut [0.0; 5]).unwrap_err().to_string();
        for word in ["step", node, "whole sequence"] {
            assert!(error.contains(word), "{word} is not in: {error}");
        }
    }
}

/// A reverse layer with a session's state starts its second run from the end of the first.
#[test]
fn a_state_of_session_scope_goes_on() {
    let (batch, time) = (2, 5);
    for scope in [StateScope::Run, StateScope::Session] {
        let mut stateful = layer(Cell::LSTM, Direction::Bidirectional, [3, 7], 5);
        let given = stateful.clone();
        stateful.state_scope = scope;
        let plan_of = |layer: Recurrent, states: bool| {
            let mut graph = Model::graph();
            let x = graph.sequence("x", 3);
            let initial = if states {
                vec![graph.states("h", 2, 7), graph.states("c", 2, 7)]
            } else {
                Vec::new()
            };
            let values = graph.recurrent_from("r", layer, x, &initial);
            for (name, value) in [("y", values.sequence), ("h", values.h_n), ("c", values.c_n)] {
                graph.output(name, value);
            }
            models::plan(&graph.build().unwrap(), *Isa::available().last().unwrap())
        };
        let (stateful, given) = (plan_of(stateful, false), plan_of(given, true));
        let mut next = noise(3);
        let mut session = stateful.session(batch, time).unwrap();
        let zeros = Array::new(&[2, batch, 7], vec![0.0; 2 * batch * 7]).unwrap();
        let (mut h, mut c) = (zeros.clone(), zeros.clone());
        for call in 0..3 {
            let x = (0..batch * time * 3).map(|_| next()).collect();
            let x = Array::new(&[batch, time, 3], x).unwrap();
            let found = session.run_arrays(&[("x", &x)]).unwrap();
            let expected = given.run(&[("x", &x), ("h", &h), ("c", &c)]).unwrap();
            assert_eq!(bits(&found), bits(&expected), "call {call}, {scope:?}");
            if scope == StateScope::Session {
                (h, c) = (get(&found, "h").clone(), get(&found, "c").clone());
            }
        }
        session.reset();
        let x = Array::new(&[batch, 1, 3], vec![0.25; batch * 3]).unwrap();
        let found = session.run_arrays(&[("x", &x)]).unwrap();
        let expected = given.run(&[("x", &x), ("h", &zeros), ("c", &zeros)]).unwrap();
        assert_eq!(bits(&found), bits(&expected), "after reset, {scope:?}");
    }
}

/// An output may be shown under two names, and an input may be an output.
#[test]
fn values_may_be_shown_twice() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    let lstm = layer(Cell::LSTM, Direction::Forward, [3, 5], 3);
    let values = graph.recurrent("lstm", lstm, x);
    for (name, value) in [("a", values.sequence), ("b", values.sequence), ("same", x)] {
        graph.output(name, value);
    }
    let plan = models::plan(&graph.build().unwrap(), Isa::Portable);
    let mut next = noise(9);
    let x = Array::new(&[2, 5, 3], (0..30).map(|_| next()).collect()).unwrap();
    let mut session = plan.session(2, 2).unwrap();
    let found = session.run_arrays(&[("x", &x)]).unwrap();
    assert_eq!(get(&found, "a"), get(&found, "b"));
    assert_eq!(get(&found, "same"), &x);
}

/// A stream of a state only: nothing of its sequence is wanted, and it is carried all the same.
#[test]
fn a_layer_whose_sequence_nobody_wants_still_has_a_state() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    let lstm = layer(Cell::LSTM, Direction::Forward, [3, 5], 3);
    let values = graph.recurrent("lstm", lstm.clone(), x);
    graph.output("same", x);
    let unseen = graph.build().unwrap();
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    graph.recurrent("lstm", lstm, x);
    graph.output("c", values.c_n);
    let seen = graph.build().unwrap();
    let mut next = noise(9);
    let x = Array::new(&[2, 5, 3], (0..30).map(|_| next()).collect()).unwrap();
    let arrays = vec![("x".to_owned(), x)];
    let states: HashMap<bool, State> = [(false, unseen), (true, seen)]
        .into_iter()
        .map(|(is_seen, model)| {
            let mut session = models::plan(&model, Isa::Portable).session(2, 3).unwrap();
            session.run_arrays(&named(&arrays)).unwrap();
            (is_seen, session.state().unwrap())
        })
        .collect();
    assert_eq!(states[&false], states[&true]);
    assert!(states[&true].get("lstm.c").unwrap().as_f32().unwrap().iter().all(|&c| c != 0.0));
}

/// What is cut must not meet what is not: a sequence of fixed length beside one of free length.
#[test]
fn a_fixed_sequence_beside_a_free_one_is_run_or_refused() {
    for max_time in [2, 5] {
        let mut graph = Model::graph();
        let x = graph.sequence("x", 2);
        let fixed = Shape::Sequence { time: Extent::Fixed(5), features: 2 };
        let fixed = graph.input("f", fixed, Element::F32);
        let sum = graph.node("sum", Op::Add, &[x, fixed]);
        graph.output("y", sum);
        let plan = models::plan(&graph.build().unwrap(), Isa::Portable);
        let x = Array::new(&[1, 5, 2], (0..10_u8).map(f32::from).collect()).unwrap();
        let result = plan.session(1, max_time).unwrap().run_arrays(&[("x", &x), ("f", &x)]);
        match result {
            Ok(found) => {
                let doubled: Vec<f32> = (0..10_u8).map(|i| 2.0 * f32::from(i)).collect();
                assert_eq!(get(&found, "y").as_f32().unwrap(), doubled);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(max_time < 5 && error.contains("time") && error.contains('5'), "{error}");
            }
        }
    }
}

/// Weights of one row and one column, so that what a state means can be read.
#[test]
fn the_state_is_the_last_output() {
    let one = Matrix::new(1, 1, vec![1.0]).unwrap();
    let weights = CellWeights {
        input: one.clone(),
        recurrent: RecurrentWeights::Matrix(Matrix::new(1, 1, vec![10.0]).unwrap()),
        bias: None,
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    };
    let linear = Cell::simple_rnn(Activation::Linear);
    let digits = Recurrent::new(linear, Direction::Forward, vec![weights]).unwrap();
    let model = Model::chain(1).recurrent(digits).build().unwrap();
    assert_eq!(model.nodes()[0].name, "rnn_0");
    assert_eq!(model.outputs()[0].value, Value::Node { node: 0, port: Port::Main });
    for isa in Isa::available() {
        let mut session = models::plan(&model, isa).session(1, 2).unwrap();
        assert_eq!(session.run(&[1.0, 2.0, 3.0]).unwrap(), [1.0, 12.0, 123.0]);
        let state = session.state().unwrap();
        assert_eq!(state.get("rnn_0.h").unwrap().as_f32().unwrap(), [123.0]);
        assert_eq!(session.run(&[4.0]).unwrap(), [1234.0]);
        session.set_state(&state).unwrap();
        assert_eq!(session.run(&[5.0]).unwrap(), [1235.0]);
        session.reset();
        assert_eq!(session.run(&[6.0]).unwrap(), [6.0]);
    }
}
