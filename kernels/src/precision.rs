//! What may be given up of a model's numbers for speed and memory.

use std::fmt;
use std::str::FromStr;

use crate::pack::Format;

/// What a model's arithmetic is allowed to be. Never detected: asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// As near to the exact numbers as [`F32`](Self::F32), from products of bf16 that a matrix unit does where
    /// the CPU has one: each number is the sum of three bf16, and of nine products of these the six largest
    /// are added up in f32.
    ///
    /// Projections of recurrent layers are so multiplied, and with [`Tune::Throughput`](crate::Tune) the
    /// products of their steps, where a layer is large enough and its weights are finite; all else is as in
    /// `F32`. Without a matrix unit everything is.
    F32Split,
    /// The weights of matrices rounded to bf16, all else as in [`F32`](Self::F32), from half the memory.
    ///
    /// The numbers are those that `F32` gives of a model whose matrices are so rounded
    /// ([`to_bf16`](crate::to_bf16)); only the portable level may sum them in another order. Where the CPU has a
    /// matrix unit, it does what it does in [`F32Split`](Self::F32Split): what it multiplies the weights by, rows of
    /// inputs and, with [`Tune::Throughput`](crate::Tune), of states, is rounded too.
    Bf16,
    /// The weights of matrices in recurrent layers as signed bytes, with a scale for each of their outputs, from
    /// a quarter of the memory; all else as in [`F32`](Self::F32), dense layers among it.
    ///
    /// What they are multiplied by is made into bytes too, each row of inputs and of states at each step with
    /// a scale of its own. A row that is not finite gives NaN.
    Int8,
}

impl Precision {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::F32, Self::F32Split, Self::Bf16, Self::Int8];

    /// The name that [`FromStr`] reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F32Split => "f32-split",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// The bytes of a weight of a dense layer.
    #[must_use]
    pub fn bytes_of_dense_weight(self) -> usize {
        self.dense_format().bytes_of_weight()
    }

    /// How it writes down the weights of recurrent layers' matrices, where the CPU can multiply them so.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::F32Split => Format::Split,
            Self::Bf16 => Format::Bf16Tiles,
            Self::Int8 => Format::Int8,
        }
    }

    /// How it writes down those of dense layers.
    pub(crate) fn dense_format(self) -> Format {
        match self {
            Self::F32 | Self::F32Split | Self::Int8 => Format::F32,
            Self::Bf16 => Format::Bf16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = UnknownPrecision;

    fn from_str(name: &str) -> Result<Self, UnknownPrecision> {
        let known = Self::ALL.into_iter().find(|precision| precision.name() == name);
        known.ok_or_else(|| UnknownPrecision(name.into()))
    }
}

/// No precision has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPrecision(pub String);

impl fmt::Display for UnknownPrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Precision::ALL.map(Precision::name).join(", ");
        write!(f, "unknown precision '{}'; there are: {names}", self.0)
    }
}

impl std::error::Error for UnknownPrecision {}
