//! Initial states that a model has learned: a stream starts from them and goes on, and `reset` brings
//! them back.

mod models;
mod refusal;

use models::{bits_of, get, layer, named, noise, plan};
use refusal::refused;
use ritornello::model::{
    Cell, Constant, Direction, MaskRule, Matrix, Merge, Model, Op, PadOutput, Recurrent, Select,
};
use ritornello::{Array, Isa, Plan, Session};

const FEATURES: usize = 3;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut next = noise(seed);
    (0..count).map(|_| next()).collect()
}

fn matrix(rows: usize, columns: usize, seed: u64) -> Matrix {
    Matrix::new(rows, columns, numbers(rows * columns, seed)).unwrap()
}

fn lstm() -> Recurrent {
    layer(Cell::LSTM, Direction::Forward, [FEATURES, 5], 7)
}

/// An LSTM whose states are `h` and `c`, learned or given.
fn model(learned: bool) -> Model {
    let mut graph = Model::graph();
    let x = graph.sequence("x", FEATURES);
    let states = if learned {
        let all = graph.constant("all", Constant::states(matrix(2, 5, 3)));
        [0, 1].map(|state| graph.select(&format!("s{state}"), Select::State(state), all))
    } else {
        [0, 1].map(|state| graph.vector(["h", "c"][state], 5))
    };
    let rnn = graph.recurrent_from("rnn", lstm(), x, &states);
    graph.output("y", rnn.sequence);
    graph.build().unwrap()
}

fn plans(model: &Model) -> impl Iterator<Item = Plan> {
    Isa::available().into_iter().map(|isa| plan(model, isa))
}

/// What a session with the same states as inputs gives.
fn expected(isa: Isa, x: &[f32], batch: usize) -> Vec<f32> {
    let states = matrix(2, 5, 3);
    let rows = |state: usize| {
        let rows = (0..batch).flat_map(|_| states.row(state).to_vec());
        Array::new(&[batch, 5], rows.collect()).unwrap()
    };
    let x = Array::new(&[batch, x.len() / FEATURES / batch, FEATURES], x.to_vec()).unwrap();
    let inputs = [("x".to_owned(), x), ("h".to_owned(), rows(0)), ("c".to_owned(), rows(1))];
    let outputs = plan(&model(false), isa).run(&named(&inputs)).unwrap();
    get(&outputs, "y").as_f32().unwrap().to_vec()
}

#[test]
fn a_stream_starts_from_learned_states_and_goes_on() {
    let model = model(true);
    assert!(model.is_causal());
    let (batch, time) = (3, 6);
    let x = numbers(batch * time * FEATURES, 1);
    for isa in Isa::available() {
        let plan = plan(&model, isa);
        let whole = expected(isa, &x, batch);
        let mut session = plan.session(batch, 4).unwrap();
        for _ in 0..2 {
            assert_eq!(bits_of(&session.run(&x).unwrap()), bits_of(&whole), "at once on {isa}");
            // Without a reset the sequence goes on.
            assert_ne!(session.run(&x).unwrap(), whole);
            session.reset();
        }
        let mut y = vec![0.0; batch * 5];
        for t in 0..time {
            let rows = (0..batch).flat_map(|row| &x[(row * time + t) * FEATURES..][..FEATURES]);
            session.step(&rows.copied().collect::<Vec<_>>(), &mut y).unwrap();
            for row in 0..batch {
                let (found, expected) = (&y[row * 5..][..5], &whole[(row * time + t) * 5..][..5]);
                assert_eq!(bits_of(found), bits_of(expected), "step {t} on {isa}");
            }
        }
    }
}

/// h and c of a row.
fn row_state(session: &Session, row: usize) -> [Vec<f32>; 2] {
    let state = session.row_state(row).unwrap();
    ["rnn.h", "rnn.c"].map(|name| state.get(name).unwrap().as_f32().unwrap().to_vec())
}

#[test]
fn the_states_of_a_fresh_session_and_of_a_row_without_steps_are_the_learned_ones() {
    let learned = matrix(2, 5, 3);
    let learned = [learned.row(0).to_vec(), learned.row(1).to_vec()];
    for plan in plans(&model(true)) {
        let mut session = plan.session(2, 4).unwrap();
        assert_eq!(row_state(&session, 0), learned);
        session.run_lengths(&numbers(2 * 4 * FEATURES, 2), &[4, 0]).unwrap();
        assert_ne!(row_state(&session, 0), learned);
        assert_eq!(row_state(&session, 1), learned);
        session.reset_row(0).unwrap();
        assert_eq!(row_state(&session, 0), learned);
    }
}

#[test]
fn a_stream_of_a_pool_joins_with_the_learned_states() {
    let model = model(true);
    for isa in Isa::available() {
        let mut pool = plan(&model, isa).stream_pool(1).unwrap();
        let x = numbers(4 * FEATURES, 5);
        let whole = expected(isa, &x, 1);
        let (mut y, mut z) = (vec![0.0; 5], vec![0.0; 10]);
        let first = pool.open().unwrap();
        pool.tick(&[first], &x[..FEATURES], &mut y).unwrap();
        assert_eq!(bits_of(&y), bits_of(&whole[..5]));
        // Another joins while the first goes on; more than there is room for at first.
        let others: Vec<_> = (0..20).map(|_| pool.open().unwrap()).collect();
        let two = [&x[FEATURES..2 * FEATURES], &x[..FEATURES]].concat();
        pool.tick(&[first, others[19]], &two, &mut z).unwrap();
        assert_eq!(bits_of(&z), bits_of(&[&whole[5..10], &whole[..5]].concat()));
        pool.reset(first).unwrap();
        pool.tick(&[first], &x[..FEATURES], &mut y).unwrap();
        assert_eq!(bits_of(&y), bits_of(&whole[..5]), "after a reset");
        pool.close(others[19]).unwrap();
        let again = pool.open().unwrap();
        pool.tick(&[again], &x[..FEATURES], &mut y).unwrap();
        assert_eq!(bits_of(&y), bits_of(&whole[..5]), "in a place that another had");
    }
}

/// A learned state is no output: before the first step that counts, `Hold` shows zeros.
#[test]
fn a_learned_state_is_not_shown_before_a_step_counts() {
    for (pad, shows) in [(PadOutput::Hold, false), (PadOutput::HoldState, true)] {
        let mut graph = Model::graph();
        let x = graph.sequence("x", FEATURES);
        let start = graph.constant("start", Constant::vector(numbers(5, 9)));
        let mut gru = layer(Cell::SIMPLE_RNN, Direction::Forward, [FEATURES, 5], 8);
        gru.pad_output = pad;
        let rnn = graph.recurrent_from("rnn", gru, x, &[start]);
        graph.output("y", rnn.sequence);
        for plan in plans(&graph.build().unwrap()) {
            let mut session = plan.session(1, 3).unwrap();
            for _ in 0..2 {
                let x = numbers(3 * FEATURES, 4);
                let y = session.run_masked(&x, &[false, true, true]).unwrap();
                let first = if shows { numbers(5, 9) } else { vec![0.0; 5] };
                assert_eq!(y[..5], first, "{pad:?}");
                assert!(y[5..].iter().all(|y| *y != 0.0));
                // The state of a stream that has seen nothing, carried elsewhere, is that yet.
                let fresh = plan.session(1, 3).unwrap().state().unwrap();
                session.set_state(&fresh).unwrap();
            }
        }
    }
}

/// Nor is it the last output of a stream of which the model's mask has counted no step yet, whether
/// a piece without steps comes behind or not.
#[test]
fn a_learned_state_is_not_the_last_output_before_a_step_counts() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", FEATURES);
    let mask = graph.mask("mask", MaskRule::AnyDiffers(0.0), x);
    let start = graph.constant("start", Constant::vector(numbers(5, 9)));
    let mut rnn = layer(Cell::SIMPLE_RNN, Direction::Forward, [FEATURES, 5], 8);
    rnn.pad_output = PadOutput::Hold;
    let rnn = graph.recurrent_from("rnn", rnn, x, &[start, mask]);
    graph.output("y", rnn.last);
    for plan in plans(&graph.build().unwrap()) {
        let mut session = plan.session(1, 3).unwrap();
        for x in [&[][..], &[0.0; 2 * FEATURES], &[]] {
            assert_eq!(session.run(x).unwrap(), [0.0; 5], "behind {} numbers", x.len());
        }
        let last = session.run(&numbers(3 * FEATURES, 4)).unwrap();
        assert!(last.iter().all(|y| *y != 0.0));
        assert_eq!(session.run(&[]).unwrap(), last);
    }
}

/// Both directions, and a layer that takes one state from a constant and the other from an input.
#[test]
fn directions_have_states_of_their_own_and_given_ones_are_taken_anew() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", FEATURES);
    let h = graph.constant("h", Constant::states(matrix(2, 4, 2)));
    let mut both = layer(Cell::SIMPLE_RNN, Direction::Bidirectional, [FEATURES, 4], 5);
    both.merge = Merge::Sum;
    let both = graph.recurrent_from("both", both, x, &[h]);
    graph.output("h_n", both.h_n);
    for plan in plans(&graph.build().unwrap()) {
        let mut session = plan.session(2, 3).unwrap();
        let x = numbers(2 * 3 * FEATURES, 6);
        let h_n = session.run_lengths(&x, &[3, 0]).unwrap(); // [directions, batch, hidden]
        let start = matrix(2, 4, 2);
        for direction in 0..2 {
            let row = |row: usize| &h_n[(direction * 2 + row) * 4..][..4];
            assert_eq!(row(1), start.row(direction));
            assert_ne!(row(0), start.row(direction));
        }
        // The layer needs whole sequences: every run starts afresh.
        assert_eq!(session.run_lengths(&x, &[3, 0]).unwrap(), h_n);
    }

    let mut graph = Model::graph();
    let x = graph.sequence("x", FEATURES);
    let h = graph.constant("h", Constant::vector(numbers(5, 2)));
    let c = graph.vector("c", 5);
    let rnn = graph.recurrent_from("rnn", lstm(), x, &[h, c]);
    graph.output("y", rnn.sequence);
    let x = Array::new(&[1, 2, FEATURES], numbers(2 * FEATURES, 3)).unwrap();
    let c = Array::new(&[1, 5], numbers(5, 4)).unwrap();
    for plan in plans(&graph.build().unwrap()) {
        let mut session = plan.session(1, 2).unwrap();
        let inputs = [("x", &x), ("c", &c)];
        let first = session.run_arrays(&inputs).unwrap();
        assert!(session.run_arrays(&inputs).unwrap() == first);
    }
}

/// Constants are operands like others, also where a learned state is made of them too.
#[test]
fn constants_are_operands_and_outputs() {
    let mut graph = Model::graph();
    let v = graph.vector("v", 4);
    let x = graph.sequence("x", FEATURES);
    let gain = graph.constant("gain", Constant::vector(numbers(4, 1)));
    let steps = graph.constant("steps", Constant::sequence(matrix(2, 4, 2)));
    let product = graph.node("product", Op::Multiply, &[v, gain]);
    let repeated = graph.node("repeated", Op::Repeat { steps: 2 }, &[v]);
    let moved = graph.node("moved", Op::Add, &[repeated, steps]);
    let gru = layer(Cell::SIMPLE_RNN, Direction::Forward, [FEATURES, 4], 8);
    let rnn = graph.recurrent_from("rnn", gru, x, &[gain]);
    for (name, value) in [("product", product), ("moved", moved), ("gain", gain), ("h", rnn.h_n)] {
        graph.output(name, value);
    }
    let model = graph.build().unwrap();
    assert_eq!(model.parameters(), 4 + 8 + model.nodes()[5].op.parameters());
    let (gain, steps) = (numbers(4, 1), matrix(2, 4, 2));
    let given = numbers(3 * 4, 5);
    let v = Array::new(&[3, 4], given.clone()).unwrap();
    let x = Array::new(&[3, 0, FEATURES], Vec::new()).unwrap();
    for plan in plans(&model) {
        let outputs = plan.run(&[("v", &v), ("x", &x)]).unwrap();
        for row in 0..3 {
            for i in 0..4 {
                let number = |name: &str, at: usize| get(&outputs, name).as_f32().unwrap()[at];
                let v = given[row * 4 + i];
                assert_eq!(number("product", row * 4 + i), v * gain[i]);
                assert_eq!(number("gain", row * 4 + i), gain[i]);
                assert_eq!(number("h", row * 4 + i), gain[i]);
                for t in 0..2 {
                    let at = (row * 2 + t) * 4 + i;
                    assert_eq!(number("moved", at), v + steps.row(t)[i]);
                }
            }
        }
    }
}

/// A mask, too, may be made of constants, and of nodes that nothing asks for.
#[test]
fn constants_that_nothing_asks_for_do_not_run() {
    let mut graph = Model::graph();
    let x = graph.vector("x", 2);
    let steps = graph.constant("steps", Constant::sequence(matrix(3, 2, 5)));
    let mask = graph.mask("mask", MaskRule::AnyDiffers(0.0), steps);
    graph.node("mean", Op::MeanOverTime, &[steps, mask]);
    graph.output("y", x);
    let model = graph.build().unwrap();
    for plan in plans(&model) {
        let x = Array::new(&[1, 2], vec![1.0, 2.0]).unwrap();
        let outputs = plan.run(&[("x", &x)]).unwrap();
        assert_eq!(get(&outputs, "y"), &x);
    }
}

#[test]
fn constants_that_do_not_fit_are_refused() {
    let build = |constant: Constant| {
        let mut graph = Model::graph();
        let x = graph.sequence("x", FEATURES);
        let h = graph.constant("h", constant);
        let rnn = graph.recurrent_from("rnn", lstm(), x, &[h, h]);
        graph.output("y", rnn.sequence);
        graph.build()
    };
    refused(build(Constant::vector(vec![0.0; 4])), &["rnn", "initial state", "hidden=5", "4]"]);
    refused(build(Constant::states(matrix(2, 5, 1))), &["rnn", "directions=1", "states=2"]);
    refused(build(Constant::vector(Vec::new())), &["h", "axes of length 1"]);
    let mut graph = Model::graph();
    let x = graph.vector("x", 2);
    let h = graph.node("h", Op::Constant(Constant::vector(vec![0.0; 2])), &[x]);
    graph.output("y", h);
    refused(graph.build(), &["h", "constant", "the inputs", "none"]);
}
