//! Weights as the caller holds them, and on their way into arrays.

use core::fmt;

use super::product::Matrix;
use crate::activation::Activation;
use crate::contract::flushed;

/// The weights of a cell of `input_size` I and `hidden_size` H: gate blocks in the order of
/// [`Cell::gates`](crate::Cell::gates), which is `i f g o` of an LSTM and `z r n` of a GRU.
#[derive(Clone, Copy, Debug)]
pub struct FixedSource<'a> {
    /// W `[gates×hidden_size, input_size]`, row by row.
    pub input_weights: &'a [f32],
    /// U `[gates×hidden_size, hidden_size]`, row by row.
    pub recurrent_weights: &'a [f32],
    /// b `[gates×hidden_size]`, zeros without.
    pub bias: Option<&'a [f32]>,
    /// b' `[gates×hidden_size]`, zeros without.
    pub recurrent_bias: Option<&'a [f32]>,
}

/// What a constructor or [`activate`](super::activate) does not take: a slice of weights whose
/// length is not what the sizes in the type say, or an activation that works on rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FixedError(Fault);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Length { operand: Operand, found: usize },
    Rows(Activation),
}

/// Weights `[gates×rows, columns]` or, without columns, `[gates×rows]`; each axis with its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Operand {
    pub(super) of: &'static str,
    pub(super) name: &'static str,
    pub(super) gates: usize,
    pub(super) rows: (&'static str, usize),
    pub(super) columns: Option<(&'static str, usize)>,
}

impl Operand {
    const fn len(&self) -> usize {
        let columns = match self.columns {
            Some((_, columns)) => columns,
            None => 1,
        };
        self.gates * self.rows.1 * columns
    }

    /// Whether `numbers` are as many as it has.
    pub(super) const fn check(self, numbers: &[f32]) -> Result<(), FixedError> {
        if numbers.len() == self.len() {
            return Ok(());
        }
        Err(FixedError(Fault::Length { operand: self, found: numbers.len() }))
    }
}

impl FixedError {
    pub(super) const fn of_rows(activation: Activation) -> Self {
        Self(Fault::Rows(activation))
    }
}

impl fmt::Display for FixedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operand, found) = match self.0 {
            Fault::Length { operand, found } => (operand, found),
            Fault::Rows(activation) => {
                return write!(
                    f,
                    "{activation} works on whole rows, expected an activation of single numbers: \
                     take the numbers before it"
                );
            }
        };
        let Operand { of, name, gates, rows: (axis, rows), columns } = operand;
        write!(f, "{of}: {name} has {found} numbers, expected {} of [", operand.len())?;
        match gates {
            1 => write!(f, "{axis}={rows}")?,
            _ => write!(f, "{gates}×{axis}={}", gates * rows)?,
        }
        match columns {
            Some((axis, columns)) => write!(f, ", {axis}={columns}]"),
            None => f.write_str("]"),
        }
    }
}

impl core::error::Error for FixedError {}

impl FixedSource<'_> {
    /// Whether every slice has the length that the sizes of a cell with so many gates ask for.
    pub(super) const fn check(
        &self,
        of: &'static str,
        gates: usize,
        [input_size, hidden_size]: [usize; 2],
    ) -> Result<(), FixedError> {
        let bias =
            Operand { of, name: "bias", gates, rows: ("hidden", hidden_size), columns: None };
        let input = Some(("input", input_size));
        let hidden = Some(("hidden", hidden_size));
        let checks = [
            Operand { name: "input_weights", columns: input, ..bias }.check(self.input_weights),
            Operand { name: "recurrent_weights", columns: hidden, ..bias }
                .check(self.recurrent_weights),
            match self.bias {
                Some(numbers) => bias.check(numbers),
                None => Ok(()),
            },
            match self.recurrent_bias {
                Some(numbers) => Operand { name: "recurrent_bias", ..bias }.check(numbers),
                None => Ok(()),
            },
        ];
        let mut at = 0;
        while at < checks.len() {
            if checks[at].is_err() {
                return checks[at];
            }
            at += 1;
        }
        Ok(())
    }

    /// The biases of `gates` gates from `first` on, both added.
    pub(super) const fn biases<const GATES: usize, const H: usize>(&self) -> [[f32; H]; GATES] {
        let mut biases = [[0.0; H]; GATES];
        let mut row = 0;
        while row < GATES * H {
            let bias = number_of(self.bias, row);
            biases[row / H][row % H] = flushed(match self.recurrent_bias {
                Some(recurrent) => bias + recurrent[row],
                None => bias,
            });
            row += 1;
        }
        biases
    }

    /// One gate of one bias.
    pub(super) const fn bias_of<const H: usize>(bias: Option<&[f32]>, gate: usize) -> [f32; H] {
        let mut numbers = [0.0; H];
        let mut unit = 0;
        while unit < H {
            numbers[unit] = flushed(number_of(bias, gate * H + unit));
            unit += 1;
        }
        numbers
    }
}

const fn number_of(bias: Option<&[f32]>, row: usize) -> f32 {
    match bias {
        Some(bias) => bias[row],
        None => 0.0,
    }
}

/// Rows `[gates×units, K]` in the order of a product; numbers too small to count are zero.
pub(super) const fn packed<const K: usize, const GATES: usize, const U: usize>(
    rows: &[f32],
) -> Matrix<K, GATES, U> {
    let mut matrix = [[[0.0; U]; GATES]; K];
    let mut row = 0;
    while row < GATES * U {
        let mut k = 0;
        while k < K {
            matrix[k][row / U][row % U] = flushed(rows[row * K + k]);
            k += 1;
        }
        row += 1;
    }
    matrix
}
