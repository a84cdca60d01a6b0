//! States of single rows: taken, given and forgotten without a bit of the other rows changing; and
//! states in files.

mod models;
mod refusal;

use std::path::{Path, PathBuf};

use models::{Arrays, Case, Kind, batch_axis, bits, cases, get, layer, noise, pick, recipes, run};
use proptest::prelude::*;
use refusal::{refused, stream, zeros};
use ritornello::model::{Cell, Direction, Model, StateScope};
use ritornello::{Array, Isa, Plan, Session, State};

/// What happens to a session between its calls, or a call.
#[derive(Clone, Debug)]
enum Event {
    Run,
    Reset {
        row: prop::sample::Index,
    },
    /// The state of one row goes to another.
    Copy {
        from: prop::sample::Index,
        to: prop::sample::Index,
    },
    /// The state of a row goes to a new session of one row, and comes back after a run there.
    Visit {
        row: prop::sample::Index,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let index = any::<prop::sample::Index>;
    let event = prop_oneof![
        3 => Just(Event::Run),
        1 => index().prop_map(|row| Event::Reset { row }),
        1 => (index(), index()).prop_map(|(from, to)| Event::Copy { from, to }),
        1 => index().prop_map(|row| Event::Visit { row }),
    ];
    prop::collection::vec(event, 1..8)
}

/// What a run gave, row by row.
fn of_row(case: &Case, found: &Arrays, row: usize) -> Arrays {
    let outputs = case.model.outputs().iter().map(|output| {
        let axis = batch_axis(case.model.shape(output.value).unwrap(), case.model.axes());
        (output.name.clone(), pick(get(found, &output.name), axis, &[row]))
    });
    outputs.collect()
}

/// A session of all rows beside one for each row.
struct Rows {
    plan: Plan,
    together: Session,
    alone: Vec<Session>,
}

impl Rows {
    fn happen(&mut self, case: &Case, event: &Event) -> Result<(), TestCaseError> {
        let Self { plan, together, alone } = self;
        match event {
            Event::Run => {
                let found = run(together, &case.inputs);
                for (row, alone) in alone.iter_mut().enumerate() {
                    let expected = run(alone, &case.rows(&[row]).inputs);
                    prop_assert_eq!(bits(&of_row(case, &found, row)), bits(&expected));
                }
            }
            Event::Reset { row } => {
                let row = row.index(case.batch);
                together.reset_row(row).unwrap();
                alone[row].reset();
            }
            Event::Copy { from, to } => {
                let (from, to) = (from.index(case.batch), to.index(case.batch));
                let state = together.row_state(from).unwrap();
                together.set_row_state(to, &state).unwrap();
                let state = alone[from].state().unwrap();
                alone[to].set_state(&state).unwrap();
            }
            Event::Visit { row } => {
                let row = row.index(case.batch);
                let mut visited = plan.session(1, case.time).unwrap();
                visited.set_state(&together.row_state(row).unwrap()).unwrap();
                run(&mut visited, &case.rows(&[row]).inputs);
                together.set_row_state(row, &visited.state().unwrap()).unwrap();
                run(&mut alone[row], &case.rows(&[row]).inputs);
            }
        }
        let mut again = State::default();
        for (row, alone) in alone.iter().enumerate() {
            let state = together.row_state(row).unwrap();
            prop_assert_eq!(bits(state.arrays()), bits(alone.state().unwrap().arrays()));
            together.row_state_into(row, &mut again).unwrap();
            prop_assert_eq!(bits(again.arrays()), bits(state.arrays()));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn a_row_is_a_session_of_its_own(recipe in recipes(Kind::Causal), events in events()) {
        let case = recipe.case();
        prop_assume!(case.batch > 0);
        for isa in Isa::available() {
            let plan = case.plan(isa);
            let session = |batch| plan.session(batch, case.time).unwrap();
            let mut rows = Rows {
                together: session(case.batch),
                alone: (0..case.batch).map(|_| session(1)).collect(),
                plan: plan.clone(),
            };
            for event in &events {
                rows.happen(&case, event)?;
            }
        }
    }
}

/// Three rows through a layer of both directions that keeps its states.
fn both_ways() -> Session {
    let mut both = layer(Cell::LSTM, Direction::Bidirectional, [3, 5], 1);
    both.state_scope = StateScope::Session;
    let model = Model::chain(3).recurrent(both).build().unwrap();
    let mut session = refusal::plan(&model).session(3, 4).unwrap();
    let mut next = noise(7);
    session.run(&(0..36).map(|_| next()).collect::<Vec<_>>()).unwrap();
    session
}

/// One row of each array of a batch.
fn picked(state: &State, row: usize) -> Vec<(String, Array)> {
    let arrays = state.arrays().iter();
    arrays.map(|(name, array)| (name.clone(), pick(array, 1, &[row]))).collect()
}

#[test]
fn a_row_has_a_state_in_each_direction() {
    let mut session = both_ways();
    let before = session.state().unwrap();
    for row in 0..3 {
        let state = session.row_state(row).unwrap();
        assert_eq!(state.get("lstm_0.h").unwrap().shape(), [2, 1, 5]);
        assert_eq!(bits(state.arrays()), bits(&picked(&before, row)));
    }
    session.reset_row(1).unwrap();
    let after = session.state().unwrap();
    for row in [0, 2] {
        assert_eq!(bits(&picked(&after, row)), bits(&picked(&before, row)));
    }
    let zero = |(_, array): &(String, Array)| array.as_f32().unwrap().iter().all(|&x| x == 0.0);
    assert!(picked(&after, 1).iter().all(zero));
    session.set_row_state(1, &State::from_arrays(picked(&before, 1))).unwrap();
    assert_eq!(session.state().unwrap(), before);
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let mut session = stream().session(2, 4).unwrap();
    let good = session.row_state(1).unwrap();
    let mut kept = good.clone();
    for row in [2, usize::MAX] {
        let words = ["row", "below batch=2", &row.to_string()];
        refused(session.reset_row(row), &words);
        refused(session.row_state(row), &words);
        refused(session.row_state_into(row, &mut kept), &words);
        refused(session.set_row_state(row, &good), &words);
    }
    let whole = session.state().unwrap();
    refused(session.set_row_state(0, &whole), &["lstm_0.h", "[1, 1, 5]", "[1, 2, 5]"]);
    refused(session.set_state(&good), &["lstm_0.h", "[1, 2, 5]", "[1, 1, 5]"]);
    let lacks = State::from_arrays(good.arrays()[..1].to_vec());
    refused(session.set_row_state(0, &lacks), &["'lstm_0.c'", "missing"]);
    refused(stream().session(0, 4).unwrap().row_state(0), &["below batch=0"]);
}

/// Memory of another model's state, or of several rows, is not taken again.
#[test]
fn a_state_of_another_shape_is_made_anew() {
    let session = both_ways();
    let expected = session.row_state(2).unwrap();
    let others = [
        stream().session(1, 1).unwrap().state().unwrap(),
        session.state().unwrap(),
        State::from_arrays(expected.arrays()[..1].to_vec()),
        State::from_arrays(expected.arrays().iter().rev().cloned().collect()),
        State::default(),
    ];
    for mut state in others {
        session.row_state_into(2, &mut state).unwrap();
        assert_eq!(state, expected);
    }
}

/// A file that is gone when the test is over.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("ritornello-{}-{name}.npz", std::process::id())))
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_state_goes_through_a_file_bit_by_bit() {
    let (file, session) = (File::new("state"), both_ways());
    for state in [session.state().unwrap(), session.row_state(1).unwrap(), State::default()] {
        state.save(&file.0).unwrap();
        assert_eq!(State::load(&file.0).unwrap(), state);
    }
    let odd = [0.0, -0.0, f32::from_bits(1), f32::NEG_INFINITY, f32::from_bits(0x7fc0_1234)];
    let odd = vec![("layer/0.h".to_owned(), Array::new(&[1, 1, 5], odd.to_vec()).unwrap())];
    State::from_arrays(odd.clone()).save(&file.0).unwrap();
    let read = State::load(&file.0).unwrap();
    let bits = |state: &[(String, Array)]| {
        state[0].1.as_f32().unwrap().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!((read.arrays()[0].0.as_str(), bits(read.arrays())), ("layer/0.h", bits(&odd)));
}

#[test]
fn a_file_that_is_no_state_is_refused() {
    let file = File::new("no-state");
    refused(State::load(&file.0), &["no-state"]);
    let indices = Array::from_indices(&[1, 1, 5], vec![0; 5]).unwrap();
    State::from_arrays(vec![("a.h".into(), indices)]).save(&file.0).unwrap();
    refused(State::load(&file.0), &["no-state", "'a.h'", "int32", "float32"]);
    let twice = State::from_arrays(vec![("a.h".into(), zeros(&[1])), ("a.h".into(), zeros(&[1]))]);
    refused(twice.save(&file.0), &["'a.h'", "two"]);
    let doubles = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stateful/exact.npz");
    refused(State::load(doubles), &["exact.npz", "float64", "float32"]);
    // What fits no session is found out there.
    State::from_arrays(vec![("a.h".into(), zeros(&[1, 1, 5]))]).save(&file.0).unwrap();
    let mut session = stream().session(1, 4).unwrap();
    let other = State::load(&file.0).unwrap();
    refused(session.set_state(&other), &["state", "'a.h'", "lstm_0.h, lstm_0.c"]);
    let lacks = State::from_arrays(session.state().unwrap().arrays()[..1].to_vec());
    lacks.save(&file.0).unwrap();
    refused(session.set_state(&State::load(&file.0).unwrap()), &["'lstm_0.c'", "missing"]);
}
