//! What a session holds: what was stated before it was built, and no more whatever it runs.

mod allocator;
mod models;

use allocator::measured;
use models::{all_layers, layer, layer_with, noise};
use ritornello::model::{
    Activation, Cell, CellWeights, Dense, Direction, Embedding, GruReset, Matrix, Merge, Model, Op,
    Recurrent, RecurrentWeights, SequenceAxes,
};
use ritornello::{Array, Isa, Mask, Plan, PlanOptions, Precision, Threads};

/// Names, shapes and tables of a small session, which are no numbers.
const BESIDE: isize = 4096;

fn drawn(shape: &[usize]) -> Array {
    let mut next = noise(3);
    Array::new(shape, (0..shape.iter().product()).map(|_| next()).collect()).unwrap()
}

fn matrix(rows: usize, columns: usize) -> Matrix {
    Matrix::new(rows, columns, drawn(&[rows, columns]).as_f32().unwrap().to_vec()).unwrap()
}

fn plan(model: &Model, isa: Isa, threads: usize) -> Plan {
    let threads = Threads::new(threads).unwrap();
    model.plan(PlanOptions::default().isa(isa).threads(threads)).unwrap()
}

/// Holds what a session holds against what was stated.
#[track_caller]
fn check(plan: &Plan, [batch, time]: [usize; 2], what: &str) {
    let (stated, held, _) = measured(|| plan.workspace_bytes(batch, time).cast_signed());
    assert_eq!(held, 0, "asking takes no memory");
    let (_session, held, most) = measured(|| plan.session(batch, time).unwrap());
    let allowed = stated..=stated + BESIDE;
    let what = format!("{what}, batch {batch}, time {time}, {} threads", plan.explain().threads);
    assert!(allowed.contains(&held), "{what}: holds {held}, states {stated}");
    assert!(allowed.contains(&most), "{what}: takes {most}, states {stated}");
}

const SHAPES: [[usize; 2]; 4] = [[1, 1], [1, 700], [3, 64], [70, 9]];

const MERGES: [Merge; 4] = [Merge::Concat, Merge::Sum, Merge::Mul, Merge::Average];

#[test]
fn a_session_of_any_layers_holds_what_is_stated() {
    for (name, kind) in all_layers() {
        for direction in [Direction::Forward, Direction::Reverse, Direction::Bidirectional] {
            let merges = if direction.count() == 2 { &MERGES[..] } else { &MERGES[..1] };
            for &merge in merges {
                let mut first = layer_with(kind, direction, [5, 19], 1);
                first.merge = merge;
                let features = first.output_size();
                let second = layer_with(kind, Direction::Forward, [features, 11], 2);
                let head = matrix(3, second.output_size());
                let head = Dense::new(head, None, Activation::Tanh).unwrap();
                let chain = Model::chain(5).recurrent(first).recurrent(second).dense(head);
                let model = chain.build().unwrap();
                for isa in Isa::available() {
                    for (threads, precision) in
                        [(1, Precision::F32), (3, Precision::F32), (3, Precision::Int8)]
                    {
                        let options = PlanOptions::default().isa(isa).precision(precision);
                        let threads = Threads::new(threads).unwrap();
                        let plan = model.plan(options.threads(threads)).unwrap();
                        for shape in SHAPES {
                            let what = format!("{name}, {direction:?}, {merge:?}, {precision}");
                            check(&plan, shape, &what);
                        }
                    }
                }
            }
        }
    }
}

/// Values between nodes: of free and of fixed length, vectors and states.
#[test]
fn a_session_of_any_values_holds_what_is_stated() {
    for axes in [SequenceAxes::BatchTime, SequenceAxes::TimeBatch] {
        let mut graph = Model::graph();
        graph.axes(axes);
        let ids = graph.indices("ids");
        let x = graph.node("table", Op::Embedding(Embedding::new(matrix(9, 6))), &[ids]);
        let pair = [Direction::Forward, Direction::Reverse]
            .map(|direction| layer(Cell::gru(GruReset::BeforeMatmul), direction, [6, 13], 1));
        let both = graph.both_ways("both", pair, Merge::Average, x).unwrap();
        let lstm = layer(Cell::LSTM, Direction::Bidirectional, [13, 8], 2);
        let code = graph.recurrent("code", lstm, both.sequence);
        let states = graph.node("states", Op::Stack, &[code.h_n, code.c_n]);
        let spread = graph.node("spread", Op::Repeat { steps: 7 }, &[both.last]);
        let next =
            graph.recurrent("next", layer(Cell::LSTM, Direction::Forward, [13, 5], 3), spread);
        let flat = graph.node("flat", Op::Flatten, &[next.sequence]);
        let mean = graph.node("mean", Op::MeanOverTime, &[code.sequence]);
        for (name, value) in [("states", states), ("flat", flat), ("mean", mean)] {
            graph.output(name, value);
        }
        let model = graph.build().unwrap();
        for isa in Isa::available() {
            for threads in [1, 3] {
                let plan = plan(&model, isa, threads);
                for shape in SHAPES {
                    check(&plan, shape, &format!("{axes:?} on {isa}"));
                }
            }
        }
    }
}

/// What a row takes is stated too, however small: of ten thousand rows it is no little thing.
#[test]
fn a_session_of_many_rows_holds_what_is_stated() {
    let chain = Model::chain(5).recurrent(layer(Cell::LSTM, Direction::Forward, [5, 7], 1));
    let plan = plan(&chain.build().unwrap(), Isa::Portable, 1);
    check(&plan, [10_000, 2], "lstm");
}

fn large(direction: Direction) -> Model {
    let hidden = 512;
    let matrix = || Matrix::new(4 * hidden, hidden, vec![0.0; 4 * hidden * hidden]).unwrap();
    let weights = || CellWeights::new(matrix(), RecurrentWeights::Matrix(matrix()));
    let weights = (0..direction.count()).map(|_| weights()).collect();
    let layer = Recurrent::new(Cell::LSTM, direction, weights).unwrap();
    Model::chain(hidden).recurrent(layer).build().unwrap()
}

/// Pre-activations go by chunks of time, whatever the length of a sequence.
#[test]
fn a_long_sequence_needs_little_workspace() {
    for direction in [Direction::Forward, Direction::Reverse, Direction::Bidirectional] {
        let model = large(direction);
        for (isa, threads) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 2)]) {
            let plan = plan(&model, isa, threads);
            for (batch, time) in [(4, 100_000), (1, 1_000_000), (1, usize::MAX >> 16)] {
                let bytes = plan.workspace_bytes(batch, time);
                let what = format!("{direction:?} on {isa}, batch {batch}, time {time}");
                assert!(bytes < 16 << 20, "{what}: {bytes} bytes");
                // A million steps have the workspace of the first ten thousand.
                assert_eq!(bytes, plan.workspace_bytes(batch, 10_000), "{what}");
                check(&plan, [batch, time], &what);
            }
        }
    }
}

/// Runs of many shapes leave nothing behind.
#[test]
fn runs_of_many_shapes_leave_nothing() {
    for (name, kind) in all_layers() {
        for direction in [Direction::Forward, Direction::Bidirectional] {
            let layer = layer_with(kind, direction, [5, 19], 1);
            let model = Model::chain(5).recurrent(layer).build().unwrap();
            for isa in Isa::available() {
                let plan = plan(&model, isa, 1);
                let what = format!("{name}, {direction:?} on {isa}");
                let runs = (0..60).map(|run| [1 + run * 7 % 23, run * 31 % 101]);
                let ((), left, _) = measured(|| {
                    for [batch, time] in runs {
                        let x = drawn(&[batch, time, 5]);
                        let inputs = [("x", &x)];
                        drop(plan.run(&inputs).unwrap());
                        let lengths: Vec<usize> =
                            (0..batch).map(|row| row * 5 % (time + 1)).collect();
                        drop(plan.run_lengths(&inputs, &lengths).unwrap());
                        let steps = (0..batch * time).map(|place| place % 3 != 1).collect();
                        let mask = Mask::new([batch, time], steps).unwrap();
                        drop(plan.run_masked(&inputs, &mask).unwrap());
                    }
                });
                assert_eq!(left, 0, "{what}: bytes that stay");
            }
        }
    }
}

/// A million steps in one call or in pieces: the buffers are those of a session for few steps, and
/// nothing is allocated on the way.
#[test]
fn a_run_of_any_length_has_the_workspace_of_a_short_one() {
    const STEPS: usize = 1_000_000;
    let layer = layer(Cell::LSTM, Direction::Forward, [1, 8], 1);
    let model = Model::chain(1)
        .recurrent(layer)
        .dense(Dense::new(matrix(1, 8), None, Activation::Linear).unwrap())
        .build()
        .unwrap();
    let x = drawn(&[STEPS]);
    let x = x.as_f32().unwrap();
    for isa in Isa::available() {
        let plan = plan(&model, isa, 1);
        let (mut session, held, _) = measured(|| plan.session(1, 64).unwrap());
        let stated = plan.workspace_bytes(1, 64).cast_signed();
        assert!((stated..stated + BESIDE).contains(&held), "{isa}: holds {held}, states {stated}");
        let mut whole = vec![f32::NAN; STEPS];
        let (result, left, most) = measured(|| session.run_into(x, &mut whole));
        result.unwrap();
        assert_eq!((left, most), (0, 0), "{isa}: a million steps in one call");
        session.reset();
        let mut pieces = vec![f32::NAN; STEPS];
        let ((), left, most) = measured(|| {
            for (x, y) in x.chunks(997).zip(pieces.chunks_mut(997)) {
                session.run_into(x, y).unwrap();
            }
        });
        assert_eq!((left, most), (0, 0), "{isa}: a million steps in pieces");
        let same = whole.iter().zip(&pieces).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{isa}: pieces have the bits of the whole");
        assert_eq!(plan.workspace_bytes(1, 64).cast_signed(), stated, "{isa}");
    }
}
