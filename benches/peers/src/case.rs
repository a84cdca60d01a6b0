//! A row made concrete: weights, inputs and the right answer.

use ritornello::{Precision, Tune};

use crate::grid::{Shape, Signal};
use crate::reference;

/// The weights of one layer in one direction, gate blocks one after the other along the rows.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    /// `[gates × hidden, input]`
    pub(crate) input: Vec<f32>,
    /// `[gates × hidden, hidden]`
    pub(crate) recurrent: Vec<f32>,
    /// `[gates × hidden]`
    pub(crate) bias: Vec<f32>,
    /// `[gates × hidden]`, on the side of the hidden state.
    pub(crate) recurrent_bias: Vec<f32>,
}

/// All that a contestant needs to know, and what it must answer.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    /// What contestants may make of the weights.
    pub(crate) precision: Precision,
    /// What ritornello chooses kernels for.
    pub(crate) tune: Tune,
    /// `[layers][directions]`
    pub(crate) layers: Vec<Vec<Weights>>,
    /// `[time, batch, input]`
    pub(crate) x: Vec<f32>,
    /// `[batch, hidden]`, the same for every layer and direction.
    pub(crate) hidden: Vec<f32>,
    /// Likewise; an LSTM's.
    pub(crate) cell: Vec<f32>,
    /// `[time, batch, directions × hidden]` of the last layer.
    pub(crate) answer: Vec<f64>,
}

impl Case {
    /// The case of a row, the same on every machine.
    pub(crate) fn new(shape: Shape) -> Self {
        let mut numbers = Numbers(0x9E37_79B9);
        let Shape { input_size, hidden_size, batch, time, .. } = shape;
        let rows = shape.cell.gates() * hidden_size;
        #[allow(clippy::cast_possible_truncation, reason = "a scale of random weights")]
        let scale = (1.0 / (hidden_size as f64).sqrt()) as f32;
        let random = shape.signal == Signal::Random;
        let (bias_scale, signal, state) = if random { (scale, 1.0, 0.0) } else { (0.0, 0.0, 1.0) };
        let layers = (0..shape.layers)
            .map(|layer| {
                let width = if layer == 0 { input_size } else { shape.directions * hidden_size };
                let side = |_| Weights {
                    input: numbers.take(rows * width, scale),
                    recurrent: numbers.take(rows * hidden_size, scale),
                    bias: numbers.take(rows, bias_scale),
                    recurrent_bias: numbers.take(rows, bias_scale),
                };
                (0..shape.directions).map(side).collect()
            })
            .collect();
        let mut case = Self {
            shape,
            precision: Precision::F32,
            tune: Tune::Latency,
            layers,
            x: numbers.take(time * batch * input_size, signal),
            hidden: numbers.take(batch * hidden_size, state),
            cell: numbers.take(batch * hidden_size, state),
            answer: Vec::new(),
        };
        case.answer = reference::answer(&case);
        case
    }

    /// The same for weights of another precision; the right answer stays that of exact ones.
    pub(crate) fn in_precision(self, precision: Precision, tune: Tune) -> Self {
        Self { precision, tune, ..self }
    }

    /// What others may make of the weights: who splits an f32 is raced against f32.
    pub(crate) fn precision_of_rivals(&self) -> Precision {
        match self.precision {
            Precision::F32Split => Precision::F32,
            other => other,
        }
    }

    /// All weights in the order of `shims/peer.h`.
    pub(crate) fn flat_weights(&self) -> Vec<f32> {
        let sides = self.layers.iter().flatten();
        let arrays = sides.flat_map(|w| [&w.input, &w.recurrent, &w.bias, &w.recurrent_bias]);
        arrays.flatten().copied().collect()
    }

    /// The features that a layer reads.
    pub(crate) fn width(&self, layer: usize) -> usize {
        let Shape { input_size, hidden_size, directions, .. } = self.shape;
        if layer == 0 { input_size } else { directions * hidden_size }
    }

    /// The input as `[batch, time, input]`.
    pub(crate) fn x_by_row(&self) -> Vec<f32> {
        let Shape { input_size, batch, time, .. } = self.shape;
        swap_outer(&self.x, time, batch, input_size)
    }

    /// Brings an answer that came as `[batch, time, features]` into the order of time.
    pub(crate) fn by_time(&self, answer: &[f32]) -> Vec<f32> {
        let Shape { hidden_size, batch, time, directions, .. } = self.shape;
        swap_outer(answer, batch, time, directions * hidden_size)
    }

    /// Brings an answer that came as `[time, directions, batch, hidden]` side by side.
    pub(crate) fn side_by_side(&self, answer: &[f32]) -> Vec<f32> {
        let Shape { hidden_size, batch, directions, .. } = self.shape;
        answer
            .chunks(directions * batch * hidden_size)
            .flat_map(|step| swap_outer(step, directions, batch, hidden_size))
            .collect()
    }

    /// The greatest distance of an answer from the right one; infinite if it is not a number or
    /// has another length.
    pub(crate) fn distance(&self, answer: &[f32]) -> f64 {
        if answer.len() != self.answer.len() {
            return f64::INFINITY;
        }
        let distances = answer.iter().zip(&self.answer).map(|(&a, &b)| (f64::from(a) - b).abs());
        distances.fold(0.0, |most, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
    }
}

/// `[outer, inner, features]` as `[inner, outer, features]`.
fn swap_outer(values: &[f32], outer: usize, inner: usize, features: usize) -> Vec<f32> {
    let mut swapped = Vec::with_capacity(values.len());
    for i in 0..inner {
        for o in 0..outer {
            let start = (o * inner + i) * features;
            swapped.extend(values.get(start..start + features).unwrap_or_default());
        }
    }
    swapped
}

/// Numbers evenly spread, from a linear congruential generator.
struct Numbers(u64);

impl Numbers {
    /// `count` numbers in [-scale, scale); +0 if `scale` is 0.
    fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let [high, low, ..] = self.0.to_be_bytes();
            f32::from(i16::from_be_bytes([high, low])) / 32768.0
        };
        let numbers = (0..count).map(|_| next() * scale);
        if scale == 0.0 { vec![0.0; count] } else { numbers.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_off_is_seen() {
        let case = Case::new(crate::grid::rows()[1]);
        #[allow(clippy::cast_possible_truncation, reason = "the right answer as a rival gives it")]
        let right: Vec<f32> = case.answer.iter().map(|&value| value as f32).collect();
        assert!(case.distance(&right) < 1e-7);
        assert!(case.distance(&case.by_time(&right)) > 1e-3, "rows of a batch differ");
        assert!(case.distance(&right[1..]).is_infinite());
        let mut wrong = right.clone();
        wrong[7] += 2e-4;
        assert!(case.distance(&wrong) > 1e-4);
        wrong[7] = f32::NAN;
        assert!(case.distance(&wrong).is_infinite());
    }

    #[test]
    fn orders_of_axes() {
        assert_eq!(
            swap_outer(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 3, 2, 1),
            [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]
        );
    }
}
