//! Numbers that a model holds itself, and what is made of nothing else.

use super::graph::{Model, Op, Value};
use super::{Extent, Matrix, Shape};

/// An array of the model, the same for every row of the batch: a learned initial state, a gain.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    shape: Shape,
    /// A row for each step or state.
    rows: Matrix,
}

impl Constant {
    /// One row: the value is `[batch, features]`.
    #[must_use]
    pub fn vector(numbers: Vec<f32>) -> Self {
        let features = numbers.len();
        Self { shape: Shape::Vector { features }, rows: Matrix::row_vector(numbers) }
    }

    /// States `[count, features]`: the value is `[count, batch, features]`.
    #[must_use]
    pub fn states(rows: Matrix) -> Self {
        let (count, features) = (rows.rows(), rows.columns());
        Self { shape: Shape::States { count, features }, rows }
    }

    /// Steps `[time, features]`: the value is `[batch, time, features]`.
    #[must_use]
    pub fn sequence(rows: Matrix) -> Self {
        let (time, features) = (Extent::Fixed(rows.rows()), rows.columns());
        Self { shape: Shape::Sequence { time, features }, rows }
    }

    /// The shape of the value.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The numbers of one row of the batch, `[steps or states, features]`; of a vector a single row.
    #[must_use]
    pub fn rows(&self) -> &Matrix {
        &self.rows
    }
}

impl Model {
    /// Of each node, whether it is made of constants alone, so that every run gives the same.
    pub(crate) fn constant_nodes(&self) -> Vec<bool> {
        let mut constant: Vec<bool> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let of_constants = node.inputs.iter().all(|value| match *value {
                Value::Node { node, .. } => constant[node],
                Value::Input(_) => false,
            });
            constant.push(of_constants && !matches!(node.op, Op::Recurrent(_)));
        }
        constant
    }

    /// The initial states of a recurrent layer if it has learned them: all are made of constants
    /// alone, as `constant` says of the nodes.
    pub(crate) fn learned_states(&self, node: usize, constant: &[bool]) -> Option<&[Value]> {
        let node = &self.nodes()[node];
        let Op::Recurrent(_) = node.op else { return None };
        let states = &self.split_mask(node).0[1..];
        let learned =
            states.iter().all(|state| matches!(*state, Value::Node { node, .. } if constant[node]));
        (learned && !states.is_empty()).then_some(states)
    }
}
