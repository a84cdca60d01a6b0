//! ONNX's activations, as operators and as names inside of recurrent nodes.

use super::Reason;
use super::call::{Call, place};
use super::known::Known;
use super::reader::Reader;
use super::view::View;
use crate::model::{Activation, Op};

/// Whether an operator is an activation.
pub(super) fn is_known(op: &str) -> bool {
    const KNOWN: [&str; 18] = [
        "Relu",
        "Tanh",
        "Sigmoid",
        "LeakyRelu",
        "Elu",
        "Selu",
        "HardSigmoid",
        "Softplus",
        "Softsign",
        "ThresholdedRelu",
        "Exp",
        "Gelu",
        "HardSwish",
        "Clip",
        "Softmax",
        "LogSoftmax",
        "Swish",
        "Mish",
    ];
    KNOWN.contains(&op)
}

pub(super) fn read(reader: &mut Reader<'_, '_>, call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    let float = |name: &str, default: f32| Ok(call.float(name)?.unwrap_or(default));
    let alpha = |default: f32| -> Result<f32, Reason> { float("alpha", default) };
    let activation = match call.node.op {
        "Relu" => Activation::Relu,
        "Tanh" => Activation::Tanh,
        "Sigmoid" => Activation::Sigmoid,
        "LeakyRelu" => Activation::LeakyRelu { alpha: alpha(0.01)? },
        "Elu" => Activation::Elu { alpha: alpha(1.0)? },
        "Selu" => selu(alpha(SELU[0])?, float("gamma", SELU[1])?)?,
        "HardSigmoid" => {
            Activation::HardSigmoid { slope: alpha(0.2)?, offset: float("beta", 0.5)? }
        }
        "Softplus" => Activation::Softplus,
        "Softsign" => Activation::Softsign,
        "ThresholdedRelu" => Activation::ThresholdedRelu { alpha: alpha(1.0)? },
        "Exp" => Activation::Exponential,
        "Gelu" => match call.text("approximate")?.unwrap_or("none") {
            "none" => Activation::Gelu,
            "tanh" => Activation::GeluTanh,
            other => return Err(Reason(format!("its approximate is '{other}'"))),
        },
        "Clip" => clip(call)?,
        "Softmax" => return over_rows(reader, call, Activation::Softmax),
        "LogSoftmax" => return over_rows(reader, call, Activation::LogSoftmax),
        _ => return Err(Reason("there is no such activation here".into())),
    };
    let view = call.data(0)?.clone();
    if call.node.op != "Clip" {
        call.at_most(1)?;
    }
    let view = reader.settled(&view)?;
    apply(reader, call, view, activation)
}

const SELU: [f32; 2] = [1.673_263_2, 1.050_701];

fn selu(alpha: f32, gamma: f32) -> Result<Activation, Reason> {
    if [alpha, gamma] == SELU {
        return Ok(Activation::Selu);
    }
    Err(Reason(format!("its alpha {alpha} and gamma {gamma} are not those of SELU")))
}

/// Bounds that are those of an activation.
fn clip(call: &Call<'_, '_>) -> Result<Activation, Reason> {
    let bound = |name: &str, index: usize| -> Result<Option<f32>, Reason> {
        if let Some(bound) = call.float(name)? {
            return Ok(Some(bound));
        }
        match call.optional(index) {
            None => Ok(None),
            Some(_) => match call.constant(index)?.only() {
                Some(bound) => Ok(Some(bound)),
                None => Err(Reason(format!("its {name} is not one number"))),
            },
        }
    };
    match (bound("min", 1)?, bound("max", 2)?) {
        (Some(0.0), None) => Ok(Activation::Relu),
        (Some(0.0), Some(6.0)) => Ok(Activation::Relu6),
        (Some(-1.0), Some(1.0)) => Ok(Activation::HardTanh),
        (min, max) => Err(Reason(format!(
            "it bounds by {min:?} and {max:?}; read are 0, 0 and 6, and -1 and 1"
        ))),
    }
}

/// An activation of whole rows.
fn over_rows(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    activation: Activation,
) -> Result<Vec<Known>, Reason> {
    call.at_most(1)?;
    let default = if call.opset < 13 { 1 } else { -1 };
    let axis = call.int("axis")?.unwrap_or(default);
    let view = call.data(0)?.clone();
    if place(axis, view.rank())? + 1 != view.rank() {
        return Err(Reason(format!("its axis {axis} is not the last, that of the features")));
    }
    let view = reader.rows(&view)?;
    apply(reader, call, view, activation)
}

fn apply(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    view: View,
    activation: Activation,
) -> Result<Vec<Known>, Reason> {
    if view.index {
        return Err(Reason("it computes with indices".into()));
    }
    let value = reader.emit(call.name(), Op::Activation(activation), &[view.value]);
    Ok(vec![Known::Data(View { value, sole: true, ..view })])
}

/// The parameters that a recurrent node's activations take, one after the other.
pub(super) struct Parameters<'n> {
    alpha: std::slice::Iter<'n, f32>,
    beta: std::slice::Iter<'n, f32>,
}

impl<'n> Parameters<'n> {
    pub(super) fn new(alpha: &'n [f32], beta: &'n [f32]) -> Self {
        Self { alpha: alpha.iter(), beta: beta.iter() }
    }

    /// Fails if some were not taken.
    pub(super) fn finish(self) -> Result<(), Reason> {
        match (self.alpha.len(), self.beta.len()) {
            (0, 0) => Ok(()),
            (alpha, beta) => Err(Reason(format!(
                "{alpha} numbers of activation_alpha and {beta} of activation_beta belong to no activation"
            ))),
        }
    }

    /// The activation of this name, with the next of its parameters.
    pub(super) fn named(&mut self, name: &str) -> Result<Activation, Reason> {
        let mut needed = |which: &str, default: Option<f32>| {
            let numbers = if which == "alpha" { &mut self.alpha } else { &mut self.beta };
            numbers.next().copied().or(default).ok_or_else(|| {
                Reason(format!("activation {name} needs its number in activation_{which}"))
            })
        };
        Ok(match name.to_ascii_lowercase().as_str() {
            "relu" => Activation::Relu,
            "tanh" => Activation::Tanh,
            "sigmoid" => Activation::Sigmoid,
            "softsign" => Activation::Softsign,
            "softplus" => Activation::Softplus,
            "leakyrelu" => Activation::LeakyRelu { alpha: needed("alpha", Some(0.01))? },
            "thresholdedrelu" => Activation::ThresholdedRelu { alpha: needed("alpha", Some(1.0))? },
            "elu" => Activation::Elu { alpha: needed("alpha", Some(1.0))? },
            "hardsigmoid" => Activation::HardSigmoid {
                slope: needed("alpha", Some(0.2))?,
                offset: needed("beta", Some(0.5))?,
            },
            "scaledtanh" => Activation::ScaledTanh {
                alpha: needed("alpha", None)?,
                beta: needed("beta", None)?,
            },
            "affine" => {
                Activation::Affine { alpha: needed("alpha", None)?, beta: needed("beta", None)? }
            }
            _ => return Err(Reason(format!("activation '{name}' is not one of ONNX's"))),
        })
    }
}
