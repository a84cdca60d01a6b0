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

    /// Takes `values` as a single row.
    pub(crate) fn row_vector(values: Vec<f32>) -> Self {
        Self { rows: 1, columns: values.len(), values }
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
    /// A matrix `[gates × hidden_size, state_size]`.
    Matrix(Matrix),
    /// A number for each gate and unit, `[gates × hidden_size]`: a unit sees only itself, `u ⊙ h`
    /// (Li et al., 2018, "IndRNN").
    Diagonal(Vec<f32>),
    /// Nothing: the state itself is added, as in `h' = activation(W x + b + h)`.
    Identity,
}

/// The weights of one direction of a recurrent layer.
#[derive(Clone, Debug, PartialEq)]
pub struct CellWeights {
    /// W, `[gates × hidden_size, input_size]`.
    pub input: Matrix,
    /// U, over h.
    pub recurrent: RecurrentWeights,
    /// `[gates × hidden_size]`: added to the input product.
    pub bias: Option<Vec<f32>>,
    /// `[gates × hidden_size]`: added to the recurrent product. The distinction matters only to the candidate of a GRU
    /// that resets after the product; elsewhere both biases are summed once, in f32.
    pub recurrent_bias: Option<Vec<f32>>,
    /// p of an LSTM, `[gates with one × hidden_size]` in the order of
    /// [`Lstm::peephole_gates`](super::Lstm::peephole_gates): each gate of them sees its unit's cell state.
    pub peepholes: Option<Vec<f32>>,
    /// V of an LSTM, `[state_size, hidden_size]`: h is V times what it would be without (PyTorch `weight_hr`).
    pub projection: Option<Matrix>,
}

impl CellWeights {
    /// W and U, and nothing else.
    #[must_use]
    pub fn new(input: Matrix, recurrent: RecurrentWeights) -> Self {
        let (bias, recurrent_bias, peepholes, projection) = (None, None, None, None);
        Self { input, recurrent, bias, recurrent_bias, peepholes, projection }
    }

    /// The number of weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.tensors().map(|tensor| tensor.values.len()).sum()
    }

    /// Every group of values with its name and shape.
    pub fn tensors(&self) -> impl Iterator<Item = CellTensor<'_>> {
        let recurrent = match &self.recurrent {
            RecurrentWeights::Matrix(matrix) => {
                Some(CellTensor::matrix("recurrent_weights", matrix))
            }
            RecurrentWeights::Diagonal(weights) => {
                Some(CellTensor::vector("recurrent_weights", weights))
            }
            RecurrentWeights::Identity => None,
        };
        let vectors = [
            ("bias", &self.bias),
            ("recurrent_bias", &self.recurrent_bias),
            ("peepholes", &self.peepholes),
        ];
        let vectors =
            vectors.map(|(name, values)| Some(CellTensor::vector(name, values.as_ref()?)));
        let projection = self.projection.as_ref();
        [Some(CellTensor::matrix("input_weights", &self.input)), recurrent]
            .into_iter()
            .chain(vectors)
            .chain([projection.map(|matrix| CellTensor::matrix("projection", matrix))])
            .flatten()
    }
}

/// One group of a cell's weights.
#[derive(Clone, Debug, PartialEq)]
pub struct CellTensor<'a> {
    /// The name of its field; of `U`, `recurrent_weights`; of `W`, `input_weights`.
    pub name: &'static str,
    /// Its sizes, the outermost first.
    pub shape: Vec<usize>,
    /// Row by row.
    pub values: &'a [f32],
}

impl<'a> CellTensor<'a> {
    fn matrix(name: &'static str, matrix: &'a Matrix) -> Self {
        Self { name, shape: vec![matrix.rows(), matrix.columns()], values: matrix.values() }
    }

    fn vector(name: &'static str, values: &'a [f32]) -> Self {
        Self { name, shape: vec![values.len()], values }
    }
}
