//! JSON to [`Spec`]: inputs and outputs; nodes are read in `node`.

use serde_json::Value;

use super::grammar::{INPUT, OUTPUT, OutputSpec, TOP};
use super::json::{Object, count, mistyped, text, wrong};
use super::{Spec, node};
use crate::Error;
use crate::model::{Element, Extent, Input, SequenceAxes, Shape};

/// Reads the whole.
pub(super) fn spec(json: &str) -> Result<Spec, Error> {
    let value: Value =
        crate::load::json::parse(json.as_bytes()).map_err(|e| wrong("JSON", e.to_string()))?;
    let top = Object::new("", &value)?;
    match top.count("ritornello")? {
        1 => {}
        version => {
            let problem = format!(
                "it is version {version}, and this ritornello reads version 1; a later one may read it"
            );
            return Err(wrong("ritornello", problem));
        }
    }
    top.know(&[TOP])?;
    let mut inputs = Vec::new();
    let mut order = Order { found: None };
    for (index, value) in top.list("inputs")?.iter().enumerate() {
        inputs.push(input(index, value, &mut order)?);
    }
    if top.has("time_major") {
        let axes = if top.switch("time_major", false)? {
            SequenceAxes::TimeBatch
        } else {
            SequenceAxes::BatchTime
        };
        order.agree(axes, "time_major")?;
    }
    let nodes = top.list("nodes")?.iter().enumerate();
    let nodes = nodes.map(|(index, value)| node::read(index, value)).collect::<Result<_, _>>()?;
    let outputs = top.list("outputs")?.iter().enumerate();
    let outputs = outputs.map(|(index, value)| output(index, value)).collect::<Result<_, _>>()?;
    let unused = if top.has("unused") { names(&top, "unused")? } else { Vec::new() };
    Ok(Spec { inputs, axes: order.found.unwrap_or_default(), nodes, outputs, unused })
}

/// The order of batch and time, which all sequences share.
struct Order {
    found: Option<SequenceAxes>,
}

impl Order {
    fn agree(&mut self, axes: SequenceAxes, place: &str) -> Result<(), Error> {
        match self.found.replace(axes) {
            Some(other) if other != axes => {
                let problem = "batch and time stand the other way round in an earlier input; \
                               all sequences of a model have one order";
                Err(wrong(place, problem))
            }
            _ => Ok(()),
        }
    }
}

/// One entry of `axes`.
enum AxisSpec {
    Batch,
    Time(Option<usize>),
    Count(usize),
}

fn input(index: usize, value: &Value, order: &mut Order) -> Result<Input, Error> {
    let object = Object::new(format!("inputs[{index}]"), value)?;
    object.know(&[INPUT])?;
    let name = object.text("name")?.to_owned();
    let element = object.word("dtype", &[("float32", Element::F32), ("int32", Element::Index)])?;
    let place = object.at("axes");
    let list = object.list("axes")?;
    let axes: Vec<AxisSpec> = list.iter().map(|v| axis(&place, v)).collect::<Result<_, _>>()?;
    let (axes, features) = match (element, &axes[..]) {
        (Element::F32, [rest @ .., AxisSpec::Count(features)]) => (rest, *features),
        (Element::F32, _) => {
            let problem = "the last axis of real numbers is the number of features; \
                           indices have none and need \"dtype\": \"int32\"";
            return Err(wrong(place, problem));
        }
        (Element::Index, all) => (all, 1),
    };
    let extent = |time: Option<usize>| time.map_or(Extent::Input(index), Extent::Fixed);
    let shape = match axes {
        [AxisSpec::Batch] => Shape::Vector { features },
        [AxisSpec::Batch, AxisSpec::Time(time)] => {
            order.agree(SequenceAxes::BatchTime, &place)?;
            Shape::Sequence { time: extent(*time), features }
        }
        [AxisSpec::Batch, AxisSpec::Count(time)] => {
            order.agree(SequenceAxes::BatchTime, &place)?;
            Shape::Sequence { time: Extent::Fixed(*time), features }
        }
        [AxisSpec::Time(time), AxisSpec::Batch] => {
            order.agree(SequenceAxes::TimeBatch, &place)?;
            Shape::Sequence { time: extent(*time), features }
        }
        [AxisSpec::Count(count), AxisSpec::Batch] => Shape::States { count: *count, features },
        _ => {
            let known = "a sequence [\"batch\", \"time\", features] or [\"time\", \"batch\", \
                         features], a vector [\"batch\", features], states [count, \"batch\", \
                         features], or one of these without features for indices";
            return Err(wrong(place, format!("these axes are none of: {known}")));
        }
    };
    Ok(Input { name, shape, element })
}

fn axis(place: &str, value: &Value) -> Result<AxisSpec, Error> {
    match value {
        Value::String(word) => match word.as_str() {
            "batch" => Ok(AxisSpec::Batch),
            "time" => Ok(AxisSpec::Time(None)),
            other => match other.strip_prefix("time=").map(str::parse) {
                Some(Ok(time)) => Ok(AxisSpec::Time(Some(time))),
                _ => Err(wrong(
                    place,
                    format!("'{other}' is no axis; there are: batch, time, time=STEPS, a number"),
                )),
            },
        },
        number => Ok(AxisSpec::Count(count(place, number)?)),
    }
}

fn output(index: usize, value: &Value) -> Result<OutputSpec, Error> {
    let place = format!("outputs[{index}]");
    match value {
        Value::String(name) => Ok(OutputSpec { name: name.clone(), value: name.clone() }),
        Value::Object(_) => {
            let object = Object::new(place, value)?;
            object.know(&[OUTPUT])?;
            let [name, value] = [object.text("name")?, object.text("value")?];
            Ok(OutputSpec { name: name.into(), value: value.into() })
        }
        other => Err(mistyped(&place, "the name of a value, or a name and a value", other)),
    }
}

/// A list of names of values.
pub(super) fn names(object: &Object<'_>, key: &str) -> Result<Vec<String>, Error> {
    let list = object.list(key)?.iter();
    list.map(|value| Ok(text(&object.at(key), value)?.to_owned())).collect()
}
