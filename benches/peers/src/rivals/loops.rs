//! What one writes without a library: plain Rust, with and without `matrixmultiply`.
//!
//! Both hoist the input's product out of the time loop, keep weights in the order that suits them,
//! and apply the gates unit by unit with the standard library's functions. Both use one thread.

use super::{locked, matmul};
use crate::case::{Case, Weights};
use crate::contest::{Contestant, Refusal, Rival, Runner};
use crate::grid::Cell;

/// `sums[batch, rows] += vectors[batch, columns] × matrix[columns, rows]`
pub(super) type Product = fn(&[f32], &[f32], &mut [f32], usize);

/// One way to multiply, and the loops around it.
pub(crate) struct Loops {
    name: &'static str,
    version: Result<String, String>,
    product: Product,
}

impl Loops {
    /// Products by `matrixmultiply::sgemm`.
    pub(crate) fn matrixmultiply() -> Self {
        let version = locked("matrixmultiply");
        Self { name: "matrixmultiply", version, product: matmul::product }
    }

    /// Products by loops that the compiler can vectorise.
    pub(crate) fn plain() -> Self {
        Self { name: "plain-rust", version: Ok("this file".into()), product: plain }
    }
}

impl Rival for Loops {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> Result<String, String> {
        self.version.clone()
    }

    fn enter(&mut self, case: &Case, _threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        let prepare = |(layer, sides): (usize, &Vec<Weights>)| {
            let side = |weights| Side::new(case, case.width(layer), weights);
            sides.iter().map(side).collect()
        };
        let layers = case.layers.iter().enumerate().map(prepare).collect();
        let run = Run { product: self.product, case: case.clone(), layers, y: Vec::new() };
        Ok(Box::new(run))
    }
}

struct Side {
    /// `[input, gates × hidden]`
    input: Vec<f32>,
    /// `[hidden, gates × hidden]`
    recurrent: Vec<f32>,
    bias: Vec<f32>,
    recurrent_bias: Vec<f32>,
}

impl Side {
    fn new(case: &Case, width: usize, weights: &Weights) -> Self {
        Self {
            input: transposed(&weights.input, width),
            recurrent: transposed(&weights.recurrent, case.shape.hidden_size),
            bias: weights.bias.clone(),
            recurrent_bias: weights.recurrent_bias.clone(),
        }
    }
}

struct Run {
    product: Product,
    case: Case,
    layers: Vec<Vec<Side>>,
    y: Vec<f32>,
}

impl Runner for Run {
    fn run(&mut self) -> Result<(), String> {
        let mut x = self.case.x.clone();
        for sides in &self.layers {
            let features = sides.len() * self.case.shape.hidden_size;
            let mut y = vec![0.0; self.case.shape.time * self.case.shape.batch * features];
            for (place, side) in sides.iter().enumerate() {
                one_side(self.product, &self.case, side, &x, &mut y, (place, sides.len()));
            }
            x = y;
        }
        self.y = x;
        Ok(())
    }

    fn last(&mut self, _case: &Case) -> Result<Vec<f32>, String> {
        Ok(self.y.clone())
    }
}

/// One layer in one direction; `place` of so many blocks of features in `y`.
fn one_side(
    product: Product,
    case: &Case,
    side: &Side,
    x: &[f32],
    y: &mut [f32],
    (place, sides): (usize, usize),
) {
    let (batch, time, hidden) = (case.shape.batch, case.shape.time, case.shape.hidden_size);
    let rows = side.bias.len();
    let mut projected = side.bias.repeat(time * batch);
    product(x, &side.input, &mut projected, rows);
    let start = side.recurrent_bias.repeat(batch);
    let mut sums = start.clone();
    let (mut h, mut c) = (case.hidden.clone(), case.cell.clone());
    for step in 0..time {
        let t = if place == 1 { time - 1 - step } else { step };
        sums.copy_from_slice(&start);
        product(&h, &side.recurrent, &mut sums, rows);
        for row in 0..batch {
            let p = &projected[(t * batch + row) * rows..][..rows];
            let q = &sums[row * rows..][..rows];
            let (h, c) = (&mut h[row * hidden..][..hidden], &mut c[row * hidden..][..hidden]);
            match case.shape.cell {
                Cell::Rnn => {
                    h.iter_mut().zip(p).zip(q).for_each(|((h, p), q)| *h = (p + q).tanh());
                }
                Cell::Lstm => lstm(p, q, h, c),
                Cell::Gru => gru(p, q, h),
            }
            y[((t * batch + row) * sides + place) * hidden..][..hidden].copy_from_slice(h);
        }
    }
}

fn lstm(p: &[f32], q: &[f32], h: &mut [f32], c: &mut [f32]) {
    let hidden = h.len();
    for unit in 0..hidden {
        let sum = |gate: usize| p[gate * hidden + unit] + q[gate * hidden + unit];
        c[unit] = sigmoid(sum(1)) * c[unit] + sigmoid(sum(0)) * sum(2).tanh();
        h[unit] = sigmoid(sum(3)) * c[unit].tanh();
    }
}

fn gru(p: &[f32], q: &[f32], h: &mut [f32]) {
    let hidden = h.len();
    for unit in 0..hidden {
        let sum = |gate: usize| p[gate * hidden + unit] + q[gate * hidden + unit];
        let (z, r, n) = (sigmoid(sum(0)), sigmoid(sum(1)), 2 * hidden + unit);
        h[unit] = z * h[unit] + (1.0 - z) * (p[n] + r * q[n]).tanh();
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// `[rows, columns]` as `[columns, rows]`.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    let rows = matrix.len() / columns;
    (0..columns).flat_map(|k| (0..rows).map(move |row| matrix[row * columns + k])).collect()
}

fn plain(vectors: &[f32], matrix: &[f32], sums: &mut [f32], rows: usize) {
    let columns = matrix.len() / rows;
    for (vector, sums) in vectors.chunks_exact(columns).zip(sums.chunks_exact_mut(rows)) {
        for (factor, column) in vector.iter().zip(matrix.chunks_exact(rows)) {
            sums.iter_mut().zip(column).for_each(|(sum, weight)| *sum += factor * weight);
        }
    }
}
