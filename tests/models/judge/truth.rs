//! Layers and activations in the words of the f64 reference.

use ritornello::model::{Activation, Cell, GruReset, Recurrent, RecurrentWeights};
use ritornello_reference as reference;
use ritornello_reference::widen;

pub(super) fn reference_layer(layer: &Recurrent, direction: usize) -> reference::Recurrent {
    let weights = &layer.weights()[direction];
    let rows = weights.input.rows();
    let bias = |bias: &Option<Vec<f32>>| bias.as_deref().map_or(vec![0.0; rows], widen);
    let (recurrence, recurrent_weights) = match &weights.recurrent {
        RecurrentWeights::Matrix(matrix) => (reference::Recurrence::Matrix, widen(matrix.values())),
        RecurrentWeights::Identity => (reference::Recurrence::Identity, Vec::new()),
    };
    let cell = match layer.cell() {
        Cell::SimpleRnn { activation } => {
            reference::Cell::Simple { activation: reference_activation(activation), recurrence }
        }
        Cell::Lstm { activation, recurrent_activation } => reference::Cell::Lstm {
            activation: reference_activation(activation),
            recurrent_activation: reference_activation(recurrent_activation),
        },
        Cell::Gru { reset, activation, recurrent_activation } => reference::Cell::Gru {
            activation: reference_activation(activation),
            recurrent_activation: reference_activation(recurrent_activation),
            reset: match reset {
                GruReset::BeforeMatmul => reference::Reset::BeforeProduct,
                GruReset::AfterMatmul => reference::Reset::AfterProduct,
            },
        },
    };
    reference::Recurrent {
        cell,
        input_size: layer.input_size(),
        hidden_size: layer.hidden_size(),
        input_weights: widen(weights.input.values()),
        recurrent_weights,
        bias: bias(&weights.bias),
        recurrent_bias: bias(&weights.recurrent_bias),
    }
}

pub(super) fn reference_activation(activation: Activation) -> reference::Activation {
    use reference::Activation as R;
    match activation {
        Activation::Linear => R::Linear,
        Activation::Tanh => R::Tanh,
        Activation::Sigmoid => R::Sigmoid,
        Activation::Relu => R::Relu,
        Activation::LeakyRelu { alpha } => R::LeakyRelu { alpha: alpha.into() },
        Activation::Elu { alpha } => R::Elu { alpha: alpha.into() },
        Activation::Selu => R::Selu,
        Activation::Softplus => R::Softplus,
        Activation::Softsign => R::Softsign,
        Activation::HardSigmoid { slope, offset } => {
            R::HardSigmoid { slope: slope.into(), offset: offset.into() }
        }
        Activation::HardTanh => R::HardTanh,
        Activation::Silu => R::Silu,
        Activation::Gelu => R::Gelu,
        Activation::GeluTanh => R::GeluTanh,
        Activation::Exponential => R::Exponential,
        other => panic!("{other} has no equation in the reference"),
    }
}
