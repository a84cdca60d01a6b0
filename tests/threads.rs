//! The number of threads changes no bit.

mod models;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use models::{
    Arrays, Extras, alike, all_layers, assert_alike, cases, layer, layer_with, layers, named,
    noise, passed, run, step_work, variants,
};
use proptest::prelude::*;
use ritornello::model::{Cell, Direction, GruReset, Merge, Recurrent};
use ritornello::{Array, Isa, Model, Plan, PlanOptions, Threads};

/// A layer under another, and all its results.
fn stacked(first: Recurrent, next: Recurrent) -> Model {
    let mut graph = Model::graph();
    let x = graph.sequence("x", first.input_size());
    let first = graph.recurrent("first", first, x);
    let next = graph.recurrent("next", next, first.sequence);
    graph.output("y", next.sequence);
    graph.output("last", first.last);
    graph.output("h", first.h_n);
    graph.build().unwrap()
}

/// The same with an LSTM on top.
fn model(cell: Cell, direction: Direction, merge: Merge, sizes: [usize; 2], seed: u64) -> Model {
    let mut first = layer(cell, direction, sizes, seed);
    first.merge = merge;
    let next = layer(Cell::LSTM, Direction::Forward, [first.output_size(), sizes[1]], seed + 1);
    stacked(first, next)
}

fn input(batch: usize, time: usize, features: usize, seed: u64) -> Arrays {
    let mut next = noise(seed);
    let numbers = (0..batch * time * features).map(|_| next()).collect();
    vec![("x".into(), Array::new(&[batch, time, features], numbers).unwrap())]
}

fn plan(model: &Model, isa: Isa, threads: &Threads) -> Plan {
    model.plan(PlanOptions::default().isa(isa).threads(threads.clone())).unwrap()
}

/// One, two, three and four threads of our own, and three of the caller's.
fn all_threads() -> Vec<Threads> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let own = (1..=4).map(|count| Threads::new(count).unwrap());
    own.chain([Threads::of_pool(Arc::new(pool))]).collect()
}

/// Multiplications of a layer above which it is given to several threads: 1 500 000 for each.
const WORK: usize = 4 * 1_500_000;

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn threads_change_no_bit(
        [kind, on_top] in [layers(), layers()],
        direction in prop::sample::select(vec![
            Direction::Forward, Direction::Reverse, Direction::Bidirectional,
        ]),
        merge in prop::sample::select(vec![Merge::Concat, Merge::Sum, Merge::Mul, Merge::Average]),
        hidden in 40..70_usize,
        input_size in 1..30_usize,
        batch in prop_oneof![1..8_usize, Just(17), Just(33)],
        seed in 0..u64::MAX,
    ) {
        let mut first = layer_with(kind, direction, [input_size, hidden], seed);
        first.merge = merge;
        // As many steps as make work for four threads, in each direction.
        let time = WORK / (step_work(&first) * batch) + 1;
        let sizes = [first.output_size(), hidden];
        let model = stacked(first, layer_with(on_top, Direction::Forward, sizes, seed + 1));
        let inputs = input(batch, time, input_size, seed);
        for isa in Isa::available() {
            let mut expected: Option<Arrays> = None;
            for threads in all_threads() {
                let plan = plan(&model, isa, &threads);
                prop_assert_eq!(plan.explain().threads, threads.count());
                let found = plan.run(&named(&inputs)).unwrap();
                match &expected {
                    None => expected = Some(found),
                    Some(expected) => passed(alike(&found, expected).map_err(|difference| {
                        format!("{} threads on {isa}: {difference}", threads.count())
                    }))?,
                }
            }
        }
    }
}

/// More threads than rows, than directions, and than there is work for.
#[test]
fn threads_may_have_nothing_to_do() {
    let lstm = |direction| model(Cell::LSTM, direction, Merge::Concat, [9, 64], 3);
    for direction in [Direction::Forward, Direction::Bidirectional] {
        let model = lstm(direction);
        for (batch, time) in [(0, 5), (1, 0), (1, 1), (1, 200), (2, 150), (3, 100)] {
            let inputs = input(batch, time, 9, 5);
            for isa in Isa::available() {
                let runs: Vec<Arrays> = all_threads()
                    .iter()
                    .map(|threads| plan(&model, isa, threads).run(&named(&inputs)).unwrap())
                    .collect();
                for found in &runs[1..] {
                    let what = format!("batch {batch}, {time} steps on {isa}");
                    assert_alike(found, &runs[0], &what);
                }
            }
        }
    }
}

/// Weights that no core's own cache holds, whose units are shared by many rows as well.
#[test]
fn threads_may_share_the_units_of_many_rows() {
    let lstm = layer(Cell::LSTM, Direction::Forward, [7, 370], 8);
    let model = stacked(lstm, layer(Cell::LSTM, Direction::Forward, [370, 5], 9));
    for batch in [9, 18] {
        let inputs = input(batch, 40, 7, 10);
        for isa in Isa::available() {
            let mut runs = all_threads().into_iter().map(|threads| {
                (threads.count(), plan(&model, isa, &threads).run(&named(&inputs)).unwrap())
            });
            let (_, expected) = runs.next().unwrap();
            for (threads, found) in runs {
                assert_alike(&found, &expected, &format!("{batch} rows, {threads} threads, {isa}"));
            }
        }
    }
}

/// A stream in pieces that are large enough for threads and pieces that are not.
#[test]
fn a_stream_may_go_through_several_threads() {
    let model =
        model(Cell::gru(GruReset::AfterMatmul), Direction::Forward, Merge::Concat, [8, 60], 4);
    let (batch, time) = (16, 40);
    let inputs = input(batch, time, 8, 6);
    let case = models::Case { model, inputs, time, batch };
    for isa in Isa::available() {
        let expected = case.run(isa);
        for threads in all_threads() {
            let mut session = plan(&case.model, isa, &threads).session(batch, 30).unwrap();
            let what = format!("{} threads on {isa}", threads.count());
            assert_alike(&run(&mut session, &case.inputs), &expected, &what);
            session.reset();
            let pieces = [(0, 1), (1, 2), (2, 37), (37, 40)]
                .map(|(start, end)| run(&mut session, &case.steps(start, end)));
            let y: Vec<&Array> = pieces.iter().map(|piece| models::get(piece, "y")).collect();
            let y = [("y".to_owned(), models::join(&y, 1))];
            assert_alike(&y, &expected[..1], &what);
            assert_alike(&pieces[3][1..], &expected[1..], &what);
        }
    }
}

/// Small layers on top of each other go through time as a wave.
#[test]
fn stacked_layers_may_run_at_once() {
    let usual = [Cell::SIMPLE_RNN, Cell::LSTM, Cell::gru(GruReset::BeforeMatmul)];
    let usual = usual.map(|cell| [("usual", (cell, Extras::NONE)); 4]);
    // Of the others, each below the next.
    let others = variants();
    let (others, rest) = others.as_chunks::<4>();
    assert!(rest.is_empty(), "{rest:?} are in no stack");
    for stack in usual.iter().chain(others) {
        let mut graph = Model::graph();
        let mut below = (graph.sequence("x", 20), 20);
        for (index, ((_, kind), hidden)) in stack.iter().zip([48, 40, 56, 33]).enumerate() {
            let name = format!("layer{index}");
            let sizes = [below.1, hidden];
            let made = layer_with(*kind, Direction::Forward, sizes, 21 + index as u64);
            let features = made.output_size();
            let made = graph.recurrent(&name, made, below.0);
            below = (made.sequence, features);
            graph.output(&format!("h{index}"), made.h_n);
            if index % 2 == 1 {
                graph.output(&format!("y{index}"), made.sequence);
            }
        }
        let model = graph.build().unwrap();
        for (batch, time) in [(1, 403), (2, 200), (1, 12)] {
            let inputs = input(batch, time, 20, 22);
            for isa in Isa::available() {
                let expected = plan(&model, isa, &Threads::one()).run(&named(&inputs)).unwrap();
                for threads in &all_threads()[1..] {
                    let mut session = plan(&model, isa, threads).session(batch, 150).unwrap();
                    for _ in 0..5 {
                        let what = format!("{} and others on {isa}", stack[0].0);
                        assert_alike(&run(&mut session, &inputs), &expected, &what);
                        session.reset();
                    }
                }
            }
        }
    }
}

/// Few rows of long layers of every kind: those whose units may not be shared are not.
#[test]
fn any_layer_may_have_few_rows_and_many_units() {
    for (name, kind) in all_layers() {
        for direction in [Direction::Forward, Direction::Reverse, Direction::Bidirectional] {
            let first = layer_with(kind, direction, [7, 235], 11);
            let next = layer_with(kind, Direction::Forward, [first.output_size(), 9], 12);
            let model = stacked(first, next);
            for batch in [1, 3] {
                let inputs = input(batch, 60, 7, 12);
                for isa in Isa::available() {
                    let expected = plan(&model, isa, &Threads::one()).run(&named(&inputs)).unwrap();
                    for threads in &all_threads()[1..] {
                        let found = plan(&model, isa, threads).run(&named(&inputs)).unwrap();
                        let what = format!("{name} {direction:?}, batch {batch} on {isa}");
                        assert_alike(&found, &expected, &what);
                    }
                }
            }
        }
    }
}

/// Ends what waits for a flag, also when a test fails: a scope waits for all its threads.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Few rows of a long layer: threads share its units, and meet after every step. On cores that are
/// busy with something else they keep each other waiting, and the leader goes on alone.
#[test]
fn units_may_be_shared() {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = SetWhenDropped(&stop);
        for busy in [0, 4] {
            for _ in 0..busy {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            for cell in [Cell::SIMPLE_RNN, Cell::LSTM, Cell::gru(GruReset::AfterMatmul)] {
                let model = model(cell, Direction::Reverse, Merge::Concat, [7, 235], 11);
                for batch in [1, 3] {
                    let inputs = input(batch, 90, 7, 12);
                    for isa in Isa::available() {
                        let expected =
                            plan(&model, isa, &Threads::one()).run(&named(&inputs)).unwrap();
                        for threads in &all_threads()[1..] {
                            let mut session =
                                plan(&model, isa, threads).session(batch, 90).unwrap();
                            let count = threads.count();
                            let what = format!(
                                "{cell:?}, batch {batch}, {count} threads on {isa}, {busy} cores busy"
                            );
                            for _ in 0..4 {
                                assert_alike(&run(&mut session, &inputs), &expected, &what);
                                session.reset();
                            }
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn a_model_may_be_given_up_for_its_plan() {
    let model = model(Cell::LSTM, Direction::Bidirectional, Merge::Sum, [5, 9], 8);
    let inputs = input(3, 4, 5, 9);
    for isa in Isa::available() {
        let options = || PlanOptions::default().isa(isa).threads(Threads::one());
        let kept = model.plan(options()).unwrap();
        let given_up = model.clone().into_plan(options()).unwrap();
        assert_eq!(given_up.explain(), kept.explain());
        assert_eq!(given_up.inputs(), kept.inputs());
        assert_eq!(given_up.outputs(), kept.outputs());
        let runs = [given_up, kept].map(|plan| plan.run(&named(&inputs)).unwrap());
        assert_alike(&runs[0], &runs[1], isa.name());
    }
}

#[test]
fn a_plan_is_shared_by_threads() {
    fn assert_shareable<T: Send + Sync + Clone>(_: &T) {}
    fn assert_send<T: Send>(_: &T) {}
    let model = model(Cell::LSTM, Direction::Bidirectional, Merge::Concat, [6, 48], 2);
    for threads in [Threads::one(), Threads::new(2).unwrap()] {
        let plan = plan(&model, *Isa::available().last().unwrap(), &threads);
        assert_shareable(&plan);
        assert_send(&plan.session(1, 1).unwrap());
        let expected: Vec<Arrays> =
            (0..4).map(|seed| plan.run(&named(&input(5, 30, 6, seed))).unwrap()).collect();
        // A clone in one thread, a session made here in another, at once.
        thread::scope(|scope| {
            for (seed, expected) in (0..).zip(&expected) {
                let (plan, mut session) = (plan.clone(), plan.session(5, 30).unwrap());
                scope.spawn(move || {
                    for _ in 0..3 {
                        let inputs = input(5, 30, 6, seed);
                        let fresh = plan.run(&named(&inputs)).unwrap();
                        assert_alike(&fresh, expected, "a clone");
                        assert_alike(&run(&mut session, &inputs), expected, "a session");
                    }
                });
            }
        });
    }
}
