//! Memory that is written before it is read: from a cache line on, or where it is large, from a huge page
//! on, of which the system is asked to make it.
//!
//! A stream of weights touches a page every 64 lines; a CPU remembers the places of some thousand pages,
//! and reads ahead of a loop only as far as the page goes.
//!
//! To be seen with `ritornello bench --layer lstm:1024:1024 --batch 16`.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ops::Range;
use std::ptr::NonNull;

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line([f32; Self::LEN]);

impl Line {
    pub(super) const LEN: usize = 16;
    const ZERO: Self = Self([0.0; Self::LEN]);
}

/// Bytes of a huge page.
const HUGE: usize = 2 * 1024 * 1024;

/// Room for some lines.
pub(super) struct Memory {
    start: NonNull<Line>,
    lines: usize,
}

impl Memory {
    /// Room for `lines`, which are not written yet.
    ///
    /// # Panics
    ///
    /// If no memory has so many.
    pub(super) fn of(lines: usize) -> Self {
        let layout = layout(lines);
        if layout.size() == 0 {
            return Self::default();
        }
        // SAFETY: the layout has a size.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout);
        };
        ask_for_huge_pages(start, layout);
        Self { start: start.cast(), lines }
    }

    /// Where the lines are.
    pub(super) fn start(&self) -> *mut Line {
        self.start.as_ptr()
    }

    /// Writes zeros to some lines.
    ///
    /// # Panics
    ///
    /// If there is no room for them.
    pub(super) fn zero(&mut self, lines: Range<usize>) {
        assert!(lines.end <= self.lines, "memory for {} lines, not {}", self.lines, lines.end);
        for line in lines {
            // SAFETY: there is room for the line.
            unsafe { self.start.add(line).write(Line::ZERO) };
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { start: NonNull::dangling(), lines: 0 }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.lines > 0 {
            // SAFETY: it was so allocated.
            unsafe { dealloc(self.start.as_ptr().cast(), layout(self.lines)) };
        }
    }
}

// SAFETY: it owns its lines, which are numbers.
unsafe impl Send for Memory {}

// SAFETY: through a shared reference nobody writes.
unsafe impl Sync for Memory {}

fn layout(lines: usize) -> Layout {
    let layout = Layout::array::<Line>(lines).expect("memory for so many lines");
    let huge = cfg!(target_os = "linux") && layout.size() >= HUGE;
    if huge { layout.align_to(HUGE).expect("memory for so many lines") } else { layout }
}

/// Asks for huge pages where memory is made of whole ones. What does not fill one stays in small pages: it
/// would occupy more than it holds.
#[cfg(target_os = "linux")]
fn ask_for_huge_pages(start: NonNull<u8>, layout: Layout) {
    let whole = layout.size() / HUGE * HUGE;
    if whole > 0 {
        // SAFETY: these are pages of one allocation, which begins on a huge one; the advice changes nothing
        // that can be read. Whether it is taken is only felt.
        unsafe { libc::madvise(start.as_ptr().cast(), whole, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_: NonNull<u8>, _: Layout) {}
