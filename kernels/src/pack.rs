//! Weights in the order in which kernels read them.
//!
//! A matrix is cut into *panels* of a few vectors' width. A panel holds, for each column k of the
//! matrix (each input), the weights of its outputs behind each other, so that a kernel reads one
//! stream of memory:
//!
//! ```text
//! panel 0: k=0: [vector 0 lanes][vector 1 lanes]...   k=1: ...   panel 1: ...
//! ```
//!
//! For a recurrent layer the vectors of a panel are the *gates* of the same few units: one register
//! tile then holds i, f, g, o of those units, and the state is updated where the sums are. The
//! pre-activations that a projection writes have the same order of columns.

use std::ops::Range;

use crate::buffer::AlignedBuffer;
use crate::tuning::MATRIXMULTIPLY_WEIGHTS;

/// What is smaller than this in magnitude counts as zero, in packed weights and in states: the
/// products of such numbers would be denormal, which costs some CPUs a hundred cycles each.
/// 2⁻⁹⁶.
pub(crate) const TINY: f32 = f32::from_bits((127 - 96) << 23);

/// The order of a packed matrix's columns in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelLayout {
    /// Lanes of a vector.
    pub(crate) lanes: usize,
    /// Vectors of a panel.
    pub(crate) vectors: usize,
    /// Panels.
    pub(crate) panels: usize,
    /// What the vectors of a panel are.
    pub(crate) columns: Columns,
}

/// What the columns of a panel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Each vector another gate of the same units, of which there are `units`.
    Gates { units: usize },
    /// Outputs one behind the other, of which there are `outputs`.
    Plain { outputs: usize },
}

impl PanelLayout {
    /// Numbers in a row of pre-activations, lanes that belong to no output included.
    pub(crate) fn width(&self) -> usize {
        self.panels * self.panel_width()
    }

    /// Numbers of a row that belong to one panel.
    pub(crate) fn panel_width(&self) -> usize {
        self.vectors * self.lanes
    }

    /// The matrix row whose weights go to a place in memory; `None` where padding goes.
    fn source_row(&self, panel: usize, vector: usize, lane: usize) -> Option<usize> {
        match self.columns {
            Columns::Gates { units } => {
                let unit = panel * self.lanes + lane;
                (unit < units).then_some(vector * units + unit)
            }
            Columns::Plain { outputs } => {
                let output = (panel * self.vectors + vector) * self.lanes + lane;
                (output < outputs).then_some(output)
            }
        }
    }
}

/// A matrix and its bias in the order in which one level's kernels read them.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    pub(crate) layout: PanelLayout,
    /// Columns of the matrix: the length of the dot products.
    pub(crate) depth: usize,
    /// How `weights` are ordered.
    pub(crate) order: Order,
    pub(crate) weights: AlignedBuffer,
    /// `[panel][vector][lane]`
    pub(crate) bias: AlignedBuffer,
}

/// The order of all weights of a packed matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// `[panel][k][vector][lane]`: for the tiles of this crate.
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
    /// Packs the gates `range` of a recurrent layer, interleaved.
    pub(crate) fn from_gates(
        source: MatrixSource<'_>,
        units: usize,
        range: Range<usize>,
        lanes: usize,
    ) -> Self {
        let layout = PanelLayout {
            lanes,
            vectors: range.len(),
            panels: units.div_ceil(lanes),
            columns: Columns::Gates { units },
        };
        Self::pack(source.gates(units, range), layout)
    }

    /// Packs a dense layer: outputs stay in order. The panels are as wide as wastes least.
    pub(crate) fn from_outputs(source: MatrixSource<'_>, outputs: usize, lanes: usize) -> Self {
        let all = outputs.div_ceil(lanes);
        let waste = |vectors: usize| all.next_multiple_of(vectors) - all;
        let vectors = (1..=4).rev().min_by_key(|&vectors| waste(vectors)).unwrap_or(1);
        let panels = all.div_ceil(vectors);
        let layout = PanelLayout { lanes, vectors, panels, columns: Columns::Plain { outputs } };
        Self::pack(source, layout)
    }

    fn pack(source: MatrixSource<'_>, layout: PanelLayout) -> Self {
        let depth = source.depth;
        let mut weights = AlignedBuffer::zeroed(layout.width() * depth);
        let mut bias = AlignedBuffer::zeroed(layout.width());
        for panel in 0..layout.panels {
            for vector in 0..layout.vectors {
                for lane in 0..layout.lanes {
                    let Some(row) = layout.source_row(panel, vector, lane) else { continue };
                    let column = vector * layout.lanes + lane;
                    let width = layout.panel_width();
                    if let Some(source) = source.bias {
                        bias[panel * width + column] = flushed(source[row]);
                    }
                    let panel = &mut weights[panel * width * depth..(panel + 1) * width * depth];
                    let source = &source.weights[row * depth..(row + 1) * depth];
                    for (k, &weight) in source.iter().enumerate() {
                        panel[k * width + column] = flushed(weight);
                    }
                }
            }
        }
        Self { layout, depth, order: Order::Panels, weights, bias }
    }

    /// Changes the order of the weights to what `matrixmultiply` reads, if there are enough of them
    /// for that to pay. Decided by the shape of the weights alone, because it decides bits.
    pub(crate) fn lay_out_for_matrixmultiply(&mut self) {
        let (depth, width) = (self.depth, self.layout.width());
        if depth * width < MATRIXMULTIPLY_WEIGHTS {
            return;
        }
        let panel_width = self.layout.panel_width();
        let mut whole = AlignedBuffer::zeroed(depth * width);
        for panel in 0..self.layout.panels {
            for (k, row) in self.panel(panel).chunks_exact(panel_width).enumerate() {
                whole[k * width + panel * panel_width..][..panel_width].copy_from_slice(row);
            }
        }
        self.weights = whole;
        self.order = Order::Whole;
    }

    /// The weights of one panel, `[k][vector][lane]`.
    #[inline(always)]
    pub(crate) fn panel(&self, panel: usize) -> &[f32] {
        debug_assert_eq!(self.order, Order::Panels, "panels of a packed matrix");
        let len = self.layout.panel_width() * self.depth;
        &self.weights[panel * len..(panel + 1) * len]
    }

    /// The length of a dot product.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Numbers in a row of the product, padding included.
    #[must_use]
    pub fn width(&self) -> usize {
        self.layout.width()
    }

    /// The bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.weights.bytes() + self.bias.bytes()
    }
}

/// Zero for numbers too small to count; NaN stays.
fn flushed(value: f32) -> f32 {
    if value.abs() < TINY { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every weight tells its row and column.
    fn matrix(rows: u16, depth: u16) -> Vec<f32> {
        let value = |row, k| f32::from(row) * 100.0 + f32::from(k) + 1.0;
        (0..rows).flat_map(|row| (0..depth).map(move |k| value(row, k))).collect()
    }

    #[test]
    fn gates_of_one_unit_lie_side_by_side() {
        let (weights, bias) = (matrix(6, 2), matrix(6, 1));
        let source = MatrixSource { weights: &weights, bias: Some(&bias), depth: 2 };
        let packed = PackedMatrix::from_gates(source, 3, 0..2, 2);
        let one_panel = [1., 101., 301., 401., 2., 102., 302., 402.];
        let other_panel = [201., 0., 501., 0., 202., 0., 502., 0.];
        assert_eq!(packed.weights[..], [one_panel, other_panel].concat());
        assert_eq!(packed.bias[..], [1., 101., 301., 401., 201., 0., 501., 0.]);
        let second_gate = PackedMatrix::from_gates(source, 3, 1..2, 2);
        assert_eq!(second_gate.weights[..], [301., 401., 302., 402., 501., 0., 502., 0.]);
    }

    #[test]
    fn outputs_of_a_dense_layer_stay_in_order() {
        let weights = matrix(5, 1);
        let source = MatrixSource { weights: &weights, bias: None, depth: 1 };
        let packed = PackedMatrix::from_outputs(source, 5, 2);
        assert_eq!((packed.layout.vectors, packed.layout.panels), (3, 1));
        assert_eq!(packed.weights[..], [1., 101., 201., 301., 401., 0.]);
    }

    #[test]
    fn tiny_weights_are_flushed_and_nan_stays() {
        let weights = [f32::MIN_POSITIVE, -TINY / 2.0, TINY, f32::NAN];
        let source = MatrixSource { weights: &weights, bias: None, depth: 4 };
        let packed = PackedMatrix::from_outputs(source, 1, 1);
        assert_eq!(packed.weights[..3], [0.0, 0.0, TINY]);
        assert!(packed.weights[3].is_nan());
    }
}
