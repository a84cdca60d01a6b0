//! Holds every node of a model against f64, each by itself.
//!
//! **The scheme.** A recurrence may be chaotic, so errors are not followed through a whole model.
//! Instead [`glass`] makes every value of a model an output, and each node is judged on its own:
//! f64 computes it from *our* f32 values of its inputs, which are exact in f64, and our value may
//! differ by no more than what the roundings of that one node can do.
//!
//! * A **recurrent layer** is judged step by step: every direction runs by itself in a session, one
//!   step at a time, and before each step the reference (`ritornello_reference`) restarts from the
//!   state the session exports, so that the error is that of one step, for which
//!   `Recurrent::tolerance` is the bound. What the layer gave as a whole (sequence, last, h and c,
//!   in its direction, order and merge) must then be made of exactly those states, to the bit;
//!   a merge is one rounded operation and its f64 result rounds to the same f32.
//! * **Dense**: the bound of the sum (`dot_tolerance`), through the activation (how far it moves
//!   within that bound), and the activation's own error from the table in `docs/numerics.md`.
//! * **Sums, products, scale and shift, mean**: one half unit in the last place of each
//!   intermediate result.
//! * **What only moves numbers** (concat, select, maximum, ...): no error at all.
//!
//! Because the values of the original model are compared with those of its glass copy to the bit,
//! right nodes make a right model.

use std::collections::HashMap;

use ritornello::model::{
    Activation, Cell, Direction, GruReset, Matrix, Merge, Op, Output, OutputOrder, Port, Recurrent,
    RecurrentWeights, Select, SequenceAxes, Shape, Value,
};
use ritornello::{Array, Isa, Model, State};
use ritornello_reference as reference;
use ritornello_reference::{Rounding, UNIT_ROUNDOFF, affine, dot_tolerance, widen};

use super::{Case, plan, recipe::ports};

/// Our numbers of a value, `[time, batch, features]`.
#[derive(Clone, Debug)]
struct Numbers {
    extent: [usize; 3],
    values: Vec<f32>,
}

impl Numbers {
    /// From the caller's array.
    fn of(array: &Array, shape: Shape, axes: SequenceAxes) -> Self {
        let values = array.as_f32().expect("real").to_vec();
        let batch_first =
            matches!(shape, Shape::Sequence { .. }) && axes == SequenceAxes::BatchTime;
        match *array.shape() {
            [batch, features] => Self { extent: [1, batch, features], values },
            [batch, time, features] if batch_first => {
                let extent = [time, batch, features];
                let whole = Self { extent: [batch, time, features], values };
                Self::from_fn(extent, |[t, b, i]| whole.at([b, t, i]))
            }
            [time, batch, features] => Self { extent: [time, batch, features], values },
            ref other => panic!("no value has the shape {other:?}"),
        }
    }

    fn from_fn(extent: [usize; 3], f: impl FnMut([usize; 3]) -> f32) -> Self {
        Self { extent, values: places(extent).map(f).collect() }
    }

    fn at(&self, [t, b, i]: [usize; 3]) -> f32 {
        let [_, batch, features] = self.extent;
        self.values[(t * batch + b) * features + i]
    }

    fn row(&self, t: usize, b: usize) -> &[f32] {
        let [_, batch, features] = self.extent;
        &self.values[(t * batch + b) * features..][..features]
    }

    /// All rows of a step.
    fn step(&self, t: usize) -> &[f32] {
        let [_, batch, features] = self.extent;
        &self.values[t * batch * features..][..batch * features]
    }
}

fn places([time, batch, features]: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (0..time).flat_map(move |t| (0..batch).flat_map(move |b| (0..features).map(move |i| [t, b, i])))
}

/// A number in f64, and how far the f32 number may be from it.
#[derive(Clone, Copy, Debug)]
struct Bounded {
    value: f64,
    bound: f64,
}

impl Bounded {
    fn exact(value: f32) -> Self {
        Self { value: value.into(), bound: 0.0 }
    }

    /// After one rounding to f32, normal or not.
    fn rounded(self) -> Self {
        let size = self.value.abs() + self.bound;
        Self { bound: self.bound + UNIT_ROUNDOFF * size + SMALLEST, ..self }
    }

    fn plus(self, other: Self) -> Self {
        let value = self.value + other.value;
        Self { value, bound: self.bound + other.bound }.rounded()
    }

    fn times(self, other: Self) -> Self {
        let bound = self.bound * (other.value.abs() + other.bound) + other.bound * self.value.abs();
        Self { value: self.value * other.value, bound }.rounded()
    }

    fn accepts(self, found: f32) -> bool {
        let found = f64::from(found);
        found == self.value
            || (found.is_nan() && self.value.is_nan())
            || (found - self.value).abs() <= self.bound
    }
}

/// Half the least f32 above zero.
const SMALLEST: f64 = 0.5 * 1.401_298_464_324_817e-45;

fn rounding(isa: Isa) -> Rounding {
    if isa == Isa::Portable { Rounding::Separate } else { Rounding::Fused }
}

/// A copy of the model whose outputs are all results of all nodes, and which they are.
fn glass(model: &Model) -> (Model, Vec<Value>) {
    let nodes = model.nodes().iter().enumerate();
    let values: Vec<Value> = nodes
        .flat_map(|(node, n)| ports(&n.op).iter().map(move |&port| Value::Node { node, port }))
        .collect();
    if values.is_empty() {
        return (model.clone(), values); // nothing but inputs
    }
    let outputs =
        values.iter().map(|&value| Output { name: model.value_name(value), value }).collect();
    let (inputs, nodes) = (model.inputs().to_vec(), model.nodes().to_vec());
    (Model::new(inputs, nodes, outputs, model.axes()).expect("as valid as the model"), values)
}

/// Judges every node of the case's model on this level, and that the model's own outputs are those
/// of its nodes.
pub(crate) fn judge(case: &Case, isa: Isa) -> Result<(), String> {
    let model = &case.model;
    let (glass, values) = glass(model);
    let shown = Case { model: glass, ..case.clone() }.run(isa);
    for (output, (name, array)) in model.outputs().iter().zip(case.run(isa)) {
        let of_node = match output.value {
            Value::Input(index) => &case.inputs[index].1,
            value => super::get(&shown, &model.value_name(value)),
        };
        if super::bits(&[(name.clone(), array)]) != super::bits(&[(name.clone(), of_node.clone())])
        {
            return Err(format!("{isa}: output {name} is not the value that it shows"));
        }
    }
    let mut numbers = HashMap::new();
    for (index, (input, (_, array))) in model.inputs().iter().zip(&case.inputs).enumerate() {
        if !super::is_index(input) {
            let of = Numbers::of(array, input.shape, model.axes());
            numbers.insert(Value::Input(index), of);
        }
    }
    for (&value, (name, array)) in values.iter().zip(&shown) {
        let shape = model.shape(value).map_err(|error| format!("{name}: {error}"))?;
        numbers.insert(value, Numbers::of(array, shape, model.axes()));
    }
    let bench = Bench { case, numbers, isa };
    for index in 0..model.nodes().len() {
        bench.judge_node(index)?;
    }
    Ok(())
}

/// The case with all its values.
struct Bench<'a> {
    case: &'a Case,
    numbers: HashMap<Value, Numbers>,
    isa: Isa,
}

impl Bench<'_> {
    fn judge_node(&self, index: usize) -> Result<(), String> {
        let node = &self.case.model.nodes()[index];
        let place = format!("{}: {}", self.isa, node.name);
        let result = |port| &self.numbers[&Value::Node { node: index, port }];
        if let Op::Recurrent(layer) = &node.op {
            let inputs: Vec<&Numbers> = node.inputs.iter().map(|v| &self.numbers[v]).collect();
            let ours = ports(&node.op).iter().map(|&port| (port, result(port))).collect();
            return judge_recurrent(layer, &inputs, ours, self.isa)
                .map_err(|problem| format!("{place}: {problem}"));
        }
        let found = result(Port::Main);
        let expected = self.expected(index, found.extent);
        if expected.len() != found.values.len() {
            return Err(format!("{place}: {:?} is the wrong extent", found.extent));
        }
        for ((at, &found), expected) in places(found.extent).zip(&found.values).zip(expected) {
            if expected.value.is_finite() && expected.value.abs() > 1e38 {
                return Err(format!("{place}: the model explodes: {}", expected.value));
            }
            if !expected.accepts(found) {
                return Err(format!(
                    "{place}: {at:?} is {found}, expected {}: off by {:e} of {:e}",
                    expected.value,
                    (f64::from(found) - expected.value).abs(),
                    expected.bound
                ));
            }
        }
        Ok(())
    }

    /// The only result of a node that is not recurrent, in the order of [`places`].
    fn expected(&self, index: usize, extent: [usize; 3]) -> Vec<Bounded> {
        let node = &self.case.model.nodes()[index];
        if let Op::Embedding(embedding) = &node.op {
            return self.embedded(node.inputs[0], embedding.table());
        }
        let inputs: Vec<&Numbers> = node.inputs.iter().map(|v| &self.numbers[v]).collect();
        let first = inputs[0];
        let [time, batch, _] = first.extent;
        let rows = || (0..time).flat_map(|t| (0..batch).map(move |b| first.row(t, b)));
        let moved = |from: &dyn Fn([usize; 3]) -> f32| -> Vec<Bounded> {
            places(extent).map(|at| Bounded::exact(from(at))).collect()
        };
        let fold = |f: fn(Bounded, Bounded) -> Bounded| -> Vec<Bounded> {
            let each = |at| inputs.iter().map(move |input| Bounded::exact(input.at(at)));
            places(first.extent).filter_map(|at| each(at).reduce(f)).collect()
        };
        let steps = |[_, b, i]: [usize; 3]| (0..time).map(move |t| first.at([t, b, i]));
        match &node.op {
            Op::Recurrent(_) | Op::Embedding(_) => unreachable!("judged elsewhere"),
            Op::Dense(dense) => {
                let weights = widen(dense.weights().values());
                let bias = dense.bias().map_or(vec![0.0; dense.weights().rows()], widen);
                let row = |row: &[f32]| {
                    let sums = affine(&weights, &widen(row), &bias);
                    let bounded = sums.iter().map(|&sum| Bounded {
                        value: sum.value,
                        bound: dot_tolerance(sum, row.len(), rounding(self.isa)),
                    });
                    activated(dense.activation(), &bounded.collect::<Vec<_>>(), self.isa)
                };
                rows().flat_map(row).collect()
            }
            Op::Activation(activation) => {
                let exact =
                    |row: &[f32]| row.iter().map(|&x| Bounded::exact(x)).collect::<Vec<_>>();
                rows().flat_map(|row| activated(*activation, &exact(row), self.isa)).collect()
            }
            Op::ScaleShift(affine) => places(extent)
                .map(|at| {
                    let [scale, shift] =
                        [affine.scale()[at[2]], affine.shift()[at[2]]].map(Bounded::exact);
                    Bounded::exact(first.at(at)).times(scale).plus(shift)
                })
                .collect(),
            Op::Add => fold(Bounded::plus),
            Op::Multiply => fold(Bounded::times),
            Op::Concat => moved(&|[t, b, mut i]| {
                for input in &inputs {
                    match i.checked_sub(input.extent[2]) {
                        None => return input.at([t, b, i]),
                        Some(rest) => i = rest,
                    }
                }
                unreachable!("a place past the last input")
            }),
            Op::Stack => moved(&|[mut t, b, i]| {
                for input in &inputs {
                    match t.checked_sub(input.extent[0]) {
                        None => return input.at([t, b, i]),
                        Some(rest) => t = rest,
                    }
                }
                unreachable!("a place past the last input")
            }),
            Op::Select(select) => moved(&|[t, b, i]| match *select {
                Select::Step(step) if step < 0 => first.at([time - step.unsigned_abs(), b, i]),
                Select::Step(step) => first.at([step.unsigned_abs(), b, i]),
                Select::Features { start, .. } => first.at([t, b, start + i]),
                Select::State(state) => first.at([state, b, i]),
                Select::States { start, .. } => first.at([start + t, b, i]),
            }),
            Op::Unroll { .. } => moved(&|[t, b, i]| if t == 0 { first.at([0, b, i]) } else { 0.0 }),
            Op::Repeat { .. } => moved(&|[_, b, i]| first.at([0, b, i])),
            Op::Flatten => {
                let features = first.extent[2];
                moved(&|[_, b, i]| first.at([i / features, b, i % features]))
            }
            Op::MaxOverTime => moved(&|at| steps(at).fold(f32::NEG_INFINITY, f32::max)),
            Op::MeanOverTime => places(extent)
                .map(|at| {
                    let sum = steps(at).map(Bounded::exact).reduce(Bounded::plus);
                    let sum = sum.expect("a mean is of at least one step");
                    let count = time as f64;
                    Bounded { value: sum.value / count, bound: sum.bound / count }.rounded()
                })
                .collect(),
        }
    }

    fn embedded(&self, indices: Value, table: &Matrix) -> Vec<Bounded> {
        let Value::Input(input) = indices else { unreachable!("indices are inputs") };
        let array = &self.case.inputs[input].1;
        let indices = array.as_indices().expect("indices");
        let (time, batch) = (self.case.time, self.case.batch);
        let steps = (0..time).flat_map(|t| (0..batch).map(move |b| (t, b)));
        let row = |(t, b): (usize, usize)| {
            let at = match self.case.model.axes() {
                SequenceAxes::BatchTime => b * time + t,
                SequenceAxes::TimeBatch => t * batch + b,
            };
            table.row(usize::try_from(indices[at]).expect("drawn inside")).iter()
        };
        steps.flat_map(row).map(|&x| Bounded::exact(x)).collect()
    }
}

/// An activation of numbers that are known within bounds; the table is in `docs/numerics.md`.
fn activated(activation: Activation, row: &[Bounded], isa: Isa) -> Vec<Bounded> {
    match activation {
        Activation::Softmax => softmax(row, isa),
        Activation::LogSoftmax => log_softmax(row, isa),
        _ => row.iter().map(|&x| element(activation, x, isa)).collect(),
    }
}

/// Without FMA each rounding of a function may be two, and in exp(x) - 1 a product is up to 1.4
/// times the result.
fn roundings(isa: Isa) -> f64 {
    if isa == Isa::Portable { 2.4 } else { 1.0 }
}

fn element(activation: Activation, x: Bounded, isa: Isa) -> Bounded {
    let function = |x: f64| match activation {
        Activation::Relu6 => reference::Activation::Relu.apply(x).min(6.0),
        other => reference_activation(other).apply(x),
    };
    let value = function(x.value);
    if x.bound.is_nan() || value.is_nan() {
        return Bounded { value, bound: f64::NAN };
    }
    // How far the function moves within the bound: monotone ones most at its ends.
    let through = match activation {
        _ if x.bound == 0.0 => 0.0,
        Activation::Silu | Activation::Gelu | Activation::GeluTanh => 1.13 * x.bound,
        _ => {
            let [low, high] = [x.value - x.bound, x.value + x.bound].map(function);
            (value - low).abs().max((high - value).abs())
        }
    };
    let size = value.abs() + through;
    // A unit in the last place is at most 2u of the number.
    let ulp = |units: f64| 2.0 * units * (UNIT_ROUNDOFF * size + SMALLEST);
    let below = |units: f64| {
        let lowest = x.value - x.bound;
        ulp(units) + if lowest < 0.0 { 1.5e-7 * lowest.abs() } else { 0.0 }
    };
    let own = match activation {
        Activation::Linear | Activation::Relu | Activation::Relu6 | Activation::HardTanh => 0.0,
        Activation::LeakyRelu { .. } => ulp(0.5),
        Activation::HardSigmoid { slope, .. } => {
            let product = (f64::from(slope) * x.value).abs() + x.bound;
            ulp(0.5) + if isa == Isa::Portable { UNIT_ROUNDOFF * product } else { 0.0 }
        }
        Activation::Exponential => ulp(1.1) * roundings(isa),
        Activation::Sigmoid => ulp(2.5) * roundings(isa),
        Activation::Tanh => ulp(2.6) * roundings(isa),
        Activation::Elu { alpha } => ulp(if alpha == 1.0 { 1.0 } else { 1.5 }) * roundings(isa),
        Activation::Selu => ulp(1.9) * roundings(isa),
        Activation::Softplus => ulp(1.9) * roundings(isa),
        Activation::Softsign => ulp(1.6) * roundings(isa),
        Activation::Silu => below(2.2) * roundings(isa),
        Activation::Gelu => below(3.6) * roundings(isa),
        Activation::GeluTanh => below(2.6) * roundings(isa),
        other => unreachable!("{other} has no line in the table"),
    };
    Bounded { value, bound: through + own }
}

/// How exp(x - max) of a row errs, relatively: through the bound of x and of max, the rounding of
/// their difference, and exp itself; and how many roundings one lane and the tree make.
fn exponentials(row: &[Bounded], isa: Isa) -> (f64, Vec<f64>, f64) {
    let highest = row.iter().map(|x| x.value).fold(f64::NEG_INFINITY, f64::max);
    let widest = row.iter().map(|x| x.bound).fold(0.0, f64::max);
    let errors = row.iter().map(|x| {
        let below = highest - x.value + 2.0 * widest;
        let argument = x.bound + widest + UNIT_ROUNDOFF * below;
        argument.exp_m1() + 2.2 * UNIT_ROUNDOFF * roundings(isa)
    });
    let sums = UNIT_ROUNDOFF * (row.len().div_ceil(16) + 4) as f64;
    (highest, errors.collect(), sums)
}

fn softmax(row: &[Bounded], isa: Isa) -> Vec<Bounded> {
    let values: Vec<f64> = row.iter().map(|x| x.value).collect();
    let shares = reference::softmax(&values);
    let (_, errors, sums) = exponentials(row, isa);
    // Errors of the terms weigh in the sum as the terms do.
    let total: f64 = shares.iter().zip(&errors).map(|(share, error)| share * error).sum();
    let bound = |(&share, &error): (&f64, &f64)| {
        let relative = (1.0 + error) * (1.0 + UNIT_ROUNDOFF) / (1.0 - total - sums) - 1.0;
        Bounded { value: share, bound: share * relative + 4.0 * SMALLEST }
    };
    shares.iter().zip(&errors).map(bound).collect()
}

fn log_softmax(row: &[Bounded], isa: Isa) -> Vec<Bounded> {
    let values: Vec<f64> = row.iter().map(|x| x.value).collect();
    let shares = reference::softmax(&values);
    let logs = reference::log_softmax(&values);
    let (highest, errors, sums) = exponentials(row, isa);
    let total: f64 = shares.iter().zip(&errors).map(|(share, error)| share * error).sum();
    let widest = row.iter().map(|x| x.bound).fold(0.0, f64::max);
    // ln of a sum between 1 and the length of the row.
    let ln = (row.len() as f64).ln();
    let of_sum = -(1.0 - total - sums).ln() + 1.8 * UNIT_ROUNDOFF * ln * roundings(isa);
    let bound = |(x, &log): (&Bounded, &f64)| {
        let below = highest - x.value + 2.0 * widest;
        let own = UNIT_ROUNDOFF * (below + log.abs() + of_sum);
        Bounded { value: log, bound: x.bound + widest + of_sum + own }
    };
    row.iter().zip(&logs).map(bound).collect()
}

/// The states of one direction after each step.
struct Walked {
    /// `[steps][batch × hidden]`, in the order of processing, the initial one first.
    hidden: Vec<Vec<f32>>,
    cell: Vec<Vec<f32>>,
}

fn judge_recurrent(
    layer: &Recurrent,
    inputs: &[&Numbers],
    ours: Vec<(Port, &Numbers)>,
    isa: Isa,
) -> Result<(), String> {
    let [time, batch, _] = inputs[0].extent;
    let hidden_size = layer.hidden_size();
    let initial = |state: usize, direction: usize| match inputs.get(1 + state) {
        Some(given) => given.step(direction).to_vec(),
        None => vec![0.0; batch * hidden_size],
    };
    let mut walks = Vec::new();
    for direction in 0..layer.direction().count() {
        let backwards = direction == 1 || layer.direction() == Direction::Reverse;
        let steps: Vec<&[f32]> =
            (0..time).map(|t| inputs[0].step(if backwards { time - 1 - t } else { t })).collect();
        let (h, c) = (initial(0, direction), initial(1, direction));
        let c = if layer.cell().has_cell_state() { c } else { Vec::new() };
        let walked = walk(layer, direction, &steps, (h, c), batch, isa);
        walks.push(walked.map_err(|problem| format!("direction {direction}: {problem}"))?);
    }
    let merged = |numbers: Vec<&[f32]>| -> Vec<f32> {
        match numbers[..] {
            [one] => one.to_vec(),
            [forward, backward] => {
                let rows = forward.chunks(hidden_size).zip(backward.chunks(hidden_size));
                rows.flat_map(|(f, b)| merge(layer.merge, f, b)).collect()
            }
            _ => unreachable!("one direction or two"),
        }
    };
    for (port, found) in ours {
        let expected: Vec<f32> = match port {
            Port::Main => (0..time)
                .flat_map(|t| {
                    // After which step of each direction output t stands; 0 is the initial state.
                    let after = |direction: usize| match (layer.direction(), layer.order) {
                        (Direction::Reverse, OutputOrder::Time) => time - t,
                        _ if direction == 1 => time - t,
                        _ => t + 1,
                    };
                    let steps = walks.iter().enumerate();
                    merged(steps.map(|(d, walk)| &walk.hidden[after(d)][..]).collect())
                })
                .collect(),
            Port::Last => merged(walks.iter().map(|walk| &walk.hidden[time][..]).collect()),
            Port::FinalHidden => walks.iter().flat_map(|walk| walk.hidden[time].clone()).collect(),
            Port::FinalCell => walks.iter().flat_map(|walk| walk.cell[time].clone()).collect(),
        };
        if super::bits_of(&found.values) != super::bits_of(&expected) {
            return Err(format!(
                "{port:?} {:?} is not made of the layer's own steps: {:?}, expected {expected:?}",
                found.extent, found.values
            ));
        }
    }
    Ok(())
}

/// One step of both directions, merged in f64 and rounded once.
fn merge(merge: Merge, forward: &[f32], backward: &[f32]) -> Vec<f32> {
    let merge = match merge {
        Merge::Concat => reference::Merge::Concat,
        Merge::Sum => reference::Merge::Sum,
        Merge::Mul => reference::Merge::Mul,
        Merge::Average => reference::Merge::Average,
    };
    let merged = merge.features(&widen(forward), &widen(backward));
    #[allow(clippy::cast_possible_truncation, reason = "the one rounding that is meant")]
    merged.into_iter().map(|x| x as f32).collect()
}

/// Runs one direction alone, a step at a time, and judges each step.
fn walk(
    layer: &Recurrent,
    direction: usize,
    steps: &[&[f32]],
    (h, c): (Vec<f32>, Vec<f32>),
    batch: usize,
    isa: Isa,
) -> Result<Walked, String> {
    let (cell, size) = (layer.cell(), layer.hidden_size());
    let truth = reference_layer(layer, direction);
    let alone = Recurrent::new(cell, Direction::Forward, vec![layer.weights()[direction].clone()])
        .map_err(|error| error.to_string())?;
    let mut graph = Model::graph();
    let x = graph.sequence("x", layer.input_size());
    let values = graph.recurrent("r", alone, x);
    graph.output("y", values.sequence);
    let model = graph.build().map_err(|error| error.to_string())?;
    let mut session = plan(&model, isa).session(batch, 1).map_err(|error| error.to_string())?;
    let array = |values: &[f32]| Array::new(&[1, batch, size], values.to_vec());
    let mut states = vec![("r.h".to_owned(), array(&h).map_err(|error| error.to_string())?)];
    if cell.has_cell_state() {
        states.push(("r.c".to_owned(), array(&c).map_err(|error| error.to_string())?));
    }
    session.set_state(&State::from_arrays(states)).map_err(|error| error.to_string())?;

    let mut walked = Walked { hidden: vec![h], cell: vec![c] };
    let mut y = vec![f32::NAN; batch * size];
    for (t, x) in steps.iter().enumerate() {
        session.step(x, &mut y).map_err(|error| error.to_string())?;
        let state = session.state().map_err(|error| error.to_string())?;
        let part = |name| state.get(name).and_then(Array::as_f32).unwrap_or_default().to_vec();
        let (h, c) = (part("r.h"), part("r.c"));
        if super::bits_of(&h) != super::bits_of(&y) {
            return Err(format!("step {t}: the output is not the state"));
        }
        for row in 0..batch {
            let of = |numbers: &[f32], size: usize| numbers[row * size..][..size].to_vec();
            let cell_size = if c.is_empty() { 0 } else { size };
            let before = reference::State::from_f32(
                &of(&walked.hidden[t], size),
                &of(&walked.cell[t], cell_size),
            );
            let step = truth.step(&widen(&of(x, layer.input_size())), &before);
            let tolerance = truth.tolerance(&before, &step, rounding(isa));
            let parts = [
                ("h", of(&h, size), &step.state.hidden, &tolerance.hidden),
                ("c", of(&c, cell_size), &step.state.cell, &tolerance.cell),
            ];
            for (name, found, expected, bounds) in parts {
                for unit in 0..found.len() {
                    let judged = Bounded { value: expected[unit], bound: bounds[unit] };
                    if !judged.accepts(found[unit]) {
                        return Err(format!(
                            "step {t}, row {row}: {name}[{unit}] is {}, expected {}: off by {:e} \
                             of {:e}",
                            found[unit],
                            judged.value,
                            (f64::from(found[unit]) - judged.value).abs(),
                            judged.bound
                        ));
                    }
                }
            }
        }
        walked.hidden.push(h);
        walked.cell.push(c);
    }
    Ok(walked)
}

fn reference_layer(layer: &Recurrent, direction: usize) -> reference::Recurrent {
    let weights = &layer.weights()[direction];
    let rows = weights.input.rows();
    let bias = |bias: &Option<Vec<f32>>| bias.as_deref().map_or(vec![0.0; rows], widen);
    let (recurrence, recurrent_weights) = match &weights.recurrent {
        RecurrentWeights::Matrix(matrix) => (reference::Recurrence::Matrix, widen(matrix.values())),
        RecurrentWeights::Identity => (reference::Recurrence::Identity, Vec::new()),
    };
    let cell = match layer.cell() {
        Cell::SimpleRnn { activation } => {
            reference::Cell::Simple { activation: reference_activation(activation), recurrence }
        }
        Cell::Lstm { activation, recurrent_activation } => reference::Cell::Lstm {
            activation: reference_activation(activation),
            recurrent_activation: reference_activation(recurrent_activation),
        },
        Cell::Gru { reset, activation, recurrent_activation } => reference::Cell::Gru {
            activation: reference_activation(activation),
            recurrent_activation: reference_activation(recurrent_activation),
            reset: match reset {
                GruReset::BeforeMatmul => reference::Reset::BeforeProduct,
                GruReset::AfterMatmul => reference::Reset::AfterProduct,
            },
        },
    };
    reference::Recurrent {
        cell,
        input_size: layer.input_size(),
        hidden_size: layer.hidden_size(),
        input_weights: widen(weights.input.values()),
        recurrent_weights,
        bias: bias(&weights.bias),
        recurrent_bias: bias(&weights.recurrent_bias),
    }
}

fn reference_activation(activation: Activation) -> reference::Activation {
    use reference::Activation as R;
    match activation {
        Activation::Linear => R::Linear,
        Activation::Tanh => R::Tanh,
        Activation::Sigmoid => R::Sigmoid,
        Activation::Relu => R::Relu,
        Activation::LeakyRelu { alpha } => R::LeakyRelu { alpha: alpha.into() },
        Activation::Elu { alpha } => R::Elu { alpha: alpha.into() },
        Activation::Selu => R::Selu,
        Activation::Softplus => R::Softplus,
        Activation::Softsign => R::Softsign,
        Activation::HardSigmoid { slope, offset } => {
            R::HardSigmoid { slope: slope.into(), offset: offset.into() }
        }
        Activation::HardTanh => R::HardTanh,
        Activation::Silu => R::Silu,
        Activation::Gelu => R::Gelu,
        Activation::GeluTanh => R::GeluTanh,
        Activation::Exponential => R::Exponential,
        other => panic!("{other} has no equation in the reference"),
    }
}
