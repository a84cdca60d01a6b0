//! `ritornello inspect`: what a model is, and what this machine makes of it.

use std::fmt::Write as _;
use std::path::Path;

use ritornello::Plan;
use ritornello::load::{self, ModelFile, NoteKind, Spec};
use ritornello::model::{Model, Op};
use serde_json::{Value, json};

use crate::args::{InspectArgs, Options, open_file};
use crate::arrays::{self, Axis};
use crate::failure::{Blame, Failure};
use crate::output::{Console, Table, thousands};

/// Prints a model's layers, or its spec.
pub(crate) fn inspect(
    args: &InspectArgs,
    options: &Options,
    console: &Console,
) -> Result<(), Failure> {
    let given = args.spec.as_ref().and_then(Option::as_deref);
    let print_spec = args.spec.is_some() && given.is_none();
    let file = match open_file(&args.model, given) {
        // A file of weights only: what can be told from them.
        Err(failure) if print_spec => return draft(&args.model, failure, *console),
        opened => opened?,
    };
    let ModelFile { model, about, self_test, .. } = file;
    if print_spec {
        return specification(&Spec::from_model(&model).blame_model()?, *console);
    }
    let not_finite = not_finite(&model);
    let plan = model.into_plan(options.plan()).blame_model()?;
    let mut said = text(&plan, &not_finite);
    for (key, value) in &about {
        let _ = writeln!(said, "said: {key}: {value}");
    }
    if self_test.is_some() {
        said.push_str("self-test: `ritornello verify` without a case runs it\n");
    }
    console.text(&said)?;
    let mut object = object(&plan, &not_finite);
    object["about"] = about.into_iter().map(|(key, text)| json!([key, text])).collect();
    object["self_test"] = json!(self_test.is_some());
    console.object(&object)
}

/// Prints the draft of a spec, and says what the file does not tell.
fn draft(path: &Path, failure: Failure, console: Console) -> Result<(), Failure> {
    let draft = match load::draft_spec(path) {
        Ok(draft) => draft,
        Err(error) => return Err(failure.advise(&format!("no spec can be drafted: {error}"))),
    };
    for note in &draft.notes {
        let sure = match note.kind {
            NoteKind::Default => "default",
            NoteKind::Guess => "guess",
            _ => "left",
        };
        console.note(&format!("{sure}: {}", note.text));
    }
    specification(&draft.spec, console)
}

fn specification(spec: &Spec, console: Console) -> Result<(), Failure> {
    let spec = spec.to_json();
    console.text(&format!("{}\n", spec.trim_end()))?;
    if !console.json() {
        return Ok(());
    }
    let object = serde_json::from_str(&spec);
    console.object(&object.map_err(|error| Failure::model_file(format!("spec: {error}")))?)
}

/// Every group of weights of a model, with its name.
pub(crate) fn tensors(model: &Model) -> Vec<(String, &[f32])> {
    let mut tensors = Vec::new();
    for node in model.nodes() {
        let mut add = |name: &str, values| tensors.push((format!("{}.{name}", node.name), values));
        match &node.op {
            Op::Recurrent(layer) => {
                for (weights, side) in layer.weights().iter().zip(["", ".backward"]) {
                    for tensor in weights.tensors() {
                        add(&format!("{}{side}", tensor.name), tensor.values);
                    }
                }
            }
            Op::Dense(dense) => {
                add("weights", dense.weights().values());
                if let Some(bias) = dense.bias() {
                    add("bias", bias);
                }
            }
            Op::Embedding(embedding) => add("table", embedding.table().values()),
            Op::Constant(constant) => add("value", constant.rows().values()),
            Op::ScaleShift(affine) => {
                add("scale", affine.scale());
                add("shift", affine.shift());
            }
            _ => {}
        }
    }
    tensors
}

/// The tensors that hold NaN or infinities: name, how many of each.
fn not_finite(model: &Model) -> Vec<(String, usize, usize)> {
    let counted = tensors(model).into_iter().map(|(name, values)| {
        let nan = values.iter().filter(|value| value.is_nan()).count();
        let infinite = values.iter().filter(|value| value.is_infinite()).count();
        (name, nan, infinite)
    });
    counted.filter(|(_, nan, infinite)| nan + infinite > 0).collect()
}

/// Name and axes of an input or an output.
type End = (String, Vec<Axis>);

/// The inputs and the outputs.
fn ends(plan: &Plan) -> [Vec<End>; 2] {
    let inputs = plan
        .inputs()
        .iter()
        .enumerate()
        .map(|(index, input)| (input.name.clone(), arrays::input_axes(plan, index)));
    let outputs = plan
        .outputs()
        .iter()
        .map(|output| (output.name.clone(), arrays::output_axes(plan, output)));
    [inputs.collect(), outputs.collect()]
}

/// The table of layers and its totals.
pub(crate) fn table(plan: &Plan) -> String {
    let explanation = plan.explain();
    let headings = ["layer", "op", "output", ">parameters", ">packed bytes", "kernel"];
    let mut table = Table::new(&headings);
    for stage in &explanation.stages {
        table.row([
            stage.node.clone(),
            stage.op.clone(),
            stage.output.clone(),
            thousands(stage.parameters),
            thousands(stage.packed_bytes),
            if stage.kernel.is_empty() { "-".into() } else { stage.kernel.clone() },
        ]);
    }
    let parameters = explanation.stages.iter().map(|stage| stage.parameters).sum();
    let packed = explanation.stages.iter().map(|stage| stage.packed_bytes).sum();
    format!(
        "{}total: {} parameters, {} bytes packed; {} on {}, {}\n",
        table.render(),
        thousands(parameters),
        thousands(packed),
        explanation.precision,
        explanation.isa,
        threads_text(explanation.threads),
    )
}

/// `1 thread`, `2 threads`.
pub(crate) fn threads_text(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

fn text(plan: &Plan, not_finite: &[(String, usize, usize)]) -> String {
    let [inputs, outputs] = ends(plan);
    let mut text = String::new();
    for (what, ends) in [("input", &inputs), ("output", &outputs)] {
        for (name, axes) in ends {
            let _ = writeln!(text, "{what:<6}  {name} {}", arrays::axes_text(axes));
        }
    }
    let _ = write!(text, "\n{}", table(plan));
    for (name, nan, infinite) in not_finite {
        let _ = writeln!(text, "not finite: {name}: {nan} NaN, {infinite} infinite");
    }
    text
}

fn object(plan: &Plan, not_finite: &[(String, usize, usize)]) -> Value {
    let [inputs, outputs] = ends(plan);
    let named = |ends: &[End]| -> Vec<Value> {
        let object = |(name, axes): &End| {
            let axes: Vec<Value> = axes.iter().copied().map(arrays::axis_object).collect();
            json!({"name": name, "axes": axes})
        };
        ends.iter().map(object).collect()
    };
    let explanation = plan.explain();
    let layers = explanation.stages.iter().map(|stage| {
        json!({
            "name": stage.node,
            "op": stage.op,
            "output": stage.output,
            "parameters": stage.parameters,
            "packed_bytes": stage.packed_bytes,
            "kernel": stage.kernel,
        })
    });
    let not_finite = not_finite
        .iter()
        .map(|(name, nan, infinite)| json!({"name": name, "nan": nan, "infinite": infinite}));
    json!({
        "inputs": named(&inputs),
        "outputs": named(&outputs),
        "layers": layers.collect::<Vec<_>>(),
        "parameters": explanation.stages.iter().map(|stage| stage.parameters).sum::<usize>(),
        "packed_bytes": explanation.stages.iter().map(|stage| stage.packed_bytes).sum::<usize>(),
        "not_finite": not_finite.collect::<Vec<_>>(),
        "causal": explanation.causal,
        "isa": explanation.isa.to_string(),
        "precision": explanation.precision.to_string(),
        "tune": explanation.tune.to_string(),
        "threads": explanation.threads,
    })
}
