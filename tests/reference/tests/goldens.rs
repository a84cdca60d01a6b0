//! Final states of real Keras layers, written by `goldens.py`: gate orders, biases, roles of
//! activations, reset modes.

use ritornello_reference::{Activation, Cell, Direction, Recurrent, Reset, Sequence, State};

const INPUT_SIZE: usize = 2;
const HIDDEN_SIZE: usize = 3;
const TIME: usize = 4;
const BATCH: usize = 2;

/// The numbers of `goldens.py`, in its order.
struct Numbers(u32);

impl Numbers {
    fn take(&mut self, count: usize) -> Vec<f64> {
        let first = self.0;
        self.0 += u32::try_from(count).unwrap();
        (first..self.0).map(|k| (f64::from(97 * k % 251) - 125.0) / 256.0).collect()
    }
}

/// Asserts that the final states are `[batch][hidden_size]`, to the precision of f32.
fn assert_final(cell: Cell, direction: Direction, hidden: [f64; 6], lstm_cell: Option<[f64; 6]>) {
    let gates = cell.gates();
    let mut numbers = Numbers(0);
    let rows = gates * HIDDEN_SIZE;
    let weights = [rows * INPUT_SIZE, rows * HIDDEN_SIZE, rows, rows].map(|n| numbers.take(n));
    let layer = Recurrent::new(cell, [INPUT_SIZE, HIDDEN_SIZE], weights);
    let mut initial: Vec<State> =
        (0..BATCH).map(|_| State { hidden: numbers.take(HIDDEN_SIZE), cell: vec![] }).collect();
    for state in &mut initial {
        let cell_state = numbers.take(HIDDEN_SIZE);
        if lstm_cell.is_some() {
            state.cell = cell_state;
        }
    }
    let mut features = || numbers.take(INPUT_SIZE).iter().map(|x| 2.0 * x).collect();
    let inputs: Vec<Sequence> =
        (0..BATCH).map(|_| (0..TIME).map(|_| features()).collect()).collect();

    let states = layer.run(&inputs, &initial, direction).final_states;
    let found_hidden: Vec<f64> = states.iter().flat_map(|state| state.hidden.clone()).collect();
    let found_cell: Vec<f64> = states.iter().flat_map(|state| state.cell.clone()).collect();
    let expected_cell = lstm_cell.map_or(vec![], |cell| cell.to_vec());
    for (found, expected) in [(found_hidden, hidden.to_vec()), (found_cell, expected_cell)] {
        assert_eq!(found.len(), expected.len());
        let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 3e-7);
        assert!(close, "{cell:?}: {found:?}, expected {expected:?}");
    }
}

/// Default activations, and others that show if two of them changed places.
const TANH_SIGMOID: (Activation, Activation) = (Activation::Tanh, Activation::Sigmoid);
const ODD: (Activation, Activation) = (Activation::Softsign, Activation::HARD_SIGMOID_FIFTH);

#[test]
fn simple() {
    let hidden = [0.8902195, 0.0, 0.2562244, 0.6920619, 0.0, 0.3503897];
    assert_final(Cell::simple(Activation::Relu), Direction::Forward, hidden, None);
    let hidden = [0.0838831, -0.5188001, 0.3384054, 0.2336129, -0.3225976, 0.3255831];
    assert_final(Cell::simple(Activation::Tanh), Direction::Reverse, hidden, None);
}

#[test]
fn lstm() {
    let cell = |(activation, recurrent_activation)| Cell::lstm(activation, recurrent_activation);
    assert_final(
        cell(TANH_SIGMOID),
        Direction::Forward,
        [-0.1176279, 0.1036401, 0.1137053, -0.1259567, 0.1101818, 0.0948162],
        Some([-0.2696113, 0.2845518, 0.2650507, -0.2822005, 0.3114668, 0.2114145]),
    );
    assert_final(
        cell(ODD),
        Direction::Forward,
        [-0.0675933, 0.0690217, 0.0724532, -0.0725095, 0.072854, 0.0634669],
        Some([-0.1726093, 0.2098616, 0.1918859, -0.1830092, 0.2289658, 0.158618]),
    );
}

#[test]
fn gru() {
    let (before, after) = (Reset::BeforeProduct, Reset::AfterProduct);
    for (reset, activations, hidden) in [
        (
            before,
            TANH_SIGMOID,
            [-0.1742775, -0.1351957, 0.3766045, 0.0247036, -0.2108434, 0.3189858],
        ),
        (before, ODD, [-0.1482293, -0.1161755, 0.2745779, -0.0028981, -0.1646415, 0.248142]),
        (after, TANH_SIGMOID, [-0.003437, -0.2072124, 0.2061083, 0.1749812, -0.2877604, 0.1538003]),
        (after, ODD, [-0.0402998, -0.1603064, 0.1646694, 0.0931369, -0.2076458, 0.132011]),
    ] {
        let (activation, recurrent_activation) = activations;
        let cell = Cell::gru(reset, activation, recurrent_activation);
        assert_final(cell, Direction::Forward, hidden, None);
    }
}
