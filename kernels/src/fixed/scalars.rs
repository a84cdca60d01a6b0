//! A level of plain arrays with a multiply-add that rounds once.
//!
//! The loops have constant lengths and no calls, so that the compiler makes vector instructions of
//! them where it may. Not closures: each would be a function that may be compiled by itself, without
//! the features of the one that it belongs to.

use crate::arithmetic::Arithmetic;

/// `N` lanes of whatever the build targets.
#[derive(Clone, Copy)]
pub(super) struct Scalars<const N: usize>;

/// `a b + c`, rounded once.
#[cfg(feature = "std")]
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    a.mul_add(b, c)
}

/// `a b + c`, rounded once.
#[cfg(not(feature = "std"))]
#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    libm::fmaf(a, b, c)
}

/// An array, each number of it made of its index.
macro_rules! each {
    ($of:expr, |$i:ident| $value:expr) => {{
        let mut all = [$of; N];
        for $i in 0..N {
            all[$i] = $value;
        }
        all
    }};
}

impl<const N: usize> Arithmetic for Scalars<N> {
    type V = [f32; N];
    type Mask = [bool; N];

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; N] {
        [value; N]
    }

    #[inline(always)]
    fn add(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        each!(0.0, |i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        each!(0.0, |i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        each!(0.0, |i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        each!(0.0, |i| a[i] / b[i])
    }

    #[inline(always)]
    fn fma(self, a: [f32; N], b: [f32; N], c: [f32; N]) -> [f32; N] {
        each!(0.0, |i| multiply_add(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn min(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        each!(0.0, |i| if a[i] < b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn max(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        each!(0.0, |i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn abs(self, a: [f32; N]) -> [f32; N] {
        each!(0.0, |i| a[i].abs())
    }

    #[inline(always)]
    fn neg(self, a: [f32; N]) -> [f32; N] {
        each!(0.0, |i| -a[i])
    }

    #[inline(always)]
    fn copy_sign(self, a: [f32; N], sign: [f32; N]) -> [f32; N] {
        each!(0.0, |i| a[i].copysign(sign[i]))
    }

    #[inline(always)]
    fn lt(self, a: [f32; N], b: [f32; N]) -> [bool; N] {
        each!(false, |i| a[i] < b[i])
    }

    #[inline(always)]
    fn select(self, mask: [bool; N], yes: [f32; N], no: [f32; N]) -> [f32; N] {
        each!(0.0, |i| if mask[i] { yes[i] } else { no[i] })
    }

    #[inline(always)]
    fn exp2_shifted(self, shifted: [f32; N]) -> [f32; N] {
        each!(0.0, |i| f32::from_bits(shifted[i].to_bits() << 23))
    }

    #[cfg(feature = "std")]
    #[inline(always)]
    fn exponent(self, a: [f32; N]) -> [f32; N] {
        #[allow(clippy::cast_precision_loss, reason = "an exponent has 8 bits")]
        let exponents = each!(0.0, |i| ((a[i].to_bits() >> 23).cast_signed() - 127) as f32);
        exponents
    }

    #[cfg(feature = "std")]
    #[inline(always)]
    fn mantissa(self, a: [f32; N]) -> [f32; N] {
        each!(0.0, |i| f32::from_bits(a[i].to_bits() & 0x007f_ffff | 0x3f80_0000))
    }
}
