//! Batches of rows of which some steps do not count, several ways.
//!
//! Ids: `{which}-{layer}-f32-{level}/{way}/T…_B…_I…_H…`. The ways: `lengths`, or in a batch with holes
//! `packed`, with the steps that count one behind the other and lengths; `masked`, where they are, with
//! a mask; `padded`, with every step run; `row-by-row`, packed, in a session of one row. They are first
//! held against each other, to the bit; `padded` only where it gives the same. Elements are steps that
//! count.
//!
//! * `lengths`: rows of 1 to T steps, evenly spread and in no order.
//! * `masks`: half of the steps of every row count, wherever they are.

mod noise;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noise::Noise;
use ritornello::model::{Cell, Direction, GruReset, Model, Recurrent};
use ritornello::{Isa, PlanOptions, Session, Threads};

/// `[time, batch, input_size, hidden_size]`
const SHAPES: [[usize; 4]; 4] =
    [[100, 16, 16, 32], [100, 16, 64, 128], [100, 32, 256, 256], [1000, 8, 64, 128]];

const LAYERS: [(&str, Cell, Direction); 7] = [
    ("lstm", Cell::LSTM, Direction::Forward),
    ("lstm-reverse", Cell::LSTM, Direction::Reverse),
    ("lstm-bidirectional", Cell::LSTM, Direction::Bidirectional),
    ("gru", Cell::gru(GruReset::AfterMatmul), Direction::Forward),
    ("gru-bidirectional", Cell::gru(GruReset::AfterMatmul), Direction::Bidirectional),
    ("rnn", Cell::SIMPLE_RNN, Direction::Forward),
    ("rnn-bidirectional", Cell::SIMPLE_RNN, Direction::Bidirectional),
];

/// Evenly from 1 to `time`, in an order that has nothing to do with it: which steps of each row count.
fn without_holes(time: usize, batch: usize) -> Vec<bool> {
    let spread = |row: usize| 1 + row * (time - 1) / (batch - 1);
    let length = |row: usize| spread((row * 7 + 3) % batch);
    (0..batch * time).map(|place| place % time < length(place / time)).collect()
}

/// A batch and its answer `[batch, time, size]`.
struct Batch {
    together: Session,
    alone: Session,
    x: Vec<f32>,
    mask: Vec<bool>,
    /// The steps of each row that count, in front.
    packed: Vec<f32>,
    lengths: Vec<usize>,
    y: Vec<f32>,
    time: usize,
    features: usize,
    size: usize,
}

type Way = (&'static str, fn(&mut Batch));

impl Batch {
    fn new(
        layer: Recurrent,
        isa: Isa,
        [time, batch]: [usize; 2],
        mask: Vec<bool>,
        noise: &mut Noise,
    ) -> Self {
        let (features, size) = (layer.input_size(), layer.output_size());
        let model = Model::chain(features).recurrent(layer).build().expect("a chain");
        let options = PlanOptions::default().isa(isa).threads(Threads::one());
        let plan = model.into_plan(options).expect("a level of this CPU");
        let x = noise.numbers(time * batch * features, 1.0);
        let mut packed = vec![0.0; x.len()];
        let mut lengths = vec![0; batch];
        for (step, x) in x.chunks(features).enumerate().filter(|(step, _)| mask[*step]) {
            let row = step / time;
            packed[(row * time + lengths[row]) * features..][..features].copy_from_slice(x);
            lengths[row] += 1;
        }
        Self {
            together: plan.session(batch, time).expect("fits"),
            alone: plan.session(1, time).expect("fits"),
            x,
            mask,
            packed,
            lengths,
            y: vec![0.0; time * batch * size],
            time,
            features,
            size,
        }
    }

    fn packed(&mut self) {
        self.together.reset();
        let (x, y) = (black_box(&self.packed), &mut self.y);
        self.together.run_lengths_into(x, &self.lengths, y).expect("fits");
    }

    fn masked(&mut self) {
        self.together.reset();
        let (x, y) = (black_box(&self.x), &mut self.y);
        self.together.run_masked_into(x, &self.mask, y).expect("fits");
    }

    fn padded(&mut self) {
        self.together.reset();
        self.together.run_into(black_box(&self.x), &mut self.y).expect("fits");
    }

    fn row_by_row(&mut self) {
        let Self { time, features, size, .. } = *self;
        let rows = self.packed.chunks(time * features).zip(self.y.chunks_mut(time * size));
        for ((x, y), &length) in rows.zip(&self.lengths) {
            self.alone.reset();
            let (x, y) = (black_box(&x[..length * features]), &mut y[..length * size]);
            self.alone.run_into(x, y).expect("fits");
        }
    }

    /// The bits of some steps, row after row; `counts` says which they are.
    fn bits(&self, counts: impl Fn(usize) -> bool) -> Vec<u32> {
        let steps = self.y.chunks(self.size).enumerate().filter(|(step, _)| counts(*step));
        steps.flat_map(|(_, y)| y.iter().map(|y| y.to_bits())).collect()
    }

    /// Whether a step is among those of its row that are in front in `packed`.
    fn is_in_front(&self, step: usize) -> bool {
        step % self.time < self.lengths[step / self.time]
    }

    fn check(&mut self, direction: Direction) {
        self.masked();
        let expected = self.bits(|step| self.mask[step]);
        let mut ways: Vec<fn(&mut Self)> = vec![Self::packed, Self::row_by_row];
        // What comes after the steps that count changes nothing of them.
        let in_front = (0..self.mask.len()).all(|step| self.mask[step] == self.is_in_front(step));
        if direction == Direction::Forward && in_front {
            ways.push(Self::padded);
        }
        for way in ways {
            self.y.fill(f32::NAN);
            way(self);
            let found = self.bits(|step| self.is_in_front(step));
            assert!(found == expected, "the ways differ");
        }
    }
}

/// Every layer and shape: `which` batches, with the steps that `mask` counts.
fn measure(
    criterion: &mut Criterion,
    which: &str,
    ways: &[Way],
    mask: impl Fn([usize; 2], &mut Noise) -> Vec<bool>,
) {
    for isa in Isa::available() {
        for (name, cell, direction) in LAYERS {
            let mut group = criterion.benchmark_group(format!("{which}-{name}-f32-{isa}"));
            for [time, batch, input_size, size] in SHAPES {
                let mut noise = Noise(1);
                let mut side = || noise.layer(cell, input_size, size).weights()[0].clone();
                let sides = (0..direction.count()).map(|_| side()).collect();
                let layer = Recurrent::new(cell, direction, sides).expect("fits");
                let mask = mask([time, batch], &mut noise);
                let mut one = Batch::new(layer, isa, [time, batch], mask, &mut noise);
                one.check(direction);
                let steps: usize = one.lengths.iter().sum();
                group.throughput(Throughput::Elements(steps as u64));
                for (way, run) in ways {
                    let id = format!("{way}/T{time}_B{batch}_I{input_size}_H{size}");
                    group.bench_function(id, |bencher| bencher.iter(|| run(&mut one)));
                }
            }
            group.finish();
        }
    }
}

fn lengths_of_rows(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    let ways: [Way; 3] =
        [("lengths", Batch::packed), ("padded", Batch::padded), ("row-by-row", Batch::row_by_row)];
    measure(criterion, "lengths", &ways, |[time, batch], _| without_holes(time, batch));
}

fn masks_with_holes(criterion: &mut Criterion) {
    let ways: [Way; 4] = [
        ("masked", Batch::masked),
        ("padded", Batch::padded),
        ("packed", Batch::packed),
        ("row-by-row", Batch::row_by_row),
    ];
    measure(criterion, "masks", &ways, |[time, batch], noise| {
        let numbers = noise.numbers(time * batch, 1.0);
        numbers.into_iter().map(|number| number < 0.0).collect()
    });
}

criterion_group!(benches, lengths_of_rows, masks_with_holes);
criterion_main!(benches);
