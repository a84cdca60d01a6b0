//! Which cores the race runs on.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Pins this process, and all that it will start, to the last `threads` cores it may use; pools
/// that ask how many cores there are get this number.
pub(crate) fn pin(threads: usize) -> Result<(), String> {
    let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    if cores.len() < threads {
        return Err(format!("{threads} threads, but only {} cores", cores.len()));
    }
    let mut chosen = CpuSet::new();
    cores.iter().rev().take(threads).for_each(|&core| chosen.set(core));
    sched_setaffinity(None, &chosen).map_err(|error| error.to_string())?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|error| error.to_string())
}
