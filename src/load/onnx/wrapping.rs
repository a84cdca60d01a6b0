//! Indices as tf2onnx writes them before a table: where one is negative, the length of the table is
//! added. Indices here are not negative, so that nothing of it is left.

use super::Reason;
use super::call::Call;
use super::known::Known;
use super::view::View;

/// A part of `(x < 0) · (x + n) + (1 - (x < 0)) · x`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// x as real numbers.
    Real,
    /// `x + n`.
    Raised,
    /// `x < 0`.
    Negative,
    /// `not (x < 0)`.
    Other,
    /// The product of the raised ones with those that are negative: none.
    Dropped,
    /// The product of x with those that are not negative: x.
    Kept,
}

/// The part that a node makes of others, if it makes one.
pub(super) fn read(call: &Call<'_, '_>) -> Option<Result<Vec<Known>, Reason>> {
    let index = |known: Option<&Known>| match known {
        Some(Known::Data(view)) if view.index => Some((None, view.clone())),
        Some(Known::Wrapped(part, view)) => Some((Some(*part), view.clone())),
        _ => None,
    };
    let zero = |known: Option<&Known>| match known {
        Some(Known::Constant(tensor)) => {
            tensor.only() == Some(0.0) || known.and_then(Known::integers).as_deref() == Some(&[0])
        }
        _ => false,
    };
    let (first, second) = (call.optional(0), call.optional(1));
    let part = |part: Part, view: View| Some(Ok(vec![Known::Wrapped(part, view)]));
    match (call.node.op, index(first), index(second)) {
        ("Add", Some((None, view)), None) if positive(second) => part(Part::Raised, view),
        ("Add", Some((Some(a), view)), Some((Some(b), other))) if same(&view, &other) => {
            let whole =
                [a, b] == [Part::Dropped, Part::Kept] || [b, a] == [Part::Dropped, Part::Kept];
            whole.then(|| Ok(vec![Known::Data(view)]))
        }
        ("Less", Some((None | Some(Part::Real), view)), None) if zero(second) => {
            part(Part::Negative, view)
        }
        ("Not", Some((Some(Part::Negative), view)), None) => part(Part::Other, view),
        ("Mul", Some((a, view)), Some((b, other))) if same(&view, &other) => match (a, b) {
            (None, Some(Part::Other)) | (Some(Part::Other), None) => part(Part::Kept, view),
            (Some(Part::Raised), Some(Part::Negative))
            | (Some(Part::Negative), Some(Part::Raised)) => part(Part::Dropped, view),
            _ => None,
        },
        ("Cast", Some((None, view)), None)
            if call.int("to") == Ok(Some(crate::load::container::onnx::element::FLOAT)) =>
        {
            part(Part::Real, view)
        }
        // Truth values as numbers, and back.
        ("Cast", Some((Some(known @ (Part::Negative | Part::Other)), view)), None) => {
            let _ = call.int("to");
            part(known, view)
        }
        _ => None,
    }
}

fn same(a: &View, b: &View) -> bool {
    a.value == b.value && a.axes == b.axes
}

fn positive(known: Option<&Known>) -> bool {
    let integers = known.and_then(Known::integers);
    integers.is_some_and(|integers| matches!(integers[..], [number] if number > 0))
}
