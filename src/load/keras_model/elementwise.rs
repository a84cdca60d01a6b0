//! Layers of one input and one output: dense, embedding, normalisation, activations, shapes.

use super::config::Layer;
use super::{File, activation};
use crate::Error;
use crate::load::convention::keras;
use crate::load::tensors::Axis;
use crate::model::{Activation, Embedding, Op, ScaleShift};

/// Layers that do the same to every step, with or without `TimeDistributed`.
const POINTWISE: [&str; 10] = [
    "Dense",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "BatchNormalization",
    "Dropout",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
];

/// All others.
const OTHERS: [&str; 18] = [
    "InputLayer",
    "SimpleRNN",
    "LSTM",
    "GRU",
    "RNN",
    "Bidirectional",
    "Masking",
    "TimeDistributed",
    "Embedding",
    "SpatialDropout1D",
    "Softmax",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "Flatten",
    "RepeatVector",
    "Concatenate",
    "Add",
    "Multiply",
];

/// Fails unless the layer's class is one of these.
pub(super) fn expect_known(layer: &Layer<'_>) -> Result<(), Error> {
    let known = POINTWISE.contains(&layer.class) || OTHERS.contains(&layer.class);
    if known { Ok(()) } else { Err(unknown(layer)) }
}

fn unknown(layer: &Layer<'_>) -> Error {
    let advice = format!("there are: {}, {}", OTHERS.join(", "), POINTWISE.join(", "));
    layer.unsupported("", &advice)
}

/// What a layer computes; `None` if it is the identity at inference.
pub(super) fn op(layer: &Layer<'_>, path: &str, file: &File) -> Result<Option<Op>, Error> {
    Ok(Some(match layer.class {
        "Dense" => dense(layer, path, file)?,
        "TimeDistributed" => {
            layer.know(&["layer"])?;
            let missing = || layer.unsupported("without a layer", "give it a Dense layer");
            let inner = layer.inner("layer")?.ok_or_else(missing)?;
            if !POINTWISE.contains(&inner.class) {
                let advice = format!("there are: {}", POINTWISE.join(", "));
                return Err(layer.unsupported(&format!("around {}", inner.label()), &advice));
            }
            return op(&inner, &format!("{path}/layer"), file);
        }
        "Embedding" => embedding(layer, path, file)?,
        "BatchNormalization" => batch_normalization(layer, path, file)?,
        "Activation" => {
            layer.know(&["activation"])?;
            let linear = Activation::Linear;
            Op::Activation(activation::read(layer, "activation", linear, file.version)?)
        }
        "ReLU" | "LeakyReLU" | "ELU" | "Softmax" => Op::Activation(activation_layer(layer)?),
        "RepeatVector" => {
            layer.know(&["n"])?;
            Op::Repeat { steps: layer.count("n")? }
        }
        "Flatten" => {
            layer.know(&["data_format"])?;
            channels_last(layer)?;
            Op::Flatten
        }
        "GlobalAveragePooling1D" | "GlobalMaxPooling1D" => {
            layer.know(&["data_format", "keepdims"])?;
            channels_last(layer)?;
            if layer.switch("keepdims", false)? {
                return Err(layer.unsupported("with keepdims=True", "pool without keepdims"));
            }
            if layer.class == "GlobalMaxPooling1D" { Op::MaxOverTime } else { Op::MeanOverTime }
        }
        "Dropout" | "SpatialDropout1D" => {
            layer.know(&["rate", "noise_shape", "data_format"])?;
            return Ok(None);
        }
        "GaussianNoise" | "GaussianDropout" | "AlphaDropout" => {
            layer.know(&["stddev", "rate", "noise_shape"])?;
            return Ok(None);
        }
        _ => return Err(unknown(layer)),
    }))
}

fn channels_last(layer: &Layer<'_>) -> Result<(), Error> {
    match layer.get("data_format") {
        Some(format) if *format != "channels_last" => {
            Err(layer.unsupported(&format!("with data_format={format}"), "use channels_last"))
        }
        _ => Ok(()),
    }
}

fn dense(layer: &Layer<'_>, path: &str, file: &File) -> Result<Op, Error> {
    layer.know(&["units", "activation", "use_bias"])?;
    let label = layer.label();
    let get = |index: usize| file.variable(path, index, &label);
    let bias = if layer.switch("use_bias", true)? { Some(get(1)?) } else { None };
    let activation = activation::read(layer, "activation", Activation::Linear, file.version)?;
    let dense = keras::dense_layer(get(0)?, bias, Some(layer.count("units")?), activation);
    Ok(Op::Dense(dense.map_err(|error| error.within(&label))?))
}

fn embedding(layer: &Layer<'_>, path: &str, file: &File) -> Result<Op, Error> {
    layer.know(&["input_dim", "output_dim", "mask_zero", "input_length"])?;
    let label = layer.label();
    let table = file.variable(path, 0, &label)?;
    let rows = Axis::of("input_dim", layer.count("input_dim")?);
    let columns = Axis::of("output_dim", layer.count("output_dim")?);
    let table = table.matrix(&rows, &columns).map_err(|error| error.within(&label))?;
    Ok(Op::Embedding(Embedding::new(table)))
}

fn batch_normalization(layer: &Layer<'_>, path: &str, file: &File) -> Result<Op, Error> {
    layer.know(&["axis", "epsilon", "center", "scale", "renorm"])?;
    layer.expect_last_axis("axis")?;
    if layer.switch("renorm", false)? {
        return Err(layer.unsupported("with renorm=True", "use plain batch normalisation"));
    }
    let label = layer.label();
    let mut index = 0;
    let mut next = || {
        let view = file.variable(path, index, &label)?;
        index += 1;
        view.vector(&Axis::any("features")).map_err(|error| error.within(&label))
    };
    let gamma = if layer.switch("scale", true)? { Some(next()?) } else { None };
    let beta = if layer.switch("center", true)? { Some(next()?) } else { None };
    let (mean, variance) = (next()?, next()?);
    let epsilon = layer.number("epsilon", 1e-3)?;
    ScaleShift::from_batch_norm(gamma.as_deref(), beta.as_deref(), &mean, &variance, epsilon)
        .map(Op::ScaleShift)
        .map_err(|error| error.within(&label))
}

fn activation_layer(layer: &Layer<'_>) -> Result<Activation, Error> {
    #[allow(clippy::cast_possible_truncation, reason = "activations have f32 parameters")]
    let narrow = |value: f64| value as f32;
    match layer.class {
        "ReLU" => {
            layer.know(&["max_value", "negative_slope", "threshold"])?;
            let slope = layer.number("negative_slope", 0.0)?;
            let most = layer.number("max_value", f64::INFINITY)?;
            let threshold = layer.number("threshold", 0.0)?;
            if threshold == 0.0 && most == f64::INFINITY {
                return Ok(if slope == 0.0 {
                    Activation::Relu
                } else {
                    Activation::LeakyRelu { alpha: narrow(slope) }
                });
            }
            if threshold == 0.0 && most == 6.0 && slope == 0.0 {
                return Ok(Activation::Relu6);
            }
            Err(layer.unsupported(
                &format!("with max_value={most}, negative_slope={slope}, threshold={threshold}"),
                "there are max_value None, or 6 with slope 0; and threshold 0",
            ))
        }
        "LeakyReLU" => {
            layer.know(&["negative_slope", "alpha"])?;
            let key = if layer.has("alpha") { "alpha" } else { "negative_slope" };
            Ok(Activation::LeakyRelu { alpha: narrow(layer.number(key, 0.3)?) })
        }
        "ELU" => {
            layer.know(&["alpha"])?;
            Ok(Activation::Elu { alpha: narrow(layer.number("alpha", 1.0)?) })
        }
        _ => {
            layer.know(&["axis"])?;
            layer.expect_last_axis("axis")?;
            Ok(Activation::Softmax)
        }
    }
}
