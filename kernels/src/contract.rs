//! The numbers that decide bits, the same on every level.

/// What is smaller than this in magnitude counts as zero, in packed weights and in states: the
/// products of such numbers would be denormal, which costs some CPUs a hundred cycles each.
/// 2⁻⁹⁶.
pub(crate) const TINY: f32 = f32::from_bits((127 - 96) << 23);

/// Zero for numbers too small to count; NaN stays.
pub(crate) const fn flushed(value: f32) -> f32 {
    if value.abs() < TINY { 0.0 } else { value }
}

/// The number of partial sums that a recurrent dot product of `hidden_size` terms is made of.
///
/// Short products wait for the latency of their own additions; several chains wait at once. The
/// number depends on the layer's shape alone, on every level, because it decides bits: chain c sums
/// the terms k ≡ c, chain 0 starting from the projection, and the result is (0 + 1) + (2 + 3).
///
/// To be seen with `cargo bench --bench recurrence -- stream`.
#[must_use]
pub const fn chains(hidden_size: usize) -> usize {
    match hidden_size {
        0..=16 => 4,
        17..=64 => 2,
        _ => 1,
    }
}
