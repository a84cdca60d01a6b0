//! Rows of which some steps do not count, on several threads: the bits of one thread, whatever the
//! layer is.

mod models;

use models::{all_layers, bits_of, layer, layer_with, noise, step_work};
use ritornello::model::{Cell, Direction, OutputOrder};
use ritornello::{Isa, Model, PlanOptions, Session, Threads};

/// Enough rows for three threads, and work for each of them: 1 500 000 multiplications.
const BATCH: usize = 13;
const TIME: usize = 48;
const SIZES: [usize; 2] = [64, 61];

/// Runs a layer of each kind, under another, on one thread and on more.
fn check(run: impl Fn(&mut Session, &[f32]) -> Vec<f32>) {
    let mut noise = noise(9);
    let x: Vec<f32> = (0..BATCH * TIME * SIZES[0]).map(|_| noise()).collect();
    for (name, kind) in all_layers() {
        for (direction, order) in [
            (Direction::Bidirectional, OutputOrder::Time),
            (Direction::Reverse, OutputOrder::Processing),
            (Direction::Forward, OutputOrder::Time),
        ] {
            let mut first = layer_with(kind, direction, SIZES, 7);
            first.order = order;
            assert!(step_work(&first) * BATCH * TIME >= 3 * 1_500_000, "{name}: too little work");
            let next = layer(Cell::LSTM, Direction::Forward, [first.output_size(), 5], 8);
            let model = Model::chain(SIZES[0]).recurrent(first).recurrent(next).build().unwrap();
            for isa in Isa::available() {
                let mut runs = [1, 2, 3, 5].into_iter().map(|threads| {
                    let threads = Threads::new(threads).unwrap();
                    let options = PlanOptions::default().isa(isa).threads(threads);
                    let mut session = model.plan(options).unwrap().session(BATCH, TIME).unwrap();
                    bits_of(&run(&mut session, &x))
                });
                let one = runs.next().unwrap();
                for (run, threads) in runs.zip([2, 3, 5]) {
                    let differs = one.iter().zip(&run).position(|(a, b)| a != b);
                    assert_eq!(differs, None, "{name} {direction:?} on {isa}, {threads} threads");
                }
            }
        }
    }
}

#[test]
fn threads_change_no_bit_of_rows_with_lengths() {
    let lengths = [3, 48, 0, 17, 48, 1, 47, 22, 8, 48, 30, 5, 41];
    check(|session, x| session.run_lengths(x, &lengths).unwrap());
}

#[test]
fn threads_change_no_bit_of_rows_with_masks() {
    // Rows with many steps and rows with few, one with none and one with all.
    let likely = [0.5, -1.0, 1.0, 0.2, 0.9, -0.8, 0.0, 0.7, -0.5, 0.3, 0.8, -0.2, 0.6];
    let mut noise = noise(10);
    let mask: Vec<bool> = (0..BATCH * TIME).map(|i| noise() < likely[i / TIME]).collect();
    check(|session, x| session.run_masked(x, &mask).unwrap());
}
