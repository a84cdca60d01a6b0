//! One step of a cell of a fixed size, and the same step of a session.
//!
//! Ids: `step-{cell}-f32-{fixed or level}/I…_H…`. Every bench is first held against the f64
//! reference, step by step, and the two against each other, to the bit, on levels with fused
//! multiply-add.

#[path = "../kernels/tests/layer/mod.rs"]
mod layer;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use layer::{Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, bits};
use ritornello::model::{CellWeights, Direction, Matrix, Model, Recurrent, RecurrentWeights};
use ritornello::{PlanOptions, Session, Threads};
use ritornello_kernels::fixed::{FixedGru, FixedLstm, FixedSource, HiddenState, LstmState};
use ritornello_kernels::{Cell, Gru, Isa};
use ritornello_reference::{Rounding, State, widen};

const STEPS: usize = 64;

fn layer_of(cell: Cell, [input_size, hidden_size]: [usize; 2]) -> Layer {
    let mut layer =
        Layer::random(cell, Extras::NONE, [true, true], [input_size, hidden_size, STEPS, 1], 1);
    layer.hidden.fill(0.0);
    layer.cell.fill(0.0);
    layer
}

fn source(layer: &Layer) -> FixedSource<'_> {
    FixedSource {
        input_weights: &layer.input_weights,
        recurrent_weights: &layer.recurrent_weights,
        bias: layer.bias.as_deref(),
        recurrent_bias: layer.recurrent_bias.as_deref(),
    }
}

fn session(layer: &Layer, isa: Isa) -> Session {
    let rows = layer.kind.gates().len() * layer.hidden_size;
    let matrix = |columns, numbers: &Vec<f32>| {
        Matrix::new(rows, columns, numbers.clone()).expect("as many numbers")
    };
    let recurrent = matrix(layer.hidden_size, &layer.recurrent_weights);
    let mut weights = CellWeights::new(
        matrix(layer.input_size, &layer.input_weights),
        RecurrentWeights::Matrix(recurrent),
    );
    weights.bias.clone_from(&layer.bias);
    weights.recurrent_bias.clone_from(&layer.recurrent_bias);
    let recurrent = Recurrent::new(layer.kind, Direction::Forward, vec![weights]).expect("fits");
    let model = Model::chain(layer.input_size).recurrent(recurrent).build().expect("a chain");
    let options = PlanOptions::default().isa(isa).threads(Threads::one());
    model.into_plan(options).expect("a level of this CPU").session(1, 1).expect("fits")
}

/// What a step of a cell of a fixed size gives: h, and c if there is one.
type States = [Vec<f32>; 2];

/// All steps: each within the derived tolerance of the reference, restarted from the state before.
fn check(layer: &Layer, mut step: impl FnMut(&[f32]) -> States) {
    let reference = layer.reference();
    let mut before = reference.zero_state();
    let levels = Isa::available().into_iter().filter(|&isa| isa != Isa::Portable);
    let mut sessions: Vec<Session> = levels.map(|isa| session(layer, isa)).collect();
    for x in layer.input.chunks(layer.input_size) {
        let exact = reference.step(&widen(x), &before);
        let tolerance = reference.tolerance(&before, &exact, Rounding::Fused);
        let [hidden, cell] = step(x);
        let exact_hidden = exact.state.hidden.iter().zip(&tolerance.hidden);
        for (hidden, (exact, &allowed)) in hidden.iter().zip(exact_hidden) {
            let error = (f64::from(*hidden) - exact).abs();
            assert!(error <= allowed, "a step is off by {error:e} of {allowed:e}");
        }
        for session in &mut sessions {
            let mut y = vec![0.0; layer.hidden_size];
            session.step(x, &mut y).expect("fits");
            assert_eq!(bits(&hidden), bits(&y), "the bits of a session");
        }
        before = State::from_f32(&hidden, &cell);
    }
}

fn lstm<const I: usize, const H: usize>(criterion: &mut Criterion) {
    let layer = layer_of(LSTM, [I, H]);
    let cell = Box::new(FixedLstm::<I, H>::new(source(&layer)).expect("fits"));
    let mut state = LstmState::ZERO;
    check(&layer, |x| {
        let hidden = cell.step(x.try_into().expect("one step"), &mut state).to_vec();
        [hidden, state.cell.to_vec()]
    });
    measure::<I, H>(criterion, &layer, |x| {
        black_box(cell.step(x, &mut state));
    });
}

fn gru<const I: usize, const H: usize>(criterion: &mut Criterion, kind: Cell) {
    let layer = layer_of(kind, [I, H]);
    let Cell::Gru(Gru { reset, .. }) = kind else { unreachable!("a GRU is given") };
    let cell = Box::new(FixedGru::<I, H>::new(source(&layer), reset).expect("fits"));
    let mut state = HiddenState::ZERO;
    check(&layer, |x| {
        [cell.step(x.try_into().expect("one step"), &mut state).to_vec(), Vec::new()]
    });
    measure::<I, H>(criterion, &layer, |x| {
        black_box(cell.step(x, &mut state));
    });
}

/// Times both, the state going on and the input changing from step to step.
fn measure<const I: usize, const H: usize>(
    criterion: &mut Criterion,
    layer: &Layer,
    mut step: impl FnMut(&[f32; I]),
) {
    let cell = match layer.kind {
        GRU_AFTER => "gru_after",
        GRU_BEFORE => "gru_before",
        other => other.name(),
    };
    let id = format!("I{I}_H{H}");
    let inputs: Vec<[f32; I]> =
        layer.input.chunks(I).map(|x| x.try_into().expect("one step")).collect();
    let mut all = inputs.iter().cycle();
    let mut next = || black_box(all.next().expect("a cycle has no end"));
    let mut group = criterion.benchmark_group(format!("step-{cell}-f32-fixed"));
    group.bench_function(&id, |bencher| bencher.iter(|| step(next())));
    group.finish();
    for isa in Isa::available() {
        let mut session = session(layer, isa);
        let mut y = [0.0; H];
        let mut group = criterion.benchmark_group(format!("step-{cell}-f32-{isa}"));
        group.bench_function(&id, |bencher| {
            bencher.iter(|| {
                session.step(next(), &mut y).expect("fits");
                black_box(&mut y);
            });
        });
        group.finish();
    }
}

fn fixed(criterion: &mut Criterion) {
    println!("not run, this CPU lacks them: {:?}", Isa::missing());
    lstm::<1, 16>(criterion);
    lstm::<1, 40>(criterion);
    gru::<24, 48>(criterion, GRU_AFTER);
    gru::<24, 48>(criterion, GRU_BEFORE);
}

criterion_group!(benches, fixed);
criterion_main!(benches);
