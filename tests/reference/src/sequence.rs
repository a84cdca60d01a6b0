//! Steps in a row: one direction, and both merged.

use crate::{Recurrent, State};

/// `[time][features]`: one row of a batch.
pub type Sequence = Vec<Vec<f64>>;

/// In which order a layer consumes the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last.
    Forward,
    /// From the last step to the first.
    Reverse,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// `[batch][time][hidden_size]`, in the order of time in both directions: step `t` is what step
    /// `t` of the input gave.
    pub outputs: Vec<Sequence>,
    /// `[batch]`: the state after the last step consumed, which in reverse is the one at time 0.
    pub final_states: Vec<State>,
}

impl Recurrent {
    /// Every step of every row, in one direction.
    ///
    /// Rows are independent and may differ in length: a row that is padded elsewhere is given here
    /// without its padding.
    ///
    /// # Panics
    /// If there is not one initial state per sequence, or if [`Recurrent::step`] does.
    #[must_use]
    pub fn run(&self, inputs: &[Sequence], initial: &[State], direction: Direction) -> Run {
        assert_eq!(inputs.len(), initial.len(), "inputs and initial states differ in batch");
        let mut run = Run { outputs: Vec::new(), final_states: Vec::new() };
        for (input, first) in inputs.iter().zip(initial) {
            let mut state = first.clone();
            let mut output = vec![Vec::new(); input.len()];
            let forward = 0..input.len();
            let times: Vec<usize> = match direction {
                Direction::Forward => forward.collect(),
                Direction::Reverse => forward.rev().collect(),
            };
            for t in times {
                state = self.step(&input[t], &state).state;
                output[t].clone_from(&state.hidden);
            }
            run.outputs.push(output);
            run.final_states.push(state);
        }
        run
    }
}

/// How a bidirectional layer makes one sequence of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// `[forward, backward]`: twice the features.
    Concat,
    /// `forward + backward`
    Sum,
    /// `forward ⊙ backward`
    Mul,
    /// `(forward + backward) / 2`
    Average,
}

impl Merge {
    /// One step of both directions, or their final states.
    ///
    /// # Panics
    /// If the directions differ in features, unless they are concatenated.
    #[must_use]
    pub fn features(self, forward: &[f64], backward: &[f64]) -> Vec<f64> {
        if self == Self::Concat {
            return [forward, backward].concat();
        }
        assert_eq!(forward.len(), backward.len(), "directions differ in features");
        let merge = |(f, b): (&f64, &f64)| match self {
            Self::Concat => unreachable!("returned above"),
            Self::Sum => f + b,
            Self::Mul => f * b,
            Self::Average => (f + b) / 2.0,
        };
        forward.iter().zip(backward).map(merge).collect()
    }

    /// Every step of every row, `[batch][time][features]`, both in the order of time.
    ///
    /// # Panics
    /// If the directions differ in batch, time, or as [`Merge::features`] says.
    #[must_use]
    pub fn sequences(self, forward: &[Sequence], backward: &[Sequence]) -> Vec<Sequence> {
        assert_eq!(forward.len(), backward.len(), "directions differ in batch");
        let merge_row = |(f, b): (&Sequence, &Sequence)| {
            assert_eq!(f.len(), b.len(), "directions differ in time");
            f.iter().zip(b).map(|(f, b)| self.features(f, b)).collect()
        };
        forward.iter().zip(backward).map(merge_row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Cell};

    /// `h' = x + 10·h`: the digits of the output tell which steps were seen, in which order.
    fn digits() -> Recurrent {
        let weights = [vec![1.0], vec![10.0], vec![0.0], vec![0.0]];
        Recurrent::new(Cell::simple(Activation::Linear), [1, 1], weights)
    }

    #[test]
    fn runs_go_both_ways_and_answer_in_the_order_of_time() {
        let layer = digits();
        let inputs = [vec![vec![1.0], vec![2.0], vec![3.0]], vec![vec![4.0]], vec![]];
        let first = State { hidden: vec![9.0], cell: vec![] };
        let initial = [first, layer.zero_state(), layer.zero_state()];

        let forward = layer.run(&inputs, &initial, Direction::Forward);
        assert_eq!(forward.outputs[0], [[91.0], [912.0], [9123.0]]);
        assert_eq!(forward.outputs[1], [[4.0]]);
        assert_eq!(forward.final_states[0].hidden, [9123.0]);
        assert_eq!((&forward.outputs[2], &forward.final_states[2]), (&vec![], &initial[2]));

        let reverse = layer.run(&inputs, &initial, Direction::Reverse);
        assert_eq!(reverse.outputs[0], [[9321.0], [932.0], [93.0]]);
        assert_eq!(reverse.final_states[0].hidden, [9321.0]);
    }

    #[test]
    fn merges() {
        let (forward, backward) =
            ([vec![vec![1.0, 2.0], vec![3.0, 4.0]]], [vec![vec![10.0, 20.0], vec![30.0, 50.0]]]);
        for (merge, expected) in [
            (Merge::Concat, vec![3.0, 4.0, 30.0, 50.0]),
            (Merge::Sum, vec![33.0, 54.0]),
            (Merge::Mul, vec![90.0, 200.0]),
            (Merge::Average, vec![16.5, 27.0]),
        ] {
            let merged = merge.sequences(&forward, &backward);
            assert_eq!(merged[0].len(), 2);
            assert_eq!(merged[0][1], expected, "{merge:?}");
        }
    }
}
