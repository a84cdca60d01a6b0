//! AIDA-X: what its files have beside the layers of RTNeural.
//!
//! With `g` and `o` the gains, given in dB: `y = o · model(g · x)`, or with `in_skip` 1
//! `y = o · (g · x + model(g · x))`, where of several inputs the first is added.

use serde_json::Value as Json;

use super::json::{Object, array, mistyped};
use super::rtneural::Chain;
use crate::load::model_file::SelfTest;
use crate::model::{Activation, Op, Select, Value};
use crate::{Array, Error};

/// Its keys.
pub(super) const KEYS: &[&str] =
    &["in_skip", "in_gain", "out_gain", "input_batch", "output_batch", "metadata"];
/// Keys that some files have at the top, and others in `metadata`.
pub(super) const DESCRIPTIVE: &[&str] = &["samplerate", "author", "esr", "name"];

/// What is done around the layers.
pub(super) struct Extras {
    skip: bool,
    input_gain: Option<f32>,
    output_gain: Option<f32>,
}

impl Extras {
    pub(super) fn read(top: &Object<'_>) -> Result<Self, Error> {
        let skip = match top.get("in_skip").map(Json::as_f64) {
            None => false,
            Some(Some(0.0)) => false,
            Some(Some(1.0)) => true,
            Some(_) => {
                let found = top.need("in_skip")?;
                return Err(mistyped(top.file(), "in_skip", "0 or 1", found));
            }
        };
        Ok(Self { skip, input_gain: gain(top, "in_gain")?, output_gain: gain(top, "out_gain")? })
    }

    /// What is done to the input; gives what the layers get.
    pub(super) fn before(&self, chain: &mut Chain) -> Value {
        if let Some(gain) = self.input_gain {
            scale(chain, "in_gain", gain);
        }
        chain.value
    }

    /// What is done to the output: `given`, of so many features, is what the layers got.
    pub(super) fn after(
        &self,
        chain: &mut Chain,
        given: Value,
        features: usize,
    ) -> Result<(), Error> {
        if self.skip {
            if chain.features != 1 {
                return Err(Error::Unsupported {
                    what: format!("AIDA-X: 'in_skip' of a model with {} outputs", chain.features),
                    advice: "the input is added to a single output".into(),
                });
            }
            let first = match features {
                1 => given,
                _ => {
                    let first = Op::Select(Select::Features { start: 0, end: 1 });
                    chain.graph.node("in_skip.first", first, &[given])
                }
            };
            chain.value = chain.graph.node("in_skip", Op::Add, &[first, chain.value]);
        }
        if let Some(gain) = self.output_gain {
            scale(chain, "out_gain", gain);
        }
        Ok(())
    }
}

/// Multiplies by a number.
fn scale(chain: &mut Chain, name: &str, gain: f32) {
    chain.add(name, Op::Activation(Activation::Affine { alpha: gain, beta: 0.0 }));
}

/// A gain in dB as a factor, if it is there; -90 dB and less are silence.
fn gain(top: &Object<'_>, key: &str) -> Result<Option<f32>, Error> {
    if top.get(key).is_none() {
        return Ok(None);
    }
    let decibels = top.number(key)?;
    let factor = if decibels > -90.0 { 10_f64.powf(decibels * 0.05) } else { 0.0 };
    #[allow(clippy::cast_possible_truncation, reason = "what f32 cannot hold is refused")]
    let factor = factor as f32;
    if factor.is_finite() {
        return Ok(Some(factor));
    }
    Err(top.wrong(key, format!("it is {decibels} dB, more than float32 holds")))
}

/// What changes no number: keys of the top, and all that is in `metadata`.
pub(super) fn about(top: &Object<'_>) -> Result<Vec<(String, String)>, Error> {
    let said = DESCRIPTIVE.iter().filter_map(|key| Some((*key, top.get(key)?)));
    with_metadata(top, said.map(|(key, value)| (key.to_owned(), plain(value))).collect())
}

/// Adds the entries of `metadata`, if it is there; one that is there already is `metadata.KEY`.
pub(super) fn with_metadata(
    top: &Object<'_>,
    mut about: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, Error> {
    if top.get("metadata").is_some() {
        for (key, value) in top.object("metadata")?.entries() {
            let taken = key == "ritornello" || about.iter().any(|(known, _)| known == key);
            let key = if taken { format!("metadata.{key}") } else { key.to_owned() };
            about.push((key, plain(value)));
        }
    }
    Ok(about)
}

/// A value as a text.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `input_batch` and `output_batch`.
pub(super) fn self_test(
    top: &Object<'_>,
    [inputs, outputs]: [usize; 2],
) -> Result<Option<SelfTest>, Error> {
    let both = [top.get("input_batch"), top.get("output_batch")];
    let (input, output) = match both {
        [None, None] => return Ok(None),
        [Some(input), Some(output)] => (input, output),
        [Some(_), None] => {
            return Err(top.wrong("output_batch", "it is missing beside input_batch"));
        }
        [None, Some(_)] => {
            return Err(top.wrong("input_batch", "it is missing beside output_batch"));
        }
    };
    let x = steps(top, "input_batch", input, inputs)?;
    let y = steps(top, "output_batch", output, outputs)?;
    if x.shape()[1] != y.shape()[1] {
        let problem = format!("it has {} steps, and input_batch {}", y.shape()[1], x.shape()[1]);
        return Err(top.wrong("output_batch", problem));
    }
    Ok(Some(SelfTest { inputs: vec![("x".into(), x)], outputs: vec![("y".into(), y)] }))
}

/// Numbers `[time]`, `[time, features]` or `[1, time, features]` as the last of these.
fn steps(top: &Object<'_>, key: &str, value: &Json, features: usize) -> Result<Array, Error> {
    let array = array(top.file(), key, value)?;
    let (shape, values) = array.into_parts();
    let time = match shape[..] {
        [time] if features == 1 => Some(time),
        [time, last] | [1, time, last] if last == features => Some(time),
        _ => None,
    };
    let (Some(time), crate::Values::F32(values)) = (time, values) else {
        let problem = format!("its shape is {shape:?}, expected [time, features={features}]");
        return Err(top.wrong(key, problem));
    };
    Array::new(&[1, time, features], values)
}
