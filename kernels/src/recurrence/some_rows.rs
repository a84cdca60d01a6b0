//! The sums of some rows, in memory: what they start from, what a tile adds to them, and what a cell does with them.
//!
//! ```text
//! sums = start
//! for each tile of the rows, and some steps
//!     sums += rows panels
//! finish sums
//! ```
//!
//! 1. The product of a tile knows no cell: all cells of a level share its few functions, each of which has
//!    all registers for itself ([`Simd::fenced`]).
//! 2. A cell's formula takes as many rows side by side as registers are enough for, whatever the tile.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::sums::{Terms, sums};
use super::sweep::Product;
use super::{Place, Tile};
use crate::gemm::tile::Ahead;
use crate::gemm::weights::Written;
use crate::simd::{Simd, Work};
use crate::tuning::finished_at_once;

/// The sums of some rows, `MOST` at most.
pub(super) struct SomeRows<S: Simd, const BLOCKS: usize, const VECTORS: usize, const MOST: usize> {
    /// Which rows of the batch these are.
    pub(super) rows: Range<usize>,
    /// `[row][block][vector]`, of which those of `rows` are in use.
    sums: [MaybeUninit<[[S::V; VECTORS]; BLOCKS]>; MOST],
}

/// What is multiplied by a tile of rows.
#[derive(Clone, Copy)]
pub(super) struct Factors<'p, F> {
    pub(super) product: Product<'p, F>,
    /// The first.
    pub(super) panel: usize,
    /// The first vector of the panel.
    pub(super) vector: usize,
    pub(super) steps: [usize; 2],
}

impl<S: Simd, const BLOCKS: usize, const VECTORS: usize, const MOST: usize>
    SomeRows<S, BLOCKS, VECTORS, MOST>
{
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { rows: 0..0, sums: [const { MaybeUninit::uninit() }; MOST] }
    }

    /// Where the sums of a row are.
    #[inline(always)]
    pub(super) fn of(&mut self, row: usize) -> *mut S::V {
        self.sums.as_mut_ptr().wrapping_add(row).cast()
    }

    /// Puts there what they start from.
    ///
    /// # Safety
    ///
    /// `tile` accepts these rows and the panels from this block on.
    #[inline(always)]
    pub(super) unsafe fn start<T: Tile<S, VECTORS>>(&mut self, s: S, tile: &mut T, block: usize) {
        let first = Place { row: self.rows.start, block };
        for row in 0..self.rows.len() {
            let places = places_of::<S, T, BLOCKS, VECTORS>(first, row);
            let mut start = [[s.splat(0.0); VECTORS]; BLOCKS];
            for block in 0..BLOCKS {
                // SAFETY: passed on.
                start[block] = unsafe { tile.start(s, places[block]) };
            }
            self.sums[row].write(start);
        }
    }

    /// Adds to the sums of a tile of the rows the products by so many panels, or a part of one.
    ///
    /// # Safety
    ///
    /// The sums are there, the rows below the batch; there are these panels, which lie in parts of `PART`.
    #[inline(always)]
    pub(super) unsafe fn add<
        F: Written,
        const PANELS: usize,
        const WIDTH: usize,
        const PART: usize,
    >(
        &mut self,
        s: S,
        tile: &Range<usize>,
        Factors { product, panel, vector, steps }: Factors<'_, F>,
        ahead: Ahead,
    ) {
        let Product { written, weights, chains, rows, .. } = product;
        debug_assert!(tile.end * rows.stride <= rows.numbers.len(), "rows of a tile");
        debug_assert!(self.rows.start <= tile.start && tile.end <= self.rows.end, "its sums");
        debug_assert!(weights.layout.parted || PART == VECTORS, "the layout of a tile in parts");
        let panel = weights.start_of_panel(panel);
        let terms = Terms { written, depth: weights.depth, steps, chains };
        let panel = panel.wrapping_add(vector * F::words(terms.depth) * S::LANES);
        let first = rows.numbers.as_ptr().wrapping_add(tile.start * rows.stride);
        let sums = self.of(tile.start - self.rows.start).wrapping_add(vector);
        macro_rules! tile {
            ($rows:literal) => {{
                let mut inputs = [first; $rows];
                for row in 0..$rows {
                    inputs[row] = first.wrapping_add(row * rows.stride);
                }
                s.fenced(TileOfRows::<S, F, $rows, PANELS, WIDTH, PART> {
                    terms,
                    panel,
                    rows: inputs,
                    sums,
                    apart: BLOCKS * VECTORS,
                    ahead,
                });
            }};
        }
        match tile.len() {
            1 => tile!(1),
            2 => tile!(2),
            3 => tile!(3),
            4 => tile!(4),
            6 => tile!(6),
            8 => tile!(8),
            other => unreachable!("no tile is {other} rows high"),
        }
    }

    /// Gives the sums away: side by side what a few registers hold, or all panels of a row.
    ///
    /// # Safety
    ///
    /// As [`start`](Self::start); the sums are there.
    #[inline(always)]
    pub(super) unsafe fn finish<T: Tile<S, VECTORS>>(&mut self, s: S, tile: &mut T, block: usize) {
        let first = Place { row: self.rows.start, block };
        let mut row = 0;
        while row < self.rows.len() {
            let left = self.rows.len() - row;
            macro_rules! rows {
                ($rows:literal) => {{
                    let mut places = [Place { row: first.row + row, ..first }; $rows];
                    for n in 0..$rows {
                        places[n].row += n;
                    }
                    s.fenced(Finish::<S, T, $rows, VECTORS> {
                        tile,
                        places,
                        sums: self.of(row).cast(),
                    });
                    row += $rows;
                }};
            }
            if const { BLOCKS > 1 } {
                let places = places_of::<S, T, BLOCKS, VECTORS>(first, row);
                let sums = self.of(row).cast();
                s.fenced(Finish::<S, T, BLOCKS, VECTORS> { tile, places, sums });
                row += 1;
            } else if const { finished_at_once(S::ACCUMULATORS) >= 4 } && left >= 4 {
                rows!(4);
            } else if const { finished_at_once(S::ACCUMULATORS) >= 2 } && left >= 2 {
                rows!(2);
            } else {
                rows!(1);
            }
        }
    }
}

/// The places of the panels of a row.
#[inline(always)]
fn places_of<S: Simd, T: Tile<S, VECTORS>, const BLOCKS: usize, const VECTORS: usize>(
    first: Place,
    row: usize,
) -> [Place; BLOCKS] {
    let mut places = [Place { row: first.row + row, ..first }; BLOCKS];
    for block in 1..BLOCKS {
        places[block].block += block * T::BLOCKS;
    }
    places
}

/// The product of one tile: `ROWS` rows times `BLOCKS` panels, or the part of one.
///
/// Who makes one vouches for all pointers.
struct TileOfRows<
    S: Simd,
    F,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const PART: usize,
> {
    terms: Terms<F>,
    /// The first.
    panel: *const f32,
    rows: [*const f32; ROWS],
    /// Of the first row; those of the next are so many vectors apart.
    sums: *mut S::V,
    apart: usize,
    ahead: Ahead,
}

impl<S, F, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize, const PART: usize> Work<S>
    for TileOfRows<S, F, ROWS, BLOCKS, VECTORS, PART>
where
    S: Simd,
    F: Written,
{
    #[inline(always)]
    fn run(self, s: S) {
        if const { ROWS * BLOCKS * VECTORS > S::ACCUMULATORS } {
            unreachable!("a tile has as many sums as the level has accumulators");
        }
        let Self { terms, panel, rows, sums: to, apart, ahead } = self;
        let at = |row: usize| to.wrapping_add(row * apart).cast::<[[S::V; VECTORS]; BLOCKS]>();
        let mut start = [[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS];
        for row in 0..ROWS {
            // SAFETY: who made this vouches for the sums.
            start[row] = unsafe { *at(row) };
        }
        // SAFETY: who made this vouches for rows and weights.
        unsafe {
            let panels = terms.panels::<S, BLOCKS, VECTORS>(panel);
            let total =
                sums::<S, F, ROWS, BLOCKS, VECTORS, PART>(s, start, rows, panels, terms, ahead);
            for row in 0..ROWS {
                *at(row) = total[row];
            }
        }
    }
}

/// What a cell does with the sums of a tile, side by side.
///
/// Who makes one vouches for the sums, and that the tile accepts these places.
struct Finish<'t, S: Simd, T, const N: usize, const VECTORS: usize> {
    tile: &'t mut T,
    places: [Place; N],
    sums: *const [[S::V; VECTORS]; N],
}

impl<S: Simd, T: Tile<S, VECTORS>, const N: usize, const VECTORS: usize> Work<S>
    for Finish<'_, S, T, N, VECTORS>
{
    #[inline(always)]
    fn run(self, s: S) {
        // SAFETY: who made this vouches for the sums and the places.
        unsafe { self.tile.finish(s, self.places, *self.sums) }
    }
}
