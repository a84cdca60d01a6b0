//! AVX-512F and BW: 16 lanes, 32 registers.

use std::arch::asm;
use std::arch::x86_64::*;

use crate::arithmetic::Arithmetic;
use crate::isa::Isa;
use crate::kernels::kernel_table;
use crate::simd::{Simd, Work};

/// Proof that the CPU has AVX-512F and BW, and `VNNI` if so said.
#[derive(Clone, Copy)]
pub(crate) struct Avx512<const VNNI: bool>(());

impl Avx512<false> {
    /// Safe to call only where the features are enabled, which is what makes it a proof.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx2,fma")]
    pub(super) fn new() -> Self {
        Self(())
    }
}

pub(crate) fn detected() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
}

kernel_table!(Isa::Avx512, Avx512<false>, ["avx512f,avx512bw,avx2,fma"], Avx512::<false>::new());

/// With the dot products of bytes that newer CPUs have.
pub(crate) mod vnni {
    use super::*;

    pub(crate) fn detected() -> bool {
        super::detected() && is_x86_feature_detected!("avx512vnni")
    }

    impl Avx512<true> {
        /// Safe to call only where the features are enabled, which is what makes it a proof.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx2,fma,avx512vnni")]
        pub(in crate::isa::x86_64) fn new() -> Self {
            Self(())
        }
    }

    kernel_table!(@vnni ["avx512f,avx512bw,avx2,fma,avx512vnni"], Avx512::<true>::new());
}

/// The first `count` lanes.
#[inline(always)]
fn first_lanes(count: usize) -> __mmask16 {
    debug_assert!(count <= 16, "a vector has 16 lanes");
    #[allow(clippy::cast_possible_truncation, reason = "the value has at most 16 bits")]
    let mask = ((1_u32 << count.min(16)) - 1) as __mmask16;
    mask
}

/// Calls intrinsics whose features the token proves.
macro_rules! proven {
    ($call:expr) => {
        // SAFETY: `self` proves that the CPU has AVX-512F and BW, and `VNNI` if so said.
        unsafe { $call }
    };
}

impl<const VNNI: bool> Simd for Avx512<VNNI> {
    /// Which bytes are negative, and the magnitudes of all; or the bytes as they are.
    type Bytes = (__mmask64, __m512i);

    const LANES: usize = 16;
    const ACCUMULATORS: usize = 24;
    const BYTES_ARE_SHIFTED: bool = VNNI;

    #[inline(always)]
    fn fenced<W: Work<Self>>(self, work: W) {
        #[target_feature(enable = "avx512f,avx512bw,avx2,fma")]
        #[inline(never)]
        fn fence<S: Simd, W: Work<S>>(s: S, work: W) {
            work.run(s);
        }
        #[target_feature(enable = "avx512f,avx512bw,avx2,fma,avx512vnni")]
        #[inline(never)]
        fn fence_vnni<S: Simd, W: Work<S>>(s: S, work: W) {
            work.run(s);
        }
        if VNNI { proven!(fence_vnni(self, work)) } else { proven!(fence(self, work)) }
    }

    #[inline(always)]
    fn settled(self, v: __m512) -> __m512 {
        #[target_feature(enable = "avx512f,avx512bw,avx2,fma")]
        #[inline]
        fn settled(mut v: __m512) -> __m512 {
            // SAFETY: there is no instruction.
            unsafe { asm!("/* {0} */", inout(zmm_reg) v, options(nostack, preserves_flags)) }
            v
        }
        proven!(settled(v))
    }

    #[inline(always)]
    fn parked(self, v: &mut __m512) {
        // SAFETY: there is no instruction; memory is named, and stays as it is.
        unsafe {
            asm!("/* {0} */", in(reg) std::ptr::from_mut(v), options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    #[allow(clippy::pointers_in_nomem_asm_block, reason = "nothing is read through it")]
    fn anew(self, mut at: *const f32) -> *const f32 {
        // SAFETY: there is no instruction.
        unsafe { asm!("/* {0} */", inout(reg) at, options(pure, nomem, nostack, preserves_flags)) }
        at
    }

    #[inline(always)]
    fn prefetch<const NEAREST: bool>(self, at: *const f32) {
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing.
        unsafe {
            if NEAREST {
                _mm_prefetch::<_MM_HINT_T0>(at.cast());
            } else {
                _mm_prefetch::<_MM_HINT_T1>(at.cast());
            }
        }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_aligned(self, from: *const f32) -> __m512 {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe { _mm512_load_ps(from) }
    }

    #[inline(always)]
    fn low_halves(self, words: __m512) -> __m512 {
        proven!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(words))))
    }

    #[inline(always)]
    fn high_halves(self, words: __m512) -> __m512 {
        proven!(_mm512_castsi512_ps(_mm512_and_si512(
            _mm512_castps_si512(words),
            _mm512_set1_epi32(-0x1_0000)
        )))
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const f32) -> (__mmask64, __m512i) {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe {
            let bytes = _mm512_set1_epi32(from.cast::<i32>().read());
            if VNNI { (0, bytes) } else { (_mm512_movepi8_mask(bytes), _mm512_abs_epi8(bytes)) }
        }
    }

    /// Two products of at most 127 × 127 fit into 16 bits.
    #[inline(always)]
    fn dot_bytes(
        self,
        integers: __m512,
        words: __m512,
        (negative, magnitudes): (__mmask64, __m512i),
    ) -> __m512 {
        proven!({
            let (integers, words) = (_mm512_castps_si512(integers), _mm512_castps_si512(words));
            if VNNI {
                return _mm512_castsi512_ps(_mm512_dpbusd_epi32(integers, magnitudes, words));
            }
            let signed = _mm512_mask_sub_epi8(words, negative, _mm512_setzero_si512(), words);
            let twos = _mm512_maddubs_epi16(magnitudes, signed);
            let fours = _mm512_madd_epi16(twos, _mm512_set1_epi16(1));
            _mm512_castsi512_ps(_mm512_add_epi32(integers, fours))
        })
    }

    #[inline(always)]
    fn to_numbers(self, integers: __m512) -> __m512 {
        proven!(_mm512_cvtepi32_ps(_mm512_castps_si512(integers)))
    }

    #[inline(always)]
    unsafe fn load_splat(self, from: *const f32) -> __m512 {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe { _mm512_set1_ps(*from) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> __m512 {
        // SAFETY: masked lanes are not read; the caller vouches for the others.
        unsafe { _mm512_maskz_loadu_ps(first_lanes(count), from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m512) {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, v: __m512) {
        // SAFETY: masked lanes are not written; the caller vouches for the others.
        unsafe { _mm512_mask_storeu_ps(to, first_lanes(count), v) }
    }
}

impl<const VNNI: bool> Arithmetic for Avx512<VNNI> {
    type V = __m512;
    type Mask = __mmask16;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        proven!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        proven!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        proven!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        proven!(_mm512_abs_ps(a))
    }

    #[inline(always)]
    fn neg(self, a: __m512) -> __m512 {
        proven!({
            let bit = _mm512_set1_epi32(i32::MIN);
            _mm512_castsi512_ps(_mm512_xor_si512(bit, _mm512_castps_si512(a)))
        })
    }

    #[inline(always)]
    fn copy_sign(self, a: __m512, sign: __m512) -> __m512 {
        proven!({
            let bit = _mm512_set1_epi32(i32::MIN);
            let sign = _mm512_and_si512(bit, _mm512_castps_si512(sign));
            let magnitude = _mm512_andnot_si512(bit, _mm512_castps_si512(a));
            _mm512_castsi512_ps(_mm512_or_si512(magnitude, sign))
        })
    }

    #[inline(always)]
    fn lt(self, a: __m512, b: __m512) -> __mmask16 {
        proven!(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b))
    }

    #[inline(always)]
    fn select(self, mask: __mmask16, yes: __m512, no: __m512) -> __m512 {
        proven!(_mm512_mask_blend_ps(mask, no, yes))
    }

    #[inline(always)]
    fn exp2_shifted(self, shifted: __m512) -> __m512 {
        proven!(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(shifted))))
    }

    #[inline(always)]
    fn exponent(self, a: __m512) -> __m512 {
        proven!({
            let biased = _mm512_srli_epi32::<23>(_mm512_castps_si512(a));
            _mm512_cvtepi32_ps(_mm512_sub_epi32(biased, _mm512_set1_epi32(127)))
        })
    }

    #[inline(always)]
    fn mantissa(self, a: __m512) -> __m512 {
        proven!({
            let fraction = _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x007f_ffff));
            _mm512_castsi512_ps(_mm512_or_si512(fraction, _mm512_set1_epi32(0x3f80_0000)))
        })
    }
}
