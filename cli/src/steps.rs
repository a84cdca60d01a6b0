//! Which steps of the data count: `--lengths` and `--mask`, or a case's lengths.

use std::path::Path;

use ritornello::load::npy;
use ritornello::{Array, Mask, Plan};

use crate::args::StepsArgs;
use crate::arrays::{self, Named};
use crate::failure::{Blame, Failure};
use crate::output::Console;

/// What the flags say.
#[derive(Debug)]
pub(crate) enum Steps {
    All,
    /// How many of each row, the first ones.
    Lengths(Vec<usize>),
    Mask(Mask),
}

impl Steps {
    /// Reads what the flags name.
    pub(crate) fn read(args: &StepsArgs) -> Result<Self, Failure> {
        match (&args.lengths, &args.mask) {
            (Some(lengths), _) => Ok(Self::Lengths(read_lengths(lengths)?)),
            (None, Some(mask)) => Ok(Self::Mask(read_mask(mask)?)),
            (None, None) => Ok(Self::All),
        }
    }

    /// What a case says with an array of lengths.
    pub(crate) fn of_case(lengths: Option<&Array>) -> Result<Self, Failure> {
        let lengths = lengths.map(|array| counts(&"the case's lengths", array));
        Ok(lengths.transpose()?.map_or(Self::All, Self::Lengths))
    }

    /// Runs a plan on the steps that count, with a progress bar if it takes long and they are all.
    pub(crate) fn run(
        &self,
        plan: &Plan,
        inputs: &Named,
        console: Console,
    ) -> Result<Named, Failure> {
        let inputs = arrays::by_name(inputs);
        let outputs = match self {
            Self::All => {
                let mut progress = console.progress();
                plan.run_with_progress(&inputs, &mut |done, total| progress.at(done, total))
            }
            Self::Lengths(lengths) => plan.run_lengths(&inputs, lengths),
            Self::Mask(mask) => plan.run_masked(&inputs, mask),
        };
        outputs.blame_data()
    }
}

/// Lengths from a list, or from a file of integers `[batch]`.
fn read_lengths(text: &str) -> Result<Vec<usize>, Failure> {
    let path = Path::new(text);
    if path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("npy")) {
        let counts: Result<Vec<usize>, _> =
            text.split(',').map(|count| count.trim().parse()).collect();
        return counts.map_err(|_| {
            let expected = "expected a file LENGTHS.npy or counts with commas between, as in 5,3,0";
            Failure::usage(format!("--lengths is '{text}', {expected}"))
        });
    }
    counts(&path.display(), &npy::read(path).blame_data()?.array)
}

/// The lengths that an array of integers `[batch]` holds.
fn counts(place: &dyn std::fmt::Display, array: &Array) -> Result<Vec<usize>, Failure> {
    let (Some(counts), [_]) = (array.as_indices(), array.shape()) else {
        return Err(misfit(place, "integers [batch]", array));
    };
    let negative = counts.iter().enumerate().find(|(_, count)| **count < 0);
    if let Some((row, count)) = negative {
        return Err(Failure::data(format!("{place}: the length of row {row} is {count}")));
    }
    Ok(counts.iter().filter_map(|&count| usize::try_from(count).ok()).collect())
}

/// A mask from a file of truths, or of the integers 0 and 1.
fn read_mask(path: &Path) -> Result<Mask, Failure> {
    let expected = "bool (or integers 0 and 1) [batch, time] in the model's order of axes";
    let array = npy::read(path).blame_data()?.array;
    let (Some(values), &[first, second]) = (array.as_indices(), array.shape()) else {
        return Err(misfit(&path.display(), expected, &array));
    };
    if let Some(value) = values.iter().find(|value| !matches!(value, 0 | 1)) {
        let path = path.display();
        return Err(Failure::data(format!("{path}: it holds {value}, expected {expected}")));
    }
    Mask::new([first, second], values.iter().map(|&value| value == 1).collect()).blame_data()
}

fn misfit(place: &dyn std::fmt::Display, expected: &str, array: &Array) -> Failure {
    let kind = if array.as_f32().is_some() { "real numbers" } else { "integers" };
    let shape = array.shape();
    Failure::data(format!("{place}: it holds {kind} {shape:?}, expected {expected}"))
}
