//! Weights in the order in which kernels read them.
//!
//! A matrix is cut into *panels* of up to four vectors' width. A panel holds, for each column k of the
//! matrix (each input), the weights of its outputs behind each other, so that a kernel reads one
//! stream of memory:
//!
//! ```text
//! panel 0: k=0: [vector 0 lanes][vector 1 lanes]...   k=1: ...   panel 1: ...
//! ```
//!
//! Where registers are few and weights many, the four vectors of a panel lie in two *parts* of two, one
//! behind the other, each as above: tiles that sum one part at a time have room for more rows, and
//! each part is a stream.
//!
//! For a recurrent layer the vectors of a panel are the *gates* of the same few units: one register
//! tile then holds i, f, g, o of those units, and the state is updated where the sums are. The
//! pre-activations that a projection writes have the same order of columns. Where there is one gate
//! only, or none, as in a dense layer, the vectors are shared out to panels as evenly as they go.

mod blocks;
mod format;
mod layout;

use std::ops::Range;

use crate::bf16::ALL_PARTS;
use crate::buffer::AlignedBuffer;
use crate::contract::chains;
use crate::matrix_unit;
use crate::simd::Registers;
use crate::tune::Tune;
use crate::tuning::{
    INPUTS_FOR_UNIT, MATRIXMULTIPLY_WEIGHTS, STATES_FOR_UNIT, WEIGHTS_IN_PARTS, may_be_parted,
};

use blocks::{BLOCK, copy_flushed, pack_block};
pub(crate) use format::Format;
use format::{write_bf16, write_int8, write_tiles};
pub use layout::StepOrder;
pub(crate) use layout::{Columns, MOST_VECTORS, PanelLayout, plain_panels};

/// A matrix and its bias in the order in which one level's kernels read them.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    pub(crate) layout: PanelLayout,
    /// Columns of the matrix: the length of the dot products.
    pub(crate) depth: usize,
    /// How a weight is written down.
    pub(crate) format: Format,
    /// How `weights` are ordered.
    pub(crate) order: Order,
    /// Words of its format.
    pub(crate) weights: AlignedBuffer,
    /// `[panel][vector][lane]`
    pub(crate) bias: AlignedBuffer,
}

/// For whom a matrix is packed, and how its weights are written down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    pub(crate) registers: Registers,
    pub(crate) format: Format,
}

impl Packing {
    /// The same, with a format in which sums of so many products can be had.
    pub(crate) fn of_depth(self, depth: usize) -> Self {
        Self { format: self.format.of_depth(depth), ..self }
    }

    /// The same for a projection of so many features.
    pub(crate) fn of_projection(self, input_size: usize) -> Self {
        let pays = input_size >= INPUTS_FOR_UNIT;
        Self { format: if pays { self.format } else { self.format.of_vectors() }, ..self }
    }

    /// The same for the products of states of so many features at each step.
    pub(crate) fn of_recurrence(self, state_size: usize, tune: Tune) -> Self {
        let pays = tune == Tune::Throughput && state_size >= STATES_FOR_UNIT;
        Self { format: if pays { self.format } else { self.format.of_vectors() }, ..self }
    }

    /// The same for a product that vectors do.
    pub(crate) fn of_vectors(self) -> Self {
        Self { format: self.format.of_vectors(), ..self }
    }
}

/// The order of all weights of a packed matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// `[panel][part][k][vector][lane]`: for the tiles of this crate.
    Panels,
    /// `[k][panel][vector][lane]`: one matrix, for `matrixmultiply`.
    Whole,
}

/// A row-major matrix `[rows, depth]` with an optional bias `[rows]`, as the caller holds it.
#[derive(Clone, Copy, Debug)]
pub struct MatrixSource<'a> {
    /// The weights, row by row.
    pub weights: &'a [f32],
    /// What is added to the product.
    pub bias: Option<&'a [f32]>,
    /// Columns.
    pub depth: usize,
}

impl MatrixSource<'_> {
    /// Rows `range` of gates that have `units` rows each.
    fn gates(&self, units: usize, range: Range<usize>) -> MatrixSource<'_> {
        let rows = range.start * units..range.end * units;
        MatrixSource {
            weights: &self.weights[rows.start * self.depth..rows.end * self.depth],
            bias: self.bias.map(|bias| &bias[rows]),
            depth: self.depth,
        }
    }
}

impl PackedMatrix {
    /// Packs the gates `range` of a recurrent layer, interleaved if there are several.
    pub(crate) fn from_gates(
        source: MatrixSource<'_>,
        units: usize,
        range: Range<usize>,
        packing: Packing,
    ) -> Self {
        let layout = match range.len() {
            1 => PanelLayout::plain(units, packing.registers),
            gates => PanelLayout::of_gates(units, gates, packing.registers),
        };
        // Of all gates: those of one layer are written down in one way.
        let format = packing.format.of_weights(source.weights);
        Self::pack(source.gates(units, range), layout, format)
    }

    /// Packs a dense layer: outputs stay in order.
    pub(crate) fn from_outputs(source: MatrixSource<'_>, outputs: usize, packing: Packing) -> Self {
        Self::pack(source, PanelLayout::plain(outputs, packing.registers), packing.format)
    }

    fn pack(source: MatrixSource<'_>, mut layout: PanelLayout, format: Format) -> Self {
        let depth = source.depth;
        let many = depth * layout.width() >= WEIGHTS_IN_PARTS && chains(depth) == 1;
        // Bytes and tiles take whole panels.
        let parts = many && matches!(format, Format::F32 | Format::Bf16);
        layout.parted = parts && may_be_parted(layout.registers.accumulators, MOST_VECTORS);
        let mut weights = AlignedBuffer::with_capacity(layout.width() * format.words(depth));
        let mut bias = AlignedBuffer::zeroed(layout.width());
        for panel in 0..layout.panels {
            for part in layout.parts(panel).into_iter().filter(|part| !part.is_empty()) {
                let blocks = (0..depth).step_by(BLOCK).map(|start| start..depth.min(start + BLOCK));
                let width = part.len() * layout.registers.lanes;
                let of_block = |to: &mut _, block| {
                    pack_block(source, to, &layout, (panel, part.clone()), block);
                };
                let whole = || {
                    let mut numbers = AlignedBuffer::with_capacity(depth * width);
                    blocks.clone().for_each(|block| of_block(&mut numbers, block));
                    numbers
                };
                match format {
                    Format::F32 => blocks.clone().for_each(|block| of_block(&mut weights, block)),
                    Format::Bf16 => {
                        for block in blocks.clone() {
                            let mut numbers = AlignedBuffer::with_capacity(block.len() * width);
                            of_block(&mut numbers, block);
                            write_bf16(&numbers, width, &mut weights);
                        }
                    }
                    // A scale is of all blocks, and a tile of several.
                    Format::Int8 => write_int8(&whole(), width, &mut weights),
                    Format::Bf16Tiles => write_tiles::<1>(&whole(), width, &mut weights),
                    Format::Split => write_tiles::<ALL_PARTS>(&whole(), width, &mut weights),
                }
            }
            let vectors = bias[layout.first_column(panel)..].chunks_mut(layout.registers.lanes);
            for (vector, to) in vectors.take(layout.vectors_of(panel)).enumerate() {
                let rows = layout.source_rows(panel, vector);
                if let Some(bias) = source.bias {
                    copy_flushed(to, &bias[rows]);
                }
            }
        }
        Self { layout, depth, format, order: Order::Panels, weights, bias }
    }

    /// Changes the order of the weights to what `matrixmultiply` reads, if there are enough of them
    /// for that to pay. Decided by the shape of the weights alone, because it decides bits.
    pub(crate) fn lay_out_for_matrixmultiply(&mut self) {
        let (depth, width) = (self.depth, self.layout.width());
        if self.format != Format::F32 || depth * width < MATRIXMULTIPLY_WEIGHTS {
            return;
        }
        let mut whole = AlignedBuffer::with_capacity(depth * width);
        for k in 0..depth {
            let row = whole.grow(width);
            for panel in 0..self.layout.panels {
                for part in self.layout.parts(panel) {
                    let lanes = self.layout.registers.lanes;
                    let to = self.layout.first_column(panel) + part.start * lanes;
                    let width = part.len() * lanes;
                    let from = &self.part(panel, part)[k * width..][..width];
                    row[to..][..width].copy_from_slice(from);
                }
            }
        }
        self.weights = whole;
        self.order = Order::Whole;
    }

    /// The words of a vector of outputs for each lane.
    #[inline(always)]
    fn words(&self) -> usize {
        self.format.words(self.depth)
    }

    /// The words of rows made into what they are multiplied as; none if that is themselves.
    #[inline]
    pub(crate) fn words_of_rows(&self, rows: usize) -> usize {
        match self.format {
            Format::F32 | Format::Bf16 => 0,
            Format::Int8 => rows * self.words(),
            Format::Bf16Tiles | Format::Split => {
                matrix_unit::words_of_rows(rows, self.depth, self.format.parts())
            }
        }
    }

    /// The weights of one part of a panel, `[k][vector][lane]`.
    #[inline(always)]
    pub(crate) fn part(&self, panel: usize, vectors: Range<usize>) -> &[f32] {
        let vector = self.layout.registers.lanes * self.words();
        &self.panel(panel)[vectors.start * vector..vectors.end * vector]
    }

    /// The weights of one panel, `[part][k][vector][lane]`.
    #[inline(always)]
    pub(crate) fn panel(&self, panel: usize) -> &[f32] {
        debug_assert_eq!(self.order, Order::Panels, "panels of a packed matrix");
        let (first, end) = (self.layout.first_column(panel), self.layout.first_column(panel + 1));
        &self.weights[first * self.words()..end * self.words()]
    }

    /// Where a panel begins, and go on those behind it.
    #[inline(always)]
    pub(crate) fn start_of_panel(&self, panel: usize) -> *const f32 {
        debug_assert_eq!(self.order, Order::Panels, "panels of a packed matrix");
        self.weights[self.layout.first_column(panel) * self.words()..].as_ptr()
    }

    /// Vectors of the first panel that rows together sum at once; others have as many or one less.
    pub(crate) fn widest_tile(&self) -> usize {
        let [part, _] = self.layout.parts(0);
        part.len()
    }

    /// Panels.
    #[inline]
    pub(crate) fn panels(&self) -> usize {
        self.layout.panels
    }

    /// The length of a dot product.
    #[must_use]
    #[inline]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Numbers in a row of the product, padding included.
    #[must_use]
    #[inline]
    pub fn width(&self) -> usize {
        self.layout.width()
    }

    /// The bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes()
    }
}

/// A number for each gate and unit, in the order of the columns of gates packed together.
pub(crate) fn interleave(
    numbers: &[f32],
    units: usize,
    gates: usize,
    registers: Registers,
) -> AlignedBuffer {
    let source = MatrixSource { weights: &[], bias: Some(numbers), depth: 0 };
    PackedMatrix::from_gates(source, units, 0..gates, Packing { registers, format: Format::F32 })
        .bias
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::TINY;

    /// Registers enough for a whole panel.
    const fn many(lanes: usize) -> Registers {
        Registers { lanes, accumulators: 24 }
    }

    fn as_f32(registers: Registers) -> Packing {
        Packing { registers, format: Format::F32 }
    }

    /// Every weight tells its row and column.
    fn matrix(rows: u16, depth: u16) -> Vec<f32> {
        let value = |row, k| f32::from(row) * 100.0 + f32::from(k) + 1.0;
        (0..rows).flat_map(|row| (0..depth).map(move |k| value(row, k))).collect()
    }

    #[test]
    fn gates_of_one_unit_lie_side_by_side() {
        let (weights, bias) = (matrix(6, 2), matrix(6, 1));
        let source = MatrixSource { weights: &weights, bias: Some(&bias), depth: 2 };
        let packed = PackedMatrix::from_gates(source, 3, 0..2, as_f32(many(2)));
        let one_panel = [1., 101., 301., 401., 2., 102., 302., 402.];
        let other_panel = [201., 0., 501., 0., 202., 0., 502., 0.];
        assert_eq!(packed.weights[..], [one_panel, other_panel].concat());
        assert_eq!(packed.bias[..], [1., 101., 301., 401., 201., 0., 501., 0.]);
    }

    #[test]
    fn outputs_stay_in_order_in_panels_of_any_width() {
        let weights = matrix(10, 2);
        let source = MatrixSource { weights: &weights, bias: None, depth: 2 };
        let packed = PackedMatrix::from_outputs(source, 10, as_f32(many(2)));
        assert_eq!((packed.layout.panels, packed.layout.vectors, packed.layout.wider), (2, 2, 1));
        let first = [1., 101., 201., 301., 401., 501., 2., 102., 202., 302., 402., 502.];
        let second = [601., 701., 801., 901., 602., 702., 802., 902.];
        assert_eq!(packed.panel(0), first);
        assert_eq!(packed.panel(1), second);
        let one_gate = PackedMatrix::from_gates(source, 5, 1..2, as_f32(many(2)));
        assert_eq!(
            one_gate.weights[..],
            [501., 601., 701., 801., 901., 0., 502., 602., 702., 802., 902., 0.]
        );
    }

    #[test]
    fn few_registers_have_panels_in_two_parts() {
        let (units, lanes) = (2, 2);
        let depth = WEIGHTS_IN_PARTS / (4 * units);
        let weights = matrix(8, u16::try_from(depth).unwrap());
        let source = MatrixSource { weights: &weights, bias: None, depth };
        let few = Registers { lanes, accumulators: 12 };
        let [mut parted, mut whole] = [few, many(lanes)]
            .map(|registers| PackedMatrix::from_gates(source, units, 0..4, as_f32(registers)));
        let row = |gate: usize| [weights[2 * gate * depth], weights[(2 * gate + 1) * depth]];
        assert_eq!(whole.weights[..8], [row(0), row(1), row(2), row(3)].concat());
        assert_eq!(parted.weights[..4], [row(0), row(1)].concat());
        assert_eq!(parted.part(0, 2..4)[..4], [row(2), row(3)].concat());
        parted.lay_out_for_matrixmultiply();
        whole.lay_out_for_matrixmultiply();
        assert_eq!(parted.weights[..], whole.weights[..]);
    }

    #[test]
    fn blocks_and_strips_of_any_size_fit_together() {
        let block = u16::try_from(BLOCK).unwrap();
        for depth in [1, 7, block - 1, block, block + 1, 2 * block + 3] {
            let (units, gates) = (21, 3);
            let weights = matrix(63, depth);
            let depth = usize::from(depth);
            let source = MatrixSource { weights: &weights, bias: None, depth };
            for lanes in [4, 8, 16] {
                let packed = PackedMatrix::from_gates(source, units, 0..gates, as_f32(many(lanes)));
                let mut expected = Vec::new();
                for first in (0..units).step_by(lanes) {
                    for k in 0..depth {
                        for gate in 0..gates {
                            let row = |unit| (gate * units + unit) * depth;
                            let weight =
                                |unit| if unit < units { weights[row(unit) + k] } else { 0.0 };
                            expected.extend((first..first + lanes).map(weight));
                        }
                    }
                }
                assert_eq!(packed.weights[..], expected, "depth {depth}, {lanes} lanes");
            }
        }
    }

    #[test]
    fn panels_hold_every_vector_once() {
        for outputs in 1..100 {
            let layout = PanelLayout::plain(outputs, many(4));
            assert_eq!(layout.width(), outputs.next_multiple_of(4));
            for panel in 0..layout.panels {
                let width = layout.first_column(panel + 1) - layout.first_column(panel);
                assert_eq!(width, layout.vectors_of(panel) * 4);
                assert!((1..=MOST_VECTORS).contains(&layout.vectors_of(panel)));
            }
            for vectors in 1..MOST_VECTORS {
                let as_wide =
                    (0..layout.panels).filter(|&panel| layout.vectors_of(panel) == vectors);
                assert!(as_wide.count() <= plain_panels(vectors), "{outputs} outputs");
            }
        }
    }

    #[test]
    fn tiny_weights_are_flushed_and_nan_stays() {
        let weights = [f32::MIN_POSITIVE, -TINY / 2.0, TINY, f32::NAN];
        let source = MatrixSource { weights: &weights, bias: None, depth: 4 };
        let packed = PackedMatrix::from_outputs(source, 1, as_f32(many(1)));
        assert_eq!(packed.weights[..3], [0.0, 0.0, TINY]);
        assert!(packed.weights[3].is_nan());
    }
}
