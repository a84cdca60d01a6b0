//! Models inside models: in the place of each call of one stand the calls of its layers.
//!
//! They are named `MODEL/LAYER`, those of a second call of the model `MODEL.call_1/LAYER`; the
//! weights are the same.

use std::collections::HashMap;

use serde_json::Value;

use super::topology::{self, Call, Tensor, Topology};
use super::{Version, inside};
use crate::Error;

/// More calls than this are no model that anyone has: models may call each other many times over.
const MOST: usize = 10_000;

/// Reads the configuration of a model as calls of layers that are no models.
pub(super) fn flat(config: &Value, version: Version) -> Result<Topology<'_>, Error> {
    let outer = topology::read(config, version)?;
    let (inputs, names) = (outer.inputs.clone(), outer.names.clone());
    let mut flat = Flat { calls: Vec::new(), masks: Vec::new(), version };
    let outputs = flat.add(outer, "", "", None)?;
    Ok(Topology { calls: flat.calls, inputs, outputs, names, masks: flat.masks })
}

/// Whether a layer of this class is a model.
pub(super) fn is_model(class: &str) -> bool {
    matches!(class, "Sequential" | "Functional" | "Model")
}

struct Flat<'a> {
    calls: Vec<Call<'a>>,
    masks: Vec<(Tensor, Tensor)>,
    version: Version,
}

impl<'a> Flat<'a> {
    /// Adds the calls of a model whose layers have `scope` before their names and `path` before
    /// their paths; `inputs` is what it is called on. Gives its outputs.
    fn add(
        &mut self,
        model: Topology<'a>,
        scope: &str,
        path: &str,
        inputs: Option<&[Tensor]>,
    ) -> Result<Vec<Tensor>, Error> {
        let mut known: HashMap<Tensor, Tensor> = match inputs {
            Some(inputs) => model.inputs.iter().cloned().zip(inputs.iter().cloned()).collect(),
            None => HashMap::new(),
        };
        let mut models: Vec<String> = Vec::new();
        for mut call in model.calls {
            let layer = call.layer;
            if layer.class == "InputLayer" && inputs.is_some() {
                if !known.keys().any(|tensor| tensor.layer == layer.name) {
                    let problem = format!("{} is no input of its model", layer.label());
                    return Err(inside("config.json", &problem));
                }
                continue;
            }
            let named = |tensor: &mut Tensor| resolve(tensor, &known, &models, scope);
            call.tensors_mut().try_for_each(named)?;
            if self.calls.len() >= MOST {
                let problem = format!("its models unfold to more than {MOST} calls of layers");
                return Err(inside("config.json", &problem));
            }
            if !is_model(layer.class) {
                (call.name, call.path) =
                    (format!("{scope}{}", layer.name), path.to_owned() + &call.path);
                self.calls.push(call);
                continue;
            }
            let inner = topology::read(layer.value, self.version)?;
            if call.inputs.len() != inner.inputs.len() || !call.initial_state.is_empty() {
                return Err(Error::Shape {
                    what: format!("{}: the number of tensors it is called on", layer.label()),
                    expected: inner.inputs.len().to_string(),
                    found: (call.inputs.len() + call.initial_state.len()).to_string(),
                });
            }
            if let (Some(mask), Some(input)) = (call.mask, call.inputs.first()) {
                self.masks.push((input.clone(), mask));
            }
            let deeper = match call.number {
                0 => format!("{scope}{}/", layer.name),
                number => format!("{scope}{}.call_{number}/", layer.name),
            };
            let path = format!("{path}{}/layers/", call.path);
            let outputs = self.add(inner, &deeper, &path, Some(&call.inputs))?;
            for (index, output) in outputs.into_iter().enumerate() {
                let tensor = Tensor { layer: layer.name.into(), call: call.number, index };
                known.insert(tensor, output);
            }
            models.push(layer.name.into());
        }
        let mut outputs = model.outputs;
        outputs.iter_mut().try_for_each(|tensor| resolve(tensor, &known, &models, scope))?;
        Ok(outputs)
    }
}

/// Makes a tensor of a model one of the flat model.
fn resolve(
    tensor: &mut Tensor,
    known: &HashMap<Tensor, Tensor>,
    models: &[String],
    scope: &str,
) -> Result<(), Error> {
    if let Some(other) = known.get(tensor) {
        *tensor = other.clone();
    } else if models.contains(&tensor.layer) {
        let Tensor { layer, call, index } = tensor;
        let problem = format!("there is no result {index} of call {call} of model '{layer}'");
        return Err(inside("config.json", &problem));
    } else {
        tensor.layer.insert_str(0, scope);
    }
    Ok(())
}
