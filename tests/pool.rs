//! A stream of a pool has the bits that it has alone in a session, whoever joins, leaves or speaks
//! beside it.

mod models;
mod refusal;

use models::{Kind, bits, bits_of, cases, layer, noise, recipes};
use proptest::prelude::*;
use refusal::{lstm, refused, stream, zeros};
use ritornello::model::{
    Cell, Direction, Element, Embedding, Extent, GruReset, Matrix, Op, SequenceAxes, Shape,
};
use ritornello::{
    Array, Isa, Model, Plan, PlanOptions, Session, State, StreamId, StreamPool, Threads,
};

/// What happens to a pool.
#[derive(Clone, Debug)]
enum Event {
    Open,
    Close(prop::sample::Index),
    Reset(prop::sample::Index),
    /// The state of one stream goes to another.
    Copy(prop::sample::Index, prop::sample::Index),
    /// So many steps of the streams whose bit is set, in an order that the seed gives.
    Tick {
        time: usize,
        which: u16,
        order: u64,
    },
}

const MOST_STREAMS: usize = 12;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let index = any::<prop::sample::Index>;
    let time = prop_oneof![4 => Just(1_usize), 1 => 0..5_usize];
    let event = prop_oneof![
        3 => Just(Event::Open),
        1 => index().prop_map(Event::Close),
        1 => index().prop_map(Event::Reset),
        1 => (index(), index()).prop_map(|(from, to)| Event::Copy(from, to)),
        6 => (time, any::<u16>(), any::<u64>())
            .prop_map(|(time, which, order)| Event::Tick { time, which, order }),
    ];
    prop::collection::vec(event, 4..24)
}

/// A pool beside one session for each stream.
struct Twins {
    plan: Plan,
    pool: StreamPool,
    streams: Vec<(StreamId, Session)>,
    next: Box<dyn FnMut() -> f32>,
}

impl Twins {
    fn new(plan: Plan, max_time: usize) -> Self {
        let pool = plan.stream_pool(max_time).unwrap();
        Self { plan, pool, streams: Vec::new(), next: Box::new(noise(5)) }
    }

    fn open(&mut self) {
        let id = self.pool.open().unwrap();
        self.streams.push((id, self.plan.session(1, 2).unwrap()));
    }

    fn happen(&mut self, event: &Event) {
        let count = self.streams.len();
        match event {
            Event::Open if count < MOST_STREAMS => self.open(),
            Event::Close(which) if count > 0 => {
                let (id, _) = self.streams.swap_remove(which.index(count));
                self.pool.close(id).unwrap();
                assert!(!self.pool.is_open(id));
            }
            Event::Reset(which) if count > 0 => {
                let (id, alone) = &mut self.streams[which.index(count)];
                self.pool.reset(*id).unwrap();
                alone.reset();
            }
            Event::Copy(from, to) if count > 0 => {
                let (from, to) = (from.index(count), to.index(count));
                let state = self.pool.state(self.streams[from].0).unwrap();
                self.pool.set_state(self.streams[to].0, &state).unwrap();
                self.streams[to].1.set_state(&state).unwrap();
            }
            Event::Tick { time, which, order } => {
                let which = (0..count).filter(|place| which >> place & 1 == 1);
                let which = shuffled(which.collect(), *order);
                self.tick(&which, *time);
            }
            _ => {}
        }
        assert_eq!(self.pool.len(), self.streams.len());
        assert_eq!(self.pool.is_empty(), self.streams.is_empty());
    }

    /// Steps of some streams, in the pool and alone.
    fn tick(&mut self, which: &[usize], time: usize) {
        let (input, output) = (self.plan.inputs()[0].shape, self.plan.outputs()[0].shape);
        let is_sequence = matches!(output, Shape::Sequence { .. });
        let steps = if is_sequence { time } else { 1 };
        let [x_size, y_size] = [input, output].map(Shape::features);
        let (count, axes) = (which.len(), self.plan.axes());
        let ids: Vec<StreamId> = which.iter().map(|&place| self.streams[place].0).collect();
        let x: Vec<f32> = (0..count * time * x_size).map(|_| (self.next)()).collect();
        let mut y = vec![f32::NAN; count * steps * y_size];
        if time == 1 {
            self.pool.tick(&ids, &x, &mut y).unwrap();
        } else {
            self.pool.tick_steps(&ids, time, &x, &mut y).unwrap();
        }
        for (row, &place) in which.iter().enumerate() {
            let x = row_of(&x, row, [time, count, x_size], axes);
            let found = row_of(&y, row, [steps, count, y_size], axes);
            let expected = self.streams[place].1.run(&x).unwrap();
            assert_eq!(bits_of(&found), bits_of(&expected), "row {row} of {count}, {time} steps");
        }
    }

    fn check_states(&self) {
        let mut again = State::default();
        for (id, alone) in &self.streams {
            let state = self.pool.state(*id).unwrap();
            assert_eq!(bits(state.arrays()), bits(alone.state().unwrap().arrays()), "{id}");
            self.pool.state_into(*id, &mut again).unwrap();
            assert_eq!(bits(again.arrays()), bits(state.arrays()));
        }
    }
}

fn shuffled(places: Vec<usize>, seed: u64) -> Vec<usize> {
    let mut next = noise(seed);
    let mut keys: Vec<(f32, usize)> = places.into_iter().map(|place| (next(), place)).collect();
    keys.sort_by(|a, b| a.0.total_cmp(&b.0));
    keys.into_iter().map(|(_, place)| place).collect()
}

/// One stream's steps of what a tick took or gave.
fn row_of(
    numbers: &[f32],
    row: usize,
    [time, count, size]: [usize; 3],
    axes: SequenceAxes,
) -> Vec<f32> {
    let start = |t: usize| match axes {
        SequenceAxes::BatchTime => (row * time + t) * size,
        SequenceAxes::TimeBatch => (t * count + row) * size,
    };
    (0..time).flat_map(|t| numbers[start(t)..][..size].to_vec()).collect()
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn streams_come_and_go_and_each_is_a_session_of_its_own(
        recipe in recipes(Kind::Stream),
        events in events(),
        max_time in 1..4_usize,
    ) {
        let case = recipe.case();
        for isa in Isa::available() {
            let mut twins = Twins::new(case.plan(isa), max_time);
            for event in &events {
                twins.happen(event);
            }
            twins.check_states();
        }
    }
}

/// Two layers, of which the sequence or the last step is the output.
fn stacked(axes: SequenceAxes, last: bool, [features, size]: [usize; 2]) -> Model {
    let mut graph = Model::graph();
    graph.axes(axes);
    let x = graph.sequence("x", features);
    let first = layer(Cell::LSTM, Direction::Forward, [features, size], 1);
    let x = graph.recurrent("lstm", first, x).sequence;
    let gru = Cell::gru(GruReset::AfterMatmul);
    let second = layer(gru, Direction::Forward, [size, size], 2);
    let values = graph.recurrent("gru", second, x);
    graph.output("y", if last { values.last } else { values.sequence });
    graph.build().unwrap()
}

/// Far more streams than are run at once, in any order, with one thread and with two.
#[test]
fn many_streams_at_once_are_each_alone() {
    let count = 600;
    for axes in [SequenceAxes::BatchTime, SequenceAxes::TimeBatch] {
        for (last, threads) in [(false, 1), (true, 1), (false, 2)] {
            let model = stacked(axes, last, [5, 19]);
            for isa in Isa::available() {
                let threads = Threads::new(threads).unwrap();
                let options = PlanOptions::default().isa(isa).threads(threads);
                let mut twins = Twins::new(model.plan(options).unwrap(), 2);
                (0..count).for_each(|_| twins.open());
                let all: Vec<usize> = (0..count).collect();
                twins.tick(&all, 1);
                twins.tick(&shuffled(all.clone(), 3), 3);
                twins.tick(&all, 0);
                twins.tick(&shuffled(all, 4)[..count / 2], 1);
                twins.check_states();
            }
        }
    }
}

/// Layers that are large enough for two threads to share.
#[test]
fn threads_change_no_bit() {
    for axes in [SequenceAxes::BatchTime, SequenceAxes::TimeBatch] {
        let options = PlanOptions::default().threads(Threads::new(2).unwrap());
        let plan = stacked(axes, false, [48, 96]).plan(options).unwrap();
        let mut twins = Twins::new(plan, 16);
        (0..40).for_each(|_| twins.open());
        for (streams, time) in [(40, 1), (40, 16), (1, 40), (3, 40)] {
            twins.tick(&shuffled((0..streams).collect(), 9), time);
        }
        twins.check_states();
    }
}

/// What is no number stays in its stream, and not even there when that is forgotten.
#[test]
fn nan_stays_in_its_stream() {
    for isa in Isa::available() {
        let plan = models::plan(&stacked(SequenceAxes::BatchTime, false, [2, 5]), isa);
        let mut twins = Twins::new(plan, 1);
        (0..3).for_each(|_| twins.open());
        twins.tick(&[0, 1, 2], 1);
        let clean = twins.pool.state(twins.streams[1].0).unwrap();
        for way in 0..3 {
            let id = twins.streams[1].0;
            let mut y = [0.0; 5];
            for x in [[f32::NAN, 1.0], [f32::INFINITY, f32::NEG_INFINITY]] {
                twins.pool.tick(&[id], &x, &mut y).unwrap();
            }
            assert!(y.iter().all(|y| y.is_nan()));
            twins.streams[1].1 = twins.plan.session(1, 1).unwrap();
            match way {
                0 => twins.pool.reset(id).unwrap(),
                1 => {
                    twins.pool.set_state(id, &clean).unwrap();
                    twins.streams[1].1.set_state(&clean).unwrap();
                }
                _ => {
                    twins.pool.close(id).unwrap();
                    twins.streams[1].0 = twins.pool.open().unwrap();
                }
            }
            twins.tick(&[2, 1, 0], 1);
            twins.tick(&[0, 1], 1);
            twins.check_states();
        }
    }
}

#[test]
fn room_is_made_ahead_and_keeps_what_is_there() {
    let mut twins = Twins::new(stream(), 1);
    for room in [0, 1, 5, 200, 3] {
        twins.pool.reserve(room).unwrap();
        (0..3).for_each(|_| twins.open());
        let all: Vec<usize> = (0..twins.streams.len()).collect();
        twins.tick(&all, 1);
        twins.check_states();
    }
    for room in [usize::MAX, usize::MAX / 8, 1 << 56] {
        refused(twins.pool.reserve(room), &["stream pool", "memory", &room.to_string()]);
    }
    twins.check_states();
}

#[test]
fn streams_that_are_not_open_are_refused() {
    let plan = stream();
    let (mut pool, mut other) = (plan.stream_pool(1).unwrap(), plan.stream_pool(1).unwrap());
    // In each pool two streams have the same place, one after the other.
    let [[gone, here], [_, foreign]] = [&mut pool, &mut other].map(|pool| {
        let gone = pool.open().unwrap();
        pool.close(gone).unwrap();
        refused(pool.tick(&[gone], &[0.5; 3], &mut [0.0; 5]), &[&gone.to_string(), "closed"]);
        [gone, pool.open().unwrap()]
    });
    assert!(here != gone && here != foreign && pool.is_open(here));
    pool.tick(&[here], &[0.5; 3], &mut [0.0; 5]).unwrap();
    let before = pool.state(here).unwrap();
    for id in [gone, foreign] {
        let words = [&id.to_string(), "closed, or of another pool", "open in this pool"];
        assert!(!pool.is_open(id));
        refused(pool.close(id), &words);
        refused(pool.reset(id), &words);
        refused(pool.state(id), &words);
        refused(pool.state_into(id, &mut State::default()), &words);
        refused(pool.set_state(id, &before), &words);
        let tick = pool.tick(&[here, id], &[0.5; 6], &mut [0.0; 10]);
        refused(tick, &[&words[..], &["id 1 of a tick"]].concat());
    }
    assert_eq!(pool.state(here).unwrap(), before, "nothing has run");
    assert_eq!((pool.len(), other.len()), (1, 1));
}

#[test]
fn a_tick_that_does_not_fit_is_refused() {
    let mut pool = stream().stream_pool(2).unwrap();
    let [a, b] = [(); 2].map(|()| pool.open().unwrap());
    pool.tick(&[a, b], &[0.5; 6], &mut [0.0; 10]).unwrap();
    let before = [a, b].map(|id| pool.state(id).unwrap());
    let twice = pool.tick(&[a, b, a], &[0.5; 9], &mut [0.0; 15]);
    refused(twice, &[&a.to_string(), "once", "ids 0 and 2", "tick_steps"]);
    for length in [0, 3, 5, 7, 12] {
        let words = ["input 'x'", "2 streams", "1 steps", "6 numbers", &length.to_string()];
        refused(pool.tick(&[a, b], &vec![0.5; length], &mut [0.0; 10]), &words);
    }
    for length in [0, 5, 9, 11, 20] {
        let words = ["output 'y'", "2 streams", "1 steps", "10 numbers", &length.to_string()];
        refused(pool.tick(&[a, b], &[0.5; 6], &mut vec![0.0; length]), &words);
    }
    let steps = pool.tick_steps(&[a, b], 3, &[0.5; 6], &mut [0.0; 10]);
    refused(steps, &["input 'x'", "2 streams", "3 steps", "18 numbers", "6"]);
    for time in [usize::MAX, 1 << 62] {
        refused(pool.tick_steps(&[a], time, &[0.5; 3], &mut [0.0; 5]), &["input 'x'", "3"]);
    }
    assert_eq!([a, b].map(|id| pool.state(id).unwrap()), before, "nothing has run");
    pool.tick(&[], &[], &mut []).unwrap();
    pool.tick_steps(&[], usize::MAX, &[], &mut []).unwrap();
    assert_eq!([a, b].map(|id| pool.state(id).unwrap()), before, "nobody had input");
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let mut pool = stream().stream_pool(1).unwrap();
    let id = pool.open().unwrap();
    pool.tick(&[id], &[0.5; 3], &mut [0.0; 5]).unwrap();
    let good = pool.state(id).unwrap();
    assert_eq!(good.get("lstm_0.h").unwrap().shape(), [1, 1, 5]);
    let lacks = State::from_arrays(good.arrays()[..1].to_vec());
    refused(pool.set_state(id, &lacks), &["'lstm_0.c'", "missing"]);
    let of_two = stream().session(2, 1).unwrap().state().unwrap();
    refused(pool.set_state(id, &of_two), &["'lstm_0.h'", "[1, 1, 5]", "[1, 2, 5]"]);
    let other = State::from_arrays(vec![("gru_0.h".into(), zeros(&[1, 1, 5]))]);
    refused(pool.set_state(id, &other), &["'gru_0.h'", "lstm_0.h, lstm_0.c"]);
    assert_eq!(pool.state(id).unwrap(), good, "nothing was changed");
}

/// A stream moves to a session and back.
#[test]
fn a_state_goes_from_a_pool_to_a_session_and_back() {
    let plan = stream();
    let mut pool = plan.stream_pool(1).unwrap();
    let mut session = plan.session(3, 1).unwrap();
    let ids = [(); 2].map(|()| pool.open().unwrap());
    let [mut y, mut together] = [[0.0; 10], [0.0; 10]];
    pool.tick(&ids, &[0.25, 0.5, -0.75, 1.0, -0.5, 0.125], &mut y).unwrap();
    session.set_row_state(2, &pool.state(ids[1]).unwrap()).unwrap();
    let step = [0.5, -0.25, 1.0];
    let found = session.run(&[[0.0; 3], [0.0; 3], step].concat()).unwrap();
    pool.tick(&ids, &[step, step].concat(), &mut together).unwrap();
    assert_eq!(bits_of(&found[10..]), bits_of(&together[5..]));
    pool.set_state(ids[0], &session.row_state(2).unwrap()).unwrap();
    pool.tick(&ids, &[step, step].concat(), &mut together).unwrap();
    assert_eq!(bits_of(&together[..5]), bits_of(&together[5..]));
}

#[test]
fn models_that_a_tick_cannot_run_are_refused() {
    let chain = |op: Op| Model::chain(3).then(op).build().unwrap();
    let both = layer(Cell::LSTM, Direction::Bidirectional, [3, 5], 1);
    let both = Model::chain(3).recurrent(both).build().unwrap();
    for (model, node) in [(both, "lstm_0"), (chain(Op::MeanOverTime), "mean_time_0")] {
        let refusal = refusal::plan(&model).stream_pool(1);
        refused(refusal, &["stream pool", node, "needs a whole sequence", "to run"]);
    }
    let graph = |build: &dyn Fn(&mut ritornello::model::GraphBuilder)| {
        let mut graph = Model::graph();
        build(&mut graph);
        refusal::plan(&graph.build().unwrap()).stream_pool(1)
    };
    let two = graph(&|graph| {
        let x = graph.sequence("x", 3);
        let values = graph.recurrent("lstm", lstm(), x);
        graph.output("y", values.sequence);
        graph.output("c", values.c_n);
    });
    refused(two, &["1 inputs and 2 outputs", "run_arrays"]);
    let given = graph(&|graph| {
        let x = graph.sequence("x", 3);
        let states = [graph.states("h", 1, 5), graph.states("c", 1, 5)];
        let values = graph.recurrent_from("lstm", lstm(), x, &states);
        graph.output("y", values.sequence);
    });
    refused(given, &["3 inputs and 1 outputs", "run_arrays"]);
    let words = graph(&|graph| {
        let ids = graph.indices("ids");
        let table = Embedding::new(Matrix::new(5, 3, vec![0.5; 15]).unwrap());
        let x = graph.embedding("words", table, ids);
        let y = graph.recurrent("lstm", lstm(), x).sequence;
        graph.output("y", y);
    });
    refused(words, &["'ids'", "indices", "run_arrays"]);
    let vector = graph(&|graph| {
        let v = graph.vector("v", 3);
        graph.output("v", v);
    });
    refused(vector, &["'v'", "[batch, 3]", "no sequence of any length"]);
    let fixed = graph(&|graph| {
        let fixed = Shape::Sequence { time: Extent::Fixed(4), features: 3 };
        let x = graph.input("f", fixed, Element::F32);
        graph.output("y", x);
    });
    refused(fixed, &["'f'", "[batch, time=4, 3]", "no sequence of any length"]);
    let states = graph(&|graph| {
        let x = graph.sequence("x", 3);
        let values = graph.recurrent("lstm", lstm(), x);
        let both = graph.node("both", Op::Stack, &[values.h_n, values.c_n]);
        graph.output("both", both);
    });
    refused(states, &["'both'", "several states"]);
    refused(stream().stream_pool(0), &["steps", "at least 1", "0"]);
    refused(stream().stream_pool(usize::MAX), &["stream pool", "memory"]);
}

/// Arrays of a stream's state can be made by hand.
#[test]
fn a_stream_begins_where_it_is_told() {
    let mut pool = stream().stream_pool(1).unwrap();
    let id = pool.open().unwrap();
    let array = |value: f32| Array::new(&[1, 1, 5], vec![value; 5]).unwrap();
    let state = [("lstm_0.c".into(), array(0.5)), ("lstm_0.h".into(), array(-0.25))];
    pool.set_state(id, &State::from_arrays(state.to_vec())).unwrap();
    let found = pool.state(id).unwrap();
    assert_eq!(found.get("lstm_0.c"), Some(&state[0].1));
    assert_eq!(found.get("lstm_0.h"), Some(&state[1].1));
}
