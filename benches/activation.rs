//! Activations by themselves, over rows. The time holds a copy of the row, which is done over again.
//!
//! Ids: `activation-{name}-f32-{level}/{family}/T…_B…_F…`. Every bench is first held against f64.

#[path = "../kernels/tests/layer/mod.rs"]
mod layer;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use layer::{noise, reference_activation};
use ritornello_kernels::{Activation, AlignedBuffer, Isa, Kernels, ViewMut};
use ritornello_reference::{softmax, widen};

/// Family, and `[time, batch, features]`.
const SHAPES: [(&str, [usize; 3]); 3] =
    [("step", [1, 1, 64]), ("stream", [100, 1, 64]), ("throughput", [100, 16, 256])];

/// With the most that `docs/numerics.md` allows, in ULP, on any level; of softmax what its sum adds.
const ACTIVATIONS: [(Activation, f64); 6] = [
    (Activation::Tanh, 3.0),
    (Activation::Sigmoid, 3.0),
    (Activation::Exponential, 2.0),
    (Activation::Softplus, 3.0),
    (Activation::Gelu, 9.0),
    (Activation::Softmax, 36.0),
];

fn check(activation: Activation, ulp: f64, input: &[f32], output: &[f32], features: usize) {
    for (input, output) in input.chunks(features).zip(output.chunks(features)) {
        let x = widen(input);
        let exact: Vec<f64> = match activation {
            Activation::Softmax => softmax(&x),
            other => x.iter().map(|&x| reference_activation(other).apply(x)).collect(),
        };
        for ((x, found), exact) in x.iter().zip(output).zip(exact) {
            let error = (f64::from(*found) - exact).abs();
            // The portable level rounds the square in gelu's exp(-x²/2): half x² units of 2⁻²⁴.
            let square = if activation == Activation::Gelu { 0.25 * x * x } else { 0.0 };
            let allowed = (ulp + square) * f64::from(f32::EPSILON) * exact.abs();
            assert!(error <= allowed, "{activation}({x}) is {found}, exact {exact}");
        }
    }
}

fn activation(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    for kernels in Kernels::available() {
        for (activation, ulp) in ACTIVATIONS {
            let name = format!("activation-{}-f32-{}", activation.name(), kernels.isa());
            let mut group = criterion.benchmark_group(name);
            for (family, shape @ [time, batch, features]) in SHAPES {
                let mut next = noise(1);
                let input: Vec<f32> = (0..time * batch * features).map(|_| 6.0 * next()).collect();
                let mut output = AlignedBuffer::zeroed(input.len());
                let run = |output: &mut [f32]| {
                    output.copy_from_slice(black_box(&input));
                    kernels.activate(activation, ViewMut::time_major(output, shape));
                };
                run(&mut output);
                check(activation, ulp, &input, &output, features);
                group.throughput(Throughput::Elements((time * batch) as u64));
                let id = format!("{family}/T{time}_B{batch}_F{features}");
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        run(&mut output);
                        black_box(&mut output);
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, activation);
criterion_main!(benches);
