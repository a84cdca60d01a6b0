//! The one layout of weights that the rest of the crate knows.
//!
//! Every convention (Keras, PyTorch, ...) is turned into this when it is loaded: matrices are row-major with a row per
//! output, gate blocks are stacked in the order of [`Cell::gates`](super::Cell::gates).

use crate::Error;

/// A dense row-major matrix `[rows, columns]`.
#[derive(Clone, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Takes `values` as `[rows, columns]`, row by row.
    ///
    /// # Errors
    ///
    /// If `values` does not hold `rows × columns` numbers.
    pub fn new(rows: usize, columns: usize, values: Vec<f32>) -> Result<Self, Error> {
        if rows.checked_mul(columns) != Some(values.len()) {
            return Err(Error::Shape {
                what: "a matrix".into(),
                expected: format!("{rows} × {columns} values"),
                found: format!("{} values", values.len()),
            });
        }
        Ok(Self { rows, columns, values })
    }

    /// Turns `values`, given as `[columns, rows]`, into the matrix `[rows, columns]`.
    ///
    /// # Errors
    ///
    /// If `values` does not hold `rows × columns` numbers.
    pub fn from_transposed(rows: usize, columns: usize, values: &[f32]) -> Result<Self, Error> {
        let flat = Self::new(columns, rows, values.to_vec())?;
        Ok(flat.transposed())
    }

    /// The number of rows (outputs).
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns (inputs).
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row by row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Row `row`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// Rows `start..end` as a matrix of their own.
    ///
    /// # Panics
    ///
    /// If there are no such rows.
    #[must_use]
    pub fn row_block(&self, start: usize, end: usize) -> Self {
        let values = self.values[start * self.columns..end * self.columns].to_vec();
        Self { rows: end - start, columns: self.columns, values }
    }

    /// The transposed matrix.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        for column in 0..self.columns {
            values.extend((0..self.rows).map(|row| self.values[row * self.columns + column]));
        }
        Self { rows: self.columns, columns: self.rows, values }
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix [{}, {}]", self.rows, self.columns)
    }
}

/// What a layer multiplies its previous hidden state by.
#[derive(Clone, Debug, PartialEq)]
pub enum RecurrentWeights {
    /// A matrix `[gates × hidden_size, hidden_size]`.
    Matrix(Matrix),
    /// Nothing: the state itself is added, `h' = activation(W x + b + h)`.
    Identity,
}

/// The weights of one direction of a recurrent layer.
#[derive(Clone, Debug, PartialEq)]
pub struct CellWeights {
    /// W, `[gates × hidden_size, input_size]`.
    pub input: Matrix,
    /// U, `[gates × hidden_size, hidden_size]`.
    pub recurrent: RecurrentWeights,
    /// `[gates × hidden_size]`: added to the input product.
    pub bias: Option<Vec<f32>>,
    /// `[gates × hidden_size]`: added to the recurrent product. The distinction matters only to the candidate of a GRU
    /// that resets after the product; elsewhere both biases are summed once, in f32.
    pub recurrent_bias: Option<Vec<f32>>,
}

impl CellWeights {
    /// The number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let recurrent = match &self.recurrent {
            RecurrentWeights::Matrix(matrix) => matrix.values().len(),
            RecurrentWeights::Identity => 0,
        };
        let bias = self.bias.as_ref().map_or(0, Vec::len);
        let recurrent_bias = self.recurrent_bias.as_ref().map_or(0, Vec::len);
        self.input.values().len() + recurrent + bias + recurrent_bias
    }

    /// Every group of values with its name.
    pub fn tensors(&self) -> impl Iterator<Item = (&'static str, &[f32])> {
        let recurrent = match &self.recurrent {
            RecurrentWeights::Matrix(matrix) => Some(("recurrent_weights", matrix.values())),
            RecurrentWeights::Identity => None,
        };
        let bias = self.bias.as_deref().map(|bias| ("bias", bias));
        let recurrent_bias = self.recurrent_bias.as_deref().map(|bias| ("recurrent_bias", bias));
        [Some(("input_weights", self.input.values())), recurrent, bias, recurrent_bias]
            .into_iter()
            .flatten()
    }
}
