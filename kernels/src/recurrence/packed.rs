//! One direction of a recurrent layer, packed for one level.

use std::ops::Range;

use super::{RecurArgs, state_stride};
use crate::buffer::AlignedBuffer;
use crate::cell::{Cell, Gru, GruReset};
use crate::contract::{chains, flushed};
use crate::pack::{
    Columns, Format, MatrixSource, Order, PackedMatrix, Packing, StepOrder, interleave,
};
use crate::tune::Tune;

/// What the previous hidden state is multiplied by.
#[derive(Clone, Copy, Debug)]
pub enum RecurrentSource<'a> {
    /// `[gates × hidden_size, state_size]`, row by row.
    Matrix(&'a [f32]),
    /// `[gates × hidden_size]`: each unit sees only itself.
    Diagonal(&'a [f32]),
    /// The state itself is added.
    Identity,
}

/// The weights of one direction of a layer, as the caller holds them: gate blocks in the order of
/// [`Cell::gates`].
#[derive(Clone, Copy, Debug)]
pub struct CellSource<'a> {
    /// The step.
    pub kind: Cell,
    /// Features of the input.
    pub input_size: usize,
    /// Units.
    pub hidden_size: usize,
    /// `[gates × hidden_size, input_size]`, row by row.
    pub input_weights: &'a [f32],
    /// Likewise for the state.
    pub recurrent: RecurrentSource<'a>,
    /// `[gates × hidden_size]`
    pub bias: Option<&'a [f32]>,
    /// `[gates × hidden_size]`
    pub recurrent_bias: Option<&'a [f32]>,
    /// `[gates with one × hidden_size]` of an LSTM, in the order of
    /// [`Lstm::peephole_gates`](crate::Lstm::peephole_gates).
    pub peepholes: Option<&'a [f32]>,
    /// `[state_size, hidden_size]` of an LSTM, row by row; without it both sizes are the same.
    pub projection: Option<&'a [f32]>,
}

/// One direction of a layer in the order in which one level's kernels read it.
#[derive(Clone, Debug)]
pub struct PackedCell {
    pub(crate) kind: Cell,
    pub(crate) hidden_size: usize,
    /// Features of h: what the recurrent product is over.
    pub(crate) state_size: usize,
    /// The number of partial sums of a recurrent product.
    pub(crate) chains: usize,
    /// W and the bias that starts the sums.
    pub(crate) projection: PackedMatrix,
    pub(crate) recurrent: Recurrent,
    /// p, gate after gate, each `[hidden_size]`; empty without.
    pub(crate) peepholes: Vec<f32>,
    /// V, if h is a projection.
    pub(crate) output: Option<Box<PackedMatrix>>,
    /// Whether one of the fused kernels runs it.
    pub(crate) is_fused: bool,
}

/// What h is multiplied by.
#[derive(Clone, Debug)]
pub(crate) enum Recurrent {
    /// U whole.
    Matrix(PackedMatrix),
    /// Of a GRU that resets before the product: z r, and n.
    Parted(Box<[PackedMatrix; 2]>),
    /// In the order of a row of pre-activations, with a bias where it has a chain of its own.
    Diagonal { weights: AlignedBuffer, bias: AlignedBuffer },
}

impl PackedCell {
    /// Packs for the registers of a level. Biases, peepholes and diagonals are f32 in every format.
    ///
    /// Both biases are added once, in f32, except that the recurrent bias of the candidate of a GRU
    /// that resets after the product stays with the product.
    ///
    /// # Panics
    ///
    /// If a length does not fit, or the cell has no use for peepholes or a projection.
    pub(crate) fn new(source: &CellSource<'_>, packing: Packing, tune: Tune) -> Self {
        let (gates, hidden_size) = (source.kind.gates().len(), source.hidden_size);
        let rows = gates * hidden_size;
        assert_eq!(source.input_weights.len(), rows * source.input_size, "input weights");
        for bias in [source.bias, source.recurrent_bias].into_iter().flatten() {
            assert_eq!(bias.len(), rows, "a bias");
        }
        let peepholes = source.peepholes.unwrap_or_default();
        let peepholes: Vec<f32> = peepholes.iter().copied().map(flushed).collect();
        if let Cell::Lstm(lstm) = source.kind {
            let all = lstm.peephole_gates().len() * hidden_size;
            assert!(peepholes.is_empty() || peepholes.len() == all, "peepholes");
        } else {
            assert!(peepholes.is_empty() && source.projection.is_none(), "more than its weights");
        }
        let state_size = source.projection.map_or(hidden_size, |numbers| {
            assert_eq!(numbers.len() % hidden_size, 0, "a projection");
            numbers.len() / hidden_size
        });
        let after = matches!(source.kind, Cell::Gru(Gru { reset: GruReset::AfterMatmul, .. }));
        let own_chain = if after { 2 * hidden_size..rows } else { rows..rows };
        let at = |bias: Option<&[f32]>, row: usize| bias.map_or(0.0, |bias| bias[row]);
        let bias: Vec<f32> = (0..rows)
            .map(|row| match (source.recurrent_bias, own_chain.contains(&row)) {
                (Some(recurrent), false) => at(source.bias, row) + recurrent[row],
                _ => at(source.bias, row),
            })
            .collect();
        let matrix = MatrixSource {
            weights: source.input_weights,
            bias: Some(&bias),
            depth: source.input_size,
        };
        let packing = packing.of_depth(source.input_size.max(hidden_size).max(state_size));
        let output = source.projection.map(|weights| {
            let matrix = MatrixSource { weights, bias: None, depth: hidden_size };
            Box::new(PackedMatrix::from_gates(matrix, state_size, 0..1, packing.of_vectors()))
        });
        let is_matrix = matches!(source.recurrent, RecurrentSource::Matrix(_));
        let is_plain = is_matrix && peepholes.is_empty() && output.is_none();
        Self {
            kind: source.kind,
            hidden_size,
            state_size,
            chains: chains(state_size),
            projection: PackedMatrix::from_gates(
                matrix,
                hidden_size,
                0..gates,
                packing.of_projection(source.input_size),
            ),
            recurrent: Recurrent::new(
                source,
                state_size,
                after,
                packing.of_recurrence(state_size, tune),
            ),
            peepholes,
            output,
            is_fused: is_plain && source.kind.is_default(),
        }
    }

    /// Panics unless the buffers fit, which is what the kernels rely on.
    #[inline]
    pub(crate) fn check(&self, args: &RecurArgs<'_>) {
        let (time, batch) = (args.time, args.batch);
        let width = self.projection_width();
        assert!(args.projection.len() >= time * batch * width, "pre-activations of a recurrence");
        let states = batch * state_stride(self.state_size);
        assert_eq!(args.hidden.len(), states, "hidden states of a recurrence");
        let rows = args.order == StepOrder::Rows;
        assert!(rows || args.order == self.step_order(), "the order of pre-activations");
        let cells = if self.kind.has_cell_state() { batch * self.cell_stride() } else { 0 };
        assert_eq!(args.cell.len(), cells, "cell states of a recurrence");
        assert_eq!(args.scratch.len(), self.scratch_len(batch), "scratch of a recurrence");
        if let Some(share) = &args.share {
            assert!(share.panels.end <= self.panels(), "panels of a share");
            assert!(args.output.is_none(), "the output of a share is the meeting's");
        }
        if let Some(output) = &args.output {
            let shape = (output.time(), output.batch(), output.features());
            assert_eq!(shape, (time, batch, self.state_size), "output of a recurrence");
        }
    }

    /// U, or of a GRU that resets before the product its first two gates.
    ///
    /// # Panics
    ///
    /// If it is no matrix, which no fused kernel runs.
    #[inline]
    pub(crate) fn recurrent(&self) -> &PackedMatrix {
        match &self.recurrent {
            Recurrent::Matrix(matrix) => matrix,
            Recurrent::Parted(parts) => &parts[0],
            Recurrent::Diagonal { .. } => unreachable!("a diagonal is no matrix"),
        }
    }

    /// The bytes of a weight of the projection, and of one of the recurrence.
    #[must_use]
    pub fn bytes_of_weights(&self) -> [usize; 2] {
        [self.projection.format, self.recurrent_format()].map(Format::bytes_of_weight)
    }

    /// How the products of a step are written down, if they are of a matrix; or else those of the input, as
    /// vectors multiply them.
    pub(crate) fn recurrent_format(&self) -> Format {
        match &self.recurrent {
            Recurrent::Matrix(matrix) => matrix.format,
            Recurrent::Parted(parts) => parts[0].format,
            Recurrent::Diagonal { .. } => self.projection.format.of_vectors(),
        }
    }

    /// The third gate of a GRU that resets before the product.
    ///
    /// # Panics
    ///
    /// Of any other cell.
    pub(crate) fn candidate(&self) -> &PackedMatrix {
        match &self.recurrent {
            Recurrent::Parted(parts) => &parts[1],
            _ => unreachable!("only a GRU that resets before the product has its parts"),
        }
    }

    /// The step.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> Cell {
        self.kind
    }

    /// Units.
    #[must_use]
    #[inline]
    pub fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    /// Features of h: the units, or the rows of an LSTM's projection.
    #[must_use]
    #[inline]
    pub fn state_size(&self) -> usize {
        self.state_size
    }

    /// The distance of rows of h.
    #[must_use]
    #[inline]
    pub fn hidden_stride(&self) -> usize {
        state_stride(self.state_size)
    }

    /// The distance of rows of c.
    #[must_use]
    #[inline]
    pub fn cell_stride(&self) -> usize {
        state_stride(self.hidden_size)
    }

    /// The parts that several threads may share, 0 if they may not: both matrices are cut into as
    /// many panels.
    #[must_use]
    #[inline]
    pub fn panels(&self) -> usize {
        let one_sweep = matches!(self.recurrent, Recurrent::Matrix(_));
        let shared = self.is_fused && one_sweep && self.projection.order == Order::Panels;
        if shared { self.recurrent().panels() } else { 0 }
    }

    /// The units of some [panels](Self::panels).
    #[must_use]
    pub fn units(&self, panels: Range<usize>) -> Range<usize> {
        let layout = &self.recurrent().layout;
        let gates = match layout.columns {
            Columns::Gates { .. } => layout.vectors,
            Columns::Plain { .. } => 1,
        };
        let first = |panel| (layout.first_column(panel) / gates).min(self.hidden_size);
        first(panels.start)..first(panels.end)
    }

    /// The order of a step's pre-activations that a recurrence reads fastest: of one gate, whose panels may
    /// differ in width, it is that of rows.
    #[must_use]
    #[inline]
    pub fn step_order(&self) -> StepOrder {
        let gates = matches!(self.projection.layout.columns, Columns::Gates { .. });
        let in_panels = self.is_fused && gates && self.projection.order == Order::Panels;
        if in_panels { StepOrder::Panels } else { StepOrder::Rows }
    }

    /// Pre-activations of a row and a vector of units.
    #[inline]
    pub(crate) fn numbers_of_block(&self) -> usize {
        let layout = &self.projection.layout;
        match layout.columns {
            Columns::Gates { .. } => layout.vectors * layout.registers.lanes,
            Columns::Plain { .. } => layout.registers.lanes,
        }
    }

    /// Numbers in a row of pre-activations, padding included.
    #[must_use]
    #[inline]
    pub fn projection_width(&self) -> usize {
        self.projection.width()
    }

    /// Numbers of scratch that a projection of so many rows needs.
    #[must_use]
    #[inline]
    pub fn projection_scratch_len(&self, rows: usize) -> usize {
        self.projection.words_of_rows(rows)
    }

    /// Numbers of scratch that a recurrence over `batch` rows needs.
    #[must_use]
    #[inline]
    pub fn scratch_len(&self, batch: usize) -> usize {
        let (hidden, units) = (self.hidden_stride(), self.cell_stride());
        let row = match (self.is_fused, &self.recurrent) {
            (true, Recurrent::Parted(_)) => 3 * hidden,
            (true, _) => hidden,
            (false, _) => hidden + units + self.projection_width() + self.projected_width(),
        };
        let recurrent = match &self.recurrent {
            Recurrent::Matrix(matrix) => matrix.words_of_rows(batch),
            Recurrent::Parted(parts) => parts[0].words_of_rows(batch),
            Recurrent::Diagonal { .. } => 0,
        };
        let output = self.output.as_ref().map_or(0, |output| output.words_of_rows(batch));
        batch * row + recurrent.max(output)
    }

    /// Numbers in a row of what h is projected to, padding included; 0 if it is not.
    #[inline]
    pub(crate) fn projected_width(&self) -> usize {
        self.output.as_ref().map_or(0, |output| output.width())
    }

    /// The bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let recurrent = match &self.recurrent {
            Recurrent::Matrix(matrix) => matrix.bytes(),
            Recurrent::Parted(parts) => parts.iter().map(PackedMatrix::bytes).sum(),
            Recurrent::Diagonal { weights, bias } => weights.bytes() + bias.bytes(),
        };
        let output = self.output.as_ref().map_or(0, |output| output.bytes());
        self.projection.bytes() + recurrent + output + size_of_val(&self.peepholes[..])
    }
}

impl Recurrent {
    /// `own_chain` says that the candidate's recurrent bias starts a chain of its own.
    fn new(source: &CellSource<'_>, state_size: usize, own_chain: bool, packing: Packing) -> Self {
        let (gates, units) = (source.kind.gates().len(), source.hidden_size);
        let bias = source.recurrent_bias.filter(|_| own_chain);
        let ones;
        let diagonal = match source.recurrent {
            RecurrentSource::Matrix(weights) => {
                assert_eq!(weights.len(), gates * units * state_size, "recurrent weights");
                let matrix = MatrixSource { weights, bias, depth: state_size };
                let pack = |range| PackedMatrix::from_gates(matrix, units, range, packing);
                return match source.kind {
                    Cell::Gru(Gru { reset: GruReset::BeforeMatmul, .. }) => {
                        Self::Parted(Box::new([pack(0..2), pack(2..3)]))
                    }
                    _ => Self::Matrix(pack(0..gates)),
                };
            }
            RecurrentSource::Diagonal(weights) => weights,
            RecurrentSource::Identity => {
                ones = vec![1.0; gates * units];
                &ones
            }
        };
        assert_eq!(diagonal.len(), gates * units, "a diagonal");
        assert_eq!(state_size, units, "the states of a diagonal");
        let zeros = vec![0.0; gates * units];
        Self::Diagonal {
            weights: interleave(diagonal, units, gates, packing.registers),
            bias: interleave(bias.unwrap_or(&zeros), units, gates, packing.registers),
        }
    }
}
