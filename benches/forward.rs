//! A whole model: layers and a dense head, one thread, the state going on from call to call.
//!
//! Ids: `forward-{cell}-f32-{level}/{family}/T…_B…_I…_H…_L…`. Every bench is first held against the
//! same steps one by one, to the bit.

mod noise;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noise::Noise;
use ritornello::model::{Activation, Cell, Dense, GruReset, Matrix, Model};
use ritornello::{Isa, PlanOptions, Session, Threads};

/// Family, and `[time, batch, input_size, hidden_size, layers]`.
const SHAPES: [(&str, [usize; 5]); 7] = [
    ("step", [1, 1, 1, 16, 1]),
    ("step", [1, 1, 64, 128, 1]),
    ("stream", [100, 1, 1, 16, 1]),
    ("stream", [100, 1, 64, 128, 1]),
    ("stream", [100, 1, 40, 256, 2]),
    ("throughput", [100, 16, 64, 128, 1]),
    ("throughput", [20, 32, 40, 256, 2]),
];

const OUTPUTS: usize = 10;

fn model(noise: &mut Noise, cell: Cell, input_size: usize, size: usize, layers: usize) -> Model {
    let mut chain = Model::chain(input_size);
    for layer in 0..layers {
        let features = if layer == 0 { input_size } else { size };
        chain = chain.recurrent(noise.layer(cell, features, size));
    }
    let bound = 1.0 / (size as f32).sqrt();
    let weights = Matrix::new(OUTPUTS, size, noise.numbers(OUTPUTS * size, bound)).expect("fits");
    let bias = noise.numbers(OUTPUTS, bound);
    let dense = Dense::new(weights, Some(bias), Activation::Softmax).expect("fits");
    chain.dense(dense).build().expect("a chain")
}

/// What the whole sequence gave, against single steps from the same state. Both are batch-major.
fn check(session: &mut Session, x: &[f32], y: &[f32], [time, batch]: [usize; 2]) {
    session.reset();
    let (features, mut step) = (x.len() / (time * batch), vec![0.0; batch * OUTPUTS]);
    for t in 0..time {
        let rows = x.chunks(time * features);
        let input: Vec<f32> =
            rows.flat_map(|row| row[t * features..][..features].to_vec()).collect();
        session.step(&input, &mut step).expect("causal");
        for (together, alone) in y.chunks(time * OUTPUTS).zip(step.chunks(OUTPUTS)) {
            let together = together[t * OUTPUTS..][..OUTPUTS].iter().map(|y| y.to_bits());
            assert!(together.eq(alone.iter().map(|y| y.to_bits())), "step {t} by itself");
            let sum: f32 = alone.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "shares of step {t} sum to {sum}");
        }
    }
    session.reset();
}

fn forward(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    let cells = [Cell::SIMPLE_RNN, Cell::LSTM, Cell::gru(GruReset::AfterMatmul)];
    for isa in Isa::available() {
        for cell in cells {
            let name = format!("forward-{}-f32-{isa}", cell.name());
            let mut group = criterion.benchmark_group(name);
            for (family, [time, batch, input_size, size, layers]) in SHAPES {
                let mut noise = Noise(1);
                let model = model(&mut noise, cell, input_size, size, layers);
                let options = PlanOptions::default().isa(isa).threads(Threads::one());
                let plan = model.into_plan(options).expect("a level of this CPU");
                let mut session = plan.session(batch, time).expect("fits");
                let x = noise.numbers(time * batch * input_size, 1.0);
                let mut y = vec![0.0; time * batch * OUTPUTS];
                session.run_into(&x, &mut y).expect("fits");
                check(&mut session, &x, &y, [time, batch]);
                group.throughput(Throughput::Elements((time * batch) as u64));
                let id = format!("{family}/T{time}_B{batch}_I{input_size}_H{size}_L{layers}");
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        session.run_into(black_box(&x), &mut y).expect("fits");
                        black_box(&mut y);
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, forward);
criterion_main!(benches);
