//! Threads: the only file that names rayon.

use std::sync::Arc;

use crate::Error;

/// The threads that a plan may use.
#[derive(Clone, Debug)]
pub struct Threads {
    count: usize,
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Threads {
    /// The environment variable that sets the number of threads where the caller does not.
    pub const VARIABLE: &str = "RITORNELLO_THREADS";

    /// The caller's thread alone: nothing is spawned, nothing is locked.
    #[must_use]
    pub fn one() -> Self {
        Self { count: 1, pool: None }
    }

    /// The caller's thread or, from 2 on, a pool of this many threads of its own.
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
                    .num_threads(count)
                    .thread_name(|index| format!("ritornello-{index}"))
                    .build()
                    .map_err(|reason| Error::Unsupported {
                        what: format!("a pool of {count} threads"),
                        advice: format!("the system gives none ({reason}); ask for fewer"),
                    })?;
                Ok(Self { count, pool: Some(Arc::new(pool)) })
            }
        }
    }

    /// A pool that the caller has already.
    #[must_use]
    pub fn of_pool(pool: Arc<rayon::ThreadPool>) -> Self {
        Self { count: pool.current_num_threads(), pool: Some(pool) }
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

    /// Runs `work` where [`join`] can use the threads.
    pub(crate) fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) if self.count > 1 => pool.install(work),
            _ => work(),
        }
    }
}

/// Does both, at once if `threads` is more than one.
pub(crate) fn join(threads: usize, a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
    if threads > 1 {
        rayon::join(a, b);
    } else {
        a();
        b();
    }
}
