//! Pre-activations panel by panel: the numbers that rows hold, in other places, and the same bits of the
//! recurrence.

mod layer;

use layer::{
    Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, projection_places, width_of_a_vector_of_units,
};
use proptest::prelude::*;
use ritornello_kernels::{AlignedBuffer, Kernels, Precision, StepOrder, View, ViewMut};

/// All columns of a row that hold an output, in the order of gates and units, of both orders.
fn projections(kernels: &Kernels, layer: &Layer) -> [Vec<u32>; 2] {
    let packed = layer.packed(kernels);
    let (width, shape) = (packed.projection_width(), [layer.time, layer.batch]);
    let input = View::time_major(&layer.input, [shape[0], shape[1], layer.input_size]);
    let mut scratch = vec![f32::NAN; packed.projection_scratch_len(shape[0] * shape[1])];
    let mut rows = AlignedBuffer::zeroed(shape[0] * shape[1] * width);
    let output = ViewMut::time_major(&mut rows, [shape[0], shape[1], width]);
    kernels.project(&packed, input, output, &mut scratch);
    let mut steps = AlignedBuffer::zeroed(shape[0] * shape[1] * width);
    kernels.project_steps(&packed, input, &mut steps, &mut scratch);
    let places = projection_places(kernels, layer.kind, layer.hidden_size);
    let panel = width_of_a_vector_of_units(kernels, layer.kind);
    let in_panels = packed.step_order() == StepOrder::Panels;
    let (mut of_rows, mut of_steps) = (Vec::new(), Vec::new());
    for (step, row) in (0..shape[0]).flat_map(|step| (0..shape[1]).map(move |row| (step, row))) {
        let before = step * shape[1] * width;
        for &place in &places {
            of_rows.push(rows[before + row * width + place].to_bits());
            let at = if in_panels {
                let first = place - place % panel;
                first * shape[1] + row * panel + place % panel
            } else {
                row * width + place
            };
            of_steps.push(steps[before + at].to_bits());
        }
    }
    [of_rows, of_steps]
}

proptest! {
    #[test]
    fn both_orders_hold_the_same(
        kind in prop::sample::select(vec![RNN, LSTM, GRU_AFTER, GRU_BEFORE]),
        precision in prop::sample::select(vec![Precision::F32, Precision::Bf16, Precision::Int8]),
        batch in 1_usize..20,
        time in 1_usize..4,
        hidden in 1_usize..80,
        input in 1_usize..40,
        seed: u64,
    ) {
        let shape = [input, hidden, time, batch];
        let random = Layer::random(kind, Extras::NONE, [true, true], shape, seed);
        let layer = Layer { precision, ..random };
        for kernels in Kernels::available() {
            let [rows, steps] = projections(kernels, &layer);
            prop_assert_eq!(&rows, &steps, "projection of {:?} on {}", kind, kernels.isa());
            let packed = layer.packed(kernels);
            let [rows, panels] = [StepOrder::Rows, packed.step_order()]
                .map(|order| layer.run_in(kernels, &packed, order));
            prop_assert_eq!(rows.bits(), panels.bits(), "recurrence of {:?} on {}", kind, kernels.isa());
        }
    }
}
