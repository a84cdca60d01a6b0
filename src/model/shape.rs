//! The shapes that values of a model can have.

use std::fmt;

/// How many steps a sequence has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// As many as the sequence given for the model's input of this index.
    Input(usize),
    /// This many, whatever the inputs are.
    Fixed(usize),
}

/// The shape of a value, its batch axis left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `[batch, time, features]`: one row per step.
    Sequence {
        /// The number of steps.
        time: Extent,
        /// The size of a row.
        features: usize,
    },
    /// `[batch, features]`: one row per sequence.
    Vector {
        /// The size of a row.
        features: usize,
    },
    /// `[count, batch, features]`: the states of several layers or directions, one behind the other.
    States {
        /// The number of states.
        count: usize,
        /// The size of a row.
        features: usize,
    },
}

impl Shape {
    /// The size of one row.
    #[must_use]
    pub fn features(self) -> usize {
        match self {
            Self::Sequence { features, .. }
            | Self::Vector { features }
            | Self::States { features, .. } => features,
        }
    }

    /// Whether it is a sequence with as many steps as the caller gives.
    pub(crate) fn has_free_time(self) -> bool {
        matches!(self, Self::Sequence { time: Extent::Input(_), .. })
    }

    /// The same shape with rows of another size.
    #[must_use]
    pub fn with_features(self, features: usize) -> Self {
        match self {
            Self::Sequence { time, .. } => Self::Sequence { time, features },
            Self::Vector { .. } => Self::Vector { features },
            Self::States { count, .. } => Self::States { count, features },
        }
    }
}

impl Shape {
    /// The axes by name, in the order in which a caller's array has them.
    #[must_use]
    pub fn described(self, axes: SequenceAxes) -> String {
        match self {
            Self::Sequence { time, features } => {
                let time = match time {
                    Extent::Input(_) => "time".to_owned(),
                    Extent::Fixed(time) => format!("time={time}"),
                };
                match axes {
                    SequenceAxes::BatchTime => format!("[batch, {time}, {features}]"),
                    SequenceAxes::TimeBatch => format!("[{time}, batch, {features}]"),
                }
            }
            Self::Vector { features } => format!("[batch, {features}]"),
            Self::States { count, features } => format!("[states={count}, batch, {features}]"),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described(SequenceAxes::BatchTime))
    }
}

/// What the numbers of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Real numbers, f32.
    F32,
    /// Row numbers of an embedding, i32. The shape's `features` is 1 and has no axis of its own.
    Index,
}

/// The order of the first two axes of the sequences a caller gives and takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SequenceAxes {
    /// `[batch, time, features]`, as in Keras and in PyTorch with `batch_first=True`.
    #[default]
    BatchTime,
    /// `[time, batch, features]`, as in PyTorch without it.
    TimeBatch,
}
