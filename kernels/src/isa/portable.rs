//! The portable level: `wide` vectors, compiled for whatever the build targets.
//!
//! Products and sums are rounded one by one even where the build has FMA, so that the bits of this
//! level do not depend on compiler flags.

use wide::f32x8;

use crate::arithmetic::Arithmetic;
use crate::isa::Isa;
use crate::kernels::kernel_table;
use crate::simd::{Simd, Work};

/// Needs no proof.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

kernel_table!(Isa::Portable, Portable, [], Portable);

#[inline(always)]
fn by_lane(a: f32x8, f: impl Fn(f32) -> f32) -> f32x8 {
    f32x8::from(a.to_array().map(f))
}

/// The four signed bytes of a word.
#[inline(always)]
fn signed_bytes(word: f32) -> [i32; 4] {
    word.to_bits().to_le_bytes().map(|byte| i32::from(byte.cast_signed()))
}

impl Simd for Portable {
    type Bytes = [i32; 4];

    const LANES: usize = 8;
    const ACCUMULATORS: usize = 6;
    const BYTES_ARE_SHIFTED: bool = false;

    #[inline(never)]
    fn fenced<W: Work<Self>>(self, work: W) {
        work.run(self);
    }

    #[inline(always)]
    fn settled(self, v: f32x8) -> f32x8 {
        v
    }

    #[inline(always)]
    fn parked(self, _v: &mut f32x8) {}

    #[inline(always)]
    fn anew(self, at: *const f32) -> *const f32 {
        at
    }

    #[inline(always)]
    fn prefetch<const NEAREST: bool>(self, _at: *const f32) {}

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> f32x8 {
        // SAFETY: the caller vouches for 8 numbers; an array has no alignment but its element's.
        f32x8::from(unsafe { from.cast::<[f32; 8]>().read() })
    }

    #[inline(always)]
    unsafe fn load_aligned(self, from: *const f32) -> f32x8 {
        // SAFETY: passed on.
        unsafe { self.load(from) }
    }

    #[inline(always)]
    fn low_halves(self, words: f32x8) -> f32x8 {
        by_lane(words, |word| f32::from_bits(word.to_bits() << 16))
    }

    #[inline(always)]
    fn high_halves(self, words: f32x8) -> f32x8 {
        by_lane(words, |word| f32::from_bits(word.to_bits() & 0xffff_0000))
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const f32) -> [i32; 4] {
        // SAFETY: the caller vouches for the pointer.
        signed_bytes(unsafe { *from })
    }

    #[inline(always)]
    fn dot_bytes(self, integers: f32x8, words: f32x8, bytes: [i32; 4]) -> f32x8 {
        let (integers, words) = (integers.to_array(), words.to_array());
        f32x8::from(std::array::from_fn(|lane| {
            let products = signed_bytes(words[lane]).into_iter().zip(bytes).map(|(a, b)| a * b);
            f32::from_bits(integers[lane].to_bits().wrapping_add_signed(products.sum()))
        }))
    }

    #[inline(always)]
    fn to_numbers(self, integers: f32x8) -> f32x8 {
        #[allow(clippy::cast_precision_loss, reason = "the nearest number is meant")]
        by_lane(integers, |integer| integer.to_bits().cast_signed() as f32)
    }

    #[inline(always)]
    unsafe fn load_splat(self, from: *const f32) -> f32x8 {
        // SAFETY: the caller vouches for the pointer.
        f32x8::splat(unsafe { *from })
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> f32x8 {
        let mut lanes = [0.0; 8];
        // SAFETY: the caller vouches for `count` numbers.
        let given = unsafe { std::slice::from_raw_parts(from, count) };
        lanes[..count].copy_from_slice(given);
        f32x8::from(lanes)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: f32x8) {
        // SAFETY: the caller vouches for 8 numbers; an array has no alignment but its element's.
        unsafe { to.cast::<[f32; 8]>().write(v.to_array()) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, v: f32x8) {
        // SAFETY: the caller vouches for `count` numbers.
        let taken = unsafe { std::slice::from_raw_parts_mut(to, count) };
        taken.copy_from_slice(&v.to_array()[..count]);
    }
}

impl Arithmetic for Portable {
    type V = f32x8;
    type Mask = [bool; 8];

    #[inline(always)]
    fn splat(self, value: f32) -> f32x8 {
        f32x8::splat(value)
    }

    #[inline(always)]
    fn add(self, a: f32x8, b: f32x8) -> f32x8 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f32x8, b: f32x8) -> f32x8 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f32x8, b: f32x8) -> f32x8 {
        a * b
    }

    #[inline(always)]
    fn div(self, a: f32x8, b: f32x8) -> f32x8 {
        a / b
    }

    #[inline(always)]
    fn fma(self, a: f32x8, b: f32x8, c: f32x8) -> f32x8 {
        a * b + c
    }

    #[inline(always)]
    fn min(self, a: f32x8, b: f32x8) -> f32x8 {
        self.select(self.lt(a, b), a, b)
    }

    #[inline(always)]
    fn max(self, a: f32x8, b: f32x8) -> f32x8 {
        self.select(self.lt(b, a), a, b)
    }

    #[inline(always)]
    fn abs(self, a: f32x8) -> f32x8 {
        by_lane(a, f32::abs)
    }

    #[inline(always)]
    fn neg(self, a: f32x8) -> f32x8 {
        by_lane(a, |lane| -lane)
    }

    #[inline(always)]
    fn copy_sign(self, a: f32x8, sign: f32x8) -> f32x8 {
        let (a, sign) = (a.to_array(), sign.to_array());
        f32x8::from(std::array::from_fn::<f32, 8, _>(|i| a[i].copysign(sign[i])))
    }

    #[inline(always)]
    fn lt(self, a: f32x8, b: f32x8) -> [bool; 8] {
        let (a, b) = (a.to_array(), b.to_array());
        std::array::from_fn(|i| a[i] < b[i])
    }

    #[inline(always)]
    fn select(self, mask: [bool; 8], yes: f32x8, no: f32x8) -> f32x8 {
        let (yes, no) = (yes.to_array(), no.to_array());
        f32x8::from(std::array::from_fn::<f32, 8, _>(|i| if mask[i] { yes[i] } else { no[i] }))
    }

    #[inline(always)]
    fn exp2_shifted(self, shifted: f32x8) -> f32x8 {
        by_lane(shifted, |n| f32::from_bits(n.to_bits() << 23))
    }

    #[inline(always)]
    fn exponent(self, a: f32x8) -> f32x8 {
        #[allow(clippy::cast_precision_loss, reason = "an exponent has 8 bits")]
        by_lane(a, |a| ((a.to_bits() >> 23).cast_signed() - 127) as f32)
    }

    #[inline(always)]
    fn mantissa(self, a: f32x8) -> f32x8 {
        by_lane(a, |a| f32::from_bits(a.to_bits() & 0x007f_ffff | 0x3f80_0000))
    }
}
