//! Default LSTMs of a model in the words of the f64 reference.

#![allow(dead_code, reason = "each test file uses a part")]

use ritornello::Isa;
use ritornello::model::{Cell, Lstm, Model, Op, RecurrentWeights};
use ritornello_reference::{Activation, Cell as Equations, Recurrent, Rounding, widen};

/// The forward LSTMs of a model, in order.
pub(crate) fn layers(model: &Model) -> Vec<Recurrent> {
    let layers = model.nodes().iter().filter_map(|node| match &node.op {
        Op::Recurrent(layer) => Some(layer),
        _ => None,
    });
    layers
        .map(|layer| {
            assert_eq!(layer.cell(), Cell::Lstm(Lstm::DEFAULT));
            let [weights] = layer.weights() else { panic!("one direction") };
            let RecurrentWeights::Matrix(recurrent) = &weights.recurrent else {
                panic!("a matrix")
            };
            let rows = 4 * layer.hidden_size();
            let bias = |bias: &Option<Vec<f32>>| match bias {
                Some(bias) => widen(bias),
                None => vec![0.0; rows],
            };
            Recurrent::new(
                Equations::lstm(Activation::Tanh, Activation::Sigmoid),
                [layer.input_size(), layer.hidden_size()],
                [
                    widen(weights.input.values()),
                    widen(recurrent.values()),
                    bias(&weights.bias),
                    bias(&weights.recurrent_bias),
                ],
            )
        })
        .collect()
}

/// How a level rounds products in sums.
pub(crate) fn rounding(isa: Isa) -> Rounding {
    if isa == Isa::Portable { Rounding::Separate } else { Rounding::Fused }
}

/// The largest distance of numbers.
pub(crate) fn distance(a: &[f32], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let distances = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - b).abs());
    // A NaN anywhere is an infinite distance.
    distances.fold(0.0, |most, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
}

/// 5e-7 × max(1, max|y|), or twice the framework's own distance from f64 if that is more.
pub(crate) fn line(theirs: &[f32], exact: &[f64]) -> f64 {
    let largest = exact.iter().fold(1.0_f64, |most, y| most.max(y.abs()));
    (5e-7 * largest).max(2.0 * distance(theirs, exact))
}
