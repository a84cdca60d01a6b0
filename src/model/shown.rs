//! The axes of the arrays in which a caller gives and gets the values of a model.

use std::fmt;

use super::graph::Model;
use super::{Element, Extent, SequenceAxes, Shape};
use crate::Error;

/// One axis of a caller's array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShownAxis {
    /// The rows of the batch.
    Batch,
    /// As many steps as the caller gives.
    Time,
    /// So many: features or a part of them, states, steps of a sequence of fixed length, or 1.
    Length(usize),
}

impl ShownAxis {
    /// Its length in an array of `batch` rows and `time` steps.
    #[must_use]
    pub fn length(self, [time, batch]: [usize; 2]) -> usize {
        match self {
            Self::Batch => batch,
            Self::Time => time,
            Self::Length(length) => length,
        }
    }
}

/// `batch`, `time`, or the length.
impl fmt::Display for ShownAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch => f.write_str("batch"),
            Self::Time => f.write_str("time"),
            Self::Length(length) => length.fmt(f),
        }
    }
}

impl Shape {
    /// The axes of the caller's array for a value of this shape, unless a model says otherwise.
    #[must_use]
    pub fn shown(self, element: Element, order: SequenceAxes) -> Vec<ShownAxis> {
        use ShownAxis::{Batch, Length, Time};
        let mut axes = match self {
            Self::Sequence { time, .. } => {
                let time = match time {
                    Extent::Input(_) => Time,
                    Extent::Fixed(time) => Length(time),
                };
                match order {
                    SequenceAxes::BatchTime => vec![Batch, time],
                    SequenceAxes::TimeBatch => vec![time, Batch],
                }
            }
            Self::Vector { .. } => vec![Batch],
            Self::States { count, .. } => vec![Length(count), Batch],
        };
        if element == Element::F32 {
            axes.push(Length(self.features()));
        }
        axes
    }
}

impl Model {
    /// The axes of the caller's array for an input.
    ///
    /// # Panics
    ///
    /// If there is no such input.
    #[must_use]
    pub fn input_axes(&self, input: usize) -> &[ShownAxis] {
        &self.input_axes[input]
    }

    /// The axes of the caller's array for an output.
    ///
    /// # Panics
    ///
    /// If there is no such output.
    #[must_use]
    pub fn output_axes(&self, output: usize) -> &[ShownAxis] {
        &self.output_axes[output]
    }

    /// In how many parts the features of an output stand apart in the caller's array.
    pub(crate) fn output_parts(&self, output: usize) -> usize {
        let own = self.axes_of_outputs();
        parts(&own[output], &self.output_axes[output]).unwrap_or(1)
    }

    /// Whether every array has the axes that its shape has.
    #[must_use]
    pub fn has_own_axes(&self) -> bool {
        self.axes_of_inputs() == self.input_axes && self.axes_of_outputs() == self.output_axes
    }

    /// The axes of the inputs by their shapes alone.
    pub(super) fn axes_of_inputs(&self) -> Vec<Vec<ShownAxis>> {
        let axes = |input: &super::Input| input.shape.shown(input.element, self.axes());
        self.inputs().iter().map(axes).collect()
    }

    /// The axes of the outputs by their shapes alone.
    pub(super) fn axes_of_outputs(&self) -> Vec<Vec<ShownAxis>> {
        let shapes = self.outputs().iter().filter_map(|output| self.shape(output.value).ok());
        shapes.map(|shape| shape.shown(Element::F32, self.axes())).collect()
    }

    /// The same model, whose arrays have other axes: of length 1 anywhere, and features or states
    /// parted into several. The numbers stand in the same order, but for one axis that an output may
    /// have in front of the batch, or between batch and time: the outermost part of its features. So
    /// ONNX gives `Y` of a node: `[time, directions, batch, hidden]`.
    ///
    /// # Errors
    ///
    /// If there is not one list of axes for each input and output, or one has another order or other
    /// lengths than the shape.
    pub fn with_shown_axes(
        mut self,
        inputs: Vec<Vec<ShownAxis>>,
        outputs: Vec<Vec<ShownAxis>>,
    ) -> Result<Self, Error> {
        let own = [self.axes_of_inputs(), self.axes_of_outputs()];
        let names = [
            self.inputs().iter().map(|input| input.name.clone()).collect::<Vec<_>>(),
            self.outputs().iter().map(|output| output.name.clone()).collect(),
        ];
        let fits: [Fits; 2] = [is_parted, |own, given| parts(own, given).is_some()];
        let ends = own.iter().zip([&inputs, &outputs]);
        for ((own, given), (names, fits)) in ends.zip(names.into_iter().zip(fits)) {
            if own.len() != given.len() {
                return Err(Error::Shape {
                    what: "the lists of axes".into(),
                    expected: own.len().to_string(),
                    found: given.len().to_string(),
                });
            }
            for ((own, given), name) in own.iter().zip(given).zip(names) {
                if !fits(own, given) {
                    return Err(Error::Shape {
                        what: format!("the shape of '{name}'"),
                        expected: format!("{} in parts", described(own)),
                        found: described(given),
                    });
                }
            }
        }
        (self.input_axes, self.output_axes) = (inputs, outputs);
        Ok(self)
    }
}

/// Whether axes of a caller's array fit those of a shape.
type Fits = fn(&[ShownAxis], &[ShownAxis]) -> bool;

/// In how many parts the features stand apart, if `given` are the axes `own`, some of them parted, with
/// any number of axes of length 1: 1, or the length of an axis right before the last one that is none
/// of features.
fn parts(own: &[ShownAxis], given: &[ShownAxis]) -> Option<usize> {
    if is_parted(own, given) {
        return Some(1);
    }
    let [before @ .., last, ShownAxis::Length(features)] = own else { return None };
    let lengths = given.iter().filter_map(|axis| match axis {
        ShownAxis::Length(length) if *length > 0 && features % length == 0 => Some(*length),
        _ => None,
    });
    lengths.into_iter().find(|&parts| {
        let apart = [ShownAxis::Length(parts), *last, ShownAxis::Length(features / parts)];
        is_parted(&[before, &apart].concat(), given)
    })
}

/// Whether `parts` are the axes `whole`, some of them parted, with any number of axes of length 1.
fn is_parted(whole: &[ShownAxis], parts: &[ShownAxis]) -> bool {
    let mut parts = parts.iter().copied().filter(|part| *part != ShownAxis::Length(1));
    for axis in whole {
        let ShownAxis::Length(length) = *axis else {
            if parts.next() != Some(*axis) {
                return false;
            }
            continue;
        };
        let mut left = length;
        while left > 1 {
            match parts.next() {
                Some(ShownAxis::Length(part)) if part > 0 && left % part == 0 => left /= part,
                _ => return false,
            }
        }
    }
    parts.next().is_none()
}

/// The axes for messages: `[batch, time, 16]`.
pub(crate) fn described(axes: &[ShownAxis]) -> String {
    let words: Vec<String> = axes.iter().map(ShownAxis::to_string).collect();
    format!("[{}]", words.join(", "))
}

/// The lengths of the axes in a run.
pub(crate) fn lengths(axes: &[ShownAxis], sizes: [usize; 2]) -> Vec<usize> {
    axes.iter().map(|axis| axis.length(sizes)).collect()
}
