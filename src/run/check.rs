//! What a call must fit before anything is run.

use super::Session;
use super::frame::{Source, whole_time};
use super::rows::{Counting, Rows};
use crate::Error;
use crate::model::{Element, Extent, Select, SequenceAxes, Shape};
use crate::plan::{Home, StageKind};

impl Session {
    /// Refuses models that `run` has no way to feed or to answer.
    pub(super) fn check_simple(&self) -> Result<(), Error> {
        let inner = &*self.plan.inner;
        let simple = inner.inputs.len() == 1
            && inner.outputs.len() == 1
            && inner.inputs[0].element == Element::F32;
        if simple {
            return Ok(());
        }
        Err(Error::Unsupported {
            what: format!(
                "a bare slice for a model with {} inputs and {} outputs{}",
                inner.inputs.len(),
                inner.outputs.len(),
                if inner.inputs.iter().any(|input| input.element == Element::Index) {
                    ", some of them indices"
                } else {
                    ""
                }
            ),
            advice: "give arrays by name to run_arrays".into(),
        })
    }

    /// Finds the number of steps of each input from its length, and checks the call.
    pub(super) fn measure(
        &mut self,
        sources: &[Source<'_>],
        counting: Counting<'_>,
    ) -> Result<(), Error> {
        let inner = &*self.plan.inner;
        for (index, (input, source)) in inner.inputs.iter().zip(sources).enumerate() {
            let len = match source {
                Source::F32(numbers) => numbers.len(),
                Source::Index(indices) => indices.len(),
            };
            let row = self.batch * input.shape.features();
            let fixed = match input.shape {
                Shape::Sequence { time: Extent::Input(_), .. } => None,
                shape => Some(whole_time(shape, &[])),
            };
            let time = match fixed {
                Some(time) => time,
                // A stream's step, without a division.
                None if len == row => usize::from(row > 0),
                None => len.checked_div(row).unwrap_or(0),
            };
            if len != row * time {
                return Err(Error::Shape {
                    what: format!(
                        "input '{}' {} for batch {}",
                        input.name, input.shape, self.batch
                    ),
                    expected: match fixed {
                        Some(time) => format!("{} numbers", row * time),
                        None => format!("a multiple of {row} numbers"),
                    },
                    found: len.to_string(),
                });
            }
            self.times[index] = if fixed.is_some() { 1 } else { time };
        }
        self.check_call(sources, counting)
    }

    /// Checks what a call gives, once the number of steps of each input is known.
    pub(super) fn check_call(
        &mut self,
        sources: &[Source<'_>],
        counting: Counting<'_>,
    ) -> Result<(), Error> {
        let longest = self.longest();
        if let Counting::Lengths(_) | Counting::Mask { .. } = counting {
            self.check_same_times()?;
        }
        match counting {
            Counting::All => {}
            Counting::Lengths(lengths) => self.check_lengths(lengths)?,
            Counting::Mask { shape, steps } => {
                self.check_mask(shape, steps)?;
                self.lists.fill(steps, self.plan.inner.axes, [self.batch, longest]);
            }
        }
        let rows = Rows::of(counting, &self.lists, longest);
        for (index, source) in sources.iter().enumerate() {
            self.check_indices(index, source, rows)?;
        }
        self.check_times(rows)
    }

    /// Checks that all sequences whose rows have steps that do not count are as long as each other.
    fn check_same_times(&self) -> Result<(), Error> {
        let longest = self.longest();
        if self.sequence_times().all(|time| time == longest) {
            return Ok(());
        }
        Err(Error::Shape {
            what: "the times of sequences with lengths of rows or a mask".into(),
            expected: "all the same".into(),
            found: format!("{:?}", self.times),
        })
    }

    /// Checks that a mask has a value for each step of each row.
    fn check_mask(&self, shape: Option<[usize; 2]>, steps: &[bool]) -> Result<(), Error> {
        let sizes = [("batch", self.batch), ("time", self.longest())];
        let axes = match self.plan.inner.axes {
            SequenceAxes::BatchTime => sizes,
            SequenceAxes::TimeBatch => [sizes[1], sizes[0]],
        };
        let found = match shape {
            Some(shape) if shape != axes.map(|(_, size)| size) => format!("{shape:?}"),
            None if steps.len() != self.batch * self.longest() => {
                format!("{} values", steps.len())
            }
            _ => return Ok(()),
        };
        let expected = axes.map(|(name, size)| format!("{name}={size}")).join(", ");
        Err(Error::Shape { what: "the mask".into(), expected: format!("[{expected}]"), found })
    }

    /// Checks that there is a length for each row, within the time of the sequences.
    fn check_lengths(&self, lengths: &[usize]) -> Result<(), Error> {
        if lengths.len() != self.batch {
            return Err(Error::Shape {
                what: "the lengths".into(),
                expected: format!("{}, one for each row of the batch", self.batch),
                found: lengths.len().to_string(),
            });
        }
        let longest = self.longest();
        match lengths.iter().position(|&length| length > longest) {
            None => Ok(()),
            Some(row) => Err(Error::Shape {
                what: format!("the length of row {row}"),
                expected: format!("at most {longest}, the time of the sequence"),
                found: lengths[row].to_string(),
            }),
        }
    }

    /// Checks that there is memory for each output of a call whose times are known.
    pub(super) fn check_memory(&self, outputs: &[&mut [f32]]) -> Result<(), Error> {
        let planned = &self.plan.inner.outputs;
        if outputs.len() != planned.len() {
            return Err(Error::Shape {
                what: "the number of outputs to write".into(),
                expected: planned.len().to_string(),
                found: outputs.len().to_string(),
            });
        }
        for (index, (output, memory)) in planned.iter().zip(outputs).enumerate() {
            if memory.len() != self.output_len(index) {
                let shape = self.outside_shape(output);
                return Err(Error::Shape {
                    what: format!("the memory for output '{}' {shape:?}", output.name),
                    expected: format!("{} numbers", self.output_len(index)),
                    found: memory.len().to_string(),
                });
            }
        }
        Ok(())
    }

    fn check_times(&self, rows: Rows<'_>) -> Result<(), Error> {
        let inner = &*self.plan.inner;
        let time = |value: usize| whole_time(inner.values[value].shape, &self.times);
        for &index in &inner.combining {
            let stage = &inner.stages[index];
            let first = time(stage.inputs[0]);
            if let Some(&other) = stage.inputs.iter().find(|&&value| time(value) != first) {
                return Err(Error::Shape {
                    what: format!("{}: the time of its inputs", stage.name),
                    expected: format!("{first} like the first"),
                    found: time(other).to_string(),
                });
            }
        }
        for stage in &inner.stages {
            let StageKind::Select(Select::Step(step)) = stage.kind else { continue };
            let shape = inner.values[stage.inputs[0]].shape;
            let whole = time(stage.inputs[0]);
            let rows = if shape.has_free_time() { rows } else { Rows::All };
            let all = matches!(rows, Rows::All);
            let time = |row: usize| rows.count(row, whole);
            let short = (0..if all { 1 } else { self.batch }).find(|&row| {
                let time = time(row);
                time > 0 && (step.unsigned_abs() > time || step == time.cast_signed())
            });
            if let Some(row) = short {
                let of_row = if all { String::new() } else { format!(", row {row}") };
                return Err(Error::Shape {
                    what: format!("{}: the time of its input{of_row}", stage.name),
                    expected: format!("long enough for step {step}"),
                    found: time(row).to_string(),
                });
            }
        }
        let longest = self.longest();
        if longest <= self.max_time {
            return Ok(());
        }
        if let Some(node) = &inner.whole_sequence_node {
            return Err(Error::Shape {
                what: format!("the time of a sequence ('{node}' needs all of it at once)"),
                expected: format!("at most {}, for which the session was made", self.max_time),
                found: longest.to_string(),
            });
        }
        if self.max_time == 0 || self.sequence_times().any(|time| time != longest) {
            return Err(Error::Shape {
                what: "the times of sequences longer than the session's buffers".into(),
                expected: format!("all the same, or at most {}", self.max_time),
                found: format!("{:?}", self.times),
            });
        }
        Ok(())
    }

    /// Refuses indices that are no rows of the tables they go to, but for steps that do not count.
    fn check_indices(
        &self,
        input: usize,
        source: &Source<'_>,
        rows: Rows<'_>,
    ) -> Result<(), Error> {
        let plan = &*self.plan.inner;
        let Source::Index(indices) = source else { return Ok(()) };
        let time = self.times[input];
        let counted = if plan.inputs[input].shape.has_free_time() { rows } else { Rows::All };
        let counts = |place: usize| {
            let (step, row) = match plan.axes {
                SequenceAxes::BatchTime => (place % time, place / time),
                SequenceAxes::TimeBatch => (place / self.batch, place % self.batch),
            };
            counted.counts(row, step)
        };
        for stage in &plan.stages {
            let StageKind::Embedding { rows, .. } = stage.kind else { continue };
            if plan.values[stage.inputs[0]].home != Home::Input(input) {
                continue;
            }
            let inside = |index: i32| usize::try_from(index).is_ok_and(|index| index < rows);
            let wrong = (0..indices.len()).find(|&at| !inside(indices[at]) && counts(at));
            if let Some(place) = wrong {
                return Err(Error::Shape {
                    what: format!(
                        "{}: index {place} of input '{}'",
                        stage.name, plan.inputs[input].name
                    ),
                    expected: format!("0 to {}", rows - 1),
                    found: indices[place].to_string(),
                });
            }
        }
        Ok(())
    }
}
