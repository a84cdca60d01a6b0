//! The loop that is timed of a matrix unit: products of tiles that the nearest cache holds.

use crate::bf16::ALL_PARTS as PARTS;
use crate::buffer::AlignedBuffer;
use crate::matrix_unit::{DEPTH, MatrixUnit, OUTPUTS, ROWS, Tiles, WORDS as TILE};

const VECTORS: usize = 4;
/// Blocks of a dot product: few, so that all tiles are near.
const BLOCKS: usize = 2;
/// Words of tiles of rows, then of weights, then of sums.
const PLACES: [usize; 3] = [BLOCKS * PARTS * TILE, BLOCKS * PARTS * VECTORS * TILE, VECTORS * TILE];
/// Words of all.
pub(super) const WORDS: usize = PLACES[0] + PLACES[1] + PLACES[2];
/// Multiplications and additions of f32 in a round.
pub(super) const OPERATIONS: f64 = (2 * ROWS * VECTORS * OUTPUTS * BLOCKS * DEPTH) as f64;

/// Multiplies all tiles `rounds` times.
///
/// # Safety
///
/// There are [`WORDS`] words.
#[cfg_attr(
    any(test, not(target_arch = "x86_64")),
    allow(dead_code, reason = "the only unit is AMX, of x86-64, which unit tests leave out")
)]
#[inline(always)]
pub(crate) unsafe fn multiply_tiles<U: MatrixUnit>(
    unit: U,
    words: &mut AlignedBuffer,
    rounds: usize,
) {
    debug_assert_eq!(words.len(), WORDS, "words of tiles");
    let rows = words.as_mut_ptr();
    let weights = rows.wrapping_add(PLACES[0]);
    let sums = weights.wrapping_add(PLACES[1]);
    unit.prepare(ROWS);
    for _ in 0..rounds {
        // SAFETY: the caller vouches for the words; the unit is prepared for so many rows.
        unsafe { unit.multiply::<PARTS, VECTORS>(Tiles { rows, weights, blocks: BLOCKS, sums }) };
    }
    unit.release();
}
