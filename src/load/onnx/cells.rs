//! Recurrent steps written out in products and gates, recognised as the cells that they are.
//!
//! What is looked at are nodes of the model, from the new state back to the step's input and the old
//! state, wherever in a graph they came from.

use super::Reason;
use crate::model::{
    Activation, Cell, CellWeights, Dense, Direction, Gru, GruReset, Lstm, Matrix, Node, Op, Port,
    Recurrent, RecurrentWeights, Select, Value,
};

/// Sums and selections are followed so deep to the products in them.
const DEEPEST: usize = 12;

/// What may be a step: what goes in, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'m> {
    pub(super) nodes: &'m [Node],
    /// What goes in; any, where it is not known.
    pub(super) input: Option<Value>,
    /// The old state; none, where that is zero and what it is multiplied by is left out.
    pub(super) state: Option<Value>,
}

/// A step of a cell.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) cell: Cell,
    /// The products with the input and with the old state, of each gate in the order of the cell.
    gates: Vec<[Product; 2]>,
    /// The new c of an LSTM.
    pub(super) new_cell: Option<Value>,
    /// The old c; none where it is zero and left out.
    pub(super) old_cell: Option<Value>,
}

/// Rows of `W x + b`, for one gate or several.
#[derive(Clone, Debug)]
struct Product {
    of: Value,
    /// Whether `of` is the product itself, a step of a sequence that was multiplied as a whole.
    whole: bool,
    weights: Option<Matrix>,
    bias: Option<Vec<f32>>,
}

impl Product {
    /// The product with an old state that is zero.
    fn none(of: Value) -> Self {
        Self { of, whole: false, weights: None, bias: None }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.whole == other.whole && self.weights == other.weights && self.bias == other.bias
    }
}

impl Found {
    /// The step's input, and whether it is multiplied by its weights already.
    pub(super) fn input(&self) -> (Value, bool) {
        let [Product { of, whole, .. }, _] = self.gates[0];
        (of, whole)
    }

    /// Whether another step has the same weights.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let alike =
            |(a, b): (&[Product; 2], &[Product; 2])| a[0].is_same(&b[0]) && a[1].is_same(&b[1]);
        self.cell == other.cell
            && self.gates.len() == other.gates.len()
            && self.gates.iter().zip(&other.gates).all(alike)
    }

    /// Whether this step, whose old state is left out, is one of `other` that starts from zero: all
    /// that is left of the products with the state are their biases.
    pub(super) fn is_first_of(&self, other: &Self) -> bool {
        let apart = |gate: usize| {
            let after = matches!(other.cell, Cell::Gru(Gru { reset: GruReset::AfterMatmul, .. }));
            after && gate + 1 == other.gates.len()
        };
        let alike = |(gate, (first, other)): (usize, (&[Product; 2], &[Product; 2]))| {
            let inputs = first[0].whole == other[0].whole && first[0].weights == other[0].weights;
            let biases = match apart(gate) {
                true => (0..2).all(|side| is_bias(&first[side].bias, &other[side].bias)),
                false => is_bias(&first[0].bias, &summed(&other[0].bias, &other[1].bias)),
            };
            let left = first[1].weights.is_none() || first[1].weights == other[1].weights;
            inputs && biases && left
        };
        self.cell == other.cell
            && self.gates.len() == other.gates.len()
            && self.gates.iter().zip(&other.gates).enumerate().all(alike)
    }

    /// A layer of such steps.
    pub(super) fn layer(&self, direction: Direction) -> Result<Recurrent, Reason> {
        let weights = stacked(&self.gates)
            .ok_or_else(|| Reason("its weights are not those of one cell".into()))?;
        Ok(Recurrent::new(self.cell, direction, vec![weights])?)
    }
}

fn summed(a: &Option<Vec<f32>>, b: &Option<Vec<f32>>) -> Option<Vec<f32>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.iter().zip(b).map(|(a, b)| a + b).collect()),
        (one, None) | (None, one) => one.clone(),
    }
}

/// Whether two biases are the same, where none is zeros.
fn is_bias(a: &Option<Vec<f32>>, b: &Option<Vec<f32>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        (Some(one), None) | (None, Some(one)) => one.iter().all(|&bias| bias == 0.0),
        (None, None) => true,
    }
}

/// Whether a value is zeros of the model itself.
pub(super) fn is_zero(nodes: &[Node], value: Value) -> bool {
    let Value::Node { node, port: Port::Main } = value else { return false };
    matches!(&nodes[node].op, Op::Constant(zeros) if zeros.rows().values().iter().all(|&x| x == 0.0))
}

impl Step<'_> {
    /// The cell of which this is a step to `new`.
    pub(super) fn cell(&self, new: Value) -> Option<Found> {
        let found = self.lstm(new).or_else(|| self.gru(new)).or_else(|| self.simple(new))?;
        let [Product { of, whole, .. }, _] = found.gates[0];
        let alike = |[x, _]: &[Product; 2]| x.of == of && x.whole == whole;
        (found.gates.iter().all(alike) && self.input.is_none_or(|input| input == of))
            .then_some(found)
    }

    fn op(&self, value: Value) -> Option<(&Op, &[Value])> {
        let Value::Node { node, port: Port::Main } = value else { return None };
        let Node { op, inputs, .. } = &self.nodes[node];
        Some((op, inputs))
    }

    /// An activation and what it is of; Keras' hard sigmoid is `relu6(x + 3) / 6`.
    fn activation(&self, value: Value) -> Option<(Activation, Value)> {
        match self.op(value)? {
            (Op::Activation(activation), &[of]) => Some((*activation, of)),
            (Op::ScaleShift(affine), &[of]) => {
                let slope = *affine.scale().first()?;
                let (Op::Activation(Activation::Relu6), &[raised]) = self.op(of)? else {
                    return None;
                };
                let of = self.scaled(raised, 1.0, 3.0)?;
                let hard = self.scaled(value, slope, 0.0).is_some() && slope * 6.0 == 1.0;
                hard.then_some((Activation::HardSigmoid { slope, offset: 0.5 }, of))
            }
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

    /// Whether the old state is zero.
    fn starts(&self) -> bool {
        self.state.is_none_or(|state| is_zero(self.nodes, state))
    }

    /// The factor beside the old state in a product.
    fn times_state(&self, value: Value) -> Option<Value> {
        if let (Some([a, b]), Some(state)) = (self.product(value), self.state) {
            return if a == state { Some(b) } else { (b == state).then_some(a) };
        }
        if self.starts() { self.scaled(value, 0.0, 0.0) } else { None }
    }

    /// A value as products with weights, summed; of all features, or of those in a range.
    fn products(
        &self,
        value: Value,
        range: Option<[usize; 2]>,
        depth: usize,
    ) -> Option<Vec<Product>> {
        let (op, inputs) = self.op(value).filter(|_| depth < DEEPEST)?;
        let part = |numbers: &[f32]| match range {
            Some([start, end]) => numbers[start..end].to_vec(),
            None => numbers.to_vec(),
        };
        let product = |of: Value, whole: bool, dense: &Dense| {
            let weights = match range {
                Some([start, end]) => dense.weights().row_block(start, end),
                None => dense.weights().clone(),
            };
            vec![Product { of, whole, weights: Some(weights), bias: dense.bias().map(part) }]
        };
        match (op, inputs) {
            (Op::Dense(dense), &[of]) if dense.activation() == Activation::Linear => {
                Some(product(of, false, dense))
            }
            // A step of a sequence that was multiplied before it was taken apart.
            (Op::Select(Select::Step(_)), &[of]) => match self.op(of)? {
                (Op::Dense(dense), _) if dense.activation() == Activation::Linear => {
                    Some(product(value, true, dense))
                }
                _ => None,
            },
            (Op::Add, &[a, b]) => {
                let mut sum = self.products(a, range, depth + 1)?;
                sum.extend(self.products(b, range, depth + 1)?);
                (sum.len() <= 4).then_some(sum)
            }
            (Op::Select(Select::Features { start, end }), &[of]) => {
                let [first, last] = range.unwrap_or([0, end - start]);
                self.products(of, Some([start + first, start + last]), depth + 1)
            }
            (Op::ScaleShift(affine), &[of]) if affine.scale().iter().all(|&s| s == 1.0) => {
                let mut products = self.products(of, range, depth + 1)?;
                let first = products.first_mut()?;
                first.bias = summed(&first.bias, &Some(part(affine.shift())));
                Some(products)
            }
            _ => None,
        }
    }

    /// Exactly one product with the input and one with `state`; that is left out where it is none.
    fn gate(&self, value: Value, state: Option<Value>) -> Option<[Product; 2]> {
        let products = self.products(value, None, 0)?;
        let (a, b) = match (<[Product; 2]>::try_from(products), state) {
            (Ok([a, b]), Some(_)) => (a, b),
            (Err(products), None) => {
                let [x] = <[Product; 1]>::try_from(products).ok()?;
                let none = Product::none(x.of);
                return Some([x, none]);
            }
            _ => return None,
        };
        let is_state = |product: &Product| Some(product.of) == state && !product.whole;
        if is_state(&b) { Some([a, b]) } else { is_state(&a).then_some([b, a]) }
    }

    /// `act(W x + U h + b)`.
    fn simple(&self, new: Value) -> Option<Found> {
        let (activation, sum) = self.activation(new)?;
        let gates = vec![self.gate(sum, self.state)?];
        let cell = Cell::simple_rnn(activation);
        Some(Found { cell, gates, new_cell: None, old_cell: None })
    }

    /// `o ⊙ act(c')` with `c' = f ⊙ c + i ⊙ g`.
    fn lstm(&self, new: Value) -> Option<Found> {
        let [a, b] = self.product(new)?;
        self.lstm_of(a, b).or_else(|| self.lstm_of(b, a))
    }

    fn lstm_of(&self, o: Value, shown: Value) -> Option<Found> {
        let (output_activation, new_cell) = self.activation(shown)?;
        let [a, b] = self.sum(new_cell)?;
        let (recurrent_activation, o_sum) = self.activation(o)?;
        let o = self.gate(o_sum, self.state)?;
        let sides = |kept: Value, fresh: Value| {
            let (f, old_cell) = self.forgotten(kept, recurrent_activation)?;
            let [a, b] = self.product(fresh)?;
            let (a, b) = (self.activation(a)?, self.activation(b)?);
            let (i, g) = if a.0 == recurrent_activation { (a, b) } else { (b, a) };
            (i.0 == recurrent_activation).then_some((f, old_cell, i.1, g))
        };
        let (f, old_cell, i, (activation, g)) = sides(a, b).or_else(|| sides(b, a))?;
        let (i, g) = (self.gate(i, self.state)?, self.gate(g, self.state)?);
        let lstm = Lstm { activation, recurrent_activation, output_activation, ..Lstm::DEFAULT };
        let (cell, gates) = (Cell::Lstm(lstm), vec![i, f, g, o]);
        Some(Found { cell, gates, new_cell: Some(new_cell), old_cell })
    }

    /// f and the old c of `f ⊙ c`; none where that is zero and left out.
    fn forgotten(&self, kept: Value, gates: Activation) -> Option<([Product; 2], Option<Value>)> {
        let f = |value: Value| {
            let (activation, sum) = self.activation(value)?;
            (activation == gates).then(|| self.gate(sum, self.state))?
        };
        match self.product(kept) {
            Some([a, b]) => match f(a) {
                Some(f) => Some((f, Some(b))),
                None => Some((f(b)?, Some(a))),
            },
            None => Some((f(self.scaled(kept, 0.0, 0.0)?)?, None)),
        }
    }

    /// `z ⊙ h + (1 - z) ⊙ n`, or `(h - n) ⊙ z + n`.
    fn gru(&self, new: Value) -> Option<Found> {
        let [a, b] = self.sum(new)?;
        let (z, n) = self
            .interpolated(a, b)
            .or_else(|| self.interpolated(b, a))
            .or_else(|| self.moved(a, b))
            .or_else(|| self.moved(b, a))?;
        let (recurrent_activation, z_sum) = self.activation(z)?;
        let z = self.gate(z_sum, self.state)?;
        let (activation, n_sum) = self.activation(n)?;
        let after =
            self.sum(n_sum).and_then(|[a, b]| self.after(a, b).or_else(|| self.after(b, a)));
        let (reset, r, n) = match after {
            Some((r, n)) => (GruReset::AfterMatmul, r, n),
            None => {
                let (r, n) = self.before(n_sum, z[0].of)?;
                (GruReset::BeforeMatmul, r, n)
            }
        };
        let (r_activation, r_sum) = self.activation(r)?;
        if r_activation != recurrent_activation {
            return None;
        }
        let gates = vec![z, self.gate(r_sum, self.state)?, n];
        let cell = Cell::Gru(Gru { reset, activation, recurrent_activation, clip: None });
        Some(Found { cell, gates, new_cell: None, old_cell: None })
    }

    /// z and n of `z ⊙ h` and `(1 - z) ⊙ n`.
    fn interpolated(&self, kept: Value, new: Value) -> Option<(Value, Value)> {
        let z = self.times_state(kept)?;
        let [a, b] = self.product(new)?;
        let rest = |v: Value| self.scaled(v, -1.0, 1.0) == Some(z);
        if rest(a) { Some((z, b)) } else { rest(b).then_some((z, a)) }
    }

    /// z and n of `(h - n) ⊙ z` and n.
    fn moved(&self, way: Value, n: Value) -> Option<(Value, Value)> {
        let [a, b] = self.product(way)?;
        let difference = |v: Value| match self.sum(v) {
            Some([h, negative]) => {
                Some(h) == self.state && self.scaled(negative, -1.0, 0.0) == Some(n)
            }
            None => self.starts() && self.scaled(v, -1.0, 0.0) == Some(n),
        };
        if difference(a) { Some((b, n)) } else { difference(b).then_some((a, n)) }
    }

    /// r and the products of `(W x + b) + r ⊙ (U h + b')`.
    fn after(&self, input: Value, gated: Value) -> Option<(Value, [Product; 2])> {
        let alone = |value: Value| <[Product; 1]>::try_from(self.products(value, None, 0)?).ok();
        let [x] = alone(input)?;
        let Some(state) = self.state else {
            // Of U h + b' the bias is left.
            let (Op::ScaleShift(affine), &[r]) = self.op(gated)? else { return None };
            let bias = Some(affine.scale().to_vec());
            let left = Product { bias, ..Product::none(x.of) };
            return affine.shift().iter().all(|&s| s == 0.0).then_some((r, [x, left]));
        };
        let [a, b] = self.product(gated)?;
        let of = |v: Value| alone(v).filter(|[h]| h.of == state && !h.whole);
        match (of(a), of(b)) {
            (Some([h]), _) => Some((b, [x, h])),
            (_, Some([h])) => Some((a, [x, h])),
            _ => None,
        }
    }

    /// r and the products of `W x + b + U (r ⊙ h)`.
    fn before(&self, sum: Value, input: Value) -> Option<(Value, [Product; 2])> {
        let products = self.products(sum, None, 0)?;
        let gated = products.iter().find(|product| product.of != input)?.of;
        let r = self.times_state(gated)?;
        Some((r, self.gate(sum, Some(gated))?))
    }
}

/// The weights of all gates, in the order of the cell.
fn stacked(gates: &[[Product; 2]]) -> Option<CellWeights> {
    let units = gates[0][0].weights.as_ref()?.rows();
    let matrix = |side: usize| -> Option<Matrix> {
        let columns = gates[0][side].weights.as_ref()?.columns();
        let mut values = Vec::new();
        for gate in gates {
            let weights = gate[side].weights.as_ref()?;
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
