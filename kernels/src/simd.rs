//! The vector operations that algorithms may use: all that the rest of the crate knows of a CPU.
//!
//! A value of a type that implements [`Simd`] proves that the CPU has the features of its level, so
//! every operation on it is safe but those that take pointers. Each operation is one IEEE 754
//! operation per lane, rounded to nearest even; nothing is estimated, so that levels agree to the
//! bit. The one exception is stated at [`Simd::fma`].

/// 1.5 · 2²³ + 127: a number to which this is added is rounded to an integer n, and the low bits of
/// the sum are n + 127, the exponent of 2ⁿ.
pub(crate) const SHIFTER: f32 = 12_583_039.0;

/// Something to do with the vectors of a level, for [`Simd::fenced`].
pub(crate) trait Work<S: Simd> {
    /// Does it. `#[inline(always)]`.
    fn run(self, s: S);
}

/// A level's vectors of `LANES` f32.
///
/// Implementations are `#[inline(always)]` throughout, and so is every function generic over this
/// trait: they become part of the one function that enables the level's features.
pub(crate) trait Simd: Copy {
    /// A vector.
    type V: Copy;
    /// A yes or no for each lane.
    type Mask: Copy;

    /// Numbers in a vector.
    const LANES: usize;
    /// Accumulators that a tile may keep in registers beside its weights and broadcasts.
    const ACCUMULATORS: usize;

    /// Does the work in a function of its own that has the level's features: a function whose
    /// registers the compiler allots by themselves.
    fn fenced<W: Work<Self>>(self, work: W);

    /// `v`, which the compiler has made before it goes on: nothing that follows is moved before it.
    /// No instruction. For loops that have no register to spare.
    fn settled(self, v: Self::V) -> Self::V;

    /// Leaves `v` in memory: it takes no register until it is read again.
    fn parked(self, v: &mut Self::V);

    /// Asks for the cache line at `at`, which need not exist, to be brought near.
    fn prefetch(self, at: *const f32);

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;

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

    /// `a + b`
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b`
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b + c`, rounded once on every level but the portable one, which rounds twice.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a < b ? a : b`, so `b` where one is NaN.
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a > b ? a : b`, so `b` where one is NaN.
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// `|a|`
    fn abs(self, a: Self::V) -> Self::V;
    /// `-a`
    fn neg(self, a: Self::V) -> Self::V;
    /// The magnitude of `a` with the sign of `sign`.
    fn copy_sign(self, a: Self::V, sign: Self::V) -> Self::V;

    /// Where `a < b`; nowhere where one is NaN.
    fn lt(self, a: Self::V, b: Self::V) -> Self::Mask;
    /// `mask ? yes : no`
    fn select(self, mask: Self::Mask, yes: Self::V, no: Self::V) -> Self::V;

    /// 2ⁿ, given `n + SHIFTER` for an integral `n` in [-126, 127]; any number for NaN.
    fn exp2_shifted(self, shifted: Self::V) -> Self::V;
    /// The exponent of a positive normal number: ⌊log₂ a⌋.
    fn exponent(self, a: Self::V) -> Self::V;
    /// The mantissa of a positive normal number, in [1, 2).
    fn mantissa(self, a: Self::V) -> Self::V;
}
