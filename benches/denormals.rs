//! What small numbers cost: nothing, if a state that fades is flushed in time.
//!
//! Ids: `denormals-{cell}-f32-{level}/{case}`, all of the same network over as many steps. `alive` is
//! kept so by its input; `fading` has none, and its state decays through every power of two there is;
//! `tiny` is fed with denormal numbers. Times of one network are to be compared with each other. Every
//! bench first checks that its states are what its name says, and each answer against single steps,
//! to the bit.

mod noise;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use noise::Noise;
use ritornello::model::{
    Cell, CellWeights, Direction, Gate, GruReset, Matrix, Model, Recurrent, RecurrentWeights,
};
use ritornello::{Array, Isa, Plan, PlanOptions, Session, State, Threads};

const UNITS: usize = 64;
const INPUTS: usize = 4;
const STEPS: usize = 100_000;
/// Steps of a call.
const PIECE: usize = 1000;

/// What is smaller is zero in states: docs/numerics.md.
const TINY: f32 = f32::from_bits((127 - 96) << 23);

/// What a network is fed with.
#[derive(Clone, Copy, PartialEq)]
enum Case {
    Alive,
    Fading,
    Tiny,
}

impl Case {
    const ALL: [Self; 3] = [Self::Alive, Self::Fading, Self::Tiny];

    fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Fading => "fading",
            Self::Tiny => "tiny",
        }
    }

    /// A piece of the input; the same for every piece.
    fn input(self) -> Vec<f32> {
        let numbers = Noise(3).numbers(PIECE * INPUTS, 1.0);
        match self {
            Self::Alive => numbers,
            Self::Fading => vec![0.0; PIECE * INPUTS],
            Self::Tiny => numbers.iter().map(|x| 1e-40 * x.signum()).collect(),
        }
    }
}

/// A network whose state fades when nothing comes in, by a twentieth a step: small recurrent weights,
/// no bias but that of the gate that keeps the state.
///
/// So slow a decay would stay at the smallest denormal number for ever, which 19/20 of it rounds to.
fn plan(cell: Cell, isa: Isa) -> Plan {
    let (rows, mut noise) = (cell.gates().len() * UNITS, Noise(1));
    let mut matrix = |columns: usize, bound: f32| {
        Matrix::new(rows, columns, noise.numbers(rows * columns, bound)).expect("fits")
    };
    let input = matrix(INPUTS, 0.5);
    let recurrent = RecurrentWeights::Matrix(matrix(UNITS, 0.25 / (UNITS as f32).sqrt()));
    let keeping = if cell == Cell::LSTM { Gate::Forget } else { Gate::Update };
    let keeping = cell.gate(keeping).expect("one of its gates") * UNITS;
    let mut bias = vec![0.0; rows];
    bias[keeping..keeping + UNITS].fill(3.0);
    let weights = CellWeights { bias: Some(bias), ..CellWeights::new(input, recurrent) };
    let layer = Recurrent::new(cell, Direction::Forward, vec![weights]).expect("fits");
    let model = Model::chain(INPUTS).recurrent(layer).build().expect("a chain");
    let options = PlanOptions::default().isa(isa).threads(Threads::one());
    model.into_plan(options).expect("a level of this CPU")
}

/// A session in a random state.
fn begin(plan: &Plan) -> (Session, State) {
    let session = plan.session(1, PIECE).expect("fits");
    let mut noise = Noise(2);
    let arrays = session.state().expect("of a session").arrays().to_vec();
    let random = arrays.into_iter().map(|(name, array)| {
        let numbers = noise.numbers(UNITS, 0.9);
        (name, Array::new(array.shape(), numbers).expect("as many"))
    });
    let state = State::from_arrays(random.collect());
    (session, state)
}

/// All steps from `state` on.
fn run(session: &mut Session, state: &State, x: &[f32], y: &mut [f32]) {
    session.set_state(state).expect("its own");
    for _ in 0..STEPS / PIECE {
        session.run_into(black_box(x), y).expect("fits");
        black_box(&mut *y);
    }
}

/// States are never below what counts, and at the end what the case makes of them; the first piece
/// has the bits of its steps one by one.
fn check(session: &mut Session, state: &State, case: Case, x: &[f32]) {
    let mut y = vec![f32::NAN; PIECE * UNITS];
    session.set_state(state).expect("its own");
    session.run_into(x, &mut y).expect("fits");
    let first_piece = y.clone();
    let tiny = |y: &[f32]| y.iter().filter(|h| h.abs() < 1e-20 && **h != 0.0).count();
    let mut decay = tiny(&y);
    for _ in 0..4 {
        session.run_into(x, &mut y).expect("fits");
        decay += tiny(&y);
    }
    assert_eq!(decay > 0, case != Case::Alive, "{}: {decay} tiny states", case.name());
    run(session, state, x, &mut y);
    for h in first_piece.iter().chain(&y) {
        assert!(*h == 0.0 || h.abs() >= TINY, "{}: h = {h:e}", case.name());
    }
    let zeros = y.iter().filter(|h| **h == 0.0).count();
    match case {
        Case::Alive => assert_eq!(zeros, 0, "kept alive"),
        Case::Fading | Case::Tiny => assert_eq!(zeros, y.len(), "faded"),
    }
    session.set_state(state).expect("its own");
    let mut step = vec![f32::NAN; UNITS];
    for (x, together) in x.chunks(INPUTS).zip(first_piece.chunks(UNITS)) {
        session.step(x, &mut step).expect("causal");
        let same = step.iter().zip(together).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "{}: a step by itself has other bits", case.name());
    }
}

fn denormals(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    for isa in Isa::available() {
        for cell in [Cell::LSTM, Cell::gru(GruReset::AfterMatmul)] {
            let plan = plan(cell, isa);
            let name = format!("denormals-{}-f32-{isa}", cell.name());
            let mut group = criterion.benchmark_group(name);
            group.throughput(Throughput::Elements(STEPS as u64)).sample_size(10);
            for case in Case::ALL {
                let (mut session, state) = begin(&plan);
                let (x, mut y) = (case.input(), vec![0.0; PIECE * UNITS]);
                check(&mut session, &state, case, &x);
                let id = format!("{}/T{STEPS}_B1_I{INPUTS}_H{UNITS}", case.name());
                group.bench_function(id, |bencher| {
                    bencher.iter(|| run(&mut session, &state, &x, &mut y));
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, denormals);
criterion_main!(benches);
