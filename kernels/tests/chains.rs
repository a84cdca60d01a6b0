//! A recurrent dot product is the sum of its chains, to the bit.

mod layer;

use layer::{Extras, Layer, Outcome, fused, multiply_add};
use ritornello_kernels::{Activation, Cell, Kernels, chains};

/// The contract of a recurrence in scalar code, for the cell that scalar code can follow to the
/// bit: p partial chains k mod p, chain 0 from the projection, (0 + 1) + (2 + 3), relu, flush.
fn relu_network(kernels: &Kernels, layer: &Layer) -> Outcome {
    let (size, depth, batch) = (layer.hidden_size, layer.input_size, layer.batch);
    let p = chains(size);
    let bias = |unit: usize| {
        let of = |bias: &Option<Vec<f32>>| bias.as_ref().map_or(0.0, |bias| bias[unit]);
        of(&layer.bias) + of(&layer.recurrent_bias)
    };
    let mut hidden = layer.hidden.clone();
    let mut output = Vec::new();
    for t in 0..layer.time {
        let before = hidden.clone();
        for row in 0..batch {
            let x = &layer.input[(t * batch + row) * depth..][..depth];
            let h = &before[row * size..][..size];
            for unit in 0..size {
                let weights = &layer.input_weights[unit * depth..][..depth];
                let projection = x
                    .iter()
                    .zip(weights)
                    .fold(bias(unit), |sum, (&x, &w)| multiply_add(kernels, x, w, sum));
                let weights = &layer.recurrent_weights[unit * size..][..size];
                let mut parts = [0.0_f32; 4];
                parts[0] = projection;
                for k in 0..size {
                    parts[k % p] = multiply_add(kernels, h[k], weights[k], parts[k % p]);
                }
                let sum = match p {
                    1 => parts[0],
                    2 => parts[0] + parts[1],
                    4 => (parts[0] + parts[1]) + (parts[2] + parts[3]),
                    other => panic!("{other} chains are in no contract"),
                };
                let state = sum.max(0.0);
                hidden[row * size + unit] = if state < 2.0_f32.powi(-96) { 0.0 } else { state };
            }
        }
        output.extend_from_slice(&hidden);
    }
    Outcome { output, hidden, cell: Vec::new() }
}

#[test]
fn a_recurrence_is_the_sum_of_its_chains_to_the_bit() {
    let kind = Cell::simple_rnn(Activation::Relu);
    for size in (1..=70).chain([96, 127, 128, 129, 200, 257, 300]) {
        for batch in [1, 2, 3, 4, 5, 6, 7, 13] {
            let biases = [size % 3 != 0, size % 2 == 0];
            let mut layer =
                Layer::random(kind, Extras::NONE, biases, [3, size, 4, batch], size as u64);
            // Gain above what relu takes away, so that the state neither fades nor explodes.
            layer.recurrent_weights.iter_mut().for_each(|weight| *weight *= 2.0);
            let mut of_levels: Vec<[Vec<u32>; 3]> = Vec::new();
            for kernels in Kernels::available() {
                let found = layer.run(kernels).bits();
                let expected = relu_network(kernels, &layer).bits();
                assert_eq!(found, expected, "{size} units, batch {batch} on {}", kernels.isa());
                if fused(kernels) {
                    of_levels.push(found);
                }
            }
            assert!(of_levels.windows(2).all(|pair| pair[0] == pair[1]), "levels with FMA");
        }
    }
}

#[test]
fn the_number_of_chains_is_in_the_contract() {
    let expected = |size| {
        if size <= 16 {
            4
        } else if size <= 64 {
            2
        } else {
            1
        }
    };
    for size in 0..=300 {
        assert_eq!(chains(size), expected(size), "{size} units");
    }
}
