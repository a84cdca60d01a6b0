//! The product of one step on its own, and one gate's activation: what the fused kernels do in
//! registers, with rows of gates in memory between them.

use crate::activation::{Activation, apply};
use crate::gemm::rows::Rows;
use crate::gemm::weights::Written;
use crate::pack::{Columns, PackedMatrix};
use crate::recurrence::{Place, Product, Tile, sweep_any};
use crate::simd::Simd;

/// What a product of one step reads and adds to.
pub(crate) struct ProductArgs<'a> {
    pub(crate) weights: &'a PackedMatrix,
    pub(crate) chains: usize,
    pub(crate) rows: Rows<'a>,
    /// `[batch, width]`: blocks of `vectors` vectors, to whose vectors from `first` on is added.
    pub(crate) gates: &'a mut [f32],
    pub(crate) width: usize,
    pub(crate) vectors: usize,
    pub(crate) first: usize,
    pub(crate) step: usize,
    /// Room for rows made into what they are multiplied as.
    pub(crate) scratch: &'a mut [f32],
}

impl ProductArgs<'_> {
    /// Panics unless the buffers fit, which is what [`product`] relies on.
    pub(crate) fn check(&self) {
        let (layout, batch) = (&self.weights.layout, self.rows.batch);
        let (gates, blocks) = match layout.columns {
            Columns::Gates { .. } => (layout.vectors, layout.panels),
            Columns::Plain { .. } => (1, layout.width() / layout.registers.lanes),
        };
        assert!(self.first + gates <= self.vectors, "vectors of a product");
        let width = blocks * self.vectors * layout.registers.lanes;
        assert_eq!(self.width, width, "the width of a row of gates");
        assert_eq!(self.gates.len(), batch * width, "rows of gates");
        assert!(self.rows.stride >= self.weights.depth, "the stride of a product's rows");
        assert_eq!(self.rows.numbers.len(), batch * self.rows.stride, "rows of a product");
        let scratch = self.weights.words_of_rows(batch);
        assert!(self.scratch.len() >= scratch, "scratch of a product");
    }
}

/// Adds the products of all rows and panels to the gates.
///
/// # Safety
///
/// `args.check()` has passed, and the weights are packed for `S`, and so written down.
#[inline(always)]
pub(crate) unsafe fn product<S: Simd, F: Written>(s: S, written: F, args: &mut ProductArgs<'_>) {
    let ProductArgs { weights, chains, rows, step, width, vectors, first, .. } = *args;
    let rows = rows.as_read(s, written, weights.depth, args.scratch);
    let product = Product { written, weights, chains, rows, step };
    let panels = 0..weights.panels();
    let apart = match weights.layout.columns {
        Columns::Gates { .. } => 1,
        Columns::Plain { .. } => vectors,
    };
    let mut gates = Gates { numbers: args.gates, width, vectors, first, apart };
    // SAFETY: passed on; the tiles cover every row and panel.
    unsafe { sweep_any(s, product, panels, &mut gates) }
}

/// Where sums come from and go to in rows of gates.
struct Gates<'a> {
    numbers: &'a mut [f32],
    width: usize,
    vectors: usize,
    first: usize,
    /// How far a panel's vectors lie apart: they are gates of the same units, or blocks of units.
    apart: usize,
}

impl Gates<'_> {
    /// One vector of a panel.
    #[inline(always)]
    fn of<S: Simd>(&mut self, Place { row, block }: Place, vector: usize) -> *mut f32 {
        let vector = block * self.vectors + self.first + vector * self.apart;
        let at = row * self.width + vector * S::LANES;
        debug_assert!(at + S::LANES <= self.numbers.len(), "the sums of a block");
        self.numbers.as_mut_ptr().wrapping_add(at)
    }
}

impl<S: Simd, const VECTORS: usize> Tile<S, VECTORS> for Gates<'_> {
    /// Of a plain matrix there are more, which is only asked where a tile has several panels.
    const BLOCKS: usize = 1;
    /// A step is passes over memory anyway: what several panels would gain is not worth its functions.
    const PANELS: usize = 1;
    const APART: bool = true;

    #[inline(always)]
    unsafe fn start(&mut self, s: S, place: Place) -> [S::V; VECTORS] {
        let mut sums = [s.splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            // SAFETY: passed on; gates are `[batch, width]`.
            sums[vector] = unsafe { s.load(self.of::<S>(place, vector)) };
        }
        sums
    }

    #[inline(always)]
    unsafe fn finish<const N: usize>(
        &mut self,
        s: S,
        places: [Place; N],
        sums: [[S::V; VECTORS]; N],
    ) {
        for n in 0..N {
            for vector in 0..VECTORS {
                // SAFETY: passed on; gates are `[batch, width]`.
                unsafe { s.store(self.of::<S>(places[n], vector), sums[n][vector]) };
            }
        }
    }
}

/// Applies an activation to the vectors `first`, `first + every`, ... of `numbers`.
#[inline(always)]
pub(crate) fn activate_vectors<S: Simd>(
    s: S,
    activation: Activation,
    numbers: &mut [f32],
    [first, every]: [usize; 2],
) {
    for block in numbers.chunks_exact_mut(every * S::LANES) {
        let vector = &mut block[first * S::LANES..][..S::LANES];
        // SAFETY: the slice is a vector long.
        unsafe { s.store(vector.as_mut_ptr(), apply(s, activation, s.load(vector.as_ptr()))) };
    }
}
