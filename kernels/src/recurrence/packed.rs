//! One direction of a recurrent layer, packed for one level.

use std::ops::Range;

use super::{RecurArgs, state_stride};
use crate::activation::Activation;
use crate::pack::{Columns, MatrixSource, Order, PackedMatrix};
use crate::tuning::chains;

/// Which step to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellKind {
    /// `h' = activation(sum)`
    Simple {
        /// Of the sum.
        activation: Activation,
    },
    /// Gates i, f, g, o.
    Lstm {
        /// Of the candidate and of the new cell state.
        activation: Activation,
        /// Of i, f and o.
        recurrent_activation: Activation,
    },
    /// Gates z, r, n.
    Gru {
        /// Where r enters.
        reset: Reset,
        /// Of the candidate.
        activation: Activation,
        /// Of z and r.
        recurrent_activation: Activation,
    },
}

/// Where the reset gate of a GRU enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// It multiplies the state before the candidate's product.
    Before,
    /// It multiplies the candidate's product with its bias.
    After,
}

/// What the previous hidden state is multiplied by.
#[derive(Clone, Copy, Debug)]
pub enum RecurrentSource<'a> {
    /// `[gates × hidden_size, hidden_size]`, row by row.
    Matrix(&'a [f32]),
    /// The state itself is added.
    Identity,
}

/// The weights of one direction of a layer, as the caller holds them: gate blocks in the order that
/// [`CellKind`] names.
#[derive(Clone, Copy, Debug)]
pub struct CellSource<'a> {
    /// The step.
    pub kind: CellKind,
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
}

/// One direction of a layer in the order in which one level's kernels read it.
#[derive(Clone, Debug)]
pub struct PackedCell {
    pub(crate) kind: CellKind,
    pub(crate) hidden_size: usize,
    /// The number of partial sums of a recurrent product.
    pub(crate) chains: usize,
    /// W and the bias that starts the sums.
    pub(crate) projection: PackedMatrix,
    /// U: nothing for an identity; of a GRU that resets before, two matrices: z r, and n.
    recurrent: Vec<PackedMatrix>,
}

impl CellKind {
    /// Gate blocks in its weights.
    #[must_use]
    pub fn gates(self) -> usize {
        match self {
            Self::Simple { .. } => 1,
            Self::Lstm { .. } => 4,
            Self::Gru { .. } => 3,
        }
    }

    /// Whether it has a cell state.
    #[must_use]
    pub fn has_cell_state(self) -> bool {
        matches!(self, Self::Lstm { .. })
    }

    /// Whether sigmoid and tanh are where they usually are, so that a fused kernel runs it.
    pub(crate) fn is_default(self) -> bool {
        match self {
            Self::Simple { activation } => {
                matches!(activation, Activation::Tanh | Activation::Relu)
            }
            Self::Lstm { activation, recurrent_activation }
            | Self::Gru { activation, recurrent_activation, .. } => {
                (activation, recurrent_activation) == (Activation::Tanh, Activation::Sigmoid)
            }
        }
    }
}

impl PackedCell {
    /// Packs for vectors of `lanes`.
    ///
    /// Both biases are added once, in f32, except that the recurrent bias of the candidate of a GRU
    /// that resets after the product stays with the product.
    ///
    /// # Panics
    ///
    /// If a length does not fit.
    pub(crate) fn new(source: &CellSource<'_>, lanes: usize) -> Self {
        let (gates, hidden_size) = (source.kind.gates(), source.hidden_size);
        let rows = gates * hidden_size;
        assert_eq!(source.input_weights.len(), rows * source.input_size, "input weights");
        for bias in [source.bias, source.recurrent_bias].into_iter().flatten() {
            assert_eq!(bias.len(), rows, "a bias");
        }
        let after = matches!(source.kind, CellKind::Gru { reset: Reset::After, .. });
        let own_chain = if after { 2 * hidden_size..rows } else { rows..rows };
        let at = |bias: Option<&[f32]>, row: usize| bias.map_or(0.0, |bias| bias[row]);
        let bias: Vec<f32> = (0..rows)
            .map(|row| match (source.recurrent_bias, own_chain.contains(&row)) {
                (Some(recurrent), false) => at(source.bias, row) + recurrent[row],
                _ => at(source.bias, row),
            })
            .collect();
        let projection = MatrixSource {
            weights: source.input_weights,
            bias: Some(&bias),
            depth: source.input_size,
        };
        let projection = PackedMatrix::from_gates(projection, hidden_size, 0..gates, lanes);
        let recurrent = match source.recurrent {
            RecurrentSource::Identity => {
                assert_eq!(gates, 1, "only a simple RNN can do without a recurrent matrix");
                Vec::new()
            }
            RecurrentSource::Matrix(weights) => {
                assert_eq!(weights.len(), rows * hidden_size, "recurrent weights");
                let bias = source.recurrent_bias.filter(|_| after);
                let matrix = MatrixSource { weights, bias, depth: hidden_size };
                let pack = |range| PackedMatrix::from_gates(matrix, hidden_size, range, lanes);
                match source.kind {
                    CellKind::Gru { reset: Reset::Before, .. } => vec![pack(0..2), pack(2..3)],
                    _ => vec![pack(0..gates)],
                }
            }
        };
        let chains = chains(hidden_size);
        Self { kind: source.kind, hidden_size, chains, projection, recurrent }
    }

    /// Panics unless the buffers fit, which is what the kernels rely on.
    pub(crate) fn check(&self, args: &RecurArgs<'_>) {
        let (time, batch) = (args.time, args.batch);
        let width = self.projection_width();
        assert!(args.projection.len() >= time * batch * width, "pre-activations of a recurrence");
        let states = batch * state_stride(self.hidden_size);
        assert_eq!(args.hidden.len(), states, "hidden states of a recurrence");
        let cells = if self.kind.has_cell_state() { states } else { 0 };
        assert_eq!(args.cell.len(), cells, "cell states of a recurrence");
        assert_eq!(args.scratch.len(), self.scratch_len(batch), "scratch of a recurrence");
        if let Some(share) = &args.share {
            assert!(share.panels.end <= self.panels(), "panels of a share");
            assert!(args.output.is_none(), "the output of a share is the meeting's");
        }
        if let Some(output) = &args.output {
            let shape = (output.time(), output.batch(), output.features());
            assert_eq!(shape, (time, batch, self.hidden_size), "output of a recurrence");
        }
    }

    /// U, or of a GRU that resets before the product its first two gates.
    pub(crate) fn recurrent(&self) -> &PackedMatrix {
        &self.recurrent[0]
    }

    /// The third gate of a GRU that resets before the product.
    pub(crate) fn candidate(&self) -> &PackedMatrix {
        &self.recurrent[1]
    }

    /// Whether the state is added without a matrix.
    pub(crate) fn is_identity(&self) -> bool {
        self.recurrent.is_empty()
    }

    /// Whether one of the fused kernels runs it.
    pub(crate) fn is_fused(&self) -> bool {
        self.kind.is_default() && !self.is_identity()
    }

    /// The step.
    #[must_use]
    pub fn kind(&self) -> CellKind {
        self.kind
    }

    /// Units.
    #[must_use]
    pub fn hidden_size(&self) -> usize {
        self.hidden_size
    }

    /// The parts that several threads may share, 0 if they may not: both matrices are cut into as
    /// many panels.
    #[must_use]
    pub fn panels(&self) -> usize {
        let one_sweep = !matches!(self.kind, CellKind::Gru { reset: Reset::Before, .. });
        let shared = self.is_fused() && one_sweep && self.projection.order == Order::Panels;
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

    /// Numbers in a row of pre-activations, padding included.
    #[must_use]
    pub fn projection_width(&self) -> usize {
        self.projection.width()
    }

    /// Numbers of scratch that a recurrence over `batch` rows needs.
    #[must_use]
    pub fn scratch_len(&self, batch: usize) -> usize {
        let states = batch * state_stride(self.hidden_size);
        let before = matches!(self.kind, CellKind::Gru { reset: Reset::Before, .. });
        match (self.is_fused(), before) {
            (true, false) => states,
            (true, true) => 3 * states,
            (false, _) => 2 * states + batch * self.projection_width(),
        }
    }

    /// The bytes it occupies.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.projection.bytes() + self.recurrent.iter().map(PackedMatrix::bytes).sum::<usize>()
    }
}
