//! The matrix unit that some CPUs have: all that the rest of the crate knows of it.
//!
//! Of numbers in parts, each a bf16:
//!
//! ```text
//! for each block of 32 k
//!     for each two parts [a, b]
//!         for each vector of 16 outputs
//!             sums[row][vector] += rows[block][a][row][32 k] · weights[block][b][vector][32 k][16 outputs]
//! ```
//!
//! It multiplies tiles of bf16 and adds up in f32; which rows share a tile changes no sum. A number that is rounded
//! is one part. A number of f32 is the sum of three ([`bf16`](crate::bf16)), so the products of parts that are not
//! too small to count make one of f32: six of the nine, the largest first.
//!
//! Of bytes, whose products it adds up as integers:
//!
//! ```text
//! for each block of 64 k
//!     for each vector of 16 outputs
//!         sums[row][vector] += rows[row][64 k] · weights[16 words][vector][4 k of 16 outputs]
//! ```

use crate::bf16::ALL_PARTS;

/// Rows of a tile at most.
pub(crate) const ROWS: usize = 16;
/// Terms of a dot product that a tile of rows holds, and one of weights.
pub(crate) const DEPTH: usize = 32;
/// Outputs of a tile of weights: a vector.
pub(crate) const OUTPUTS: usize = 16;
/// Words of a tile: two bf16 each.
pub(crate) const WORDS: usize = 256;

/// How many rows go in a block, of all that there are: blocks are of the same height, for which a unit is
/// prepared once. What is behind the last row is whatever was there, and goes nowhere.
#[inline(always)]
pub(crate) fn height(rows: usize) -> usize {
    rows.div_ceil(rows.div_ceil(ROWS).max(1)).max(1)
}

/// Words of a block of rows whose numbers have so many parts: its tiles, and of those that are split a word for each
/// row, which is 0 if it has them.
#[inline(always)]
pub(crate) fn words_of_block(depth: usize, parts: usize) -> usize {
    let words = if parts == ALL_PARTS { ROWS } else { 0 };
    depth.div_ceil(DEPTH) * parts * WORDS + words
}

/// Words of all blocks that rows are made into.
pub(crate) fn words_of_rows(rows: usize, depth: usize, parts: usize) -> usize {
    rows.div_ceil(height(rows)) * words_of_block(depth, parts)
}

/// What a unit multiplies at once of numbers in parts.
#[cfg_attr(
    any(test, not(target_arch = "x86_64")),
    allow(dead_code, reason = "the only unit is AMX, of x86-64, which unit tests leave out")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiles {
    /// `[block of k][part][row][32 k]`: tiles of [`WORDS`].
    pub(crate) rows: *const f32,
    /// `[block of k][part][vector][pair of k][output][2]`: tiles of [`WORDS`].
    pub(crate) weights: *const f32,
    /// Blocks of k, at least one.
    pub(crate) blocks: usize,
    /// `[row][vector][output]`, without gaps.
    pub(crate) sums: *mut f32,
}

/// What a unit multiplies at once of bytes: rows of shifted ones by signed ones.
#[cfg_attr(
    any(test, not(target_arch = "x86_64")),
    allow(dead_code, reason = "the only unit is AMX, of x86-64, which unit tests leave out")
)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    /// The first row: words of four bytes each.
    pub(crate) rows: *const f32,
    /// Words from one row to the next.
    pub(crate) apart: usize,
    /// `[word][vector][output]`
    pub(crate) weights: *const f32,
    /// Words of a row, and of the weights of an output.
    pub(crate) words: usize,
    /// `[row][vector][output]`, without gaps: integers.
    pub(crate) sums: *mut f32,
}

/// A value of a type that implements this proves that the CPU has the unit, and lets the process use it.
pub(crate) trait MatrixUnit: Copy {
    /// Prepares this thread for tiles of so many rows, 1 to [`ROWS`].
    fn prepare(self, rows: usize);

    /// Prepares this thread for so many rows of so many words of bytes.
    fn prepare_bytes(self, rows: usize, words: usize);

    /// Ends what one of those began.
    fn release(self);

    /// Adds the products of all blocks to the sums of as many rows as the thread is prepared for and of
    /// `VECTORS` vectors, 1 to 4; numbers have `PARTS` parts, one or all.
    ///
    /// # Safety
    ///
    /// The thread is prepared; the pointers are valid for what [`Tiles`] says, of so many rows and vectors.
    unsafe fn multiply<const PARTS: usize, const VECTORS: usize>(self, tiles: Tiles);

    /// The same for bytes.
    ///
    /// # Safety
    ///
    /// The thread is prepared for bytes, and rows of so many words; the pointers are valid for what
    /// [`Bytes`] says, of so many rows and vectors.
    unsafe fn multiply_bytes<const VECTORS: usize>(self, bytes: Bytes);
}

/// For weights that vectors multiply: there is no value of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoUnit {}

impl MatrixUnit for NoUnit {
    fn prepare(self, _: usize) {
        match self {}
    }

    fn prepare_bytes(self, _: usize, _: usize) {
        match self {}
    }

    fn release(self) {
        match self {}
    }

    unsafe fn multiply<const PARTS: usize, const VECTORS: usize>(self, _: Tiles) {
        match self {}
    }

    unsafe fn multiply_bytes<const VECTORS: usize>(self, _: Bytes) {
        match self {}
    }
}
