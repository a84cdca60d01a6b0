//! Memory that starts on a cache line.

/// One cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; Self::LEN]);

impl Line {
    const LEN: usize = 16;
    const ZERO: Self = Self([0.0; Self::LEN]);
}

/// Numbers in memory that starts on a cache line, zero at first.
#[derive(Clone, Debug, Default)]
pub struct AlignedBuffer {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBuffer {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        Self { lines: vec![Line::ZERO; len.div_ceil(Line::LEN)], len }
    }

    /// None yet, but memory for `len`.
    ///
    /// What [`grow`](Self::grow) makes of it is touched once, where [`zeroed`](Self::zeroed) and
    /// then writing touches it twice.
    pub(crate) fn with_capacity(len: usize) -> Self {
        Self { lines: Vec::with_capacity(len.div_ceil(Line::LEN)), len: 0 }
    }

    /// Adds `count` zeros at the end and gives them to be written.
    pub(crate) fn grow(&mut self, count: usize) -> &mut [f32] {
        let start = self.len;
        self.len += count;
        self.lines.resize(self.len.div_ceil(Line::LEN), Line::ZERO);
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
        size_of_val(&self.lines[..])
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are arrays of f32 without padding, and there are enough for `len`: `zeroed`
        // and `grow` see to that.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: lines are arrays of f32 without padding, and there are enough for `len`: `zeroed`
        // and `grow` see to that.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
