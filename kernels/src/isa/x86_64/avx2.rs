//! AVX2 with FMA: 8 lanes, 16 registers.

use std::arch::asm;
use std::arch::x86_64::*;

use crate::arithmetic::Arithmetic;
use crate::isa::Isa;
use crate::kernels::kernel_table;
use crate::simd::{Simd, Work};

/// Proof that the CPU has AVX2 and FMA, and `VNNI` if so said.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<const VNNI: bool>(());

impl Avx2<false> {
    /// Safe to call only where the features are enabled, which is what makes it a proof.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn new() -> Self {
        Self(())
    }

    /// The proof, if there is one.
    #[inline]
    pub(crate) fn found() -> Option<Self> {
        // SAFETY: the features were detected.
        detected().then(|| unsafe { Self::new() })
    }
}

pub(crate) fn detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

kernel_table!(Isa::Avx2, Avx2<false>, ["avx2,fma"], Avx2::<false>::new());

/// With the dot products of bytes that newer CPUs have.
pub(crate) mod vnni {
    use super::*;

    pub(crate) fn detected() -> bool {
        super::detected() && is_x86_feature_detected!("avxvnni")
    }

    impl Avx2<true> {
        /// Safe to call only where the features are enabled, which is what makes it a proof.
        #[inline]
        #[target_feature(enable = "avx2,fma,avxvnni")]
        fn new() -> Self {
            Self(())
        }
    }

    kernel_table!(@vnni ["avx2,fma,avxvnni"], Avx2::<true>::new());
}

/// Masks for the first 0 to 8 lanes, read from a window that slides over eight ones and zeros.
static WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[inline(always)]
fn first_lanes<const VNNI: bool>(_: Avx2<VNNI>, count: usize) -> __m256i {
    debug_assert!(count <= 8, "a vector has 8 lanes");
    // SAFETY: the window of 8 that starts at 8 - count lies inside the 16; the token proves AVX2.
    unsafe { _mm256_loadu_si256(WINDOW.as_ptr().add(8 - count.min(8)).cast()) }
}

/// Calls intrinsics whose features the token proves.
macro_rules! proven {
    ($call:expr) => {
        // SAFETY: `self` proves that the CPU has AVX2 and FMA, and `VNNI` if so said.
        unsafe { $call }
    };
}

impl<const VNNI: bool> Simd for Avx2<VNNI> {
    /// The bytes, and their magnitudes; or the bytes twice.
    type Bytes = [__m256i; 2];

    const LANES: usize = 8;
    const ACCUMULATORS: usize = 12;
    const BYTES_ARE_SHIFTED: bool = VNNI;

    #[inline(always)]
    fn fenced<W: Work<Self>>(self, work: W) {
        #[target_feature(enable = "avx2,fma")]
        #[inline(never)]
        fn fence<S: Simd, W: Work<S>>(s: S, work: W) {
            work.run(s);
        }
        #[target_feature(enable = "avx2,fma,avxvnni")]
        #[inline(never)]
        fn fence_vnni<S: Simd, W: Work<S>>(s: S, work: W) {
            work.run(s);
        }
        if VNNI { proven!(fence_vnni(self, work)) } else { proven!(fence(self, work)) }
    }

    #[inline(always)]
    fn settled(self, v: __m256) -> __m256 {
        #[target_feature(enable = "avx2,fma")]
        #[inline]
        fn settled(mut v: __m256) -> __m256 {
            // SAFETY: there is no instruction.
            unsafe { asm!("/* {0} */", inout(ymm_reg) v, options(nostack, preserves_flags)) }
            v
        }
        proven!(settled(v))
    }

    #[inline(always)]
    fn parked(self, v: &mut __m256) {
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
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_aligned(self, from: *const f32) -> __m256 {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe { _mm256_load_ps(from) }
    }

    #[inline(always)]
    fn low_halves(self, words: __m256) -> __m256 {
        proven!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(words))))
    }

    #[inline(always)]
    fn high_halves(self, words: __m256) -> __m256 {
        proven!(_mm256_castsi256_ps(_mm256_and_si256(
            _mm256_castps_si256(words),
            _mm256_set1_epi32(-0x1_0000)
        )))
    }

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const f32) -> [__m256i; 2] {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe {
            let bytes = _mm256_set1_epi32(from.cast::<i32>().read());
            if VNNI { [bytes; 2] } else { [bytes, _mm256_abs_epi8(bytes)] }
        }
    }

    /// Two products of at most 127 × 127 fit into 16 bits.
    #[inline(always)]
    fn dot_bytes(self, integers: __m256, words: __m256, bytes: [__m256i; 2]) -> __m256 {
        let [bytes, magnitudes] = bytes;
        proven!({
            let (integers, words) = (_mm256_castps_si256(integers), _mm256_castps_si256(words));
            if VNNI {
                return _mm256_castsi256_ps(_mm256_dpbusd_avx_epi32(integers, bytes, words));
            }
            let signed = _mm256_sign_epi8(words, bytes);
            let twos = _mm256_maddubs_epi16(magnitudes, signed);
            let fours = _mm256_madd_epi16(twos, _mm256_set1_epi16(1));
            _mm256_castsi256_ps(_mm256_add_epi32(integers, fours))
        })
    }

    #[inline(always)]
    fn to_numbers(self, integers: __m256) -> __m256 {
        proven!(_mm256_cvtepi32_ps(_mm256_castps_si256(integers)))
    }

    #[inline(always)]
    unsafe fn load_splat(self, from: *const f32) -> __m256 {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe { _mm256_broadcast_ss(&*from) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, count: usize) -> __m256 {
        // SAFETY: masked lanes are not read; the caller vouches for the others.
        unsafe { _mm256_maskload_ps(from, first_lanes(self, count)) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: __m256) {
        // SAFETY: the caller vouches for the pointer, `self` for the features.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, count: usize, v: __m256) {
        // SAFETY: masked lanes are not written; the caller vouches for the others.
        unsafe { _mm256_maskstore_ps(to, first_lanes(self, count), v) }
    }
}

impl<const VNNI: bool> Arithmetic for Avx2<VNNI> {
    type V = __m256;
    type Mask = __m256;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        proven!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        proven!(_mm256_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_min_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_max_ps(a, b))
    }

    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        proven!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }

    #[inline(always)]
    fn neg(self, a: __m256) -> __m256 {
        proven!(_mm256_xor_ps(_mm256_set1_ps(-0.0), a))
    }

    #[inline(always)]
    fn copy_sign(self, a: __m256, sign: __m256) -> __m256 {
        let bit = self.splat(-0.0);
        proven!(_mm256_or_ps(_mm256_andnot_ps(bit, a), _mm256_and_ps(bit, sign)))
    }

    #[inline(always)]
    fn lt(self, a: __m256, b: __m256) -> __m256 {
        proven!(_mm256_cmp_ps::<_CMP_LT_OQ>(a, b))
    }

    #[inline(always)]
    fn select(self, mask: __m256, yes: __m256, no: __m256) -> __m256 {
        proven!(_mm256_blendv_ps(no, yes, mask))
    }

    #[inline(always)]
    fn exp2_shifted(self, shifted: __m256) -> __m256 {
        proven!(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(shifted))))
    }

    #[inline(always)]
    fn exponent(self, a: __m256) -> __m256 {
        proven!({
            let biased = _mm256_srli_epi32::<23>(_mm256_castps_si256(a));
            _mm256_cvtepi32_ps(_mm256_sub_epi32(biased, _mm256_set1_epi32(127)))
        })
    }

    #[inline(always)]
    fn mantissa(self, a: __m256) -> __m256 {
        proven!({
            let fraction = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x007f_ffff));
            _mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f80_0000)))
        })
    }
}
