//! Layers and activations in the words of the f64 reference.

use ritornello::model::{Activation, Cell, Coupling, GruReset, Recurrent, RecurrentWeights};
use ritornello_reference as reference;
use ritornello_reference::widen;

pub(super) fn reference_layer(layer: &Recurrent, direction: usize) -> reference::Recurrent {
    let weights = &layer.weights()[direction];
    let rows = weights.input.rows();
    let bias = |bias: &Option<Vec<f32>>| bias.as_deref().map_or(vec![0.0; rows], widen);
    let (recurrence, recurrent) = match &weights.recurrent {
        RecurrentWeights::Matrix(matrix) => (reference::Recurrence::Matrix, widen(matrix.values())),
        RecurrentWeights::Diagonal(weights) => (reference::Recurrence::Diagonal, widen(weights)),
        RecurrentWeights::Identity => (reference::Recurrence::Identity, Vec::new()),
    };
    let mut truth = reference::Recurrent::new(
        reference_cell(layer.cell()),
        [layer.input_size(), layer.hidden_size()],
        [
            widen(weights.input.values()),
            recurrent,
            bias(&weights.bias),
            bias(&weights.recurrent_bias),
        ],
    );
    truth.recurrence = recurrence;
    truth.peepholes = weights.peepholes.as_deref().map_or(Vec::new(), widen);
    truth.projection = weights.projection.as_ref().map_or(Vec::new(), |v| widen(v.values()));
    truth
}

fn reference_cell(cell: Cell) -> reference::Cell {
    let clip = |clip: Option<f32>| clip.map(f64::from);
    match cell {
        Cell::SimpleRnn(simple) => reference::Cell::Simple {
            activation: reference_activation(simple.activation),
            clip: clip(simple.clip),
        },
        Cell::Lstm(lstm) => reference::Cell::Lstm {
            activation: reference_activation(lstm.activation),
            recurrent_activation: reference_activation(lstm.recurrent_activation),
            output_activation: reference_activation(lstm.output_activation),
            coupling: match lstm.coupling {
                Coupling::None => reference::Coupling::None,
                Coupling::ForgetFromInput => reference::Coupling::ForgetFromInput,
                Coupling::InputFromForget => reference::Coupling::InputFromForget,
            },
            clip: clip(lstm.clip),
            cell_clip: clip(lstm.cell_clip),
            projection_clip: clip(lstm.projection_clip),
        },
        Cell::Gru(gru) => reference::Cell::Gru {
            activation: reference_activation(gru.activation),
            recurrent_activation: reference_activation(gru.recurrent_activation),
            reset: match gru.reset {
                GruReset::BeforeMatmul => reference::Reset::BeforeProduct,
                GruReset::AfterMatmul => reference::Reset::AfterProduct,
            },
            clip: clip(gru.clip),
        },
    }
}

pub(super) fn reference_activation(activation: Activation) -> reference::Activation {
    use reference::Activation as R;
    match activation {
        Activation::Linear => R::Linear,
        Activation::Tanh => R::Tanh,
        Activation::Sigmoid => R::Sigmoid,
        Activation::Relu => R::Relu,
        Activation::Relu6 => R::Relu6,
        Activation::LeakyRelu { alpha } => R::LeakyRelu { alpha: alpha.into() },
        Activation::Elu { alpha } => R::Elu { alpha: alpha.into() },
        Activation::Selu => R::Selu,
        Activation::Softplus => R::Softplus,
        Activation::Softsign => R::Softsign,
        Activation::HardSigmoid { slope, offset } => {
            R::HardSigmoid { slope: slope.into(), offset: offset.into() }
        }
        Activation::HardTanh => R::HardTanh,
        Activation::ScaledTanh { alpha, beta } => {
            R::ScaledTanh { alpha: alpha.into(), beta: beta.into() }
        }
        Activation::Affine { alpha, beta } => R::Affine { alpha: alpha.into(), beta: beta.into() },
        Activation::ThresholdedRelu { alpha } => R::ThresholdedRelu { alpha: alpha.into() },
        Activation::Silu => R::Silu,
        Activation::Gelu => R::Gelu,
        Activation::GeluTanh => R::GeluTanh,
        Activation::Exponential => R::Exponential,
        other => panic!("{other} has no equation in the reference"),
    }
}
