//! Numbers and layers to measure with.

#![allow(dead_code, reason = "each bench takes what it needs")]

use ritornello::model::{Cell, CellWeights, Direction, Matrix, Recurrent, RecurrentWeights};

/// Numbers in [-1, 1) from a seed: xorshift64*.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) fn numbers(&mut self, count: usize, bound: f32) -> Vec<f32> {
        let mut next = || {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
            bound * (high as f32 / 8_388_608.0 - 1.0)
        };
        (0..count).map(|_| next()).collect()
    }

    /// Weights as PyTorch draws them.
    pub(crate) fn layer(&mut self, cell: Cell, input_size: usize, size: usize) -> Recurrent {
        let rows = cell.gates().len() * size;
        let bound = 1.0 / (size as f32).sqrt();
        let mut matrix = |columns: usize| {
            Matrix::new(rows, columns, self.numbers(rows * columns, bound)).expect("fits")
        };
        let weights = CellWeights {
            input: matrix(input_size),
            recurrent: RecurrentWeights::Matrix(matrix(size)),
            bias: Some(self.numbers(rows, bound)),
            recurrent_bias: Some(self.numbers(rows, bound)),
            peepholes: None,
            projection: None,
        };
        Recurrent::new(cell, Direction::Forward, vec![weights]).expect("fits")
    }
}
