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
//!    Of a panel in two parts a tile makes the sums of one after the other: that takes twice the rows.
//! 3. Panels are visited forwards on even steps and backwards on odd ones, so that the part of U that
//!    the cache still holds is read first.
//! 4. A tile is a function of its own ([`Simd::fenced`]): it has all registers for itself. Only for a
//!    row alone and gates side by side there are so few kinds of tiles that they need not be called.

use std::ops::Range;

use super::sums::sums;
use super::{Place, Tile};
use crate::gemm::tile::{Ahead, Sums};
use crate::gemm::weights::Written;
use crate::pack::{Columns, PackedMatrix};
use crate::simd::{Registers, Simd, Work};
use crate::tuning::{
    ROWS_TO_FETCH, SUMS_AT_ONCE, WEIGHTS_FOR_ROWS_ALONE, WEIGHTS_TO_FETCH, may_be_parted,
    panels_at_once, tile_height,
};

/// The rows that are multiplied: `[batch, stride]`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) stride: usize,
    pub(crate) batch: usize,
}

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
        // SAFETY: passed on; these panels have so many vectors.
        unsafe {
            match layout.vectors_of(panels.start) {
                1 => sweep::<S, F, T, 1>(s, product, panels, tile),
                2 => sweep::<S, F, T, 2>(s, product, panels, tile),
                3 => sweep::<S, F, T, 3>(s, product, panels, tile),
                4 => sweep::<S, F, T, 4>(s, product, panels, tile),
                other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
            }
        }
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
    let batch = product.rows.batch;
    let near = T::BLOCKS == 1 && product.weights.weights.len() <= WEIGHTS_FOR_ROWS_ALONE;
    let at_once = panels_at_once::<S>(VECTORS, if near { batch.min(1) } else { batch });
    let at_once = at_once.min(T::PANELS);
    let mut walk = Walk { product, panels, near, tile };
    while !walk.panels.is_empty() {
        let left = walk.panels.len();
        // One more than a tile takes are two tiles of much the same size.
        let next = if left == at_once + 1 { left.div_ceil(2) } else { left.min(at_once) };
        // SAFETY: passed on; so many panels are left.
        unsafe {
            match next {
                1 => walk.tiles::<S, 1, VECTORS>(s),
                2 if const { T::PANELS >= 2 } => walk.tiles::<S, 2, VECTORS>(s),
                3 if const { T::PANELS >= 3 } => walk.tiles::<S, 3, VECTORS>(s),
                4 if const { T::PANELS >= 4 } => walk.tiles::<S, 4, VECTORS>(s),
                other => unreachable!("no tile is {other} panels wide"),
            }
        }
    }
}

/// A sweep on its way.
struct Walk<'p, 't, F, T> {
    product: Product<'p, F>,
    /// Those to be visited.
    panels: Range<usize>,
    /// Whether rows go one by one.
    near: bool,
    tile: &'t mut T,
}

impl<F: Written, T> Walk<'_, '_, F, T> {
    /// The next `BLOCKS` panels times all rows.
    ///
    /// # Safety
    ///
    /// As [`sweep`], and as many panels are left.
    #[inline(always)]
    unsafe fn tiles<S: Simd, const BLOCKS: usize, const VECTORS: usize>(&mut self, s: S)
    where
        T: Tile<S, VECTORS>,
    {
        let first_panel = if self.product.step.is_multiple_of(2) {
            self.panels.start += BLOCKS;
            self.panels.start - BLOCKS
        } else {
            self.panels.end -= BLOCKS;
            self.panels.end
        };
        let batch = self.product.rows.batch;
        if const { may_be_parted(S::ACCUMULATORS, VECTORS) } && self.product.weights.layout.parted {
            self.rows::<S, BLOCKS, VECTORS, 2>(s, first_panel);
            return;
        }
        let alone = const { T::BLOCKS == 1 && BLOCKS <= SUMS_AT_ONCE.div_ceil(VECTORS) };
        // By itself: a loop over rows would cost a single one some percent.
        if alone && batch == 1 {
            self.tile_of::<1, BLOCKS, VECTORS, VECTORS>(0, first_panel, Ahead::NOTHING).run(s);
        } else if alone && self.near {
            for row in 0..batch {
                self.tile_of::<1, BLOCKS, VECTORS, VECTORS>(row, first_panel, Ahead::NOTHING)
                    .run(s);
            }
        } else {
            self.rows::<S, BLOCKS, VECTORS, VECTORS>(s, first_panel);
        }
    }

    /// Some panels, which lie in parts of `PART` vectors, times all rows, in tiles as high as may be.
    #[inline(always)]
    fn rows<S: Simd, const BLOCKS: usize, const VECTORS: usize, const PART: usize>(
        &mut self,
        s: S,
        first_panel: usize,
    ) where
        T: Tile<S, VECTORS>,
    {
        let batch = self.product.rows.batch;
        let next = self.next_panels::<S, BLOCKS, VECTORS>();
        let mut row = 0;
        while row < batch {
            let height = tile_height::<S>(batch - row, vectors_at_once(BLOCKS, VECTORS, PART));
            let ahead = next.share(row, row + height, batch);
            match height {
                1 => s.fenced(self.tile_of::<1, BLOCKS, VECTORS, PART>(row, first_panel, ahead)),
                2 => s.fenced(self.tile_of::<2, BLOCKS, VECTORS, PART>(row, first_panel, ahead)),
                3 => s.fenced(self.tile_of::<3, BLOCKS, VECTORS, PART>(row, first_panel, ahead)),
                4 => s.fenced(self.tile_of::<4, BLOCKS, VECTORS, PART>(row, first_panel, ahead)),
                6 => s.fenced(self.tile_of::<6, BLOCKS, VECTORS, PART>(row, first_panel, ahead)),
                other => unreachable!("no tile is {other} rows high"),
            }
            row += height;
        }
    }

    /// The panels to be visited next.
    #[inline(always)]
    fn next_panels<S: Simd, const BLOCKS: usize, const VECTORS: usize>(&self) -> Ahead {
        let Product { weights, rows, .. } = self.product;
        let pays = weights.weights.len() >= WEIGHTS_TO_FETCH && rows.batch >= ROWS_TO_FETCH;
        if self.panels.len() < BLOCKS || !pays {
            return Ahead::NOTHING;
        }
        let first = if self.product.step.is_multiple_of(2) {
            self.panels.start
        } else {
            self.panels.end - BLOCKS
        };
        let numbers = BLOCKS * VECTORS * S::LANES * weights.words();
        Ahead::of(weights.panel(first).as_ptr(), numbers)
    }

    #[inline(always)]
    fn tile_of<const ROWS: usize, const BLOCKS: usize, const VECTORS: usize, const PART: usize>(
        &mut self,
        first_row: usize,
        first_panel: usize,
        ahead: Ahead,
    ) -> TileWork<'_, '_, F, T, ROWS, BLOCKS, VECTORS, PART> {
        TileWork { product: self.product, first_row, first_panel, ahead, tile: self.tile }
    }
}

/// The vectors that a tile sums at once for each row: all of several panels, or a part of one.
const fn vectors_at_once(blocks: usize, vectors: usize, part: usize) -> usize {
    if blocks == 1 { part } else { blocks * vectors }
}

/// One tile: `ROWS` rows times `BLOCKS` panels, which lie in parts of `PART` vectors.
///
/// Who makes one vouches for all that [`sweep`] asks, and that there are such rows and panels.
struct TileWork<
    'p,
    't,
    F,
    T,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
    const PART: usize,
> {
    product: Product<'p, F>,
    first_row: usize,
    first_panel: usize,
    ahead: Ahead,
    tile: &'t mut T,
}

impl<S, F, T, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize, const PART: usize>
    Work<S> for TileWork<'_, '_, F, T, ROWS, BLOCKS, VECTORS, PART>
where
    S: Simd,
    F: Written,
    T: Tile<S, VECTORS>,
{
    #[inline(always)]
    fn run(self, s: S) {
        if const { ROWS * vectors_at_once(BLOCKS, VECTORS, PART) > S::ACCUMULATORS } {
            unreachable!("a tile has as many sums as the level has accumulators");
        }
        let Self { product, first_row, first_panel, ahead, tile } = self;
        let Product { weights, rows, .. } = product;
        debug_assert!((first_row + ROWS) * rows.stride <= rows.numbers.len(), "rows of a tile");
        let mut inputs = [std::ptr::null(); ROWS];
        for row in 0..ROWS {
            inputs[row] = rows.numbers.as_ptr().wrapping_add((first_row + row) * rows.stride);
        }
        // Where the vectors of the first panel are among those of all.
        let place = match weights.layout.columns {
            Columns::Gates { .. } => first_panel,
            Columns::Plain { .. } => weights.layout.first_column(first_panel) / S::LANES,
        };
        let mut start = [[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS];
        for row in 0..ROWS {
            for block in 0..BLOCKS {
                let place = Place { row: first_row + row, block: place + block * T::BLOCKS };
                // SAFETY: who made this vouches for the rows and panels.
                start[row][block] = unsafe { tile.start(s, place) };
            }
        }
        let of = (product, first_panel);
        // SAFETY: a row has `depth` numbers and a panel covers them, and lies as its layout says.
        let total =
            unsafe { sums::<S, F, ROWS, BLOCKS, VECTORS, PART>(s, start, inputs, of, ahead) };
        // SAFETY: who made this vouches for the rows and panels.
        unsafe { finish(s, tile, Place { row: first_row, block: place }, total) };
    }
}

/// Gives a tile's sums away, side by side what may be: all rows of a panel, or all panels of a row.
///
/// # Safety
///
/// `tile` accepts these rows and panels, of which `first` are the first.
#[inline(always)]
unsafe fn finish<S, T, const ROWS: usize, const BLOCKS: usize, const VECTORS: usize>(
    s: S,
    tile: &mut T,
    first: Place,
    sums: Sums<S::V, ROWS, BLOCKS, VECTORS>,
) where
    S: Simd,
    T: Tile<S, VECTORS>,
{
    if const { BLOCKS == 1 && ROWS.is_multiple_of(2) && ROWS * VECTORS > S::ACCUMULATORS } {
        // More sums than registers: two rows at a time.
        for pair in 0..ROWS / 2 {
            let mut places = [Place { row: first.row + 2 * pair, ..first }; 2];
            places[1].row += 1;
            // SAFETY: passed on.
            unsafe { tile.finish(s, places, [sums[2 * pair][0], sums[2 * pair + 1][0]]) };
        }
    } else if const { BLOCKS == 1 } {
        let mut places = [first; ROWS];
        let mut of_rows = [[s.splat(0.0); VECTORS]; ROWS];
        for row in 0..ROWS {
            places[row].row += row;
            of_rows[row] = sums[row][0];
        }
        // SAFETY: passed on.
        unsafe { tile.finish(s, places, of_rows) };
    } else {
        for row in 0..ROWS {
            let mut places = [first; BLOCKS];
            for block in 0..BLOCKS {
                places[block].row += row;
                places[block].block += block * T::BLOCKS;
            }
            // SAFETY: passed on.
            unsafe { tile.finish(s, places, sums[row]) };
        }
    }
}
