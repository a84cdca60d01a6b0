//! Rows together: some panels times all rows, tile by tile.
//!
//! ```text
//! for each tile of rows
//!     sums = start
//!     sums += rows panels
//!     finish sums
//! ```
//!
//! 1. Of a panel in two parts a tile multiplies by one after the other: that takes twice the rows.
//! 2. While some panels are in use, the next are fetched.
//! 3. Where there are few tiles and many weights, all tiles go through some steps of a panel before any goes
//!    further: those are read from afar once, and meanwhile the steps after them come to the nearest cache.

use std::ops::Range;

use super::Tile;
use super::fetch::Fetch;
use super::some_rows::{Factors, SomeRows};
use super::sweep::{Product, Visit};
use crate::gemm::tile::Ahead;
use crate::gemm::weights::Written;
use crate::simd::{Simd, Work};
use crate::tuning::{
    MOST_ROWS, ROWS_NEAR, end_of_steps, max_rows, may_be_near, may_be_parted, tile_height,
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
    let batch = product.rows.batch;
    let parted = const { may_be_parted(S::ACCUMULATORS, VECTORS) } && product.weights.layout.parted;
    let parts = if parted && batch > max_rows(S::ACCUMULATORS, VECTORS) { 2 } else { 1 };
    let fetch = Fetch::of::<S, F>(&product, parts, BLOCKS * VECTORS / parts);
    let near = fetch.pays && product.chains == 1 && batch <= ROWS_NEAR;
    let together = Together::<F, T, BLOCKS, VECTORS> { product, visit, tile, fetch, parted, parts };
    if const { F::IN_A_WORD == 1 && may_be_near(S::ACCUMULATORS, VECTORS) } && near {
        // By itself: what needs less memory for its sums is not to ask for as much.
        s.fenced(Near(together));
    } else {
        // SAFETY: passed on.
        unsafe { together.by_tiles(s) };
    }
}

/// All rows, and the `BLOCKS` panels of a visit.
struct Together<'p, 't, F, T, const BLOCKS: usize, const VECTORS: usize> {
    product: Product<'p, F>,
    visit: Visit,
    tile: &'t mut T,
    fetch: Fetch<'p>,
    /// Whether panels lie in parts.
    parted: bool,
    /// Those that go one after the other.
    parts: usize,
}

/// All rows that go through some steps of a panel before the next; who makes one vouches for all.
struct Near<'p, 't, F, T, const BLOCKS: usize, const VECTORS: usize>(
    Together<'p, 't, F, T, BLOCKS, VECTORS>,
);

impl<S, F, T, const BLOCKS: usize, const VECTORS: usize> Work<S>
    for Near<'_, '_, F, T, BLOCKS, VECTORS>
where
    S: Simd,
    F: Written,
    T: Tile<S, VECTORS>,
{
    #[inline(always)]
    fn run(self, s: S) {
        // SAFETY: who made this vouches for it.
        unsafe { self.0.by_steps(s) };
    }
}

impl<F: Written, T, const BLOCKS: usize, const VECTORS: usize>
    Together<'_, '_, F, T, BLOCKS, VECTORS>
{
    /// One tile after the other.
    ///
    /// # Safety
    ///
    /// As [`rows_together`].
    #[inline(always)]
    unsafe fn by_tiles<S: Simd>(self, s: S)
    where
        T: Tile<S, VECTORS>,
    {
        let (batch, depth) = (self.product.rows.batch, self.product.weights.depth);
        let block = self.product.first_block::<S>(self.visit.first_panel);
        let mut next = self.fetch.begin(self.visit.next, 0);
        let mut some = SomeRows::<S, BLOCKS, VECTORS, MOST_ROWS>::new();
        while some.rows.end < batch {
            some.rows = self.tile_from::<S>(some.rows.end, batch);
            let tile = some.rows.clone();
            // SAFETY: passed on; these rows are below the batch.
            unsafe {
                some.start(s, self.tile, block);
                self.add::<_, _, false>(s, &mut some, tile, [0, depth], &mut next);
                some.finish(s, self.tile, block);
            }
        }
    }

    /// All rows through some steps, then through the next, which are fetched meanwhile.
    ///
    /// # Safety
    ///
    /// As [`rows_together`]; a sum is one chain, and rows are [`ROWS_NEAR`] at most.
    #[inline(always)]
    unsafe fn by_steps<S: Simd>(self, s: S)
    where
        T: Tile<S, VECTORS>,
    {
        let (batch, depth) = (self.product.rows.batch, self.product.weights.depth);
        let block = self.product.first_block::<S>(self.visit.first_panel);
        let mut some = SomeRows::<S, BLOCKS, VECTORS, ROWS_NEAR>::new();
        some.rows = 0..batch;
        // SAFETY: passed on; these are all rows.
        unsafe { some.start(s, self.tile, block) };
        let mut steps = [0, 0];
        while steps[1] < depth {
            steps = [steps[1], end_of_steps(steps[1], depth)];
            let mut next = match steps[1] < depth {
                true => self.fetch.begin(Some(self.visit.first_panel), steps[1]),
                false => self.fetch.begin(self.visit.next, 0),
            };
            let mut tile = 0..0;
            while tile.end < batch {
                tile = self.tile_from::<S>(tile.end, batch);
                // SAFETY: as above; the sums are there.
                unsafe { self.add::<_, _, true>(s, &mut some, tile.clone(), steps, &mut next) };
            }
        }
        // SAFETY: as above.
        unsafe { some.finish(s, self.tile, block) };
    }

    /// The next tile of rows.
    #[inline(always)]
    fn tile_from<S: Simd>(&self, first: usize, batch: usize) -> Range<usize> {
        first..first + tile_height::<S>(batch - first, BLOCKS * VECTORS / self.parts)
    }

    /// Adds the products of a tile's rows in some steps to their sums, and fetches its share of what is `next`, into
    /// the nearest cache or not so near.
    ///
    /// # Safety
    ///
    /// As [`rows_together`]; the sums are there, and the rows are below the batch.
    #[inline(always)]
    unsafe fn add<S: Simd, const MOST: usize, const NEAREST: bool>(
        &self,
        s: S,
        some: &mut SomeRows<S, BLOCKS, VECTORS, MOST>,
        tile: Range<usize>,
        steps: [usize; 2],
        next: &mut [*const f32; 2],
    ) {
        let mut ahead = [Ahead::NOTHING; 2];
        if self.fetch.pays {
            for part in 0..self.parts {
                ahead[part] = self.fetch.share(&mut next[part], &tile, steps, NEAREST);
            }
        }
        let (product, panel) = (self.product, self.visit.first_panel);
        let factors = Factors { product, panel, vector: 0, steps };
        // SAFETY: passed on.
        unsafe {
            if !self.parted {
                some.add::<F, BLOCKS, VECTORS, VECTORS>(s, &tile, factors, ahead[0]);
            } else if const { !F::BYTES && may_be_parted(S::ACCUMULATORS, VECTORS) && BLOCKS == 1 }
            {
                if self.parts == 1 {
                    some.add::<F, 1, VECTORS, 2>(s, &tile, factors, ahead[0]);
                } else {
                    some.add::<F, 1, 2, 2>(s, &tile, factors, ahead[0]);
                    let factors = Factors { vector: 2, ..factors };
                    some.add::<F, 1, 2, 2>(s, &tile, factors, ahead[1]);
                }
            } else {
                unreachable!("a panel in parts goes alone");
            }
        }
    }
}
