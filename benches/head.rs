//! A dense layer with its activation, on every row.
//!
//! Ids: `{kernel}-{activation}/{family}/T…_B…_I…_O…`. Every bench is first held against f64.

#[path = "../kernels/tests/layer/mod.rs"]
mod layer;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use layer::noise;
use ritornello_kernels::{
    Activation, AlignedBuffer, Isa, Kernels, MatrixSource, Precision, View, ViewMut,
};
use ritornello_reference::{Rounding, affine, dot_tolerance, softmax, widen};

/// Family, and `[time, batch, inputs, outputs]`.
const SHAPES: [(&str, [usize; 4]); 6] = [
    ("step", [1, 1, 16, 1]),
    ("step", [1, 1, 128, 10]),
    ("stream", [100, 1, 128, 30]),
    ("stream", [100, 1, 256, 256]),
    ("throughput", [1, 32, 256, 1000]),
    ("throughput", [100, 16, 256, 256]),
];

/// The first and the last row: sums within the tolerance of a dot product, shares within what the
/// errors of the sums, of exp and of the sum of shares make of it.
fn check(
    kernels: &Kernels,
    activation: Activation,
    [weights, bias, input, output]: [&[f32]; 4],
    [rows, inputs]: [usize; 2],
) {
    let fused = kernels.isa() != Isa::Portable;
    let rounding = if fused { Rounding::Fused } else { Rounding::Separate };
    let outputs = bias.len();
    for row in [0, rows - 1] {
        let x = widen(&input[row * inputs..][..inputs]);
        let dots = affine(&widen(weights), &x, &widen(bias));
        let sums: Vec<f64> = dots.iter().map(|dot| dot.value).collect();
        let errors = dots.iter().map(|&dot| dot_tolerance(dot, inputs, rounding));
        let worst = errors.clone().fold(0.0, f64::max);
        let shares = softmax(&sums);
        let range = sums.iter().fold(0.0_f64, |most, sum| most.max(2.0 * sum.abs()));
        // Of exp, the differences to the maximum, the additions and the division.
        let roundings = (8.0 + outputs as f64 / 16.0 + 2.0 * range) * f64::from(f32::EPSILON);
        for (j, error) in errors.enumerate() {
            let found = f64::from(output[row * outputs + j]);
            let (exact, allowed) = match activation {
                Activation::Softmax => (shares[j], shares[j] * (2.0 * worst + roundings)),
                _ => (sums[j], error),
            };
            let off = (found - exact).abs();
            assert!(off <= allowed, "output {j} of row {row} is off by {off:e} of {allowed:e}");
        }
    }
}

fn head(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    for kernels in Kernels::available() {
        for activation in [Activation::Linear, Activation::Softmax] {
            for (family, [time, batch, inputs, outputs]) in SHAPES {
                let mut next = noise(1);
                let bound = 1.0 / (inputs as f32).sqrt();
                let mut draw =
                    |count: usize| -> Vec<f32> { (0..count).map(|_| bound * next()).collect() };
                let (weights, bias) = (draw(outputs * inputs), draw(outputs));
                let mut next = noise(2);
                let input: Vec<f32> = (0..time * batch * inputs).map(|_| next()).collect();
                let source = MatrixSource { weights: &weights, bias: Some(&bias), depth: inputs };
                let packed = kernels.pack_dense(&source, outputs, Precision::F32);
                let mut output = AlignedBuffer::zeroed(time * batch * outputs);
                let run = |output: &mut [f32]| {
                    let from = View::time_major(black_box(&input), [time, batch, inputs]);
                    let mut to = ViewMut::time_major(output, [time, batch, outputs]);
                    kernels.dense(&packed, from, to.reborrow());
                    kernels.activate(activation, to);
                };
                run(&mut output);
                let numbers = [&weights[..], &bias, &input, &output];
                check(kernels, activation, numbers, [time * batch, inputs]);
                let name = format!("{}-{}", kernels.dense_name(&packed), activation.name());
                let mut group = criterion.benchmark_group(name);
                group.throughput(Throughput::Elements((time * batch) as u64));
                let id = format!("{family}/T{time}_B{batch}_I{inputs}_O{outputs}");
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        run(&mut output);
                        black_box(&mut output);
                    });
                });
                group.finish();
            }
        }
    }
}

criterion_group!(benches, head);
criterion_main!(benches);
