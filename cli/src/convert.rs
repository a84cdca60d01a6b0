//! `ritornello convert`: a model as one file that says everything itself.

use std::path::Path;

use ritornello::load::{self, SelfTest, Spec};
use ritornello::{Model, PlanOptions, Threads};
use serde_json::json;

use crate::args::ConvertArgs;
use crate::failure::{Blame, Failure};
use crate::inspect::tensors;
use crate::output::{Console, thousands};
use crate::synthetic;

/// Writes a model as `.safetensors`, reads it back, and compares.
pub(crate) fn convert(args: &ConvertArgs, console: &Console) -> Result<(), Failure> {
    let out = args.output.as_path();
    let extension = out.extension().and_then(|text| text.to_str()).unwrap_or_default();
    if !extension.eq_ignore_ascii_case("safetensors") {
        return Err(Failure::usage(format!(
            "{}: the extension is '{extension}', expected safetensors",
            out.display()
        )));
    }
    if same_file(&args.model.path, out) {
        return Err(Failure::usage(format!(
            "{}: the output is the model itself; give it another name",
            out.display()
        )));
    }
    let mut file = args.model.open()?;
    file.self_test = match (args.self_test, file.self_test.take()) {
        (true, None) => Some(recorded(&file.model)?),
        (true, test) => test,
        (false, _) => None,
    };
    load::save_file(&file, out).blame_model()?;
    let back = load::open(out).blame_model()?;
    let model = &file.model;
    if !equal(model, &back.model)?
        || back.self_test != file.self_test
        || back.about.len() != file.about.len()
    {
        return Err(Failure::check(format!(
            "{}: what was written does not read back as the same model",
            out.display()
        )));
    }
    let bytes = std::fs::metadata(out).map_or(0, |data| data.len());
    let parameters = model.parameters();
    let with = if back.self_test.is_some() { ", with a self-test" } else { "" };
    console.text(&format!(
        "wrote {}: {} parameters, {bytes} bytes{with}; reads back equal to the bit\n",
        out.display(),
        thousands(parameters),
    ))?;
    console.object(&json!({
        "written": out.display().to_string(),
        "bytes": bytes,
        "parameters": parameters,
        "equal": true,
        "self_test": back.self_test.is_some(),
    }))
}

/// Inputs at random, and what the model gives for them on this machine.
fn recorded(model: &Model) -> Result<SelfTest, Failure> {
    let plan = model.plan(PlanOptions::default().threads(Threads::one())).blame_model()?;
    let inputs = synthetic::inputs(model, 2, 16).blame_model()?;
    SelfTest::record(&plan, inputs).blame_model()
}

fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// Whether two models are the same in structure and in every bit of their weights, NaN included.
pub(crate) fn equal(one: &Model, other: &Model) -> Result<bool, Failure> {
    let spec = |model: &Model| Spec::from_model(model).map(|spec| spec.to_json()).blame_model();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let (left, right) = (tensors(one), tensors(other));
    let same_weights = left.len() == right.len()
        && left
            .iter()
            .zip(&right)
            .all(|(left, right)| left.0 == right.0 && bits(left.1) == bits(right.1));
    Ok(same_weights && spec(one)? == spec(other)?)
}
