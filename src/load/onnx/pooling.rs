//! Means and maxima over time.

use super::Reason;
use super::axes::Role;
use super::call::{Call, place};
use super::known::Known;
use super::reader::Reader;
use super::view::{Atom, Form, View};
use crate::model::Op;

pub(super) fn reduce(
    reader: &mut Reader<'_, '_>,
    call: &Call<'_, '_>,
) -> Result<Vec<Known>, Reason> {
    let keep = call.int("keepdims")?.unwrap_or(1) != 0;
    if call.int("noop_with_empty_axes")?.unwrap_or(0) != 0 {
        return Err(Reason("noop_with_empty_axes is set".into()));
    }
    let view = call.data(0)?.clone();
    let axes = call.axes("axes", 1)?.unwrap_or_default();
    let &[axis] = &axes[..] else {
        return Err(Reason(format!(
            "it reduces along the axes {axes:?}; read is one, that of time"
        )));
    };
    let axis = place(axis, view.rank())?;
    let mut view = reader.settled(&view)?;
    match view.axes[axis][..] {
        [Atom::Axis(found)] => match reader.axes.role(found) {
            Some(Role::Time) => {}
            None => return Ok(vec![Known::Data(dropped(view, axis, keep))]),
            _ => return Err(Reason("it reduces along the batch".into())),
        },
        _ => return Err(Reason("it reduces along features; read is only time".into())),
    }
    let op = if call.node.op == "ReduceMax" { Op::MaxOverTime } else { Op::MeanOverTime };
    view.value = reader.emit(call.name(), op, &[view.value]);
    (view.form, view.sole) = (Form::Vector, true);
    Ok(vec![Known::Data(dropped(view, axis, keep))])
}

fn dropped(mut view: View, axis: usize, keep: bool) -> View {
    if keep {
        view.axes[axis].clear();
    } else {
        view.axes.remove(axis);
    }
    view
}
