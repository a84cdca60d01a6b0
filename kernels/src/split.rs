//! Numbers as sums of three bf16, none of which is rounded.
//!
//! ```text
//! x = first + second + third
//! first  = the upper half of x                    bits 1 to 8 of its fraction, the hidden one among them
//! second = the upper half of x - first            bits 9 to 16
//! third  = x - first - second                     bits 17 to 24
//! ```
//!
//! Both differences are exact. Cut, not rounded: what is rounded up could be larger than any bf16. Where a
//! part is smaller than a normal number, a unit that takes those as zero leaves less than 2⁻¹²⁶ out.

use crate::matrix_unit::PARTS;

/// Numbers from which on none is split: the sums of products of smaller ones are far below the largest number, in
/// whatever order, so that none is infinite on the way.
const TOO_LARGE: f32 = (1_u64 << 50) as f32;

/// Whether numbers of which the largest magnitude has these bits are split.
#[inline(always)]
pub(crate) fn has_parts(largest: u32) -> bool {
    largest < TOO_LARGE.to_bits()
}

/// The parts of a number, each a bf16 as a number of f32. Of one that is not finite they mean nothing.
#[inline(always)]
pub(crate) fn parts(number: f32) -> [f32; PARTS] {
    let first = upper_half(number);
    let rest = number - first;
    let second = upper_half(rest);
    [first, second, rest - second]
}

/// Two bf16 in a word, the `even` one in its lower half.
#[inline(always)]
pub(crate) fn word(even: f32, odd: f32) -> f32 {
    f32::from_bits(even.to_bits() >> 16 | (odd.to_bits() & UPPER))
}

const UPPER: u32 = 0xffff_0000;

#[inline(always)]
fn upper_half(number: f32) -> f32 {
    f32::from_bits(number.to_bits() & UPPER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::TINY;

    #[test]
    fn nothing_is_lost() {
        let mut bits = 0x9e37_79b9_u32;
        let random = std::iter::repeat_with(|| {
            bits = bits.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
            f32::from_bits(bits)
        });
        let counts = |number: &f32| number.is_finite() && number.abs() >= TINY;
        let special =
            [0.0, -0.0, 1.0, f32::MAX, f32::MIN, TINY, 1.0 + f32::EPSILON, 2.0 - f32::EPSILON];
        for number in special.into_iter().chain(random.filter(counts).take(100_000)) {
            let parts = parts(number);
            for part in parts {
                assert_eq!(part.to_bits() & !UPPER, 0, "{part} of {number} is no bf16");
                assert!(part == 0.0 || part.is_normal(), "{part} of {number}");
            }
            let [first, second, third] = parts.map(f64::from);
            assert_eq!(first + second + third, f64::from(number), "{number}");
        }
    }

    #[test]
    fn words_are_pairs() {
        let word = word(1.5, -2.0).to_bits();
        assert_eq!(word, 1.5_f32.to_bits() >> 16 | (-2.0_f32).to_bits());
    }
}
