//! What a contestant is, and how one turn is timed.

use std::time::{Duration, Instant};

use ritornello::Precision;

use crate::case::Case;

/// A library that may enter.
pub(crate) trait Rival {
    /// The name in tables and for `--rivals`.
    fn name(&self) -> &str;

    /// The version, or why the rival is absent altogether.
    fn version(&self) -> Result<String, String>;

    /// What it can make of weights.
    fn precisions(&self) -> &[Precision] {
        &[Precision::F32]
    }

    /// Builds the row's network, weights prepared once.
    fn enter(&mut self, case: &Case, threads: usize) -> Result<Box<dyn Contestant>, Refusal>;
}

/// A rival at the start of one row.
pub(crate) trait Contestant {
    /// All hidden states, `[time, batch, directions × hidden]`, from the row's initial state.
    fn answer(&mut self, case: &Case) -> Result<Vec<f32>, String>;

    /// Seconds of single runs, taken again and again for about `budget`.
    fn turn(&mut self, budget: Duration) -> Result<Vec<f64>, String>;
}

/// Why a rival does not run a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The rival does not have this cell or shape.
    NotOffered(String),
    /// It should, but something went wrong.
    Failed(String),
}

impl Refusal {
    /// For `map_err`.
    #[allow(clippy::needless_pass_by_value, reason = "`map_err` gives the error away")]
    pub(crate) fn failed(reason: impl ToString) -> Self {
        Self::Failed(reason.to_string())
    }
}

/// Something in this process that can be run again and again.
pub(crate) trait Runner {
    /// One run from the row's initial state.
    fn run(&mut self) -> Result<(), String>;

    /// What the last run gave, as [`Contestant::answer`] wants it.
    fn last(&mut self, case: &Case) -> Result<Vec<f32>, String>;
}

impl<R: Runner> Contestant for R {
    fn answer(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        self.run()?;
        self.last(case)
    }

    fn turn(&mut self, budget: Duration) -> Result<Vec<f64>, String> {
        turn(budget, || self.run())
    }
}

/// A sample is made of so many calls that reading the clock does not count.
const SAMPLE: Duration = Duration::from_micros(100);

/// Times `call` for about `budget`, after at least one call and a tenth of the budget to warm up.
///
/// A first call that takes longer than the budget is the only one, and the sample.
fn turn(
    budget: Duration,
    mut call: impl FnMut() -> Result<(), String>,
) -> Result<Vec<f64>, String> {
    let (started, mut warm) = (Instant::now(), 0_u32);
    while warm == 0 || started.elapsed() < budget / 10 {
        call()?;
        warm += 1;
    }
    let elapsed = started.elapsed();
    if warm == 1 && elapsed > budget {
        return Ok(vec![elapsed.as_secs_f64()]);
    }
    let one = elapsed / warm;
    let mut calls = 1_u32;
    while one * calls < SAMPLE && calls < 1 << 16 {
        calls *= 2;
    }
    let mut samples = Vec::new();
    let started = Instant::now();
    while samples.is_empty() || started.elapsed() < budget {
        let sample = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        samples.push(sample.elapsed().as_secs_f64() / f64::from(calls));
    }
    Ok(samples)
}
