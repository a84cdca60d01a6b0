//! Rows together: some panels times all rows, tile by tile.
//!
//! ```text
//! for each tile of rows
//!     sums = start
//!     sums += rows panels
//!     finish sums
//! ```
//!
//! 1. The product of a tile knows no cell: all cells of a level share its few functions, each of which has
//!    all registers for itself ([`Simd::fenced`]). Before and after it sums are in memory.
//! 2. Of a panel in two parts a tile multiplies by one after the other: that takes twice the rows.
//! 3. A cell's formula takes as many rows side by side as registers are enough for, whatever the tile.
//! 4. While some panels are in use, the next are fetched.

use std::mem::MaybeUninit;

use super::sums::{Terms, sums};
use super::sweep::{Product, Visit};
use super::{Place, Tile};
use crate::gemm::tile::Ahead;
use crate::gemm::weights::Written;
use crate::simd::{Simd, Work};
use crate::tuning::{
    MOST_ROWS, ROWS_TO_FETCH, finished_at_once, max_rows, may_be_parted, state_weights_to_fetch,
    tile_height,
};

/// Multiplies all rows by the `BLOCKS` panels of a visit.
///
/// # Safety
///
/// As [`sweep`](super::sweep::sweep), and there are these panels.
#[inline(always)]
pub(super) unsafe fn rows_together<
    S: Simd,
    F: Written,
    T: Tile<S, VECTORS>,
    const BLOCKS: usize,
    const VECTORS: usize,
>(
    s: S,
    product: Product<'_, F>,
    visit: Visit,
    tile: &mut T,
) {
    let (batch, depth) = (product.rows.batch, product.weights.depth);
    let parted = const { may_be_parted(S::ACCUMULATORS, VECTORS) } && product.weights.layout.parted;
    let parts = if parted && batch > max_rows(S::ACCUMULATORS, VECTORS) { 2 } else { 1 };
    let vectors = BLOCKS * VECTORS / parts;
    let mut next = next::<S, F>(&product, visit);
    let mut rows = SomeRows::<S, BLOCKS, VECTORS, MOST_ROWS>::new();
    let mut place = Place { row: 0, block: product.first_block::<S>(visit.first_panel) };
    while place.row < batch {
        rows.count = tile_height::<S>(batch - place.row, vectors);
        let mut ahead = [Ahead::NOTHING; 2];
        if !next.is_null() {
            for part in 0..parts {
                let width = F::FORMAT.word(vectors * S::LANES);
                ahead[part] = Ahead::share(next, width, place.row..place.row + rows.count, batch);
                next = ahead[part].after(depth);
            }
        }
        let factors = Factors { product, row: place.row, panel: visit.first_panel, vector: 0 };
        // SAFETY: passed on; these rows are below the batch, and sums are there before they are used.
        unsafe {
            rows.start(s, tile, place);
            if !parted {
                rows.add::<F, BLOCKS, VECTORS, VECTORS>(s, factors, ahead[0]);
            } else if const { !F::BYTES && may_be_parted(S::ACCUMULATORS, VECTORS) && BLOCKS == 1 }
            {
                if parts == 1 {
                    rows.add::<F, 1, VECTORS, 2>(s, factors, ahead[0]);
                } else {
                    rows.add::<F, 1, 2, 2>(s, factors, ahead[0]);
                    rows.add::<F, 1, 2, 2>(s, Factors { vector: 2, ..factors }, ahead[1]);
                }
            } else {
                unreachable!("a panel in parts goes alone");
            }
            rows.finish(s, tile, place);
        }
        place.row += rows.count;
    }
}

/// Where the panels of the next visit begin, if it pays to fetch them.
#[inline(always)]
fn next<S: Simd, F>(product: &Product<'_, F>, visit: Visit) -> *const f32 {
    let Product { weights, rows, .. } = product;
    let many = const { state_weights_to_fetch(S::LANES) };
    let pays = weights.weights.len() >= many && rows.batch >= ROWS_TO_FETCH;
    visit.next.filter(|_| pays).map_or(std::ptr::null(), |panel| weights.start_of_panel(panel))
}

/// The sums of a tile of rows, `MOST` at most.
pub(super) struct SomeRows<S: Simd, const BLOCKS: usize, const VECTORS: usize, const MOST: usize> {
    pub(super) count: usize,
    /// `[row][block][vector]`, of which those of `count` rows are in use.
    sums: [MaybeUninit<[[S::V; VECTORS]; BLOCKS]>; MOST],
}

/// A tile of rows, and the panels that it is multiplied by.
#[derive(Clone, Copy)]
struct Factors<'p, F> {
    product: Product<'p, F>,
    /// The first.
    row: usize,
    /// The first.
    panel: usize,
    /// The first vector of the panel.
    vector: usize,
}

impl<S: Simd, const BLOCKS: usize, const VECTORS: usize, const MOST: usize>
    SomeRows<S, BLOCKS, VECTORS, MOST>
{
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { count: 0, sums: [const { MaybeUninit::uninit() }; MOST] }
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
    /// `tile` accepts so many rows and the panels from this place on.
    #[inline(always)]
    pub(super) unsafe fn start<T: Tile<S, VECTORS>>(&mut self, s: S, tile: &mut T, first: Place) {
        for row in 0..self.count {
            let places = places_of::<S, T, BLOCKS, VECTORS>(first, row);
            let mut start = [[s.splat(0.0); VECTORS]; BLOCKS];
            for block in 0..BLOCKS {
                // SAFETY: passed on.
                start[block] = unsafe { tile.start(s, places[block]) };
            }
            self.sums[row].write(start);
        }
    }

    /// Adds the products by so many panels, or a part of one.
    ///
    /// # Safety
    ///
    /// The sums are there, the rows below the batch; there are these panels, which lie in parts of `PART`.
    #[inline(always)]
    unsafe fn add<F: Written, const PANELS: usize, const WIDTH: usize, const PART: usize>(
        &mut self,
        s: S,
        Factors { product, row, panel, vector }: Factors<'_, F>,
        ahead: Ahead,
    ) {
        let Product { written, weights, chains, rows, .. } = product;
        debug_assert!((row + self.count) * rows.stride <= rows.numbers.len(), "rows of a tile");
        debug_assert!(weights.layout.parted || PART == VECTORS, "the layout of a tile in parts");
        let panel = weights.start_of_panel(panel);
        let terms = Terms { written, depth: weights.depth, chains };
        let panel = panel.wrapping_add(vector * F::words(terms.depth) * S::LANES);
        let first = rows.numbers.as_ptr().wrapping_add(row * rows.stride);
        let sums = self.of(0).wrapping_add(vector);
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
        match self.count {
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
    pub(super) unsafe fn finish<T: Tile<S, VECTORS>>(&mut self, s: S, tile: &mut T, first: Place) {
        let mut row = 0;
        while row < self.count {
            let left = self.count - row;
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
