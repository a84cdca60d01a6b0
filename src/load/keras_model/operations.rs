//! Operations of Keras on results of layers, as `x + y` and `x[:, -1]` leave them in a model.

use serde_json::Value;

use super::config::Layer;
use super::graph::Graph;
use super::topology::Call;
use crate::Error;
use crate::model::{Activation, Op, Select};

/// What an operation computes, and how many axes its result has; `None` if it makes a mask.
pub(super) fn of_numbers(
    call: &Call<'_>,
    axes: Option<usize>,
    graph: &Graph,
) -> Result<Option<(Op, Option<usize>)>, Error> {
    let layer = &call.layer;
    if call.inputs.iter().any(|tensor| graph.truths(tensor).is_some()) {
        return Ok(None);
    }
    #[allow(clippy::cast_possible_truncation, reason = "Keras computes in the tensor's type")]
    let constant = call.constant.map(|number| number as f32);
    let affine = |alpha, beta| Op::Activation(Activation::Affine { alpha, beta });
    let op = match (layer.class, constant) {
        ("Add", None) => Op::Add,
        ("Add", Some(number)) => affine(1.0, number),
        ("Multiply", None) => Op::Multiply,
        ("Multiply", Some(number)) => affine(number, 0.0),
        ("Concatenate", None) => {
            layer.know(&["axis"])?;
            layer.expect_last_axis("axis")?;
            return Ok(Some((Op::Concat, axes)));
        }
        ("GetItem", None) => {
            layer.know(&[])?;
            let select = select(layer, call.key, axes)?;
            let left = if matches!(select, Select::Step(_)) { Some(2) } else { axes };
            return Ok(Some((Op::Select(select), left)));
        }
        _ => return Ok(None),
    };
    layer.know(&[])?;
    Ok(Some((op, axes)))
}

/// What the key of `x[key]` takes of a tensor with so many axes.
fn select(layer: &Layer<'_>, key: Option<&Value>, axes: Option<usize>) -> Result<Select, Error> {
    let parts = key.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let found = match (axes, parts) {
        (Some(3), [batch, step] | [batch, step, _])
            if is_whole(batch) && parts.get(2).is_none_or(is_whole) =>
        {
            step.as_i64().and_then(|step| isize::try_from(step).ok()).map(Select::Step)
        }
        (Some(3), [batch, time, part]) if is_whole(batch) && is_whole(time) => features(part),
        (Some(2), [batch, part]) if is_whole(batch) => features(part),
        _ => None,
    };
    found.ok_or_else(|| {
        let key = key.map_or("nothing".into(), Value::to_string);
        let advice = "of a sequence one step can be taken, x[:, 3] or x[:, -1, :], and features \
                      from one on and before another, both counted from 0, x[:, :, 2:5]";
        layer.unsupported(&format!("with the key {key}"), advice)
    })
}

/// The limits of `start:stop:step`, null where they are left out.
fn limits(part: &Value) -> Option<[&Value; 3]> {
    if part.get("class_name")? != "__slice__" {
        return None;
    }
    let config = part.get("config")?;
    Some([config.get("start")?, config.get("stop")?, config.get("step")?])
}

/// Whether a part is `:`.
fn is_whole(part: &Value) -> bool {
    limits(part).is_some_and(|limits| limits.iter().all(|limit| limit.is_null()))
}

fn features(part: &Value) -> Option<Select> {
    let [start, stop, step] = limits(part)?;
    let count = |value: &Value| usize::try_from(value.as_u64()?).ok();
    let start = if start.is_null() { Some(0) } else { count(start) };
    let plain = step.is_null() || *step == 1;
    plain.then_some(Select::Features { start: start?, end: count(stop)? })
}
