//! Once a session is built, with one thread, `run_into`, `step` and `reset` do not touch the
//! allocator: neither to take memory nor to give it back.

mod allocator;

use allocator::calls;
use ritornello::model::{
    Activation, Cell, CellWeights, Coupling, Dense, Direction, Gru, GruReset, Lstm, MaskRule,
    Matrix, Merge, Model, Op, OutputOrder, PadOutput, Recurrent, RecurrentWeights, ScaleShift,
    StateScope,
};
use ritornello::{Isa, PlanOptions, Session, StreamPool, Threads};

/// Numbers in [-1, 1), never all the same: a cycle of 251.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37) % 251) as f32 / 125.5 - 1.0).collect()
}

fn matrix(rows: usize, columns: usize) -> Matrix {
    let scale = 1.0 / (columns.max(1) as f32).sqrt();
    let values = numbers(rows * columns).into_iter().map(|x| x * scale).collect();
    Matrix::new(rows, columns, values).unwrap()
}

fn recurrent(cell: Cell, direction: Direction, input_size: usize, size: usize) -> Recurrent {
    let rows = cell.gates().len() * size;
    let weights = || CellWeights {
        input: matrix(rows, input_size),
        recurrent: RecurrentWeights::Matrix(matrix(rows, size)),
        bias: Some(numbers(rows)),
        recurrent_bias: Some(numbers(rows)),
        peepholes: None,
        projection: None,
    };
    let sets = (0..direction.count()).map(|_| weights()).collect();
    Recurrent::new(cell, direction, sets).unwrap()
}

fn identity(input_size: usize, size: usize) -> Recurrent {
    let weights = CellWeights {
        input: matrix(size, input_size),
        recurrent: RecurrentWeights::Identity,
        bias: Some(numbers(size)),
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    };
    Recurrent::new(Cell::SIMPLE_RNN, Direction::Forward, vec![weights]).unwrap()
}

/// An LSTM with peepholes and a state of 4 features.
fn projected(direction: Direction, input_size: usize, size: usize) -> Recurrent {
    let weights = || CellWeights {
        bias: Some(numbers(4 * size)),
        peepholes: Some(numbers(3 * size)),
        projection: Some(matrix(4, size)),
        ..CellWeights::new(
            matrix(4 * size, input_size),
            RecurrentWeights::Matrix(matrix(4 * size, 4)),
        )
    };
    let sets = (0..direction.count()).map(|_| weights()).collect();
    Recurrent::new(Cell::LSTM, direction, sets).unwrap()
}

/// A GRU each of whose units sees only itself.
fn diagonal(input_size: usize, size: usize) -> Recurrent {
    let recurrent = RecurrentWeights::Diagonal(numbers(3 * size));
    let weights = CellWeights::new(matrix(3 * size, input_size), recurrent);
    let gru = Cell::gru(GruReset::AfterMatmul);
    Recurrent::new(gru, Direction::Forward, vec![weights]).unwrap()
}

fn dense(outputs: usize, inputs: usize, activation: Activation) -> Dense {
    Dense::new(matrix(outputs, inputs), Some(numbers(outputs)), activation).unwrap()
}

/// Every cell with a kernel of its own, and some that the general step runs.
fn cells() -> [Cell; 11] {
    let (clip, cell_clip) = (Some(0.5), Some(0.7));
    let (activation, recurrent_activation) = (Activation::Softsign, Activation::HARD_SIGMOID);
    [
        Cell::SIMPLE_RNN,
        Cell::simple_rnn(Activation::Relu),
        Cell::LSTM,
        Cell::gru(GruReset::AfterMatmul),
        Cell::gru(GruReset::BeforeMatmul),
        Cell::simple_rnn(Activation::Gelu),
        Cell::lstm(activation, recurrent_activation),
        Cell::Gru(Gru { activation, ..Gru::new(GruReset::AfterMatmul) }),
        Cell::Gru(Gru { activation, ..Gru::new(GruReset::BeforeMatmul) }),
        Cell::Lstm(Lstm { coupling: Coupling::ForgetFromInput, clip, ..Lstm::DEFAULT }),
        Cell::Lstm(Lstm { coupling: Coupling::InputFromForget, cell_clip, ..Lstm::DEFAULT }),
    ]
}

/// Runs sequences of several lengths, shorter and longer than the session's buffers if the model is
/// causal, then single steps, then resets.
fn check(what: &str, model: &Model, isa: Isa) {
    const MAX_TIME: usize = 7;
    let options = PlanOptions::default().isa(isa).threads(Threads::one());
    let plan = model.plan(options).unwrap();
    let features = plan.inputs()[0].shape.features();
    for batch in [1, 5] {
        let mut session: Session = plan.session(batch, MAX_TIME).unwrap();
        let longest = if plan.is_causal() { 2 * MAX_TIME + 1 } else { MAX_TIME };
        for time in [1, MAX_TIME - 1, MAX_TIME, longest] {
            let x = numbers(batch * time * features);
            // What `run` gives tells how long the output is, and what it must be.
            session.reset();
            let expected = session.run(&x).unwrap();
            let mut y = vec![f32::NAN; expected.len()];
            let found = calls(|| {
                session.reset();
                session.run_into(&x, &mut y).unwrap();
            });
            assert_eq!(found, 0, "{what} on {isa}: run_into and reset, batch {batch}, time {time}");
            assert_eq!(y, expected, "{what} on {isa}: run_into gives what run gives");
            // The first call with lengths takes what all later ones need.
            let lengths: Vec<usize> = (0..batch).map(|row| time * row / batch).collect();
            session.run_lengths_into(&x, &lengths, &mut y).unwrap();
            let lengths: Vec<usize> = (0..batch).map(|row| time - time * row / batch).collect();
            let found = calls(|| session.run_lengths_into(&x, &lengths, &mut y).unwrap());
            assert_eq!(found, 0, "{what} on {isa}: run_lengths_into, batch {batch}, time {time}");
            // Likewise the first with a mask of so many steps.
            let mut mask: Vec<bool> = (0..batch * time).map(|i| i % 3 == 1).collect();
            session.run_masked_into(&x, &mask, &mut y).unwrap();
            mask.iter_mut().enumerate().for_each(|(i, counts)| *counts = i % 4 != 0);
            let found = calls(|| session.run_masked_into(&x, &mask, &mut y).unwrap());
            assert_eq!(found, 0, "{what} on {isa}: run_masked_into, batch {batch}, time {time}");
        }
        if !plan.is_causal() {
            continue;
        }
        let x = numbers(batch * features);
        session.reset();
        let mut y = vec![f32::NAN; session.run(&x).unwrap().len()];
        let found = calls(|| {
            for _ in 0..20 {
                session.step(&x, &mut y).unwrap();
            }
            session.reset();
        });
        assert_eq!(found, 0, "{what} on {isa}: step and reset, batch {batch}");
        assert!(y.iter().all(|y| y.is_finite()), "{what} on {isa}: {y:?}");
    }
}

fn check_all_levels(what: &str, model: &Model) {
    for isa in Isa::available() {
        check(what, model, isa);
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls(|| ()), 0);
    assert_eq!(calls(|| drop(std::hint::black_box(vec![1.0_f32; 8]))), 2);
}

#[test]
fn causal_stacks_of_every_cell_do_not_allocate() {
    for cell in cells() {
        let model = Model::chain(3)
            .recurrent(recurrent(cell, Direction::Forward, 3, 9))
            .recurrent(recurrent(cell, Direction::Forward, 9, 17))
            .dense(dense(5, 17, Activation::Tanh))
            .dense(dense(4, 5, Activation::Softmax))
            .build()
            .unwrap();
        assert!(model.plan(PlanOptions::default()).unwrap().is_causal(), "{cell:?}");
        check_all_levels(&format!("{cell:?}"), &model);
    }
}

#[test]
fn an_identity_recurrence_and_other_nodes_do_not_allocate() {
    let affine = ScaleShift::new(vec![0.5; 6], vec![0.25; 6]).unwrap();
    let model = Model::chain(3)
        .recurrent(identity(3, 6))
        .scale_shift(affine)
        .activation(Activation::LogSoftmax)
        .build()
        .unwrap();
    check_all_levels("identity", &model);
}

#[test]
fn other_weights_than_the_usual_do_not_allocate() {
    let causal = Model::chain(3)
        .recurrent(projected(Direction::Forward, 3, 9))
        .recurrent(diagonal(4, 6))
        .build()
        .unwrap();
    check_all_levels("a projection, and a diagonal", &causal);
    let both_ways =
        Model::chain(3).recurrent(projected(Direction::Bidirectional, 3, 9)).build().unwrap();
    check_all_levels("a projection, both ways", &both_ways);
}

#[test]
fn bidirectional_layers_of_every_cell_do_not_allocate() {
    for cell in cells() {
        for merge in [Merge::Concat, Merge::Sum, Merge::Mul, Merge::Average] {
            let mut first = recurrent(cell, Direction::Bidirectional, 3, 9);
            first.merge = merge;
            let features = first.output_size();
            let mut second = recurrent(cell, Direction::Bidirectional, features, 6);
            second.merge = merge;
            let last = second.output_size();
            let model = Model::chain(3)
                .recurrent(first)
                .recurrent(second)
                .last()
                .dense(dense(4, last, Activation::LogSoftmax))
                .build()
                .unwrap();
            check_all_levels(&format!("{cell:?}, both ways, {merge:?}"), &model);
        }
    }
}

#[test]
fn reverse_and_stateful_layers_do_not_allocate() {
    for order in [OutputOrder::Time, OutputOrder::Processing] {
        let mut layer = recurrent(Cell::LSTM, Direction::Reverse, 3, 9);
        layer.order = order;
        layer.state_scope = StateScope::Session;
        let model = Model::chain(3)
            .recurrent(layer)
            .then(Op::MeanOverTime)
            .dense(dense(2, 9, Activation::Sigmoid))
            .build()
            .unwrap();
        check_all_levels(&format!("reverse, {order:?}"), &model);
    }
}

/// The model's own masks: the first call in which steps do not count takes what others need.
#[test]
fn masks_of_the_model_do_not_allocate() {
    for pad in [PadOutput::Zero, PadOutput::Hold, PadOutput::HoldState] {
        for direction in [Direction::Forward, Direction::Bidirectional] {
            let mut graph = Model::graph();
            let x = graph.sequence("x", 3);
            let mask = graph.mask("mask", MaskRule::AnyDiffers(0.5), x);
            let masked = graph.node("masked", Op::Masked, &[x, mask]);
            let mut layer = recurrent(Cell::LSTM, direction, 3, 9);
            layer.pad_output = pad;
            let width = layer.output_size();
            let first = graph.recurrent_masked("first", layer, masked, mask);
            let second = recurrent(Cell::SIMPLE_RNN, direction, width, 4);
            let second = graph.recurrent_masked("second", second, first.sequence, mask);
            graph.output("y", second.last);
            let model = graph.build().unwrap();
            for isa in Isa::available() {
                let options = PlanOptions::default().isa(isa).threads(Threads::one());
                let mut session = model.plan(options).unwrap().session(3, 7).unwrap();
                let mut x = numbers(3 * 7 * 3);
                let mut y = session.run(&x).unwrap();
                x[3..6].fill(0.5);
                session.run_into(&x, &mut y).unwrap();
                for step in [2, 5, 6, 12, 20] {
                    x[step * 3..][..3].fill(0.5);
                    let found = calls(|| session.run_into(&x, &mut y).unwrap());
                    assert_eq!(found, 0, "{pad:?}, {direction:?} on {isa}, step {step}");
                }
            }
        }
    }
}

#[test]
fn a_graph_that_branches_does_not_allocate() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 4);
    let a = graph.recurrent("a", recurrent(Cell::LSTM, Direction::Forward, 4, 4), x).sequence;
    let gru = Cell::gru(GruReset::AfterMatmul);
    let b = graph.recurrent("b", recurrent(gru, Direction::Forward, 4, 4), x).sequence;
    let both = graph.node("both", Op::Concat, &[a, b]);
    let head = graph.dense("head", dense(4, 8, Activation::Linear), both);
    let sum = graph.node("sum", Op::Add, &[head, x]);
    let product = graph.node("product", Op::Multiply, &[sum, a]);
    graph.output("y", product);
    check_all_levels("a graph", &graph.build().unwrap());
}

/// Layers with so many weights that the portable level leaves their projection to `matrixmultiply`,
/// which allocates its packed operands on every call: the promise is that of the other levels.
#[test]
fn large_layers_do_not_allocate_on_levels_of_our_own() {
    for cell in cells() {
        let model = Model::chain(40)
            .recurrent(recurrent(cell, Direction::Forward, 40, 130))
            .recurrent(recurrent(cell, Direction::Forward, 130, 70))
            .dense(dense(101, 70, Activation::Softmax))
            .build()
            .unwrap();
        for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::Portable) {
            check(&format!("{cell:?}, large"), &model, isa);
        }
    }
}

#[test]
fn states_of_rows_do_not_allocate() {
    let both = recurrent(Cell::LSTM, Direction::Bidirectional, 3, 9);
    let gru = recurrent(Cell::gru(GruReset::AfterMatmul), Direction::Forward, 18, 5);
    let model = Model::chain(3).recurrent(both).recurrent(gru).build().unwrap();
    let plan = model.plan(PlanOptions::default().threads(Threads::one())).unwrap();
    let mut session = plan.session(4, 5).unwrap();
    session.run(&numbers(4 * 5 * 3)).unwrap();
    let mut state = session.row_state(0).unwrap();
    let whole = session.state().unwrap();
    let found = calls(|| {
        session.row_state_into(2, &mut state).unwrap();
        session.set_row_state(1, &state).unwrap();
        session.reset_row(3).unwrap();
        session.set_state(&whole).unwrap();
    });
    assert_eq!(found, 0);
}

/// Ticks of any streams that are open, and all that may happen to these between ticks.
#[test]
fn a_pool_allocates_only_where_streams_are_opened() {
    const STREAMS: usize = 300;
    for cell in cells() {
        let model = Model::chain(3)
            .recurrent(recurrent(cell, Direction::Forward, 3, 9))
            .recurrent(recurrent(cell, Direction::Forward, 9, 17))
            .dense(dense(4, 17, Activation::Softmax))
            .build()
            .unwrap();
        for isa in Isa::available() {
            let options = PlanOptions::default().isa(isa).threads(Threads::one());
            let mut pool = model.plan(options).unwrap().stream_pool(2).unwrap();
            pool.reserve(STREAMS).unwrap();
            let mut ids = Vec::with_capacity(STREAMS);
            let (x, mut y) = (numbers(STREAMS * 5 * 3), vec![f32::NAN; STREAMS * 5 * 4]);
            let mut tick = |pool: &mut _, ids: &[_], time: usize| {
                let (x, y) = (&x[..ids.len() * time * 3], &mut y[..ids.len() * time * 4]);
                StreamPool::tick_steps(pool, ids, time, x, y).unwrap();
                assert!(y.iter().all(|y| y.is_finite()));
            };
            let opened = calls(|| ids.extend((0..STREAMS).map(|_| pool.open().unwrap())));
            let mut state = pool.state(ids[0]).unwrap();
            let ticked = calls(|| {
                for (first, end, time) in [(0, STREAMS, 1), (7, 8, 5), (1, 290, 2), (0, 0, 1)] {
                    tick(&mut pool, &ids[first..end], time);
                }
                ids.swap(3, 200);
                tick(&mut pool, &ids, 1);
                pool.reset(ids[5]).unwrap();
                pool.state_into(ids[3], &mut state).unwrap();
                pool.set_state(ids[2], &state).unwrap();
                pool.close(ids[9]).unwrap();
                ids[9] = pool.open().unwrap();
                tick(&mut pool, &ids, 5);
            });
            let mut grown = pool.plan().stream_pool(1).unwrap();
            let each: Vec<_> = (0..100).map(|_| grown.open().unwrap()).collect();
            let closed = calls(|| each.iter().for_each(|&id| grown.close(id).unwrap()));
            assert_eq!([opened, ticked, closed], [0, 0, 0], "{cell:?} on {isa}");
        }
    }
}
