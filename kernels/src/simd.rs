//! The vector operations that algorithms may use: all that the rest of the crate knows of a CPU.
//!
//! A value of a type that implements [`Simd`] proves that the CPU has the features of its level, so
//! every operation on it is safe but those that take pointers. What makes f32 of f32 is
//! [`Arithmetic`]; what is here brings them from memory and keeps them in registers, reads other ways of
//! writing numbers down, and multiplies bytes.

use crate::arithmetic::Arithmetic;

/// The registers of a level, as far as they decide the order of weights in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    /// Numbers in a vector.
    pub(crate) lanes: usize,
    /// Accumulators that a tile may keep beside its weights and broadcasts.
    pub(crate) accumulators: usize,
}

impl Registers {
    pub(crate) const fn of<S: Simd>() -> Self {
        Self { lanes: S::LANES, accumulators: S::ACCUMULATORS }
    }
}

/// Something to do with the vectors of a level, for [`Simd::fenced`].
pub(crate) trait Work<S: Simd> {
    /// Does it. `#[inline(always)]`.
    fn run(self, s: S);
}

/// A level's vectors of `LANES` f32.
///
/// Implementations are `#[inline(always)]` throughout, and so is every function generic over this
/// trait: they become part of the one function that enables the level's features.
pub(crate) trait Simd: Arithmetic {
    /// Four bytes of a row, made ready for [`dot_bytes`](Self::dot_bytes).
    type Bytes: Copy;

    /// Numbers in a vector.
    const LANES: usize;
    /// Accumulators that a tile may keep in registers beside its weights and broadcasts.
    const ACCUMULATORS: usize;
    /// Whether a row's bytes are multiplied as 128 more than they are, as unsigned ones: sums start from
    /// what that is too much.
    const BYTES_ARE_SHIFTED: bool;

    /// Does the work in a function of its own that has the level's features: a function whose
    /// registers the compiler allots by themselves.
    fn fenced<W: Work<Self>>(self, work: W);

    /// `v`, which the compiler has made before it goes on: nothing that follows is moved before it.
    /// No instruction. For loops that have no register to spare.
    fn settled(self, v: Self::V) -> Self::V;

    /// Leaves `v` in memory: it takes no register until it is read again.
    fn parked(self, v: &mut Self::V);

    /// `at`, of which the compiler has forgotten where it comes from: what is read from there is read
    /// again. No instruction. For loops that have no register to keep it in.
    fn anew(self, at: *const f32) -> *const f32;

    /// Asks for the cache line at `at`, which need not exist, to be brought near: `NEAREST`, or where it is in
    /// nobody's way.
    fn prefetch<const NEAREST: bool>(self, at: *const f32);

    /// Reads `LANES` numbers.
    ///
    /// # Safety
    ///
    /// `from` is valid for reading `LANES` numbers.
    unsafe fn load(self, from: *const f32) -> Self::V;

    /// Reads `LANES` numbers that start on a multiple of a vector's size.
    ///
    /// # Safety
    ///
    /// `from` is valid for reading `LANES` numbers, and so aligned.
    unsafe fn load_aligned(self, from: *const f32) -> Self::V;

    /// The numbers whose upper halves are the lower halves of the lanes of `words`.
    fn low_halves(self, words: Self::V) -> Self::V;

    /// The lanes of `words`, their lower halves zero.
    fn high_halves(self, words: Self::V) -> Self::V;

    /// Reads a word of four bytes of a row.
    ///
    /// # Safety
    ///
    /// `from` is valid for reading one number.
    unsafe fn load_bytes(self, from: *const f32) -> Self::Bytes;

    /// In each lane an integer, to which are added the products of the lane's four signed bytes and those
    /// of a row, which are signed as well, or shifted; none that is signed is -128, unless whatever is made
    /// of the sum is NaN.
    fn dot_bytes(self, integers: Self::V, words: Self::V, bytes: Self::Bytes) -> Self::V;

    /// The numbers nearest to the integers of the lanes, the even one of two.
    fn to_numbers(self, integers: Self::V) -> Self::V;

    /// Reads one number into every lane.
    ///
    /// # Safety
    ///
    /// `from` is valid for reading one number.
    unsafe fn load_splat(self, from: *const f32) -> Self::V;

    /// Reads `count` numbers, at most `LANES`, and puts zeros behind them.
    ///
    /// # Safety
    ///
    /// `from` is valid for reading `count` numbers.
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::V;

    /// Writes `LANES` numbers.
    ///
    /// # Safety
    ///
    /// `to` is valid for writing `LANES` numbers.
    unsafe fn store(self, to: *mut f32, v: Self::V);

    /// Writes the first `count` numbers, at most `LANES`.
    ///
    /// # Safety
    ///
    /// `to` is valid for writing `count` numbers.
    unsafe fn store_first(self, to: *mut f32, count: usize, v: Self::V);
}
