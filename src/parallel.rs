//! Threads: the only file that names rayon.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ritornello_kernels::team;

use crate::Error;

/// The threads that a plan may use.
#[derive(Clone, Debug)]
pub struct Threads {
    count: usize,
    pool: Option<Arc<rayon::ThreadPool>>,
    rest: Arc<Rest>,
}

/// Calls without threads that meet in every step, after one in which a thread did not keep up: cores may be
/// busy for longer than a call. Each time that follows it is twice as many, and half as many after a call in
/// which all of them did.
#[derive(Debug, Default)]
struct Rest {
    /// Still to be done.
    left: AtomicUsize,
    /// The last time.
    last: AtomicUsize,
}

impl Rest {
    /// Of these at most.
    const MOST: usize = 16;
}

impl Threads {
    /// The environment variable that sets the number of threads where the caller does not.
    pub const VARIABLE: &str = "RITORNELLO_THREADS";

    /// The caller's thread alone: nothing is spawned, nothing is locked.
    #[must_use]
    pub fn one() -> Self {
        Self { count: 1, pool: None, rest: Arc::default() }
    }

    /// The caller's thread and, from 2 on, the others in a pool of its own.
    ///
    /// # Errors
    ///
    /// If the count is 0, or the system gives no threads.
    pub fn new(count: usize) -> Result<Self, Error> {
        match count {
            0 => Err(Error::Shape {
                what: "the number of threads".into(),
                expected: "at least 1".into(),
                found: "0".into(),
            }),
            1 => Ok(Self::one()),
            _ => {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(count - 1)
                    .thread_name(|index| format!("ritornello-{index}"))
                    .build()
                    .map_err(|reason| Error::Unsupported {
                        what: format!("a pool of {count} threads"),
                        advice: format!("the system gives none ({reason}); ask for fewer"),
                    })?;
                Ok(Self { count, pool: Some(Arc::new(pool)), rest: Arc::default() })
            }
        }
    }

    /// A pool that the caller has already: as many threads as it has, of which the one that calls
    /// stands in for one.
    #[must_use]
    pub fn of_pool(pool: Arc<rayon::ThreadPool>) -> Self {
        Self { count: pool.current_num_threads(), pool: Some(pool), rest: Arc::default() }
    }

    /// As many as `RITORNELLO_THREADS` says, else one.
    ///
    /// # Errors
    ///
    /// If the variable is no positive number.
    pub fn from_environment() -> Result<Self, Error> {
        let Ok(text) = std::env::var(Self::VARIABLE) else { return Ok(Self::one()) };
        match text.parse() {
            Ok(count) if count > 0 => Self::new(count),
            _ => Err(Error::Shape {
                what: format!("the environment variable {}", Self::VARIABLE),
                expected: "a positive number".into(),
                found: format!("'{text}'"),
            }),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs every task once, on this thread and on as many helpers as come while there are tasks.
    ///
    /// This thread waits for no helper that has not begun a task.
    pub(crate) fn each<T: Send>(&self, tasks: Vec<T>, run: impl Fn(T) + Sync) {
        let helpers = tasks.len().min(self.count) - 1;
        let tasks: Vec<Mutex<Option<T>>> =
            tasks.into_iter().map(|task| Mutex::new(Some(task))).collect();
        let next = AtomicUsize::new(0);
        self.share(helpers, &|| {
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
                task.into_iter().for_each(&run);
            }
        });
    }

    /// Does `work` on this thread, and on helpers that come before this thread is through with it.
    pub(crate) fn share(&self, helpers: usize, work: &(dyn Fn() + Sync)) {
        team::share(
            |invitation| {
                for _ in 0..helpers {
                    let invitation = invitation.clone();
                    self.spawn(move || invitation.accept());
                }
            },
            work,
        );
    }

    /// Whether this call should do without threads that meet in every step.
    pub(crate) fn rests(&self) -> bool {
        let one_less = |rest: usize| rest.checked_sub(1);
        self.rest.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }

    /// Remembers that a thread did not keep up.
    pub(crate) fn rest(&self) {
        let calls = (2 * self.rest.last.load(Ordering::Relaxed)).clamp(1, Rest::MOST);
        self.rest.last.store(calls, Ordering::Relaxed);
        self.rest.left.store(calls, Ordering::Relaxed);
    }

    /// Remembers that all of them did.
    pub(crate) fn kept_up(&self) {
        let last = self.rest.last.load(Ordering::Relaxed);
        if last > 0 {
            self.rest.last.store(last / 2, Ordering::Relaxed);
        }
    }

    /// Gives a helper something to do when it has time.
    pub(crate) fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(pool) = &self.pool {
            pool.spawn(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_for_longer_each_time_a_thread_does_not_keep_up() {
        let threads = Threads::one();
        let rested = || (0..100).take_while(|_| threads.rests()).count();
        assert_eq!(rested(), 0);
        let mut calls = Vec::new();
        for _ in 0..6 {
            threads.rest();
            calls.push(rested());
        }
        assert_eq!(calls, [1, 2, 4, 8, 16, 16]);
        threads.kept_up();
        threads.rest();
        assert_eq!(rested(), 16);
        for _ in 0..5 {
            threads.kept_up();
        }
        threads.rest();
        assert_eq!(rested(), 1);
    }
}
