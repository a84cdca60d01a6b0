//! How weights are written down, in words of 32 bits: one f32, or two bf16.
//!
//! ```text
//! f32   [weight of k]
//! bf16  [bits 0 to 15: weight of k][bits 16 to 31: weight of k + 1]
//! ```
//!
//! A bf16 is the upper half of an f32. So one shift, or one mask, makes the f32 that a product needs,
//! and sums of bf16 weights are those of the same numbers in f32, to the bit.

use crate::buffer::AlignedBuffer;

/// How the weights of a packed matrix are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As f32.
    F32,
    /// As bf16, rounded to the nearest, two in a word.
    Bf16,
}

impl Format {
    /// The words that `depth` weights of one output take. A last half is not used.
    pub(crate) const fn words(self, depth: usize) -> usize {
        match self {
            Self::F32 => depth,
            Self::Bf16 => depth.div_ceil(2),
        }
    }

    /// For the names of kernels.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// The nearest bf16, the even one of two; of numbers too large for any the largest.
///
/// Infinities and NaN stay what they are.
#[must_use]
pub fn to_bf16(number: f32) -> u16 {
    /// The largest finite one.
    const LARGEST: u16 = 0x7f7f;
    let bits = number.to_bits();
    let [upper, sign] = [upper_half(bits), upper_half(bits) & 0x8000];
    if number.is_nan() {
        // One bit of a NaN's fraction must be there.
        return upper | 0x40;
    }
    if number.is_infinite() {
        return upper;
    }
    // Half of the last place, and one bit more if that is odd: carries go where they should.
    let rounded = upper_half(bits + 0x7fff + (u32::from(upper) & 1));
    sign | (rounded & 0x7fff).min(LARGEST)
}

/// The number that a bf16 is.
#[must_use]
pub fn from_bf16(number: u16) -> f32 {
    f32::from_bits(u32::from(number) << 16)
}

/// Writes weights `[k][lane]`, of `width` lanes, as bf16 at the end of `words`: `[pair of k][lane]`.
pub(super) fn write_bf16(weights: &[f32], width: usize, words: &mut AlignedBuffer) {
    let to = words.grow(weights.len().div_ceil(2 * width) * width);
    for (pair, to) in weights.chunks(2 * width).zip(to.chunks_mut(width)) {
        let (even, odd) = pair.split_at(width);
        for (lane, (to, &even)) in to.iter_mut().zip(even).enumerate() {
            let odd = odd.get(lane).map_or(0, |&odd| to_bf16(odd));
            *to = f32::from_bits(u32::from(to_bf16(even)) | u32::from(odd) << 16);
        }
    }
}

const fn upper_half(bits: u32) -> u16 {
    let [_, _, low, high] = bits.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_all() {
        let same = [0.0, -0.0, 1.0, -2.5, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE];
        for number in same {
            assert_eq!(from_bf16(to_bf16(number)).to_bits(), number.to_bits(), "{number}");
        }
        assert!(from_bf16(to_bf16(f32::NAN)).is_nan());
        // A NaN whose fraction is all in the lower half.
        assert!(from_bf16(to_bf16(f32::from_bits(0x7f80_0001))).is_nan());
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
    fn pairs_share_words() {
        let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut words = AlignedBuffer::with_capacity(4);
        write_bf16(&weights, 2, &mut words);
        let half = |number: f32| number.to_bits() >> 16;
        let expected =
            [(1.0, 3.0), (2.0, 4.0), (5.0, 0.0), (6.0, 0.0)].map(|(a, b)| half(a) | half(b) << 16);
        assert_eq!(words.iter().map(|word| word.to_bits()).collect::<Vec<_>>(), expected);
    }
}
