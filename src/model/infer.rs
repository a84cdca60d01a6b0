//! Which shape every result of a node has, and what does not fit.

use super::graph::{Model, Node, Op, Select};
use super::{Element, Extent, Recurrent, Shape};
use crate::Error;

impl Model {
    /// The shapes of a node's results, by port.
    pub(super) fn infer(&self, node: &Node) -> Result<[Option<Shape>; 4], Error> {
        let shapes: Vec<Shape> =
            node.inputs.iter().map(|&value| self.shape(value)).collect::<Result<_, _>>()?;
        let wants_indices = match node.op {
            Op::Embedding(_) => true,
            Op::Mask(rule) => rule.element() == Element::Index,
            _ => false,
        };
        for &value in &node.inputs {
            if (self.element(value) == Element::Index) != wants_indices {
                let (expected, found) =
                    if wants_indices { ("indices", "numbers") } else { ("numbers", "indices") };
                return Err(Error::Shape {
                    what: format!("input '{}' of {}", self.value_name(value), node.op.name()),
                    expected: expected.into(),
                    found: found.into(),
                });
            }
        }
        let (others, mask) = self.split_mask(node);
        let (shapes, mask_shape) = (&shapes[..others.len()], mask.map(|mask| self.shape(mask)));
        if let Some(mask) = mask_shape {
            check_mask(node.op.name(), shapes, mask?)?;
        }
        let results = match &node.op {
            Op::Recurrent(layer) => recurrent_shapes(layer, shapes)?,
            op => [Some(single_shape(op, shapes)?), None, None, None],
        };
        results.iter().flatten().try_for_each(|&shape| check_sizes(shape))?;
        Ok(results)
    }
}

/// Fails if an axis is empty, or so long that products of lengths may not fit.
pub(super) fn check_sizes(shape: Shape) -> Result<(), Error> {
    const LONGEST: usize = i32::MAX as usize;
    let other = match shape {
        Shape::Sequence { time: Extent::Fixed(length), .. }
        | Shape::States { count: length, .. } => length,
        _ => 1,
    };
    if [other, shape.features()].iter().all(|length| (1..=LONGEST).contains(length)) {
        return Ok(());
    }
    Err(Error::Shape {
        what: "the shape of a value".into(),
        expected: format!("axes of length 1 to {LONGEST}"),
        found: shape.to_string(),
    })
}

fn misfit(op: &str, operand: &str, expected: &str, found: &[Shape]) -> Error {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    Error::Shape {
        what: format!("{operand} of {op}"),
        expected: expected.into(),
        found: if found.is_empty() { "nothing".into() } else { found.join(" and ") },
    }
}

/// Checks that a mask has one number for each step of the first input.
fn check_mask(name: &str, inputs: &[Shape], mask: Shape) -> Result<(), Error> {
    match inputs.first() {
        Some(&sequence @ Shape::Sequence { .. }) if mask != sequence.with_features(1) => {
            let expected = format!("{}, of the same sequence", sequence.with_features(1));
            Err(misfit(name, "the mask", &expected, &[mask]))
        }
        // A first input that is no sequence is refused by itself.
        _ => Ok(()),
    }
}

/// The shapes of a recurrent layer's results, by port.
fn recurrent_shapes(layer: &Recurrent, inputs: &[Shape]) -> Result<[Option<Shape>; 4], Error> {
    let name = layer.cell().name();
    let wanted = format!("[batch, time, {}]", layer.input_size());
    let time = match inputs.first() {
        Some(&Shape::Sequence { time, features }) if features == layer.input_size() => time,
        _ => return Err(misfit(name, "the input", &wanted, &inputs[..inputs.len().min(1)])),
    };
    let directions = layer.direction().count();
    let axes = if layer.state_size() == layer.hidden_size() { "hidden" } else { "state" };
    let states = [(axes, layer.state_size()), ("hidden", layer.hidden_size())];
    let states = &states[..1 + usize::from(layer.cell().has_cell_state())];
    if inputs.len() != 1 && inputs.len() != 1 + states.len() {
        let expected = if states.len() == 1 { "none, or h" } else { "none, or h and c" };
        return Err(misfit(name, "the initial states", expected, &inputs[1..]));
    }
    for (&state, &(axis, size)) in inputs[1..].iter().zip(states) {
        let fits = match state {
            Shape::States { count, features } => count == directions && features == size,
            Shape::Vector { features } => directions == 1 && features == size,
            Shape::Sequence { .. } => false,
        };
        if !fits {
            let expected = format!("[directions={directions}, batch, {axis}={size}]");
            return Err(misfit(name, "an initial state", &expected, &[state]));
        }
    }
    let features = layer.output_size();
    let finals = |features| Shape::States { count: directions, features };
    Ok([
        Some(Shape::Sequence { time, features }),
        Some(Shape::Vector { features }),
        Some(finals(layer.state_size())),
        layer.cell().has_cell_state().then_some(finals(layer.hidden_size())),
    ])
}

/// The shape of the only result of any other node.
fn single_shape(op: &Op, inputs: &[Shape]) -> Result<Shape, Error> {
    let name = op.name();
    let one = || match inputs {
        [shape] => Ok(*shape),
        _ => Err(misfit(name, "the inputs", "one value", inputs)),
    };
    let features_fit = |shape: Shape, features: usize| {
        if shape.features() == features {
            return Ok(());
        }
        Err(misfit(name, "the input", &format!("{features} features"), &[shape]))
    };
    match op {
        Op::Recurrent(_) => unreachable!("a recurrent layer has several results"),
        Op::Dense(dense) => {
            let shape = one()?;
            features_fit(shape, dense.weights().columns())?;
            Ok(shape.with_features(dense.weights().rows()))
        }
        Op::ScaleShift(affine) => {
            let shape = one()?;
            features_fit(shape, affine.scale().len())?;
            Ok(shape)
        }
        Op::Activation(_) => one(),
        Op::Constant(constant) => match inputs {
            [] => Ok(constant.shape()),
            _ => Err(misfit(name, "the inputs", "none", inputs)),
        },
        Op::Embedding(embedding) => Ok(one()?.with_features(embedding.table().columns())),
        Op::Concat => {
            let first = same_kind(name, inputs)?;
            Ok(first.with_features(
                inputs.iter().fold(0, |sum: usize, s| sum.saturating_add(s.features())),
            ))
        }
        Op::Add | Op::Multiply => {
            let first = same_kind(name, inputs)?;
            if inputs.iter().any(|shape| shape.features() != first.features()) {
                return Err(misfit(name, "the inputs", "of one shape", inputs));
            }
            Ok(first)
        }
        Op::Select(select) => selected(name, *select, one()?),
        Op::Stack => stacked(name, inputs),
        Op::Unroll { steps } | Op::Repeat { steps } => match one()? {
            Shape::Vector { features } if *steps > 0 => {
                Ok(Shape::Sequence { time: Extent::Fixed(*steps), features })
            }
            Shape::Vector { .. } => Err(misfit(name, "the steps", "at least 1", &[])),
            other => Err(misfit(name, "the input", "[batch, features]", &[other])),
        },
        Op::Flatten => match one()? {
            Shape::Sequence { time: Extent::Fixed(time), features } => {
                Ok(Shape::Vector { features: time.saturating_mul(features) })
            }
            vector @ Shape::Vector { .. } => Ok(vector),
            other => {
                Err(misfit(name, "the input", "a sequence with a fixed number of steps", &[other]))
            }
        },
        Op::Mask(_) => match one()? {
            sequence @ Shape::Sequence { .. } => Ok(sequence.with_features(1)),
            other => Err(misfit(name, "the input", "a sequence", &[other])),
        },
        Op::Masked => match inputs {
            [sequence @ Shape::Sequence { .. }, mask] => {
                check_mask(name, inputs, *mask)?;
                Ok(*sequence)
            }
            _ => Err(misfit(name, "the inputs", "a sequence and its mask", inputs)),
        },
        Op::MeanOverTime | Op::MaxOverTime => match one()? {
            Shape::Sequence { features, .. } => Ok(Shape::Vector { features }),
            other => Err(misfit(name, "the input", "a sequence", &[other])),
        },
    }
}

/// Checks that all inputs agree in everything but their features.
///
/// Sequences whose time is given by different inputs agree if the run's data does.
fn same_kind(name: &str, inputs: &[Shape]) -> Result<Shape, Error> {
    let Some(&first) = inputs.first() else {
        return Err(misfit(name, "the inputs", "at least one value", inputs));
    };
    let agree = |shape: &Shape| match (first, *shape) {
        (
            Shape::Sequence { time: Extent::Fixed(a), .. },
            Shape::Sequence { time: Extent::Fixed(b), .. },
        ) => a == b,
        (Shape::Sequence { .. }, Shape::Sequence { .. })
        | (Shape::Vector { .. }, Shape::Vector { .. }) => true,
        (Shape::States { count: a, .. }, Shape::States { count: b, .. }) => a == b,
        _ => false,
    };
    if inputs.iter().all(agree) {
        Ok(first)
    } else {
        Err(misfit(name, "the inputs", "of one kind and length", inputs))
    }
}

fn selected(name: &str, select: Select, shape: Shape) -> Result<Shape, Error> {
    match (select, shape) {
        (Select::Step(step), Shape::Sequence { time, features }) => match time {
            Extent::Fixed(steps)
                if step.unsigned_abs() > steps || step.cast_unsigned() == steps =>
            {
                Err(misfit(name, &format!("step {step}"), "inside the sequence", &[shape]))
            }
            _ => Ok(Shape::Vector { features }),
        },
        (Select::Features { start, end }, _) if start < end && end <= shape.features() => {
            Ok(shape.with_features(end - start))
        }
        (Select::State(index), Shape::States { count, features }) if index < count => {
            Ok(Shape::Vector { features })
        }
        (Select::States { start, end }, Shape::States { count, features })
            if start < end && end <= count =>
        {
            Ok(Shape::States { count: end - start, features })
        }
        _ => Err(misfit(name, "the input", &format!("one that has {select:?}"), &[shape])),
    }
}

fn stacked(name: &str, inputs: &[Shape]) -> Result<Shape, Error> {
    let mut count = 0;
    for shape in inputs {
        let states = match *shape {
            Shape::Vector { .. } => 1,
            Shape::States { count, .. } => count,
            Shape::Sequence { .. } => return Err(misfit(name, "an input", "a state", &[*shape])),
        };
        count = usize::saturating_add(count, states);
    }
    match inputs.first() {
        Some(first) if inputs.iter().all(|shape| shape.features() == first.features()) => {
            Ok(Shape::States { count, features: first.features() })
        }
        _ => Err(misfit(name, "the inputs", "states of one size", inputs)),
    }
}
