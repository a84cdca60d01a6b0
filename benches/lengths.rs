//! A batch of rows of different lengths, three ways: with the lengths, padded with every step run, and
//! row by row in a session of one row.
//!
//! Ids: `lengths-{cell}-f32-{level}/{way}/T…_B…_I…_H…`; the lengths are 1 to T, evenly spread and in
//! no order. The three are first held against each other, to the bit. Elements are steps that count.
//!
//! Ids: `masks-{cell}-f32-{level}/{way}/T…_B…_I…_H…`; half of the steps of every row count, wherever they
//! are: with that mask, with every step run, and with the steps that count put one behind the other
//! beforehand and lengths. The first and the last are first held against each other, to the bit.

mod noise;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noise::Noise;
use ritornello::model::{Cell, GruReset, Model};
use ritornello::{Isa, PlanOptions, Session, Threads};

/// `[time, batch, input_size, hidden_size]`
const SHAPES: [[usize; 4]; 4] =
    [[100, 16, 16, 32], [100, 16, 64, 128], [100, 32, 256, 256], [1000, 8, 64, 128]];

/// Evenly from 1 to `time`, in an order that has nothing to do with it.
fn lengths(time: usize, batch: usize) -> Vec<usize> {
    let spread = |row: usize| 1 + row * (time - 1) / (batch - 1);
    (0..batch).map(|row| spread((row * 7 + 3) % batch)).collect()
}

/// The three ways, each into `y` `[batch, time, size]`.
struct Ways {
    together: Session,
    alone: Session,
    x: Vec<f32>,
    y: Vec<f32>,
    lengths: Vec<usize>,
    shape: [usize; 4],
}

impl Ways {
    fn with_lengths(&mut self) {
        self.together.reset();
        let (x, y) = (black_box(&self.x), &mut self.y);
        self.together.run_lengths_into(x, &self.lengths, y).expect("fits");
    }

    fn padded(&mut self) {
        self.together.reset();
        self.together.run_into(black_box(&self.x), &mut self.y).expect("fits");
    }

    fn row_by_row(&mut self) {
        let [time, _, features, size] = self.shape;
        let rows = self.x.chunks(time * features).zip(self.y.chunks_mut(time * size));
        for ((x, y), &length) in rows.zip(&self.lengths) {
            self.alone.reset();
            let (x, y) = (black_box(&x[..length * features]), &mut y[..length * size]);
            self.alone.run_into(x, y).expect("fits");
        }
    }

    /// The bits of the steps that count.
    fn bits(&self) -> Vec<u32> {
        let [time, _, _, size] = self.shape;
        let rows = self.y.chunks(time * size).zip(&self.lengths);
        rows.flat_map(|(y, &length)| y[..length * size].iter().map(|y| y.to_bits())).collect()
    }

    fn check(&mut self) {
        self.with_lengths();
        let expected = self.bits();
        for way in [Self::padded, Self::row_by_row] {
            self.y.fill(f32::NAN);
            way(self);
            assert!(self.bits() == expected, "the ways differ");
        }
    }
}

fn lengths_of_rows(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    for isa in Isa::available() {
        for cell in [Cell::LSTM, Cell::gru(GruReset::AfterMatmul)] {
            let mut group = criterion.benchmark_group(format!("lengths-{}-f32-{isa}", cell.name()));
            for shape in SHAPES {
                let [time, batch, input_size, size] = shape;
                let mut noise = Noise(1);
                let layer = noise.layer(cell, input_size, size);
                let model = Model::chain(input_size).recurrent(layer).build().expect("a chain");
                let options = PlanOptions::default().isa(isa).threads(Threads::one());
                let plan = model.into_plan(options).expect("a level of this CPU");
                let mut ways = Ways {
                    together: plan.session(batch, time).expect("fits"),
                    alone: plan.session(1, time).expect("fits"),
                    x: noise.numbers(time * batch * input_size, 1.0),
                    y: vec![0.0; time * batch * size],
                    lengths: lengths(time, batch),
                    shape,
                };
                ways.check();
                let steps: usize = ways.lengths.iter().sum();
                group.throughput(Throughput::Elements(steps as u64));
                let of_shape = format!("T{time}_B{batch}_I{input_size}_H{size}");
                group.bench_function(format!("lengths/{of_shape}"), |bencher| {
                    bencher.iter(|| ways.with_lengths());
                });
                group.bench_function(format!("padded/{of_shape}"), |bencher| {
                    bencher.iter(|| ways.padded());
                });
                group.bench_function(format!("row-by-row/{of_shape}"), |bencher| {
                    bencher.iter(|| ways.row_by_row());
                });
            }
            group.finish();
        }
    }
}

/// Rows with holes, and the same rows without.
struct Holes {
    session: Session,
    x: Vec<f32>,
    mask: Vec<bool>,
    /// The steps of each row that count, in front.
    packed: Vec<f32>,
    lengths: Vec<usize>,
    y: Vec<f32>,
    size: usize,
}

impl Holes {
    fn new(session: Session, [time, batch, features, size]: [usize; 4], noise: &mut Noise) -> Self {
        let x = noise.numbers(time * batch * features, 1.0);
        let mask: Vec<bool> =
            noise.numbers(time * batch, 1.0).into_iter().map(|number| number < 0.0).collect();
        let mut packed = vec![0.0; x.len()];
        let mut lengths = vec![0; batch];
        for (step, x) in x.chunks(features).enumerate().filter(|(step, _)| mask[*step]) {
            let row = step / time;
            packed[(row * time + lengths[row]) * features..][..features].copy_from_slice(x);
            lengths[row] += 1;
        }
        let y = vec![0.0; time * batch * size];
        Self { session, x, mask, packed, lengths, y, size }
    }

    fn masked(&mut self) {
        self.session.reset();
        let (x, y) = (black_box(&self.x), &mut self.y);
        self.session.run_masked_into(x, &self.mask, y).expect("fits");
    }

    fn padded(&mut self) {
        self.session.reset();
        self.session.run_into(black_box(&self.x), &mut self.y).expect("fits");
    }

    fn packed(&mut self) {
        self.session.reset();
        let (x, y) = (black_box(&self.packed), &mut self.y);
        self.session.run_lengths_into(x, &self.lengths, y).expect("fits");
    }

    /// The bits of the steps that count, row after row; `counts` says which they are.
    fn bits(&self, counts: impl Fn(usize) -> bool) -> Vec<u32> {
        let steps = self.y.chunks(self.size).enumerate().filter(|(step, _)| counts(*step));
        steps.flat_map(|(_, y)| y.iter().map(|y| y.to_bits())).collect()
    }

    fn check(&mut self, time: usize) {
        self.masked();
        let expected = self.bits(|step| self.mask[step]);
        self.packed();
        let found = self.bits(|step| step % time < self.lengths[step / time]);
        assert!(found == expected, "the ways differ");
    }
}

fn masks_with_holes(criterion: &mut Criterion) {
    for isa in Isa::available() {
        for cell in [Cell::LSTM, Cell::gru(GruReset::AfterMatmul)] {
            let mut group = criterion.benchmark_group(format!("masks-{}-f32-{isa}", cell.name()));
            for shape in SHAPES {
                let [time, batch, input_size, size] = shape;
                let mut noise = Noise(1);
                let layer = noise.layer(cell, input_size, size);
                let model = Model::chain(input_size).recurrent(layer).build().expect("a chain");
                let options = PlanOptions::default().isa(isa).threads(Threads::one());
                let plan = model.into_plan(options).expect("a level of this CPU");
                let session = plan.session(batch, time).expect("fits");
                let mut holes = Holes::new(session, shape, &mut noise);
                holes.check(time);
                let steps: usize = holes.lengths.iter().sum();
                group.throughput(Throughput::Elements(steps as u64));
                let of_shape = format!("T{time}_B{batch}_I{input_size}_H{size}");
                group.bench_function(format!("masked/{of_shape}"), |bencher| {
                    bencher.iter(|| holes.masked());
                });
                group.bench_function(format!("padded/{of_shape}"), |bencher| {
                    bencher.iter(|| holes.padded());
                });
                group.bench_function(format!("packed/{of_shape}"), |bencher| {
                    bencher.iter(|| holes.packed());
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, lengths_of_rows, masks_with_holes);
criterion_main!(benches);
