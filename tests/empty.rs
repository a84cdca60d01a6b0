//! No steps and no rows are run like any others, and what is made of nothing is defined.

mod models;

use models::{bits, bits_of, get, layer, noise};
use ritornello::model::{Cell, Direction, GruReset, Merge, Op, Recurrent, Select, Shape};
use ritornello::{Array, Isa, Model};

fn bidirectional(merge: Merge) -> Recurrent {
    let mut both = layer(Cell::LSTM, Direction::Bidirectional, [3, 5], 1);
    both.merge = merge;
    both
}

/// A stacked model with every kind of output.
fn stacked() -> Model {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    let first = graph.recurrent(
        "gru",
        layer(Cell::gru(GruReset::AfterMatmul), Direction::Forward, [3, 6], 2),
        x,
    );
    let lstm = layer(Cell::LSTM, Direction::Forward, [6, 5], 3);
    let second = graph.recurrent("lstm", lstm, first.sequence);
    graph.output("y", second.sequence);
    graph.output("last", second.last);
    graph.output("h", second.h_n);
    graph.output("c", second.c_n);
    graph.build().unwrap()
}

#[test]
fn no_steps_leave_the_states_and_give_empty_sequences() {
    for isa in Isa::available() {
        let mut session = models::plan(&stacked(), isa).session(2, 4).unwrap();
        let mut next = noise(1);
        let x = Array::new(&[2, 3, 3], (0..18).map(|_| next()).collect()).unwrap();
        let none = Array::new(&[2, 0, 3], Vec::new()).unwrap();
        for _ in 0..2 {
            let (before, last) =
                (session.state().unwrap(), session.run_arrays(&[("x", &none)]).unwrap());
            assert_eq!(bits(session.state().unwrap().arrays()), bits(before.arrays()));
            assert_eq!(get(&last, "y").shape(), [2, 0, 5]);
            assert_eq!(get(&last, "last").as_f32(), before.get("lstm.h").unwrap().as_f32());
            assert_eq!(get(&last, "h"), before.get("lstm.h").unwrap());
            assert_eq!(get(&last, "c"), before.get("lstm.c").unwrap());
            session.run_arrays(&[("x", &x)]).unwrap();
        }
        let mut chain = models::plan(
            &Model::chain(3).recurrent(bidirectional(Merge::Concat)).build().unwrap(),
            isa,
        )
        .session(2, 4)
        .unwrap();
        assert_eq!(chain.run(&[]).unwrap(), Vec::<f32>::new());
    }
}

/// The last step of no steps is zero, whatever ran before; a mean of nothing is NaN, a maximum
/// minus infinity.
#[test]
fn what_is_made_of_no_steps_is_defined() {
    for (op, expected) in [
        (Op::Select(Select::Step(-1)), 0.0),
        (Op::Select(Select::Step(1)), 0.0),
        (Op::MeanOverTime, f32::NAN),
        (Op::MaxOverTime, f32::NEG_INFINITY),
    ] {
        // Once in the caller's memory, once in the session's.
        for inner in [false, true] {
            let mut chain = Model::chain(2).then(op.clone());
            if inner {
                chain = chain.then(Op::Select(Select::Features { start: 0, end: 2 }));
            }
            let plan = models::plan(&chain.build().unwrap(), Isa::Portable);
            let mut session = plan.session(1, 4).unwrap();
            session.run(&[1.0, 2.0, 3.0, 4.0]).unwrap();
            let mut y = [7.0; 2];
            session.run_into(&[], &mut y).unwrap();
            assert_eq!(bits_of(&y), bits_of(&[expected; 2]), "{op:?}, inner: {inner}");
        }
    }
}

#[test]
fn an_empty_batch_is_run() {
    for isa in Isa::available() {
        for model in [
            stacked(),
            Model::chain(3).recurrent(bidirectional(Merge::Mul)).last().build().unwrap(),
            Model::chain(3).recurrent(bidirectional(Merge::Concat)).build().unwrap(),
        ] {
            let plan = models::plan(&model, isa);
            let x = Array::new(&[0, 4, 3], Vec::new()).unwrap();
            let found = plan.run(&[("x", &x)]).unwrap();
            for (output, (name, array)) in model.outputs().iter().zip(&found) {
                let expected = match model.shape(output.value).unwrap() {
                    Shape::Sequence { features, .. } => vec![0, 4, features],
                    Shape::Vector { features } => vec![0, features],
                    Shape::States { count, features } => vec![count, 0, features],
                };
                assert_eq!(array.shape(), expected, "{name}");
            }
            let mut session = plan.session(0, 2).unwrap();
            assert_eq!(session.batch(), 0);
            session.reset();
            let state = session.state().unwrap();
            session.set_state(&state).unwrap();
        }
        let mut session = models::plan(&stacked_stream(), isa).session(0, 2).unwrap();
        session.step(&[], &mut []).unwrap();
        assert_eq!(session.run(&[]).unwrap(), Vec::<f32>::new());
    }
}

fn stacked_stream() -> Model {
    let lstm = layer(Cell::LSTM, Direction::Forward, [3, 5], 3);
    Model::chain(3).recurrent(lstm).build().unwrap()
}
