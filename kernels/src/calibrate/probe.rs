//! The loops that are timed.
//!
//! 1. Numbers come from `black_box`, so that nothing is computed at compile time; accumulators
//!    start from different numbers, so that none stands for another. All stay finite and normal.
//! 2. A chain of multiply-adds is measured through the addend, as a sum waits for itself; their
//!    throughput through a factor, so that a level without fused ones does both operations.
//! 3. Memory is read as the recurrence reads weights: aligned vectors, each used once, in blocks
//!    that are visited forwards in even rounds and backwards in odd ones; one block after the
//!    other, and several at once, because it depends on the distance which of them is faster.
//!
//! Registers: at most `Simd::ACCUMULATORS` accumulators, two numbers.

use std::hint::black_box;

use crate::buffer::AlignedBuffer;
use crate::simd::Simd;

/// What is repeated in every round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// One multiply-add for each accumulator that the level has registers for.
    Multiply,
    /// One multiply-add.
    MultiplyChain,
    /// [`INDEPENDENT`] divisions.
    Divide,
    /// One division.
    DivideChain,
    /// One store, and one load of what was stored.
    StoreThenLoad,
    /// All of the memory, once, block after block.
    Read,
    /// The same, [`STREAMS`] blocks at once.
    ReadStreams,
}

/// Operations at once where that is enough on every level: no pipeline holds more vector additions
/// at two loads a cycle, or divisions.
pub(super) const INDEPENDENT: usize = 8;
/// More accumulators than any level has.
const MOST_ACCUMULATORS: usize = 32;
/// More lanes than any level has.
pub(super) const MOST_LANES: usize = 16;
/// Numbers of a block of memory: 16 KiB.
const BLOCK: usize = 4096;
/// Blocks that a tile of several panels reads at once.
const STREAMS: usize = 4;
/// Does one probe `rounds` times.
///
/// # Safety
///
/// `numbers` are whole cache lines, at least one.
#[inline(always)]
pub(crate) unsafe fn probe<S: Simd>(
    s: S,
    probe: Probe,
    numbers: &mut AlignedBuffer,
    rounds: usize,
) {
    const { assert!(S::ACCUMULATORS <= MOST_ACCUMULATORS && S::LANES <= MOST_LANES) };
    debug_assert!(!numbers.is_empty() && numbers.len().is_multiple_of(MOST_LANES), "whole lines");
    match probe {
        Probe::Multiply => multiply(s, rounds),
        Probe::MultiplyChain => multiply_chain(s, rounds),
        Probe::Divide => divide::<S, INDEPENDENT>(s, rounds),
        Probe::DivideChain => divide::<S, 1>(s, rounds),
        // SAFETY: passed on.
        Probe::StoreThenLoad => unsafe { store_then_load(s, numbers, rounds) },
        // SAFETY: passed on.
        Probe::Read => unsafe { read::<S, 1>(s, numbers, rounds) },
        // SAFETY: passed on.
        Probe::ReadStreams => unsafe { read::<S, STREAMS>(s, numbers, rounds) },
    }
}

/// `x = x / 2 + 1/2` for every accumulator: all approach 1.
#[inline(always)]
fn multiply<S: Simd>(s: S, rounds: usize) {
    let half = s.splat(black_box(0.5));
    let mut x = different::<S, MOST_ACCUMULATORS>(s);
    for _ in 0..rounds {
        for i in 0..S::ACCUMULATORS {
            x[i] = s.fma(x[i], half, half);
        }
    }
    for i in 0..S::ACCUMULATORS {
        keep(s, x[i]);
    }
}

/// `x = x + f`, then `x - f`: the factor waits for nothing.
#[inline(always)]
fn multiply_chain<S: Simd>(s: S, rounds: usize) {
    let one = s.splat(black_box(1.0));
    let mut factor = one;
    let mut x = s.splat(black_box(2.0));
    for _ in 0..rounds {
        x = s.fma(factor, one, x);
        factor = s.neg(factor);
    }
    keep(s, x);
}

/// `x = 3 / x` for so many x.
#[inline(always)]
fn divide<S: Simd, const COUNT: usize>(s: S, rounds: usize) {
    let three = s.splat(black_box(3.0));
    let mut x = different::<S, COUNT>(s);
    for _ in 0..rounds {
        for i in 0..COUNT {
            x[i] = s.div(three, x[i]);
        }
    }
    for i in 0..COUNT {
        keep(s, x[i]);
    }
}

/// # Safety
///
/// `numbers` hold a vector.
#[inline(always)]
unsafe fn store_then_load<S: Simd>(s: S, numbers: &mut AlignedBuffer, rounds: usize) {
    let place = numbers.as_mut_ptr();
    let mut x = s.splat(black_box(1.0));
    for _ in 0..rounds {
        // SAFETY: the caller vouches for a vector.
        unsafe {
            s.store(place, x);
            // Whatever the compiler knows of the memory, it knows no longer.
            black_box(place);
            x = s.load_splat(place);
        }
    }
    keep(s, x);
}

/// # Safety
///
/// `numbers` are whole vectors.
#[inline(always)]
unsafe fn read<S: Simd, const STREAMS: usize>(s: S, numbers: &AlignedBuffer, rounds: usize) {
    let stripe = STREAMS * BLOCK;
    let stripes = numbers.len().div_ceil(stripe);
    let mut sums = [s.splat(0.0); INDEPENDENT];
    for round in 0..rounds {
        let numbers: &[f32] = black_box(numbers);
        for visited in 0..stripes {
            let place = if round.is_multiple_of(2) { visited } else { stripes - 1 - visited };
            let numbers = &numbers[place * stripe..];
            let mut starts = [numbers.as_ptr(); STREAMS];
            for stream in 0..STREAMS {
                starts[stream] = starts[stream].wrapping_add(stream * BLOCK);
            }
            // SAFETY: a whole stripe has a block for each stream; what is left of another are whole
            // vectors, for which the caller vouches.
            unsafe {
                if numbers.len() >= stripe {
                    add_all(s, starts, BLOCK, &mut sums);
                } else {
                    add_all(s, [starts[0]], numbers.len(), &mut sums);
                }
            }
        }
    }
    for i in 0..INDEPENDENT {
        keep(s, sums[i]);
    }
}

/// Adds `len` numbers of each stream to the sums, a few vectors of each in turn.
///
/// # Safety
///
/// `len` are whole vectors, and each of `starts` is valid for reading as many numbers, from a
/// multiple of a vector's size on.
#[inline(always)]
unsafe fn add_all<S: Simd, const STREAMS: usize>(
    s: S,
    starts: [*const f32; STREAMS],
    len: usize,
    sums: &mut [S::V; INDEPENDENT],
) {
    let together = INDEPENDENT.min(S::ACCUMULATORS) / STREAMS;
    let mut at = 0;
    while at + together * S::LANES <= len {
        for stream in 0..STREAMS {
            for i in 0..together {
                // SAFETY: the vector ends before `len`, for which the caller vouches.
                let x = unsafe { s.load_aligned(starts[stream].add(at + i * S::LANES)) };
                sums[stream * together + i] = s.add(sums[stream * together + i], x);
            }
        }
        at += together * S::LANES;
    }
    while at < len {
        for stream in 0..STREAMS {
            // SAFETY: whole vectors are left, for which the caller vouches.
            let x = unsafe { s.load_aligned(starts[stream].add(at)) };
            sums[stream] = s.add(sums[stream], x);
        }
        at += S::LANES;
    }
}

/// Vectors of which the compiler knows nothing, not even that they are equal.
#[inline(always)]
fn different<S: Simd, const COUNT: usize>(s: S) -> [S::V; COUNT] {
    let mut vectors = [s.splat(1.0); COUNT];
    let mut start = 1.0;
    for i in 0..COUNT {
        start += 0.125;
        vectors[i] = s.splat(black_box(start));
    }
    vectors
}

/// Makes the compiler believe that a vector is needed.
#[inline(always)]
fn keep<S: Simd>(s: S, x: S::V) {
    let mut numbers = [0.0; MOST_LANES];
    // SAFETY: no level has more lanes.
    unsafe { s.store(numbers.as_mut_ptr(), x) };
    black_box(numbers);
}
