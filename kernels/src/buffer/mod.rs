//! Numbers in memory that starts on a cache line.

mod memory;

use std::fmt;

use self::memory::{Line, Memory};

/// Numbers in memory that starts on a cache line, zero at first.
#[derive(Default)]
pub struct AlignedBuffer {
    /// Of which those lines are written that `len` numbers take.
    memory: Memory,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut buffer = Self::with_capacity(len);
        buffer.grow(len);
        buffer
    }

    /// None yet, but memory for `len`.
    ///
    /// What [`grow`](Self::grow) makes of it is touched once, where [`zeroed`](Self::zeroed) and
    /// then writing touches it twice.
    pub(crate) fn with_capacity(len: usize) -> Self {
        Self { memory: Memory::of(len.div_ceil(Line::LEN)), len: 0 }
    }

    /// Adds `count` zeros at the end, for which there is memory, and gives them to be written.
    pub(crate) fn grow(&mut self, count: usize) -> &mut [f32] {
        let start = self.len;
        let written = start.div_ceil(Line::LEN);
        self.len += count;
        self.memory.zero(written..self.len.div_ceil(Line::LEN));
        &mut self[start..]
    }

    /// How many numbers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.len.div_ceil(Line::LEN) * size_of::<Line>()
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are arrays of f32 without padding, and those of `len` numbers are written: `grow`
        // sees to that.
        unsafe { std::slice::from_raw_parts(self.memory.start().cast(), self.len) }
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as for `deref`.
        unsafe { std::slice::from_raw_parts_mut(self.memory.start().cast(), self.len) }
    }
}

impl Clone for AlignedBuffer {
    fn clone(&self) -> Self {
        let mut copy = Self::with_capacity(self.len);
        copy.grow(self.len).copy_from_slice(self);
        copy
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_by_zeros_and_keeps_the_rest() {
        let mut buffer = AlignedBuffer::with_capacity(40);
        for count in [0, 3, 20, 1, 16] {
            let (before, new) = (buffer.to_vec(), buffer.grow(count));
            assert_eq!(new, vec![0.0; count]);
            new.fill(7.0);
            assert_eq!(buffer[..before.len()], before);
        }
        assert_eq!((buffer.len(), buffer.bytes()), (40, 3 * 64));
        assert_eq!(buffer.clone()[..], buffer[..]);
        assert_eq!(AlignedBuffer::default()[..], []);
    }

    #[test]
    #[should_panic(expected = "memory for 3 lines")]
    fn grows_no_further_than_its_memory() {
        AlignedBuffer::with_capacity(48).grow(49);
    }

    #[test]
    fn large_memory_is_as_usable() {
        let len = 3 * 1024 * 1024 + 5;
        let mut buffer = AlignedBuffer::zeroed(len);
        assert!(buffer.iter().all(|&number| number == 0.0));
        buffer.fill(1.0);
        assert_eq!(buffer.clone().iter().filter(|&&number| number == 1.0).count(), len);
    }
}
