//! The products of one step: all rows times all panels, tile by tile.
//!
//! ```text
//! for each panel
//!     for each row
//!         sums = start + row panel
//! ```
//!
//! 1. A row alone is multiplied by several panels at once: enough sums to hide each other's latency.
//! 2. Rows together share the weights of a panel: they are read once for as many rows as registers
//!    hold sums of, and stay near for the other rows. Where the nearest cache holds all weights there is
//!    nothing to share, and rows go one by one.
//! 3. Panels are visited forwards on even steps and backwards on odd ones, so that the part of U that
//!    the cache still holds is read first.
//! 4. A tile of a row alone goes on to the cell's formula in registers. Where gates lie side by side there
//!    are so few kinds of them that they need not be called; another is a function of its own
//!    ([`Simd::fenced`]), which has all registers for itself. So are rows one by one, unless such a call would be
//!    felt ([`Tile::APART`]): of weights of f32.
//! 5. Of bytes a row alone is a tile of rows as well where a product is so many instructions that there is
//!    no latency to hide.
//! 6. Weights in tiles, and many rows of bytes, are multiplied by a matrix unit ([`tiles`](super::tiles)).

use std::ops::Range;

use super::rows::rows_together;
use super::sums::{Terms, sums};
use super::tiles::rows_by_unit;
use super::{Place, Tile};
use crate::gemm::rows::Rows;
use crate::gemm::tile::Ahead;
use crate::gemm::weights::Written;
use crate::pack::{Columns, PackedMatrix};
use crate::simd::{Registers, Simd, Work};
use crate::tuning::{WEIGHTS_FOR_ROWS_ALONE, may_be_parted, may_be_three, panels_at_once};

/// What [`sweep`] multiplies.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a, F> {
    /// How the weights are written down.
    pub(crate) written: F,
    pub(crate) weights: &'a PackedMatrix,
    pub(crate) chains: usize,
    pub(crate) rows: Rows<'a>,
    pub(crate) step: usize,
}

impl<F> Product<'_, F> {
    /// Where the vectors of a panel are among those of all.
    #[inline(always)]
    pub(super) fn first_block<S: Simd>(&self, panel: usize) -> usize {
        match self.weights.layout.columns {
            Columns::Gates { .. } => panel,
            Columns::Plain { .. } => self.weights.layout.first_column(panel) / S::LANES,
        }
    }
}

/// Multiplies all rows by panels of any kind, 1 to 4 vectors wide, once.
///
/// # Safety
///
/// As [`sweep`], for every number of vectors.
#[inline(always)]
pub(crate) unsafe fn sweep_any<S: Simd, F: Written, T>(
    s: S,
    product: Product<'_, F>,
    panels: Range<usize>,
    tile: &mut T,
) where
    T: Tile<S, 1> + Tile<S, 2> + Tile<S, 3> + Tile<S, 4>,
{
    let layout = &product.weights.layout;
    let (start, end, wider) = (panels.start, panels.end, layout.wider);
    for panels in [start..end.min(wider), start.max(wider)..end] {
        if panels.is_empty() {
            continue;
        }
        macro_rules! sweep_of {
            ($vectors:literal) => {{
                let sweep = Sweep::<F, T, $vectors> { product, panels, tile };
                if const { <T as Tile<S, $vectors>>::APART } {
                    s.fenced(sweep)
                } else {
                    sweep.run(s)
                }
            }};
        }
        // The caller vouches for all that a sweep asks; these panels have so many vectors.
        match layout.vectors_of(panels.start) {
            1 => sweep_of!(1),
            2 => sweep_of!(2),
            3 => sweep_of!(3),
            4 => sweep_of!(4),
            other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
        }
    }
}

/// A [`sweep`], for whose promises stands who makes one.
struct Sweep<'p, 't, F, T, const VECTORS: usize> {
    product: Product<'p, F>,
    panels: Range<usize>,
    tile: &'t mut T,
}

impl<S: Simd, F: Written, T: Tile<S, VECTORS>, const VECTORS: usize> Work<S>
    for Sweep<'_, '_, F, T, VECTORS>
{
    #[inline(always)]
    fn run(self, s: S) {
        // SAFETY: who made this vouches for it.
        unsafe { sweep::<S, F, T, VECTORS>(s, self.product, self.panels, self.tile) };
    }
}

/// Multiplies all rows by some panels, once.
///
/// # Safety
///
/// The weights are packed for `S`, with `VECTORS` vectors in each of `panels`; `rows` holds `batch`
/// rows of at least `weights.depth` numbers; `tile` accepts every row and these panels.
#[inline(always)]
pub(crate) unsafe fn sweep<S: Simd, F: Written, T: Tile<S, VECTORS>, const VECTORS: usize>(
    s: S,
    product: Product<'_, F>,
    panels: Range<usize>,
    tile: &mut T,
) {
    let registers = product.weights.layout.registers;
    debug_assert_eq!(registers, Registers::of::<S>(), "packed for another level");
    debug_assert_eq!(product.weights.format, F::FORMAT, "written down in another way");
    debug_assert!(panels.end <= product.weights.layout.panels, "panels of a sweep");
    if const { F::BY_UNIT } {
        // SAFETY: passed on.
        unsafe { rows_by_unit::<S, F, T, VECTORS>(s, product, panels, tile) };
        return;
    }
    let mut walk = Walk { product, panels, tile };
    if const { F::BYTES && !S::BYTES_ARE_SHIFTED } {
        while !walk.panels.is_empty() {
            // SAFETY: passed on; a panel is left.
            unsafe { walk.together::<S, 1, VECTORS>(s) };
        }
        return;
    }
    let batch = product.rows.batch;
    let near = T::BLOCKS == 1 && product.weights.weights.len() <= WEIGHTS_FOR_ROWS_ALONE;
    let alone = batch == 1 || near;
    let at_once = panels_at_once::<S>(VECTORS, if alone { 1 } else { batch }).min(T::PANELS);
    while !walk.panels.is_empty() {
        let left = walk.panels.len();
        // One more than a tile takes are one tile if all its chains fit, or two of much the same size.
        let next = match left == at_once + 1 {
            true if alone && const { three_fit::<S, T, VECTORS>() } => left,
            true => left.div_ceil(2),
            false => left.min(at_once),
        };
        // SAFETY: passed on; so many panels are left.
        unsafe {
            match (alone, next) {
                (true, 1) => walk.alone::<S, 1, VECTORS>(s),
                (true, 2) if const { T::PANELS >= 2 } => walk.alone::<S, 2, VECTORS>(s),
                (true, 3) if const { T::PANELS >= 3 && VECTORS <= 3 || three_fit::<S, T, VECTORS>() } =>
                {
                    walk.alone::<S, 3, VECTORS>(s);
                }
                (true, 4) if const { T::PANELS >= 4 && VECTORS <= 2 } => {
                    walk.alone::<S, 4, VECTORS>(s);
                }
                (false, 1) => walk.together::<S, 1, VECTORS>(s),
                (false, 2) if const { T::PANELS >= 2 && 4 * VECTORS <= S::ACCUMULATORS } => {
                    walk.together::<S, 2, VECTORS>(s);
                }
                (_, other) => unreachable!("no tile is {other} panels wide"),
            }
        }
    }
}

/// Whether a row alone may take three panels at once where it usually takes two.
const fn three_fit<S: Simd, T: Tile<S, VECTORS>, const VECTORS: usize>() -> bool {
    T::PANELS >= 3 && may_be_three(S::ACCUMULATORS, VECTORS)
}

/// Some panels, and those that are visited next.
#[derive(Clone, Copy)]
pub(super) struct Visit {
    pub(super) first_panel: usize,
    /// The first panel of the next visit.
    pub(super) next: Option<usize>,
}

/// A sweep on its way.
struct Walk<'p, 't, F, T> {
    product: Product<'p, F>,
    /// Those to be visited.
    panels: Range<usize>,
    tile: &'t mut T,
}

impl<F: Written, T> Walk<'_, '_, F, T> {
    /// The next `BLOCKS` panels times all rows, which share each weight.
    ///
    /// # Safety
    ///
    /// As [`sweep`], and as many panels are left.
    #[inline(always)]
    unsafe fn together<S: Simd, const BLOCKS: usize, const VECTORS: usize>(&mut self, s: S)
    where
        T: Tile<S, VECTORS>,
    {
        let first_panel = self.step(BLOCKS);
        let next = match self.panels.len() {
            left if left < BLOCKS => None,
            _ if self.forwards() => Some(self.panels.start),
            _ => Some(self.panels.end - BLOCKS),
        };
        let visit = Visit { first_panel, next };
        // SAFETY: passed on.
        unsafe { rows_together::<S, F, T, BLOCKS, VECTORS>(s, self.product, visit, self.tile) };
    }

    /// The next `BLOCKS` panels times one row after the other.
    ///
    /// # Safety
    ///
    /// As [`sweep`], and as many panels are left.
    #[inline(always)]
    unsafe fn alone<S: Simd, const BLOCKS: usize, const VECTORS: usize>(&mut self, s: S)
    where
        T: Tile<S, VECTORS>,
    {
        let first_panel = self.step(BLOCKS);
        let batch = self.product.rows.batch;
        // Only gates side by side, in one piece, may lie so near that rows go one by one.
        if const { !F::BYTES && may_be_parted(S::ACCUMULATORS, VECTORS) }
            && self.product.weights.layout.parted
        {
            s.fenced(self.tile_of::<BLOCKS, VECTORS, 2>(0, first_panel));
        } else if const { T::BLOCKS != 1 } {
            s.fenced(self.tile_of::<BLOCKS, VECTORS, VECTORS>(0, first_panel));
        } else if batch == 1 {
            // By itself: a loop over rows would cost a single one some percent.
            self.tile_of::<BLOCKS, VECTORS, VECTORS>(0, first_panel).run(s);
        } else if const { T::APART || F::IN_A_WORD > 1 } {
            s.fenced(RowsOneByOne(self.tile_of::<BLOCKS, VECTORS, VECTORS>(0, first_panel)));
        } else {
            RowsOneByOne(self.tile_of::<BLOCKS, VECTORS, VECTORS>(0, first_panel)).run(s);
        }
    }

    /// Takes the next so many panels, and says which is the first.
    #[inline(always)]
    fn step(&mut self, blocks: usize) -> usize {
        if self.forwards() {
            self.panels.start += blocks;
            self.panels.start - blocks
        } else {
            self.panels.end -= blocks;
            self.panels.end
        }
    }

    #[inline(always)]
    fn forwards(&self) -> bool {
        self.product.step.is_multiple_of(2)
    }

    #[inline(always)]
    fn tile_of<const BLOCKS: usize, const VECTORS: usize, const PART: usize>(
        &mut self,
        row: usize,
        first_panel: usize,
    ) -> RowAlone<'_, '_, F, T, BLOCKS, VECTORS, PART> {
        RowAlone { product: self.product, row, first_panel, tile: self.tile }
    }
}

/// One row times `BLOCKS` panels, which lie in parts of `PART` vectors.
///
/// Who makes one vouches for all that [`sweep`] asks, and that there are such a row and panels.
struct RowAlone<'p, 't, F, T, const BLOCKS: usize, const VECTORS: usize, const PART: usize> {
    product: Product<'p, F>,
    row: usize,
    first_panel: usize,
    tile: &'t mut T,
}

/// Every row of a batch alone, from the one given on.
struct RowsOneByOne<'p, 't, F, T, const BLOCKS: usize, const VECTORS: usize>(
    RowAlone<'p, 't, F, T, BLOCKS, VECTORS, VECTORS>,
);

impl<S, F, T, const BLOCKS: usize, const VECTORS: usize> Work<S>
    for RowsOneByOne<'_, '_, F, T, BLOCKS, VECTORS>
where
    S: Simd,
    F: Written,
    T: Tile<S, VECTORS>,
{
    #[inline(always)]
    fn run(self, s: S) {
        let Self(RowAlone { product, row, first_panel, tile }) = self;
        for row in row..product.rows.batch {
            RowAlone::<_, _, BLOCKS, VECTORS, VECTORS> { product, row, first_panel, tile }.run(s);
        }
    }
}

impl<S, F, T, const BLOCKS: usize, const VECTORS: usize, const PART: usize> Work<S>
    for RowAlone<'_, '_, F, T, BLOCKS, VECTORS, PART>
where
    S: Simd,
    F: Written,
    T: Tile<S, VECTORS>,
{
    #[inline(always)]
    fn run(self, s: S) {
        if const { BLOCKS * VECTORS > S::ACCUMULATORS } {
            unreachable!("a tile has as many sums as the level has accumulators");
        }
        let Self { product, row, first_panel, tile } = self;
        let Product { written, weights, chains, rows, .. } = product;
        debug_assert!((row + 1) * rows.stride <= rows.numbers.len(), "rows of a tile");
        let input = rows.numbers.as_ptr().wrapping_add(row * rows.stride);
        let first_block = product.first_block::<S>(first_panel);
        let (mut places, mut start) =
            ([Place::default(); BLOCKS], [[[s.splat(0.0); VECTORS]; BLOCKS]; 1]);
        for block in 0..BLOCKS {
            places[block] = Place { row, block: first_block + block * T::BLOCKS };
            // SAFETY: who made this vouches for the row and the panels.
            start[0][block] = unsafe { tile.start(s, places[block]) };
        }
        let depth = weights.depth;
        let terms = Terms { written, depth, steps: [0, depth], chains };
        let panels = terms.panels::<S, BLOCKS, VECTORS>(weights.start_of_panel(first_panel));
        // SAFETY: a row has `depth` numbers and a panel covers them, and lies as its layout says; who made
        // this vouches for the row and the panels.
        unsafe {
            let [total] = sums::<S, F, 1, BLOCKS, VECTORS, PART>(
                s,
                start,
                [input],
                panels,
                terms,
                Ahead::NOTHING,
            );
            tile.finish(s, places, total);
        }
    }
}
