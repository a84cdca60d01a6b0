//! Layers put together: an encoder and a decoder, outputs that become inputs.

mod models;

use models::{bits_of, get, layer, named, noise, plan};
use ritornello::model::{
    Activation, Cell, Dense, Direction, GruReset, Matrix, Model, Recurrent, SequenceAxes,
};
use ritornello::{Array, Isa};

const CELLS: [Cell; 3] = [Cell::SIMPLE_RNN, Cell::LSTM, Cell::gru(GruReset::AfterMatmul)];

/// The best level there is.
fn best() -> Isa {
    *Isa::available().last().expect("there is always one")
}

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut next = noise(seed);
    (0..count).map(|_| next()).collect()
}

/// A decoder of one step: a cell and a head whose outputs are as many as its inputs.
fn decoder(cell: Cell, axes: SequenceAxes) -> Model {
    let head = Matrix::new(3, 6, numbers(18, 5)).unwrap();
    let mut graph = Model::graph();
    graph.axes(axes);
    let x = graph.sequence("x", 3);
    let rnn = graph.recurrent("rnn", layer(cell, Direction::Forward, [3, 6], 6), x);
    let head = Dense::new(head, None, Activation::Tanh).unwrap();
    let y = graph.dense("y", head, rnn.sequence);
    graph.output("y", y);
    graph.build().unwrap()
}

#[test]
fn what_is_generated_are_the_steps_by_hand() {
    let (batch, steps) = (2, 9);
    for cell in CELLS {
        for axes in [SequenceAxes::BatchTime, SequenceAxes::TimeBatch] {
            let model = decoder(cell, axes);
            for isa in Isa::available() {
                let first = numbers(batch * 3, 7);
                let next = |y: &[f32], x: &mut [f32]| {
                    x.iter_mut().zip(y).for_each(|(x, y)| *x = 0.5 * *x - y);
                };
                let mut session = plan(&model, isa).session(batch, 1).unwrap();
                let found = session.generate(&first, steps, next).unwrap();

                session.reset();
                let (mut x, mut y) = (first.clone(), vec![0.0; batch * 3]);
                for step in 0..steps {
                    session.step(&x, &mut y).unwrap();
                    for row in 0..batch {
                        let place = match axes {
                            SequenceAxes::BatchTime => row * steps + step,
                            SequenceAxes::TimeBatch => step * batch + row,
                        };
                        let of_row = &found[place * 3..][..3];
                        assert_eq!(of_row, &y[row * 3..][..3], "{cell:?} {axes:?} {isa}, {step}");
                    }
                    next(&y, &mut x);
                }
            }
        }
    }
}

#[test]
fn generating_nothing_and_from_a_wrong_step_is_well_defined() {
    let model = decoder(Cell::LSTM, SequenceAxes::BatchTime);
    let mut session = plan(&model, best()).session(2, 1).unwrap();
    let unused = |_: &[f32], _: &mut [f32]| panic!("there is no next step");
    assert!(session.generate(&[0.0; 6], 0, unused).unwrap().is_empty());
    assert_eq!(session.generate(&[0.0; 6], 1, unused).unwrap().len(), 6);
    let error = session.generate(&[0.0; 6], usize::MAX, unused).unwrap_err().to_string();
    assert!(error.contains("steps to generate") && error.contains("at most"), "{error}");
    let error = session.generate(&[0.0; 5], 2, |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("features=3") && error.contains('5'), "{error}");
    let whole = layer(Cell::LSTM, Direction::Bidirectional, [3, 6], 6);
    let model = Model::chain(3).recurrent(whole).build().unwrap();
    let mut session = plan(&model, best()).session(2, 1).unwrap();
    let error = session.generate(&[0.0; 6], 2, |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("lstm_0") && error.contains("whole sequence"), "{error}");
}

/// The encoder's final states are the decoder's initial ones: in one graph, and by hand from one
/// session to another.
#[test]
fn a_decoder_goes_on_from_an_encoders_states() {
    let (batch, time, steps) = (3, 8, 5);
    for cell in CELLS {
        let encoder = layer(cell, Direction::Forward, [4, 6], 11);
        let decoder = layer(cell, Direction::Forward, [2, 6], 12);
        let mut graph = Model::graph();
        let (x, z) = (graph.sequence("x", 4), graph.sequence("z", 2));
        let code = graph.recurrent("encoder", encoder.clone(), x);
        let states = if cell.has_cell_state() { vec![code.h_n, code.c_n] } else { vec![code.h_n] };
        let values = graph.recurrent_from("decoder", decoder.clone(), z, &states);
        graph.output("y", values.sequence);
        let model = graph.build().unwrap();
        let x = Array::new(&[batch, time, 4], numbers(batch * time * 4, 13)).unwrap();
        let z = Array::new(&[batch, steps, 2], numbers(batch * steps * 2, 14)).unwrap();
        let inputs = [("x".to_owned(), x.clone()), ("z".to_owned(), z.clone())];
        for isa in Isa::available() {
            let found = plan(&model, isa).run(&named(&inputs)).unwrap();
            let alone =
                |layer: &Recurrent| Model::chain(layer.input_size()).recurrent(layer.clone());
            let first = alone(&encoder).build().unwrap();
            let mut session = plan(&first, isa).session(batch, time).unwrap();
            session.run(x.as_f32().unwrap()).unwrap();
            // Both layers are the first of their chains, and so their states have the same names.
            let states = session.state().unwrap();
            let second = alone(&decoder).build().unwrap();
            let mut session = plan(&second, isa).session(batch, steps).unwrap();
            session.set_state(&states).unwrap();
            let y = session.run(z.as_f32().unwrap()).unwrap();
            let expected = get(&found, "y").as_f32().unwrap();
            assert_eq!(bits_of(&y), bits_of(expected), "{cell:?} on {isa}");
        }
    }
}
