//! Where the rows of a view are in memory.

/// One row of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Its step.
    pub time: usize,
    /// Its row of the batch.
    pub batch: usize,
}

/// The lengths and distances of a view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) time: usize,
    pub(super) batch: usize,
    pub(super) features: usize,
    pub(super) time_stride: isize,
    pub(super) batch_stride: isize,
}

impl Layout {
    /// Panics unless all rows lie inside `len` numbers.
    #[inline]
    pub(super) fn new(
        len: usize,
        [time, batch, features]: [usize; 3],
        strides: [usize; 2],
    ) -> Self {
        let [time_stride, batch_stride] = strides.map(|stride| {
            isize::try_from(stride).expect("a stride is no longer than the memory it walks")
        });
        if time > 0 && batch > 0 {
            let last = strides[0]
                .checked_mul(time - 1)
                .zip(strides[1].checked_mul(batch - 1))
                .and_then(|(t, b)| t.checked_add(b)?.checked_add(features));
            assert!(
                last.is_some_and(|last| last <= len),
                "a view of [time={time}, batch={batch}, features={features}] with strides \
                 {strides:?} does not fit into {len} numbers"
            );
        }
        Self { time, batch, features, time_stride, batch_stride }
    }

    /// Whether no two rows overlap: one axis must step over all of the other.
    #[inline]
    pub(super) fn rows_are_apart(&self) -> bool {
        let one = self.time == 1 && self.batch == 1;
        if one || self.time == 0 || self.batch == 0 {
            return true;
        }
        let extent = |count: usize, stride: isize| count.saturating_sub(1) * stride.unsigned_abs();
        let (t, b) = (self.time_stride.unsigned_abs(), self.batch_stride.unsigned_abs());
        let apart = |inner: usize, inner_len: usize, inner_stride: isize, outer: usize| {
            (inner_len <= 1 || inner >= self.features)
                && outer >= extent(inner_len, inner_stride) + self.features
        };
        let time_outside = self.time <= 1 || apart(b, self.batch, self.batch_stride, t);
        let batch_outside = self.batch <= 1 || apart(t, self.time, self.time_stride, b);
        (time_outside && (self.batch <= 1 || b >= self.features))
            || (batch_outside && (self.time <= 1 || t >= self.features))
    }

    #[allow(clippy::cast_possible_wrap, reason = "indices are below lengths of memory")]
    #[inline(always)]
    pub(super) fn offset(&self, time: usize, batch: usize) -> isize {
        debug_assert!(time < self.time, "step {time} of {}", self.time);
        debug_assert!(batch < self.batch, "row {batch} of {}", self.batch);
        time as isize * self.time_stride + batch as isize * self.batch_stride
    }

    /// The offset of a row of the memory, wherever the view is.
    #[allow(clippy::cast_possible_wrap, reason = "indices are below lengths of memory")]
    #[inline(always)]
    pub(super) fn of_pick(&self, Pick { time, batch }: Pick) -> isize {
        time as isize * self.time_stride + batch as isize * self.batch_stride
    }

    #[inline]
    pub(super) fn check_steps(&self, start: usize, end: usize) {
        assert!(start <= end && end <= self.time, "steps {start}..{end} of {}", self.time);
    }

    #[inline]
    pub(super) fn check_rows(&self, start: usize, end: usize) {
        assert!(start <= end && end <= self.batch, "rows {start}..{end} of {}", self.batch);
    }

    /// The offset of step `time`, which may be the one past the last.
    #[allow(clippy::cast_possible_wrap, reason = "indices are below lengths of memory")]
    #[inline]
    pub(super) fn step_offset(&self, time: usize) -> isize {
        if time < self.time { time as isize * self.time_stride } else { 0 }
    }

    /// The offset of row `batch`, which may be the one past the last.
    #[allow(clippy::cast_possible_wrap, reason = "indices are below lengths of memory")]
    #[inline]
    pub(super) fn row_offset(&self, batch: usize) -> isize {
        if batch < self.batch { batch as isize * self.batch_stride } else { 0 }
    }

    #[inline]
    pub(super) fn reversed(self) -> (isize, Self) {
        let offset = self.step_offset(self.time.saturating_sub(1));
        (offset, Self { time_stride: -self.time_stride, ..self })
    }
}
