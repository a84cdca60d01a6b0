//! GELU as PyTorch's `TorchScript` exporter writes it: `x (1 + erf(x / √2)) / 2`.

use super::Reason;
use super::call::Call;
use super::known::Known;
use super::reader::Reader;
use super::view::View;
use crate::model::{Activation, Node, Op, Port, ScaleShift, Value};

/// The value `erf(x / √2)` of a node, as far as it is known: x.
pub(super) fn erf(reader: &mut Reader<'_, '_>, call: &Call<'_, '_>) -> Result<Vec<Known>, Reason> {
    call.at_most(1)?;
    let view = call.data(0)?;
    if let Value::Node { node, port: Port::Main } = view.value
        && let Node { op: Op::ScaleShift(affine), inputs, .. } = &reader.nodes[node]
    {
        let near = |&scale: &f32| (scale - std::f32::consts::FRAC_1_SQRT_2).abs() <= f32::EPSILON;
        let divided = affine.scale().iter().all(near) && affine.shift().iter().all(|&s| s == 0.0);
        if divided && view.start == 0 {
            let of = View { value: inputs[0], sole: false, ..view.clone() };
            return Ok(vec![Known::Erf(of, false)]);
        }
    }
    Err(Reason("it is read only as a part of GELU, of x / √2".into()))
}

/// What a sum or product makes of `erf(x / √2)`, if it has one: one more than it, or twice GELU.
pub(super) fn combined(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Option<Result<Vec<Known>, Reason>> {
    let (a, b) = (call.optional(0)?, call.optional(1)?);
    let (of, raised, other) = match (a, b) {
        (Known::Erf(of, raised), other) | (other, Known::Erf(of, raised)) => (of, *raised, other),
        _ => return None,
    };
    Some(match (call.node.op, other) {
        ("Add", Known::Constant(one)) if !raised && one.only() == Some(1.0) => {
            Ok(vec![Known::Erf(of.clone(), true)])
        }
        ("Mul", Known::Data(x)) if raised => twice_gelu(reader, call, of, x),
        _ => Err(Reason("it is read only as a part of GELU".into())),
    })
}

fn twice_gelu(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
    of: &View,
    x: &View,
) -> Result<Vec<Known>, Reason> {
    let x = reader.settled(x)?;
    if x.value != of.value || x.axes != of.axes {
        return Err(Reason("it multiplies other than x with a part of GELU of x".into()));
    }
    reader.spend(2 * x.features)?;
    let gelu = reader.emit(call.name(), Op::Activation(Activation::Gelu), &[x.value]);
    // Exact, and undone by the product with a half.
    let twice = ScaleShift::new(vec![2.0; x.features], vec![-0.0; x.features])?;
    let value = reader.emit(&format!("{}.twice", call.name()), Op::ScaleShift(twice), &[gelu]);
    Ok(vec![Known::Data(View { value, sole: true, ..x })])
}
