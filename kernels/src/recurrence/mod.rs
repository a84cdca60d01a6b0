//! The time loop of a recurrent layer: one call is a whole stage.
//!
//! ```text
//! for each step t
//!     for each batch row
//!         for each unit
//!             sums of its gates = projection[t][row] + U h[row]
//!             new state of the unit = cell(sums, old state)
//!     h = all new states
//! ```
//!
//! 1. The projection, made before for many steps at once, is where the sums start ([`preactivations`]).
//! 2. A tile sums all gates of a vector of units, for several rows or several such blocks, in
//!    registers; the cell's formula goes on from there ([`Tile`]), of several rows when all are done.
//! 3. Blocks are visited forwards on even steps and backwards on odd ones, so that the part of U
//!    that the cache still holds is read first.
//! 4. Short dot products are several chains, so that their additions overlap
//!    ([`chains`](crate::contract::chains)).

mod fetch;
mod general;
mod gru;
mod lstm;
mod packed;
mod preactivations;
mod rows;
mod simple;
mod some_rows;
mod sums;
mod sweep;
mod tiles;

pub(crate) use general::{ProductArgs, activate_vectors, general, product};
pub(crate) use gru::{gru_after, gru_before};
pub(crate) use lstm::lstm;
pub(crate) use packed::Recurrent;
pub use packed::{CellSource, PackedCell, RecurrentSource};
pub(crate) use preactivations::Preactivations;
pub(crate) use simple::{simple_relu, simple_tanh};
use sweep::{Product, sweep, sweep_any};

use std::ops::Range;

use crate::pack::StepOrder;
use crate::simd::Simd;
use crate::tuning::lines_apart;
use crate::view::ViewMut;

/// What the recurrence of one layer in one direction reads and writes.
#[derive(Debug)]
pub struct RecurArgs<'a> {
    /// The number of steps.
    pub time: usize,
    /// The number of rows.
    pub batch: usize,
    /// Pre-activations `[time, batch, cell.projection_width()]`, as the projection made them.
    pub projection: &'a [f32],
    /// The order in which it made those of a step: what [`Kernels::project`](crate::Kernels::project) makes
    /// are rows, and of [`project_steps`](crate::Kernels::project_steps) it is
    /// [`step_order`](PackedCell::step_order).
    pub order: StepOrder,
    /// h, `[batch, cell.hidden_stride()]`: the state before the first step, then after the last.
    pub hidden: &'a mut [f32],
    /// c, `[batch, cell.cell_stride()]`, likewise; empty for a cell without one.
    pub cell: &'a mut [f32],
    /// `cell.scratch_len(batch)` numbers that mean nothing before or after.
    pub scratch: &'a mut [f32],
    /// Where the h of every step goes, `[time, batch, state_size]`, if anywhere.
    pub output: Option<ViewMut<'a>>,
    /// Which panels to do, if others do the rest.
    pub share: Option<Share<'a>>,
}

/// The part of a layer's units that one of several threads does.
pub struct Share<'a> {
    /// Panels of the recurrent weights.
    pub panels: Range<usize>,
    /// Where the threads meet after every step.
    pub meeting: &'a mut dyn Meeting,
}

impl std::fmt::Debug for Share<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share").field("panels", &self.panels).finish_non_exhaustive()
    }
}

/// Where threads that share a layer's units exchange what they have made of a step.
pub trait Meeting {
    /// Gives away the new hidden states of this thread's units and fills in those of all others;
    /// `hidden` and `cell` are the states after the step.
    ///
    /// `false` ends the recurrence: what is in the buffers then is worth nothing.
    fn exchange(&mut self, hidden: &mut [f32], cell: &[f32]) -> bool;
}

/// The panels that a thread does, and whom it meets.
pub(crate) struct Sharing<'a, 'b> {
    pub(crate) panels: Range<usize>,
    meeting: Option<&'a mut (dyn Meeting + 'b)>,
}

impl<'a, 'b: 'a> Sharing<'a, 'b> {
    #[inline(always)]
    pub(crate) fn new(share: &'a mut Option<Share<'b>>, panels: usize) -> Self {
        match share {
            Some(share) => Self { panels: share.panels.clone(), meeting: Some(share.meeting) },
            None => Self { panels: 0..panels, meeting: None },
        }
    }

    /// Completes the states after a step; whether to go on.
    #[inline(always)]
    pub(crate) fn meet(&mut self, hidden: &mut [f32], cell: &[f32]) -> bool {
        match &mut self.meeting {
            Some(meeting) => meeting.exchange(hidden, cell),
            None => true,
        }
    }
}

/// The distance of rows of states: a cache line's multiple on every level.
#[must_use]
pub fn state_stride(hidden_size: usize) -> usize {
    LINE * lines_apart(hidden_size.div_ceil(LINE))
}

/// Numbers in a cache line.
const LINE: usize = 16;

/// What a cell does around the dot products of one row and one panel.
///
/// Units come in blocks of a vector. Of a matrix with several gates a panel is a block, and its
/// vectors are the gates; of a plain one it is as many blocks as it has vectors.
pub(crate) trait Tile<S: Simd, const VECTORS: usize> {
    /// Blocks of units in a panel.
    const BLOCKS: usize;
    /// The most panels that a tile takes at once: fewer are fewer functions to compile.
    const PANELS: usize = 4;
    /// Whether its products are in functions of their own rather than in one. All in one took minutes to
    /// compile; a call takes some nanoseconds, which a short step of a usual cell would feel.
    const APART: bool = false;

    /// The numbers that the sums start from.
    ///
    /// # Safety
    ///
    /// The row is below the batch, and there is a panel whose first block this is.
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; VECTORS];

    /// Takes the sums of some rows of one panel, or of one row's panels one behind the other.
    ///
    /// # Safety
    ///
    /// As for [`start`](Self::start), for each place.
    unsafe fn finish<const N: usize>(
        &mut self,
        s: S,
        places: [Place; N],
        sums: [[S::V; VECTORS]; N],
    );
}

/// A row, and the first block of units of a panel.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) row: usize,
    pub(crate) block: usize,
}

/// The places of a plain panel's vectors.
#[inline(always)]
pub(crate) fn blocks_from<const VECTORS: usize>(first: Place) -> [Place; VECTORS] {
    let mut places = [first; VECTORS];
    for vector in 0..VECTORS {
        places[vector].block += vector;
    }
    places
}

/// The sums of each gate, of those of each place: the vectors of [`Times`] side by side.
#[inline(always)]
pub(crate) fn gates_of<S: Simd, const N: usize, const GATES: usize>(
    s: S,
    sums: [[S::V; GATES]; N],
) -> [[S::V; N]; GATES] {
    let mut gates = [[s.splat(0.0); N]; GATES];
    for n in 0..N {
        for gate in 0..GATES {
            gates[gate][n] = sums[n][gate];
        }
    }
    gates
}

/// One step's new hidden states on their way to the state and to the caller's output.
pub(crate) struct NextHidden<'a, 'b> {
    /// `[batch, stride]`
    pub(crate) state: &'a mut [f32],
    pub(crate) stride: usize,
    pub(crate) units: usize,
    /// The caller's output, and the step.
    pub(crate) output: Option<&'a mut ViewMut<'b>>,
    pub(crate) time: usize,
}

impl NextHidden<'_, '_> {
    /// Stores a vector of new states for each place.
    ///
    /// # Safety
    ///
    /// The rows are below the batch and the blocks below those of the states.
    #[inline(always)]
    pub(crate) unsafe fn store<S: Simd, const N: usize>(
        &mut self,
        s: S,
        places: [Place; N],
        hidden: [S::V; N],
    ) {
        for n in 0..N {
            let Place { row, block } = places[n];
            let unit = block * S::LANES;
            // SAFETY: passed on; of the output `units` exist.
            unsafe {
                store_state(s, self.state, self.stride, places[n], hidden[n]);
                if let Some(output) = &mut self.output {
                    let to = output.row_start(self.time, row).wrapping_add(unit);
                    if unit + S::LANES <= self.units {
                        s.store(to, hidden[n]);
                    } else {
                        s.store_first(to, self.units - unit, hidden[n]);
                    }
                }
            }
        }
    }
}

/// The vectors of one block in a row of numbers that has `VECTORS` vectors for each.
///
/// # Safety
///
/// `numbers` holds `row + 1` rows of `width`, and `block` is one of theirs.
#[inline(always)]
pub(crate) unsafe fn panel_of<S: Simd, const VECTORS: usize>(
    s: S,
    numbers: &[f32],
    width: usize,
    Place { row, block }: Place,
) -> [S::V; VECTORS] {
    let at = row * width + block * VECTORS * S::LANES;
    debug_assert!(at + VECTORS * S::LANES <= numbers.len(), "the vectors of a panel");
    let mut vectors = [s.splat(0.0); VECTORS];
    for vector in 0..VECTORS {
        // SAFETY: the caller vouches for the row and the panel.
        vectors[vector] = unsafe { s.load(numbers.as_ptr().add(at + vector * S::LANES)) };
    }
    vectors
}

/// One vector of states `[batch, stride]` for each place.
///
/// # Safety
///
/// `states` holds the rows, of which the blocks are vectors.
#[inline(always)]
pub(crate) unsafe fn states_of<S: Simd, const N: usize>(
    s: S,
    states: &[f32],
    stride: usize,
    places: [Place; N],
) -> [S::V; N] {
    let mut vectors = [s.splat(0.0); N];
    for n in 0..N {
        // SAFETY: passed on.
        let [vector] = unsafe { panel_of::<S, 1>(s, states, stride, places[n]) };
        vectors[n] = vector;
    }
    vectors
}

/// Stores one vector of states `[batch, stride]`.
///
/// # Safety
///
/// `states` holds the row, of which the block is a vector.
#[inline(always)]
pub(crate) unsafe fn store_state<S: Simd>(
    s: S,
    states: &mut [f32],
    stride: usize,
    Place { row, block }: Place,
    state: S::V,
) {
    let at = row * stride + block * S::LANES;
    debug_assert!(at + S::LANES <= states.len(), "a vector of states");
    // SAFETY: the caller vouches for the row and the block.
    unsafe { s.store(states.as_mut_ptr().add(at), state) };
}

/// The hidden states before and after a step, which change places from step to step.
///
/// Not a function that takes a step as a closure: a closure would be compiled by itself, without the
/// features of the level.
pub(crate) struct Alternating<'a> {
    hidden: &'a mut [f32],
    spare: &'a mut [f32],
    steps: usize,
}

impl<'a> Alternating<'a> {
    /// Starts from `hidden`; both are `[batch, stride]`.
    #[inline(always)]
    pub(crate) fn new(hidden: &'a mut [f32], spare: &'a mut [f32]) -> Self {
        Self { hidden, spare, steps: 0 }
    }

    /// The states before the next step, and the place for those after it.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> (&[f32], &mut [f32]) {
        self.steps += 1;
        if self.steps % 2 == 1 { (self.hidden, self.spare) } else { (self.spare, self.hidden) }
    }

    /// The states after the last step.
    #[inline(always)]
    pub(crate) fn latest(&mut self) -> &mut [f32] {
        if self.steps % 2 == 1 { self.spare } else { self.hidden }
    }

    /// Leaves the states after the last step in `hidden`.
    #[inline(always)]
    pub(crate) fn finish(self) {
        if self.steps % 2 == 1 {
            self.hidden.copy_from_slice(self.spare);
        }
    }
}
