//! The weights of a tile as it reads them: some panels, in one way of writing them down.
//!
//! Each way has kernels of its own: a tile that looked would keep its sums in memory.

use crate::matrix_unit::{MatrixUnit, NoUnit};
use crate::pack::Format;
use crate::simd::Simd;

/// How weights are written down, as [`Format`] says, for tiles made for it.
pub(crate) trait Written: Copy {
    /// The same for all tiles.
    const FORMAT: Format;
    /// The k whose weights share a word: 1, 2 or 4.
    const IN_A_WORD: usize;
    /// Whether they are bytes, and rows are made into such before they are multiplied.
    const BYTES: bool = false;
    /// Whether they are parts in tiles, and rows are made into such before they are multiplied.
    const IN_TILES: bool = Self::FORMAT.parts() > 0;
    /// Whether a matrix unit multiplies them.
    const BY_UNIT: bool = false;
    /// That unit.
    type Unit: MatrixUnit;

    /// The same.
    #[inline(always)]
    fn unit(self) -> Self::Unit {
        unreachable!("vectors multiply them")
    }

    /// The weights of one k in a vector of words, those of an `ODD` k or of an even one.
    fn weights<S: Simd, const ODD: bool>(self, s: S, words: S::V) -> S::V;

    /// Which k a weight of a word is for.
    #[inline(always)]
    fn k<const ODD: bool>(word: usize) -> usize {
        if Self::IN_A_WORD == 1 { word } else { word * Self::IN_A_WORD + usize::from(ODD) }
    }

    /// The words of one lane for `depth` weights.
    #[inline(always)]
    fn words(depth: usize) -> usize {
        Self::FORMAT.words(depth)
    }
}

/// A word is a weight.
#[derive(Clone, Copy)]
pub(crate) struct F32;

impl Written for F32 {
    const FORMAT: Format = Format::F32;
    const IN_A_WORD: usize = 1;
    type Unit = NoUnit;

    #[inline(always)]
    fn weights<S: Simd, const ODD: bool>(self, _: S, words: S::V) -> S::V {
        words
    }
}

/// A word is two.
#[derive(Clone, Copy)]
pub(crate) struct Bf16;

impl Written for Bf16 {
    const FORMAT: Format = Format::Bf16;
    const IN_A_WORD: usize = 2;
    type Unit = NoUnit;

    #[inline(always)]
    fn weights<S: Simd, const ODD: bool>(self, s: S, words: S::V) -> S::V {
        if ODD { s.high_halves(words) } else { s.low_halves(words) }
    }
}

/// A word is four, behind which come an output's scale and what sums of shifted bytes start from.
#[derive(Clone, Copy)]
pub(crate) struct Int8;

impl Written for Int8 {
    const FORMAT: Format = Format::Int8;
    const IN_A_WORD: usize = 4;
    const BYTES: bool = true;
    type Unit = NoUnit;

    #[inline(always)]
    fn weights<S: Simd, const ODD: bool>(self, _: S, _: S::V) -> S::V {
        unreachable!("bytes are multiplied four at once");
    }
}

/// A word is four, behind which come the same, and a matrix unit multiplies rows by them.
#[cfg_attr(
    any(test, not(target_arch = "x86_64")),
    allow(dead_code, reason = "the only unit is AMX, of x86-64, which unit tests leave out")
)]
#[derive(Clone, Copy)]
pub(crate) struct BytesByUnit<U>(pub(crate) U);

impl<U: MatrixUnit> Written for BytesByUnit<U> {
    const FORMAT: Format = Format::Int8;
    const IN_A_WORD: usize = 4;
    const BYTES: bool = true;
    const BY_UNIT: bool = true;
    type Unit = U;

    #[inline(always)]
    fn unit(self) -> U {
        self.0
    }

    #[inline(always)]
    fn weights<S: Simd, const ODD: bool>(self, _: S, _: S::V) -> S::V {
        unreachable!("bytes are multiplied four at once");
    }
}

/// A word is a part of two weights, in tiles of a matrix unit: of weights that are rounded, or that are split.
#[cfg_attr(
    any(test, not(target_arch = "x86_64")),
    allow(dead_code, reason = "the only unit is AMX, of x86-64, which unit tests leave out")
)]
#[derive(Clone, Copy)]
pub(crate) struct InTiles<U, const SPLIT: bool>(pub(crate) U);

impl<U: MatrixUnit, const SPLIT: bool> Written for InTiles<U, SPLIT> {
    const FORMAT: Format = if SPLIT { Format::Split } else { Format::Bf16Tiles };
    const IN_A_WORD: usize = 2;
    const BY_UNIT: bool = true;
    type Unit = U;

    #[inline(always)]
    fn unit(self) -> U {
        self.0
    }

    #[inline(always)]
    fn weights<S: Simd, const ODD: bool>(self, _: S, _: S::V) -> S::V {
        unreachable!("tiles are multiplied as they are");
    }
}

/// The weights of some panels of `VECTORS` vectors, which lie in parts of `PART`.
#[derive(Clone, Copy)]
pub(crate) struct Panels<F, const BLOCKS: usize, const VECTORS: usize, const PART: usize> {
    /// Where each begins.
    starts: [*const f32; BLOCKS],
    /// The words of each lane of a vector.
    words: usize,
    written: F,
}

impl<F: Written, const BLOCKS: usize, const VECTORS: usize, const PART: usize>
    Panels<F, BLOCKS, VECTORS, PART>
{
    #[inline(always)]
    pub(crate) fn new(written: F, starts: [*const f32; BLOCKS], depth: usize) -> Self {
        Self { starts, words: F::words(depth), written }
    }

    /// The same panels, whose words are not those that were read: a vector of words that waits for its
    /// other halves would take a register.
    #[inline(always)]
    pub(super) fn anew<S: Simd>(mut self, s: S) -> Self {
        for block in 0..BLOCKS {
            self.starts[block] = s.anew(self.starts[block]);
        }
        self
    }

    /// The weights of one vector in a word, the `ODD` ones if there are two.
    ///
    /// # Safety
    ///
    /// The panels have such a word.
    #[inline(always)]
    pub(super) unsafe fn weight<S: Simd, const ODD: bool>(
        &self,
        s: S,
        block: usize,
        vector: usize,
        word: usize,
    ) -> S::V {
        // SAFETY: passed on.
        self.written.weights::<S, ODD>(s, unsafe { self.words(s, block, vector, word) })
    }

    /// The words of one vector.
    ///
    /// # Safety
    ///
    /// The panels have such words.
    #[inline(always)]
    pub(super) unsafe fn words<S: Simd>(
        &self,
        s: S,
        block: usize,
        vector: usize,
        word: usize,
    ) -> S::V {
        let (part, place) = (vector - vector % PART, vector % PART);
        let before = if part == 0 { 0 } else { self.words.wrapping_mul(part) };
        let at = word.wrapping_mul(PART).wrapping_add(place).wrapping_add(before);
        let from = self.starts[block].wrapping_add(at.wrapping_mul(S::LANES));
        // SAFETY: the caller vouches for the word; panels are cut from memory that starts on a cache line
        // into parts of whole vectors.
        unsafe { s.load_aligned(from) }
    }
}
