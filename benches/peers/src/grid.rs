//! The shapes that are raced, as data.

use std::fmt;

/// Which recurrent step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Elman network with tanh, 1 gate.
    Rnn,
    /// 4 gates, `i f g o`.
    Lstm,
    /// 3 gates, `z r n`, the reset gate after the product.
    Gru,
}

impl Cell {
    /// The number of gates.
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Lstm => 4,
            Self::Gru => 3,
        }
    }

    /// The name in tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rnn => "rnn",
            Self::Lstm => "lstm",
            Self::Gru => "gru",
        }
    }
}

/// What flows in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Random inputs and biases, from a state of zeros.
    Random,
    /// Zero inputs and biases, from a random state: it decays below the smallest normal number.
    Decay,
}

/// Which rows belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grid {
    /// Small, middle and large shapes of every cell.
    Main,
    /// Shapes of published benchmarks, stacks, both directions, odd sizes, decay.
    Extended,
}

/// One row of the race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) grid: Grid,
    pub(crate) cell: Cell,
    pub(crate) input_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) batch: usize,
    pub(crate) time: usize,
    pub(crate) layers: usize,
    /// 1 forward, 2 bidirectional with both outputs side by side.
    pub(crate) directions: usize,
    pub(crate) signal: Signal,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.layers > 1 {
            write!(f, "{}×", self.layers)?;
        }
        if self.directions == 2 {
            write!(f, "bi")?;
        }
        let Self { input_size, hidden_size, batch, time, .. } = self;
        write!(f, "{} {input_size}→{hidden_size} B{batch} T{time}", self.cell.name())?;
        if self.signal == Signal::Decay { write!(f, " decay") } else { Ok(()) }
    }
}

const fn row(
    grid: Grid,
    cell: Cell,
    input_size: usize,
    hidden_size: usize,
    batch: usize,
    time: usize,
) -> Shape {
    let signal = Signal::Random;
    Shape { grid, cell, input_size, hidden_size, batch, time, layers: 1, directions: 1, signal }
}

/// Of `Grid::Main`: cell, input size, hidden size, batch, time.
const MAIN: [(Cell, usize, usize, usize, usize); 22] = [
    (Cell::Lstm, 16, 32, 1, 100),
    (Cell::Lstm, 16, 32, 2, 100),
    (Cell::Lstm, 1, 16, 1, 1000),
    (Cell::Lstm, 1, 40, 1, 1000),
    (Cell::Lstm, 128, 128, 1, 1),
    (Cell::Lstm, 128, 128, 1, 100),
    (Cell::Lstm, 256, 256, 1, 100),
    (Cell::Lstm, 512, 512, 1, 50),
    (Cell::Lstm, 1024, 1024, 1, 25),
    (Cell::Lstm, 256, 256, 16, 100),
    (Cell::Lstm, 512, 512, 16, 25),
    (Cell::Lstm, 1024, 1024, 16, 25),
    (Cell::Lstm, 512, 512, 64, 25),
    (Cell::Lstm, 1024, 1024, 64, 25),
    (Cell::Gru, 24, 48, 1, 100),
    (Cell::Gru, 128, 128, 1, 1),
    (Cell::Gru, 128, 128, 1, 100),
    (Cell::Gru, 512, 512, 1, 50),
    (Cell::Gru, 512, 512, 16, 25),
    (Cell::Rnn, 16, 32, 2, 100),
    (Cell::Rnn, 128, 128, 1, 100),
    (Cell::Rnn, 512, 512, 16, 25),
];

/// DeepBench's shapes for inference on servers: cell, size, batches, time.
const DEEPBENCH: [(Cell, usize, &[usize], usize); 11] = [
    (Cell::Lstm, 512, &[1, 2, 4], 25),
    (Cell::Lstm, 1024, &[1, 2, 4], 25),
    (Cell::Lstm, 2048, &[1, 2, 4], 25),
    (Cell::Lstm, 1536, &[1, 4], 50),
    (Cell::Lstm, 256, &[1, 2, 4], 150),
    (Cell::Gru, 2816, &[1], 187),
    (Cell::Gru, 2048, &[1], 187),
    (Cell::Gru, 1536, &[1], 187),
    (Cell::Gru, 2560, &[1], 187),
    (Cell::Gru, 1024, &[1, 4], 150),
    (Cell::Gru, 512, &[1], 1),
];

/// Every row, in the order of the tables.
pub(crate) fn rows() -> Vec<Shape> {
    let main = MAIN.map(|(cell, i, h, b, t)| row(Grid::Main, cell, i, h, b, t));
    let mut rows = main.to_vec();
    let extended = |cell, i, h, batch, time| row(Grid::Extended, cell, i, h, batch, time);
    for (cell, size, batches, time) in DEEPBENCH {
        rows.extend(batches.iter().map(|&batch| extended(cell, size, size, batch, time)));
    }
    for batch in [1, 64] {
        rows.push(Shape { directions: 2, ..extended(Cell::Lstm, 256, 256, batch, 101) });
    }
    rows.push(Shape { layers: 4, ..extended(Cell::Lstm, 512, 512, 1, 70) });
    rows.push(Shape { layers: 7, ..extended(Cell::Lstm, 1024, 1024, 1, 30) });
    for batch in [1, 5] {
        rows.push(extended(Cell::Lstm, 65, 37, batch, 100));
    }
    rows.push(Shape { signal: Signal::Decay, ..extended(Cell::Lstm, 64, 64, 1, 2000) });
    rows
}
