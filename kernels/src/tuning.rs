//! Numbers that decide speed and never a bit, except, on the portable level,
//! [`MATRIXMULTIPLY_WEIGHTS`].

use crate::simd::Simd;

/// The longest part of a dot product that a projection sums before it goes to the next panel.
///
/// To be seen with `ritornello bench --layer lstm:1024:64 --batch 16`.
pub(crate) const KC: usize = 512;

/// Rows of the next tile when `left` are left: 6, 4, 3, 2 or 1, and no more than the accumulators
/// hold of `vectors` each.
///
/// Rows are shared out evenly: a tile of one row would wait for the latency of its few sums.
///
/// To be seen with `cargo bench --bench recurrence -- throughput`.
#[inline(always)]
pub(crate) fn tile_height<S: Simd>(left: usize, vectors: usize) -> usize {
    let tiles = left.div_ceil(max_rows(S::ACCUMULATORS, vectors));
    let height = left.div_ceil(tiles);
    if height == 5 { 3 } else { height }
}

/// Sums that hide each other's latency: an addition takes 4 cycles, and two start in each.
///
/// To be seen with `cargo bench --bench recurrence -- stream`.
pub(crate) const SUMS_AT_ONCE: usize = 8;

/// Panels of `vectors` each that a tile of a recurrence takes at once, at most 4.
///
/// A row alone takes as many as hide the latency of its sums, rows together as many as fit.
///
/// To be seen with `cargo bench --bench recurrence`, its streams and its throughput.
#[inline(always)]
pub(crate) fn panels_at_once<S: Simd>(vectors: usize, batch: usize) -> usize {
    let rows = batch.clamp(1, max_rows(S::ACCUMULATORS, vectors));
    let fit = S::ACCUMULATORS / (rows * vectors);
    let hide = SUMS_AT_ONCE.div_ceil(vectors);
    (if batch == 1 { hide.min(fit) } else { fit }).clamp(1, 4)
}

/// The highest tile on a level that has so many accumulators.
///
/// To be seen with `cargo bench --bench projection -- throughput`.
#[inline(always)]
pub(crate) fn max_rows(accumulators: usize, vectors: usize) -> usize {
    (accumulators / vectors).clamp(1, 6)
}

/// Weights of a matrix up to which rows go one by one: the nearest cache holds them beside all else.
///
/// Measured by `ritornello bench --layer lstm:16:32 --batch 16`.
pub(crate) const WEIGHTS_FOR_ROWS_ALONE: usize = 6 * 1024;

/// Weights of a matrix from which on a tile fetches those of the next panel: what an L2 does not hold.
///
/// Fetching was measured by `ritornello bench --layer lstm:1024:1024 --batch 16 --time 12`.
pub(crate) const WEIGHTS_TO_FETCH: usize = 64 * 1024;

/// Rows from which on it does: fewer are done before the next panel could come, and would only wait.
///
/// Measured by `ritornello bench --layer lstm:256:256 --batch 2` and likewise for 4 and 8 rows.
pub(crate) const ROWS_TO_FETCH: usize = 8;

/// Steps of a dot product between two fetches.
///
/// To be seen with `ritornello bench --layer lstm:512:512 --batch 16`.
pub(crate) const FETCH_EVERY: usize = 16;

/// Weights from which on the portable level's projection is left to `matrixmultiply`.
///
/// To be seen with `cargo bench --bench projection -- portable`.
pub(crate) const MATRIXMULTIPLY_WEIGHTS: usize = 2048;

/// Rows from here and there that are brought together for a call of `matrixmultiply`.
///
/// Measured by `cargo bench --bench lengths -- portable`.
pub(crate) const ROWS_OF_A_CALL: usize = 64;
