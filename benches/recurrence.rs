//! The time loop alone: the projection is made before, the state goes on from call to call.
//!
//! Ids: `{kernel}/{family}/T…_B…_H…`. Every bench is first held against the f64 reference, step by
//! step, and against the same steps one by one, to the bit.

#[path = "../kernels/tests/layer/mod.rs"]
mod layer;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use layer::{Extras, Layer};
use ritornello_kernels::{
    Activation, AlignedBuffer, Cell, GruReset, Isa, Kernels, PackedCell, RecurArgs, View, ViewMut,
    state_stride,
};
use ritornello_reference::{Rounding, State, widen};

/// Family, and `[time, batch, hidden_size]`.
const SHAPES: [(&str, [usize; 3]); 8] = [
    ("step", [1, 1, 16]),
    ("step", [1, 1, 128]),
    ("step", [1, 1, 512]),
    ("stream", [100, 1, 16]),
    ("stream", [100, 1, 64]),
    ("stream", [100, 1, 256]),
    ("throughput", [100, 16, 256]),
    ("throughput", [20, 32, 512]),
];

fn kinds() -> [Cell; 6] {
    let (activation, recurrent_activation) = (Activation::Tanh, Activation::Sigmoid);
    [
        Cell::simple_rnn(activation),
        Cell::simple_rnn(Activation::Relu),
        Cell::lstm(activation, recurrent_activation),
        Cell::gru(GruReset::AfterMatmul),
        Cell::gru(GruReset::BeforeMatmul),
        // Has no fused kernel.
        Cell::lstm(activation, Activation::HARD_SIGMOID),
    ]
}

/// The buffers of one stream, whose state goes on.
struct Stream<'a> {
    kernels: &'a Kernels,
    packed: &'a PackedCell,
    shape: [usize; 3],
    projection: AlignedBuffer,
    hidden: AlignedBuffer,
    cell: AlignedBuffer,
    scratch: AlignedBuffer,
    output: AlignedBuffer,
}

impl<'a> Stream<'a> {
    fn new(kernels: &'a Kernels, packed: &'a PackedCell, layer: &Layer) -> Self {
        let (time, batch, size) = (layer.time, layer.batch, layer.hidden_size);
        let width = packed.projection_width();
        let mut projection = AlignedBuffer::zeroed(time * batch * width);
        let input = View::time_major(&layer.input, [time, batch, layer.input_size]);
        let mut scratch = vec![0.0; packed.projection_scratch_len(time * batch)];
        kernels.project_steps(packed, input, &mut projection, &mut scratch);
        let stride = state_stride(size);
        let padded = |state: &[f32]| {
            let rows = if state.is_empty() { 0 } else { batch };
            let mut padded = AlignedBuffer::zeroed(rows * stride);
            for (to, from) in padded.chunks_mut(stride).zip(state.chunks(size)) {
                to[..size].copy_from_slice(from);
            }
            padded
        };
        Self {
            kernels,
            packed,
            shape: [time, batch, size],
            projection,
            hidden: padded(&layer.hidden),
            cell: padded(&layer.cell),
            scratch: AlignedBuffer::zeroed(packed.scratch_len(batch)),
            output: AlignedBuffer::zeroed(time * batch * size),
        }
    }

    fn run(&mut self) {
        let [time, batch, _] = self.shape;
        let mut args = RecurArgs {
            time,
            batch,
            projection: black_box(&self.projection),
            order: self.packed.step_order(),
            hidden: &mut self.hidden,
            cell: &mut self.cell,
            scratch: &mut self.scratch,
            output: Some(ViewMut::time_major(&mut self.output, self.shape)),
            share: None,
        };
        self.kernels.recur(self.packed, &mut args);
        black_box(&mut self.output);
    }
}

/// What the stream gave first: the bits of single steps, and a step of one row within the derived
/// tolerance of f64.
fn check(kernels: &Kernels, packed: &PackedCell, layer: &Layer, output: &[f32]) {
    let fused = kernels.isa() != Isa::Portable;
    let rounding = if fused { Rounding::Fused } else { Rounding::Separate };
    let reference = layer.reference();
    let size = layer.hidden_size;
    let mut now = layer.clone();
    for t in 0..layer.time {
        let step = Layer { hidden: now.hidden, cell: now.cell, ..layer.steps(t, t + 1) };
        let after = step.run_packed(kernels, packed);
        let row = t % layer.batch;
        if t == 0 || t + 1 == layer.time {
            let one = step.row(row);
            let before = State::from_f32(&one.hidden, &one.cell);
            let exact = reference.step(&widen(&one.input), &before);
            let tolerance = reference.tolerance(&before, &exact, rounding);
            for unit in 0..size {
                let found = f64::from(after.hidden[row * size + unit]);
                let error = (found - exact.state.hidden[unit]).abs();
                let allowed = tolerance.hidden[unit];
                assert!(error <= allowed, "step {t} is off by {error:e} of {allowed:e}");
            }
        }
        let together = &output[t * layer.batch * size..][..layer.batch * size];
        let same = together.iter().zip(&after.hidden).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "step {t} by itself has other bits");
        now = Layer { hidden: after.hidden, cell: after.cell, ..step };
    }
}

fn recurrence(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    for kernels in Kernels::available() {
        for kind in kinds() {
            for (family, [time, batch, size]) in SHAPES {
                let layer =
                    Layer::random(kind, Extras::NONE, [true, true], [8, size, time, batch], 1);
                let packed = layer.packed(kernels);
                let mut stream = Stream::new(kernels, &packed, &layer);
                stream.run();
                check(kernels, &packed, &layer, &stream.output);
                let mut group = criterion.benchmark_group(kernels.cell_name(&packed));
                group.throughput(Throughput::Elements((time * batch) as u64));
                let id = format!("{family}/T{time}_B{batch}_H{size}");
                group.bench_function(id, |bencher| bencher.iter(|| stream.run()));
                group.finish();
            }
        }
    }
}

criterion_group!(benches, recurrence);
criterion_main!(benches);
