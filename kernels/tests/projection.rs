//! Matrix products around tile edges, and the order of every sum, proved to the bit; what a
//! recurrence makes of saturated gates, of infinity and NaN, and of numbers that fade.

mod layer;

use layer::{Layer, Outcome, noise, projection_places};
use ritornello_kernels::{
    Activation, CellKind, CellSource, Isa, Kernels, MatrixSource, PackedCell, PackedMatrix,
    RecurrentSource, Reset, View, ViewMut, chains,
};
use ritornello_reference::{Dot, Rounding, State, affine, dot_tolerance, widen};

const TANH: Activation = Activation::Tanh;
const SIGMOID: Activation = Activation::Sigmoid;
const RNN: CellKind = CellKind::Simple { activation: TANH };
const LSTM: CellKind = CellKind::Lstm { activation: TANH, recurrent_activation: SIGMOID };
const GRUS: [CellKind; 2] = [
    CellKind::Gru { reset: Reset::After, activation: TANH, recurrent_activation: SIGMOID },
    CellKind::Gru { reset: Reset::Before, activation: TANH, recurrent_activation: SIGMOID },
];

/// The number that guards the memory around rows; no product gives it.
const GUARD: f32 = -12345.678;

/// The most rows that are multiplied at once: two of the highest tiles, and one.
const ROWS: usize = 13;

/// Around 0, 1, the vectors, and the cuts of long products.
const DEPTHS: [usize; 8] = [0, 1, 2, 7, 511, 512, 513, 1025];

/// A cycle of 251 numbers, so that any two that change places show; their products are inexact.
fn cycle(count: usize, start: usize) -> Vec<f32> {
    (start..start + count).map(|i| ((i * 73 % 251) as f32 - 125.3) * 0.012_345).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

fn fused(kernels: &Kernels) -> bool {
    kernels.isa() != Isa::Portable
}

/// `a b + c` as the level rounds it.
fn multiply_add(kernels: &Kernels, a: f32, b: f32, c: f32) -> f32 {
    if fused(kernels) { a.mul_add(b, c) } else { a * b + c }
}

/// Weights `[outputs, depth]`, a bias, and `ROWS` rows of input.
struct Product {
    depth: usize,
    outputs: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
    input: Vec<f32>,
}

impl Product {
    fn new(depth: usize, outputs: usize, rows: usize) -> Self {
        Self {
            depth,
            outputs,
            weights: cycle(outputs * depth, 3),
            bias: cycle(outputs, 90),
            input: cycle(rows * depth, 17),
        }
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.input[row * self.depth..][..self.depth]
    }

    fn packed(&self, kernels: &Kernels) -> PackedMatrix {
        let source =
            MatrixSource { weights: &self.weights, bias: Some(&self.bias), depth: self.depth };
        kernels.pack_dense(&source, self.outputs)
    }

    /// Rows `0..rows` as so many batch rows of one step, guarded.
    fn dense(&self, kernels: &Kernels, packed: &PackedMatrix, rows: usize) -> Vec<f32> {
        let (stride, shape) = (self.outputs + 1, [1, rows, self.outputs]);
        let mut memory = vec![GUARD; rows * stride + 40];
        let input = View::time_major(&self.input, [1, rows, self.depth]);
        let output = ViewMut::new(&mut memory[20..], shape, [rows * stride, stride]);
        kernels.dense(packed, input, output);
        let mut found = Vec::new();
        for row in 0..rows {
            let place = 20 + row * stride;
            found.extend_from_slice(&memory[place..place + self.outputs]);
            memory[place..place + self.outputs].fill(GUARD);
        }
        assert!(
            memory.iter().all(|&x| x == GUARD),
            "a product of {rows} rows, {} by {} on {} left its rows",
            self.depth,
            self.outputs,
            kernels.isa()
        );
        found
    }

    /// The contract: one chain for each output, from the bias, in the order of the inputs.
    fn chain(&self, kernels: &Kernels, rows: usize) -> Vec<f32> {
        let output = |(row, output): (usize, usize)| {
            let weights = &self.weights[output * self.depth..][..self.depth];
            self.row(row)
                .iter()
                .zip(weights)
                .fold(self.bias[output], |sum, (&x, &weight)| multiply_add(kernels, x, weight, sum))
        };
        (0..rows).flat_map(|row| (0..self.outputs).map(move |o| (row, o))).map(output).collect()
    }

    fn reference(&self, rows: usize) -> Vec<Dot> {
        let (weights, bias) = (widen(&self.weights), widen(&self.bias));
        (0..rows).flat_map(|row| affine(&weights, &widen(self.row(row)), &bias)).collect()
    }

    /// Against f64, against the scalar chain, and every number of rows against the others.
    fn check_dense(&self) {
        let expected = self.reference(ROWS);
        for kernels in Kernels::available() {
            let what = format!("{} by {} on {}", self.depth, self.outputs, kernels.isa());
            let packed = self.packed(kernels);
            let whole = self.dense(kernels, &packed, ROWS);
            check_dots(&what, kernels, &whole, &expected, self.depth);
            assert_eq!(bits(&whole), bits(&self.chain(kernels, ROWS)), "the chain of {what}");
            for rows in 0..ROWS {
                let found = self.dense(kernels, &packed, rows);
                assert_eq!(
                    bits(&found),
                    bits(&whole[..rows * self.outputs]),
                    "{rows} rows of {what}"
                );
            }
        }
    }
}

fn check_dots(what: &str, kernels: &Kernels, found: &[f32], expected: &[Dot], terms: usize) {
    let rounding = if fused(kernels) { Rounding::Fused } else { Rounding::Separate };
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (&found, &dot)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - dot.value).abs();
        let allowed = dot_tolerance(dot, terms, rounding);
        assert!(
            error <= allowed,
            "{what}: number {i} is {found}, exact {}: off by {error:e} of {allowed:e}",
            dot.value
        );
    }
}

#[test]
fn dense_is_one_chain_from_the_bias_around_all_tile_edges() {
    for depth in DEPTHS {
        // The narrower ones meet every width of panel, the deep ones only need some.
        let step = if depth > 100 { 3 } else { 1 };
        let primes = [71, 83, 97, 127, 131];
        for outputs in (1..=70).step_by(step).chain(primes) {
            Product::new(depth, outputs, ROWS).check_dense();
        }
    }
}

/// A layer's projection seen in the order of its gates.
struct Projection {
    kind: CellKind,
    size: usize,
    product: Product,
    packed: PackedCell,
    /// Where each output of the product is in a row of the projection.
    places: Vec<usize>,
}

impl Projection {
    /// `rows` is the number of rows of input that there are.
    fn new(kernels: &Kernels, kind: CellKind, depth: usize, size: usize, rows: usize) -> Self {
        let product = Product::new(depth, kind.gates() * size, rows);
        let packed = pack(kernels, kind, &product, size);
        let places = projection_places(kernels, kind, size);
        Self { kind, size, product, packed, places }
    }

    fn what(&self, kernels: &Kernels) -> String {
        let (depth, isa) = (self.product.depth, kernels.isa());
        format!("{:?}, {depth} inputs, {} units on {isa}", self.kind, self.size)
    }

    /// The projection as it is in memory, `[time, batch, width]`, guarded.
    fn run(&self, kernels: &Kernels, input: View<'_>) -> Vec<f32> {
        let (width, shape) = (self.packed.projection_width(), [input.time(), input.batch()]);
        let len = shape[0] * shape[1] * width;
        let mut memory = vec![GUARD; len + 40];
        let output = ViewMut::time_major(&mut memory[20..], [shape[0], shape[1], width]);
        kernels.project(&self.packed, input, output);
        let (before, rest) = memory.split_at(20);
        let (found, after) = rest.split_at(len);
        let untouched = before.iter().chain(after).all(|&x| x == GUARD);
        assert!(untouched, "{} left its rows", self.what(kernels));
        found.to_vec()
    }

    /// The numbers of a row's outputs, in the order of gates and units.
    fn in_order(&self, rows: &[f32]) -> Vec<f32> {
        let rows = rows.chunks(self.packed.projection_width());
        rows.flat_map(|row| self.places.iter().map(|&place| row[place])).collect()
    }
}

fn pack(kernels: &Kernels, kind: CellKind, product: &Product, size: usize) -> PackedCell {
    let recurrent = cycle(kind.gates() * size * size, 41);
    kernels.pack_cell(&CellSource {
        kind,
        input_size: product.depth,
        hidden_size: size,
        input_weights: &product.weights,
        recurrent: RecurrentSource::Matrix(&recurrent),
        bias: Some(&product.bias),
        recurrent_bias: None,
    })
}

#[test]
fn projections_are_one_chain_from_the_bias_around_all_tile_edges() {
    for kind in [RNN, LSTM, GRUS[0]] {
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
        for kind in [LSTM, GRUS[0], RNN] {
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

/// A sequence `[time, batch, features]` laid out in guarded memory in some way.
#[derive(Clone, Copy, Debug)]
enum Way {
    TimeMajor,
    BatchMajor,
    /// Gaps between rows and steps.
    Wide,
    /// Features 3.. of rows that are 5 longer.
    Columns,
    /// The last step first.
    Reversed,
}

const WAYS: [Way; 5] = [Way::TimeMajor, Way::BatchMajor, Way::Wide, Way::Columns, Way::Reversed];

impl Way {
    /// The distances of steps and rows, and the numbers before the first.
    fn strides(self, [time, batch, features]: [usize; 3]) -> [usize; 3] {
        match self {
            Self::TimeMajor | Self::Reversed => [batch * features, features, 0],
            Self::BatchMajor => [features, time * features, 0],
            Self::Wide => [batch * (features + 3) + 2, features + 3, 0],
            Self::Columns => [batch * (features + 5), features + 5, 3],
        }
    }

    /// Where step `t` of row `b` begins.
    fn place(self, shape: [usize; 3], t: usize, b: usize) -> usize {
        let [step, row, first] = self.strides(shape);
        let t = if matches!(self, Self::Reversed) { shape[0] - 1 - t } else { t };
        t * step + b * row + first
    }

    fn len(self, shape: [usize; 3]) -> usize {
        let [step, row, _] = self.strides(shape);
        (shape[0] - 1) * step + (shape[1] - 1) * row + shape[2] + 5
    }

    /// The memory with the rows of `numbers`, `[time, batch, features]`, in their places.
    fn laid_out(self, numbers: &[f32], shape @ [time, batch, features]: [usize; 3]) -> Vec<f32> {
        let mut memory = vec![GUARD; self.len(shape)];
        for t in 0..time {
            for b in 0..batch {
                let row = &numbers[(t * batch + b) * features..][..features];
                memory[self.place(shape, t, b)..][..features].copy_from_slice(row);
            }
        }
        memory
    }

    fn view(self, memory: &[f32], shape @ [time, batch, features]: [usize; 3]) -> View<'_> {
        let [step, row, _] = self.strides(shape);
        match self {
            Self::Columns => {
                View::new(memory, [time, batch, features + 5], [step, row]).columns(3, 3 + features)
            }
            Self::Reversed => View::new(memory, shape, [step, row]).reversed(),
            _ => View::new(memory, shape, [step, row]),
        }
    }

    fn view_mut(
        self,
        memory: &mut [f32],
        shape @ [time, batch, features]: [usize; 3],
    ) -> ViewMut<'_> {
        let [step, row, _] = self.strides(shape);
        match self {
            Self::Columns => {
                let wide = ViewMut::new(memory, [time, batch, features + 5], [step, row]);
                wide.split_columns(3).1.split_columns(features).0
            }
            Self::Reversed => ViewMut::new(memory, shape, [step, row]).reversed(),
            _ => ViewMut::new(memory, shape, [step, row]),
        }
    }
}

/// Multiplies with every way of input and output: the bits are those of the first, in their places,
/// and nothing else is touched.
fn check_ways(
    what: &str,
    input: &[f32],
    [time, batch, depth]: [usize; 3],
    width: usize,
    multiply: impl Fn(View<'_>, ViewMut<'_>),
) {
    let (from, to) = ([time, batch, depth], [time, batch, width]);
    let mut plain = vec![0.0; time * batch * width];
    multiply(View::time_major(input, from), ViewMut::time_major(&mut plain, to));
    for way_in in WAYS {
        let memory_in = way_in.laid_out(input, from);
        for way_out in WAYS {
            let mut memory = vec![GUARD; way_out.len(to)];
            multiply(way_in.view(&memory_in, from), way_out.view_mut(&mut memory, to));
            let expected = way_out.laid_out(&plain, to);
            assert_eq!(bits(&memory), bits(&expected), "{what}: {way_in:?} to {way_out:?}");
        }
    }
}

#[test]
fn strides_change_no_bit_and_nothing_beside_the_rows() {
    for kernels in Kernels::available() {
        for [time, batch] in [[1, 1], [1, 5], [5, 1], [3, 4], [7, 2]] {
            for depth in [1, 7, 513] {
                for outputs in [1, 8, 13, 33, 70] {
                    let product = Product::new(depth, outputs, time * batch);
                    let packed = product.packed(kernels);
                    let shape = [time, batch, depth];
                    let what = format!("{shape:?} by {outputs} on {}", kernels.isa());
                    check_ways(&what, &product.input, shape, outputs, |from, to| {
                        kernels.dense(&packed, from, to);
                    });
                }
                let layer = Projection::new(kernels, LSTM, depth, 11, time * batch);
                let (shape, width) = ([time, batch, depth], layer.packed.projection_width());
                check_ways(&layer.what(kernels), &layer.product.input, shape, width, |from, to| {
                    kernels.project(&layer.packed, from, to);
                });
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
            let packed = kernels.pack_cell(&CellSource {
                kind: LSTM,
                input_size: depth,
                hidden_size: size,
                input_weights: &product.weights,
                recurrent: RecurrentSource::Matrix(&recurrent),
                bias: Some(bias),
                recurrent_bias,
            });
            let mut output = vec![0.0; 3 * packed.projection_width()];
            let shape = [3, 1, packed.projection_width()];
            let input = View::time_major(&product.input, [3, 1, depth]);
            kernels.project(&packed, input, ViewMut::time_major(&mut output, shape));
            bits(&output)
        };
        assert_eq!(run(&product.bias, Some(&second)), run(&sums, None), "on {}", kernels.isa());
    }
}

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
    let kind = CellKind::Simple { activation: Activation::Relu };
    for size in (1..=70).chain([96, 127, 128, 129, 200, 257, 300]) {
        for batch in [1, 2, 3, 4, 5, 6, 7, 13] {
            let biases = [size % 3 != 0, size % 2 == 0];
            let mut layer = Layer::random(kind, false, biases, [3, size, 4, batch], size as u64);
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

/// A layer whose gates do what their biases say: each gate's weights are scaled by `scale`.
fn with_gates(kind: CellKind, [size, time, batch]: [usize; 3], gates: &[(f32, f32)]) -> Layer {
    let depth = 3;
    let mut layer = Layer::random(kind, false, [true, false], [depth, size, time, batch], 77);
    let bias = layer.bias.as_mut().expect("a bias");
    for (gate, &(scale, value)) in gates.iter().enumerate() {
        let rows = |columns: usize| gate * size * columns..(gate + 1) * size * columns;
        layer.input_weights[rows(depth)].iter_mut().for_each(|weight| *weight *= scale);
        layer.recurrent_weights[rows(size)].iter_mut().for_each(|weight| *weight *= scale);
        bias[rows(1)].fill(value);
    }
    layer
}

#[test]
fn an_lstm_whose_forget_gate_is_open_and_input_gate_shut_keeps_c_for_ever() {
    let kept = [
        1.0,
        -1.0,
        0.1,
        -0.3,
        0.999_999_94,
        std::f32::consts::PI,
        -12_345.679,
        1e-3,
        -1e-10,
        1e-19,
        1e10,
        1e30,
        -1e30,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        8.0,
        -0.7,
        0.25,
        1.0 / 3.0,
    ];
    // Far gates, and a little beyond where 1 + exp(-x) is 1; the input gate is shut in both.
    for (forget, gates_scale) in [(200.0, 1.0), (200.0, 0.0), (f32::MAX, 0.0)] {
        let gates = [(0.0, -200.0), (0.0, forget), (gates_scale, 0.4), (gates_scale, 0.1)];
        let mut layer = with_gates(LSTM, [kept.len(), 1000, 3], &gates);
        layer.cell = kept.repeat(3);
        for kernels in Kernels::available() {
            let outcome = layer.run(kernels);
            assert_eq!(
                bits(&outcome.cell),
                bits(&layer.cell),
                "c after 1000 steps on {}, forget gate {forget}",
                kernels.isa()
            );
            assert!(outcome.output.iter().all(|h| h.abs() <= 1.0), "|h| <= 1 on {}", kernels.isa());
        }
    }
}

#[test]
fn a_gru_whose_update_gate_is_open_keeps_h_for_ever() {
    let kept = [
        1.0,
        -1.0,
        0.1,
        -0.3,
        0.999_999_94,
        std::f32::consts::PI,
        -12_345.679,
        1e-3,
        -1e-10,
        1e-19,
        1e10,
        -1e30,
        0.5,
        -0.7,
        0.25,
        1.0 / 3.0,
        0.125,
    ];
    for kind in GRUS {
        for scale in [1.0, 0.0] {
            let gates = [(0.0, 200.0), (scale, 0.3), (scale, 0.4)];
            let mut layer = with_gates(kind, [kept.len(), 1000, 3], &gates);
            layer.hidden = kept.repeat(3);
            for kernels in Kernels::available() {
                let outcome = layer.run(kernels);
                let isa = kernels.isa();
                assert_eq!(bits(&outcome.hidden), bits(&layer.hidden), "{kind:?} on {isa}");
            }
        }
    }
}

/// The default cells, and one that the general step runs.
fn all_kinds() -> [CellKind; 8] {
    let (activation, recurrent_activation) = (Activation::Softsign, Activation::HARD_SIGMOID);
    [
        RNN,
        CellKind::Simple { activation: Activation::Relu },
        LSTM,
        GRUS[0],
        GRUS[1],
        CellKind::Lstm { activation, recurrent_activation },
        CellKind::Gru { reset: Reset::After, activation, recurrent_activation },
        CellKind::Gru { reset: Reset::Before, activation, recurrent_activation },
    ]
}

/// Row `row` of every step, or of a state.
fn row_of(numbers: &[f32], row: usize, [batch, size]: [usize; 2]) -> Vec<u32> {
    numbers.chunks(batch * size).flat_map(|step| bits(&step[row * size..][..size])).collect()
}

#[test]
fn nan_and_infinity_stay_in_their_row() {
    for kind in all_kinds() {
        for [size, batch] in [[1, 2], [5, 3], [19, 7], [70, 4]] {
            let clean = Layer::random(kind, false, [true, true], [4, size, 5, batch], 9);
            let bad_row = 1;
            for what in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut layers = vec![clean.clone(), clean.clone()];
                layers[0].input[(2 * batch + bad_row) * 4 + 1] = what;
                layers[1].hidden[bad_row * size + size / 2] = what;
                if kind.has_cell_state() {
                    layers.push(clean.clone());
                    layers[2].cell[bad_row * size + size / 2] = what;
                }
                for (place, layer) in ["x", "h", "c"].into_iter().zip(&layers) {
                    for kernels in Kernels::available() {
                        let (found, expected) = (layer.run(kernels), clean.run(kernels));
                        for row in (0..batch).filter(|&row| row != bad_row) {
                            for (found, expected) in [
                                (&found.output, &expected.output),
                                (&found.hidden, &expected.hidden),
                                (&found.cell, &expected.cell),
                            ] {
                                assert_eq!(
                                    row_of(found, row, [batch, size]),
                                    row_of(expected, row, [batch, size]),
                                    "{kind:?} on {}: row {row} beside {what} in {place}",
                                    kernels.isa()
                                );
                            }
                        }
                        if what.is_nan() && place != "c" {
                            let after = found.hidden[bad_row * size..][..size].iter();
                            assert!(
                                after.clone().all(|h| h.is_nan()),
                                "{kind:?} on {}: NaN in {place} reaches every unit: {after:?}",
                                kernels.isa()
                            );
                        }
                    }
                }
            }
        }
    }
}

/// In the first step NaN in c is in its own unit alone; in the next, U takes it to all.
#[test]
fn nan_in_c_stays_in_its_unit_for_one_step() {
    let (size, batch, unit) = (19, 3, 4);
    let kinds = all_kinds();
    for kind in kinds.into_iter().filter(|kind| kind.has_cell_state()) {
        let clean = Layer::random(kind, false, [true, true], [4, size, 2, batch], 9);
        let mut layer = clean.clone();
        layer.cell[size + unit] = f32::NAN;
        for kernels in Kernels::available() {
            let (found, expected) = (layer.run(kernels), clean.run(kernels));
            for j in 0..size {
                let (found, expected) = (found.output[size + j], expected.output[size + j]);
                let right =
                    if j == unit { found.is_nan() } else { found.to_bits() == expected.to_bits() };
                assert!(right, "{kind:?} on {}: h[{j}] after one step is {found}", kernels.isa());
            }
            let second = &found.output[(batch + 1) * size..][..size];
            assert!(second.iter().all(|h| h.is_nan()), "{kind:?} on {}", kernels.isa());
            let c = &found.cell[size..][..size];
            assert!(c.iter().all(|c| c.is_nan()), "{kind:?} on {}: c {c:?}", kernels.isa());
        }
    }
}

/// NaN in the output gate's sum makes h' NaN and leaves c' alone.
#[test]
fn nan_in_an_output_gate_leaves_c_alone() {
    let clean = with_gates(LSTM, [9, 1, 2], &[(1.0, 0.1), (1.0, 0.2), (1.0, 0.3), (0.0, 0.4)]);
    let mut layer = clean.clone();
    layer.bias.as_mut().expect("a bias")[3 * 9 + 5] = f32::NAN;
    for kernels in Kernels::available() {
        let (found, expected) = (layer.run(kernels), clean.run(kernels));
        assert_eq!(bits(&found.cell), bits(&expected.cell), "c on {}", kernels.isa());
        for (i, (found, expected)) in found.hidden.iter().zip(&expected.hidden).enumerate() {
            let right =
                if i % 9 == 5 { found.is_nan() } else { found.to_bits() == expected.to_bits() };
            assert!(right, "h[{i}] on {} is {found}", kernels.isa());
        }
    }
}

/// An infinite sum saturates the default cells' gates: what they give is what the limits give.
#[test]
fn infinite_inputs_saturate_the_default_cells() {
    for kind in [RNN, LSTM, GRUS[0], GRUS[1]] {
        for what in [f32::INFINITY, f32::NEG_INFINITY] {
            let mut layer = Layer::random(kind, false, [true, true], [4, 19, 1, 2], 3);
            layer.input[2] = what;
            let reference = layer.reference();
            for kernels in Kernels::available() {
                let found = layer.run(kernels);
                let one = layer.row(0);
                let before = State::from_f32(&one.hidden, &one.cell);
                let expected = reference.step(&widen(&one.input), &before).state;
                // Gates are exact but for exp(-64), so that only the cell's formula errs: 4.5e-7.
                for (found, expected, old) in [
                    (&found.hidden, &expected.hidden, &one.hidden),
                    (&found.cell, &expected.cell, &one.cell),
                ] {
                    for (unit, &exact) in expected.iter().enumerate() {
                        let error = (f64::from(found[unit]) - exact).abs();
                        let scale = f64::from(old[unit].abs()).max(1.0);
                        assert!(
                            error <= 4.5e-7 * scale,
                            "{kind:?} on {}: {} for {exact} in unit {unit}, x = {what}",
                            kernels.isa(),
                            found[unit]
                        );
                    }
                }
            }
        }
    }
}

/// c = ±∞ stays, and shows as ± the output gate.
#[test]
fn an_infinite_c_shows_as_the_output_gate() {
    let gates = [(1.0, 0.1), (1.0, -3.0), (1.0, 0.3), (0.0, 0.6)];
    let mut layer = with_gates(LSTM, [4, 3, 1], &gates);
    layer.cell = vec![f32::INFINITY, 0.5, f32::NEG_INFINITY, 0.0];
    let gate = 1.0 / (1.0 + (-0.6_f32 as f64).exp());
    for kernels in Kernels::available() {
        let found = layer.run(kernels);
        assert_eq!([found.cell[0], found.cell[2]], [f32::INFINITY, f32::NEG_INFINITY]);
        for step in found.output.chunks(4) {
            for (h, expected) in [(step[0], gate), (step[2], -gate)] {
                let error = (f64::from(h) - expected).abs();
                assert!(error <= 4.5e-7, "{h} for {expected} on {}", kernels.isa());
            }
        }
    }
}

/// The smallest state that counts.
const TINY: f32 = f32::from_bits((127 - 96) << 23);

/// Halves from step to step, exactly, and is +0 from where it would be below 2^-96.
fn halving(start: f32, steps: i32) -> f32 {
    let value = start * 0.5_f32.powi(steps);
    if value.abs() < TINY { 0.0 } else { value }
}

#[test]
fn a_state_that_fades_becomes_zero_at_two_to_the_minus_96() {
    let starts = [1.0, -1.0, 1.5, -0.75, 2.0_f32.powi(-95), -TINY, 1.999 * TINY];
    let (size, steps) = (starts.len(), 130);
    let shape = [size, steps, 2];
    let general = CellKind::Lstm { activation: Activation::Linear, recurrent_activation: SIGMOID };
    // Every gate's sum is 0, so that gates are exactly a half; the candidate is 0.
    let half = [(0.0, 0.0); 4];
    for kind in [LSTM, general, GRUS[0], GRUS[1]] {
        let mut layer = with_gates(kind, shape, &half[..kind.gates()]);
        let start = starts.repeat(2);
        if kind.has_cell_state() {
            layer.cell = start;
        } else {
            layer.hidden = start;
        }
        for kernels in Kernels::available() {
            let (packed, isa) = (layer.packed(kernels), kernels.isa());
            let mut now = Layer { time: 1, ..layer.clone() };
            now.input.truncate(2 * now.input_size);
            for step in 1..=130 {
                let found = now.run_packed(kernels, &packed);
                let states = if kind.has_cell_state() { &found.cell } else { &found.hidden };
                let expected: Vec<f32> =
                    starts.repeat(2).iter().map(|&start| halving(start, step)).collect();
                assert_eq!(bits(states), bits(&expected), "{kind:?} on {isa}, step {step}");
                let shown = found.hidden.iter().chain(&found.output);
                for h in shown {
                    let right = h.to_bits() == 0 || h.abs() >= TINY;
                    assert!(right, "{kind:?} on {isa}: h = {h:e} after step {step}");
                }
                (now.hidden, now.cell) = (found.hidden, found.cell);
            }
            assert_eq!(bits(&now.hidden), vec![0; 2 * size], "{kind:?} on {isa} ends at +0");
            // Many steps in one call give the same.
            let whole = layer.run_packed(kernels, &packed);
            assert_eq!(bits(&whole.hidden), vec![0; 2 * size], "{kind:?} on {isa} in one call");
        }
    }
}

/// Simple networks fade through their matrix, or through the identity not at all.
#[test]
fn a_simple_network_that_fades_becomes_zero() {
    for activation in [TANH, Activation::Relu, Activation::Linear] {
        let kind = CellKind::Simple { activation };
        let size = 7;
        let mut layer = with_gates(kind, [size, 130, 2], &[(0.0, 0.0)]);
        let mut next = noise(1);
        layer.hidden = (0..2 * size).map(|_| 0.3 + 0.2 * next()).collect();
        for unit in 0..size {
            layer.recurrent_weights[unit * size + unit] = 0.5;
        }
        for kernels in Kernels::available() {
            let found = layer.run(kernels);
            for h in &found.output {
                let right = h.to_bits() == 0 || h.abs() >= TINY;
                assert!(right, "{activation} on {}: h = {h:e}", kernels.isa());
            }
            assert!(found.output[..2 * size].iter().all(|&h| h > 0.0), "not at once");
            assert_eq!(bits(&found.hidden), vec![0; 2 * size], "{activation} on {}", kernels.isa());
        }
    }
}
