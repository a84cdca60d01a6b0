//! Keras's names of activations.

use serde_json::Value;

use super::Version;
use super::config::Layer;
use crate::Error;
use crate::model::Activation;

/// The activation an attribute names. Null is linear.
pub(super) fn read(
    layer: &Layer<'_>,
    key: &str,
    default: Activation,
    version: Version,
) -> Result<Activation, Error> {
    if !layer.has(key) {
        return Ok(default);
    }
    let Some(value) = layer.get(key) else { return Ok(Activation::Linear) };
    // A function is written as its name, or as an object that holds its name.
    let name = value.as_str().or_else(|| value.get("config").and_then(Value::as_str));
    let refuse = || {
        let known = "linear, tanh, sigmoid, relu, relu6, leaky_relu, elu, selu, softplus, \
                     softsign, hard_sigmoid, hard_tanh, silu, swish, gelu, exponential, softmax, \
                     log_softmax";
        layer.unsupported(&format!("with {key}={value}"), &format!("there are: {known}"))
    };
    Ok(match name.ok_or_else(refuse)? {
        "linear" => Activation::Linear,
        "tanh" => Activation::Tanh,
        "sigmoid" => Activation::Sigmoid,
        "relu" => Activation::Relu,
        "relu6" => Activation::Relu6,
        "leaky_relu" => Activation::LeakyRelu { alpha: 0.2 },
        "elu" => Activation::Elu { alpha: 1.0 },
        "selu" => Activation::Selu,
        "softplus" => Activation::Softplus,
        "softsign" => Activation::Softsign,
        "hard_sigmoid" if version.major >= 3 => Activation::HARD_SIGMOID,
        "hard_sigmoid" => Activation::HARD_SIGMOID_FIFTH,
        "hard_tanh" => Activation::HardTanh,
        "silu" | "swish" => Activation::Silu,
        "gelu" => Activation::Gelu,
        "exponential" => Activation::Exponential,
        "softmax" => Activation::Softmax,
        "log_softmax" => Activation::LogSoftmax,
        _ => return Err(refuse()),
    })
}
