//! An ONNX tensor as a part of a value of the model, its axes in another order.
//!
//! A value of the model has a batch, time or states, and a row of features. What ONNX does between
//! layers (transpose, squeeze, reshape, slice) changes how one looks at these, and computes nothing:
//! it is kept account of here, and no node is made for it.

use super::Reason;
use super::axes::Axes;
use super::dims::{Dim, shape};
use crate::model::Value;

/// What an axis is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atom {
    /// An axis of an input: batch or time, or of unknown meaning yet.
    Axis(usize),
    /// States, from [`View::state`] on.
    States(usize),
    /// Features of the row, `stride` apart.
    Row { len: usize, stride: usize },
}

/// The kind of the value behind a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Sequence,
    Vector,
    States(usize),
    /// An input of which not all is known yet.
    Open,
}

/// A tensor: some of a value's numbers, and how they are laid out.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) value: Value,
    pub(super) form: Form,
    /// Whether its numbers are indices.
    pub(super) index: bool,
    /// Features of a row of the value.
    pub(super) features: usize,
    /// The first feature of the row that is seen.
    pub(super) start: usize,
    /// The first state that is seen.
    pub(super) state: usize,
    /// What each axis is made of, from the outermost; nothing, where its length is 1.
    pub(super) axes: Vec<Vec<Atom>>,
    /// Whether nothing else looks at the value.
    pub(super) sole: bool,
    /// Whether its steps are in the order from the last to the first.
    pub(super) reversed: bool,
}

impl Atom {
    pub(super) fn dim(self, axes: &Axes<'_>) -> Dim {
        match self {
            Self::Axis(axis) => axes.dim(axis),
            Self::States(count) => Dim::of(count),
            Self::Row { len, .. } => Dim::of(len),
        }
    }
}

/// An axis of features, none where there is one feature.
pub(super) fn row(len: usize, stride: usize) -> Vec<Atom> {
    if len == 1 { Vec::new() } else { vec![Atom::Row { len, stride }] }
}

impl View {
    /// The whole of a new value.
    pub(super) fn new(value: Value, form: Form, features: usize, axes: Vec<Vec<Atom>>) -> Self {
        Self {
            value,
            form,
            index: false,
            features,
            start: 0,
            state: 0,
            axes,
            sole: true,
            reversed: false,
        }
    }

    pub(super) fn rank(&self) -> usize {
        self.axes.len()
    }

    /// The length of each axis.
    pub(super) fn shape(&self, axes: &Axes<'_>) -> Result<Vec<Dim>, Reason> {
        let length = |axis: &Vec<Atom>| {
            let dims: Vec<Dim> = axis.iter().map(|atom| atom.dim(axes)).collect();
            Dim::product(&dims).ok_or_else(|| Reason("an axis is too long".into()))
        };
        self.axes.iter().map(length).collect()
    }

    /// All atoms from the outermost.
    pub(super) fn atoms(&self) -> impl Iterator<Item = Atom> + '_ {
        self.axes.iter().flatten().copied()
    }

    /// The same with its axes in another order.
    pub(super) fn transposed(&self, order: &[usize]) -> Self {
        let axes = order.iter().map(|&axis| self.axes[axis].clone()).collect();
        Self { axes, ..self.clone() }
    }

    /// The same numbers in another shape.
    pub(super) fn reshaped(&self, target: &[Dim], axes: &Axes<'_>) -> Result<Self, Reason> {
        let misfit = || {
            let found = self.shape(axes).map_or_else(|_| "?".into(), |dims| shape(&dims));
            Reason(format!(
                "the shape {} for {found} is not one of its axes joined or parted",
                shape(target)
            ))
        };
        let one = Dim::number(1);
        let mut rest: Vec<Atom> = self.atoms().collect();
        rest.reverse();
        let mut result: Vec<Vec<Atom>> = Vec::with_capacity(target.len());
        for wanted in target {
            let mut group = Vec::new();
            let mut missing = wanted.clone();
            if *wanted == one {
                // An input's axis of length 1 keeps its meaning.
                if rest.last().is_some_and(|atom| atom.dim(axes) == one) {
                    group.extend(rest.pop());
                }
                result.push(group);
                continue;
            }
            while missing != one {
                let atom = rest.pop().ok_or_else(misfit)?;
                let dim = atom.dim(axes);
                if dim == one {
                    match result.last_mut() {
                        Some(before) if group.is_empty() => before.push(atom),
                        _ => group.push(atom),
                    }
                } else if let Some(left) = missing.divided_by(&dim) {
                    missing = left;
                    group.push(atom);
                } else {
                    let (first, second) = parted(atom, &missing).ok_or_else(misfit)?;
                    missing = one.clone();
                    group.extend(first);
                    rest.extend(second);
                }
            }
            result.push(group);
        }
        while rest.last().is_some_and(|atom| atom.dim(axes) == one) {
            let atom = rest.pop().expect("there is one");
            result.last_mut().ok_or_else(misfit)?.push(atom);
        }
        if !rest.is_empty() {
            return Err(misfit());
        }
        Ok(Self { axes: result, ..self.clone() })
    }
}

/// Features as an outer axis of length `outer` and the rest.
fn parted(atom: Atom, outer: &Dim) -> Option<(Option<Atom>, Option<Atom>)> {
    let Atom::Row { len, stride } = atom else { return None };
    let outer = usize::try_from(outer.as_number()?).ok()?;
    if outer == 0 || len % outer != 0 {
        return None;
    }
    let inner = len / outer;
    let first = Atom::Row { len: outer, stride: stride.checked_mul(inner)? };
    Some((Some(first), (inner > 1).then_some(Atom::Row { len: inner, stride })))
}
