//! One step of many streams, three ways: as a tick of a pool, each in a session of its own, and as one
//! session of as many rows, which cannot leave a stream out.
//!
//! Ids: `streams-{cell}-f32-{level}/{way}/B…_I…_H…`; a tick takes the streams in no order. The ways
//! are first held against each other over a few steps, to the bit. Elements are streams.

mod noise;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noise::Noise;
use ritornello::model::{Cell, GruReset, Model};
use ritornello::{Isa, Plan, PlanOptions, Session, StreamId, StreamPool, Threads};

const STREAMS: [usize; 4] = [1, 16, 256, 4096];

/// `[input_size, hidden_size]`
const SHAPE: [usize; 2] = [64, 128];

/// The three ways, each of which takes `x` `[streams, input_size]` to `y` `[streams, hidden_size]`.
struct Ways {
    pool: StreamPool,
    /// Row r is the stream of session r.
    ids: Vec<StreamId>,
    sessions: Vec<Session>,
    batch: Session,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Ways {
    fn new(plan: &Plan, streams: usize, x: Vec<f32>) -> Self {
        let mut pool = plan.stream_pool(1).expect("a causal chain");
        let opened: Vec<StreamId> = (0..streams).map(|_| pool.open().expect("fits")).collect();
        Self {
            pool,
            // A step that shares no factor with a power of two meets each once.
            ids: (0..streams).map(|row| opened[(row * 1237 + 11) % streams]).collect(),
            sessions: (0..streams).map(|_| plan.session(1, 1).expect("fits")).collect(),
            batch: plan.session(streams, 1).expect("fits"),
            x,
            y: vec![0.0; streams * SHAPE[1]],
        }
    }

    fn pool(&mut self) {
        self.pool.tick(&self.ids, black_box(&self.x), &mut self.y).expect("fits");
    }

    fn sessions(&mut self) {
        let [input_size, size] = SHAPE;
        let rows = black_box(&self.x).chunks(input_size).zip(self.y.chunks_mut(size));
        for (session, (x, y)) in self.sessions.iter_mut().zip(rows) {
            session.step(x, y).expect("fits");
        }
    }

    fn batch(&mut self) {
        self.batch.step(black_box(&self.x), &mut self.y).expect("fits");
    }

    fn check(&mut self) {
        for step in 0..3 {
            let each = [Self::pool, Self::sessions, Self::batch].map(|way| {
                self.y.fill(f32::NAN);
                way(self);
                self.y.iter().map(|y| y.to_bits()).collect::<Vec<_>>()
            });
            assert!(each[0] == each[1] && each[1] == each[2], "the ways differ in step {step}");
        }
    }
}

fn streams(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    let [input_size, size] = SHAPE;
    for isa in Isa::available() {
        for cell in [Cell::LSTM, Cell::gru(GruReset::AfterMatmul)] {
            let mut group = criterion.benchmark_group(format!("streams-{}-f32-{isa}", cell.name()));
            let mut noise = Noise(1);
            let layer = noise.layer(cell, input_size, size);
            let model = Model::chain(input_size).recurrent(layer).build().expect("a chain");
            let options = PlanOptions::default().isa(isa).threads(Threads::one());
            let plan = model.into_plan(options).expect("a level of this CPU");
            for streams in STREAMS {
                let x = noise.numbers(streams * input_size, 1.0);
                let mut ways = Ways::new(&plan, streams, x);
                ways.check();
                group.throughput(Throughput::Elements(streams as u64));
                let of_shape = format!("B{streams}_I{input_size}_H{size}");
                group.bench_function(format!("pool/{of_shape}"), |bencher| {
                    bencher.iter(|| ways.pool());
                });
                group.bench_function(format!("batch/{of_shape}"), |bencher| {
                    bencher.iter(|| ways.batch());
                });
                group.bench_function(format!("sessions/{of_shape}"), |bencher| {
                    bencher.iter(|| ways.sessions());
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, streams);
criterion_main!(benches);
