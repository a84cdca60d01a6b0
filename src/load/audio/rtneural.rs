//! RTNeural: layers with their weights, as its script for Keras writes them.
//!
//! ```json
//! { "in_shape": [null, null, 1],
//!   "layers": [ { "type": "lstm", "activation": "tanh", "shape": [null, null, 8],
//!                 "weights": [ [[...]], [[...]], [...] ] },
//!               { "type": "dense", "activation": "", "shape": [null, null, 1],
//!                 "weights": [ [[...]], [...] ] } ] }
//! ```
//!
//! Weights are what Keras' `get_weights()` gives, gate orders and transposes included; a GRU resets
//! after the product and has two rows of biases.

use serde_json::Value as Json;

use super::aida;
use super::json::{Object, array, count, mistyped};
use crate::load::convention::keras;
use crate::load::model_file::ModelFile;
use crate::load::tensors::{Axis, TensorView};
use crate::model::{
    Activation, Cell, Direction, GraphBuilder, GruReset, Op, Recurrent, ScaleShift, Value,
};
use crate::{Array, Error, Model};

/// Keys of every layer.
const LAYER: [&str; 4] = ["type", "activation", "shape", "weights"];

/// Reads a file of layers.
pub(super) fn read(top: &Object<'_>) -> Result<ModelFile, Error> {
    top.know(&[&["in_shape", "layers"], aida::KEYS, aida::DESCRIPTIVE].concat())?;
    let features = last_axis(top, "in_shape")?;
    let extras = aida::Extras::read(top)?;
    let mut chain = Chain::new(features);
    let input = extras.before(&mut chain);
    let layers = top.list("layers")?;
    if layers.is_empty() {
        return Err(top.wrong("layers", "there are none"));
    }
    for (index, layer) in layers.iter().enumerate() {
        let object = Object::new(top.file(), format!("layers[{index}]"), layer)?;
        chain.layer(index, &object)?;
    }
    extras.after(&mut chain, input, features)?;
    let Chain { mut graph, value, features: outputs } = chain;
    graph.output("y", value);
    let model = graph.build()?;
    let self_test = aida::self_test(top, [features, outputs])?;
    Ok(ModelFile { model, about: aida::about(top)?, self_test })
}

/// The size of the last axis, the only one that says something.
fn last_axis(object: &Object<'_>, key: &str) -> Result<usize, Error> {
    let axes = object.list(key)?;
    if axes.len() > 3 {
        return Err(object.unsupported(
            key,
            "the four axes of",
            "images are not for recurrent networks; sequences are [batch, time, features]",
        ));
    }
    let place = object.at(key);
    match axes.last() {
        Some(last) => count(object.file(), &place, last),
        None => Err(object.wrong(key, "it is empty, expected [batch, time, features]")),
    }
}

/// Layers in the making.
pub(super) struct Chain {
    pub(super) graph: GraphBuilder,
    pub(super) value: Value,
    pub(super) features: usize,
}

impl Chain {
    fn new(features: usize) -> Self {
        let mut graph = Model::graph();
        let value = graph.sequence("x", features);
        Self { graph, value, features }
    }

    pub(super) fn add(&mut self, name: &str, op: Op) {
        self.value = self.graph.node(name, op, &[self.value]);
    }

    fn layer(&mut self, index: usize, object: &Object<'_>) -> Result<(), Error> {
        let kind = object.text("type")?;
        let keys = if kind == "batchnorm" { &["epsilon"][..] } else { &[] };
        let refuse =
            |advice: &str| Err(object.unsupported("type", &format!("'{kind}' of"), advice));
        match kind {
            "dense"
            | "time-distributed-dense"
            | "lstm"
            | "gru"
            | "prelu"
            | "batchnorm"
            | "activation" => object.know(&[&LAYER, keys].concat())?,
            "conv1d" | "conv2d" | "batchnorm2d" => {
                return refuse("convolutions are not run here, only recurrent and dense layers");
            }
            _ => {
                return refuse(
                    "there are: dense, time-distributed-dense, lstm, gru, prelu, batchnorm, \
                     activation",
                );
            }
        }
        let features = last_axis(object, "shape")?;
        let weights = weights(object)?;
        let activation = activation(object)?;
        let name = |word: &str| format!("{word}_{index}");
        match kind {
            "dense" | "time-distributed-dense" => {
                let [kernel, bias] = take(object, &weights, ["kernel", "bias"], 1)?;
                let kernel = view("kernel", kernel)?;
                kernel
                    .expect(&[Axis::of("input", self.features), Axis::of("output", features)])
                    .map_err(|error| error.within(&object.at("weights")))?;
                let bias = optional("bias", bias)?;
                let dense = keras::dense_layer(kernel, bias, Some(features), activation)
                    .map_err(|error| error.within(&object.at("weights")))?;
                self.add(&name("dense"), Op::Dense(dense));
            }
            "lstm" | "gru" => {
                if !matches!(activation, Activation::Linear | Activation::Tanh) {
                    return Err(object.unsupported(
                        "activation",
                        &format!("'{activation}' inside a cell, which RTNeural runs with tanh,"),
                        "train it with tanh, or read the Keras model that it comes from",
                    ));
                }
                let gru = Cell::gru(GruReset::AfterMatmul);
                let cell = if kind == "lstm" { Cell::LSTM } else { gru };
                let layer = self.recurrent(cell, object, &weights, features)?;
                self.add(&name(kind), Op::Recurrent(layer));
            }
            "prelu" => self.prelu(&name("prelu"), object, &weights, features)?,
            "batchnorm" => {
                let affine = self.batch_norm(object, &weights)?;
                self.add(&name("batchnorm"), Op::ScaleShift(affine));
            }
            _ => {
                take::<0>(object, &weights, [], 0)?;
                self.add(&name("activation"), Op::Activation(activation));
            }
        }
        if matches!(kind, "prelu" | "batchnorm" | "activation") && features != self.features {
            let problem = format!("its last axis is {features}, but {} come in", self.features);
            return Err(object.wrong("shape", problem));
        }
        self.features = features;
        Ok(())
    }

    fn recurrent(
        &self,
        cell: Cell,
        object: &Object<'_>,
        weights: &[Array],
        units: usize,
    ) -> Result<Recurrent, Error> {
        let names = ["kernel", "recurrent_kernel", "bias"];
        let [kernel, recurrent, bias] = take(object, weights, names, 2)?;
        let within = |error: Error| error.within(&object.at("weights"));
        let (kernel, recurrent) = (view("kernel", kernel)?, view("recurrent_kernel", recurrent)?);
        let gates = Axis::gates(cell.gates().len(), Some(units));
        kernel.expect(&[Axis::of("input", self.features), gates]).map_err(within)?;
        let bias = optional("bias", bias)?;
        let weights =
            keras::cell_weights(cell, kernel, recurrent, bias, Some(units)).map_err(within)?;
        Recurrent::new(cell, Direction::Forward, vec![weights])
    }

    fn batch_norm(&self, object: &Object<'_>, weights: &[Array]) -> Result<ScaleShift, Error> {
        let epsilon = object.number("epsilon")?;
        if !(epsilon >= 0.0 && epsilon.is_finite()) {
            return Err(object.wrong("epsilon", "expected a number that is not negative"));
        }
        let axis = Axis::of("features", self.features);
        let vectors = weights.iter().enumerate().map(|(index, array)| {
            view(["gamma", "beta", "mean", "variance"].get(index).unwrap_or(&"array"), Some(array))?
                .vector(&axis)
                .map_err(|error| error.within(&object.at("weights")))
        });
        let vectors: Vec<Vec<f32>> = vectors.collect::<Result<_, _>>()?;
        match &vectors[..] {
            [gamma, beta, mean, variance] => {
                ScaleShift::from_batch_norm(Some(gamma), Some(beta), mean, variance, epsilon)
            }
            [mean, variance] => ScaleShift::from_batch_norm(None, None, mean, variance, epsilon),
            other => {
                let problem = format!(
                    "there are {} arrays, expected 4 (gamma, beta, mean, variance) or 2 (mean, variance)",
                    other.len()
                );
                Err(object.wrong("weights", problem))
            }
        }
    }

    /// One slope for all features is an activation. Of a slope for each it is `relu(x) - alpha ⊙ relu(-x)`,
    /// which is `alpha ⊙ x` below zero, to the bit.
    fn prelu(
        &mut self,
        name: &str,
        object: &Object<'_>,
        weights: &[Array],
        features: usize,
    ) -> Result<(), Error> {
        let [alpha] = take(object, weights, ["alpha"], 1)?;
        let alpha = view("alpha", alpha)?;
        let slopes = match *alpha.shape() {
            [1] | [1, 1] => {
                let alpha = alpha.numbers()[0];
                self.add(name, Op::Activation(Activation::LeakyRelu { alpha }));
                return Ok(());
            }
            [count] | [1, count] if count == features => alpha.numbers(),
            _ => {
                let error = alpha.misfit(&format!("[1, features={features}]"));
                return Err(error.within(&object.at("weights")));
            }
        };
        let zeros = || vec![0.0; features];
        let scale = |factors| Ok::<_, Error>(Op::ScaleShift(ScaleShift::new(factors, zeros())?));
        let graph = &mut self.graph;
        let relu = Op::Activation(Activation::Relu);
        let above = graph.node(&format!("{name}.above"), relu.clone(), &[self.value]);
        let turned = scale(vec![-1.0; features])?;
        let turned = graph.node(&format!("{name}.turned"), turned, &[self.value]);
        let below = graph.node(&format!("{name}.below"), relu, &[turned]);
        let slopes = scale(slopes.iter().map(|slope| -slope).collect())?;
        let scaled = graph.node(&format!("{name}.scaled"), slopes, &[below]);
        self.value = graph.node(name, Op::Add, &[above, scaled]);
        Ok(())
    }
}

fn weights(object: &Object<'_>) -> Result<Vec<Array>, Error> {
    let list = object.list("weights")?.iter().enumerate();
    list.map(|(index, value)| {
        array(object.file(), &format!("{}[{index}]", object.at("weights")), value)
    })
    .collect()
}

/// So many arrays; those from `least` on may be absent.
fn take<'a, const N: usize>(
    object: &Object<'_>,
    weights: &'a [Array],
    names: [&str; N],
    least: usize,
) -> Result<[Option<&'a Array>; N], Error> {
    if (least..=N).contains(&weights.len()) {
        return Ok(std::array::from_fn(|index| weights.get(index)));
    }
    let expected = match names.join(", ") {
        none if none.is_empty() => "none".into(),
        names if least < N => format!("{N} ({names}), or {least}"),
        names => format!("{N} ({names})"),
    };
    let problem = format!("there are {} arrays, expected {expected}", weights.len());
    Err(object.wrong("weights", problem))
}

fn view<'a>(name: &'a str, array: Option<&'a Array>) -> Result<TensorView<'a>, Error> {
    match array {
        Some(array) => TensorView::of_array(name, array),
        None => Err(Error::MissingTensor {
            name: name.into(),
            needed_by: "the layer".into(),
            present: "fewer arrays".into(),
        }),
    }
}

fn optional<'a>(name: &'a str, array: Option<&'a Array>) -> Result<Option<TensorView<'a>>, Error> {
    array.map(|array| TensorView::of_array(name, array)).transpose()
}

/// The activation of a layer; nothing is linear.
fn activation(object: &Object<'_>) -> Result<Activation, Error> {
    let word = match object.get("activation") {
        None => return Ok(Activation::Linear),
        Some(Json::String(word)) => word.as_str(),
        Some(other) => {
            return Err(mistyped(object.file(), &object.at("activation"), "a text", other));
        }
    };
    match word {
        "" => Ok(Activation::Linear),
        "tanh" => Ok(Activation::Tanh),
        "relu" => Ok(Activation::Relu),
        "sigmoid" => Ok(Activation::Sigmoid),
        "softmax" => Ok(Activation::Softmax),
        "elu" => Ok(Activation::Elu { alpha: 1.0 }),
        _ => Err(object.unsupported(
            "activation",
            &format!("'{word}' of"),
            "there are: tanh, relu, sigmoid, softmax, elu, and nothing",
        )),
    }
}
