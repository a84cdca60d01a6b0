//! Which steps of each row count in a call: all, the first ones, or any that a mask names.

use ritornello_kernels::View;

use crate::model::SequenceAxes;

/// What a caller says about the steps of each row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counting<'a> {
    All,
    /// How many each row has; the others are padding.
    Lengths(&'a [usize]),
    /// Which ones count, in the model's order of axes; the shape if the caller gives one.
    Mask {
        shape: Option<[usize; 2]>,
        steps: &'a [bool],
    },
}

/// The steps that count in a mask, row after row.
#[derive(Debug, Default)]
pub(crate) struct StepLists {
    steps: Vec<usize>,
    /// Where each row's steps end.
    ends: Vec<usize>,
}

impl StepLists {
    /// Lists what counts in a mask that fits.
    pub(crate) fn fill(&mut self, mask: &[bool], axes: SequenceAxes, [batch, time]: [usize; 2]) {
        self.steps.clear();
        self.steps.reserve(mask.len());
        self.ends.clear();
        self.ends.reserve(batch);
        for row in 0..batch {
            let counts = |&step: &usize| match axes {
                SequenceAxes::BatchTime => mask[row * time + step],
                SequenceAxes::TimeBatch => mask[step * batch + row],
            };
            self.steps.extend((0..time).filter(counts));
            self.ends.push(self.steps.len());
        }
    }

    /// The steps of a row that count, in order.
    fn of(&self, row: usize) -> &[usize] {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.steps[start..self.ends[row]]
    }
}

/// The steps that count in a whole run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows<'a> {
    All,
    Lengths(&'a [usize]),
    Lists(&'a StepLists),
}

impl<'a> Rows<'a> {
    /// What a call says of sequences of `time` steps; `lists` holds its mask.
    pub(crate) fn of(counting: Counting<'a>, lists: &'a StepLists, time: usize) -> Self {
        // Rows that are all whole need no care.
        match counting {
            Counting::Lengths(lengths) if lengths.iter().any(|&length| length < time) => {
                Self::Lengths(lengths)
            }
            Counting::Mask { steps, .. } if lists.steps.len() < steps.len() => Self::Lists(lists),
            _ => Self::All,
        }
    }

    /// How many steps of a row count, of `time`.
    pub(crate) fn count(self, row: usize, time: usize) -> usize {
        match self {
            Self::All => time,
            Self::Lengths(lengths) => lengths[row],
            Self::Lists(lists) => lists.of(row).len(),
        }
    }

    /// Whether a step of a row counts.
    pub(crate) fn counts(self, row: usize, step: usize) -> bool {
        match self {
            Self::All => true,
            Self::Lengths(lengths) => step < lengths[row],
            Self::Lists(lists) => lists.of(row).binary_search(&step).is_ok(),
        }
    }
}

/// The steps that count in a piece of a sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowTimes<'a> {
    /// In the whole run.
    pub(crate) rows: Rows<'a>,
    /// The piece.
    pub(crate) start: usize,
    pub(crate) time: usize,
}

impl<'a> RowTimes<'a> {
    /// Whether all steps of all rows count.
    pub(crate) fn is_all(&self) -> bool {
        matches!(self.rows, Rows::All)
    }

    /// The steps of a row in this piece.
    pub(crate) fn row(&self, row: usize) -> RowSteps<'a> {
        let (start, time) = (self.start, self.time);
        match self.rows {
            Rows::All => RowSteps::First(time),
            Rows::Lengths(lengths) => RowSteps::First(lengths[row].saturating_sub(start).min(time)),
            Rows::Lists(lists) => {
                let all = lists.of(row);
                let [from, to] =
                    [start, start + time].map(|edge| all.partition_point(|&step| step < edge));
                RowSteps::Listed { steps: &all[from..to], start }
            }
        }
    }

    /// Whether no step of this piece counts for a row, so that an earlier one gave what there is to
    /// give.
    pub(crate) fn is_over(&self, row: usize) -> bool {
        self.start > 0 && self.row(row).count() == 0
    }
}

/// The steps of a row that count in a piece.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowSteps<'a> {
    /// So many, from the first on.
    First(usize),
    /// These, in a run whose piece begins at `start`.
    Listed { steps: &'a [usize], start: usize },
}

impl RowSteps<'_> {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::First(count) => *count,
            Self::Listed { steps, .. } => steps.len(),
        }
    }

    /// Where in the piece the one of this index is.
    pub(crate) fn at(&self, index: usize) -> usize {
        match self {
            Self::First(_) => index,
            Self::Listed { steps, start } => steps[index] - start,
        }
    }

    /// Where in the piece they are, in order.
    pub(crate) fn each(self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.count()).map(move |index| self.at(index))
    }
}

/// The steps that count for one node: those of the call, and of them those that the model's own mask
/// leaves in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeSteps<'a> {
    pub(crate) times: RowTimes<'a>,
    /// `[time, batch, 1]`: zero where a step does not count.
    pub(crate) mask: Option<View<'a>>,
}

impl NodeSteps<'_> {
    /// Whether the model's mask leaves a step in.
    pub(crate) fn counts(&self, step: usize, row: usize) -> bool {
        self.mask.is_none_or(|mask| mask.row(step, row)[0] != 0.0)
    }

    /// Where in the piece the steps of a row that count are.
    pub(crate) fn each(&self, row: usize) -> impl DoubleEndedIterator<Item = usize> {
        self.times.row(row).each().filter(move |&step| self.counts(step, row))
    }

    /// Whether every step of every row counts.
    pub(crate) fn are_all(&self, batch: usize) -> bool {
        let all_left = |step| (0..batch).all(|row| self.counts(step, row));
        self.times.is_all() && (self.mask.is_none() || (0..self.times.time).all(all_left))
    }
}
