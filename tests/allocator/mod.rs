//! The system's allocator for a test program, which counts what each thread asks of it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a thread has asked for.
#[derive(Clone, Copy)]
struct Counts {
    calls: usize,
    /// Bytes that it holds; negative where it gives back what another has taken.
    held: isize,
    /// The most that it held.
    peak: isize,
}

thread_local! {
    /// Of this thread alone: other tests have threads of their own.
    static COUNTS: Cell<Counts> = const { Cell::new(Counts { calls: 0, held: 0, peak: 0 }) };
}

/// One call that takes some bytes, and then gives some back.
fn count(taken: usize, given_back: usize) {
    // A thread that is ending has no counts any more, and no test either.
    let _ = COUNTS.try_with(|counts| {
        let Counts { calls, held, peak } = counts.get();
        let most = held + taken.cast_signed();
        let held = most - given_back.cast_signed();
        counts.set(Counts { calls: calls + 1, held, peak: peak.max(most) });
    });
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it is. The counts are a thread local
// of a constant without a destructor, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's premises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's premises are the same.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // Both may exist for a moment.
        count(new_size, layout.size());
        // SAFETY: the caller's premises are the same.
        unsafe { System.realloc(memory, layout, new_size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's premises are the same.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` calls the allocator, to take memory or to give it back.
pub(crate) fn calls(work: impl FnOnce()) -> usize {
    let before = COUNTS.get().calls;
    work();
    COUNTS.get().calls - before
}

/// What `work` gives, the bytes it leaves behind and the most it had, both beyond what was before.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, isize, isize) {
    let before = COUNTS.get().held;
    COUNTS.set(Counts { peak: before, ..COUNTS.get() });
    let result = work();
    let Counts { held, peak, .. } = COUNTS.get();
    (result, held - before, peak - before)
}
