//! A product with every kind of panel: weights, a bias and rows, and what they must give.

#![allow(dead_code, reason = "each test takes what it needs")]

use ritornello_kernels::{
    Cell, CellSource, Kernels, MatrixSource, PackedCell, PackedMatrix, Precision, RecurrentSource,
    Tune, View, ViewMut,
};
use ritornello_reference::{Dot, Rounding, affine, dot_tolerance, widen};

use crate::layer::{bits, fused, in_bf16, multiply_add, projection_places};

/// The number that guards the memory around rows; no product gives it.
pub(crate) const GUARD: f32 = -12345.678;

/// The most rows that are multiplied at once: two of the highest tiles, and one.
pub(crate) const ROWS: usize = 13;

/// A cycle of 251 numbers, so that any two that change places show; their products are inexact.
pub(crate) fn cycle(count: usize, start: usize) -> Vec<f32> {
    (start..start + count).map(|i| ((i * 73 % 251) as f32 - 125.3) * 0.012_345).collect()
}

/// Weights `[outputs, depth]`, a bias, and `ROWS` rows of input.
pub(crate) struct Product {
    depth: usize,
    outputs: usize,
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) input: Vec<f32>,
    precision: Precision,
}

impl Product {
    pub(crate) fn new(depth: usize, outputs: usize, rows: usize) -> Self {
        Self {
            depth,
            outputs,
            weights: cycle(outputs * depth, 3),
            bias: cycle(outputs, 90),
            input: cycle(rows * depth, 17),
            precision: Precision::F32,
        }
    }

    /// The same with weights of bf16.
    pub(crate) fn in_bf16(mut self) -> Self {
        in_bf16(&mut self.weights);
        Self { precision: Precision::Bf16, ..self }
    }

    /// The same for a matrix unit.
    pub(crate) fn in_split(self) -> Self {
        Self { precision: Precision::F32Split, ..self }
    }

    /// The same for weights of bytes.
    pub(crate) fn in_int8(self) -> Self {
        Self { precision: Precision::Int8, ..self }
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.input[row * self.depth..][..self.depth]
    }

    pub(crate) fn packed(&self, kernels: &Kernels) -> PackedMatrix {
        let source =
            MatrixSource { weights: &self.weights, bias: Some(&self.bias), depth: self.depth };
        kernels.pack_dense(&source, self.outputs, self.precision)
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
    pub(crate) fn chain(&self, kernels: &Kernels, rows: usize) -> Vec<f32> {
        let output = |(row, output): (usize, usize)| {
            let weights = &self.weights[output * self.depth..][..self.depth];
            self.row(row)
                .iter()
                .zip(weights)
                .fold(self.bias[output], |sum, (&x, &weight)| multiply_add(kernels, x, weight, sum))
        };
        (0..rows).flat_map(|row| (0..self.outputs).map(move |o| (row, o))).map(output).collect()
    }

    pub(crate) fn reference(&self, rows: usize) -> Vec<Dot> {
        let (weights, bias) = (widen(&self.weights), widen(&self.bias));
        (0..rows).flat_map(|row| affine(&weights, &widen(self.row(row)), &bias)).collect()
    }

    /// Against f64, against the scalar chain, and every number of rows against the others.
    pub(crate) fn check_dense(&self) {
        let expected = self.reference(ROWS);
        for kernels in Kernels::available() {
            let (depth, outputs, precision) = (self.depth, self.outputs, self.precision);
            let what = format!("{depth} by {outputs} in {precision} on {}", kernels.isa());
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

pub(crate) fn check_dots(
    what: &str,
    kernels: &Kernels,
    found: &[f32],
    expected: &[Dot],
    terms: usize,
) {
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

/// A layer's projection seen in the order of its gates.
pub(crate) struct Projection {
    kind: Cell,
    size: usize,
    pub(crate) product: Product,
    pub(crate) packed: PackedCell,
    /// Where each output of the product is in a row of the projection.
    places: Vec<usize>,
}

impl Projection {
    /// `rows` is the number of rows of input that there are.
    pub(crate) fn new(
        kernels: &Kernels,
        kind: Cell,
        depth: usize,
        size: usize,
        rows: usize,
    ) -> Self {
        Self::of(kernels, kind, Product::new(depth, kind.gates().len() * size, rows), size)
    }

    /// The same with weights of bf16.
    pub(crate) fn in_bf16(
        kernels: &Kernels,
        kind: Cell,
        depth: usize,
        size: usize,
        rows: usize,
    ) -> Self {
        let product = Product::new(depth, kind.gates().len() * size, rows).in_bf16();
        Self::of(kernels, kind, product, size)
    }

    pub(crate) fn of(kernels: &Kernels, kind: Cell, product: Product, size: usize) -> Self {
        let packed = pack(kernels, kind, &product, size);
        let places = projection_places(kernels, kind, size);
        Self { kind, size, product, packed, places }
    }

    pub(crate) fn what(&self, kernels: &Kernels) -> String {
        let (depth, isa) = (self.product.depth, kernels.isa());
        format!("{:?}, {depth} inputs, {} units on {isa}", self.kind, self.size)
    }

    /// The projection as it is in memory, `[time, batch, width]`, guarded.
    pub(crate) fn run(&self, kernels: &Kernels, input: View<'_>) -> Vec<f32> {
        let (width, shape) = (self.packed.projection_width(), [input.time(), input.batch()]);
        let len = shape[0] * shape[1] * width;
        let mut memory = vec![GUARD; len + 40];
        let output = ViewMut::time_major(&mut memory[20..], [shape[0], shape[1], width]);
        let rows = input.time() * input.batch();
        let mut scratch = vec![GUARD; self.packed.projection_scratch_len(rows)];
        kernels.project(&self.packed, input, output, &mut scratch);
        let (before, rest) = memory.split_at(20);
        let (found, after) = rest.split_at(len);
        let untouched = before.iter().chain(after).all(|&x| x == GUARD);
        assert!(untouched, "{} left its rows", self.what(kernels));
        found.to_vec()
    }

    /// The numbers of a row's outputs, in the order of gates and units.
    pub(crate) fn in_order(&self, rows: &[f32]) -> Vec<f32> {
        let rows = rows.chunks(self.packed.projection_width());
        rows.flat_map(|row| self.places.iter().map(|&place| row[place])).collect()
    }
}

fn pack(kernels: &Kernels, kind: Cell, product: &Product, size: usize) -> PackedCell {
    let recurrent = cycle(kind.gates().len() * size * size, 41);
    let source = CellSource {
        kind,
        input_size: product.depth,
        hidden_size: size,
        input_weights: &product.weights,
        recurrent: RecurrentSource::Matrix(&recurrent),
        bias: Some(&product.bias),
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    };
    kernels.pack_cell(&source, product.precision, Tune::Latency)
}
