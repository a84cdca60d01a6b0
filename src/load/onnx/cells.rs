//! Recurrent steps written out in products and gates, recognised as the cells that they are.
//!
//! What is looked at are nodes of the model, from the new state back to the step's input and the old
//! state, wherever in a graph they came from.

use super::Reason;
use crate::model::{
    Activation, Cell, CellWeights, Direction, Gru, GruReset, Matrix, Node, Op, Port, Recurrent,
    RecurrentWeights, Select, Value,
};

/// A step: what goes in, and the state that comes out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'m> {
    pub(super) nodes: &'m [Node],
    pub(super) input: Value,
    pub(super) state: Value,
}

/// Rows of `W x + b`, for one gate or several.
#[derive(Clone, Debug)]
struct Product {
    of: Value,
    weights: Matrix,
    bias: Option<Vec<f32>>,
}

impl Step<'_> {
    /// The layer that takes this step to `new`, in one direction.
    pub(super) fn layer(&self, new: Value, direction: Direction) -> Result<Recurrent, Reason> {
        let found = self.gru(new).or_else(|| self.simple(new));
        let (cell, weights) = found.ok_or_else(|| {
            Reason("what it computes is no step of a SimpleRNN or GRU that is known".into())
        })?;
        Ok(Recurrent::new(cell, direction, vec![weights])?)
    }

    fn op(&self, value: Value) -> Option<(&Op, &[Value])> {
        let Value::Node { node, port: Port::Main } = value else { return None };
        let Node { op, inputs, .. } = &self.nodes[node];
        Some((op, inputs))
    }

    fn activation(&self, value: Value) -> Option<(Activation, Value)> {
        match self.op(value)? {
            (Op::Activation(activation), &[of]) => Some((*activation, of)),
            _ => None,
        }
    }

    fn sum(&self, value: Value) -> Option<[Value; 2]> {
        match self.op(value)? {
            (Op::Add, &[a, b]) => Some([a, b]),
            _ => None,
        }
    }

    fn product(&self, value: Value) -> Option<[Value; 2]> {
        match self.op(value)? {
            (Op::Multiply, &[a, b]) => Some([a, b]),
            _ => None,
        }
    }

    /// The value `v` of `scale v + shift`, the same two for every feature.
    fn scaled(&self, value: Value, scale: f32, shift: f32) -> Option<Value> {
        match self.op(value)? {
            (Op::ScaleShift(affine), &[of])
                if affine.scale().iter().all(|&s| s == scale)
                    && affine.shift().iter().all(|&s| s == shift) =>
            {
                Some(of)
            }
            _ => None,
        }
    }

    /// The factor beside `known` in a product.
    fn times(&self, value: Value, known: Value) -> Option<Value> {
        let [a, b] = self.product(value)?;
        if a == known { Some(b) } else { (b == known).then_some(a) }
    }

    /// A value as products with weights, summed.
    fn products(&self, value: Value) -> Option<Vec<Product>> {
        let (op, inputs) = self.op(value)?;
        match (op, inputs) {
            (Op::Dense(dense), &[of]) if dense.activation() == Activation::Linear => {
                let bias = dense.bias().map(<[f32]>::to_vec);
                Some(vec![Product { of, weights: dense.weights().clone(), bias }])
            }
            (Op::Add, &[a, b]) => {
                let (mut a, b) = (self.products(a)?, self.products(b)?);
                a.extend(b);
                (a.len() <= 4).then_some(a)
            }
            (Op::Select(Select::Features { start, end }), &[of]) => {
                let rows = |Product { of, weights, bias }: Product| Product {
                    of,
                    weights: weights.row_block(*start, *end),
                    bias: bias.map(|bias| bias[*start..*end].to_vec()),
                };
                Some(self.products(of)?.into_iter().map(rows).collect())
            }
            (Op::ScaleShift(affine), &[of]) if affine.scale().iter().all(|&s| s == 1.0) => {
                let mut products = self.products(of)?;
                let first = products.first_mut()?;
                let added = match &first.bias {
                    None => affine.shift().to_vec(),
                    Some(bias) => bias.iter().zip(affine.shift()).map(|(a, b)| a + b).collect(),
                };
                first.bias = Some(added);
                Some(products)
            }
            _ => None,
        }
    }

    /// Exactly one product with each of these, in this order.
    fn products_with<const N: usize>(&self, value: Value, of: [Value; N]) -> Option<[Product; N]> {
        let products = self.products(value)?;
        if products.len() != N {
            return None;
        }
        let find = |of: &Value| products.iter().find(|product| product.of == *of).cloned();
        let found: Option<Vec<Product>> = of.iter().map(find).collect();
        found?.try_into().ok()
    }

    /// `act(W x + U h + b)`.
    fn simple(&self, new: Value) -> Option<(Cell, CellWeights)> {
        let (activation, sum) = self.activation(new)?;
        let gates = [self.products_with(sum, [self.input, self.state])?];
        Some((Cell::simple_rnn(activation), stacked(&gates)?))
    }

    /// `z ⊙ h + (1 - z) ⊙ n`, or `(h - n) ⊙ z + n`.
    fn gru(&self, new: Value) -> Option<(Cell, CellWeights)> {
        let [a, b] = self.sum(new)?;
        let (z, n) = self
            .interpolated(a, b)
            .or_else(|| self.interpolated(b, a))
            .or_else(|| self.moved(a, b))
            .or_else(|| self.moved(b, a))?;
        let (recurrent_activation, z_sum) = self.activation(z)?;
        let z = self.products_with(z_sum, [self.input, self.state])?;
        let (activation, n_sum) = self.activation(n)?;
        let [a, b] = self.sum(n_sum)?;
        let after = self.after(a, b).or_else(|| self.after(b, a));
        let (reset, r, n) = match after {
            Some((r, n)) => (GruReset::AfterMatmul, r, n),
            None => {
                let (r, n) = self.before(n_sum)?;
                (GruReset::BeforeMatmul, r, n)
            }
        };
        let (r_activation, r_sum) = self.activation(r)?;
        if r_activation != recurrent_activation {
            return None;
        }
        let r = self.products_with(r_sum, [self.input, self.state])?;
        let cell = Cell::Gru(Gru { reset, activation, recurrent_activation, clip: None });
        Some((cell, stacked(&[z, r, n])?))
    }

    /// z and n of `z ⊙ h` and `(1 - z) ⊙ n`.
    fn interpolated(&self, kept: Value, new: Value) -> Option<(Value, Value)> {
        let z = self.times(kept, self.state)?;
        let [a, b] = self.product(new)?;
        let rest = |v: Value| self.scaled(v, -1.0, 1.0) == Some(z);
        if rest(a) { Some((z, b)) } else { rest(b).then_some((z, a)) }
    }

    /// z and n of `(h - n) ⊙ z` and n.
    fn moved(&self, way: Value, n: Value) -> Option<(Value, Value)> {
        let [a, b] = self.product(way)?;
        let difference = |v: Value| {
            let [h, negative] = self.sum(v)?;
            (h == self.state && self.scaled(negative, -1.0, 0.0)? == n).then_some(())
        };
        if difference(a).is_some() { Some((b, n)) } else { difference(b).map(|()| (a, n)) }
    }

    /// r and the products of `(W x + b) + r ⊙ (U h + b')`.
    fn after(&self, input: Value, gated: Value) -> Option<(Value, [Product; 2])> {
        let [x] = self.products_with(input, [self.input])?;
        let [a, b] = self.product(gated)?;
        let of = |v: Value| self.products_with(v, [self.state]);
        match (of(a), of(b)) {
            (Some([h]), _) => Some((b, [x, h])),
            (_, Some([h])) => Some((a, [x, h])),
            _ => None,
        }
    }

    /// r and the products of `W x + b + U (r ⊙ h)`.
    fn before(&self, sum: Value) -> Option<(Value, [Product; 2])> {
        let products = self.products(sum)?;
        let gated = products.iter().find(|product| product.of != self.input)?.of;
        let r = self.times(gated, self.state)?;
        Some((r, self.products_with(sum, [self.input, gated])?))
    }
}

/// The weights of all gates, in the order of the cell.
fn stacked(gates: &[[Product; 2]]) -> Option<CellWeights> {
    let units = gates[0][0].weights.rows();
    let matrix = |side: usize| -> Option<Matrix> {
        let columns = gates[0][side].weights.columns();
        let mut values = Vec::new();
        for gate in gates {
            let weights = &gate[side].weights;
            if weights.rows() != units || weights.columns() != columns {
                return None;
            }
            values.extend_from_slice(weights.values());
        }
        Matrix::new(gates.len() * units, columns, values).ok()
    };
    let bias = |side: usize| {
        let any = gates.iter().any(|gate| gate[side].bias.is_some());
        any.then(|| {
            let none = || vec![0.0; units];
            gates.iter().flat_map(|gate| gate[side].bias.clone().unwrap_or_else(none)).collect()
        })
    };
    let recurrent = matrix(1).filter(|weights| weights.columns() == units)?;
    let weights = CellWeights::new(matrix(0)?, RecurrentWeights::Matrix(recurrent));
    Some(CellWeights { bias: bias(0), recurrent_bias: bias(1), ..weights })
}
