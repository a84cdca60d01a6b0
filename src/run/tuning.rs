//! Numbers that decide how a run is cut and shared, and never a bit.
//!
//! `CHUNK_ROWS`, `MIN_STEP_TO_SHARE_UNITS`, `SHARED_STEPS`, what is said of large cells, and the two patiences were
//! chosen by `ritornello bench`, with one thread and two in turns, the latter also beside busy processes. The others are
//! reckoned.

use std::time::Duration;

/// Numbers of pre-activations that a chunk of time may fill: they shall stay in the nearest caches
/// until the recurrence has used them.
///
/// To be seen with `ritornello bench --layer lstm:16:32 --time 1000`.
pub(crate) const CHUNK_NUMBERS: usize = 64 * 1024;

/// Rows of pre-activations that a chunk has at least, whatever they fill: the projection reads all its
/// weights for each chunk. Whole tiles of 6 and of 8 rows.
///
/// To be seen with `ritornello bench --layer lstm:1024:1024 --batch 64 --time 25`.
pub(crate) const CHUNK_ROWS: usize = 144;

/// Rows of a stream pool that a thread runs at once: their states and pre-activations shall stay in
/// the nearest caches, and all weights are read for each block.
///
/// To be seen with `cargo bench --bench streams`.
pub(crate) const BLOCK_ROWS: usize = 128;

/// Multiplications of a thread below which its help costs more than it brings.
///
/// To be seen with `ritornello bench --layer lstm:16:32:bidirectional --time 250 --threads 2`.
pub(crate) const MIN_WORK_PER_TASK: usize = 1_500_000;

/// Rows that a part of a batch should have: fewer read all weights for too little.
///
/// To be seen with `ritornello bench --layer lstm:256:256 --batch 8 --threads 2`.
pub(crate) const MIN_ROWS_PER_TASK: usize = 4;

/// Rows below which threads share the units of a cell with many weights of f32: each is read once.
///
/// Measured by `ritornello bench --layer lstm:1024:1024 --batch 24 --threads 2` and likewise for 32 rows; not by
/// `--precision bf16` or `int8`, of whose weights caches hold more.
pub(crate) const ROWS_TO_SHARE_LARGE_CELL: usize = 32;

/// Weights of a recurrence that are many: a core's own cache does not hold them.
///
/// Measured by `ritornello bench --layer lstm:384:384 --batch 16 --threads 2` and likewise for 256, 448 and 512 units, on
/// cores with 2 MiB of their own.
pub(crate) const WEIGHTS_OF_LARGE_CELL: usize = 512 * 1024;

/// Multiplications of a step from which on units are shared: a step ends with a meeting.
///
/// To be seen with `ritornello bench --layer lstm:112:112 --threads 2`.
pub(crate) const MIN_STEP_TO_SHARE_UNITS: usize = 50_000;

/// Steps from which on they are.
///
/// To be seen with `ritornello bench --layer lstm:512:512 --time 16 --threads 2`.
pub(crate) const MIN_STEPS_TO_SHARE_UNITS: usize = 16;

/// Chunks that a sequence is cut into: the first and the last of them are done by one thread alone.
///
/// To be seen with `ritornello bench --layer lstm:64:64:layers=4 --time 200 --threads 2`.
pub(crate) const WAVE_CHUNKS: usize = 12;

/// Steps that are shared at once, at most: each time the projection reads its weights, which take the place of
/// the recurrence's in a thread's own cache. A helper that is put aside costs as many steps.
///
/// Measured by `ritornello bench --layer lstm:512:512 --time 50 --threads 2` and likewise for 384 units.
pub(crate) const SHARED_STEPS: usize = 64;

/// Steps that are done alone before the leader looks again whether somebody has come.
///
/// To be seen with `ritornello bench --layer lstm:512:512 --time 50 --threads 2`, on busy cores.
pub(crate) const STEPS_ALONE: usize = 8;

/// For how long the leader waits for a helper at least, in a step and before a shared chunk.
///
/// To be seen with `ritornello bench --layer lstm:512:512 --time 50 --threads 2`, on busy cores.
pub(crate) const STEP_PATIENCE: Duration = Duration::from_micros(50);

/// For how long it waits at first: the system may have to wake a thread.
///
/// To be seen with `ritornello bench --layer lstm:512:512 --time 50 --threads 2`.
pub(crate) const FIRST_PATIENCE: Duration = Duration::from_micros(100);
