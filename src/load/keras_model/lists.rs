//! Where the variables of layers are in a whole model of `.h5`: for each layer of the model a list
//! of names, in the order in which Keras counts its variables: what is trained, then the rest.

use std::collections::HashMap;

use serde_json::Value;

use super::cells::by_gate;
use super::config::Layer;
use super::nested::is_model;
use super::paths::Counter;
use super::{Version, inside};
use crate::Error;

/// The name in the file of each variable, by its path in `model.weights.h5`.
pub(super) type Places = HashMap<String, String>;

/// Finds the places of all variables. `list` gives the names for a layer of the model.
pub(super) fn places<'a>(
    config: &Value,
    version: Version,
    list: impl Fn(&str) -> Option<&'a [String]>,
) -> Result<Places, Error> {
    let mut places = Places::new();
    for (layer, path) in layers(config)? {
        let mut variables = Variables { version, trained: Vec::new(), fixed: Vec::new() };
        variables.add(&layer, &format!("layers/{path}"), true)?;
        let mut paths = variables.trained;
        paths.extend(variables.fixed);
        let names = list(layer.name).unwrap_or_default();
        // A layer that is not read here is refused by name elsewhere.
        if !paths.is_empty() && paths.len() != names.len() {
            return Err(Error::Shape {
                what: format!("weight_names of {}", layer.label()),
                expected: format!("{} names", paths.len()),
                found: format!("{} ({})", names.len(), names.join(", ")),
            });
        }
        places.extend(paths.into_iter().zip(names.iter().cloned()));
    }
    Ok(places)
}

/// The layers of a model with their paths.
fn layers(config: &Value) -> Result<Vec<(Layer<'_>, String)>, Error> {
    let sequential = config.get("class_name").is_some_and(|class| class == "Sequential");
    let list = config.get("config").and_then(|config| config.get("layers"));
    let list = list.and_then(Value::as_array);
    let list = list.ok_or_else(|| inside("model_config", &"it has no list of layers"))?;
    let mut counter = Counter::default();
    let mut layers = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let layer = Layer::new(&format!("layers[{index}]"), value)?;
        if !(sequential && layer.class == "InputLayer") {
            let path = counter.next(layer.class);
            layers.push((layer, path));
        }
    }
    Ok(layers)
}

/// The paths of a layer's variables.
struct Variables {
    version: Version,
    trained: Vec<String>,
    fixed: Vec<String>,
}

impl Variables {
    fn add(&mut self, layer: &Layer<'_>, path: &str, trainable: bool) -> Result<(), Error> {
        let trainable = trainable && layer.switch("trainable", true)?;
        let bias = || Ok::<_, Error>(usize::from(layer.switch("use_bias", true)?));
        match layer.class {
            "Dense" => self.variables(path, 0..1 + bias()?, trainable),
            "Embedding" => self.variables(path, 0..1, trainable),
            "BatchNormalization" => {
                let center = usize::from(layer.switch("center", true)?);
                let count = usize::from(layer.switch("scale", true)?) + center;
                self.variables(path, 0..count, trainable);
                self.variables(path, count..count + 2, false);
            }
            "SimpleRNN" | "LSTM" | "GRU" => {
                let arrays = match (layer.class, by_gate(layer, self.version)) {
                    ("LSTM", true) => 12,
                    ("GRU", true) => 9,
                    _ => 2 + bias()?,
                };
                self.variables(&format!("{path}/cell"), 0..arrays, trainable);
            }
            "SimpleRNNCell" | "LSTMCell" | "GRUCell" => {
                self.variables(path, 0..2 + bias()?, trainable);
            }
            "RNN" => self.inner(layer, "cell", &format!("{path}/cell"), trainable)?,
            "StackedRNNCells" => {
                let mut counter = Counter::default();
                for cell in layer.inner_list("cells")? {
                    let path = format!("{path}/cells/{}", counter.next(cell.class));
                    self.add(&cell, &path, trainable)?;
                }
            }
            "TimeDistributed" => self.inner(layer, "layer", &format!("{path}/layer"), trainable)?,
            "Bidirectional" => {
                let own = layer.inner("backward_layer")?.is_some();
                let backward = if own { "backward_layer" } else { "layer" };
                self.inner(layer, "layer", &format!("{path}/forward_layer"), trainable)?;
                self.inner(layer, backward, &format!("{path}/backward_layer"), trainable)?;
            }
            class if is_model(class) => {
                for (inner, part) in layers(layer.value)? {
                    self.add(&inner, &format!("{path}/layers/{part}"), trainable)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn inner(
        &mut self,
        layer: &Layer<'_>,
        key: &str,
        path: &str,
        trainable: bool,
    ) -> Result<(), Error> {
        layer.inner(key)?.map_or(Ok(()), |inner| self.add(&inner, path, trainable))
    }

    fn variables(&mut self, path: &str, indices: std::ops::Range<usize>, trained: bool) {
        let list = if trained { &mut self.trained } else { &mut self.fixed };
        list.extend(indices.map(|index| format!("{path}/vars/{index}")));
    }
}
