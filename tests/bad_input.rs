//! Every mistake of a caller of plans and sessions is an error that names what it is about, what was
//! expected and what was found; or a defined result. Nothing panics.

mod models;
mod refusal;

use models::{bits_of, get, layer, noise};
use refusal::{lstm, plan, refused, stream, zeros};
use ritornello::model::{
    Activation, Cell, CellWeights, Dense, Direction, Embedding, GruReset, Matrix, Op, Recurrent,
    RecurrentWeights, Select,
};
use ritornello::{Array, Error, Isa, Model, Plan, State};

/// `x` and the states `h` and `c` in, the sequence out.
fn with_states() -> Plan {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    let states = [graph.states("h", 1, 5), graph.vector("c", 5)];
    let values = graph.recurrent_from("encoder", lstm(), x, &states);
    graph.output("y", values.sequence);
    plan(&graph.build().unwrap())
}

#[test]
fn wrong_shapes_of_inputs_are_refused() {
    let plan = stream();
    for (shape, found) in [
        (&[2, 4, 5][..], "[2, 4, 5]"),
        (&[2, 3], "[2, 3]"),
        (&[1, 2, 4, 3], "[1, 2, 4, 3]"),
        (&[], "[]"),
    ] {
        refused(plan.run(&[("x", &zeros(shape))]), &["input 'x'", "features=3", found]);
    }
    let indices = Array::from_indices(&[2, 4, 3], vec![0; 24]).unwrap();
    refused(plan.run(&[("x", &indices)]), &["input 'x'", "real numbers", "indices"]);
    let mut session = plan.session(2, 4).unwrap();
    refused(
        session.run_arrays(&[("x", &zeros(&[3, 4, 3]))]),
        &["input 'x'", "batch 2", "[3, 4, 3]"],
    );
    refused(session.run(&[0.0; 7]), &["input 'x'", "batch 2", "multiple of 6", "7"]);
    refused(session.run_into(&[0.0; 12], &mut [0.0; 19]), &["output 'y'", "20 numbers", "19"]);
    refused(session.run_into(&[0.0; 12], &mut [0.0; 21]), &["output 'y'", "20 numbers", "21"]);
    refused(
        session.step(&[0.0; 12], &mut [0.0; 20]),
        &["step", "batch=2", "features=3", "6", "12"],
    );
    refused(session.step(&[0.0; 6], &mut [0.0; 9]), &["output 'y'", "10 numbers", "9"]);
    // After all of that it runs.
    assert_eq!(session.run(&[0.0; 6]).unwrap().len(), 10);
}

#[test]
fn missing_and_unknown_inputs_are_refused() {
    let plan = with_states();
    let (x, h, c) = (zeros(&[2, 4, 3]), zeros(&[1, 2, 5]), zeros(&[2, 5]));
    assert!(plan.run(&[("c", &c), ("x", &x), ("h", &h)]).is_ok(), "in any order");
    refused(plan.run(&[("x", &x), ("c", &c)]), &["input 'h'", "x, c"]);
    refused(plan.run(&[]), &["input 'x'", "none"]);
    let all = [("x", &x), ("h", &h), ("c", &c)];
    let four = [all[0], all[1], all[2], ("hh", &h)];
    refused(plan.run(&four), &["input", "'hh'", "x, h, c"]);
    refused(plan.session(2, 4).unwrap().run_arrays(&four), &["input", "'hh'", "x, h, c"]);
    refused(plan.session(2, 4).unwrap().run(&[0.0; 24]), &["3 inputs", "1 outputs", "run_arrays"]);
    let twice = [all[0], all[1], all[2], ("x", &x)];
    refused(plan.run(&twice), &["two inputs", "'x'"]);
}

#[test]
fn inputs_of_unlike_batch_are_refused() {
    let (x, h, c) = (zeros(&[2, 4, 3]), zeros(&[1, 3, 5]), zeros(&[2, 5]));
    let arrays = [("x", &x), ("h", &h), ("c", &c)];
    refused(with_states().run(&arrays), &["batch of input 'h'", "2", "3"]);
    let (h, c) = (zeros(&[2, 2, 5]), zeros(&[2, 5]));
    let arrays = [("x", &x), ("h", &h), ("c", &c)];
    refused(with_states().run(&arrays), &["input 'h'", "states=1", "[2, 2, 5]"]);
}

#[test]
fn sequences_of_unlike_time_cannot_be_combined() {
    for op in [Op::Add, Op::Multiply, Op::Concat] {
        let mut graph = Model::graph();
        let (a, b) = (graph.sequence("a", 3), graph.sequence("b", 3));
        let both = graph.node("both", op, &[a, b]);
        graph.output("y", both);
        let plan = plan(&graph.build().unwrap());
        let result = plan.run(&[("a", &zeros(&[1, 4, 3])), ("b", &zeros(&[1, 6, 3]))]);
        refused(result, &["both", "time", "4", "6"]);
    }
}

#[test]
fn steps_outside_a_sequence_are_refused() {
    for step in [4_isize, -5, isize::MAX, isize::MIN] {
        let select = Op::Select(Select::Step(step));
        let model = Model::chain(3).then(select.clone()).build().unwrap();
        let error = plan(&model).run(&[("x", &zeros(&[1, 4, 3]))]);
        refused(error, &["select_0", "time", &step.to_string(), "4"]);
        let mut graph = Model::graph();
        let v = graph.vector("v", 3);
        let four = graph.node("four", Op::Repeat { steps: 4 }, &[v]);
        let one = graph.node("one", select, &[four]);
        graph.output("y", one);
        refused(graph.build(), &["one", &format!("step {step}"), "time=4"]);
    }
    for step in [3_isize, -4] {
        let model = Model::chain(3).then(Op::Select(Select::Step(step))).build().unwrap();
        assert!(plan(&model).run(&[("x", &zeros(&[1, 4, 3]))]).is_ok());
    }
}

#[test]
fn indices_outside_a_table_are_refused() {
    let mut graph = Model::graph();
    let ids = graph.indices("ids");
    let table = Embedding::new(Matrix::new(5, 2, vec![0.5; 10]).unwrap());
    let rows = graph.embedding("words", table, ids);
    graph.output("y", rows);
    let plan = plan(&graph.build().unwrap());
    let run =
        |ids: Vec<i32>| plan.run(&[("ids", &Array::from_indices(&[1, ids.len()], ids).unwrap())]);
    assert!(run(vec![0, 4]).is_ok());
    for wrong in [5, -1, i32::MIN, i32::MAX] {
        refused(run(vec![0, wrong]), &["words", "index 1", "'ids'", "0 to 4", &wrong.to_string()]);
    }
    refused(plan.run(&[("ids", &zeros(&[1, 2]))]), &["input 'ids'", "indices", "real numbers"]);
    refused(plan.session(1, 2).unwrap().run(&[0.0; 2]), &["indices", "run_arrays"]);
}

#[test]
fn a_session_may_be_too_short_for_whole_sequences() {
    let both = layer(Cell::LSTM, Direction::Bidirectional, [3, 5], 1);
    let model = Model::chain(3).recurrent(both).build().unwrap();
    let mut session = plan(&model).session(1, 4).unwrap();
    assert!(session.run(&[0.0; 12]).is_ok());
    refused(session.run(&[0.0; 15]), &["time", "lstm_0", "at most 4", "5"]);
    let mut none = stream().session(1, 0).unwrap();
    refused(none.run(&[0.0; 3]), &["session", "at most 0", "1"]);
    assert!(none.run(&[]).is_ok());
}

#[test]
fn sessions_that_do_not_fit_in_memory_are_refused() {
    let plans = [stream(), with_states()];
    for plan in &plans {
        for (batch, time) in
            [(usize::MAX, 1), (1, usize::MAX), (usize::MAX, usize::MAX), (1 << 56, 4)]
        {
            refused(plan.session(batch, time), &["session", "batch", "memory"]);
        }
        // Asking for a size never panics, and the size is that of the product or the greatest.
        for shift in 0..usize::BITS {
            let large = 1_usize << shift;
            let bytes = plan.workspace_bytes(large, 4);
            assert!(bytes / large >= 5 || bytes == usize::MAX, "{bytes} for batch {large}");
            let _ = plan.workspace_bytes(4, large);
            let _ = plan.workspace_bytes(large, large);
        }
    }
}

#[test]
fn states_of_wrong_shape_or_name_are_refused() {
    let mut session = stream().session(2, 4).unwrap();
    session.run(&[0.5; 24]).unwrap();
    let good = session.state().unwrap();
    assert_eq!(good.get("lstm_0.h").unwrap().shape(), [1, 2, 5]);
    let with = |name: &str, array: Array| {
        let arrays = good.arrays().iter().cloned();
        let others = arrays.filter(|(known, _)| known != name);
        State::from_arrays(others.chain([(name.to_owned(), array)]).collect())
    };
    let shape = ["lstm_0.h", "[1, 2, 5]"];
    for wrong in [&[1, 2, 6][..], &[2, 2, 5], &[1, 3, 5], &[2, 5], &[]] {
        let found = format!("{wrong:?}");
        let result = session.set_state(&with("lstm_0.h", zeros(wrong)));
        refused(result, &[shape[0], shape[1], &found]);
    }
    let indices = Array::from_indices(&[1, 2, 5], vec![0; 10]).unwrap();
    refused(session.set_state(&with("lstm_0.h", indices)), &["lstm_0.h", "f32"]);
    let known = "lstm_0.h, lstm_0.c";
    refused(session.set_state(&with("gru_0.h", zeros(&[1, 2, 5]))), &["state", "'gru_0.h'", known]);
    let one = State::from_arrays(good.arrays()[..1].to_vec());
    refused(session.set_state(&one), &["'lstm_0.c'", "missing"]);
    refused(session.set_state(&State::from_arrays(Vec::new())), &["'lstm_0.h'", "missing"]);
    assert_eq!(session.state().unwrap(), good, "nothing was changed");
    assert!(session.set_state(&good).is_ok());
}

/// A NaN in a weight reaches what depends on it, and nothing else.
#[test]
fn weights_may_be_nan() {
    let mut dense = vec![0.5_f32; 12];
    dense[3] = f32::NAN; // output 1, input 0
    let dense = Dense::new(Matrix::new(4, 3, dense).unwrap(), None, Activation::Tanh).unwrap();
    let weights = |input_at: Option<usize>| {
        let mut input = vec![0.25; 20 * 3];
        let mut next = noise(2);
        let recurrent = (0..100).map(|_| next()).collect();
        if let Some(at) = input_at {
            input[at] = f32::NAN;
        }
        CellWeights {
            input: Matrix::new(20, 3, input).unwrap(),
            recurrent: RecurrentWeights::Matrix(Matrix::new(20, 5, recurrent).unwrap()),
            bias: None,
            recurrent_bias: None,
            peepholes: None,
            projection: None,
        }
    };
    let lstm = |at: Option<usize>| {
        let layer = Recurrent::new(Cell::LSTM, Direction::Forward, vec![weights(at)]).unwrap();
        Model::chain(3).recurrent(layer).build().unwrap()
    };
    for isa in Isa::available() {
        let plan = models::plan(&Model::chain(3).dense(dense.clone()).build().unwrap(), isa);
        let y = plan.session(1, 1).unwrap().run(&[1.0, 2.0, 3.0]).unwrap();
        let nan: Vec<bool> = y.iter().map(|y| y.is_nan()).collect();
        assert_eq!(nan, [false, true, false, false], "{isa}");

        // Unit 2 of the candidate: its own state in step 0, through U every unit in step 1.
        let unit = 2;
        let bad = models::plan(&lstm(Some((2 * 5 + unit) * 3)), isa);
        let y = bad.session(1, 2).unwrap().run(&[1.0; 6]).unwrap();
        let good = models::plan(&lstm(None), isa).session(1, 2).unwrap().run(&[1.0; 6]).unwrap();
        for (at, (y, good)) in y[..5].iter().zip(&good).enumerate() {
            let expected = if at == unit { f32::NAN } else { *good };
            assert_eq!(bits_of(&[*y]), bits_of(&[expected]), "unit {at} on {isa}");
        }
        assert!(y[5..].iter().all(|y| y.is_nan()), "{y:?} on {isa}");
    }
}

/// A NaN in one row of a batch stays in that row.
#[test]
fn inputs_may_be_nan() {
    let gru = layer(Cell::gru(GruReset::BeforeMatmul), Direction::Bidirectional, [3, 17], 3);
    let model = Model::chain(3).recurrent(gru).build().unwrap();
    for isa in Isa::available() {
        let plan = models::plan(&model, isa);
        let mut next = noise(4);
        let mut x: Vec<f32> = (0..5 * 4 * 3).map(|_| next()).collect();
        let good = plan.session(5, 4).unwrap().run(&x).unwrap();
        x[(2 * 4 + 1) * 3] = f32::NAN; // row 2, step 1
        let y = plan.session(5, 4).unwrap().run(&x).unwrap();
        let row = 4 * 34;
        for (at, (y, good)) in y.chunks(row).zip(good.chunks(row)).enumerate() {
            if at != 2 {
                assert_eq!(bits_of(y), bits_of(good), "row {at} on {isa}");
                continue;
            }
            for (t, step) in y.chunks(34).enumerate() {
                let nan = |units: &[f32]| units.iter().all(|y| y.is_nan());
                assert_eq!([nan(&step[..17]), nan(&step[17..])], [t >= 1, t <= 1], "step {t}");
            }
        }
    }
}

/// Errors say where they are, without being asked.
#[test]
fn errors_are_of_the_right_kind() {
    let shape = stream().run(&[("x", &zeros(&[2, 4, 5]))]).unwrap_err();
    assert!(matches!(shape, Error::Shape { .. }), "{shape:?}");
    let name = stream().run(&[("z", &zeros(&[2, 4, 3])), ("x", &zeros(&[2, 4, 3]))]).unwrap_err();
    assert!(matches!(name, Error::UnknownName { .. }), "{name:?}");
    let found = stream().run(&[("x", &zeros(&[2, 4, 3]))]).unwrap();
    assert_eq!(get(&found, "y").shape(), [2, 4, 5]);
}
