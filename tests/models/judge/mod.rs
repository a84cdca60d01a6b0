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
//!   a merge is one rounded operation and its f64 result rounds to the same f32. Where a mask leaves
//!   a step out, the state is the one before, and the sequence shows what `PadOutput` says.
//! * **Dense**: the bound of the sum (`dot_tolerance`), through the activation (how far it moves
//!   within that bound), and the activation's own error from the table in `docs/numerics.md`.
//! * **Sums, products, scale and shift, mean**: one half unit in the last place of each
//!   intermediate result.
//! * **What only moves numbers** (concat, select, maximum, ...): no error at all.
//!
//! Because the values of the original model are compared with those of its glass copy to the bit,
//! right nodes make a right model.

mod bounded;
mod numbers;
mod steps;
mod truth;

use std::collections::HashMap;

use ritornello::model::{MaskRule, Matrix, Op, Output, Port, Select, SequenceAxes, Shape, Value};
use ritornello::{Isa, Model};
use ritornello_reference::{affine, dot_tolerance, widen};

use self::bounded::{Bounded, activated, rounding};
use self::numbers::{Numbers, places};
use self::steps::judge_recurrent;
use super::{Case, growth::ports};

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
            let mut inputs: Vec<&Numbers> = node.inputs.iter().map(|v| &self.numbers[v]).collect();
            let shape = self.case.model.shape(node.inputs[node.inputs.len() - 1]);
            let has_mask = inputs.len() > 1 && matches!(shape, Ok(Shape::Sequence { .. }));
            let mask = if has_mask { inputs.pop() } else { None };
            let ours = ports(&node.op).iter().map(|&port| (port, result(port))).collect();
            return judge_recurrent(layer, &inputs, mask, ours, self.isa)
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
        if let Op::Constant(constant) = &node.op {
            let row = |at: [usize; 3]| constant.rows().row(at[0])[at[2]];
            return places(extent).map(|at| Bounded::exact(row(at))).collect();
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
            Op::Recurrent(_) | Op::Embedding(_) | Op::Constant(_) => {
                unreachable!("judged elsewhere")
            }
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
                    let counts =
                        |t: &usize| inputs.get(1).is_none_or(|mask| mask.at([*t, at[1], 0]) != 0.0);
                    let counted: Vec<usize> = (0..time).filter(counts).collect();
                    let numbers = counted.iter().map(|&t| first.at([t, at[1], at[2]]));
                    let Some(sum) = numbers.map(Bounded::exact).reduce(Bounded::plus) else {
                        return Bounded::exact(f32::NAN);
                    };
                    let count = counted.len() as f64;
                    Bounded { value: sum.value / count, bound: sum.bound / count }.rounded()
                })
                .collect(),
            Op::Mask(MaskRule::AnyDiffers(value)) => moved(&|[t, b, _]| {
                let counts = first.row(t, b).iter().any(|x| x != value);
                if counts { 1.0 } else { 0.0 }
            }),
            Op::Mask(MaskRule::IndexDiffers(_)) => unreachable!("no move draws it"),
            Op::Masked => moved(&|[t, b, i]| {
                if inputs[1].at([t, b, 0]) == 0.0 { 0.0 } else { first.at([t, b, i]) }
            }),
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
