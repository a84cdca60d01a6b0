//! A loop over a cell by hand gives the bits of its layer, whatever the cell is.

mod models;
mod refusal;

use models::{all_layers, bits_of, layer_with, noise, plan};
use proptest::prelude::*;
use refusal::refused;
use ritornello::model::{Cell, Direction, Recurrent};
use ritornello::{HandCell, Isa, Model, PlanOptions, Threads};

const FEATURES: usize = 4;

/// Every step of a layer by hand, and the last c, against the layer's own sequence and states.
fn check(layer: &Recurrent, [batch, time]: [usize; 2], seed: u64, isa: Isa) -> Result<(), String> {
    let (hidden, state) = (layer.hidden_size(), layer.state_size());
    let mut next = noise(seed);
    let x: Vec<f32> = (0..batch * time * FEATURES).map(|_| next()).collect();
    let model = Model::chain(FEATURES).recurrent(layer.clone()).build().unwrap();
    let mut session = plan(&model, isa).session(batch, time).unwrap();
    let whole = session.run(&x).unwrap();
    let options = PlanOptions::default().isa(isa).threads(Threads::one());
    let mut cell = HandCell::new(layer, batch, options).unwrap();
    let mut h = vec![0.0; batch * state];
    let mut c = vec![0.0; if layer.cell().has_cell_state() { batch * hidden } else { 0 }];
    let of_step = |all: &[f32], size: usize, step: usize| -> Vec<f32> {
        all.chunks(time * size).flat_map(|row| row[step * size..][..size].to_vec()).collect()
    };
    for step in 0..time {
        cell.step(&of_step(&x, FEATURES, step), &mut h, &mut c).unwrap();
        if bits_of(&h) != bits_of(&of_step(&whole, state, step)) {
            return Err(format!("{:?} on {isa}: h of step {step} is {h:?}", layer.cell()));
        }
    }
    let states = session.state().unwrap();
    let last = states.arrays().iter().find(|(name, _)| name.ends_with(".c"));
    let last = last.map_or(&[][..], |(_, array)| array.as_f32().unwrap());
    if bits_of(&c) != bits_of(last) {
        return Err(format!("{:?} on {isa}: c is {c:?}, expected {last:?}", layer.cell()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(models::cases(300))]

    #[test]
    fn steps_by_hand_are_the_sequence(
        kind in models::layers(),
        hidden in 1..40_usize,
        batch in 1..5_usize,
        seed in any::<u64>(),
    ) {
        let layer = layer_with(kind, Direction::Forward, [FEATURES, hidden], seed);
        for isa in Isa::available() {
            models::passed(check(&layer, [batch, 5], seed, isa))?;
        }
    }
}

#[test]
fn every_kind_of_cell_takes_steps_by_hand() {
    for (name, kind) in all_layers() {
        let layer = layer_with(kind, Direction::Forward, [FEATURES, 9], 3);
        for isa in Isa::available() {
            check(&layer, [3, 6], 4, isa).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        }
    }
}

/// Under a projection h and c are of different sizes.
#[test]
fn states_have_the_sizes_of_the_cell() {
    for (name, kind) in all_layers() {
        let layer = layer_with(kind, Direction::Forward, [FEATURES, 9], 3);
        let cells = if matches!(layer.cell(), Cell::Lstm(_)) { 2 * 9 } else { 0 };
        let states = 2 * layer.state_size();
        let mut cell = HandCell::new(&layer, 2, PlanOptions::default()).unwrap();
        let mut step = |h: usize, c: usize| {
            cell.step(&[0.5; 2 * FEATURES], &mut vec![0.0; h], &mut vec![0.0; c])
        };
        assert!(step(states, cells).is_ok(), "{name}");
        let expected = format!("{states} numbers");
        refused(step(states + 1, cells), &["h [batch, state_size]", &expected]);
        let expected = format!("{cells} numbers");
        refused(step(states, cells + 1), &["c [batch, hidden_size]", &expected]);
    }
}
