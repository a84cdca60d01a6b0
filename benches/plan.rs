//! Plan time: a model's weights into the order of kernels, beside a plain copy of them.
//!
//! Ids: `plan-{cell}-f32-{level}/{how}/I…_H…_L…`, and `copy-f32/fresh/…` for the same number of bytes
//! copied into memory that is asked for each time. `plan` keeps the model, `into_plan` gives it up.
//! Every plan is first held against one made the other way, to the bit.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ritornello::model::{
    Cell, CellWeights, Direction, GruReset, Matrix, Model, Recurrent, RecurrentWeights,
};
use ritornello::{Isa, Plan, PlanOptions, Threads};

/// `[input_size, hidden_size, layers]`.
const SHAPES: [[usize; 3]; 3] = [[1, 16, 1], [64, 128, 2], [1024, 1024, 4]];

/// Numbers in [-bound, bound), never all the same: a cycle of 251.
fn numbers(count: usize, bound: f32) -> Vec<f32> {
    (0..count).map(|i| bound * (((i * 37) % 251) as f32 / 125.5 - 1.0)).collect()
}

fn layer(cell: Cell, input_size: usize, size: usize) -> Recurrent {
    let rows = cell.gates().len() * size;
    let bound = 1.0 / (size as f32).sqrt();
    let matrix =
        |columns: usize| Matrix::new(rows, columns, numbers(rows * columns, bound)).expect("fits");
    let weights = CellWeights {
        input: matrix(input_size),
        recurrent: RecurrentWeights::Matrix(matrix(size)),
        bias: Some(numbers(rows, bound)),
        recurrent_bias: Some(numbers(rows, bound)),
        peepholes: None,
        projection: None,
    };
    Recurrent::new(cell, Direction::Forward, vec![weights]).expect("fits")
}

fn model(cell: Cell, [input_size, size, layers]: [usize; 3]) -> Model {
    let features = |index| if index == 0 { input_size } else { size };
    (0..layers)
        .fold(Model::chain(input_size), |chain, index| {
            chain.recurrent(layer(cell, features(index), size))
        })
        .build()
        .expect("a chain")
}

/// Two plans of one model give the same bits.
fn check(plans: [Plan; 2], input_size: usize) {
    let x = numbers(3 * input_size, 1.0);
    let [one, other] = plans.map(|plan| {
        let y = plan.session(1, 3).expect("fits").run(&x).expect("fits");
        y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    });
    assert_eq!(one, other, "a plan of a model and one that it was given up for");
}

fn plan(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    for cell in [Cell::LSTM, Cell::gru(GruReset::AfterMatmul)] {
        for shape in SHAPES {
            let model = model(cell, shape);
            let [input_size, size, layers] = shape;
            let id = format!("I{input_size}_H{size}_L{layers}");
            let weights = numbers(model.parameters(), 1.0);
            let bytes = Throughput::Bytes(size_of_val(&weights[..]) as u64);
            let mut group = criterion.benchmark_group("copy-f32/fresh");
            group.sample_size(10).throughput(bytes.clone());
            group.bench_function(format!("{}/{id}", cell.name()), |bencher| {
                bencher.iter_batched(
                    || (),
                    |()| black_box(&weights).clone(),
                    BatchSize::PerIteration,
                );
            });
            group.finish();
            for isa in Isa::available() {
                let options = || PlanOptions::default().isa(isa).threads(Threads::one());
                let keep = |model: &Model| model.plan(options()).expect("a level of this CPU");
                let give = |model: Model| model.into_plan(options()).expect("a level of this CPU");
                check([keep(&model), give(model.clone())], input_size);
                let name = format!("plan-{}-f32-{isa}", cell.name());
                let mut group = criterion.benchmark_group(name);
                group.sample_size(10).throughput(bytes.clone());
                group.bench_function(format!("plan/{id}"), |bencher| {
                    bencher.iter_batched(|| (), |()| keep(&model), BatchSize::PerIteration);
                });
                group.bench_function(format!("into_plan/{id}"), |bencher| {
                    bencher.iter_batched(|| model.clone(), give, BatchSize::PerIteration);
                });
                group.finish();
            }
        }
    }
}

criterion_group!(benches, plan);
criterion_main!(benches);
