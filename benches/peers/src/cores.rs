//! Which cores the race runs on, and how many threads everybody may have.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What tells pools their size: rayon's (candle and burn), rten's, OpenMP's (oneDNN and PyTorch).
const POOLS: [&str; 3] = ["RAYON_NUM_THREADS", "RTEN_NUM_THREADS", "OMP_NUM_THREADS"];

/// Starts this program anew if the environment does not yet say how many threads there are: pools
/// read it when they are built, and some libraries ask nobody else.
pub(crate) fn limit_pools(threads: usize) -> Result<(), String> {
    let threads = threads.to_string();
    if POOLS.iter().all(|pool| std::env::var(pool).as_ref() == Ok(&threads)) {
        return Ok(());
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut again = Command::new(program);
    again.args(std::env::args_os().skip(1)).envs(POOLS.map(|pool| (pool, &threads)));
    Err(again.exec().to_string())
}

/// Pins this process, and all that it will start, to the last `threads` cores it may use.
pub(crate) fn pin(threads: usize) -> Result<(), String> {
    let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
    if cores.len() < threads {
        return Err(format!("{threads} threads, but only {} cores", cores.len()));
    }
    let mut chosen = CpuSet::new();
    cores.iter().rev().take(threads).for_each(|&core| chosen.set(core));
    sched_setaffinity(None, &chosen).map_err(|error| error.to_string())
}
