//! A layer in the words of the f64 reference.

use ritornello_kernels::{Activation, Cell, Coupling, Gru, GruReset, Lstm, SimpleRnn};
use ritornello_reference as reference;
use ritornello_reference::widen;

use super::Layer;

impl Layer {
    pub(crate) fn reference(&self) -> reference::Recurrent {
        let rows = self.kind.gates().len() * self.hidden_size;
        let bias = |bias: &Option<Vec<f32>>| bias.as_deref().map_or(vec![0.0; rows], widen);
        let weights = [
            widen(&self.input_weights),
            widen(&self.recurrent_weights),
            bias(&self.bias),
            bias(&self.recurrent_bias),
        ];
        let sizes = [self.input_size, self.hidden_size];
        let mut layer = reference::Recurrent::new(reference_cell(self.kind), sizes, weights);
        layer.recurrence = self.recurrence;
        layer.peepholes = widen(self.peepholes.as_deref().unwrap_or_default());
        layer.projection = widen(self.projection.as_deref().unwrap_or_default());
        layer
    }
}

fn reference_cell(kind: Cell) -> reference::Cell {
    let clip = |clip: Option<f32>| clip.map(f64::from);
    match kind {
        Cell::SimpleRnn(simple @ SimpleRnn { activation, .. }) => reference::Cell::Simple {
            activation: reference_activation(activation),
            clip: clip(simple.clip),
        },
        Cell::Lstm(lstm @ Lstm { activation, recurrent_activation, output_activation, .. }) => {
            reference::Cell::Lstm {
                activation: reference_activation(activation),
                recurrent_activation: reference_activation(recurrent_activation),
                output_activation: reference_activation(output_activation),
                coupling: match lstm.coupling {
                    Coupling::None => reference::Coupling::None,
                    Coupling::ForgetFromInput => reference::Coupling::ForgetFromInput,
                    Coupling::InputFromForget => reference::Coupling::InputFromForget,
                },
                clip: clip(lstm.clip),
                cell_clip: clip(lstm.cell_clip),
                projection_clip: clip(lstm.projection_clip),
            }
        }
        Cell::Gru(gru @ Gru { activation, recurrent_activation, .. }) => reference::Cell::Gru {
            activation: reference_activation(activation),
            recurrent_activation: reference_activation(recurrent_activation),
            reset: match gru.reset {
                GruReset::BeforeMatmul => reference::Reset::BeforeProduct,
                GruReset::AfterMatmul => reference::Reset::AfterProduct,
            },
            clip: clip(gru.clip),
        },
    }
}

pub(crate) fn reference_activation(activation: Activation) -> reference::Activation {
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
