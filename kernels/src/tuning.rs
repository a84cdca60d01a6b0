//! Numbers that decide speed and never a bit, except [`chains`], which is part of the numerics.

use crate::simd::Simd;

/// The longest part of a dot product that a projection sums before it goes to the next panel.
pub(crate) const KC: usize = 512;

/// Rows of the next tile when `left` are left: 6, 4, 3, 2 or 1, as many as the accumulators hold of
/// `vectors` each.
#[inline(always)]
pub(crate) fn tile_height<S: Simd>(left: usize, vectors: usize) -> usize {
    let most = left.min(max_rows(S::ACCUMULATORS, vectors));
    if most == 5 { 4 } else { most }
}

/// The highest tile on a level that has so many accumulators.
#[inline(always)]
pub(crate) fn max_rows(accumulators: usize, vectors: usize) -> usize {
    (accumulators / vectors).clamp(1, 6)
}

/// Weights from which on the portable level's projection is left to `matrixmultiply`.
pub(crate) const MATRIXMULTIPLY_WEIGHTS: usize = 2048;

/// The number of partial sums that a recurrent dot product of `hidden_size` terms is made of.
///
/// Short products wait for the latency of their own additions; several chains wait at once. The
/// number depends on the layer's shape alone, on every level, because it decides bits: chain c sums
/// the terms k ≡ c, chain 0 starting from the projection, and the result is (0 + 1) + (2 + 3).
#[must_use]
pub fn chains(hidden_size: usize) -> usize {
    match hidden_size {
        0..=16 => 4,
        17..=64 => 2,
        _ => 1,
    }
}
