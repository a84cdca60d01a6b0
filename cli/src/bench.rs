//! `ritornello bench`: how long a run of a model, or of a layer, takes, and how near the floor that is.

use std::time::Duration;

use ritornello::plan::{Limit, Machine, StageFloor};
use ritornello::{Array, Session};
use serde_json::{Value, json};

use crate::args::{BenchArgs, Options, load_model};
use crate::arrays::{self, Axis, Named};
use crate::failure::{Blame, Failure};
use crate::inspect::{table, threads_text};
use crate::output::Console;
use crate::synthetic::{self, Layer};
use crate::timing::time;

/// For how long a run is repeated.
const BUDGET: Duration = Duration::from_secs(2);

/// Checks a run's answer, times it, then measures the machine.
pub(crate) fn bench(args: &BenchArgs, options: &Options, console: &Console) -> Result<(), Failure> {
    let (batch, steps) = (args.batch, args.time);
    for (flag, value) in [("--batch", batch), ("--time", steps)] {
        if value == 0 {
            return Err(Failure::usage(format!("{flag} is 0, expected at least 1")));
        }
    }
    let (subject, model) = match (&args.layer, &args.model) {
        (Some(text), _) => (text.clone(), Layer::parse(text)?.model().blame_model()?),
        (None, Some(path)) => (path.display().to_string(), load_model(path, args.spec.as_deref())?),
        (None, None) => return Err(Failure::usage("give a model or --layer")),
    };
    let operations = synthetic::operations(&model, batch, steps).blame_model()?;
    let inputs = synthetic::inputs(&model, batch, steps).blame_data()?;
    let plan = model.into_plan(options.plan()).blame_model()?;

    let longest = inputs.iter().enumerate().filter_map(|(index, (_, array))| {
        let axes = arrays::input_axes(&plan, index);
        let time = axes.iter().position(|axis| matches!(axis, Axis::Time(_)))?;
        Some(array.shape()[time])
    });
    let mut session = plan.session(batch, longest.max().unwrap_or(1)).blame_data()?;
    let outputs = checked(&mut session, &inputs)?;
    let timing = match (&inputs[..], &outputs[..]) {
        ([(_, x)], [(_, y)]) if x.as_f32().is_some() => {
            let (x, mut y) = (x.as_f32().unwrap_or_default(), floats(y).to_vec());
            time(BUDGET, || session.run_into(x, &mut y))
        }
        _ => {
            let inputs = arrays::by_name(&inputs);
            time(BUDGET, || session.run_arrays(&inputs).map(drop))
        }
    };
    let timing = timing.blame_data()?;

    let explanation = plan.explain();
    let kernels: Vec<&str> = explanation
        .stages
        .iter()
        .map(|stage| stage.kernel.as_str())
        .filter(|kernel| !kernel.is_empty())
        .collect();
    let gflops = operations / timing.best / 1e9;
    let mut machine = Machine::measure(explanation.isa).blame_usage()?;
    let floor = plan.floor(&mut machine, batch, steps);
    let least = floor.nanoseconds() / 1e9;
    let percent = 100.0 * least / timing.best;
    let gbps = floor.recurrent_bytes / timing.best / 1e9;
    let limit = floor.limit().map(Limit::name);
    console.text(&format!(
        "{}\n{subject}: batch {batch}, time {steps}, {}\n\
         best {}  median {}  {gflops:.1} GFLOP/s  {gbps:.1} GB/s of recurrent weights  ({} runs)\n\
         floor {}, set by {}: {percent:.0} % of it reached\n",
        table(&plan),
        threads_text(explanation.threads),
        duration(timing.best),
        duration(timing.median),
        timing.calls,
        duration(least),
        limit.unwrap_or("nothing that is counted"),
    ))?;
    console.object(&json!({
        "subject": subject,
        "batch": batch,
        "time": steps,
        "best_us": timing.best * 1e6,
        "median_us": timing.median * 1e6,
        "gflops": gflops,
        "gbps": gbps,
        "floor_us": least * 1e6,
        "percent_of_floor": percent,
        "limit": limit,
        "floor": floor.stages.iter().map(stage_floor).collect::<Vec<_>>(),
        "runs": timing.calls,
        "kernel": kernels.join(" + "),
        "isa": explanation.isa.to_string(),
        "precision": explanation.precision.to_string(),
        "tune": explanation.tune.to_string(),
        "threads": explanation.threads,
    }))
}

fn stage_floor(stage: &StageFloor) -> Value {
    json!({
        "node": stage.node,
        "floor_us": stage.nanoseconds() / 1e3,
        "limit": stage.limit().name(),
        "projection_us": stage.projection / 1e3,
        "arithmetic_us": stage.arithmetic / 1e3,
        "bytes_us": stage.bytes / 1e3,
        "latency_us": stage.latency / 1e3,
        "hand_overs_us": stage.hand_overs / 1e3,
    })
}

/// A time in the unit that suits it.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-6 => format!("{:.1} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.2} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// The outputs of a run, if a second one gives the same bits and all are finite.
fn checked(session: &mut Session, inputs: &Named) -> Result<Named, Failure> {
    let mut run = || {
        session.reset();
        session.run_arrays(&arrays::by_name(inputs)).blame_data()
    };
    let (first, second) = (run()?, run()?);
    for ((name, first), (_, second)) in first.iter().zip(&second) {
        if !same_bits(floats(first), floats(second)) {
            return Err(Failure::check(format!("two runs give two answers for output '{name}'")));
        }
        if floats(first).iter().any(|value| !value.is_finite()) {
            return Err(Failure::check(format!("output '{name}' is not finite")));
        }
    }
    Ok(first)
}

fn floats(array: &Array) -> &[f32] {
    array.as_f32().unwrap_or_default()
}

/// Whether two results are the same to the bit.
pub(crate) fn same_bits(one: &[f32], other: &[f32]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.to_bits() == b.to_bits())
}
