//! bf16, the upper half of an f32: the nearest to a number, and numbers as sums of three.
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

/// The parts of a number of which nothing is lost.
pub(crate) const ALL_PARTS: usize = 3;

/// Numbers from which on none is split: the sums of products of smaller ones are far below the largest number, in
/// whatever order, so that none is infinite on the way.
const TOO_LARGE: f32 = (1_u64 << 50) as f32;

/// Whether numbers of which the largest magnitude has these bits are split.
#[inline(always)]
pub(crate) fn has_parts(largest: u32) -> bool {
    largest < TOO_LARGE.to_bits()
}

/// The parts of a number, each a bf16 as a number of f32: [`ALL_PARTS`], which of one that is not finite mean
/// nothing, or one, the nearest.
#[inline(always)]
pub(crate) fn parts<const PARTS: usize>(number: f32) -> [f32; PARTS] {
    let mut parts = [0.0; PARTS];
    if const { PARTS == 1 } {
        parts[0] = nearest(number);
        return parts;
    }
    if const { PARTS != ALL_PARTS } {
        unreachable!("a number has one part or all");
    }
    let mut rest = number;
    for part in &mut parts {
        *part = f32::from_bits(rest.to_bits() & UPPER);
        rest -= *part;
    }
    parts
}

/// The nearest bf16, the even one of two; of numbers too large for any the largest.
///
/// Infinities and NaN stay what they are.
#[must_use]
pub fn to_bf16(number: f32) -> u16 {
    let [_, _, low, high] = nearest(number).to_bits().to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// The number that a bf16 is.
#[must_use]
pub fn from_bf16(number: u16) -> f32 {
    f32::from_bits(u32::from(number) << 16)
}

/// Two bf16 in a word, the `even` one in its lower half.
#[inline(always)]
pub(crate) fn word(even: f32, odd: f32) -> f32 {
    f32::from_bits(even.to_bits() >> 16 | (odd.to_bits() & UPPER))
}

const UPPER: u32 = 0xffff_0000;

/// [`to_bf16`], as a number of f32. Without branches, so that vectors do it.
#[inline(always)]
fn nearest(number: f32) -> f32 {
    const SIGN: u32 = 1 << 31;
    const INFINITY: u32 = f32::INFINITY.to_bits();
    const LARGEST: u32 = 0x7f7f_0000;
    /// One bit of a NaN's fraction that must be there.
    const NAN: u32 = 1 << 22;
    let bits = number.to_bits();
    let magnitude = bits & !SIGN;
    // Half of the last place, and one bit more if that is odd: carries go where they should.
    let rounded = magnitude + 0x7fff + (bits >> 16 & 1);
    let finite = (rounded & UPPER).min(LARGEST);
    let other = if magnitude > INFINITY { magnitude & UPPER | NAN } else { INFINITY };
    f32::from_bits(bits & SIGN | if magnitude < INFINITY { finite } else { other })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::TINY;

    #[test]
    fn the_nearest_of_all() {
        let same = [0.0, -0.0, 1.0, -2.5, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE];
        for number in same {
            assert_eq!(from_bf16(to_bf16(number)).to_bits(), number.to_bits(), "{number}");
        }
        assert!(from_bf16(to_bf16(f32::NAN)).is_nan());
        // NaN whose fraction is all in the lower half, or of which nothing is free for a carry.
        for bits in [0x7f80_0001, 0xff80_0001, 0x7fff_ffff, 0xffff_ffff] {
            assert!(from_bf16(to_bf16(f32::from_bits(bits))).is_nan(), "{bits:x}");
        }
        // Every bf16 below the largest, and what lies between it and the next.
        for low in 0..0x7f7f_u16 {
            let [a, b] = [from_bf16(low), from_bf16(low + 1)];
            let middle = a + (b - a) / 2.0;
            assert_eq!(to_bf16(middle), low + low % 2, "the middle of {a} and {b}");
            assert_eq!(to_bf16(f32::from_bits(middle.to_bits() - 1)), low, "above {a}");
            assert_eq!(
                to_bf16(-f32::from_bits(middle.to_bits() + 1)),
                0x8000 | (low + 1),
                "below {b}"
            );
        }
        assert_eq!(to_bf16(f32::MAX), 0x7f7f);
        assert_eq!(to_bf16(f32::MIN), 0xff7f);
    }

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
            let parts = parts::<ALL_PARTS>(number);
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
