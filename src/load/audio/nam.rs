//! Neural Amp Modeler: an LSTM whose weights are one list.
//!
//! For each layer `[W | U]`, row by row `[4 × hidden, input + hidden]` with gates i f g o, a bias, and
//! the learned h and c that it starts from; then the head `[outputs, hidden]` and its bias.

use std::slice::Iter;

use super::aida::with_metadata;
use super::json::Object;
use crate::load::convention::pytorch;
use crate::load::model_file::ModelFile;
use crate::model::{Activation, Cell, Constant, Dense, Direction, Matrix, Recurrent};
use crate::{Array, Error, Model};

/// Reads a file.
pub(super) fn read(top: &Object<'_>) -> Result<ModelFile, Error> {
    let architecture = top.text("architecture")?;
    if architecture != "LSTM" {
        return Err(top.unsupported(
            "architecture",
            &format!("'{architecture}' of"),
            "only LSTM is read; WaveNet, ConvNet and the others are convolutions: train an LSTM, \
             or run them with NeuralAmpModelerCore",
        ));
    }
    top.know(&["version", "architecture", "config", "weights", "sample_rate", "metadata"])?;
    let version = check_version(top)?;
    let sizes = Sizes::read(&top.object("config")?)?;
    let weights = top.array("weights")?;
    let numbers = match (weights.shape(), weights.as_f32()) {
        ([_], Some(numbers)) => numbers,
        (shape, _) => {
            return Err(top.wrong("weights", format!("its shape is {shape:?}, expected one list")));
        }
    };
    if sizes.numbers() != Some(numbers.len()) {
        let expected = sizes.numbers().map_or("more than memory holds".into(), |n| n.to_string());
        let problem =
            format!("there are {} numbers, expected {expected} for {sizes}", numbers.len());
        return Err(top.wrong("weights", problem));
    }
    let model = model(&sizes, &mut Numbers(numbers.iter()))?;
    let mut about = vec![("version".to_owned(), version.to_owned())];
    if top.get("sample_rate").is_some() {
        about.push(("sample_rate".into(), top.number("sample_rate")?.to_string()));
    }
    let about = with_metadata(top, about)?;
    Ok(ModelFile { model, about, self_test: None })
}

/// Versions 0.5 to 0.7 have an LSTM's weights in this order.
fn check_version<'a>(top: &Object<'a>) -> Result<&'a str, Error> {
    let version = top.text("version")?;
    let parts: Vec<Option<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    match parts[..] {
        [Some(0), Some(5..=7), Some(_)] => Ok(version),
        [Some(_), Some(_), Some(_)] => Err(top.unsupported(
            "version",
            &format!("{version} of"),
            "0.5 to 0.7 are known; a later ritornello may know it",
        )),
        _ => Err(top.wrong("version", format!("it is '{version}', expected like 0.5.4"))),
    }
}

struct Sizes {
    layers: usize,
    inputs: usize,
    hidden: usize,
    outputs: usize,
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { layers, inputs, hidden, outputs } = self;
        write!(
            f,
            "{layers} layers of {hidden} units with their initial states, {inputs} inputs and \
             {outputs} outputs"
        )
    }
}

impl Sizes {
    fn read(config: &Object<'_>) -> Result<Self, Error> {
        config.know(&["num_layers", "input_size", "hidden_size", "in_channels", "out_channels"])?;
        let sizes = Self {
            layers: config.count("num_layers")?,
            inputs: config.count("input_size")?,
            hidden: config.count("hidden_size")?,
            outputs: config.count_or("out_channels", 1)?,
        };
        for (key, size) in [
            ("num_layers", sizes.layers),
            ("input_size", sizes.inputs),
            ("hidden_size", sizes.hidden),
            ("out_channels", sizes.outputs),
        ] {
            if size == 0 {
                return Err(config.wrong(key, "it is 0, expected at least 1"));
            }
        }
        let channels = config.count_or("in_channels", 1)?;
        if channels != sizes.inputs {
            return Err(config.unsupported(
                "in_channels",
                &format!("{channels} beside {} inputs of", sizes.inputs),
                "every input must be a channel",
            ));
        }
        Ok(sizes)
    }

    /// Numbers in the list of weights, if memory has room for so many.
    fn numbers(&self) -> Option<usize> {
        let rows = self.hidden.checked_mul(4)?;
        let layer = |inputs: usize| {
            let columns = inputs.checked_add(self.hidden)?.checked_add(1)?;
            rows.checked_mul(columns)?.checked_add(self.hidden.checked_mul(2)?)
        };
        let above = layer(self.hidden)?.checked_mul(self.layers - 1)?;
        let head = self.outputs.checked_mul(self.hidden.checked_add(1)?)?;
        layer(self.inputs)?.checked_add(above)?.checked_add(head)
    }
}

/// A list that is known to be long enough.
struct Numbers<'a>(Iter<'a, f32>);

impl Numbers<'_> {
    fn take(&mut self, count: usize) -> Vec<f32> {
        self.0.by_ref().take(count).copied().collect()
    }
}

fn model(sizes: &Sizes, numbers: &mut Numbers<'_>) -> Result<Model, Error> {
    let hidden = sizes.hidden;
    let mut graph = Model::graph();
    let mut value = graph.sequence("x", sizes.inputs);
    let mut inputs = sizes.inputs;
    for layer in 0..sizes.layers {
        let recurrent = recurrent([inputs, hidden], numbers)?;
        let states = ["h", "c"].map(|state| {
            graph.constant(&format!("{state}_{layer}"), Constant::vector(numbers.take(hidden)))
        });
        value = graph.recurrent_from(&format!("lstm_{layer}"), recurrent, value, &states).sequence;
        inputs = hidden;
    }
    let weights = Matrix::new(sizes.outputs, hidden, numbers.take(sizes.outputs * hidden))?;
    let head = Dense::new(weights, Some(numbers.take(sizes.outputs)), Activation::Linear)?;
    let head = graph.dense("head", head, value);
    graph.output("y", head);
    graph.build()
}

fn recurrent([inputs, hidden]: [usize; 2], numbers: &mut Numbers<'_>) -> Result<Recurrent, Error> {
    let rows = 4 * hidden;
    let (mut input, mut own) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        input.extend(numbers.take(inputs));
        own.extend(numbers.take(hidden));
    }
    let input = Array::new(&[rows, inputs], input)?;
    let own = Array::new(&[rows, hidden], own)?;
    let bias = Array::new(&[rows], numbers.take(rows))?;
    let weights = pytorch::one_bias_weights(Cell::LSTM, [&input, &own, &bias])?;
    Recurrent::new(Cell::LSTM, Direction::Forward, vec![weights])
}
