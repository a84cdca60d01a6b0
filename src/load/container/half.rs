//! Narrower floats, widened without rounding, and wider ones, rounded once.

/// The value of an IEEE half (binary16) with these bits; exact.
pub(super) fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    match exponent {
        // Subnormal: a multiple of 2^-24, which f32 has as a normal number.
        0 => {
            let magnitude = f32::from(bits & 0x3ff) * f32::from_bits(0x3380_0000);
            f32::from_bits(magnitude.to_bits() | sign)
        }
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The value of a bfloat16 with these bits; exact.
#[cfg(feature = "safetensors")]
pub(super) fn from_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The nearest f32, ties to even.
#[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is what it is for")]
pub(super) fn from_f64(value: f64) -> f32 {
    value as f32
}

/// The floats of a file, least byte first.
#[cfg(feature = "safetensors")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    F16,
    BF16,
    F32,
    F64,
}

#[cfg(feature = "safetensors")]
impl Float {
    /// Reads them all: narrower ones are widened exactly, float64 is rounded once.
    pub(crate) fn read(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Self::F16 => each(bytes, |b| from_f16(u16::from_le_bytes(b))),
            Self::BF16 => each(bytes, |b| from_bf16(u16::from_le_bytes(b))),
            Self::F32 => each(bytes, f32::from_le_bytes),
            Self::F64 => each(bytes, |b| from_f64(f64::from_le_bytes(b))),
        }
    }
}

#[cfg(feature = "safetensors")]
fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| value(chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        let cases = [
            (0x0000, 0.0),
            (0x0001, 2.0_f32.powi(-24)),
            (0x03ff, 1023.0 * 2.0_f32.powi(-24)),
            (0x0400, 2.0_f32.powi(-14)),
            (0x3c00, 1.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(from_f16(bits).to_bits(), value.to_bits(), "{bits:#06x}");
            assert_eq!(from_f16(bits | 0x8000).to_bits(), (-value).to_bits(), "-{bits:#06x}");
        }
        assert!(from_f16(0x7e00).is_nan());
    }
}
