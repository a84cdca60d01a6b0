//! From rows of a matrix to the columns of a part of a panel, some at a time.

use std::ops::Range;

use super::{MatrixSource, PanelLayout};
use crate::buffer::AlignedBuffer;
use crate::contract::flushed;

/// Columns of the matrix that are packed at once: what is written of them is still in the cache when
/// the next vector is, and what is read comes in runs of several lines.
pub(super) const BLOCK: usize = 128;

/// Rows of the matrix that are turned at once.
const STRIP: usize = 8;

/// Packs columns `block` of the matrix rows that belong to a part of a panel, at the end of `weights`.
pub(super) fn pack_block(
    source: MatrixSource<'_>,
    weights: &mut AlignedBuffer,
    layout: &PanelLayout,
    (panel, vectors): (usize, Range<usize>),
    block: Range<usize>,
) {
    let lanes = layout.registers.lanes;
    let width = vectors.len() * lanes;
    let to = weights.grow(block.len() * width);
    let mut strip = [[0.0; BLOCK]; STRIP];
    for (place, vector) in vectors.enumerate() {
        let rows = layout.source_rows(panel, vector);
        for first in rows.clone().step_by(STRIP) {
            let column = place * lanes + first - rows.start;
            let height = STRIP.min(rows.end - first);
            for (row, strip) in (first..first + height).zip(&mut strip) {
                let from = &source.weights[row * source.depth..][block.clone()];
                copy_flushed(strip, from);
            }
            turn(&strip, height, &mut to[column..], width);
        }
    }
}

/// Writes column k of a strip, `height` long, to `to[k * width..]`, for as many k as there is room.
fn turn(strip: &[[f32; BLOCK]; STRIP], height: usize, to: &mut [f32], width: usize) {
    for (k, to) in (0..BLOCK).zip(to.chunks_mut(width)) {
        match to.first_chunk_mut::<STRIP>() {
            Some(to) if height == STRIP => *to = std::array::from_fn(|row| strip[row][k]),
            _ => to.iter_mut().zip(&strip[..height]).for_each(|(to, row)| *to = row[k]),
        }
    }
}

/// Copies numbers, as many as there are, and makes those too small to count zero.
pub(super) fn copy_flushed(to: &mut [f32], from: &[f32]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = flushed(from);
    }
}
