//! `ritornello verify`: a model's results beside those of the framework it comes from.

use ritornello::model::Model;
use ritornello::{Array, Precision, Values};
use serde_json::{Value, json};

use crate::args::{Options, VerifyArgs};
use crate::arrays::{self, Axis, Named};
use crate::calibrate::{self, LayerError};
use crate::failure::{Blame, Failure};
use crate::output::{Console, Table};
use crate::steps::Steps;

/// How one output compares.
struct Comparison {
    name: String,
    /// Greatest difference, and the index of the element that has it.
    max: f64,
    worst: Option<usize>,
    mean: f64,
    /// Greatest difference that passes.
    allowed: f64,
    axes: Vec<Axis>,
    shape: Vec<usize>,
}

/// Runs a model on a case's inputs and compares with the case's outputs.
pub(crate) fn verify(
    args: &VerifyArgs,
    options: &Options,
    console: &Console,
) -> Result<(), Failure> {
    if !args.tolerance.is_finite() || args.tolerance < 0.0 {
        let message = format!("--tolerance is {}, expected a number from 0 on", args.tolerance);
        return Err(Failure::usage(message));
    }
    let (model, inputs, expected, steps) = match &args.case {
        Some(case) => {
            if arrays::Kind::of(case)? != arrays::Kind::Npz {
                let message = format!("{}: a case is an .npz file", case.display());
                return Err(Failure::usage(message));
            }
            let model = args.model.load()?;
            let mut case = arrays::read_npz(case, *console)?;
            let lengths = lengths(&model, &mut case);
            let (inputs, expected) = sides(&model, case)?;
            (model, inputs, expected, Steps::of_case(lengths.as_ref())?)
        }
        None => {
            let file = args.model.open()?;
            let Some(test) = file.self_test else {
                return Err(Failure::usage(format!(
                    "{}: it holds no self-test; give a case CASE.npz",
                    args.model.path.display()
                )));
            };
            (file.model, test.inputs, test.outputs, Steps::All)
        }
    };
    let layers = match options.precision() {
        Precision::F32 => None,
        _ => Some(calibrate::against_f32(&model, &inputs, &steps, options, *console)?),
    };
    let plan = model.into_plan(options.plan()).blame_model()?;
    let found = steps.run(&plan, &inputs, *console)?;
    let mut comparisons = Vec::new();
    for (output, (name, found)) in plan.outputs().iter().zip(&found) {
        match expected.iter().find(|(other, _)| other == name) {
            Some((_, expected)) => {
                let axes = arrays::output_axes(&plan, output);
                comparisons.push(compare(name, axes, found, expected, args.tolerance)?);
            }
            None => console.note(&format!("output '{name}' is not in the case, so not compared")),
        }
    }
    report(&comparisons, layers.as_deref(), *console)
}

/// Takes `input.lengths` out of a case: the steps that count of each row, unless it is an input.
fn lengths(model: &Model, case: &mut Named) -> Option<Array> {
    if model.inputs().iter().any(|input| input.name == "lengths") {
        return None;
    }
    let place = case.iter().position(|(key, _)| key == "input.lengths")?;
    Some(case.remove(place).1)
}

/// Takes a case's arrays apart into inputs and outputs, all of which the model must have.
fn sides(model: &Model, case: Named) -> Result<(Named, Named), Failure> {
    let inputs: Vec<&str> = model.inputs().iter().map(|input| input.name.as_str()).collect();
    let outputs: Vec<&str> = model.outputs().iter().map(|output| output.name.as_str()).collect();
    let (mut given, mut expected) = (Named::new(), Named::new());
    for (key, array) in case {
        let input = key.strip_prefix("input.").filter(|name| inputs.contains(name));
        let output = key.strip_prefix("output.").filter(|name| outputs.contains(name));
        if let Some(name) = input {
            given.push((name.to_owned(), array));
        } else if let Some(name) = output {
            expected.push((name.to_owned(), array));
        } else {
            let known = inputs.iter().map(|name| format!("input.{name}"));
            let known = known.chain(outputs.iter().map(|name| format!("output.{name}")));
            let known = known.collect::<Vec<_>>().join(", ");
            return Err(Failure::data(format!(
                "the case's array '{key}' belongs to no input or output; there are: {known}"
            )));
        }
    }
    if expected.is_empty() {
        let known = outputs.iter().map(|name| format!("output.{name}")).collect::<Vec<_>>();
        let known = known.join(", ");
        return Err(Failure::data(format!("the case holds nothing to compare with: no {known}")));
    }
    Ok((given, expected))
}

fn compare(
    name: &str,
    axes: Vec<Axis>,
    found: &Array,
    expected: &Array,
    tolerance: f64,
) -> Result<Comparison, Failure> {
    if found.shape() != expected.shape() {
        return Err(Failure::data(format!(
            "output.{name} is {}, but the model gives {}",
            arrays::shape_text(&axes, expected.shape()),
            arrays::shape_text(&axes, found.shape()),
        )));
    }
    let (found, shape) = (floats(found), found.shape().to_vec());
    let expected = floats(expected);
    let (mut max, mut worst, mut sum, mut scale) = (0.0_f64, None, 0.0, 1.0_f64);
    for (index, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
        let distance = distance(found, expected);
        if worst.is_none() || distance > max {
            (max, worst) = (distance, Some(index));
        }
        sum += distance;
        if expected.is_finite() {
            scale = scale.max(expected.abs());
        }
    }
    let mean = if found.is_empty() { 0.0 } else { sum / found.len() as f64 };
    Ok(Comparison { name: name.into(), max, worst, mean, allowed: tolerance * scale, axes, shape })
}

pub(crate) fn floats(array: &Array) -> Vec<f64> {
    match array.values() {
        Values::F32(values) => values.iter().copied().map(f64::from).collect(),
        Values::Index(values) => values.iter().copied().map(f64::from).collect(),
    }
}

/// The difference; where one is not finite, 0 if both are the same and else infinite.
pub(crate) fn distance(found: f64, expected: f64) -> f64 {
    if found == expected || (found.is_nan() && expected.is_nan()) {
        return 0.0;
    }
    let distance = (found - expected).abs();
    if distance.is_nan() { f64::INFINITY } else { distance }
}

impl Comparison {
    fn passed(&self) -> bool {
        self.max <= self.allowed
    }

    /// The place of the greatest difference, axis by axis.
    fn place(&self) -> Vec<(&'static str, usize)> {
        let Some(mut rest) = self.worst else { return Vec::new() };
        let mut place = Vec::new();
        for (axis, &length) in self.axes.iter().zip(&self.shape).rev() {
            place.push((axis.name(), rest % length));
            rest /= length;
        }
        place.reverse();
        place
    }
}

fn report(
    comparisons: &[Comparison],
    layers: Option<&[LayerError]>,
    console: Console,
) -> Result<(), Failure> {
    let headings = ["output", ">max |diff|", ">mean |diff|", ">allowed", "worst at", "result"];
    let mut table = Table::new(&headings);
    for one in comparisons {
        let place = one.place().into_iter().map(|(axis, index)| format!("{axis} {index}"));
        table.row([
            one.name.clone(),
            format!("{:.3e}", one.max),
            format!("{:.3e}", one.mean),
            format!("{:.3e}", one.allowed),
            place.collect::<Vec<_>>().join(", "),
            if one.passed() { "same" } else { "DIFFERS" }.into(),
        ]);
    }
    console.text(&table.render())?;
    if let Some(layers) = layers {
        console.text(&format!("\nbeside f32:\n{}", calibrate::table(layers)))?;
    }
    let failed: Vec<&str> =
        comparisons.iter().filter(|one| !one.passed()).map(|one| one.name.as_str()).collect();
    let outputs = comparisons.iter().map(|one| {
        let worst: Value = one.place().into_iter().collect();
        json!({
            "name": one.name,
            "max": one.max,
            "mean": one.mean,
            "allowed": one.allowed,
            "worst": worst,
            "passed": one.passed(),
        })
    });
    let mut object = json!({
        "passed": failed.is_empty(),
        "outputs": outputs.collect::<Vec<_>>(),
    });
    if let Some(layers) = layers {
        object["layers"] = layers.iter().map(LayerError::json).collect();
    }
    console.object(&object)?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::check(format!("beyond the tolerance: {}", failed.join(", "))))
}
