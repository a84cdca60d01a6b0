//! Several vectors that go through the same operations side by side.
//!
//! An algorithm over [`Simd`] is a chain of operations, each of which waits for the one before it. On
//! `N` vectors at once it is `N` chains whose instructions alternate, and a constant is read once for
//! all of them.

use crate::arithmetic::Arithmetic;
use crate::simd::{Simd, Work};

/// `N` vectors of `S` as one, lane after lane.
#[derive(Clone, Copy)]
pub(crate) struct Times<S, const N: usize>(pub(crate) S);

/// A vector of vectors, each made of its index.
macro_rules! each {
    ($s:ident, |$i:ident| $value:expr) => {{
        let mut all = [$s.0.splat(0.0); N];
        for $i in 0..N {
            all[$i] = $value;
        }
        all
    }};
}

impl<S: Simd, const N: usize> Simd for Times<S, N> {
    type Bytes = S::Bytes;

    const LANES: usize = N * S::LANES;
    const ACCUMULATORS: usize = S::ACCUMULATORS / N;
    const BYTES_ARE_SHIFTED: bool = S::BYTES_ARE_SHIFTED;

    #[inline(always)]
    fn fenced<W: Work<Self>>(self, work: W) {
        work.run(self);
    }

    #[inline(always)]
    fn parked(self, v: &mut Self::V) {
        for v in v {
            self.0.parked(v);
        }
    }

    #[inline(always)]
    fn anew(self, at: *const f32) -> *const f32 {
        self.0.anew(at)
    }

    #[inline(always)]
    fn prefetch<const NEAREST: bool>(self, at: *const f32) {
        self.0.prefetch::<NEAREST>(at);
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: passed on, vector by vector.
        each!(self, |i| unsafe { self.0.load(from.add(i * S::LANES)) })
    }

    #[inline(always)]
    unsafe fn load_aligned(self, from: *const f32) -> Self::V {
        // SAFETY: passed on, vector by vector.
        each!(self, |i| unsafe { self.0.load_aligned(from.add(i * S::LANES)) })
    }

    #[inline(always)]
    fn low_halves(self, words: Self::V) -> Self::V {
        each!(self, |i| self.0.low_halves(words[i]))
    }

    #[inline(always)]
    fn high_halves(self, words: Self::V) -> Self::V {
        each!(self, |i| self.0.high_halves(words[i]))
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const f32) -> S::Bytes {
        // SAFETY: passed on.
        unsafe { self.0.load_bytes(from) }
    }

    #[inline(always)]
    fn dot_bytes(self, integers: Self::V, words: Self::V, bytes: S::Bytes) -> Self::V {
        each!(self, |i| self.0.dot_bytes(integers[i], words[i], bytes))
    }

    #[inline(always)]
    fn to_numbers(self, integers: Self::V) -> Self::V {
        each!(self, |i| self.0.to_numbers(integers[i]))
    }

    #[inline(always)]
    unsafe fn load_splat(self, from: *const f32) -> Self::V {
        // SAFETY: passed on.
        [unsafe { self.0.load_splat(from) }; N]
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> Self::V {
        each!(self, |i| {
            let before = count.min(i * S::LANES);
            // SAFETY: passed on, vector by vector, up to `count`.
            unsafe { self.0.load_first(from.add(before), (count - before).min(S::LANES)) }
        })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        for i in 0..N {
            // SAFETY: passed on, vector by vector.
            unsafe { self.0.store(to.add(i * S::LANES), v[i]) };
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, v: Self::V) {
        for i in 0..N {
            let before = count.min(i * S::LANES);
            // SAFETY: passed on, vector by vector, up to `count`.
            unsafe { self.0.store_first(to.add(before), (count - before).min(S::LANES), v[i]) };
        }
    }

    #[inline(always)]
    fn settled(self, v: Self::V) -> Self::V {
        each!(self, |i| self.0.settled(v[i]))
    }
}

impl<S: Arithmetic, const N: usize> Arithmetic for Times<S, N> {
    type V = [S::V; N];
    type Mask = [S::Mask; N];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [self.0.splat(value); N]
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        each!(self, |i| self.0.add(a[i], b[i]))
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        each!(self, |i| self.0.sub(a[i], b[i]))
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        each!(self, |i| self.0.mul(a[i], b[i]))
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        each!(self, |i| self.0.div(a[i], b[i]))
    }

    #[inline(always)]
    fn min(self, a: Self::V, b: Self::V) -> Self::V {
        each!(self, |i| self.0.min(a[i], b[i]))
    }

    #[inline(always)]
    fn max(self, a: Self::V, b: Self::V) -> Self::V {
        each!(self, |i| self.0.max(a[i], b[i]))
    }

    #[inline(always)]
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        each!(self, |i| self.0.fma(a[i], b[i], c[i]))
    }

    #[inline(always)]
    fn copy_sign(self, a: Self::V, sign: Self::V) -> Self::V {
        each!(self, |i| self.0.copy_sign(a[i], sign[i]))
    }

    #[inline(always)]
    fn abs(self, a: Self::V) -> Self::V {
        each!(self, |i| self.0.abs(a[i]))
    }

    #[inline(always)]
    fn neg(self, a: Self::V) -> Self::V {
        each!(self, |i| self.0.neg(a[i]))
    }

    #[inline(always)]
    fn exp2_shifted(self, shifted: Self::V) -> Self::V {
        each!(self, |i| self.0.exp2_shifted(shifted[i]))
    }

    #[inline(always)]
    fn exponent(self, a: Self::V) -> Self::V {
        each!(self, |i| self.0.exponent(a[i]))
    }

    #[inline(always)]
    fn mantissa(self, a: Self::V) -> Self::V {
        each!(self, |i| self.0.mantissa(a[i]))
    }

    #[inline(always)]
    fn lt(self, a: Self::V, b: Self::V) -> Self::Mask {
        let mut all = [self.0.lt(a[0], b[0]); N];
        for i in 1..N {
            all[i] = self.0.lt(a[i], b[i]);
        }
        all
    }

    #[inline(always)]
    fn select(self, mask: Self::Mask, yes: Self::V, no: Self::V) -> Self::V {
        each!(self, |i| self.0.select(mask[i], yes[i], no[i]))
    }
}
