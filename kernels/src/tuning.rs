//! Numbers that decide speed and never a bit, except, on the portable level,
//! [`MATRIXMULTIPLY_WEIGHTS`].

use crate::simd::Simd;

/// The longest part of a dot product that a projection sums before it goes to the next panel.
///
/// To be seen with `ritornello bench --layer lstm:1024:64 --batch 16`.
pub(crate) const KC: usize = 512;

/// Rows of the next tile when `left` are left: 8, 6, 4, 3, 2 or 1, and no more than the accumulators
/// hold of `vectors` each.
///
/// The last two tiles are of much the same height: one of one row would wait for the latency of its few
/// sums.
///
/// To be seen with `cargo bench --bench recurrence -- throughput`.
#[inline(always)]
pub(crate) fn tile_height<S: Simd>(left: usize, vectors: usize) -> usize {
    let tallest = max_rows(S::ACCUMULATORS, vectors);
    let height = match left {
        _ if left <= tallest => left,
        _ if left < 2 * tallest => left.div_ceil(2),
        _ => tallest,
    };
    match height {
        5 if left > 5 && tallest > 5 => 6,
        5 => 3,
        7 if left > 7 && tallest > 7 => 8,
        7 => 4,
        height => height,
    }
}

/// Whether a panel of 4 vectors is too wide for 6 rows on a level with so many accumulators, and half
/// of it is not: rows that sum 2 vectors, then the other 2, read each weight once where they would
/// read it twice.
pub(crate) const fn may_be_parted(accumulators: usize, vectors: usize) -> bool {
    vectors == 4
        && max_rows(accumulators, 4) < ROWS_ENOUGH
        && max_rows(accumulators, 2) >= ROWS_ENOUGH
}

/// Weights of a matrix from which on panels of 4 vectors are so parted: what an L2 does not hold. A
/// row alone reads a panel in one piece a little faster.
///
/// Measured by `ritornello bench --layer lstm:256:256 --batch 4` and likewise for 128, 512 and 1024
/// units, and 1 and 16 rows.
pub(crate) const WEIGHTS_IN_PARTS: usize = 128 * 1024;

/// The distance of rows of states, in cache lines, when they have `lines`.
///
/// Rows whose distance is a multiple of 2 KiB push each other out of the nearest cache.
///
/// Measured by `ritornello bench --layer lstm:1024:1024 --batch 16`.
pub(crate) const fn lines_apart(lines: usize) -> usize {
    if lines.is_multiple_of(32) { lines + 1 } else { lines }
}

/// Sums that hide each other's latency: an addition takes 4 cycles, and two start in each.
///
/// To be seen with `cargo bench --bench recurrence -- stream`.
pub(crate) const SUMS_AT_ONCE: usize = 8;

/// Panels of `vectors` each that a tile of a recurrence takes at once: at most 4 for a row alone, at
/// most 2 for rows together.
///
/// As many as hide the latency of their sums, and fit.
///
/// To be seen with `cargo bench --bench recurrence`, its streams and its throughput.
#[inline(always)]
pub(crate) fn panels_at_once<S: Simd>(vectors: usize, batch: usize) -> usize {
    if batch == 1 {
        return SUMS_AT_ONCE.div_ceil(vectors).min(S::ACCUMULATORS / vectors).clamp(1, 4);
    }
    // Together are 2 rows or more; where there is none, nothing is done with as many panels.
    let sums = batch.min(max_rows(S::ACCUMULATORS, vectors)).clamp(2, ROWS_ENOUGH) * vectors;
    if sums <= SUMS_AT_ONCE && 2 * sums <= S::ACCUMULATORS { 2 } else { 1 }
}

/// Whether the last three panels of 4 vectors, of a row alone, go at once where a tile usually takes 2: their sums
/// fit in two chains each.
///
/// Measured by `ritornello bench --layer lstm:1:40 --time 1000`, against a tile of 2 panels and one of 1; not by
/// cells whose panels have 4 vectors of one gate.
pub(crate) const fn may_be_three(accumulators: usize, vectors: usize) -> bool {
    vectors == 4 && 3 * vectors * 2 <= accumulators
}

/// The highest tile on a level that has so many accumulators.
///
/// To be seen with `cargo bench --bench projection -- throughput`.
pub(crate) const fn max_rows(accumulators: usize, vectors: usize) -> usize {
    match accumulators / vectors {
        0 => 1,
        rows @ 1..MOST_ROWS => rows,
        _ => MOST_ROWS,
    }
}

/// Rows of any tile at most. Taller ones would need more addresses than there are registers for.
///
/// Measured by `ritornello bench --layer gru:512:512 --batch 16`, against 6.
pub(crate) const MOST_ROWS: usize = 8;

/// Rows that share a weight often enough: more accumulators are better spent on other things.
const ROWS_ENOUGH: usize = 6;

/// Rows that a cell's formula takes side by side after a tile, on a level with so many accumulators: with
/// more of them their numbers would wait in memory.
///
/// To be seen with `ritornello bench --layer lstm:128:128 --batch 18`.
pub(crate) const fn finished_at_once(accumulators: usize) -> usize {
    match accumulators {
        0..12 => 1,
        12..24 => 2,
        _ => 4,
    }
}

/// Words of a matrix's weights up to which rows go one by one: the nearest cache holds them beside all else.
///
/// Measured by `ritornello bench --layer lstm:16:32 --batch 16`.
pub(crate) const WEIGHTS_FOR_ROWS_ALONE: usize = 6 * 1024;

/// Words of a matrix's weights from which on a tile of a projection fetches those of the next panel: they
/// have made room for a recurrence's since they were read.
///
/// Measured by `ritornello bench --layer lstm:1024:1024 --batch 16 --time 12` and likewise for 128 units.
pub(crate) const WEIGHTS_TO_FETCH: usize = 96 * 1024;

/// The same of a recurrence, whose weights stay from step to step: what an L2 does not hold. It is larger where
/// vectors are long.
///
/// To be seen with `ritornello bench --layer lstm:256:256 --batch 16` and likewise for 320 units.
pub(crate) const fn state_weights_to_fetch(lanes: usize) -> usize {
    if lanes < 16 { WEIGHTS_TO_FETCH } else { 288 * 1024 }
}

/// Rows from which on it does: fewer are done before the next panel could come, and would only wait.
///
/// Measured by `ritornello bench --layer lstm:256:256 --batch 2` and likewise for 4 and 8 rows.
pub(crate) const ROWS_TO_FETCH: usize = 8;

/// Whether rows may go through a panel's steps some at a time on a level with so many accumulators, if its weights
/// are f32: tiles of 6 rows and long vectors ask an L2 for more than it gives beside what it fetches. Lower levels,
/// tiles of 8 rows, and weights of fewer bytes lose 1 to 4 %.
///
/// Measured by `ritornello bench --layer lstm:512:512 --batch 16 --time 25`, likewise for `gru`, with
/// `RITORNELLO_ISA=avx2`, and with `--precision bf16`.
pub(crate) const fn may_be_near(accumulators: usize, vectors: usize) -> bool {
    vectors == 4 && accumulators >= 24
}

/// Rows up to which they do, if it pays to fetch: more rows use what they read from afar often enough.
///
/// Measured by `ritornello bench --layer lstm:512:512 --batch 16 --time 25` and likewise for 8, 24 and 32 rows.
pub(crate) const ROWS_NEAR: usize = 16;

/// Where the steps end that they go through next, from `start` on: the nearest cache holds the weights of some 64, of
/// the next as many, and what rows have there. Few that are left at the end go with those before.
///
/// Measured by `ritornello bench --layer lstm:1024:1024 --batch 16 --time 12`, against 32, 48, 96 and 128, on a CPU whose
/// nearest cache has 48 KiB.
pub(crate) const fn end_of_steps(start: usize, depth: usize) -> usize {
    const STEPS: usize = 64;
    if depth - start < STEPS + STEPS / 2 { depth } else { start + STEPS }
}

/// Steps of a dot product between two fetches.
///
/// Measured by `ritornello bench --layer lstm:512:512 --batch 16`, against twice as many: lines asked for
/// at once wait for each other.
pub(crate) const FETCH_EVERY: usize = 8;

/// Features of an input from which on a matrix unit does a layer's projection, if tiles may hold its weights: of
/// fewer most of a tile would be zeros.
///
/// Reckoned, not measured, for weights in three parts: 6 products of 16 rows, 16 outputs and 32 features take as
/// long as 192 vector multiply-adds, which do 12 features.
pub(crate) const INPUTS_FOR_UNIT: usize = 16;

/// Features of a state from which on it does the products of each step, if the aim is throughput. Their sums
/// are one chain ([`chains`](crate::contract::chains)), as those of rows that only vectors can do.
///
/// Reckoned, not measured.
pub(crate) const STATES_FOR_UNIT: usize = 65;

/// Rows from which on a matrix unit multiplies bytes, which changes no bit: it takes as long for one row as for 16.
///
/// Reckoned, not measured: a tile of weights takes 16 cycles, and vectors 8 for each row.
pub(crate) const BYTES_FOR_UNIT: usize = 4;

/// Weights from which on the portable level's projection is left to `matrixmultiply`.
///
/// To be seen with `cargo bench --bench projection -- portable`.
pub(crate) const MATRIXMULTIPLY_WEIGHTS: usize = 2048;

/// Rows from here and there that are brought together for a call of `matrixmultiply`.
///
/// Measured by `cargo bench --bench lengths -- portable`.
pub(crate) const ROWS_OF_A_CALL: usize = 64;
