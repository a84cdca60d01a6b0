//! Cells by hand: one step at a time, with states that the caller keeps.

use crate::model::{Direction, Model, Recurrent};
use crate::{Error, PlanOptions, Session};

/// One recurrent cell on `[batch, features]`, as in Keras' `SimpleRNNCell`, `LSTMCell`, `GRUCell`
/// and PyTorch's `RNNCell`, `LSTMCell`, `GRUCell`.
///
/// ```
/// # use ritornello::model::{Cell, CellWeights, Direction, Matrix, Recurrent, RecurrentWeights};
/// # fn main() -> Result<(), ritornello::Error> {
/// # let recurrent = RecurrentWeights::Matrix(Matrix::new(12, 3, vec![0.1; 36])?);
/// # let weights = CellWeights::new(Matrix::new(12, 5, vec![0.1; 60])?, recurrent);
/// # let layer = Recurrent::new(Cell::LSTM, Direction::Forward, vec![weights])?;
/// let batch = 2;
/// let mut cell = ritornello::HandCell::new(&layer, batch, Default::default())?;
/// let (mut h, mut c) = (vec![0.0; batch * 3], vec![0.0; batch * 3]);
/// for step in [[0.5; 10], [-0.5; 10]] {
///     cell.step(&step, &mut h, &mut c)?;
/// }
/// # assert!(h.iter().all(|h| h.abs() < 1.0)); Ok(()) }
/// ```
#[derive(Debug)]
pub struct HandCell {
    session: Session,
    batch: usize,
    input_size: usize,
    hidden_size: usize,
    state_size: usize,
    has_cell_state: bool,
}

impl HandCell {
    /// Packs the cell of a layer that goes forward.
    ///
    /// # Errors
    ///
    /// If the layer has another direction, or for the reasons of [`Model::plan`].
    pub fn new(layer: &Recurrent, batch: usize, options: PlanOptions) -> Result<Self, Error> {
        if layer.direction() != Direction::Forward {
            return Err(Error::Unsupported {
                what: format!("a cell of a {:?} layer", layer.direction()),
                advice: "make a layer of each direction, and a cell of each layer".into(),
            });
        }
        let model = Model::chain(layer.input_size()).recurrent(layer.clone()).last().build()?;
        Ok(Self {
            session: model.into_plan(options)?.session(batch, 1)?,
            batch,
            input_size: layer.input_size(),
            hidden_size: layer.hidden_size(),
            state_size: layer.state_size(),
            has_cell_state: layer.cell().has_cell_state(),
        })
    }

    /// Takes one step: `x` is `[batch, input_size]`, `h` is `[batch, state_size]` and `c`
    /// `[batch, hidden_size]`, before the step and then after it. `c` is empty unless the cell is an
    /// LSTM; both sizes are the same unless it has a projection.
    ///
    /// # Errors
    ///
    /// If a length does not fit.
    pub fn step(&mut self, x: &[f32], h: &mut [f32], c: &mut [f32]) -> Result<(), Error> {
        let cells = if self.has_cell_state { self.batch * self.hidden_size } else { 0 };
        for (what, found, expected) in [
            ("x [batch, input_size]", x.len(), self.batch * self.input_size),
            ("h [batch, state_size]", h.len(), self.batch * self.state_size),
            ("c [batch, hidden_size]", c.len(), cells),
        ] {
            if found != expected {
                return Err(Error::Shape {
                    what: format!("{what} of a step"),
                    expected: format!("{expected} numbers"),
                    found: found.to_string(),
                });
            }
        }
        self.session.load_state(0, h, c);
        // The new h is the model's output.
        self.session.run_into(x, h)?;
        self.session.store_cell(0, c);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, CellWeights, GruReset, Matrix, RecurrentWeights};

    fn layer(cell: Cell, direction: Direction) -> Recurrent {
        let rows = cell.gates().len() * 3;
        let numbers = |count: u8| (0..count).map(|k| f32::from(k % 13) / 13.0 - 0.4).collect();
        let matrix = |columns: usize| {
            let count = u8::try_from(rows * columns).unwrap();
            Matrix::new(rows, columns, numbers(count)).unwrap()
        };
        let weights = CellWeights {
            input: matrix(2),
            recurrent: RecurrentWeights::Matrix(matrix(3)),
            bias: Some(matrix(1).values().to_vec()),
            recurrent_bias: None,
            peepholes: None,
            projection: None,
        };
        Recurrent::new(cell, direction, vec![weights; direction.count()]).unwrap()
    }

    /// A loop over a cell gives the bits of the layer.
    #[test]
    fn steps_by_hand_are_the_sequence() {
        let gru = [GruReset::BeforeMatmul, GruReset::AfterMatmul].map(Cell::gru);
        for cell in [Cell::SIMPLE_RNN, Cell::LSTM, gru[0], gru[1]] {
            let layer = layer(cell, Direction::Forward);
            let x: Vec<f32> = (0..20_u8).map(|k| f32::from(k * 7 % 20) / 10.0 - 1.0).collect();
            let model = Model::chain(2).recurrent(layer.clone()).build().unwrap();
            let plan = model.plan(PlanOptions::default()).unwrap();
            // [batch=2, time=5, features=2]
            let whole = plan.session(2, 5).unwrap().run(&x).unwrap();
            let mut by_hand = HandCell::new(&layer, 2, PlanOptions::default()).unwrap();
            let mut h = vec![0.0; 6];
            let mut c = vec![0.0; if cell.has_cell_state() { 6 } else { 0 }];
            for t in 0..5 {
                let x_t: Vec<f32> =
                    [0, 1].iter().flat_map(|b| x[(b * 5 + t) * 2..][..2].to_vec()).collect();
                by_hand.step(&x_t, &mut h, &mut c).unwrap();
                for b in 0..2 {
                    assert_eq!(
                        whole[(b * 5 + t) * 3..][..3],
                        h[b * 3..][..3],
                        "{cell:?}, step {t}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused =
            HandCell::new(&layer(Cell::LSTM, Direction::Reverse), 1, PlanOptions::default());
        assert!(refused.unwrap_err().to_string().contains("Reverse"));
        let lstm = layer(Cell::LSTM, Direction::Forward);
        let mut cell = HandCell::new(&lstm, 2, PlanOptions::default()).unwrap();
        let error = cell.step(&[0.0; 4], &mut [0.0; 6], &mut []).unwrap_err().to_string();
        assert!(error.contains("c [batch, hidden_size]") && error.contains("6 numbers"), "{error}");
    }
}
