//! Matrix products around tile edges: the order of every sum, proved to the bit.

mod layer;
mod product;

use layer::{GRU_AFTER, LSTM, RNN, bits, fused};
use product::{Product, Projection, ROWS, check_dots, cycle};
use ritornello_kernels::{CellSource, Kernels, Precision, RecurrentSource, Tune, View, ViewMut};

/// Around 0, 1, the vectors, and the cuts of long products.
const DEPTHS: [usize; 8] = [0, 1, 2, 7, 511, 512, 513, 1025];

#[test]
fn dense_is_one_chain_from_the_bias_around_all_tile_edges() {
    for depth in DEPTHS {
        // The narrower ones meet every width of panel, the deep ones only need some.
        let step = if depth > 100 { 3 } else { 1 };
        let primes = [71, 83, 97, 127, 131];
        for outputs in (1..=70).step_by(step).chain(primes) {
            Product::new(depth, outputs, ROWS).check_dense();
            Product::new(depth, outputs, ROWS).in_bf16().check_dense();
        }
    }
}

#[test]
fn projections_are_one_chain_from_the_bias_around_all_tile_edges() {
    for kind in [RNN, LSTM, GRU_AFTER] {
        for depth in DEPTHS {
            for size in [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 33, 48, 64, 70] {
                let mut of_levels: Vec<Vec<u32>> = Vec::new();
                for kernels in Kernels::available() {
                    let layer = Projection::new(kernels, kind, depth, size, ROWS);
                    let what = layer.what(kernels);
                    let input = View::time_major(&layer.product.input, [1, ROWS, depth]);
                    let whole = layer.run(kernels, input);
                    let found = layer.in_order(&whole);
                    check_dots(&what, kernels, &found, &layer.product.reference(ROWS), depth);
                    if fused(kernels) {
                        let chain = layer.product.chain(kernels, ROWS);
                        assert_eq!(bits(&found), bits(&chain), "the chain of {what}");
                        of_levels.push(bits(&found));
                    }
                    let width = layer.packed.projection_width();
                    for rows in 0..ROWS {
                        let part = bits(&layer.run(kernels, input.rows(0, rows)));
                        assert_eq!(part, bits(&whole[..rows * width]), "{rows} rows of {what}");
                    }
                }
                assert!(of_levels.windows(2).all(|pair| pair[0] == pair[1]), "levels with FMA");
            }
        }
    }
}

/// Shapes below and above the number of weights from which on the portable level's projection is
/// `matrixmultiply`'s, and more rows than any block of its loops.
const SPLIT_SHAPES: [[usize; 4]; 7] =
    // depth, units, time, batch
    [
        [7, 9, 4, 5],
        [64, 8, 3, 7],
        [63, 8, 7, 3],
        [513, 20, 2, 9],
        [300, 33, 1, 150],
        [130, 17, 150, 1],
        [33, 64, 20, 20],
    ];

#[test]
fn any_split_of_rows_gives_the_same_bits() {
    for kernels in Kernels::available() {
        for kind in [LSTM, GRU_AFTER, RNN] {
            for [depth, size, time, batch] in SPLIT_SHAPES {
                let layer = Projection::new(kernels, kind, depth, size, time * batch);
                let width = layer.packed.projection_width();
                let input = View::time_major(&layer.product.input, [time, batch, depth]);
                let whole = bits(&layer.run(kernels, input));
                let (row, step) = (width, batch * width);
                let what = |split: &str| format!("{split} of {}", layer.what(kernels));
                for at in (0..=time).step_by(time.div_ceil(16)) {
                    let (head, tail) = (input.steps(0, at), input.steps(at, time));
                    let parts = [layer.run(kernels, head), layer.run(kernels, tail)].concat();
                    assert_eq!(bits(&parts), whole, "{}", what(&format!("steps cut at {at}")));
                }
                for at in (0..=batch).step_by(batch.div_ceil(16)) {
                    for (start, end) in [(0, at), (at, batch)] {
                        let part = bits(&layer.run(kernels, input.rows(start, end)));
                        let expected: Vec<u32> = whole
                            .chunks(step)
                            .flat_map(|step| step[start * row..end * row].to_vec())
                            .collect();
                        assert_eq!(part, expected, "{}", what(&format!("rows {start} to {end}")));
                    }
                }
                // Row by row, with the rows as steps and as a batch.
                for index in (0..time * batch).step_by((time * batch).div_ceil(20)) {
                    let one =
                        View::time_major(&layer.product.input[index * depth..], [1, 1, depth]);
                    let found = bits(&layer.run(kernels, one));
                    assert_eq!(
                        found,
                        whole[index * row..][..row],
                        "{}",
                        what(&format!("row {index}"))
                    );
                }
                for shape in [[time * batch, 1, depth], [1, time * batch, depth]] {
                    let input = View::time_major(&layer.product.input, shape);
                    assert_eq!(
                        bits(&layer.run(kernels, input)),
                        whole,
                        "{}",
                        what("another shape")
                    );
                }
            }
        }
    }
}

/// Both biases are added once, in f32, before anything else.
#[test]
fn two_biases_are_one() {
    let (size, depth) = (11, 5);
    let product = Product::new(depth, 4 * size, 3);
    let second = cycle(4 * size, 200);
    let sums: Vec<f32> = product.bias.iter().zip(&second).map(|(a, b)| a + b).collect();
    let recurrent = cycle(4 * size * size, 41);
    for kernels in Kernels::available() {
        let run = |bias: &[f32], recurrent_bias: Option<&[f32]>| {
            let source = CellSource {
                kind: LSTM,
                input_size: depth,
                hidden_size: size,
                input_weights: &product.weights,
                recurrent: RecurrentSource::Matrix(&recurrent),
                bias: Some(bias),
                recurrent_bias,
                peepholes: None,
                projection: None,
            };
            let packed = kernels.pack_cell(&source, Precision::F32, Tune::Latency);
            let mut output = vec![0.0; 3 * packed.projection_width()];
            let shape = [3, 1, packed.projection_width()];
            let input = View::time_major(&product.input, [3, 1, depth]);
            kernels.project(&packed, input, ViewMut::time_major(&mut output, shape), &mut []);
            bits(&output)
        };
        assert_eq!(run(&product.bias, Some(&second)), run(&sums, None), "on {}", kernels.isa());
    }
}
