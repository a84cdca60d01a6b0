//! Stacked layers at once: a layer begins a chunk of time as soon as the one below has finished it.
//!
//! ```text
//! time      0       1       2       3
//! layer 0   chunk 0 chunk 1 chunk 2 chunk 3
//! layer 1           chunk 0 chunk 1 chunk 2
//! layer 2                   chunk 0 chunk 1
//! ```
//!
//! Whoever has time takes the next chunk of the highest layer that can go on. A layer's states are
//! locked while somebody works on it, a chunk of its output while it is written or read; nobody ever
//! waits for a lock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ritornello_kernels::team::wait_until;
use ritornello_kernels::{View, ViewMut};

use super::frame::{Frame, Taken};
use super::recurrent::{Sharing, Walk, give_states, load_given_states, sharing};
use super::scratch::{TaskScratch, chunk_steps};
use super::state::LayerState;
use super::tuning::{MIN_WORK_PER_TASK, WAVE_CHUNKS};
use crate::model::Port;
use crate::plan::{RecurrentStage, Stage};

/// One layer on its way.
struct Layer<'a> {
    walk: Mutex<Walk<'a>>,
    /// Its output, chunk by chunk; empty where nobody wants it.
    output: Vec<Mutex<ViewMut<'a>>>,
    /// Chunks done.
    done: AtomicUsize,
}

/// Runs recurrent layers of which each is the input of the next.
pub(crate) fn run(
    frame: &mut Frame<'_, '_>,
    stages: &[Stage],
    states: &mut [LayerState],
    tasks: &mut [TaskScratch],
) {
    let layers: Vec<(&Stage, &RecurrentStage)> =
        stages.iter().filter_map(|stage| Some((stage, stage.as_recurrent()?))).collect();
    let states = &mut states[layers[0].1.state..][..layers.len()];
    for ((stage, layer), state) in layers.iter().zip(&mut *states) {
        load_given_states(frame, stage, layer, state);
    }
    let mut taken: Vec<Option<(usize, Taken<'_>)>> = layers
        .iter()
        .map(|(stage, _)| stage.outputs[Port::Main.index()].map(|value| (value, frame.take(value))))
        .collect();
    walk_all(frame, &layers, states, &mut taken, tasks);
    for (_, memory) in taken.into_iter().flatten() {
        frame.put(memory);
    }
    for ((stage, layer), state) in layers.iter().zip(states) {
        give_states(frame, stage, layer, state);
    }
}

fn walk_all<'b>(
    frame: &Frame<'_, 'b>,
    layers: &[(&Stage, &RecurrentStage)],
    states: &mut [LayerState],
    taken: &mut [Option<(usize, Taken<'b>)>],
    tasks: &mut [TaskScratch],
) {
    let input = frame.view(layers[0].0.inputs[0]);
    let (time, batch) = (input.time(), input.batch());
    let width = |layer: &RecurrentStage| layer.cells[0].projection_width();
    let widest = layers.iter().map(|(_, layer)| width(layer)).max().unwrap_or(0);
    let chunk = time.div_ceil(WAVE_CHUNKS).min(chunk_steps(batch, widest)).max(1);
    let chunks = time.div_ceil(chunk);
    let mut wave = Vec::with_capacity(layers.len());
    for (((_, layer), state), taken) in layers.iter().zip(states).zip(taken) {
        let output = taken.as_mut().map(|(value, memory)| frame.view_mut(*value, memory));
        wave.push(Layer {
            walk: Mutex::new(Walk {
                kernels: frame.plan.kernels,
                cell: &layer.cells[0],
                // Every chunk has its own.
                input,
                output: None,
                hidden: state.hidden.split_direction(batch).0,
                cell_state: state.cell.split_direction(batch).0,
            }),
            output: output.map_or_else(Vec::new, |output| cut(output, chunk)),
            done: AtomicUsize::new(0),
        });
    }
    let failed = AtomicBool::new(false);
    let scratch = Mutex::new(tasks.iter_mut().collect::<Vec<_>>());
    let helpers = frame.plan.threads.count().min(layers.len()) - 1;
    frame.plan.threads.share(helpers, &|| {
        let Some(scratch) = lock(&scratch).pop() else { return };
        let _alarm = Alarm(&failed);
        let all = chunks * wave.len();
        loop {
            let before = progress(&wave);
            if before == all || failed.load(Ordering::Relaxed) {
                return;
            }
            let highest_first = (0..wave.len()).rev();
            let mut tries =
                highest_first.map(|index| advance(&wave, index, input, [chunk, chunks], scratch));
            let advanced = tries.any(|advanced| advanced);
            if !advanced {
                // Somebody is at work on what all others wait for, or has just done it.
                wait_until(|| progress(&wave) != before || failed.load(Ordering::Relaxed));
            }
        }
    });
}

/// Tells the others when a thread panics: they would wait for it.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// Chunks that all layers have done together.
fn progress(wave: &[Layer<'_>]) -> usize {
    wave.iter().map(|layer| layer.done.load(Ordering::Acquire)).sum()
}

/// Does the next chunk of a layer, if it can go on and nobody is at work on it.
fn advance(
    wave: &[Layer<'_>],
    index: usize,
    input: View<'_>,
    [chunk, chunks]: [usize; 2],
    scratch: &mut TaskScratch,
) -> bool {
    let layer = &wave[index];
    let Ok(mut walk) = layer.walk.try_lock() else { return false };
    let next = layer.done.load(Ordering::Relaxed);
    let below = index.checked_sub(1).map(|below| &wave[below]);
    let ready = below.map_or(chunks, |below| below.done.load(Ordering::Acquire));
    if next >= ready {
        return false;
    }
    let start = next * chunk;
    let end = input.time().min(start + chunk);
    let mut output = layer.output.get(next).map(lock);
    let output = output.as_mut().map(|output| output.reborrow());
    match below {
        None => walk.piece(input.steps(start, end), output, scratch),
        Some(below) => walk.piece(lock(&below.output[next]).as_view(), output, scratch),
    }
    layer.done.store(next + 1, Ordering::Release);
    true
}

/// Cuts an output into chunks of steps.
fn cut(mut rest: ViewMut<'_>, chunk: usize) -> Vec<Mutex<ViewMut<'_>>> {
    let mut chunks = Vec::new();
    while rest.time() > 0 {
        let at = chunk.min(rest.time());
        let (first, others) = rest.split_steps(at);
        chunks.push(Mutex::new(first));
        rest = others;
    }
    chunks
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many of these stages, from the first on, are layers that a wave may go through.
pub(crate) fn layers(stages: &[Stage]) -> usize {
    let mut below: Option<usize> = None;
    let mut count = 0;
    for stage in stages {
        let goes_on = match below {
            Some(below) => stage.inputs == [below],
            None => count == 0 && stage.inputs.len() == 1,
        };
        let goes_on = goes_on && stage.mask.is_none();
        let forward = stage.as_recurrent().is_some_and(RecurrentStage::is_plain_forward);
        if !goes_on || !forward {
            break;
        }
        count += 1;
        below = stage.outputs[Port::Main.index()];
    }
    count
}

/// Whether a wave pays: where there is work for several threads, and no layer has it for itself.
pub(crate) fn pays(frame: &Frame<'_, '_>, stages: &[Stage], threads: usize) -> bool {
    let [time, batch, _] = frame.extent(stages[0].inputs[0]);
    let layers = || stages.iter().filter_map(Stage::as_recurrent);
    let alone = |layer| sharing(layer, [time, batch], threads) == Sharing::None;
    let work: usize = layers().map(|layer| layer.work_per_row() * time * batch).sum();
    threads > 1 && time >= WAVE_CHUNKS && work >= 2 * MIN_WORK_PER_TASK && layers().all(alone)
}
