//! Numbers as signed bytes: as many parts of 127 as the largest of them has.
//!
//! ```text
//! scale = largest / 127
//! byte  = x (127 / largest), each rounded to f32, then to the nearest integer, the even one of two
//! ```
//!
//! A shifted byte is 128 more, which is the same with its uppermost bit changed: an unsigned one.

use crate::contract::TINY;

/// 1.5 · 2²³: the low bits of a number to which this is added are those of the nearest integer.
const ROUNDING: f32 = 12_582_912.0;

/// The largest byte; the smallest is its opposite.
const LARGEST: f32 = 127.0;

/// What a shifted byte is more.
pub(crate) const SHIFT: u8 = 128;

/// What a byte stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The number of which a byte says how many: 0 where all are too small to count, NaN where one is not
    /// finite.
    pub(crate) unit: f32,
    /// Bytes for each 1.
    reciprocal: f32,
}

impl Scale {
    /// For numbers of which the largest magnitude has these bits.
    #[inline(always)]
    pub(crate) fn of(largest: u32) -> Self {
        let largest = f32::from_bits(largest);
        if largest.is_nan() || largest == f32::INFINITY {
            return Self { unit: f32::NAN, reciprocal: 0.0 };
        }
        if largest < TINY {
            return Self { unit: 0.0, reciprocal: 0.0 };
        }
        Self { unit: largest / LARGEST, reciprocal: LARGEST / largest }
    }

    /// The byte of a number, as it is written.
    #[inline(always)]
    pub(crate) fn byte(self, number: f32) -> u8 {
        let [low, ..] = (number * self.reciprocal + ROUNDING).to_bits().to_le_bytes();
        low
    }
}

/// The bits of a magnitude: of integers, NaN the largest.
#[inline(always)]
pub(crate) fn magnitude(number: f32) -> u32 {
    number.to_bits() & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: &[f32]) -> (f32, Vec<i8>) {
        let largest = numbers.iter().copied().map(magnitude).max().unwrap();
        let scale = Scale::of(largest);
        (scale.unit, numbers.iter().map(|&number| scale.byte(number).cast_signed()).collect())
    }

    #[test]
    fn the_nearest_parts_of_the_largest() {
        assert_eq!(
            bytes(&[127.0, -127.0, 2.5, 3.5, -0.4, -0.6, 0.0]),
            (1.0, vec![127, -127, 2, 4, 0, -1, 0])
        );
        assert_eq!(bytes(&[-0.5, 0.25]), (0.5 / 127.0, vec![-127, 64]));
        for largest in [TINY, 1e-20, 0.3, 1e20, f32::MAX] {
            let (unit, bytes) = bytes(&[largest, -largest]);
            assert_eq!((unit, bytes), (largest / 127.0, vec![127, -127]), "{largest}");
        }
    }

    #[test]
    fn what_cannot_be_scaled() {
        assert_eq!(bytes(&[TINY / 2.0, -0.0]), (0.0, vec![0, 0]));
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(bytes(&[1e30, number]).0.is_nan(), "{number}");
        }
    }
}
