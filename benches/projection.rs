//! The input projection alone: `P = X Wᵀ + b` for a whole sequence.
//!
//! Ids: `{kernel}/{family}/T…_B…_I…_H…`. Every bench is first held against the f64 reference.

#[path = "../kernels/tests/layer/mod.rs"]
mod layer;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use layer::{Extras, Layer, projection_places};
use ritornello_kernels::{Activation, AlignedBuffer, Cell, GruReset, Isa, Kernels, View, ViewMut};
use ritornello_reference::{Rounding, affine, dot_tolerance, widen};

/// Family, and `[time, batch, input_size, hidden_size]`.
const SHAPES: [(&str, [usize; 4]); 6] = [
    ("step", [1, 1, 64, 128]),
    ("stream", [100, 1, 64, 128]),
    ("stream", [100, 1, 256, 256]),
    ("throughput", [100, 16, 256, 256]),
    ("throughput", [20, 32, 512, 512]),
    ("throughput", [100, 32, 40, 20]),
];

fn kinds() -> [(&'static str, Cell); 3] {
    let (activation, recurrent_activation) = (Activation::Tanh, Activation::Sigmoid);
    [
        ("rnn", Cell::simple_rnn(activation)),
        ("lstm", Cell::lstm(activation, recurrent_activation)),
        ("gru", Cell::gru(GruReset::AfterMatmul)),
    ]
}

/// The first and the last row of the projection against f64.
fn check(kernels: &Kernels, layer: &Layer, projection: &[f32]) {
    let places = projection_places(kernels, layer.kind, layer.hidden_size);
    let fused = kernels.isa() != Isa::Portable;
    let rounding = if fused { Rounding::Fused } else { Rounding::Separate };
    let rows = layer.time * layer.batch;
    let width = projection.len() / rows;
    let bias = layer.bias.as_deref().expect("a bias");
    for row in [0, rows - 1] {
        let x = &layer.input[row * layer.input_size..][..layer.input_size];
        let exact = affine(&widen(&layer.input_weights), &widen(x), &widen(bias));
        for (place, dot) in places.iter().zip(exact) {
            let error = (f64::from(projection[row * width + place]) - dot.value).abs();
            let allowed = dot_tolerance(dot, layer.input_size, rounding);
            assert!(error <= allowed, "row {row} is off by {error:e} of {allowed:e}");
        }
    }
}

fn projection(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    for kernels in Kernels::available() {
        for (word, kind) in kinds() {
            let mut group =
                criterion.benchmark_group(format!("projection-{word}-f32-{}", kernels.isa()));
            for (family, [time, batch, input_size, hidden_size]) in SHAPES {
                let shape = [input_size, hidden_size, time, batch];
                let layer = Layer::random(kind, Extras::NONE, [true, false], shape, 1);
                let packed = layer.packed(kernels);
                let width = packed.projection_width();
                let mut output = AlignedBuffer::zeroed(time * batch * width);
                let run = |output: &mut [f32]| {
                    let input =
                        View::time_major(black_box(&layer.input), [time, batch, input_size]);
                    kernels.project(
                        &packed,
                        input,
                        ViewMut::time_major(output, [time, batch, width]),
                        &mut [],
                    );
                };
                run(&mut output);
                check(kernels, &layer, &output);
                group.throughput(Throughput::Elements((time * batch) as u64));
                let id = format!("{family}/T{time}_B{batch}_I{input_size}_H{hidden_size}");
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

criterion_group!(benches, projection);
criterion_main!(benches);
