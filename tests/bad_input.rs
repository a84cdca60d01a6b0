//! Every mistake of a caller is an error that names what it is about, what was expected and what
//! was found; or a defined result. Nothing panics.

mod models;

use std::process::Command;

use models::{bits_of, get, layer, noise};
use ritornello::model::{
    Activation, Cell, CellWeights, Dense, Direction, Element, Embedding, Extent, GruReset, Matrix,
    Op, Recurrent, RecurrentWeights, ScaleShift, Select, Shape,
};
use ritornello::{Array, Error, Isa, Model, Plan, PlanOptions, State, Threads, keras, pytorch};

/// Fails unless the result is an error whose message has all these words.
#[track_caller]
fn refused<T>(result: Result<T, impl ToString>, words: &[&str]) {
    let Err(error) = result else { panic!("accepted, where the error should say {words:?}") };
    let error = error.to_string();
    for word in words {
        assert!(error.contains(word), "'{word}' is not in: {error}");
    }
}

fn plan(model: &Model) -> Plan {
    models::plan(model, *Isa::available().last().unwrap())
}

fn zeros(shape: &[usize]) -> Array {
    Array::new(shape, vec![0.0; shape.iter().product()]).unwrap()
}

fn lstm() -> Recurrent {
    layer(Cell::LSTM, Direction::Forward, [3, 5], 1)
}

fn stream() -> Plan {
    plan(&Model::chain(3).recurrent(lstm()).build().unwrap())
}

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
fn arrays_have_as_many_numbers_as_they_say() {
    refused(Array::new(&[2, 3], vec![0.0; 5]), &["[2, 3]", "6 values", "5 values"]);
    refused(Array::from_indices(&[4], vec![0; 5]), &["[4]", "4 values", "5 values"]);
    refused(Array::new(&[usize::MAX, 2], Vec::new()), &["an array", "0 values"]);
    assert!(
        Array::new(&[usize::MAX, 0, 2], Vec::new()).is_err() || cfg!(target_pointer_width = "64")
    );
    refused(Matrix::new(2, 3, vec![0.0; 5]), &["a matrix", "2 × 3", "5"]);
    refused(Matrix::new(usize::MAX, 2, Vec::new()), &["a matrix", "0 values"]);
    refused(Matrix::from_transposed(2, 3, &[0.0; 5]), &["a matrix", "5"]);
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

#[test]
fn there_is_at_least_one_thread() {
    refused(Threads::new(0), &["threads", "at least 1", "0"]);
    assert_eq!(Threads::new(1).unwrap().count(), 1);
    assert_eq!(Threads::one().count(), 1);
}

/// The name of the test that plays the role of a program in an environment.
const PROGRAM: &str = "a_program_that_plans";

/// Does nothing unless a test below runs it in a process of its own.
#[test]
fn a_program_that_plans() {
    if std::env::var_os("PLAN_AND_SAY").is_none() {
        return;
    }
    let model = Model::chain(3).recurrent(lstm()).build().unwrap();
    match model.plan(PlanOptions::default()) {
        Ok(plan) => {
            let explanation = plan.explain();
            println!("planned: {} {}", explanation.isa, explanation.threads);
        }
        Err(error) => println!("refused: {error}"),
    }
}

#[test]
fn the_environment_is_checked() {
    let say = |variable: &str, value: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", PROGRAM, "--nocapture"])
            .env_remove("RITORNELLO_ISA")
            .env_remove("RITORNELLO_THREADS")
            .env("PLAN_AND_SAY", "1")
            .env(variable, value)
            .output()
            .unwrap();
        assert!(output.status.success(), "{variable}={value}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let expect = |(variable, value): (&str, &str), words: &[&str]| {
        let said = say(variable, value);
        assert!(words.iter().all(|word| said.contains(word)), "{words:?} are not in: {said}");
    };
    let levels = ["refused", "instruction set", "portable, avx2, avx512"];
    for unknown in ["sse9", "", "AVX2 ", "Portable"] {
        let name = format!("'{unknown}'");
        expect(("RITORNELLO_ISA", unknown), &[levels[0], levels[1], levels[2], &name]);
    }
    expect(("RITORNELLO_ISA", "portable"), &["planned: portable 1"]);
    for isa in Isa::missing() {
        expect(("RITORNELLO_ISA", isa.name()), &["refused", "this CPU has no", isa.name()]);
    }
    for wrong in ["0", "-1", "two", "", "1.5"] {
        let value = format!("'{wrong}'");
        expect(
            ("RITORNELLO_THREADS", wrong),
            &["refused", "RITORNELLO_THREADS", "positive number", &value],
        );
    }
    expect(("RITORNELLO_THREADS", "2"), &["planned:", " 2\n"]);
}

#[test]
fn levels_have_names() {
    refused("avx1024".parse::<Isa>(), &["'avx1024'", "portable, avx2, avx512"]);
    for isa in Isa::available().into_iter().chain(Isa::missing()) {
        assert_eq!(isa.name().parse::<Isa>().unwrap(), isa);
    }
    for isa in Isa::missing() {
        let model = Model::chain(3).recurrent(lstm()).build().unwrap();
        refused(model.plan(PlanOptions::default().isa(isa)), &["this CPU has no", isa.name()]);
    }
}

#[test]
fn names_are_given_once() {
    let build = |inputs: [&str; 2], nodes: [&str; 2], outputs: [&str; 2]| {
        let mut graph = Model::graph();
        let a = graph.sequence(inputs[0], 3);
        let b = graph.sequence(inputs[1], 3);
        let c = graph.activation(nodes[0], Activation::Tanh, a);
        let d = graph.activation(nodes[1], Activation::Tanh, b);
        graph.output(outputs[0], c);
        graph.output(outputs[1], d);
        graph.build()
    };
    assert!(build(["a", "b"], ["c", "d"], ["e", "f"]).is_ok());
    refused(build(["a", "a"], ["c", "d"], ["e", "f"]), &["two inputs", "'a'"]);
    refused(build(["a", "b"], ["c", "c"], ["e", "f"]), &["two nodes", "'c'"]);
    refused(build(["a", "b"], ["c", "d"], ["e", "e"]), &["two outputs", "'e'"]);
    refused(Model::graph().build(), &["outputs", "at least 1", "0"]);
}

#[test]
fn values_must_exist_and_fit() {
    let mut other = Model::graph();
    let x = other.sequence("x", 3);
    let stranger = other.activation("far", Activation::Tanh, x);
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    graph.output("y", stranger);
    refused(graph.clone().build(), &["value", "node 0", "x"]);
    let values = graph.recurrent("gru", layer(Cell::SIMPLE_RNN, Direction::Forward, [3, 2], 1), x);
    graph.output("c", values.c_n);
    refused(graph.build(), &["value", "gru.c_n"]);

    let node = |op: Op, features: usize| {
        let mut graph = Model::graph();
        let x = graph.sequence("x", features);
        let v = graph.vector("v", 2);
        let y = graph.node("here", op, &[x]);
        let z = graph.node("there", Op::Add, &[y, v]);
        graph.output("z", z);
        graph.build()
    };
    let dense = || {
        let weights = Matrix::new(2, 4, vec![0.0; 8]).unwrap();
        Op::Dense(Dense::new(weights, None, Activation::Linear).unwrap())
    };
    let affine = || Op::ScaleShift(ScaleShift::new(vec![1.0; 4], vec![0.0; 4]).unwrap());
    refused(node(dense(), 3), &["here", "dense", "4 features", "time, 3]"]);
    refused(node(affine(), 3), &["here", "scale_shift", "4 features", "time, 3]"]);
    refused(node(dense(), 4), &["there", "add", "of one kind", "time, 2]", "[batch, 2]"]);
    refused(node(Op::Recurrent(lstm()), 4), &["here", "lstm", "time, 3]", "time, 4]"]);
    refused(node(Op::Flatten, 3), &["here", "flatten", "fixed number of steps"]);
    refused(node(Op::Repeat { steps: 2 }, 3), &["here", "repeat", "[batch, features]"]);
    refused(node(Op::Stack, 3), &["here", "stack", "a state"]);
    let features = Op::Select(Select::Features { start: 1, end: 4 });
    refused(node(features, 3), &["here", "select", "Features", "time, 3]"]);
    refused(node(Op::Select(Select::State(0)), 3), &["here", "State(0)", "time, 3]"]);
    let table = Embedding::new(Matrix::new(5, 2, vec![0.0; 10]).unwrap());
    refused(node(Op::Embedding(table), 1), &["here", "'x'", "indices", "numbers"]);
    let mut graph = Model::graph();
    let v = graph.vector("v", 2);
    let none = graph.node("none", Op::Unroll { steps: 0 }, &[v]);
    graph.output("y", none);
    refused(graph.build(), &["none", "unroll", "steps", "at least 1"]);
    let mut graph = Model::graph();
    let empty = graph.sequence("x", 0);
    graph.output("y", empty);
    refused(graph.build(), &["input 'x'", "1 to", "0]"]);
    let mut graph = Model::graph();
    let other = Shape::Sequence { time: Extent::Input(3), features: 2 };
    let x = graph.input("x", other, Element::F32);
    graph.output("y", x);
    refused(graph.build(), &["input 'x'", "its own", "input 3"]);
    let mut graph = Model::graph();
    let ids = graph.indices("ids");
    graph.output("y", ids);
    refused(graph.build(), &["output 'y'", "indices"]);
}

#[test]
fn initial_states_must_fit() {
    let build = |directions: usize, hidden: usize, count: usize| {
        let mut graph = Model::graph();
        let x = graph.sequence("x", 3);
        let states: Vec<_> =
            (0..count).map(|i| graph.states(&format!("s{i}"), directions, hidden)).collect();
        let values = graph.recurrent_from("encoder", lstm(), x, &states);
        graph.output("y", values.sequence);
        graph.build()
    };
    assert!(build(1, 5, 2).is_ok());
    refused(build(1, 5, 1), &["encoder", "initial states", "h and c"]);
    refused(build(1, 5, 3), &["encoder", "initial states", "h and c"]);
    refused(build(2, 5, 2), &["encoder", "directions=1", "hidden=5", "states=2"]);
    refused(build(1, 4, 2), &["encoder", "hidden=5", "batch, 4]"]);
}

#[test]
fn weights_must_fit() {
    let weights = |rows: usize, input: usize, recurrent: [usize; 2], bias: usize| CellWeights {
        input: Matrix::new(rows, input, vec![0.0; rows * input]).unwrap(),
        recurrent: RecurrentWeights::Matrix(
            Matrix::new(recurrent[0], recurrent[1], vec![0.0; recurrent[0] * recurrent[1]])
                .unwrap(),
        ),
        bias: Some(vec![0.0; bias]),
        recurrent_bias: None,
    };
    let lstm = |weights| Recurrent::new(Cell::LSTM, Direction::Forward, vec![weights]);
    assert!(lstm(weights(20, 3, [20, 5], 20)).is_ok());
    refused(lstm(weights(19, 3, [20, 5], 20)), &["lstm", "input_weights", "4 gates", "19"]);
    refused(
        lstm(weights(20, 3, [20, 6], 20)),
        &["lstm", "recurrent_weights", "[20, 6]", "4×hidden=20", "hidden=5"],
    );
    refused(lstm(weights(20, 3, [20, 5], 5)), &["lstm", "bias", "4×hidden=20", "[5]"]);
    refused(
        Recurrent::new(Cell::LSTM, Direction::Bidirectional, vec![weights(20, 3, [20, 5], 20)]),
        &["lstm", "sets of weights", "Bidirectional", "2", "1"],
    );
    let both = vec![weights(20, 3, [20, 5], 20), weights(20, 4, [20, 5], 20)];
    refused(
        Recurrent::new(Cell::LSTM, Direction::Bidirectional, both),
        &["lstm (backward)", "input_weights", "input=3", "[20, 4]"],
    );
    let identity =
        CellWeights { recurrent: RecurrentWeights::Identity, ..weights(20, 3, [20, 5], 20) };
    refused(lstm(identity), &["lstm", "identity", "simple RNN"]);
    let matrix = || Matrix::new(2, 3, vec![0.0; 6]).unwrap();
    refused(
        Dense::new(matrix(), Some(vec![0.0; 3]), Activation::Linear),
        &["dense", "bias", "output=2", "[3]"],
    );
    refused(ScaleShift::new(vec![1.0; 2], vec![0.0; 3]), &["scale_shift", "[2]", "[3]"]);
    refused(
        ScaleShift::from_batch_norm(None, Some(&[0.0]), &[0.0; 2], &[1.0; 2], 1e-3),
        &["beta", "[2]", "[1]"],
    );
}

#[test]
fn activations_of_whole_rows_do_not_belong_in_cells() {
    for activation in [Activation::Softmax, Activation::LogSoftmax] {
        let gate = Activation::Sigmoid;
        for cell in [
            Cell::SimpleRnn { activation },
            Cell::Lstm { activation, recurrent_activation: gate },
            Cell::Lstm { activation: gate, recurrent_activation: activation },
            Cell::Gru { reset: GruReset::AfterMatmul, activation, recurrent_activation: gate },
        ] {
            let rows = cell.gates().len() * 2;
            let weights = CellWeights {
                input: Matrix::new(rows, 3, vec![0.0; rows * 3]).unwrap(),
                recurrent: RecurrentWeights::Matrix(
                    Matrix::new(rows, 2, vec![0.0; rows * 2]).unwrap(),
                ),
                bias: None,
                recurrent_bias: None,
            };
            let result = Recurrent::new(cell, Direction::Forward, vec![weights]);
            refused(result, &[activation.name(), cell.name(), "after the layer"]);
        }
    }
}

#[test]
fn arrays_of_other_frameworks_must_fit() {
    let (kernel, recurrent, bias) = (zeros(&[3, 8]), zeros(&[2, 8]), zeros(&[8]));
    assert!(keras::lstm(&[kernel.clone(), recurrent.clone(), bias.clone()]).is_ok());
    refused(keras::lstm(std::slice::from_ref(&kernel)), &["lstm", "3 (kernel", "1 [3, 8]"]);
    refused(keras::lstm(&[zeros(&[3, 6]), recurrent.clone()]), &["kernel", "8", "6"]);
    refused(
        keras::lstm(&[kernel.clone(), zeros(&[2, 6]), bias.clone()]),
        &["recurrent_kernel", "6"],
    );
    refused(keras::lstm(&[kernel.clone(), recurrent.clone(), zeros(&[2, 8])]), &["bias", "[2, 8]"]);
    refused(keras::gru(&[zeros(&[3, 6]), zeros(&[2, 6]), zeros(&[3, 6])]), &["bias"]);
    refused(keras::simple_rnn(&[kernel, recurrent]), &["'kernel'", "hidden=2", "[3, 8]"]);
    refused(keras::dense(&[], Activation::Linear), &["dense", "2 (kernel, bias)", "0"]);
    refused(keras::embedding(&[zeros(&[3])]), &["embeddings", "[3]"]);
    let four = [zeros(&[8, 3]), zeros(&[8, 2]), zeros(&[8]), zeros(&[8])];
    assert!(pytorch::lstm(&four).is_ok());
    refused(pytorch::lstm(&four[..3]), &["lstm", "4 (weight_ih", "3"]);
    refused(pytorch::rnn(&four), &["weight_hh", "2"]);
    let error = pytorch::linear(&[zeros(&[2, 3]), zeros(&[3])]);
    refused(error, &["bias", "2", "3"]);
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
