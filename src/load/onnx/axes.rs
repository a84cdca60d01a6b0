//! What each axis of the graph's inputs means.
//!
//! ONNX does not say which axis is the batch. The nodes do: a recurrent node has time, batch and
//! features in an order that is fixed. What it finds out about an axis holds wherever that axis
//! comes along, so the graph is gone through until nothing new is found.

use std::collections::HashMap;

use super::Reason;
use super::dims::Dim;
use crate::Error;
use crate::load::container::onnx::{Extent, ValueInfo};

/// What an axis of an input means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Batch,
    Time,
    /// States of layers or directions.
    States,
    Features,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Time => "time",
            Self::States => "states",
            Self::Features => "features",
        }
    }
}

/// One axis of one input.
#[derive(Clone, Debug)]
struct Axis<'a> {
    input: &'a str,
    place: usize,
    size: Option<usize>,
    label: Option<&'a str>,
    role: Option<Role>,
    /// What is supposed of it before anything else: entries were taken one by one.
    likely: Option<Role>,
    /// Whether its meaning is only supposed.
    supposed: bool,
}

/// All axes of all inputs, each known by its place here.
#[derive(Clone, Debug)]
pub(super) struct Axes<'a> {
    axes: Vec<Axis<'a>>,
    /// The first axis of each input, and one more than its last.
    inputs: HashMap<&'a str, (usize, usize)>,
    /// The input that holds the length of each row, if there is one.
    pub(super) lengths: Option<&'a str>,
    /// How often something was found out.
    pub(super) findings: usize,
}

/// The open length of every batch.
const BATCH: usize = usize::MAX;

impl<'a> Axes<'a> {
    pub(super) fn new(inputs: &[&ValueInfo<'a>]) -> Result<Self, Error> {
        let mut all = Self { axes: Vec::new(), inputs: HashMap::new(), lengths: None, findings: 0 };
        for info in inputs {
            let broken = |problem: &str| Error::Format {
                container: format!("ONNX: input '{}'", info.name),
                problem: problem.into(),
            };
            let extents = info.axes.as_ref().ok_or_else(|| {
                broken("the file does not say its shape; export with shapes, or run onnx.shape_inference")
            })?;
            let first = all.axes.len();
            for (place, extent) in extents.iter().enumerate() {
                let (size, label) = match *extent {
                    Extent::Free => (None, None),
                    Extent::Named(label) => (None, Some(label)),
                    // Some exporters write open axes so.
                    Extent::Fixed(-1) => (None, None),
                    Extent::Fixed(size) => match usize::try_from(size) {
                        Ok(size) if size > 0 && i32::try_from(size).is_ok() => (Some(size), None),
                        _ => return Err(broken(&format!("axis {place} has the length {size}"))),
                    },
                };
                all.axes.push(Axis {
                    input: info.name,
                    place,
                    size,
                    label,
                    role: None,
                    likely: None,
                    supposed: false,
                });
            }
            if all.inputs.insert(info.name, (first, all.axes.len())).is_some() {
                return Err(Error::DuplicateName { what: "input", name: info.name.into() });
            }
        }
        Ok(all)
    }

    /// The axes of an input.
    pub(super) fn of(&self, input: &str) -> std::ops::Range<usize> {
        let (first, end) = self.inputs.get(input).copied().unwrap_or_default();
        first..end
    }

    pub(super) fn role(&self, axis: usize) -> Option<Role> {
        self.axes[axis].role
    }

    /// The input that an axis is of.
    pub(super) fn input(&self, axis: usize) -> &'a str {
        self.axes[axis].input
    }

    /// The length of an axis that the file fixes.
    pub(super) fn size(&self, axis: usize) -> Option<usize> {
        self.axes[axis].size
    }

    /// An axis for messages: `axis 1 of input 'x'`.
    pub(super) fn describe(&self, axis: usize) -> String {
        let Axis { input, place, .. } = &self.axes[axis];
        format!("axis {place} of input '{input}'")
    }

    /// The length of an axis; those of one meaning or one name are the same.
    pub(super) fn dim(&self, axis: usize) -> Dim {
        let Axis { size, label, role, .. } = self.axes[axis];
        if let Some(size) = size {
            return Dim::of(size);
        }
        let alike = |other: &Axis<'_>| label.is_some() && other.label == label;
        if role == Some(Role::Batch)
            || self.axes.iter().any(|other| alike(other) && other.role == Some(Role::Batch))
        {
            return Dim::open(BATCH);
        }
        Dim::open(self.axes.iter().position(alike).unwrap_or(axis))
    }

    /// The axis of the batch that has this length; before it is known which that is, any.
    pub(super) fn batch(&self, length: &Dim) -> Option<usize> {
        let with = |role: Option<Role>| {
            let mut all = 0..self.axes.len();
            all.find(|&axis| self.axes[axis].role == role && self.dim(axis) == *length)
        };
        with(Some(Role::Batch)).or_else(|| with(None))
    }

    /// An axis of so many steps; where no input has one, that of the node `name`.
    pub(super) fn steps(&mut self, name: &'a str, count: usize) -> usize {
        let known = |axis: &Axis<'_>| axis.role == Some(Role::Time) && axis.size == Some(count);
        self.axes.iter().position(known).unwrap_or_else(|| {
            let (role, size) = (Some(Role::Time), Some(count));
            let (label, likely, supposed) = (None, None, false);
            self.axes.push(Axis { input: name, place: 0, size, label, role, likely, supposed });
            self.axes.len() - 1
        })
    }

    /// Notes what an axis means.
    pub(super) fn claim(&mut self, axis: usize, role: Role) -> Result<(), Reason> {
        match self.axes[axis].role {
            None => {
                self.axes[axis].role = Some(role);
                self.findings += 1;
                Ok(())
            }
            Some(known) if known == role => Ok(()),
            Some(known) => Err(Reason(format!(
                "{} is {} here and {} elsewhere",
                self.describe(axis),
                role.name(),
                known.name()
            ))),
        }
    }

    /// Notes what an axis of unknown meaning may mean, of which single entries are taken.
    pub(super) fn suspect(&mut self, axis: usize, role: Role) {
        self.axes[axis].likely.get_or_insert(role);
    }

    /// Makes what is only supposed to be the states of an input its steps in time.
    pub(super) fn suppose_time(&mut self, input: &str) {
        for axis in self.of(input) {
            let Axis { role, supposed, .. } = &mut self.axes[axis];
            if *supposed && *role == Some(Role::States) {
                (*role, *supposed) = (Some(Role::Time), false);
                self.findings += 1;
            }
        }
    }

    /// Notes that an input holds the length of each row.
    pub(super) fn claim_lengths(&mut self, input: &'a str) -> Result<(), Reason> {
        match self.lengths {
            None => {
                self.lengths = Some(input);
                self.findings += 1;
                Ok(())
            }
            Some(known) if known == input => Ok(()),
            Some(known) => Err(Reason(format!(
                "its sequence_lens are '{input}', those of another node '{known}'; \
                 one set of lengths goes with a run"
            ))),
        }
    }

    /// Supposes what no node has said, for one input; whether there was one.
    ///
    /// Axes that are named like a known one mean the same. Else the first axis is the batch and the
    /// second of three time; what stands before the batch are states, and behind it features.
    pub(super) fn suppose(&mut self, indices: &dyn Fn(&str) -> bool) -> bool {
        for axis in 0..self.axes.len() {
            let Axis { label: Some(label), role: None, .. } = self.axes[axis] else { continue };
            let known =
                self.axes.iter().find(|other| other.label == Some(label) && other.role.is_some());
            if let Some(role) = known.and_then(|other| other.role) {
                self.axes[axis].role = Some(role);
                self.findings += 1;
                return true;
            }
        }
        let Some(open) = self.axes.iter().position(|axis| axis.role.is_none()) else {
            return false;
        };
        let input = self.axes[open].input;
        let range = self.of(input);
        let axes = &mut self.axes[range];
        let batch = axes.iter().position(|axis| axis.role == Some(Role::Batch));
        let rank = axes.len();
        // Entries of the first of three axes: time, or of what is given as it is, states.
        if let [
            Axis { role: first @ None, likely: Some(likely), supposed, .. },
            Axis { likely: None, .. },
            _,
        ] = axes
            && batch.is_none()
        {
            (*first, *supposed) = (Some(*likely), true);
            axes[1].role.get_or_insert(Role::Batch);
            self.findings += 1;
            return true;
        }
        let time = axes.iter().any(|axis| axis.role == Some(Role::Time));
        for place in 0..rank {
            if axes[place].role.is_some() {
                continue;
            }
            let role = match (batch, place) {
                (None, 0) if !time => Role::Batch,
                (None, 1) if time && axes[0].role == Some(Role::Time) => Role::Batch,
                (Some(batch), _) if place < batch => Role::States,
                (None, 1) if !time && (rank == 3 || indices(input)) => Role::Time,
                (Some(0), 1) if indices(input) => Role::Time,
                _ => Role::Features,
            };
            axes[place].role = Some(role);
        }
        self.findings += 1;
        true
    }
}
