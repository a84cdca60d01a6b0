//! How weights are written down, in words of 32 bits: one f32, two bf16, four bytes, or two parts of one.
//!
//! ```text
//! f32   [weight of k]
//! bf16  [bits 0 to 15: weight of k][bits 16 to 31: weight of k + 1]
//! int8  [bits 0 to 7: weight of k] ... [bits 24 to 31: weight of k + 3],
//!       behind all of them [scale][-128 times the sum of all bytes, an integer]
//! split a panel is tiles [32 k][part][vector][pair of k][lane] of words as bf16's
//! ```
//!
//! A bf16 is the upper half of an f32. So one shift, or one mask, makes the f32 that a product needs,
//! and sums of bf16 weights are those of the same numbers in f32, to the bit.
//!
//! Three parts are a weight of f32, unrounded ([`split`](crate::split)): what a matrix unit reads.
//!
//! A byte is as many parts of 127 as its output's largest weight has ([`quantise`](crate::quantise)).

use crate::buffer::AlignedBuffer;
use crate::matrix_unit::{DEPTH, OUTPUTS, PARTS, WORDS};
use crate::quantise::{SHIFT, Scale, magnitude};
use crate::split;

/// How the weights of a packed matrix are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As f32.
    F32,
    /// As bf16, rounded to the nearest, two in a word.
    Bf16,
    /// As signed bytes, four in a word, then their scale, then what sums of shifted bytes start from.
    Int8,
    /// As the sum of three bf16, in tiles.
    Split,
}

/// The most products of bytes whose sum is sure to be an integer of 32 bits.
const MOST_BYTES: usize = 1 << 17;

impl Format {
    /// This one, if sums of so many products can be had of it, or else f32.
    pub(super) const fn of_depth(self, depth: usize) -> Self {
        match self {
            Self::Int8 if depth > MOST_BYTES => Self::F32,
            _ => self,
        }
    }

    /// This one, if vectors multiply it, or else f32.
    pub(super) const fn of_vectors(self) -> Self {
        match self {
            Self::Split => Self::F32,
            _ => self,
        }
    }

    /// This one, if these weights can be so written, or else f32.
    pub(super) fn of_weights(self, weights: &[f32]) -> Self {
        match self {
            Self::Split if !weights.iter().all(|&weight| split::has_parts(magnitude(weight))) => {
                Self::F32
            }
            _ => self,
        }
    }

    /// The bytes of a weight, without what an output has beside.
    pub(crate) const fn bytes_of_weight(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::Int8 => 1,
            Self::Split => 6,
        }
    }

    /// Which word holds a weight; of parts, the first.
    pub(crate) const fn word(self, k: usize) -> usize {
        match self {
            Self::F32 => k,
            Self::Bf16 => k / 2,
            Self::Int8 => k / 4,
            Self::Split => k / DEPTH * WORDS_OF_BLOCK,
        }
    }

    /// The words that `depth` weights of one output take. What is left of a last one is not used.
    pub(crate) const fn words(self, depth: usize) -> usize {
        match self {
            Self::F32 => depth,
            Self::Bf16 => depth.div_ceil(2),
            Self::Int8 => depth.div_ceil(4) + 2,
            Self::Split => depth.div_ceil(DEPTH) * WORDS_OF_BLOCK,
        }
    }

    /// For the names of kernels.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Split => "f32split",
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

/// Writes the whole of weights `[k][lane]`, of `width` lanes, as bytes at the end of `words`:
/// `[four k][lane]`, for each lane a scale, and for each what sums of shifted bytes start from.
pub(super) fn write_int8(weights: &[f32], width: usize, words: &mut AlignedBuffer) {
    let depth = weights.len() / width;
    let to = words.grow(Format::Int8.words(depth) * width);
    let (mut largest, mut sums) = (vec![0; width], vec![0_i32; width]);
    for row in weights.chunks(width) {
        for (largest, &weight) in largest.iter_mut().zip(row) {
            *largest = magnitude(weight).max(*largest);
        }
    }
    let scales: Vec<Scale> = largest.into_iter().map(Scale::of).collect();
    let (bytes, rest) = to.split_at_mut(depth.div_ceil(4) * width);
    let (units, starts) = rest.split_at_mut(width);
    for (rows, to) in weights.chunks(4 * width).zip(bytes.chunks_mut(width)) {
        for (lane, (to, scale)) in to.iter_mut().zip(&scales).enumerate() {
            let byte = |k| rows.get(k * width + lane).map_or(0, |&weight| scale.byte(weight));
            let four: [u8; 4] = std::array::from_fn(byte);
            *to = f32::from_bits(u32::from_le_bytes(four));
            let sum: i32 = four.map(|byte| i32::from(byte.cast_signed())).iter().sum();
            sums[lane] += sum;
        }
    }
    for (to, sum) in starts.iter_mut().zip(sums) {
        *to = f32::from_bits(sum.wrapping_mul(-i32::from(SHIFT)).cast_unsigned());
    }
    for (to, scale) in units.iter_mut().zip(&scales) {
        *to = scale.unit;
    }
}

/// Words of all parts of a block of k, for one output.
const WORDS_OF_BLOCK: usize = PARTS * WORDS / OUTPUTS;

/// Writes the whole of weights `[k][lane]`, of `width` lanes, in parts at the end of `words`:
/// `[block of k][part][vector][pair of k][lane]`.
pub(super) fn write_split(weights: &[f32], width: usize, words: &mut AlignedBuffer) {
    let depth = weights.len() / width;
    let to = words.grow(Format::Split.words(depth) * width);
    let blocks = weights.chunks(DEPTH * width).zip(to.chunks_mut(WORDS_OF_BLOCK * width));
    for (weights, to) in blocks {
        let of = |k: usize, lane: usize| {
            weights.get(k * width + lane).map_or([0.0; PARTS], |&weight| split::parts(weight))
        };
        let tile = |part: usize, vector: usize| (part * width / OUTPUTS + vector) * WORDS;
        for lane in 0..width {
            let (vector, place) = (lane / OUTPUTS, lane % OUTPUTS);
            for pair in 0..DEPTH / 2 {
                let (even, odd) = (of(2 * pair, lane), of(2 * pair + 1, lane));
                for part in 0..PARTS {
                    let at = tile(part, vector) + pair * OUTPUTS + place;
                    to[at] = split::word(even[part], odd[part]);
                }
            }
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
    fn fours_share_words_and_a_scale() {
        let weights = [1.0, -8.0, -2.0, 4.0, 0.5, 0.0, 0.0, 8.0, 2.0, 1.0];
        let mut words = AlignedBuffer::with_capacity(8);
        write_int8(&weights, 2, &mut words);
        let of = |word: usize| words[word].to_bits().to_le_bytes().map(u8::cast_signed);
        assert_eq!([of(0), of(1)], [[64, -127, 32, 0], [-127, 64, 0, 127]]);
        assert_eq!([of(2), of(3)], [[127, 0, 0, 0], [16, 0, 0, 0]]);
        assert_eq!(words[4..6], [2.0 / 127.0, 8.0 / 127.0]);
        let start = |word: usize| words[word].to_bits().cast_signed();
        assert_eq!([start(6), start(7)], [-128 * 96, -128 * 80]);
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
