//! Matrix products over prepacked weights: the projection and the dense head.
//!
//! ```text
//! for each row m (a step of a sequence)
//!     for each output n
//!         output[m][n] = bias[n] + input[m][0] W[n][0] + input[m][1] W[n][1] + ...
//! ```
//!
//! 1. Panels outside, rows inside: a panel stays in the nearest cache for all rows.
//! 2. Rows go in tiles as high as the registers allow ([`tile`]).
//! 3. Long dot products are cut (KC), so that the part of a panel in use stays in L1; between the
//!    parts a sum rests in the output, unrounded because it is f32 either way. Those of bytes, a quarter as
//!    long, are not.
//! 4. While a panel is in use, the next is fetched.
//! 5. A row alone has no use for a panel twice: its dot products are not cut, and two panels at once hide more
//!    of the latency of its sums, where registers are enough and a product is one instruction.
//! 6. Weights in tiles, and many rows of bytes, are multiplied by a matrix unit ([`by_unit`]).
//! 7. What a recurrence reads panel by panel is so written ([`StepOrder`]): a tile's outputs are one piece of
//!    memory.

pub(crate) mod by_unit;
mod bytes;
mod matmul;
mod parts;
pub(crate) mod rows;
pub(crate) mod tile;
pub(crate) mod weights;

use std::ops::Range;

use self::tile::{Ahead, accumulate};
use self::weights::{Panels, Written};
use crate::pack::{Order, PackedMatrix, StepOrder};
use crate::simd::{Registers, Simd, Work};
use crate::tuning::{KC, ROWS_TO_FETCH, WEIGHTS_TO_FETCH, max_rows, may_be_parted, tile_height};
use crate::view::{View, ViewMut};

/// What a projection reads and writes.
#[derive(Debug)]
pub(crate) struct ProjectArgs<'a> {
    /// `[time, batch, depth]`
    pub(crate) input: View<'a>,
    pub(crate) weights: &'a PackedMatrix,
    /// `[time, batch, columns]`: all columns of the packed matrix, or only those that are outputs.
    pub(crate) output: ViewMut<'a>,
    /// What of a step of the output lies together; panels only if rows do without gaps, and are whole.
    pub(crate) order: StepOrder,
    /// The panels to multiply by; columns of others stay as they are.
    pub(crate) panels: Range<usize>,
    /// Room for rows made into what they are multiplied as.
    pub(crate) scratch: &'a mut [f32],
}

impl ProjectArgs<'_> {
    /// Panics unless everything fits, which is what [`project`] relies on.
    pub(crate) fn check(&self) {
        let (input, output, weights) = (&self.input, &self.output, self.weights);
        assert_eq!(input.features(), weights.depth, "features of a projection's input");
        assert!(
            output.features() <= weights.layout.width(),
            "features of a projection's output: {} of {}",
            output.features(),
            weights.layout.width()
        );
        assert!(self.panels.end <= weights.layout.panels, "panels of a projection");
        let all = self.panels == (0..weights.layout.panels);
        assert!(all || weights.order == Order::Panels, "some panels of a matrix in one piece");
        let (found, expected) = ((output.time(), output.batch()), (input.time(), input.batch()));
        assert_eq!(found, expected, "time and batch of a projection's output");
        let in_panels = self.order == StepOrder::Panels;
        assert!(
            !in_panels || weights.order == Order::Panels && output.is_whole(weights.layout.width()),
            "pre-activations panel by panel"
        );
        let scratch = weights.words_of_rows(input.time() * input.batch());
        assert!(self.scratch.len() >= scratch, "scratch of a projection");
    }

    /// Where the first column of a panel goes for a row.
    #[inline(always)]
    fn row_of_panel(&mut self, RowCursor { time, batch, .. }: RowCursor, panel: usize) -> *mut f32 {
        let layout = &self.weights.layout;
        let column = layout.first_column(panel);
        match self.order {
            StepOrder::Rows => self.output.row_start(time, batch).wrapping_add(column),
            StepOrder::Panels => {
                let width = layout.vectors_of(panel) * layout.registers.lanes;
                let before = column * self.output.batch() + batch * width;
                self.output.row_start(time, 0).wrapping_add(before)
            }
        }
    }
}

/// Multiplies every row by the weights and adds the bias.
///
/// # Safety
///
/// `args.check()` has passed, and the weights are packed for `S`, and so written down.
#[inline(always)]
pub(crate) unsafe fn project<S: Simd, F: Written>(s: S, written: F, args: &mut ProjectArgs<'_>) {
    let registers = args.weights.layout.registers;
    debug_assert_eq!(registers, Registers::of::<S>(), "packed for another level");
    debug_assert_eq!(args.weights.format, F::FORMAT, "written down in another way");
    if args.weights.order == Order::Whole {
        matmul::project_by_matrixmultiply(args);
        return;
    }
    if const { F::BYTES } {
        bytes::quantise(s, &args.input, args.scratch);
    }
    if const { F::IN_TILES } {
        parts::make::<S, F>(s, &args.input, args.scratch);
    }
    if const { F::BY_UNIT } {
        // SAFETY: passed on; the rows are made.
        unsafe { by_unit::project::<S, F>(s, written.unit(), args) };
        return;
    }
    let depth = args.weights.depth;
    let alone = args.input.time() * args.input.batch() == 1;
    // A scale is of a whole product.
    let most = if const { F::BYTES } || alone { depth } else { KC };
    let mut start = 0;
    loop {
        let end = depth.min(start + most);
        let mut panels = args.panels.clone();
        if const { !F::BYTES || S::BYTES_ARE_SHIFTED } && alone {
            // The caller vouches for all of it; there is one row, and nothing is cut.
            s.fenced(ProjectPairs { written, args, panels: &mut panels });
        }
        for panel in panels {
            for vectors in columns_at_once::<S>(args, panel) {
                let columns = Columns { panel, first: vectors.start };
                macro_rules! columns {
                    ($vectors:literal) => {
                        s.fenced(ProjectColumns::<F, $vectors> {
                            written,
                            args,
                            columns,
                            steps: [start, end],
                        })
                    };
                }
                // The caller vouches for all of it; each is made for the number of vectors that there are, and
                // start..end lies inside the depth.
                match vectors.len() {
                    0 => {}
                    1 => columns!(1),
                    2 => columns!(2),
                    3 => columns!(3),
                    4 => columns!(4),
                    other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
                }
            }
        }
        start = end;
        if start == depth {
            break;
        }
    }
}

/// [`project_pairs`], for whose promises stands who makes one: a function of its own, because one of all tiles
/// would take minutes to compile.
struct ProjectPairs<'a, 'v, F> {
    written: F,
    args: &'a mut ProjectArgs<'v>,
    panels: &'a mut Range<usize>,
}

impl<S: Simd, F: Written> Work<S> for ProjectPairs<'_, '_, F> {
    #[inline(always)]
    fn run(self, s: S) {
        // SAFETY: who made this vouches for it.
        unsafe { project_pairs::<S, F>(s, self.written, self.args, self.panels) };
    }
}

/// Multiplies a row alone by pairs of panels, as long as two are as wide and the level has registers for
/// both; `panels` are those left.
///
/// # Safety
///
/// As [`project`]; there is one row.
#[inline(always)]
unsafe fn project_pairs<S: Simd, F: Written>(
    s: S,
    written: F,
    args: &mut ProjectArgs<'_>,
    panels: &mut Range<usize>,
) {
    let depth = args.weights.depth;
    while panels.len() >= 2 {
        let columns = Columns { panel: panels.start, first: 0 };
        let vectors = args.weights.layout.vectors_of(columns.panel);
        let next = args.weights.layout.vectors_of(columns.panel + 1);
        if next != vectors || 2 * vectors > S::ACCUMULATORS {
            break;
        }
        let row = &mut RowCursor { time: 0, batch: 0, batch_len: 1 };
        macro_rules! pair {
            ($vectors:literal) => {
                project_tile::<S, F, 1, 2, $vectors>(
                    s,
                    written,
                    args,
                    row,
                    columns,
                    [0, depth],
                    Ahead::NOTHING,
                )
            };
        }
        // SAFETY: passed on; both panels have so many vectors.
        unsafe {
            match vectors {
                1 => pair!(1),
                2 => pair!(2),
                3 => pair!(3),
                4 => pair!(4),
                other => unreachable!("panels are 1 to 4 vectors wide, not {other}"),
            }
        }
        panels.start += 2;
    }
}

/// The vectors of a panel that are multiplied at once: all, or one part after the other if a tile takes
/// all rows of a part but not of a panel, which reads each weight once.
#[inline(always)]
fn columns_at_once<S: Simd>(args: &ProjectArgs<'_>, panel: usize) -> [Range<usize>; 2] {
    let rows = args.input.time() * args.input.batch();
    let [one, other] = args.weights.layout.parts(panel);
    let fits = |vectors| rows <= max_rows(S::ACCUMULATORS, vectors);
    if fits(one.len()) && !fits(other.end) { [one, other] } else { [0..other.end, 0..0] }
}

/// Some vectors of a panel from `first` on.
#[derive(Clone, Copy)]
struct Columns {
    panel: usize,
    first: usize,
}

/// [`project_columns`], likewise.
struct ProjectColumns<'a, 'v, F, const VECTORS: usize> {
    written: F,
    args: &'a mut ProjectArgs<'v>,
    columns: Columns,
    steps: [usize; 2],
}

impl<S: Simd, F: Written, const VECTORS: usize> Work<S> for ProjectColumns<'_, '_, F, VECTORS> {
    #[inline(always)]
    fn run(self, s: S) {
        let Self { written, args, columns, steps } = self;
        // SAFETY: who made this vouches for it.
        unsafe { project_columns::<S, F, VECTORS>(s, written, args, columns, steps) };
    }
}

/// # Safety
///
/// As [`project`]; `start..end` lies inside the depth, and `columns` are `VECTORS` vectors.
#[inline(always)]
unsafe fn project_columns<S: Simd, F: Written, const VECTORS: usize>(
    s: S,
    written: F,
    args: &mut ProjectArgs<'_>,
    columns: Columns,
    steps: [usize; 2],
) {
    let rows = args.input.time() * args.input.batch();
    let mut row = RowCursor { time: 0, batch: 0, batch_len: args.input.batch() };
    let mut next = Next::of(args, columns.panel, steps);
    let mut done = 0;
    while done < rows {
        let height = tile_height::<S>(rows - done, VECTORS);
        let ahead = next.share(done, done + height, steps[1] - steps[0]);
        macro_rules! tile {
            ($rows:literal) => {
                project_tile::<S, F, $rows, 1, VECTORS>(
                    s, written, args, &mut row, columns, steps, ahead,
                )
            };
        }
        // SAFETY: passed on; `height` rows are left.
        unsafe {
            match height {
                1 => tile!(1),
                2 => tile!(2),
                3 => tile!(3),
                4 => tile!(4),
                6 => tile!(6),
                8 => tile!(8),
                other => unreachable!("no tile is {other} rows high"),
            }
        }
        done += height;
    }
}

/// What is multiplied after some steps of a panel: the same steps of the next one, in up to two parts.
struct Next {
    /// Null where there is nothing to fetch.
    parts: [*const f32; 2],
    /// Numbers that a step of a part takes.
    width: usize,
    /// Rows of all tiles.
    rows: usize,
}

impl Next {
    #[inline(always)]
    fn of(args: &ProjectArgs<'_>, panel: usize, [start, _]: [usize; 2]) -> Self {
        let (weights, layout) = (args.weights, &args.weights.layout);
        let (rows, panel) = (args.input.time() * args.input.batch(), panel + 1);
        let mut next = Self { parts: [std::ptr::null(); 2], width: 0, rows };
        let pays = rows >= ROWS_TO_FETCH && weights.weights.len() >= WEIGHTS_TO_FETCH;
        if panel >= args.panels.end || !pays {
            return next;
        }
        for (part, vectors) in next.parts.iter_mut().zip(layout.parts(panel)) {
            if !vectors.is_empty() {
                let width = vectors.len() * layout.registers.lanes;
                let from = weights.part(panel, vectors).as_ptr();
                *part = from.wrapping_add(weights.format.word(start) * width);
                next.width = weights.format.word(width);
            }
        }
        next
    }

    /// What falls to rows `first..end`, which go so many steps: the first half of all rows fetches the
    /// first part.
    #[inline(always)]
    fn share(&mut self, first: usize, end: usize, steps: usize) -> Ahead {
        let [one, other] = self.parts;
        if one.is_null() {
            return Ahead::NOTHING;
        }
        let half = self.rows / 2;
        let (part, of_part) = match other.is_null() {
            true => (0, 0..self.rows),
            false if first < half => (0, 0..half),
            false => (1, half..self.rows),
        };
        let rows = first - of_part.start..end.min(of_part.end) - of_part.start;
        let ahead = Ahead::share(self.parts[part], self.width, rows, of_part.len());
        self.parts[part] = ahead.after(steps);
        ahead
    }
}

/// Where in `[time, batch]` the next row is.
#[derive(Clone, Copy)]
struct RowCursor {
    time: usize,
    batch: usize,
    batch_len: usize,
}

impl RowCursor {
    #[inline(always)]
    fn advance(&mut self) {
        self.batch += 1;
        if self.batch == self.batch_len {
            self.batch = 0;
            self.time += 1;
        }
    }
}

/// Adds the products of the next rows to their sums: by some vectors of a panel, or by all of `BLOCKS`
/// panels.
///
/// # Safety
///
/// As [`project_columns`]; `ROWS` rows are left from `cursor` on, and panels have `VECTORS` vectors if
/// there are several.
#[inline(always)]
unsafe fn project_tile<
    S: Simd,
    F: Written,
    const ROWS: usize,
    const BLOCKS: usize,
    const VECTORS: usize,
>(
    s: S,
    written: F,
    args: &mut ProjectArgs<'_>,
    cursor: &mut RowCursor,
    Columns { panel, first }: Columns,
    [start, end]: [usize; 2],
    ahead: Ahead,
) {
    if const { ROWS * BLOCKS * VECTORS > S::ACCUMULATORS } {
        unreachable!("a tile has as many sums as the level has accumulators");
    }
    let (weights, depth) = (args.weights, args.weights.depth);
    let column = weights.layout.first_column(panel) + first * S::LANES;
    let mut inputs = [std::ptr::null(); ROWS];
    let mut outputs = [std::ptr::null_mut(); ROWS];
    for row in 0..ROWS {
        inputs[row] = if const { F::BYTES } {
            let before = cursor.time * cursor.batch_len + cursor.batch;
            args.scratch.as_ptr().wrapping_add(before * F::words(depth))
        } else {
            args.input.row_start(cursor.time, cursor.batch)
        };
        outputs[row] = args.row_of_panel(*cursor, panel).wrapping_add(first * S::LANES);
        cursor.advance();
    }
    // Where a vector is in a row from these columns on, and how many of its columns the output has.
    let columns = args.output.features().saturating_sub(column);
    let place = |block: usize, vector: usize| {
        let at = (block * VECTORS + vector) * S::LANES;
        (at, columns.saturating_sub(at).min(S::LANES))
    };
    let mut sums = [[[s.splat(0.0); VECTORS]; BLOCKS]; ROWS];
    for block in 0..BLOCKS {
        for vector in 0..VECTORS {
            let (at, count) = place(block, vector);
            for row in 0..ROWS {
                // SAFETY: the bias is as wide as the panels; `count` columns of the output exist.
                sums[row][block][vector] = unsafe {
                    if start == 0 {
                        s.load(weights.bias.as_ptr().add(column + at))
                    } else {
                        s.load_first(outputs[row].wrapping_add(at), count)
                    }
                };
            }
        }
    }
    let mut starts = [weights.part(panel, first..first + VECTORS).as_ptr(); BLOCKS];
    for block in 1..BLOCKS {
        starts[block] = weights.start_of_panel(panel + block);
    }
    // SAFETY: rows have `depth` numbers, of which `end` are read; the panels cover the depth, and lie
    // as their layout says.
    unsafe {
        if const { !F::BYTES && may_be_parted(S::ACCUMULATORS, VECTORS) } && weights.layout.parted {
            let panels = Panels::<F, BLOCKS, VECTORS, 2>::new(written, starts, depth);
            accumulate(s, &mut sums, inputs, panels, [start, end], ahead);
        } else {
            let panels = Panels::<F, BLOCKS, VECTORS, VECTORS>::new(written, starts, depth);
            accumulate(s, &mut sums, inputs, panels, [start, end], ahead);
        }
    }
    for block in 0..BLOCKS {
        for vector in 0..VECTORS {
            let (at, count) = place(block, vector);
            for row in 0..ROWS {
                // SAFETY: `count` columns of the output exist from here on.
                unsafe {
                    let to = outputs[row].wrapping_add(at);
                    if count == S::LANES {
                        s.store(to, sums[row][block][vector]);
                    } else {
                        s.store_first(to, count, sums[row][block][vector]);
                    }
                }
            }
        }
    }
}
