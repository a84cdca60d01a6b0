//! Time that a call takes, measured again and again.

use std::time::{Duration, Instant};

/// A sample is made of so many calls that reading the clock does not count.
const SAMPLE: Duration = Duration::from_micros(100);
const FEWEST_SAMPLES: usize = 5;

/// How long a call takes, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) best: f64,
    pub(crate) median: f64,
    /// Calls that were timed.
    pub(crate) calls: usize,
}

/// Times `call` for about `budget`, after a tenth of it to warm up.
pub(crate) fn time<E>(
    budget: Duration,
    mut call: impl FnMut() -> Result<(), E>,
) -> Result<Timing, E> {
    let (started, mut warm) = (Instant::now(), 0);
    while warm == 0 || started.elapsed() < budget / 10 {
        call()?;
        warm += 1;
    }
    let one = started.elapsed().as_secs_f64() / f64::from(warm);
    let mut calls = 1_u32;
    while f64::from(calls) * one < SAMPLE.as_secs_f64() && calls < 1 << 16 {
        calls *= 2;
    }
    let mut samples = Vec::new();
    let started = Instant::now();
    while samples.len() < FEWEST_SAMPLES || started.elapsed() < budget {
        let sample = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        samples.push(sample.elapsed().as_secs_f64() / f64::from(calls));
    }
    samples.sort_by(f64::total_cmp);
    Ok(Timing {
        best: samples[0],
        median: samples[samples.len() / 2],
        calls: samples.len() * calls as usize,
    })
}
