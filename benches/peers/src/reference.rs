//! The right answer: the equations in `f64`, in plain loops.

use crate::case::{Case, Weights};
use crate::grid::Cell;

/// All hidden states of the last layer, `[time, batch, directions × hidden]`.
pub(crate) fn answer(case: &Case) -> Vec<f64> {
    let mut x: Vec<f64> = case.x.iter().copied().map(f64::from).collect();
    for (layer, sides) in case.layers.iter().enumerate() {
        let width = case.width(layer);
        let runs: Vec<Vec<f64>> = sides
            .iter()
            .enumerate()
            .map(|(side, weights)| run(case, weights, &x, width, side == 1))
            .collect();
        let hidden = case.shape.hidden_size;
        x = (0..case.shape.time * case.shape.batch)
            .flat_map(|row| runs.iter().flat_map(move |run| &run[row * hidden..][..hidden]))
            .copied()
            .collect();
    }
    x
}

/// One layer in one direction, `[time, batch, hidden]`.
fn run(case: &Case, weights: &Weights, x: &[f64], width: usize, reverse: bool) -> Vec<f64> {
    let (batch, time, hidden) = (case.shape.batch, case.shape.time, case.shape.hidden_size);
    let rows = case.shape.cell.gates() * hidden;
    let input = transposed(&weights.input, rows, width);
    let recurrent = transposed(&weights.recurrent, rows, hidden);
    let mut h: Vec<f64> = case.hidden.iter().copied().map(f64::from).collect();
    let mut c: Vec<f64> = case.cell.iter().copied().map(f64::from).collect();
    let mut states = vec![0.0; time * batch * hidden];
    for step in 0..time {
        let t = if reverse { time - 1 - step } else { step };
        let from_x = products(&input, &weights.bias, &x[t * batch * width..][..batch * width]);
        let from_h = products(&recurrent, &weights.recurrent_bias, &h);
        for row in 0..batch {
            let (p, q) = (&from_x[row * rows..][..rows], &from_h[row * rows..][..rows]);
            let (h, c) = (&mut h[row * hidden..][..hidden], &mut c[row * hidden..][..hidden]);
            for unit in 0..hidden {
                let sum = |gate: usize| p[gate * hidden + unit] + q[gate * hidden + unit];
                h[unit] = match case.shape.cell {
                    Cell::Rnn => sum(0).tanh(),
                    Cell::Lstm => {
                        let (i, f) = (sigmoid(sum(0)), sigmoid(sum(1)));
                        c[unit] = f * c[unit] + i * sum(2).tanh();
                        sigmoid(sum(3)) * c[unit].tanh()
                    }
                    Cell::Gru => {
                        let (z, r) = (sigmoid(sum(0)), sigmoid(sum(1)));
                        let n = 2 * hidden + unit;
                        z * h[unit] + (1.0 - z) * (p[n] + r * q[n]).tanh()
                    }
                };
            }
        }
        states[t * batch * hidden..][..batch * hidden].copy_from_slice(&h);
    }
    states
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `[rows, columns]` as `[columns][rows]`, in f64.
fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Vec<Vec<f64>> {
    let column = |k| (0..rows).map(|row| f64::from(matrix[row * columns + k])).collect();
    (0..columns).map(column).collect()
}

/// `bias + matrix × vector` for every vector of a batch; the matrix comes by columns.
fn products(columns: &[Vec<f64>], bias: &[f32], vectors: &[f64]) -> Vec<f64> {
    let (rows, batch) = (bias.len(), vectors.len() / columns.len());
    let start = bias.iter().copied().map(f64::from);
    let mut sums: Vec<f64> = start.cycle().take(batch * rows).collect();
    for (k, column) in columns.iter().enumerate() {
        for (b, sums) in sums.chunks_exact_mut(rows).enumerate() {
            let factor = vectors[b * columns.len() + k];
            sums.iter_mut().zip(column).for_each(|(sum, weight)| *sum += factor * weight);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::{Grid, Shape, Signal};
    use ritornello_reference as oracle;

    /// These loops and those of the library's own oracle say the same.
    #[test]
    fn two_references_agree() {
        let sigmoid = oracle::Activation::Sigmoid;
        let tanh = oracle::Activation::Tanh;
        let lstm = oracle::Cell::Lstm { activation: tanh, recurrent_activation: sigmoid };
        let gru = oracle::Cell::Gru {
            activation: tanh,
            recurrent_activation: sigmoid,
            reset: oracle::Reset::AfterProduct,
        };
        let rnn = oracle::Cell::Simple { activation: tanh, recurrence: oracle::Recurrence::Matrix };
        for (cell, known) in [(Cell::Lstm, lstm), (Cell::Gru, gru), (Cell::Rnn, rnn)] {
            for signal in [Signal::Random, Signal::Decay] {
                compare(cell, &known, signal);
            }
        }
    }

    fn compare(cell: Cell, known: &oracle::Cell, signal: Signal) {
        let case = Case::new(Shape {
            grid: Grid::Main,
            cell,
            input_size: 3,
            hidden_size: 5,
            batch: 2,
            time: 4,
            layers: 1,
            directions: 2,
            signal,
        });
        let state = |row: usize| oracle::State {
            hidden: oracle::widen(&case.hidden[row * 5..][..5]),
            cell: if cell == Cell::Lstm {
                oracle::widen(&case.cell[row * 5..][..5])
            } else {
                vec![]
            },
        };
        let x =
            |row: usize| (0..4).map(|t| oracle::widen(&case.x[(t * 2 + row) * 3..][..3])).collect();
        let run = |side: usize, direction| {
            let weights = &case.layers[0][side];
            let layer = oracle::Recurrent {
                cell: *known,
                input_size: 3,
                hidden_size: 5,
                input_weights: oracle::widen(&weights.input),
                recurrent_weights: oracle::widen(&weights.recurrent),
                bias: oracle::widen(&weights.bias),
                recurrent_bias: oracle::widen(&weights.recurrent_bias),
            };
            layer.run(&[x(0), x(1)], &[state(0), state(1)], direction).outputs
        };
        let forward = run(0, oracle::Direction::Forward);
        let backward = run(1, oracle::Direction::Reverse);
        for t in 0..4 {
            for row in 0..2 {
                let both = forward[row][t].iter().chain(&backward[row][t]);
                let ours = &case.answer[(t * 2 + row) * 10..][..10];
                for (a, b) in ours.iter().zip(both) {
                    assert!((a - b).abs() < 1e-13, "{cell:?} {signal:?} t{t} row {row}: {a} {b}");
                }
            }
        }
    }
}
