//! Steps that count and steps that do not: drawn for a case, said as a mask, and what each row must
//! give then, which is what it gives alone.

use proptest::prelude::*;
use ritornello::model::{Extent, Op, Select, SequenceAxes, Shape};
use ritornello::{Array, Isa, Mask};

use super::{Arrays, Case, batch_axis, bits_of, get, holds, is_index, pick, time_axis};

/// The steps of each row that count.
pub(crate) type Steps = Vec<Vec<usize>>;

/// Steps with holes of all sizes: of every row those whose number is among the set bits.
pub(crate) fn holes(case: &Case, words: &[u32]) -> Steps {
    let counts = |row: usize, step: usize| words[row % words.len()] >> (step % 32) & 1 == 1;
    (0..case.batch).map(|row| (0..case.time).filter(|&step| counts(row, step)).collect()).collect()
}

/// The mask that says the same in the model's order of axes.
pub(crate) fn mask(case: &Case, steps: &Steps) -> Mask {
    let (batch, time) = (case.batch, case.time);
    let counts = |row: usize, step: usize| steps[row].contains(&step);
    let places = 0..batch * time;
    let (shape, values) = match case.model.axes() {
        SequenceAxes::BatchTime => {
            ([batch, time], places.map(|i| counts(i / time, i % time)).collect())
        }
        SequenceAxes::TimeBatch => {
            ([time, batch], places.map(|i| counts(i % batch, i / batch)).collect())
        }
    };
    Mask::new(shape, values).unwrap()
}

pub(crate) fn is_free(shape: Shape) -> bool {
    matches!(shape, Shape::Sequence { time: Extent::Input(_), .. })
}

/// A length of at most the case's time for each row.
pub(crate) fn lengths(case: &Case, places: &[prop::sample::Index]) -> Vec<usize> {
    (0..case.batch).map(|row| places[row % places.len()].index(case.time + 1)).collect()
}

/// The same as steps.
pub(crate) fn first_steps(lengths: &[usize]) -> Steps {
    lengths.iter().map(|&length| (0..length).collect()).collect()
}

/// The inputs with something else in steps that do not count: NaN, and an index that no table has.
pub(crate) fn with_other_holes(case: &Case, steps: &Steps) -> Arrays {
    let axes = case.model.axes();
    case.map_inputs(|input, array| {
        if !is_free(input.shape) {
            return array.clone();
        }
        let shape = array.shape();
        let inner = if is_index(input) { 1 } else { shape[2] };
        let counts = |place: usize| {
            let at = [place / inner / shape[1], place / inner % shape[1]];
            steps[at[batch_axis(input.shape, axes)]].contains(&at[time_axis(axes)])
        };
        let places = 0..shape.iter().product();
        let array = match (array.as_f32(), array.as_indices()) {
            (Some(x), _) => {
                Array::new(shape, places.map(|i| if counts(i) { x[i] } else { f32::NAN }).collect())
            }
            (_, Some(x)) => Array::from_indices(
                shape,
                places.map(|i| if counts(i) { x[i] } else { -7 }).collect(),
            ),
            _ => unreachable!("an array is of one kind"),
        };
        array.unwrap()
    })
}

/// One row with nothing but its steps that count.
pub(crate) fn alone(case: &Case, row: usize, steps: &[usize]) -> Case {
    let axes = case.model.axes();
    let inputs = case.map_inputs(|input, array| {
        if is_free(input.shape) { pick(array, time_axis(axes), steps) } else { array.clone() }
    });
    Case { inputs, time: steps.len(), ..case.clone() }.rows(&[row])
}

/// Holds every row of `found` against its run alone.
pub(crate) fn check_rows(
    case: &Case,
    isa: Isa,
    steps: &Steps,
    found: &Arrays,
) -> Result<(), TestCaseError> {
    let axes = case.model.axes();
    for (row, steps) in steps.iter().enumerate() {
        let alone = alone(case, row, steps).run(isa);
        for output in case.model.outputs() {
            let shape = case.model.shape(output.value).unwrap();
            let of_row = pick(get(found, &output.name), batch_axis(shape, axes), &[row]);
            let name = format!("'{}' of row {row}, steps {steps:?}, on {isa}", output.name);
            let of_row = if is_free(shape) {
                let others: Vec<usize> = (0..case.time).filter(|s| !steps.contains(s)).collect();
                let others = pick(&of_row, time_axis(axes), &others);
                let zero = others.as_f32().unwrap().iter().all(|&y| y.to_bits() == 0);
                prop_assert!(zero || holds(&case.model), "the holes of {name}");
                pick(&of_row, time_axis(axes), steps)
            } else {
                of_row
            };
            let alone = get(&alone, &output.name).as_f32().unwrap();
            prop_assert_eq!(bits_of(of_row.as_f32().unwrap()), bits_of(alone), "{}", name);
        }
    }
    Ok(())
}

/// Whether a model asks for steps that rows do not have.
pub(crate) fn has_missing_steps(case: &Case, steps: &Steps) -> bool {
    case.model.nodes().iter().any(|node| match &node.op {
        Op::Select(Select::Step(step)) => {
            let last = if *step < 0 { step.unsigned_abs() } else { step.unsigned_abs() + 1 };
            let short = |steps: &Vec<usize>| !steps.is_empty() && steps.len() < last;
            is_free(case.model.shape(node.inputs[0]).unwrap()) && steps.iter().any(short)
        }
        _ => false,
    })
}

/// Masks whose steps are drawn, now and then none or all.
pub(crate) fn words() -> impl Strategy<Value = Vec<u32>> {
    let some = any::<u32>();
    let word = prop_oneof![
        4 => some, 1 => Just(0), 1 => Just(u32::MAX), 1 => some.prop_map(|w| w & w << 1)
    ];
    prop::collection::vec(word, 1..6)
}

/// The inputs with this number in all features of one step of one row.
pub(crate) fn with_in_step(case: &Case, [row, step]: [usize; 2], number: f32) -> Arrays {
    let axes = case.model.axes();
    case.map_inputs(|input, array| {
        let Some(x) = array.as_f32().filter(|_| is_free(input.shape)) else { return array.clone() };
        let (shape, mut x) = (array.shape(), x.to_vec());
        let mut at = [0; 2];
        (at[batch_axis(input.shape, axes)], at[time_axis(axes)]) = (row, step);
        x[(at[0] * shape[1] + at[1]) * shape[2]..][..shape[2]].fill(number);
        Array::new(shape, x).unwrap()
    })
}
