//! One row: everybody enters, everybody's answer is checked, then turns are taken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use ritornello::Precision;

use crate::case::Case;
use crate::contest::{Contestant, Refusal, Rival};
use crate::grid::Shape;

/// The greatest distance from the right answer, in any hidden state.
///
/// Weights of 8 bits are off by a 512th at most, bytes by half a 127th of the largest, which some rivals
/// take of a whole matrix; what is wrong altogether is off by more.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Bf16 => 0.02,
        Precision::Int8 => 0.1,
        _ => 1e-4,
    }
}

/// Turns of every contestant in a row.
const ROUNDS: u32 = 5;

/// What became of one contestant in one row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// Seconds.
    Timed { best: f64, median: f64, samples: usize, distance: f64 },
    /// The answer is off by this much.
    Wrong(f64),
    /// The rival has no such cell or shape.
    NotOffered(String),
    /// The rival should run this, and did not.
    Failed(String),
}

/// A row with all its outcomes.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) shape: Shape,
    /// In the order of the contestants.
    pub(crate) outcomes: Vec<Outcome>,
    /// Our best time as a part of what the machine allows, in percent.
    pub(crate) floor: Option<f64>,
}

/// How the turns are taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) threads: usize,
    /// For each contestant, all its turns together.
    pub(crate) budget: Duration,
}

/// One that is still in the race.
struct Runner {
    contestant: Box<dyn Contestant>,
    distance: f64,
    samples: Vec<f64>,
}

/// Races one row. Turns alternate between all contestants; each round begins with another one.
pub(crate) fn race(rivals: &mut [Box<dyn Rival>], case: &Case, rules: Rules) -> Vec<Outcome> {
    let mut entered: Vec<Result<Runner, Outcome>> =
        rivals.iter_mut().map(|rival| enter(rival.as_mut(), case, rules.threads)).collect();
    for round in 0..ROUNDS as usize {
        for turn in 0..entered.len() {
            let place = (turn + round) % entered.len();
            if let Ok(runner) = &mut entered[place] {
                settle(rules.threads);
                match guarded(|| runner.contestant.turn(rules.budget / ROUNDS)) {
                    Ok(samples) => runner.samples.extend(samples),
                    Err(reason) => entered[place] = Err(Outcome::Failed(reason)),
                }
            }
        }
    }
    entered.into_iter().map(|runner| runner.map_or_else(|outcome| outcome, outcome)).collect()
}

/// Builds a contestant and checks its answer twice: the second run starts where the first did.
fn enter(rival: &mut dyn Rival, case: &Case, threads: usize) -> Result<Runner, Outcome> {
    let precision = case.precision_of_rivals();
    if !rival.precisions().contains(&precision) {
        return Err(Outcome::NotOffered(format!("no {precision}")));
    }
    let entered = guarded(|| Ok(rival.enter(case, threads))).map_err(Outcome::Failed)?;
    let mut contestant = entered.map_err(|refusal| match refusal {
        Refusal::NotOffered(reason) => Outcome::NotOffered(reason),
        Refusal::Failed(reason) => Outcome::Failed(reason),
    })?;
    let mut distance = 0.0_f64;
    for _ in 0..2 {
        let answer = guarded(|| contestant.answer(case)).map_err(Outcome::Failed)?;
        distance = distance.max(case.distance(&answer));
    }
    if distance > tolerance(case.precision) {
        return Err(Outcome::Wrong(distance));
    }
    Ok(Runner { contestant, distance, samples: Vec::new() })
}

/// A rival that panics has failed; the others go on.
fn guarded<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err("it panicked".into()))
}

fn outcome(runner: Runner) -> Outcome {
    let Runner { mut samples, distance, .. } = runner;
    samples.sort_by(f64::total_cmp);
    match (samples.first(), samples.get(samples.len() / 2)) {
        (Some(&best), Some(&median)) => {
            Outcome::Timed { best, median, samples: samples.len(), distance }
        }
        _ => Outcome::Failed("no sample".into()),
    }
}

/// Waits until the threads of the one before have stopped spinning.
fn settle(threads: usize) {
    std::thread::sleep(Duration::from_millis(if threads > 1 { 50 } else { 2 }));
}
