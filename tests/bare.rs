//! Calls on bare slices in the plan's order give what calls by name give, and states as one piece of
//! memory are those by name.

mod models;

use models::{Kind, bits_of, cases, recipes};
use proptest::prelude::*;
use ritornello::model::{Activation, Cell, Dense, Direction, Embedding, Matrix, Op};
use ritornello::{Array, Isa, Model, Numbers, Plan, PlanOptions, Session, Steps};

/// The slices of arrays by name, in the plan's order.
fn slices<'a>(plan: &Plan, arrays: &'a [(String, Array)]) -> Vec<Numbers<'a>> {
    let find = |name: &str| &arrays.iter().find(|(known, _)| known == name).unwrap().1;
    plan.inputs().iter().map(|input| find(&input.name).as_view().numbers()).collect()
}

fn run(
    session: &mut Session,
    inputs: &[Numbers<'_>],
    steps: Steps<'_>,
    lengths: &[usize],
) -> Vec<Vec<f32>> {
    let mut memory: Vec<Vec<f32>> = lengths.iter().map(|&len| vec![f32::NAN; len]).collect();
    let mut outputs: Vec<&mut [f32]> = memory.iter_mut().map(Vec::as_mut_slice).collect();
    session.run_numbers_into(inputs, steps, &mut outputs).unwrap();
    memory
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn slices_give_what_names_give(recipe in recipes(Kind::Any), places in prop::collection::vec(any::<prop::sample::Index>(), 8)) {
        let case = recipe.case();
        let named: Vec<_> = case.inputs.iter().map(|(name, array)| (name.as_str(), array)).collect();
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let mut session = plan.session(case.batch, case.time).unwrap();
            let by_name = session.run_arrays(&named).unwrap();
            let lens: Vec<usize> =
                by_name.iter().map(|(_, array)| array.as_f32().unwrap().len()).collect();
            let state = session.state().unwrap();
            let inputs = slices(&plan, &case.inputs);

            let mut bare = plan.session(case.batch, case.time).unwrap();
            let outputs = run(&mut bare, &inputs, Steps::All, &lens);
            for ((name, array), numbers) in by_name.iter().zip(&outputs) {
                prop_assert_eq!(bits_of(array.as_f32().unwrap()), bits_of(numbers), "{}", name);
            }
            let mut numbers = vec![f32::NAN; bare.state_len()];
            bare.state_numbers(&mut numbers).unwrap();
            let expected: Vec<f32> = state
                .arrays()
                .iter()
                .flat_map(|(_, array)| array.as_f32().unwrap().iter().copied())
                .collect();
            prop_assert_eq!(bits_of(&numbers), bits_of(&expected));

            // Another session goes on from there.
            let mut other = plan.session(case.batch, case.time).unwrap();
            other.set_state_numbers(&numbers).unwrap();
            prop_assert_eq!(other.state().unwrap(), state);

            // Lengths, where sequences have one time.
            let lengths: Vec<usize> =
                places.iter().cycle().take(case.batch).map(|p| p.index(case.time + 1)).collect();
            session.reset();
            if let Ok(by_name) = session.run_arrays_lengths(&named, &lengths) {
                bare.reset();
                let outputs = run(&mut bare, &inputs, Steps::Lengths(&lengths), &lens);
                for ((name, array), numbers) in by_name.iter().zip(&outputs) {
                    prop_assert_eq!(bits_of(array.as_f32().unwrap()), bits_of(numbers), "{}", name);
                }
            }
        }
    }
}

/// Two inputs, one of them indices, and two outputs.
fn model() -> Model {
    let table = Matrix::new(5, 3, (0..15_u8).map(f32::from).collect()).unwrap();
    let table = Embedding::new(table);
    let mut graph = Model::graph();
    let ids = graph.indices("ids");
    let x = graph.sequence("x", 3);
    let rows = graph.node("rows", Op::Embedding(table), &[ids]);
    let sum = graph.node("sum", Op::Add, &[rows, x]);
    let lstm = models::layer(Cell::LSTM, Direction::Forward, [3, 4], 1);
    let lstm = graph.recurrent("lstm", lstm, sum);
    let dense = Dense::new(
        Matrix::new(2, 4, vec![0.5; 8]).unwrap(),
        Some(vec![0.25, -0.25]),
        Activation::Tanh,
    );
    let head = graph.dense("head", dense.unwrap(), lstm.sequence);
    graph.output("y", head);
    graph.output("sum", sum);
    graph.build().unwrap()
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let plan = model().plan(PlanOptions::default()).unwrap();
    let mut session = plan.session(1, 2).unwrap();
    let (ids, x) = ([1, 4], [0.5; 6]);
    let mut refused = |inputs: &[Numbers<'_>], lens: [usize; 2], steps: Steps<'_>| {
        let [mut y, mut sum] = lens.map(|len| vec![7.0; len]);
        let error = session.run_numbers_into(inputs, steps, &mut [&mut y, &mut sum]);
        assert!(y.iter().chain(&sum).all(|&number| number == 7.0), "something was written");
        error.unwrap_err().to_string()
    };
    let good = [Numbers::Index(&ids), Numbers::F32(&x)];
    for (found, expected) in [
        (refused(&good[..1], [4, 6], Steps::All), "the number of inputs is 1, expected 2"),
        (
            refused(&[good[1], good[1]], [4, 6], Steps::All),
            "input 'ids' [batch, time, 1] is real numbers (f32), expected indices (integers)",
        ),
        (
            refused(&[good[0], good[0]], [4, 6], Steps::All),
            "input 'x' [batch, time, 3] is indices (integers), expected real numbers (f32)",
        ),
        (
            refused(&[good[0], Numbers::F32(&x[..5])], [4, 6], Steps::All),
            "input 'x' [batch, time, 3] for batch 1 is 5, expected a multiple of 3 numbers",
        ),
        (
            refused(&[good[0], Numbers::F32(&x[..3])], [4, 6], Steps::All),
            "sum: the time of its inputs is 1, expected 2 like the first",
        ),
        (
            refused(&[Numbers::Index(&[1, 5]), good[1]], [4, 6], Steps::All),
            "rows: index 1 of input 'ids' is 5, expected 0 to 4",
        ),
        (
            refused(&good, [4, 5], Steps::All),
            "the memory for output 'sum' [1, 2, 3] is 5, expected 6 numbers",
        ),
        (
            refused(&good, [4, 6], Steps::Lengths(&[3])),
            "the length of row 0 is 3, expected at most 2, the time of the sequence",
        ),
    ] {
        assert_eq!(found, expected);
    }
    let error = session.run_numbers_into(&good, Steps::All, &mut [&mut [0.0; 4]]).unwrap_err();
    assert_eq!(error.to_string(), "the number of outputs to write is 1, expected 2");
    assert_eq!(session.state_len(), 8);
    for error in [
        session.state_numbers(&mut [0.0; 7]).unwrap_err(),
        session.set_state_numbers(&[0.0; 9]).unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(
            text.contains("the numbers of all states") && text.contains("expected 8"),
            "{text}"
        );
    }
}
