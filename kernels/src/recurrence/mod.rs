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
//! 1. The projection, made before for many steps at once, is where the sums start.
//! 2. A tile sums all gates of a vector of units, for several rows or several such blocks, in
//!    registers, and the cell's formula goes on from there ([`Tile`]).
//! 3. Blocks are visited forwards on even steps and backwards on odd ones, so that the part of U
//!    that the cache still holds is read first.
//! 4. Short dot products are several chains, so that their additions overlap
//!    ([`chains`](crate::tuning::chains)).

mod general;
mod gru;
mod lstm;
mod packed;
mod simple;

pub(crate) use general::{ProductArgs, activate_vectors, general, product};
pub(crate) use gru::{gru_after, gru_before};
pub(crate) use lstm::lstm;
pub use packed::{CellKind, CellSource, PackedCell, RecurrentSource, Reset};
pub(crate) use simple::{simple_relu, simple_tanh};

use crate::gemm::tile::{Sums, accumulate, accumulate_one};
use crate::pack::{PackedMatrix, TINY};
use crate::simd::Simd;
use crate::tuning::tile_height;
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
    /// h, `[batch, stride]`: the state before the first step, then after the last.
    pub hidden: &'a mut [f32],
    /// c, like `hidden`; empty for a cell without one.
    pub cell: &'a mut [f32],
    /// `cell.scratch_len(batch)` numbers that mean nothing before or after.
    pub scratch: &'a mut [f32],
    /// Where the h of every step goes, `[time, batch, hidden_size]`, if anywhere.
    pub output: Option<ViewMut<'a>>,
}

/// The distance of rows of states: a cache line's multiple on every level.
#[must_use]
pub fn state_stride(hidden_size: usize) -> usize {
    hidden_size.next_multiple_of(16)
}

/// What a cell does around the dot products of one row and one block of units.
pub(crate) trait Tile<S: Simd, const VECTORS: usize> {
    /// The numbers that the sums start from.
    ///
    /// # Safety
    ///
    /// `row` is below the batch and `block` below the number of panels.
    unsafe fn start(&self, s: S, row: usize, block: usize) -> [S::V; VECTORS];

    /// Takes the sums.
    ///
    /// # Safety
    ///
    /// As for [`start`](Self::start).
    unsafe fn finish(&mut self, s: S, row: usize, block: usize, sums: [S::V; VECTORS]);
}

/// The rows that are multiplied: `[batch, stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) batch: usize,
}

/// Multiplies all rows by all panels, once: the products of one step.
///
/// # Safety
///
/// The weights are packed for `S`, with `VECTORS` vectors a panel; `rows` holds `batch` rows of at
/// least `weights.depth` numbers; `tile` accepts every row and panel.
#[inline(always)]
pub(crate) unsafe fn sweep<S: Simd, T: Tile<S, VECTORS>, const VECTORS: usize>(
    s: S,
    weights: &PackedMatrix,
    chains: usize,
    rows: Rows<'_>,
    step: usize,
    tile: &mut T,
) {
    debug_assert_eq!(weights.layout.lanes, S::LANES, "packed for another level");
    debug_assert_eq!(weights.layout.vectors, VECTORS, "vectors of a panel");
    let panels = weights.layout.panels;
    let place = |i: usize| if step.is_multiple_of(2) { i } else { panels - 1 - i };
    let product = Product { weights, chains, rows };
    let mut visited = 0;
    while visited < panels {
        let left = panels - visited;
        // SAFETY: passed on; every place is below `panels`.
        unsafe {
            // A row alone shares its broadcasts among several blocks; rows together share weights.
            if rows.batch == 1 && left >= 4 && VECTORS * 4 <= S::ACCUMULATORS {
                let blocks: [usize; 4] = [0, 1, 2, 3].map(|i| place(visited + i));
                sums::<S, T, 1, 4, VECTORS>(s, product, 0, blocks, tile);
                visited += 4;
            } else if left >= 2
                && VECTORS * 2 <= S::ACCUMULATORS
                && (rows.batch == 1 || VECTORS == 1)
            {
                let blocks: [usize; 2] = [0, 1].map(|i| place(visited + i));
                all_rows::<S, T, 2, VECTORS>(s, product, blocks, tile);
                visited += 2;
            } else {
                all_rows::<S, T, 1, VECTORS>(s, product, [place(visited)], tile);
                visited += 1;
            }
        }
    }
}

/// What [`sweep`] multiplies.
#[derive(Clone, Copy)]
struct Product<'a> {
    weights: &'a PackedMatrix,
    chains: usize,
    rows: Rows<'a>,
}

/// # Safety
///
/// As [`sweep`]; `blocks` are panels.
#[inline(always)]
unsafe fn all_rows<S: Simd, T: Tile<S, VECTORS>, const BLOCKS: usize, const VECTORS: usize>(
    s: S,
    product: Product<'_>,
    blocks: [usize; BLOCKS],
    tile: &mut T,
) {
    let mut row = 0;
    while row < product.rows.batch {
        let height = tile_height::<S>(product.rows.batch - row, VECTORS * BLOCKS);
        // SAFETY: passed on; `height` rows are left.
        unsafe {
            match height {
                1 => sums::<S, T, 1, BLOCKS, VECTORS>(s, product, row, blocks, tile),
                2 => sums::<S, T, 2, BLOCKS, VECTORS>(s, product, row, blocks, tile),
                3 => sums::<S, T, 3, BLOCKS, VECTORS>(s, product, row, blocks, tile),
                4 => sums::<S, T, 4, BLOCKS, VECTORS>(s, product, row, blocks, tile),
                6 => sums::<S, T, 6, BLOCKS, VECTORS>(s, product, row, blocks, tile),
                other => unreachable!("no tile is {other} rows high"),
            }
        }
        row += height;
    }
}

/// One tile: `ROWS` rows times `BLOCKS` panels.
///
/// # Safety
///
/// As [`sweep`]; `ROWS` rows are left from `first_row` on, and `blocks` are panels.
#[inline(always)]
unsafe fn sums<
    S: Simd,
    T: Tile<S, VECTORS>,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
>(
    s: S,
    Product { weights, chains, rows }: Product<'_>,
    first_row: usize,
    blocks: [usize; BLOCKS],
    tile: &mut T,
) {
    if const { ROWS * BLOCKS * VECTORS > S::ACCUMULATORS } {
        unreachable!("a tile has as many sums as the level has accumulators");
    }
    let depth = weights.depth;
    debug_assert!((first_row + ROWS) * rows.stride <= rows.numbers.len(), "rows of a tile");
    let mut inputs = [std::ptr::null(); ROWS];
    for row in 0..ROWS {
        inputs[row] = rows.numbers.as_ptr().wrapping_add((first_row + row) * rows.stride);
    }
    let mut panels = [std::ptr::null(); BLOCKS];
    for block in 0..BLOCKS {
        panels[block] = weights.panel(blocks[block]).as_ptr();
    }
    let mut start = [[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS];
    for row in 0..ROWS {
        for block in 0..BLOCKS {
            // SAFETY: the caller vouches for the rows and blocks.
            start[row][block] = unsafe { tile.start(s, first_row + row, blocks[block]) };
        }
    }
    // SAFETY: a row has `depth` numbers and a panel covers them.
    let total = unsafe {
        match chains {
            1 => {
                accumulate(s, &mut start, inputs, panels, [0, depth, 1]);
                start
            }
            2 if const { ROWS * BLOCKS * VECTORS * 2 <= S::ACCUMULATORS } => {
                let [a, b] =
                    together::<S, ROWS, BLOCKS, VECTORS, 2>(s, start, inputs, panels, depth);
                add(s, a, b)
            }
            4 if const { ROWS * BLOCKS * VECTORS * 4 <= S::ACCUMULATORS } => {
                let [a, b, c, d] =
                    together::<S, ROWS, BLOCKS, VECTORS, 4>(s, start, inputs, panels, depth);
                add(s, add(s, a, b), add(s, c, d))
            }
            _ => in_turn(s, start, inputs, panels, depth, chains),
        }
    };
    for row in 0..ROWS {
        for block in 0..BLOCKS {
            // SAFETY: the caller vouches for the rows and blocks.
            unsafe { tile.finish(s, first_row + row, blocks[block], total[row][block]) };
        }
    }
}

/// The partial sums of all chains in one loop, so that they overlap: for tiles so small that the
/// registers hold them all. Chain 0 starts from `start`, the others from zero.
///
/// # Safety
///
/// Each of `rows` is valid for reading `depth` numbers, each of `panels` for as many weights.
#[inline(always)]
unsafe fn together<
    S: Simd,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const CHAINS: usize,
>(
    s: S,
    start: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: [*const f32; BLOCKS],
    depth: usize,
) -> [Sums<S::V, ROWS, BLOCKS, VECTORS>; CHAINS] {
    let mut parts = [[[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS]; CHAINS];
    parts[0] = start;
    let mut k = 0;
    while k + CHAINS <= depth {
        for chain in 0..CHAINS {
            // SAFETY: k + chain < depth, for which the caller vouches.
            unsafe { accumulate_one(s, &mut parts[chain], rows, panels, k + chain) };
        }
        k += CHAINS;
    }
    for chain in 0..CHAINS - 1 {
        if k + chain < depth {
            // SAFETY: k + chain < depth, for which the caller vouches.
            unsafe { accumulate_one(s, &mut parts[chain], rows, panels, k + chain) };
        }
    }
    parts
}

/// The sum of 2 or 4 chains, one after the other: for tiles whose own sums overlap already. The
/// same bits as [`together`].
///
/// # Safety
///
/// As [`together`].
#[inline(always)]
unsafe fn in_turn<S: Simd, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize>(
    s: S,
    start: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    rows: [*const f32; ROWS],
    panels: [*const f32; BLOCKS],
    depth: usize,
    chains: usize,
) -> Sums<S::V, ROWS, BLOCKS, VECTORS> {
    let zero = [[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS];
    // 0 + 1, then (0 + 1) + (2 + 3): an even chain waits for the odd one after it.
    let (mut total, mut even) = (zero, zero);
    for chain in 0..chains {
        let mut part = if chain == 0 { start } else { zero };
        // SAFETY: passed on.
        unsafe { accumulate(s, &mut part, rows, panels, [chain, depth, chains]) };
        if chain % 2 == 0 {
            even = part;
        } else {
            let pair = add(s, even, part);
            total = if chain == 1 { pair } else { add(s, total, pair) };
        }
    }
    total
}

#[inline(always)]
fn add<S: Simd, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize>(
    s: S,
    mut a: Sums<S::V, ROWS, BLOCKS, VECTORS>,
    b: Sums<S::V, ROWS, BLOCKS, VECTORS>,
) -> Sums<S::V, ROWS, BLOCKS, VECTORS> {
    for row in 0..ROWS {
        for block in 0..BLOCKS {
            for vector in 0..VECTORS {
                a[row][block][vector] = s.add(a[row][block][vector], b[row][block][vector]);
            }
        }
    }
    a
}

/// Zero for states too small to count; NaN stays.
#[inline(always)]
pub(crate) fn flushed<S: Simd>(s: S, state: S::V) -> S::V {
    let tiny = s.lt(s.abs(state), s.splat(TINY));
    s.select(tiny, s.splat(0.0), state)
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
    /// Stores one vector of new states.
    ///
    /// # Safety
    ///
    /// `row` is below the batch and `block` below the number of panels.
    #[inline(always)]
    pub(crate) unsafe fn store<S: Simd>(&mut self, s: S, row: usize, block: usize, hidden: S::V) {
        let unit = block * S::LANES;
        let at = row * self.stride + unit;
        debug_assert!(at + S::LANES <= self.state.len(), "a vector of states");
        // SAFETY: rows of states are as long as the panels together; of the output `units` exist.
        unsafe {
            s.store(self.state.as_mut_ptr().add(at), hidden);
            if let Some(output) = &mut self.output {
                let to = output.row_start(self.time, row).wrapping_add(unit);
                if unit + S::LANES <= self.units {
                    s.store(to, hidden);
                } else {
                    s.store_first(to, self.units - unit, hidden);
                }
            }
        }
    }
}

/// The vectors of one panel in a row of numbers as wide as all panels.
///
/// # Safety
///
/// `numbers` holds `row + 1` rows of `width`, and `block` is a panel of `VECTORS` vectors.
#[inline(always)]
pub(crate) unsafe fn panel_of<S: Simd, const VECTORS: usize>(
    s: S,
    numbers: &[f32],
    width: usize,
    row: usize,
    block: usize,
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

/// One vector of states `[batch, stride]`.
///
/// # Safety
///
/// `states` holds `row + 1` rows of `stride`, of which `block` is a vector.
#[inline(always)]
pub(crate) unsafe fn state_of<S: Simd>(
    s: S,
    states: &[f32],
    stride: usize,
    row: usize,
    block: usize,
) -> S::V {
    // SAFETY: passed on.
    let [state] = unsafe { panel_of::<S, 1>(s, states, stride, row, block) };
    state
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

    /// Leaves the states after the last step in `hidden`.
    #[inline(always)]
    pub(crate) fn finish(self) {
        if self.steps % 2 == 1 {
            self.hidden.copy_from_slice(self.spare);
        }
    }
}
