//! `ritornello demo`: an embedded model that Keras wrote, loaded, explained, run, checked and timed.

use std::fmt::Write as _;
use std::time::Duration;

use ritornello::load::npy::NpyArray;
use ritornello::load::{self, npz};
use ritornello::plan::Threads;
use ritornello::{Error, Isa, Model, Plan, PlanOptions};
use serde_json::{Value, json};

use crate::args::Options;
use crate::bench::{duration, same_bits};
use crate::failure::{Blame, Failure};
use crate::inspect::table;
use crate::output::{Console, Table, thousands};
use crate::synthetic::Numbers;
use crate::timing::time;

/// SimpleRNN(32, relu) on every step, then Dense(16), as Keras saved it.
const MODEL: &[u8] = include_bytes!("../../tests/fixtures/simple-rnn-relu-dense/model.keras");
/// Two sequences, and what Keras gave for them.
const CASE: &[u8] = include_bytes!("../../tests/fixtures/simple-rnn-relu-dense/case.npz");
const KERAS_BATCH: usize = 2;
const BATCH: usize = 8;
const TIME: usize = 100;
const FEATURES: usize = 16;
const OUTPUTS: usize = 16;
/// The greatest difference from Keras that passes, relative to the greatest output or 1.
const TOLERANCE: f32 = 1e-6;
/// For how long each speed is measured.
const BUDGET: Duration = Duration::from_millis(400);

/// The embedded model.
pub(crate) fn model() -> Result<Model, Error> {
    load::from_bytes(MODEL)
}

/// Shows on an embedded model what the library does.
pub(crate) fn demo(options: &Options, console: &Console) -> Result<(), Failure> {
    let model = model().blame_model()?;
    let case = npz::parse(CASE).blame_data()?;
    console.text(&format!(
        "ritornello runs recurrent networks on CPUs. This is one that Keras saved as model.keras, \
         embedded in the command:\n{FEATURES} features a step, SimpleRNN(32, relu), \
         Dense({OUTPUTS}) on every step; {} parameters.\n\n\
         1. The plan: weights packed once, a kernel chosen for each layer\n\n",
        thousands(model.parameters()),
    ))?;
    let plan = model.plan(options.plan()).blame_model()?;
    let input = Numbers::new(3).take(BATCH * TIME * FEATURES, 1.0);
    console.text(&format!(
        "{}\n2. A run: {BATCH} sequences of {TIME} steps, x [batch={BATCH}, time={TIME}, \
         features={FEATURES}]\n\n   \
         projection   W x[t] + b for all steps at once\n   \
         recurrence   h[t] from that and h[t-1], step by step\n   \
         head         Dense on every h[t]\n\n",
        table(&plan),
    ))?;
    let output = run(&plan, BATCH, &input)?;
    let first: Vec<String> =
        output[(TIME - 1) * OUTPUTS..][..4].iter().map(|y| format!("{y:.6}")).collect();
    console.text(&format!(
        "   y [batch={BATCH}, time={TIME}, features={OUTPUTS}]; sequence 0, last step: {} ...\n\n\
         3. Checks\n\n",
        first.join(" ")
    ))?;
    let mut checks = vec![beside_keras(&plan, &case)?];
    checks.extend(bits(&model, options, &input, &output)?);
    let passed = checks.iter().all(|check| check.passed != Some(false));
    console.text(&checks_text(&checks))?;
    console.text("\n4. Speed\n\n")?;
    let speeds = [speed(&plan, 1, &input)?, speed(&plan, BATCH, &input)?];
    console.text(&speeds_text(&speeds))?;
    console.text(
        "\nNext, with a model of your own:\n\n   \
         ritornello inspect MODEL.keras              what it is, and which kernels run it\n   \
         ritornello run MODEL.keras x.npy -o y.npy   its results\n   \
         ritornello verify MODEL.keras case.npz      beside those of its framework\n   \
         ritornello bench MODEL.keras                how fast\n",
    )?;
    let explanation = plan.explain();
    console.object(&json!({
        "passed": passed,
        "checks": checks.iter().map(Check::object).collect::<Vec<_>>(),
        "speed": speeds.iter().map(Speed::object).collect::<Vec<_>>(),
        "isa": explanation.isa.to_string(),
        "precision": explanation.precision.to_string(),
        "threads": explanation.threads,
    }))?;
    if passed { Ok(()) } else { Err(Failure::check("the demonstration does not hold")) }
}

fn run(plan: &Plan, batch: usize, input: &[f32]) -> Result<Vec<f32>, Failure> {
    let session = plan.session(batch, TIME);
    session.and_then(|mut session| session.run(input)).blame_data()
}

/// Something that must hold.
struct Check {
    name: String,
    /// None: this machine cannot tell.
    passed: Option<bool>,
    detail: String,
}

impl Check {
    fn bits(name: impl Into<String>, one: &[f32], other: &[f32]) -> Self {
        let passed = same_bits(one, other);
        let detail = if passed { "the same bits" } else { "other bits" };
        Self { name: name.into(), passed: Some(passed), detail: detail.into() }
    }

    fn object(&self) -> Value {
        json!({"name": self.name, "passed": self.passed, "detail": self.detail})
    }
}

/// Compares `output` with the same computed in other ways.
fn bits(
    model: &Model,
    options: &Options,
    input: &[f32],
    output: &[f32],
) -> Result<Vec<Check>, Failure> {
    let planned = |options: PlanOptions| {
        let plan = model.plan(options).blame_model()?;
        run(&plan, BATCH, input)
    };
    let plan = model.plan(options.plan()).blame_model()?;
    let mut checks = Vec::new();

    let one_by_one = input
        .chunks_exact(TIME * FEATURES)
        .map(|sequence| run(&plan, 1, sequence))
        .collect::<Result<Vec<_>, _>>()?;
    let name = format!("{BATCH} sequences at once, or one by one");
    checks.push(Check::bits(name, output, &one_by_one.concat()));

    let name = format!("a whole sequence, or {TIME} single steps");
    let sequence = &input[..TIME * FEATURES];
    checks.push(Check::bits(name, &one_by_one[0], &steps(&plan, sequence)?));

    let threads = |count| {
        let threads = Threads::new(count).blame_usage()?;
        planned(options.plan().threads(threads))
    };
    let [one, two] = [threads(1)?, threads(2)?];
    checks.push(Check::bits("1 thread, or 2", &one, &two));

    let chosen = plan.explain().isa;
    let lower = |isa: &Isa| *isa < chosen && *isa != Isa::Portable;
    let levels: Vec<Isa> = Isa::available().into_iter().filter(lower).collect();
    for &isa in &levels {
        let other = planned(options.plan().isa(isa))?;
        checks.push(Check::bits(format!("{chosen}, or {isa}"), output, &other));
    }
    if levels.is_empty() {
        checks.push(Check {
            name: "levels with fused multiply-add".into(),
            passed: None,
            detail: format!("{chosen} is the lowest here, nothing to compare it with"),
        });
    }
    Ok(checks)
}

/// Runs what Keras ran.
fn beside_keras(plan: &Plan, case: &[(String, NpyArray)]) -> Result<Check, Failure> {
    let of = |prefix: &str| {
        let found = case.iter().find(|(name, _)| name.starts_with(prefix));
        found.and_then(|(_, read)| read.array.as_f32()).unwrap_or_default()
    };
    let expected = of("output.");
    let found = run(plan, KERAS_BATCH, of("input."))?;
    let scale = expected.iter().fold(1.0_f32, |most, y| most.max(y.abs()));
    let differences = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    let worst = differences.fold(0.0, |worst: f32, one| if one <= worst { worst } else { one });
    Ok(Check {
        name: format!("Keras' own results for {KERAS_BATCH} sequences"),
        passed: Some(found.len() == expected.len() && worst <= TOLERANCE * scale),
        detail: format!("max |difference| {worst:.2e}, of numbers up to {scale:.1}"),
    })
}

fn steps(plan: &Plan, sequence: &[f32]) -> Result<Vec<f32>, Failure> {
    let mut session = plan.session(1, 1).blame_data()?;
    let mut outputs = Vec::new();
    let mut output = [0.0; OUTPUTS];
    for step in sequence.chunks_exact(FEATURES) {
        session.step(step, &mut output).blame_data()?;
        outputs.extend(output);
    }
    Ok(outputs)
}

fn checks_text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let mark = match check.passed {
            Some(true) => "ok    ",
            Some(false) => "FAILED",
            None => "-     ",
        };
        let _ = writeln!(text, "   {mark}  {:<width$}  {}", check.name, check.detail);
    }
    text
}

/// How fast the plan runs sequences of [`TIME`] steps.
struct Speed {
    batch: usize,
    /// Of the best run, in seconds.
    step: f64,
    sequences: f64,
}

impl Speed {
    fn object(&self) -> Value {
        json!({
            "batch": self.batch,
            "ns_per_step": self.step * 1e9,
            "sequences_per_second": self.sequences,
        })
    }
}

fn speed(plan: &Plan, batch: usize, input: &[f32]) -> Result<Speed, Failure> {
    let mut session = plan.session(batch, TIME).blame_data()?;
    let mut output = vec![0.0; batch * TIME * OUTPUTS];
    let input = &input[..batch * TIME * FEATURES];
    let timing = time(BUDGET, || session.run_into(input, &mut output)).blame_data()?;
    Ok(Speed { batch, step: timing.best / TIME as f64, sequences: batch as f64 / timing.best })
}

fn speeds_text(speeds: &[Speed]) -> String {
    let mut table = Table::new(&[">batch", ">time per step", ">sequences per second"]);
    for speed in speeds {
        let sequences = format!("{:.0}", speed.sequences);
        let sequences = sequences.parse().map_or(sequences, thousands);
        table.row([speed.batch.to_string(), duration(speed.step), sequences]);
    }
    let lines = table.render();
    lines.lines().map(|line| format!("   {line}\n")).collect()
}
