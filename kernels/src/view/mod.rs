//! Strided views of sequences, and the checked split of one buffer among threads.
//!
//! A sequence is `[time, batch, features]`: rows of `features` numbers that lie one behind the
//! other, at a distance from row to row that the caller chooses. Both orders of time and batch, one
//! direction's half of a concatenation, and time walked backwards are all views of the same memory.
//!
//! Two mutable views made by a split never share a number, which is what lets threads write one
//! buffer at once while the crate above forbids `unsafe`.

mod layout;

use std::marker::PhantomData;

use layout::Layout;
pub use layout::Pick;

/// A sequence `[time, batch, features]` to read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    start: *const f32,
    layout: Layout,
    /// Of a view of one step, which rows of the memory its rows are: those that the layout counts.
    picks: Option<&'a [Pick]>,
    memory: PhantomData<&'a [f32]>,
}

/// A sequence `[time, batch, features]` to write.
#[derive(Debug)]
pub struct ViewMut<'a> {
    start: *mut f32,
    layout: Layout,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: a view is a shared slice with a layout, and slices of f32 may be sent and shared.
unsafe impl Send for View<'_> {}
// SAFETY: as above.
unsafe impl Sync for View<'_> {}
// SAFETY: a mutable view is the only way to the rows it covers, like a mutable slice.
unsafe impl Send for ViewMut<'_> {}
// SAFETY: a shared reference to it only tells lengths.
unsafe impl Sync for ViewMut<'_> {}

impl<'a> View<'a> {
    /// Sees `data` as rows of `shape` = `[time, batch, features]`, `strides` = the distances from
    /// step to step and from batch row to batch row.
    ///
    /// # Panics
    ///
    /// If a row does not lie inside `data`.
    #[must_use]
    #[inline]
    pub fn new(data: &'a [f32], shape: [usize; 3], strides: [usize; 2]) -> Self {
        let layout = Layout::new(data.len(), shape, strides);
        Self { start: data.as_ptr(), layout, picks: None, memory: PhantomData }
    }

    /// Sees `data` as `[time, batch, features]` without gaps.
    ///
    /// # Panics
    ///
    /// If `data` is shorter.
    #[must_use]
    #[inline]
    pub fn time_major(data: &'a [f32], shape: [usize; 3]) -> Self {
        Self::new(data, shape, [shape[1] * shape[2], shape[2]])
    }

    /// Sees `data`, which is `[batch, time, features]` without gaps, as `[time, batch, features]`.
    ///
    /// # Panics
    ///
    /// If `data` is shorter.
    #[must_use]
    #[inline]
    pub fn batch_major(data: &'a [f32], shape: [usize; 3]) -> Self {
        Self::new(data, shape, [shape[2], shape[0] * shape[2]])
    }

    /// The number of steps.
    #[must_use]
    #[inline]
    pub fn time(&self) -> usize {
        self.layout.time
    }

    /// The number of batch rows.
    #[must_use]
    #[inline]
    pub fn batch(&self) -> usize {
        self.layout.batch
    }

    /// The length of a row.
    #[must_use]
    #[inline]
    pub fn features(&self) -> usize {
        self.layout.features
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    #[inline(always)]
    pub fn row(&self, time: usize, batch: usize) -> &'a [f32] {
        assert!(time < self.layout.time && batch < self.layout.batch, "a row of the view");
        // SAFETY: the row exists, and `Layout::new` found that every row lies inside the memory.
        unsafe {
            let start = self.start.offset(self.offset(time, batch));
            std::slice::from_raw_parts(start, self.layout.features)
        }
    }

    /// The start of one row.
    #[inline(always)]
    pub(crate) fn row_start(&self, time: usize, batch: usize) -> *const f32 {
        self.start.wrapping_offset(self.offset(time, batch))
    }

    #[inline(always)]
    fn offset(&self, time: usize, batch: usize) -> isize {
        match self.picks {
            None => self.layout.offset(time, batch),
            Some(picks) => self.layout.of_pick(picks[batch]),
        }
    }

    /// Whether rows are equally far apart.
    #[inline]
    pub(crate) fn is_even(&self) -> bool {
        self.picks.is_none()
    }

    /// Some rows, of any steps and in any order, as the batch of a single step.
    ///
    /// # Panics
    ///
    /// If there is no such row, or this view has been made so itself.
    #[must_use]
    #[inline]
    pub fn picked(self, picks: &'a [Pick]) -> Self {
        assert!(self.picks.is_none(), "rows that are picked already");
        for &Pick { time, batch } in picks {
            let exists = time < self.layout.time && batch < self.layout.batch;
            assert!(exists, "row {batch} of step {time} of {:?}", self.layout);
        }
        let layout = Layout { time: 1, batch: picks.len(), ..self.layout };
        Self { layout, picks: Some(picks), ..self }
    }

    /// The same with the last step first.
    #[must_use]
    #[inline]
    pub fn reversed(self) -> Self {
        if self.picks.is_some() {
            return self;
        }
        let (offset, layout) = self.layout.reversed();
        Self { start: self.start.wrapping_offset(offset), layout, ..self }
    }

    /// Steps `start..end`.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[must_use]
    #[inline]
    pub fn steps(self, start: usize, end: usize) -> Self {
        self.layout.check_steps(start, end);
        let offset = if self.picks.is_some() { 0 } else { self.layout.step_offset(start) };
        let layout = Layout { time: end - start, ..self.layout };
        Self { start: self.start.wrapping_offset(offset), layout, ..self }
    }

    /// Batch rows `start..end`.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[must_use]
    #[inline]
    pub fn rows(self, start: usize, end: usize) -> Self {
        self.layout.check_rows(start, end);
        let layout = Layout { batch: end - start, ..self.layout };
        if let Some(picks) = self.picks {
            return Self { layout, picks: Some(&picks[start..end]), ..self };
        }
        let offset = self.layout.row_offset(start);
        Self { start: self.start.wrapping_offset(offset), layout, ..self }
    }

    /// Features `start..end` of every row.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[must_use]
    #[inline]
    pub fn columns(self, start: usize, end: usize) -> Self {
        let features = self.layout.features;
        assert!(start <= end && end <= features, "features {start}..{end} of {features}");
        let layout = Layout { features: end - start, ..self.layout };
        Self { start: self.start.wrapping_add(start), layout, ..self }
    }
}

impl<'a> ViewMut<'a> {
    /// Sees `data` as rows of `shape` = `[time, batch, features]`, `strides` = the distances from
    /// step to step and from batch row to batch row.
    ///
    /// # Panics
    ///
    /// If a row does not lie inside `data`, or two rows overlap.
    #[must_use]
    #[inline]
    pub fn new(data: &'a mut [f32], shape: [usize; 3], strides: [usize; 2]) -> Self {
        let layout = Layout::new(data.len(), shape, strides);
        assert!(layout.rows_are_apart(), "rows of {shape:?} overlap with strides {strides:?}");
        Self { start: data.as_mut_ptr(), layout, memory: PhantomData }
    }

    /// Sees `data` as `[time, batch, features]` without gaps.
    ///
    /// # Panics
    ///
    /// If `data` is shorter.
    #[must_use]
    #[inline]
    pub fn time_major(data: &'a mut [f32], shape: [usize; 3]) -> Self {
        Self::new(data, shape, [shape[1] * shape[2], shape[2]])
    }

    /// Sees `data`, which is `[batch, time, features]` without gaps, as `[time, batch, features]`.
    ///
    /// # Panics
    ///
    /// If `data` is shorter.
    #[must_use]
    #[inline]
    pub fn batch_major(data: &'a mut [f32], shape: [usize; 3]) -> Self {
        Self::new(data, shape, [shape[2], shape[0] * shape[2]])
    }

    /// The number of steps.
    #[must_use]
    #[inline]
    pub fn time(&self) -> usize {
        self.layout.time
    }

    /// The number of batch rows.
    #[must_use]
    #[inline]
    pub fn batch(&self) -> usize {
        self.layout.batch
    }

    /// The length of a row.
    #[must_use]
    #[inline]
    pub fn features(&self) -> usize {
        self.layout.features
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    #[inline(always)]
    pub fn row_mut(&mut self, time: usize, batch: usize) -> &mut [f32] {
        assert!(time < self.layout.time && batch < self.layout.batch, "a row of the view");
        // SAFETY: the row exists, `Layout::new` found that every row lies inside the memory, and
        // this view is the only way to it.
        unsafe {
            let start = self.start.offset(self.layout.offset(time, batch));
            std::slice::from_raw_parts_mut(start, self.layout.features)
        }
    }

    /// Whether the rows of a step are `width` long and lie one behind the other.
    #[inline]
    pub(crate) fn is_whole(&self, width: usize) -> bool {
        let Layout { features, batch_stride, .. } = self.layout;
        features == width && batch_stride.unsigned_abs() == width && batch_stride >= 0
    }

    /// The start of one row.
    #[inline(always)]
    pub(crate) fn row_start(&mut self, time: usize, batch: usize) -> *mut f32 {
        self.start.wrapping_offset(self.layout.offset(time, batch))
    }

    /// The same view for a shorter time.
    #[must_use]
    #[inline]
    pub fn reborrow(&mut self) -> ViewMut<'_> {
        ViewMut { start: self.start, layout: self.layout, memory: PhantomData }
    }

    /// The same rows to read.
    #[must_use]
    #[inline]
    pub fn as_view(&self) -> View<'_> {
        View { start: self.start, layout: self.layout, picks: None, memory: PhantomData }
    }

    /// The same with the last step first.
    #[must_use]
    #[inline]
    pub fn reversed(self) -> Self {
        let (offset, layout) = self.layout.reversed();
        Self { start: self.start.wrapping_offset(offset), layout, ..self }
    }

    /// Steps `start..end`.
    ///
    /// # Panics
    ///
    /// If there are fewer.
    #[must_use]
    #[inline]
    pub fn steps(self, start: usize, end: usize) -> Self {
        self.layout.check_steps(start, end);
        let offset = self.layout.step_offset(start);
        let layout = Layout { time: end - start, ..self.layout };
        Self { start: self.start.wrapping_offset(offset), layout, ..self }
    }

    /// Steps `0..at`, and the others.
    ///
    /// # Panics
    ///
    /// If there are fewer than `at`.
    #[must_use]
    #[inline]
    pub fn split_steps(self, at: usize) -> (Self, Self) {
        self.layout.check_steps(at, self.layout.time);
        let offset = self.layout.step_offset(at);
        let head = Layout { time: at, ..self.layout };
        let tail = Layout { time: self.layout.time - at, ..self.layout };
        let tail_start = self.start.wrapping_offset(offset);
        // Rows do not overlap (`new`), so no number belongs to both.
        (
            Self { start: self.start, layout: head, memory: PhantomData },
            Self { start: tail_start, layout: tail, memory: PhantomData },
        )
    }

    /// Batch rows `0..at`, and the others.
    ///
    /// # Panics
    ///
    /// If there are fewer than `at`.
    #[must_use]
    #[inline]
    pub fn split_rows(self, at: usize) -> (Self, Self) {
        self.layout.check_rows(at, self.layout.batch);
        let offset = self.layout.row_offset(at);
        let head = Layout { batch: at, ..self.layout };
        let tail = Layout { batch: self.layout.batch - at, ..self.layout };
        let tail_start = self.start.wrapping_offset(offset);
        // Rows do not overlap (`new`), so no number belongs to both.
        (
            Self { start: self.start, layout: head, memory: PhantomData },
            Self { start: tail_start, layout: tail, memory: PhantomData },
        )
    }

    /// Features `0..at` of every row, and the others.
    ///
    /// # Panics
    ///
    /// If there are fewer than `at`.
    #[must_use]
    #[inline]
    pub fn split_columns(self, at: usize) -> (Self, Self) {
        let features = self.layout.features;
        assert!(at <= features, "features {at}.. of {features}");
        let head = Layout { features: at, ..self.layout };
        let tail = Layout { features: features - at, ..self.layout };
        let tail_start = self.start.wrapping_add(at);
        // Rows do not overlap (`new`), so no number belongs to both.
        (
            Self { start: self.start, layout: head, memory: PhantomData },
            Self { start: tail_start, layout: tail, memory: PhantomData },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_where_the_strides_say() {
        let data: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let view = View::batch_major(&data, [3, 2, 4]);
        assert_eq!(view.row(2, 1), &data[20..24]);
        assert_eq!(view.reversed().row(0, 0), &data[8..12]);
        assert_eq!(view.steps(1, 3).reversed().row(1, 1), &data[16..20]);
        assert_eq!(view.columns(1, 3).rows(1, 2).row(0, 0), &data[13..15]);
        let view = View::time_major(&data, [3, 2, 4]);
        assert_eq!(view.row(2, 1), &data[20..24]);
        assert_eq!(view.row(1, 0), &data[8..12]);
    }

    #[test]
    fn picked_rows_are_a_batch_in_their_order() {
        let data: Vec<f32> = (0..24_u8).map(f32::from).collect();
        let picks = [(2, 1), (0, 0), (2, 0)].map(|(time, batch)| Pick { time, batch });
        let view = View::batch_major(&data, [3, 2, 4]).picked(&picks);
        assert_eq!((view.time(), view.batch(), view.features()), (1, 3, 4));
        assert_eq!(view.row(0, 0), &data[20..24]);
        assert_eq!(view.reversed().row(0, 1), &data[0..4]);
        assert_eq!(view.rows(1, 3).steps(0, 1).columns(1, 2).row(0, 1), &data[9..10]);
    }

    #[test]
    #[should_panic(expected = "row 2 of step 0")]
    fn rows_that_are_not_there_cannot_be_picked() {
        let _ = View::new(&[0.0; 24], [3, 2, 4], [8, 4]).picked(&[Pick { time: 0, batch: 2 }]);
    }

    #[test]
    fn splits_share_no_number() {
        let mut data = vec![0.0; 24];
        let view = ViewMut::batch_major(&mut data, [3, 2, 4]);
        let (left, right) = view.split_columns(1);
        let (mut a, mut b) = right.split_rows(1);
        let mut left = left.reversed();
        for t in 0..3 {
            left.row_mut(t, 0).fill(1.0);
            left.row_mut(t, 1).fill(1.0);
            a.row_mut(t, 0).fill(2.0);
            b.row_mut(t, 0).fill(3.0);
        }
        let rows = |x: f32| [1.0, x, x, x].repeat(3);
        assert_eq!(data, [rows(2.0), rows(3.0)].concat());
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn memory_that_is_too_short_is_refused() {
        let _ = View::new(&[0.0; 23], [3, 2, 4], [8, 4]);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn rows_that_overlap_are_refused() {
        let _ = ViewMut::new(&mut [0.0; 64], [3, 2, 4], [7, 4]);
    }

    #[test]
    fn an_empty_view_splits() {
        let (a, b) = ViewMut::time_major(&mut [], [0, 3, 4]).split_rows(3);
        assert_eq!((a.batch(), b.batch(), b.time()), (3, 0, 0));
    }
}
