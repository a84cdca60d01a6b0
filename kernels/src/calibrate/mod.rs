//! What this CPU can do at most, measured on it: the numbers that a floor is made of.
//!
//! ```text
//! for each round
//!     the same few vector operations, which nothing else slows down
//! time of a round = the best of many samples
//! ```
//!
//! A sample is short, so that on a busy machine some are undisturbed, and the best one counts.

mod probe;
pub(crate) mod unit;

use std::time::{Duration, Instant};

pub(crate) use probe::{Probe, probe};

use crate::buffer::AlignedBuffer;
use crate::kernels::Kernels;
use probe::{INDEPENDENT, MOST_LANES};
use unit::{OPERATIONS, WORDS};

/// Numbers of a level on this machine that depend on no size. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Multiplications and additions of one thread, in 10⁹ a second.
    pub peak_gflops: f64,
    /// Multiplications and additions of f32 in a matrix unit, of parts, likewise; 0 without one.
    pub split_gflops: f64,
    /// From the addend of a vector multiply-add to its sum.
    pub fma_latency: f64,
    /// From the divisor of a vector division to its quotient.
    pub division_latency: f64,
    /// From one vector division to the next that does not wait for it.
    pub division_interval: f64,
    /// From a vector to one of its numbers in all lanes, through memory.
    pub store_to_load: f64,
}

/// The least memory that is read, in bytes: less is taken to be as near.
const FEWEST_BYTES: usize = 4 << 10;
/// The most memory that is read, in bytes: more is taken to be as far.
const MOST_BYTES: usize = 512 << 20;

/// How long a sample takes at least, if a round does not take longer.
const SAMPLE: Duration = Duration::from_micros(200);
/// For how long samples are taken.
const BUDGET: Duration = Duration::from_millis(15);
const FEWEST_SAMPLES: usize = 4;

impl Kernels {
    /// Measures what one thread of this level can do at most; takes a tenth of a second.
    #[must_use]
    pub fn calibrate(&self) -> Calibration {
        let mut line = AlignedBuffer::zeroed(MOST_LANES);
        let mut round = |probe| best_round(|rounds| self.seconds(probe, &mut line, rounds));
        Calibration {
            peak_gflops: self.multiply_adds(1) / round(Probe::Multiply),
            split_gflops: self.split_gflops(),
            fma_latency: round(Probe::MultiplyChain),
            division_latency: round(Probe::DivideChain),
            division_interval: round(Probe::Divide) / INDEPENDENT as f64,
            store_to_load: round(Probe::StoreThenLoad),
        }
    }

    /// Measures how fast one thread reads `bytes` again and again, in GB/s (10⁹ bytes a second).
    ///
    /// Less than 4 KiB is taken to be as near as 4 KiB, more than 512 MiB as far as 512 MiB.
    #[must_use]
    pub fn read_bandwidth(&self, bytes: usize) -> f64 {
        let bytes = bytes.clamp(FEWEST_BYTES, MOST_BYTES);
        let len = bytes.div_ceil(size_of::<f32>()).next_multiple_of(MOST_LANES);
        let mut numbers = AlignedBuffer::zeroed(len);
        // Memory that was never written may be one page of zeros, many times over.
        numbers.fill(1.0);
        let mut best = f64::INFINITY;
        // Twice: caches that others fill as well need a while to hold what is read.
        for probe in [Probe::Read, Probe::ReadStreams, Probe::Read, Probe::ReadStreams] {
            best = best.min(best_round(|rounds| self.seconds(probe, &mut numbers, rounds)));
        }
        numbers.bytes() as f64 / best
    }

    /// Keeps one thread at its peak for so many rounds; gives the multiplications and additions
    /// that these were. For those who measure several threads at once.
    pub fn spend(&self, rounds: usize) -> f64 {
        self.seconds(Probe::Multiply, &mut AlignedBuffer::zeroed(MOST_LANES), rounds);
        self.multiply_adds(rounds)
    }

    /// The multiplications and additions of so many rounds of [`Probe::Multiply`].
    fn multiply_adds(&self, rounds: usize) -> f64 {
        2.0 * (self.registers.accumulators * self.registers.lanes) as f64 * rounds as f64
    }

    fn split_gflops(&self) -> f64 {
        let Some(unit) = self.unit() else { return 0.0 };
        let mut tiles = AlignedBuffer::zeroed(WORDS);
        OPERATIONS
            / best_round(|rounds| {
                let started = Instant::now();
                // SAFETY: a table is only to be had where the CPU has what it needs; there are so many words.
                unsafe { (unit.probe)(&mut tiles, rounds) };
                started.elapsed().as_secs_f64()
            })
    }

    /// Seconds of so many rounds.
    fn seconds(&self, probe: Probe, numbers: &mut AlignedBuffer, rounds: usize) -> f64 {
        assert!(!numbers.is_empty() && numbers.len().is_multiple_of(MOST_LANES), "whole lines");
        let started = Instant::now();
        // SAFETY: a table is only to be had where the CPU has what it needs; the numbers are
        // whole lines, as was just made sure.
        unsafe { (self.probe)(probe, numbers, rounds) };
        started.elapsed().as_secs_f64()
    }
}

/// Nanoseconds of a round, the best of many; `seconds` are those of so many rounds.
fn best_round(mut seconds: impl FnMut(usize) -> f64) -> f64 {
    let mut rounds = 2;
    // A few rounds that the system has interrupted seem long: each time the best of some counts.
    let mut is_short = |rounds| (0..3).any(|_| seconds(rounds) < SAMPLE.as_secs_f64());
    while is_short(rounds) {
        rounds *= 2;
    }
    let (started, mut samples, mut best) = (Instant::now(), 0, f64::INFINITY);
    while samples < FEWEST_SAMPLES || started.elapsed() < BUDGET {
        best = best.min(seconds(rounds));
        samples += 1;
    }
    best * 1e9 / rounds as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interruption_does_not_end_the_search_for_enough_rounds() {
        for interrupted in 0..20 {
            let mut calls = 0;
            // A round takes 1 ns, looking at the clock 40.
            let nanoseconds = best_round(|rounds| {
                calls += 1;
                let of_rounds = 1e-9 * rounds as f64 + 40e-9;
                if calls == interrupted + 1 { of_rounds + 5e-3 } else { of_rounds }
            });
            assert!((nanoseconds - 1.0).abs() < 1e-3, "{nanoseconds} after {interrupted} calls");
        }
    }
}
