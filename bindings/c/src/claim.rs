//! What one thread has at a time, and who comes second is sent away instead of waiting.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::failure::refuse;
use crate::status::Status;

const FREE: u8 = 0;
const TAKEN: u8 = 1;
/// A thread panicked while it had it.
const BROKEN: u8 = 2;

/// Something with a flag that says whether it is in use.
pub(crate) struct Claim<T> {
    flag: AtomicU8,
    inner: UnsafeCell<T>,
}

// SAFETY: `claim` gives the inner value to one thread at a time, which it is then sent to.
unsafe impl<T: Send> Sync for Claim<T> {}

/// The right to use it, until it is dropped.
pub(crate) struct Claimed<'a, T> {
    claim: &'a Claim<T>,
}

impl<T> Claim<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { flag: AtomicU8::new(FREE), inner: UnsafeCell::new(inner) }
    }

    /// Takes it if nobody has it. It never waits.
    pub(crate) fn claim(&self) -> Result<Claimed<'_, T>, Status> {
        match self.flag.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Claimed { claim: self }),
            Err(BROKEN) => Err(refuse(
                Status::RitPanic,
                format_args!("an earlier call with this session ended in a fault; make another"),
            )),
            Err(_) => Err(refuse(
                Status::RitBusy,
                format_args!(
                    "another thread is inside a call with this session; a session is one stream: \
                     give each thread its own"
                ),
            )),
        }
    }
}

impl<T> std::ops::Deref for Claimed<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the flag is set, and only this claim was given for it.
        unsafe { &*self.claim.inner.get() }
    }
}

impl<T> std::ops::DerefMut for Claimed<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.claim.inner.get() }
    }
}

impl<T> Drop for Claimed<'_, T> {
    fn drop(&mut self) {
        let flag = if std::thread::panicking() { BROKEN } else { FREE };
        self.claim.flag.store(flag, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::guard;

    #[test]
    fn one_at_a_time_and_none_after_a_panic() {
        let claim = Claim::new(1);
        let mut first = claim.claim().expect("nobody has it");
        *first += 1;
        assert_eq!(claim.claim().err(), Some(Status::RitBusy));
        drop(first);
        assert_eq!(claim.claim().map(|claimed| *claimed), Ok(2));
        let status = guard(|| {
            let _claimed = claim.claim()?;
            panic!("in the middle");
        });
        assert_eq!(status, Status::RitPanic);
        assert_eq!(claim.claim().err(), Some(Status::RitPanic));
    }
}
