//! One call on arrays by name: from arrays to a session and back.

use super::frame::Source;
use super::rows::Counting;
use crate::model::{Element, Extent, Input, SequenceAxes, Shape, ShownAxis, lengths};
use crate::plan::PlanInner;
use crate::{Array, ArrayView, Error, Numbers, Plan};

/// Steps that a session for a single call of a causal model has buffers for.
const BUFFERED_STEPS: usize = 1024;

/// Runs whole sequences from fresh states.
pub(crate) fn run_once(
    plan: &Plan,
    inputs: &[(&str, &Array)],
    counting: Counting<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<(String, Array)>, Error> {
    let inputs = &views(inputs);
    let (batch, longest) = find_sizes(&plan.inner, inputs)?;
    let max_time = if plan.is_causal() { longest.min(BUFFERED_STEPS) } else { longest };
    plan.session(batch, max_time)?.run_with_progress(inputs, counting, progress)
}

/// Arrays by name, without taking them.
pub(super) fn views<'a>(inputs: &[(&'a str, &'a Array)]) -> Vec<(&'a str, ArrayView<'a>)> {
    inputs.iter().map(|(name, array)| (*name, array.as_view())).collect()
}

/// The batch that the arrays agree on, and the longest sequence.
fn find_sizes(plan: &PlanInner, inputs: &[(&str, ArrayView<'_>)]) -> Result<(usize, usize), Error> {
    let (mut batch, mut longest) = (None, 0);
    for (index, input) in plan.inputs.iter().enumerate() {
        let shape = find(plan, inputs, index)?.shape();
        let axes = &plan.input_axes[index];
        if shape.len() != axes.len() {
            return Err(misfit(input, &described(plan, index), shape));
        }
        let length_of = |wanted: ShownAxis| {
            axes.iter().zip(shape).find(|(axis, _)| **axis == wanted).map(|(_, &length)| length)
        };
        longest = longest.max(length_of(ShownAxis::Time).unwrap_or(0));
        let found = length_of(ShownAxis::Batch).unwrap_or(0);
        if *batch.get_or_insert(found) != found {
            return Err(Error::Shape {
                what: format!("batch of input '{}' {}", input.name, described(plan, index)),
                expected: format!("{} like that of the inputs before", batch.unwrap_or(0)),
                found: found.to_string(),
            });
        }
    }
    Ok((batch.unwrap_or(0), longest))
}

/// The arrays in the order of the plan's inputs; `times` gets the steps of each.
pub(super) fn sources<'a>(
    plan: &PlanInner,
    inputs: &[(&str, ArrayView<'a>)],
    batch: usize,
    times: &mut [usize],
) -> Result<Vec<Source<'a>>, Error> {
    let known = |name: &str| plan.inputs.iter().any(|input| input.name == name);
    if let Some((name, _)) = inputs.iter().find(|(name, _)| !known(name)) {
        return Err(Error::UnknownName {
            what: "input",
            name: (*name).into(),
            known: names(plan.inputs.iter().map(|input| input.name.as_str())),
        });
    }
    let given = |name: &str| inputs.iter().filter(|(known, _)| *known == name).count();
    if let Some((name, _)) = inputs.iter().find(|(name, _)| given(name) > 1) {
        return Err(Error::DuplicateName { what: "input", name: (*name).into() });
    }
    let each = plan.inputs.iter().zip(times).enumerate().map(|(index, (input, steps))| {
        let array = find(plan, inputs, index)?;
        check_shape(plan, index, array.shape(), batch)?;
        let axes = plan.input_axes[index].iter();
        if let Some(time) = axes.clone().position(|axis| *axis == ShownAxis::Time) {
            *steps = array.shape()[time];
        }
        match (array.numbers(), input.element) {
            (Numbers::F32(numbers), Element::F32) => Ok(Source::F32(numbers)),
            (Numbers::Index(indices), Element::Index) => Ok(Source::Index(indices)),
            (numbers, element) => Err(Error::Shape {
                what: format!("input '{}' {}", input.name, described(plan, index)),
                expected: element_name(element).into(),
                found: match numbers {
                    Numbers::F32(_) => element_name(Element::F32).into(),
                    Numbers::Index(_) => element_name(Element::Index).into(),
                },
            }),
        }
    });
    each.collect()
}

pub(super) fn element_name(element: Element) -> &'static str {
    match element {
        Element::F32 => "real numbers (f32)",
        Element::Index => "indices (integers)",
    }
}

fn find<'a>(
    plan: &PlanInner,
    inputs: &[(&str, ArrayView<'a>)],
    index: usize,
) -> Result<ArrayView<'a>, Error> {
    let input = &plan.inputs[index];
    let found = inputs.iter().find(|(name, _)| *name == input.name);
    found.map(|(_, array)| *array).ok_or_else(|| Error::Shape {
        what: format!("input '{}' {}", input.name, described(plan, index)),
        expected: "an array of this name".into(),
        found: format!("only {}", names(inputs.iter().map(|(name, _)| *name))),
    })
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Checks every axis but a free time.
fn check_shape(plan: &PlanInner, index: usize, found: &[usize], batch: usize) -> Result<(), Error> {
    let free = usize::MAX;
    let expected = lengths(&plan.input_axes[index], [free, batch]);
    let fits = expected.len() == found.len()
        && expected.iter().zip(found).all(|(&e, &f)| e == free || e == f);
    if fits {
        return Ok(());
    }
    let expected = format!("{} with batch {batch}", described(plan, index));
    Err(misfit(&plan.inputs[index], &expected, found))
}

fn misfit(input: &Input, expected: &str, found: &[usize]) -> Error {
    Error::Shape {
        what: format!("input '{}'", input.name),
        expected: expected.into(),
        found: format!("{found:?}"),
    }
}

/// The axes of an input, by name and in the caller's order.
fn described(plan: &PlanInner, index: usize) -> String {
    let (input, shown) = (&plan.inputs[index], &plan.input_axes[index]);
    if *shown != input.shape.shown(input.element, plan.axes) {
        return crate::model::described(shown);
    }
    let Shape::Sequence { time, features } = input.shape else { return input.shape.to_string() };
    let time = match time {
        Extent::Input(_) => "time".to_owned(),
        Extent::Fixed(time) => format!("time={time}"),
    };
    let (first, second) = match plan.axes {
        SequenceAxes::BatchTime => ("batch".to_owned(), time),
        SequenceAxes::TimeBatch => (time, "batch".to_owned()),
    };
    match input.element {
        Element::F32 => format!("[{first}, {second}, features={features}]"),
        Element::Index => format!("[{first}, {second}]"),
    }
}
