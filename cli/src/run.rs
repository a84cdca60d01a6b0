//! `ritornello run`: a model on arrays.

use std::fmt::Write as _;

use ritornello::{Array, Plan, Values};
use serde_json::{Value, json};

use crate::args::{Options, RunArgs};
use crate::arrays::{self, Destination, Named};
use crate::failure::{Blame, Failure};
use crate::output::Console;
use crate::steps::Steps;

/// How many values of an output a summary shows.
const FIRST: usize = 6;

/// Runs a model on the arrays of a file; writes its outputs, or prints what they are like.
pub(crate) fn run(args: &RunArgs, options: &Options, console: &Console) -> Result<(), Failure> {
    let destination = args.output.as_deref().map(Destination::new).transpose()?;
    arrays::Kind::of(&args.input)?;
    let steps = Steps::read(&args.steps)?;
    let model = args.model.load()?;
    if let Some(destination) = &destination {
        destination.check(&model)?;
    }
    let inputs = arrays::read_inputs(&args.input, &model, *console)?;
    let plan = model.into_plan(options.plan()).blame_model()?;
    let outputs = steps.run(&plan, &inputs, *console)?;
    let mut written = Value::Null;
    if let Some(destination) = &destination {
        destination.write(&outputs)?;
        written = destination.path().display().to_string().into();
        let text = outputs.iter().map(|(name, array)| format!("{name} {:?}", array.shape()));
        let text = text.collect::<Vec<_>>().join(", ");
        console.note(&format!("wrote {}: {text}", destination.path().display()));
    }
    if destination.is_none() {
        console.text(&text(&plan, &outputs))?;
    }
    let explanation = plan.explain();
    console.object(&json!({
        "outputs": outputs.iter().map(|(name, array)| object(name, array)).collect::<Vec<_>>(),
        "written": written,
        "isa": explanation.isa.to_string(),
        "precision": explanation.precision.to_string(),
        "tune": explanation.tune.to_string(),
        "threads": explanation.threads,
    }))
}

/// What an array's numbers are like.
struct Summary<'a> {
    /// Least, mean and greatest of the finite ones.
    range: Option<(f32, f64, f32)>,
    nan: usize,
    infinite: usize,
    first: &'a [f32],
}

fn summary(array: &Array) -> Summary<'_> {
    let values = match array.values() {
        Values::F32(values) => values.as_slice(),
        Values::Index(_) => &[],
    };
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let count = finite().count();
    let range = (count > 0).then(|| {
        let least = finite().fold(f32::INFINITY, f32::min);
        let greatest = finite().fold(f32::NEG_INFINITY, f32::max);
        (least, finite().map(f64::from).sum::<f64>() / count as f64, greatest)
    });
    Summary {
        range,
        nan: values.iter().filter(|value| value.is_nan()).count(),
        infinite: values.iter().filter(|value| value.is_infinite()).count(),
        first: &values[..values.len().min(FIRST)],
    }
}

fn text(plan: &Plan, outputs: &Named) -> String {
    let mut text = String::new();
    for (output, (name, array)) in plan.outputs().iter().zip(outputs) {
        let axes = arrays::output_axes(plan, output);
        let _ = writeln!(text, "{name} {}", arrays::shape_text(&axes, array.shape()));
        let summary = summary(array);
        match summary.range {
            Some((least, mean, greatest)) => {
                let _ = writeln!(text, "  min {least}  mean {mean:.7}  max {greatest}");
            }
            None => text.push_str("  no finite values\n"),
        }
        if summary.nan + summary.infinite > 0 {
            let _ = writeln!(text, "  NaN: {}, infinite: {}", summary.nan, summary.infinite);
        }
        if !summary.first.is_empty() {
            let first: Vec<String> = summary.first.iter().map(ToString::to_string).collect();
            let more = if array.shape().iter().product::<usize>() > FIRST { " ..." } else { "" };
            let _ = writeln!(text, "  first {}{more}", first.join(" "));
        }
    }
    text
}

fn object(name: &str, array: &Array) -> Value {
    let summary = summary(array);
    json!({
        "name": name,
        "shape": array.shape(),
        "min": summary.range.map(|range| range.0),
        "mean": summary.range.map(|range| range.1),
        "max": summary.range.map(|range| range.2),
        "nan": summary.nan,
        "infinite": summary.infinite,
        "first": summary.first,
    })
}
