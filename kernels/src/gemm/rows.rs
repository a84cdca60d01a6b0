//! Rows of states, as a product reads them.

use super::bytes::Quantise;
use super::parts::make_rows;
use super::weights::Written;
use crate::simd::Simd;

/// The rows that are multiplied: `[batch, stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) batch: usize,
    /// What a matrix unit multiplies instead of the numbers.
    pub(crate) made: &'a [f32],
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(crate) fn new(numbers: &'a [f32], stride: usize, batch: usize) -> Self {
        Self { numbers, stride, batch, made: &[] }
    }

    /// The numbers of one row.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        &self.numbers[row * self.stride..][..self.stride]
    }

    /// The rows as weights so written down are multiplied by: as they are, or as bytes or in parts, in `room`.
    #[inline(always)]
    pub(crate) fn as_read<S: Simd, F: Written>(
        self,
        s: S,
        _written: F,
        depth: usize,
        room: &'a mut [f32],
    ) -> Self {
        if const { F::IN_TILES } {
            make_rows::<S, F>(s, self.batch, depth, room, |row| &self.row(row)[..depth]);
            return Self { made: room, ..self };
        }
        if const { !F::BYTES } {
            return self;
        }
        let stride = F::words(depth);
        let rows = self.numbers.chunks(self.stride.max(1)).zip(room.chunks_exact_mut(stride));
        for (from, to) in rows.take(self.batch) {
            s.fenced(Quantise { from: &from[..depth], to });
        }
        let made: &[f32] = room;
        Self { numbers: made, made, stride, ..self }
    }
}
