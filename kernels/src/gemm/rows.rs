//! Rows of states, as a product reads them.

use super::bytes::Quantise;
use super::weights::Written;
use crate::simd::Simd;

/// The rows that are multiplied: `[batch, stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) batch: usize,
}

impl<'a> Rows<'a> {
    /// The rows as weights so written down are multiplied by: as they are, or as bytes, in `room`.
    #[inline(always)]
    pub(crate) fn as_read<S: Simd, F: Written>(
        self,
        s: S,
        _written: F,
        depth: usize,
        room: &'a mut [f32],
    ) -> Self {
        if const { !F::BYTES } {
            return self;
        }
        let stride = F::words(depth);
        let rows = self.numbers.chunks(self.stride.max(1)).zip(room.chunks_exact_mut(stride));
        for (from, to) in rows.take(self.batch) {
            s.fenced(Quantise { from: &from[..depth], to });
        }
        Self { numbers: room, stride, batch: self.batch }
    }
}
