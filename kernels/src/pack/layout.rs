//! The panels of a packed matrix: which outputs lie in which vector.

use std::ops::Range;

use crate::simd::Registers;

/// The order of a packed matrix's columns in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelLayout {
    /// Of the level.
    pub(crate) registers: Registers,
    /// Panels.
    pub(crate) panels: usize,
    /// Vectors of a panel.
    pub(crate) vectors: usize,
    /// The first so many panels have one vector more.
    pub(crate) wider: usize,
    /// Whether panels of four vectors lie in two parts.
    pub(crate) parted: bool,
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

/// What of the outputs of a step lies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOrder {
    /// `[row][panel]`: those of a row.
    Rows,
    /// `[panel][row]`: those of a panel.
    Panels,
}

/// Vectors of a panel at most.
pub(crate) const MOST_VECTORS: usize = 4;

/// Panels of so many vectors that a plain matrix has at most, as far as 4 of them go: its vectors are
/// shared out evenly.
pub(crate) const fn plain_panels(vectors: usize) -> usize {
    match vectors {
        0..=2 => 1,
        3 => 3,
        _ => 4,
    }
}

impl PanelLayout {
    /// Each vector of a panel another of `gates`, 2 or more.
    pub(super) fn of_gates(units: usize, gates: usize, registers: Registers) -> Self {
        let (panels, columns) = (units.div_ceil(registers.lanes), Columns::Gates { units });
        Self { registers, panels, vectors: gates, wider: 0, parted: false, columns }
    }

    /// Outputs in order.
    pub(super) fn plain(outputs: usize, registers: Registers) -> Self {
        let vectors = outputs.div_ceil(registers.lanes);
        let panels = vectors.div_ceil(MOST_VECTORS).max(1);
        let columns = Columns::Plain { outputs };
        let (vectors, wider) = (vectors / panels, vectors % panels);
        Self { registers, panels, vectors, wider, parted: false, columns }
    }

    /// Numbers in a row of pre-activations, lanes that belong to no output included.
    pub(crate) fn width(&self) -> usize {
        self.first_column(self.panels)
    }

    /// The first column of a panel.
    #[inline(always)]
    pub(crate) fn first_column(&self, panel: usize) -> usize {
        (panel * self.vectors + panel.min(self.wider)) * self.registers.lanes
    }

    /// The vectors of a panel.
    #[inline(always)]
    pub(crate) fn vectors_of(&self, panel: usize) -> usize {
        self.vectors + usize::from(panel < self.wider)
    }

    /// The parts of a panel, of which the second may be empty: the vectors of each.
    #[inline(always)]
    pub(crate) fn parts(&self, panel: usize) -> [Range<usize>; 2] {
        match self.vectors_of(panel) {
            MOST_VECTORS if self.parted => [0..2, 2..4],
            vectors => [0..vectors, vectors..vectors],
        }
    }

    /// The matrix rows whose weights go to the lanes of a vector; padding takes the lanes left over.
    pub(super) fn source_rows(&self, panel: usize, vector: usize) -> Range<usize> {
        let lanes = self.registers.lanes;
        let (first, start, end) = match self.columns {
            Columns::Gates { units } => (vector * units, panel * lanes, units),
            Columns::Plain { outputs } => (0, self.first_column(panel) + vector * lanes, outputs),
        };
        first + start.min(end)..first + (start + lanes).min(end)
    }
}
