//! Once a session is built, with one thread, `run_into`, `step` and `reset` do not touch the
//! allocator: neither to take memory nor to give it back.

mod allocator;
mod models;

use allocator::calls;
use models::{Extras, Variant, all_layers, layer, layer_with};
use ritornello::model::{
    Activation, Cell, Constant, Dense, Direction, Gru, GruReset, MaskRule, Matrix, Merge, Model,
    Op, OutputOrder, PadOutput, ScaleShift, SequenceAxes, StateScope,
};
use ritornello::{
    HandCell, Isa, Numbers, PlanOptions, Precision, Session, Steps, StreamPool, Threads,
};

/// Numbers in [-1, 1), never all the same: a cycle of 251.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37) % 251) as f32 / 125.5 - 1.0).collect()
}

fn matrix(rows: usize, columns: usize) -> Matrix {
    let scale = 1.0 / (columns.max(1) as f32).sqrt();
    let values = numbers(rows * columns).into_iter().map(|x| x * scale).collect();
    Matrix::new(rows, columns, values).unwrap()
}

fn dense(outputs: usize, inputs: usize, activation: Activation) -> Dense {
    Dense::new(matrix(outputs, inputs), Some(numbers(outputs)), activation).unwrap()
}

/// Layers of every kind, and cells that the general step runs with activations that it looks up.
fn kinds() -> Vec<Variant> {
    let activation = Activation::Softsign;
    let gru = |reset| Cell::Gru(Gru { activation, ..Gru::new(reset) });
    let mut kinds = all_layers();
    for (name, cell) in [
        ("rnn, gelu", Cell::simple_rnn(Activation::Gelu)),
        ("gru, reset after, softsign", gru(GruReset::AfterMatmul)),
        ("gru, reset before, softsign", gru(GruReset::BeforeMatmul)),
    ] {
        kinds.push((name, (cell, Extras::NONE)));
    }
    kinds
}

/// Runs sequences of several lengths, shorter and longer than the session's buffers if the model is
/// causal, then single steps, then resets.
fn check(what: &str, model: &Model, isa: Isa, precision: Precision) {
    const MAX_TIME: usize = 7;
    let options = PlanOptions::default().isa(isa).precision(precision).threads(Threads::one());
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
        for precision in [Precision::F32, Precision::Int8] {
            check(&format!("{what} in {precision}"), model, isa, precision);
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(calls(|| ()), 0);
    assert_eq!(calls(|| drop(std::hint::black_box(vec![1.0_f32; 8]))), 2);
}

#[test]
fn causal_stacks_of_every_layer_do_not_allocate() {
    for (name, kind) in kinds() {
        for axes in [SequenceAxes::BatchTime, SequenceAxes::TimeBatch] {
            let first = layer_with(kind, Direction::Forward, [3, 9], 1);
            let second = layer_with(kind, Direction::Forward, [first.output_size(), 17], 2);
            let head = dense(5, second.output_size(), Activation::Tanh);
            let mut graph = Model::graph();
            graph.axes(axes);
            let x = graph.sequence("x", 3);
            let first = graph.recurrent("first", first, x).sequence;
            let second = graph.recurrent("second", second, first).sequence;
            let head = graph.dense("head", head, second);
            let y = graph.activation("y", Activation::Softmax, head);
            graph.output("y", y);
            let model = graph.build().unwrap();
            assert!(model.is_causal(), "{name}");
            check_all_levels(&format!("{name}, {axes:?}"), &model);
        }
    }
}

#[test]
fn other_nodes_do_not_allocate() {
    let affine = ScaleShift::new(vec![0.5; 6], vec![0.25; 6]).unwrap();
    let model = Model::chain(3)
        .recurrent(layer(Cell::SIMPLE_RNN, Direction::Forward, [3, 6], 1))
        .scale_shift(affine)
        .activation(Activation::LogSoftmax)
        .build()
        .unwrap();
    check_all_levels("scale, shift and activation", &model);
}

#[test]
fn bidirectional_layers_of_every_kind_do_not_allocate() {
    for (name, kind) in kinds() {
        for merge in [Merge::Concat, Merge::Sum, Merge::Mul, Merge::Average] {
            for axes in [SequenceAxes::BatchTime, SequenceAxes::TimeBatch] {
                let mut first = layer_with(kind, Direction::Bidirectional, [3, 9], 1);
                first.merge = merge;
                let sizes = [first.output_size(), 6];
                let mut second = layer_with(kind, Direction::Bidirectional, sizes, 2);
                second.merge = merge;
                let head = dense(4, second.output_size(), Activation::LogSoftmax);
                let mut graph = Model::graph();
                graph.axes(axes);
                let x = graph.sequence("x", 3);
                let first = graph.recurrent("first", first, x).sequence;
                let second = graph.recurrent("second", second, first).last;
                let y = graph.dense("y", head, second);
                graph.output("y", y);
                let model = graph.build().unwrap();
                check_all_levels(&format!("{name}, both ways, {merge:?}, {axes:?}"), &model);
            }
        }
    }
}

#[test]
fn reverse_and_stateful_layers_do_not_allocate() {
    for (direction, order) in [
        (Direction::Forward, OutputOrder::Time),
        (Direction::Bidirectional, OutputOrder::Time),
        (Direction::Reverse, OutputOrder::Time),
        (Direction::Reverse, OutputOrder::Processing),
    ] {
        for (name, kind) in kinds() {
            let mut layer = layer_with(kind, direction, [3, 9], 1);
            layer.order = order;
            layer.state_scope = StateScope::Session;
            let head = dense(2, layer.output_size(), Activation::Sigmoid);
            let chain = Model::chain(3).recurrent(layer);
            // A mean makes a model that is not causal of a layer that is.
            for mean in [true, false] {
                let chain = chain.clone();
                let chain = if mean { chain.then(Op::MeanOverTime) } else { chain };
                let model = chain.dense(head.clone()).build().unwrap();
                check_all_levels(&format!("{name}, {direction:?}, {order:?}"), &model);
            }
        }
    }
}

#[test]
fn a_step_of_a_cell_by_hand_does_not_allocate() {
    for (name, kind) in kinds() {
        let layer = layer_with(kind, Direction::Forward, [3, 9], 1);
        for (isa, batch) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 5)]) {
            let options = PlanOptions::default().isa(isa).threads(Threads::one());
            let mut cell = HandCell::new(&layer, batch, options).unwrap();
            let x = numbers(batch * 3);
            let mut h = vec![0.0; batch * layer.state_size()];
            let mut c = vec![0.0; if layer.cell().has_cell_state() { batch * 9 } else { 0 }];
            let found = calls(|| (0..20).for_each(|_| cell.step(&x, &mut h, &mut c).unwrap()));
            assert_eq!(found, 0, "{name} on {isa}, batch {batch}");
            assert!(h.iter().chain(&c).all(|number| number.is_finite()), "{name} on {isa}: {h:?}");
        }
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
            let mut first = layer(Cell::LSTM, direction, [3, 9], 1);
            first.pad_output = pad;
            let width = first.output_size();
            let first = graph.recurrent_masked("first", first, masked, mask);
            let second = layer(Cell::SIMPLE_RNN, direction, [width, 4], 2);
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
fn learned_states_do_not_allocate() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 4);
    let states = ["h", "c"].map(|name| graph.constant(name, Constant::vector(numbers(9))));
    let lstm = layer(Cell::LSTM, Direction::Forward, [4, 9], 1);
    let y = graph.recurrent_from("lstm", lstm, x, &states).sequence;
    graph.output("y", y);
    check_all_levels("learned states", &graph.build().unwrap());
}

#[test]
fn a_graph_that_branches_does_not_allocate() {
    let mut graph = Model::graph();
    let x = graph.sequence("x", 4);
    let a = graph.recurrent("a", layer(Cell::LSTM, Direction::Forward, [4, 4], 1), x).sequence;
    let gru = Cell::gru(GruReset::AfterMatmul);
    let b = graph.recurrent("b", layer(gru, Direction::Forward, [4, 4], 2), x).sequence;
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
    for (name, kind) in kinds() {
        let first = layer_with(kind, Direction::Forward, [40, 130], 1);
        let second = layer_with(kind, Direction::Forward, [first.output_size(), 70], 2);
        let head = dense(101, second.output_size(), Activation::Softmax);
        let model =
            Model::chain(40).recurrent(first).recurrent(second).dense(head).build().unwrap();
        for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::Portable) {
            check(&format!("{name}, large"), &model, isa, Precision::F32);
        }
    }
}

#[test]
fn states_of_rows_do_not_allocate() {
    let both = layer(Cell::LSTM, Direction::Bidirectional, [3, 9], 1);
    let gru = layer(Cell::gru(GruReset::AfterMatmul), Direction::Forward, [18, 5], 2);
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
    for (name, kind) in kinds() {
        let first = layer_with(kind, Direction::Forward, [3, 9], 1);
        let second = layer_with(kind, Direction::Forward, [first.output_size(), 17], 2);
        let head = dense(4, second.output_size(), Activation::Softmax);
        let model = Model::chain(3).recurrent(first).recurrent(second).dense(head).build().unwrap();
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
            assert_eq!([opened, ticked, closed], [0, 0, 0], "{name} on {isa}");
        }
    }
}

/// Slices in the plan's order, of several inputs and outputs, and states as one piece of memory.
#[test]
fn bare_numbers_do_not_allocate() {
    let mut graph = Model::graph();
    let (a, b) = (graph.sequence("a", 3), graph.sequence("b", 3));
    let sum = graph.node("sum", Op::Add, &[a, b]);
    let mask = graph.mask("mask", MaskRule::AnyDiffers(0.5), a);
    let lstm = layer(Cell::LSTM, Direction::Bidirectional, [3, 9], 1);
    let lstm = graph.recurrent_masked("lstm", lstm, sum, mask);
    let gru = layer(Cell::gru(GruReset::AfterMatmul), Direction::Forward, [3, 5], 2);
    let gru = graph.recurrent("gru", gru, sum);
    graph.output("lstm", lstm.sequence);
    graph.output("last", gru.last);
    graph.output("again", lstm.sequence);
    let model = graph.build().unwrap();
    for (isa, batch) in Isa::available().into_iter().flat_map(|isa| [(isa, 1), (isa, 4)]) {
        let options = PlanOptions::default().isa(isa).threads(Threads::one());
        let plan = model.plan(options).unwrap();
        assert!(plan.has_masks());
        let mut session = plan.session(batch, 7).unwrap();
        session.reserve_lengths();
        let (mut a, b) = (numbers(batch * 7 * 3), numbers(batch * 7 * 3));
        // A step that the model leaves out.
        a[6..9].fill(0.5);
        let lengths: Vec<usize> = (0..batch).map(|row| 7 - row).collect();
        let mut memory = [batch * 7 * 18, batch * 5, batch * 7 * 18].map(|len| vec![0.0; len]);
        let mut state = vec![0.0; session.state_len()];
        let found = calls(|| {
            let [first, second, third] = &mut memory;
            let inputs = [Numbers::F32(&a), Numbers::F32(&b)];
            let outputs = &mut [&mut first[..], second, third];
            session.run_numbers_into(&inputs, Steps::All, outputs).unwrap();
            session.run_numbers_into(&inputs, Steps::Lengths(&lengths), outputs).unwrap();
            session.state_numbers(&mut state).unwrap();
            session.set_state_numbers(&state).unwrap();
        });
        assert_eq!(found, 0, "{isa}, batch {batch}");
        assert_eq!(memory[0], memory[2], "{isa}, batch {batch}");
    }
}
