//! How weights are written down, in words of 32 bits: one f32, two bf16, four bytes, or two parts of one.
//!
//! ```text
//! f32   [weight of k]
//! bf16  [bits 0 to 15: weight of k][bits 16 to 31: weight of k + 1]
//! int8  [bits 0 to 7: weight of k] ... [bits 24 to 31: weight of k + 3],
//!       behind all of them [scale][-128 times the sum of all bytes, an integer]
//! tiles a panel is tiles [32 k][part][vector][pair of k][lane] of words as bf16's
//! ```
//!
//! A bf16 is the upper half of an f32. So one shift, or one mask, makes the f32 that a product needs,
//! and sums of bf16 weights are those of the same numbers in f32, to the bit.
//!
//! Tiles are what a matrix unit reads. Of one part, the nearest bf16, or of three, which are a weight of f32,
//! unrounded ([`bf16`](crate::bf16)).
//!
//! A byte is as many parts of 127 as its output's largest weight has ([`quantise`](crate::quantise)).

use crate::bf16::{self, ALL_PARTS, to_bf16};
use crate::buffer::AlignedBuffer;
use crate::matrix_unit::{DEPTH, OUTPUTS, WORDS};
use crate::quantise::{SHIFT, Scale, magnitude};

/// How the weights of a packed matrix are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// As f32.
    F32,
    /// As bf16, rounded to the nearest, two in a word.
    Bf16,
    /// As signed bytes, four in a word, then their scale, then what sums of shifted bytes start from.
    Int8,
    /// As bf16, rounded to the nearest, in tiles.
    Bf16Tiles,
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
    pub(crate) const fn of_vectors(self) -> Self {
        match self {
            Self::Bf16Tiles => Self::Bf16,
            Self::Split => Self::F32,
            _ => self,
        }
    }

    /// This one, if these weights can be so written, or else f32.
    pub(super) fn of_weights(self, weights: &[f32]) -> Self {
        match self {
            Self::Split if !weights.iter().all(|&weight| bf16::has_parts(magnitude(weight))) => {
                Self::F32
            }
            _ => self,
        }
    }

    /// The parts of a weight, in tiles; 0 of one that is in none.
    pub(crate) const fn parts(self) -> usize {
        match self {
            Self::F32 | Self::Bf16 | Self::Int8 => 0,
            Self::Bf16Tiles => 1,
            Self::Split => ALL_PARTS,
        }
    }

    /// The bytes of a weight, without what an output has beside.
    pub(crate) const fn bytes_of_weight(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::Bf16Tiles => 2,
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
            Self::Bf16Tiles | Self::Split => k / DEPTH * self.parts() * WORDS_OF_PART,
        }
    }

    /// The words that `depth` weights of one output take. What is left of a last one is not used.
    pub(crate) const fn words(self, depth: usize) -> usize {
        match self {
            Self::F32 => depth,
            Self::Bf16 => depth.div_ceil(2),
            Self::Int8 => depth.div_ceil(4) + 2,
            Self::Bf16Tiles | Self::Split => depth.div_ceil(DEPTH) * self.parts() * WORDS_OF_PART,
        }
    }

    /// For the names of kernels.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 | Self::Bf16Tiles => "bf16",
            Self::Int8 => "int8",
            Self::Split => "f32split",
        }
    }
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

/// Words of a part of a block of k, for one output.
const WORDS_OF_PART: usize = WORDS / OUTPUTS;

/// Writes the whole of weights `[k][lane]`, of `width` lanes, in tiles at the end of `words`:
/// `[block of k][part][vector][pair of k][lane]`.
pub(super) fn write_tiles<const PARTS: usize>(
    weights: &[f32],
    width: usize,
    words: &mut AlignedBuffer,
) {
    let words_of_block = PARTS * WORDS_OF_PART * width;
    let blocks = weights.chunks(DEPTH * width);
    let to = words.grow(blocks.len() * words_of_block);
    for (weights, to) in blocks.zip(to.chunks_mut(words_of_block)) {
        let of = |k: usize, lane: usize| {
            weights.get(k * width + lane).map_or([0.0; PARTS], |&weight| bf16::parts(weight))
        };
        let tile = |part: usize, vector: usize| (part * width / OUTPUTS + vector) * WORDS;
        for lane in 0..width {
            let (vector, place) = (lane / OUTPUTS, lane % OUTPUTS);
            for pair in 0..DEPTH / 2 {
                let (even, odd) = (of(2 * pair, lane), of(2 * pair + 1, lane));
                for part in 0..PARTS {
                    let at = tile(part, vector) + pair * OUTPUTS + place;
                    to[at] = bf16::word(even[part], odd[part]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
