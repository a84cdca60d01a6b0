//! What the machine at hand can do at most: what a [`Floor`](super::Floor) is reckoned from.
//!
//! The kernels measure what one thread does with one level; two threads are measured here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ritornello_kernels::{Calibration, Isa, Kernels};

use crate::Error;

/// What a machine can do at most with one level.
#[derive(Clone, Debug)]
pub struct Machine {
    kernels: &'static Kernels,
    cores: usize,
    calibration: Calibration,
    hand_over: Option<f64>,
    /// GB/s, for each size in bytes that was asked for.
    bandwidths: BTreeMap<usize, f64>,
}

impl Machine {
    /// Measures this machine; takes a tenth of a second, or a few on a busy machine.
    ///
    /// # Errors
    ///
    /// If the CPU lacks the level.
    pub fn measure(isa: Isa) -> Result<Self, Error> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let calibration = isa.kernels()?.calibrate();
        Self::new(isa, cores, calibration, if cores > 1 { hand_over() } else { None })
    }

    /// A machine with these numbers. `hand_over` is in nanoseconds.
    ///
    /// # Errors
    ///
    /// If this CPU lacks the level: bandwidths that are not [given](Self::with_read_bandwidth) are
    /// measured.
    pub fn new(
        isa: Isa,
        cores: usize,
        calibration: Calibration,
        hand_over: Option<f64>,
    ) -> Result<Self, Error> {
        let kernels = isa.kernels()?;
        Ok(Self { kernels, cores, calibration, hand_over, bandwidths: BTreeMap::new() })
    }

    /// The same machine, reading `bytes` at `bandwidth` GB/s.
    #[must_use]
    pub fn with_read_bandwidth(mut self, bytes: usize, bandwidth: f64) -> Self {
        self.bandwidths.insert(bytes, bandwidth);
        self
    }

    /// The level.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.kernels.isa()
    }

    /// The cores that the system gives this process.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// What one thread does.
    #[must_use]
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// Nanoseconds from the store of one thread to the load of another that waits for it: what a
    /// step costs at least that two threads share. `None` if two threads never had a core each.
    #[must_use]
    pub fn hand_over(&self) -> Option<f64> {
        self.hand_over
    }

    /// How fast one thread reads `bytes` again and again, in GB/s. Measured when first asked for,
    /// which takes 60 ms, or more for many bytes; then remembered.
    pub fn read_bandwidth(&mut self, bytes: usize) -> f64 {
        let measure = || self.kernels.read_bandwidth(bytes);
        *self.bandwidths.entry(bytes).or_insert_with(measure)
    }

    /// Measures the GFLOP/s of so many threads at once: as many times the peak of one as there are
    /// cores that share no arithmetic units and have nothing else to do.
    ///
    /// # Panics
    ///
    /// If the system gives no such number of threads.
    #[must_use]
    pub fn peak_gflops_together(&self, threads: usize) -> f64 {
        let rounds = rounds_of(self.kernels, self.calibration.peak_gflops);
        let arrived = AtomicUsize::new(0);
        let work = |_| sample(self.kernels, rounds, &arrived, threads);
        let parts: Vec<Vec<Part>> = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|i| scope.spawn(move || work(i))).collect();
            let mut parts = vec![work(0)];
            parts.extend(others.into_iter().filter_map(|other| other.join().ok()));
            parts
        });
        let speeds = (0..SAMPLES).filter_map(|sample| {
            let start = parts.iter().map(|part| part[sample].start).min()?;
            let end = parts.iter().map(|part| part[sample].end).max()?;
            let operations: f64 = parts.iter().map(|part| part[sample].operations).sum();
            Some(operations / (end - start).as_secs_f64() / 1e9)
        });
        speeds.fold(0.0, f64::max)
    }
}

/// Samples of threads at once.
const SAMPLES: usize = 20;
/// How long one takes about, in seconds.
const SAMPLE: f64 = 1e-3;

/// What one thread did in one sample.
struct Part {
    start: Instant,
    end: Instant,
    operations: f64,
}

/// Rounds at the peak that take about [`SAMPLE`].
fn rounds_of(kernels: &Kernels, peak_gflops: f64) -> usize {
    let rounds = SAMPLE * peak_gflops * 1e9 / kernels.spend(1);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rough number")]
    let rounds = rounds as usize;
    rounds.max(1)
}

/// Works beside the other threads; every sample starts when all are there.
fn sample(kernels: &Kernels, rounds: usize, arrived: &AtomicUsize, threads: usize) -> Vec<Part> {
    let one = |sample| {
        arrived.fetch_add(1, Ordering::AcqRel);
        wait_until(|| arrived.load(Ordering::Acquire) >= (sample + 1) * threads);
        let start = Instant::now();
        let operations = kernels.spend(rounds);
        Part { start, end: Instant::now(), operations }
    };
    (0..SAMPLES).map(one).collect()
}

/// For how long a ball is thrown to and fro between the same two threads.
const GAME: Duration = Duration::from_millis(5);
/// Games that are played if nothing disturbs them, and at most.
const GAMES: [usize; 2] = [3, 40];
/// How often the ball is thrown and thrown back in a sample.
const ROUND_TRIPS: usize = 50;
/// What takes so many nanoseconds went through the system's scheduler: the threads shared a core.
const TOO_LONG: f64 = 2000.0;
/// Ends a game.
const OVER: usize = usize::MAX;

/// Nanoseconds of half a round trip between two threads, the best of many samples; `None` if they
/// never had a core each. Every game has a new thread, for which the system finds a core anew.
fn hand_over() -> Option<f64> {
    let mut best = f64::INFINITY;
    for played in 0..GAMES[1] {
        if played >= GAMES[0] && best <= TOO_LONG {
            break;
        }
        best = best.min(game()?);
    }
    (best <= TOO_LONG).then_some(best)
}

/// The best sample of one game; `None` if the system gives no second thread.
fn game() -> Option<f64> {
    let ball = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Odd numbers are for the other thread, which answers with the next.
        let other = thread::Builder::new().spawn_scoped(scope, || {
            loop {
                let mut seen = 0;
                wait_until(|| {
                    seen = ball.load(Ordering::Acquire);
                    seen % 2 == 1
                });
                if seen == OVER {
                    return;
                }
                ball.store(seen + 1, Ordering::Release);
            }
        });
        if other.is_err() {
            return None;
        }
        let (started, mut best) = (Instant::now(), f64::INFINITY);
        while started.elapsed() < GAME {
            let sample = Instant::now();
            for trip in 0..ROUND_TRIPS {
                ball.store(2 * trip + 1, Ordering::Release);
                wait_until(|| ball.load(Ordering::Acquire) == 2 * trip + 2);
            }
            let nanoseconds = sample.elapsed().as_secs_f64() * 1e9;
            best = best.min(nanoseconds / (2 * ROUND_TRIPS) as f64);
        }
        ball.store(OVER, Ordering::Release);
        Some(best)
    })
}

/// Looks again and again; gives way to other programs now and then.
fn wait_until(mut done: impl FnMut() -> bool) {
    let mut looks = 0_u32;
    while !done() {
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(1 << 12) {
            thread::yield_now();
        }
    }
}
