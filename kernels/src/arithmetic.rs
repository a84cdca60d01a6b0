//! The operations that make numbers: all that activations and the formulas of cells know of a CPU.
//!
//! Each is one IEEE 754 operation per lane, rounded to nearest even; nothing is estimated, so that
//! levels agree to the bit. The one exception is stated at [`Arithmetic::fma`].

/// 1.5 · 2²³ + 127: a number to which this is added is rounded to an integer n, and the low bits of
/// the sum are n + 127, the exponent of 2ⁿ.
pub(crate) const SHIFTER: f32 = 12_583_039.0;

/// Vectors of f32, and the operations on them.
///
/// Implementations are `#[inline(always)]` throughout, and so is every function generic over this
/// trait: they become part of the one function that enables the level's features.
pub(crate) trait Arithmetic: Copy {
    /// A vector.
    type V: Copy;
    /// A yes or no for each lane.
    type Mask: Copy;

    /// `value` in every lane.
    fn splat(self, value: f32) -> Self::V;

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
    #[cfg(feature = "std")]
    fn exponent(self, a: Self::V) -> Self::V;
    /// The mantissa of a positive normal number, in [1, 2).
    #[cfg(feature = "std")]
    fn mantissa(self, a: Self::V) -> Self::V;
}
