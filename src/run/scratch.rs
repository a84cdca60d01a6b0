//! The memory that means nothing between calls.

use std::sync::{Arc, Mutex};

use ritornello_kernels::AlignedBuffer;

use super::crew::{HelperMemory, HelperSizes};
use super::ragged::RaggedScratch;
use super::recurrent::units_pay;
use super::state::LayerState;
use super::tuning::{CHUNK_NUMBERS, CHUNK_ROWS, SHARED_STEPS};
use crate::model::{Extent, Merge, Shape};
use crate::plan::{Home, PlanInner, StageKind};

/// The steps of a chunk of `batch` rows that are `width` numbers each.
pub(crate) fn chunk_steps(batch: usize, width: usize) -> usize {
    let near = CHUNK_NUMBERS / (batch * width).max(1);
    near.max(CHUNK_ROWS.div_ceil(batch.max(1)))
}

/// Where the next of some chunks of at most so many steps ends. They are of much the same length: one of a
/// few steps would read all weights for them.
pub(crate) fn end_of_chunk([start, end]: [usize; 2], most: usize) -> usize {
    let left = end - start;
    if left <= most { end } else { start + left.div_ceil(left.div_ceil(most)) }
}

/// Numbers of the largest chunk, of a whole batch or a part of it; `None` if they overflow.
fn chunk_numbers(batch: usize, width: usize) -> Option<usize> {
    let rows = CHUNK_ROWS.checked_add(batch)?;
    Some(rows.checked_mul(width)?.max(CHUNK_NUMBERS))
}

/// What one thread needs for a layer.
#[derive(Debug)]
pub(crate) struct TaskScratch {
    /// Pre-activations of a chunk of time.
    pub(crate) projection: AlignedBuffer,
    /// Of the kernels.
    pub(crate) recurrence: AlignedBuffer,
    /// For rows of which some steps do not count; empty until there are such.
    pub(crate) ragged: RaggedScratch,
    /// Of a thread that helps with the units of a layer.
    pub(crate) helper: Arc<Mutex<HelperMemory>>,
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The values that are neither inputs nor outputs.
    pub(crate) values: Vec<AlignedBuffer>,
    pub(crate) tasks: Vec<TaskScratch>,
    /// The second direction of merges that are no concatenation.
    pub(crate) merge: AlignedBuffer,
}

/// How many numbers each part has, for sessions and for those who ask before.
#[derive(Debug)]
pub(crate) struct Sizes {
    values: Vec<usize>,
    projection: usize,
    recurrence: usize,
    merge: usize,
    tasks: usize,
    /// Of each task but the first, for a thread that helps with units.
    helper: HelperSizes,
    /// Steps of the longest sequence that a layer walks through.
    longest: usize,
    /// Of all layers, in the session's memory that is no scratch.
    states: usize,
    /// Flags of rows, a byte each, beside the states.
    flags: usize,
}

impl Sizes {
    /// `None` if a size overflows.
    pub(crate) fn new(plan: &PlanInner, batch: usize, max_time: usize) -> Option<Self> {
        let mut values = Vec::new();
        for value in &plan.values {
            if let Home::Scratch(_) = value.home {
                let time = match value.shape {
                    Shape::Sequence { time: Extent::Input(_), .. } => max_time,
                    Shape::Sequence { time: Extent::Fixed(time), .. } => time,
                    Shape::Vector { .. } => 1,
                    Shape::States { count, .. } => count,
                };
                values.push(time.checked_mul(batch)?.checked_mul(value.shape.features())?);
            }
        }
        let tasks = plan.threads.count();
        let mut sizes = Self {
            values,
            projection: 0,
            recurrence: 0,
            merge: 0,
            tasks,
            helper: HelperSizes::default(),
            longest: 0,
            states: 0,
            flags: 0,
        };
        for stage in &plan.stages {
            let StageKind::Recurrent(layer) = &stage.kind else { continue };
            let time = match plan.values[stage.inputs[0]].shape {
                Shape::Sequence { time: Extent::Fixed(time), .. } => time,
                _ => max_time,
            };
            sizes.longest = sizes.longest.max(time);
            for cell in &layer.cells {
                // A task may get the whole batch or, of a batch cut for threads, any part of it; a
                // smaller part has longer chunks, of at most as many numbers or a single step.
                let step = batch.checked_mul(cell.projection_width())?;
                let whole = step.checked_mul(time)?;
                // No less than the cell's scratch and the layer's states, which are not checked again.
                let stride = cell.hidden_stride().max(cell.cell_stride());
                step.checked_add(batch.checked_mul(stride)?.checked_mul(4)?)?;
                let chunk = chunk_numbers(batch, cell.projection_width())?;
                let numbers = whole.min(chunk);
                let rows = numbers / cell.projection_width().max(1);
                // What one row needs, for each, is no less: no memory holds more than that.
                rows.checked_mul(cell.projection_scratch_len(1))?;
                let for_rows = cell.projection_scratch_len(rows);
                sizes.projection = sizes.projection.max(numbers);
                sizes.recurrence = sizes.recurrence.max(cell.scratch_len(batch)).max(for_rows);
                let shared = tasks > 1 && layer.cells.len() == 1 && cell.panels() > 1;
                if shared && units_pay(cell, [time, batch]) {
                    // Of fewer rows no more are shared at once.
                    let rows = rows.min(SHARED_STEPS.saturating_mul(batch));
                    sizes.helper = sizes.helper.max(HelperSizes::of(cell, batch, rows));
                }
            }
            for states in LayerState::lengths(layer, batch) {
                sizes.states = sizes.states.checked_add(states)?;
            }
            sizes.flags = sizes.flags.checked_add(batch)?;
            if layer.cells.len() == 2 && layer.merge != Merge::Concat {
                let numbers = time.checked_mul(batch)?.checked_mul(layer.state_size())?;
                sizes.merge = sizes.merge.max(numbers);
            }
        }
        Some(sizes)
    }

    /// The bytes of all parts together; `None` if no memory holds them.
    pub(crate) fn bytes(&self) -> Option<usize> {
        let task = self.projection.checked_add(self.recurrence)?;
        let tasks = task.checked_mul(self.tasks)?;
        let helpers = self.helper.numbers()?.checked_mul(self.tasks.saturating_sub(1))?;
        let parts = self.values.iter().chain([&tasks, &helpers, &self.merge, &self.states]);
        let total = parts.copied().try_fold(0_usize, usize::checked_add)?;
        let bytes = total.checked_mul(size_of::<f32>())?.checked_add(self.flags)?;
        isize::try_from(bytes).is_ok().then_some(bytes)
    }
}

impl Scratch {
    pub(crate) fn new(sizes: &Sizes) -> Self {
        let helper = |task| if task > 0 { sizes.helper } else { HelperSizes::default() };
        let task = |task| TaskScratch {
            projection: AlignedBuffer::zeroed(sizes.projection),
            recurrence: AlignedBuffer::zeroed(sizes.recurrence),
            ragged: RaggedScratch::new(sizes.longest),
            helper: Arc::new(Mutex::new(HelperMemory::new(helper(task)))),
        };
        Self {
            values: sizes.values.iter().map(|&len| AlignedBuffer::zeroed(len)).collect(),
            tasks: (0..sizes.tasks).map(task).collect(),
            merge: AlignedBuffer::zeroed(sizes.merge),
        }
    }
}
