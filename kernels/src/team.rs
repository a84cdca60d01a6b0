//! The meeting point of threads that share work. It spawns nothing: who has threads hands them
//! [`Invitation`]s.
//!
//! 1. The caller works itself from the first moment on. It never waits for a thread that has not come
//!    yet: an invitation that is accepted too late is void.
//! 2. At the end it waits only for those who are at work.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// For how long a thread spins before it gives way to others.
const SPIN: Duration = Duration::from_micros(20);

/// Nobody may come any more.
const CLOSED: usize = 1 << (usize::BITS - 1);
/// A helper has panicked.
const FAILED: usize = 1 << (usize::BITS - 2);
/// Helpers at work.
const PRESENT: usize = FAILED - 1;

/// What all who have an invitation share.
#[derive(Debug)]
struct Shared {
    state: AtomicUsize,
    /// Alive as long as `state` is not closed or somebody is present.
    work: Work,
}

/// A borrowed function whose lifetime is not written down.
struct Work(*const (dyn Fn() + Sync));

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

// SAFETY: the function may be called from any thread, being `Sync`; `Invitation::accept` sees to its
// lifetime.
unsafe impl Send for Work {}
// SAFETY: as above.
unsafe impl Sync for Work {}

/// Lets one thread take part in a [`share`]d work, if it comes in time.
#[derive(Clone, Debug)]
pub struct Invitation(Arc<Shared>);

impl Invitation {
    /// Works, unless the work is over.
    pub fn accept(self) {
        let shared = &*self.0;
        let mut state = shared.state.load(Ordering::Relaxed);
        loop {
            if state & CLOSED != 0 {
                return;
            }
            let next = state + 1;
            match shared.state.compare_exchange_weak(
                state,
                next,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => state = now,
            }
        }
        // SAFETY: this thread is counted as present, which it became before the state was closed, and
        // `Closing` waits for all who are present before the borrow that `share` took ends.
        let work = unsafe { &*shared.work.0 };
        let result = catch_unwind(AssertUnwindSafe(work));
        if result.is_err() {
            shared.state.fetch_or(FAILED, Ordering::Relaxed);
        }
        shared.state.fetch_sub(1, Ordering::Release);
    }
}

/// Closes the work and waits for those who are present, also while a panic unwinds.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_or(CLOSED, Ordering::Relaxed);
        wait_until(|| self.0.state.load(Ordering::Acquire) & PRESENT == 0);
    }
}

/// Does `work` on this thread and on every thread that accepts one of the invitations given to
/// `invite` before this thread is through. It returns when all of them are.
///
/// # Panics
///
/// If a helper did.
pub fn share(invite: impl FnOnce(Invitation), work: &(dyn Fn() + Sync)) {
    #[allow(clippy::disallowed_methods, reason = "there is no other way to drop a lifetime")]
    // SAFETY: only the lifetime changes; `Invitation::accept` calls it only while `Closing`, which
    // this function does not outlive, waits for the call's end.
    let work_of_any_age = unsafe {
        std::mem::transmute::<*const (dyn Fn() + Sync + '_), *const (dyn Fn() + Sync + 'static)>(
            std::ptr::from_ref(work),
        )
    };
    let shared = Arc::new(Shared { state: AtomicUsize::new(0), work: Work(work_of_any_age) });
    let closing = Closing(&shared);
    invite(Invitation(Arc::clone(&shared)));
    work();
    drop(closing);
    if shared.state.load(Ordering::Relaxed) & FAILED != 0 {
        resume_unwind(Box::new("a helper of a shared work panicked"));
    }
}

/// Spins until it is done, giving way to others after a while.
pub fn wait_until(mut done: impl FnMut() -> bool) {
    let mut started = None;
    while !spin(&mut done) {
        if started.get_or_insert_with(Instant::now).elapsed() > SPIN {
            std::thread::yield_now();
        }
    }
}

/// Spins until it is done or `enough` says so; whether it is done.
///
/// It never gives way: on a busy core that would cost more than what it waits for.
pub fn wait_until_or(mut enough: impl FnMut() -> bool, mut done: impl FnMut() -> bool) -> bool {
    while !spin(&mut done) {
        if enough() {
            return done();
        }
    }
    true
}

/// Looks a number of times.
fn spin(done: &mut impl FnMut() -> bool) -> bool {
    for _ in 0..64 {
        if done() {
            return true;
        }
        std::hint::spin_loop();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_comes_in_time_works_once() {
        let calls = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            share(
                |invitation| {
                    for _ in 0..3 {
                        let invitation = invitation.clone();
                        scope.spawn(move || invitation.accept());
                    }
                },
                &|| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    wait_until(|| calls.load(Ordering::Relaxed) == 4);
                },
            );
            assert_eq!(calls.load(Ordering::Relaxed), 4);
        });
    }

    #[test]
    fn who_comes_late_does_nothing() {
        let calls = AtomicUsize::new(0);
        let mut late = None;
        share(|invitation| late = Some(invitation), &|| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        late.expect("an invitation").accept();
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_helpers_panic_is_the_callers() {
        let result = catch_unwind(|| {
            let arrived = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                share(
                    |invitation| {
                        scope.spawn(move || invitation.accept());
                    },
                    &|| {
                        if arrived.fetch_add(1, Ordering::Relaxed) == 1 {
                            panic!("the second to come");
                        }
                        wait_until(|| arrived.load(Ordering::Relaxed) == 2);
                    },
                );
            });
        });
        assert!(result.is_err());
    }
}
