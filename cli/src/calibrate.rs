//! `ritornello calibrate`: how far a precision takes each layer of a model from f32.

use ritornello::{Array, Model, Precision};
use serde_json::{Value, json};

use crate::args::{CalibrateArgs, Options, load_model};
use crate::arrays::{self, Named};
use crate::failure::{Blame, Failure};
use crate::output::{Console, Table};
use crate::steps::Steps;
use crate::synthetic::{self, Layer};
use crate::verify::{distance, floats};

/// How far what a layer gives is from the same in f32.
pub(crate) struct LayerError {
    name: String,
    /// Of all differences.
    max: f64,
    mean: f64,
    /// The root of the mean square of the differences, as a part of that of the numbers in f32.
    relative: f64,
    /// The greatest magnitude in f32.
    scale: f64,
}

/// Compares what the layers of a model give on some data.
pub(crate) fn calibrate(
    args: &CalibrateArgs,
    options: &Options,
    console: &Console,
) -> Result<(), Failure> {
    if options.precision() == Precision::F32 {
        let others = Precision::ALL.into_iter().filter(|one| *one != Precision::F32);
        let others = others.map(Precision::name).collect::<Vec<_>>().join(" or ");
        let message = format!("calibrate compares a precision with f32: give --precision {others}");
        return Err(Failure::usage(message));
    }
    let steps = Steps::read(&args.steps)?;
    let (model, inputs) = match (&args.layer, &args.model, &args.input) {
        (Some(layer), _, _) => {
            let model = Layer::parse(layer)?.model().blame_model()?;
            let inputs = synthetic::inputs(&model, args.batch, args.time).blame_usage()?;
            (model, inputs)
        }
        (None, Some(model), Some(input)) => {
            arrays::Kind::of(input)?;
            let model = load_model(model, args.spec.as_deref())?;
            let inputs = arrays::read_inputs(input, &model, *console)?;
            (model, inputs)
        }
        _ => return Err(Failure::usage("give a model and its input, or --layer")),
    };
    let errors = against_f32(&model, &inputs, &steps, options, *console)?;
    console.text(&table(&errors))?;
    console.object(&json!({
        "precision": options.precision().to_string(),
        "layers": errors.iter().map(LayerError::json).collect::<Vec<_>>(),
    }))
}

/// What each layer of a model gives in the precision of the options, beside what it gives in f32.
pub(crate) fn against_f32(
    model: &Model,
    inputs: &Named,
    steps: &Steps,
    options: &Options,
    console: Console,
) -> Result<Vec<LayerError>, Failure> {
    let model = model.showing_layers().blame_model()?;
    let run = |precision| {
        let plan = model.plan(options.plan().precision(precision)).blame_model()?;
        steps.run(&plan, inputs, console)
    };
    let (found, expected) = (run(options.precision())?, run(Precision::F32)?);
    let pairs = found.iter().zip(&expected);
    Ok(pairs.map(|((name, found), (_, expected))| compare(name, found, expected)).collect())
}

fn compare(name: &str, found: &Array, expected: &Array) -> LayerError {
    let (found, expected) = (floats(found), floats(expected));
    let (mut max, mut sum, mut squares, mut all, mut scale) = (0.0_f64, 0.0, 0.0, 0.0, 0.0_f64);
    for (&found, &expected) in found.iter().zip(&expected) {
        let distance = distance(found, expected);
        max = max.max(distance);
        sum += distance;
        squares += distance * distance;
        if expected.is_finite() {
            all += expected * expected;
            scale = scale.max(expected.abs());
        }
    }
    let mean = if found.is_empty() { 0.0 } else { sum / found.len() as f64 };
    let relative = if squares == 0.0 { 0.0 } else { (squares / all).sqrt() };
    LayerError { name: name.into(), max, mean, relative, scale }
}

/// The errors as a table.
pub(crate) fn table(errors: &[LayerError]) -> String {
    let headings = ["layer", ">max |diff|", ">mean |diff|", ">relative", ">max |y|"];
    let mut table = Table::new(&headings);
    for error in errors {
        table.row([
            error.name.clone(),
            format!("{:.3e}", error.max),
            format!("{:.3e}", error.mean),
            format!("{:.3e}", error.relative),
            format!("{:.3e}", error.scale),
        ]);
    }
    table.render()
}

impl LayerError {
    /// The same as JSON.
    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "max": self.max,
            "mean": self.mean,
            "relative": self.relative,
            "scale": self.scale,
        })
    }
}
