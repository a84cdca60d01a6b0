//! Final states of real ONNX Runtime and PyTorch layers, written by `variants.py`: peepholes,
//! coupled gates, clips, three activations, a projection.

use ritornello_reference::{
    Activation, Cell, Coupling, Direction, Recurrent, Reset, Sequence, State,
};

const INPUT_SIZE: usize = 2;
const HIDDEN_SIZE: usize = 3;
const TIME: usize = 4;
const BATCH: usize = 2;

/// The numbers of `variants.py`, in its order.
struct Numbers(u32);

impl Numbers {
    fn take(&mut self, count: usize) -> Vec<f64> {
        let first = self.0;
        self.0 += u32::try_from(count).unwrap();
        (first..self.0).map(|k| (f64::from(97 * k % 251) - 125.0) / 256.0).collect()
    }
}

/// A cell, the blocks of its gates among those of the file, and its blocks of peepholes.
struct Layer<'a> {
    cell: Cell,
    gates: &'a [usize],
    file_gates: usize,
    peepholes: &'a [usize],
}

/// Some of the blocks of `numbers`.
fn blocks(numbers: &[f64], count: usize, chosen: &[usize]) -> Vec<f64> {
    let block = numbers.len() / count;
    chosen.iter().flat_map(|&k| numbers[k * block..][..block].to_vec()).collect()
}

/// Asserts that the final states are `[batch][size]`, to the precision of f32.
fn assert_final(layer: &Layer<'_>, hidden: [f64; 6], cell_states: Option<[f64; 6]>) {
    let mut numbers = Numbers(0);
    let rows = layer.file_gates * HIDDEN_SIZE;
    let weights = [rows * INPUT_SIZE, rows * HIDDEN_SIZE, rows, rows]
        .map(|n| blocks(&numbers.take(n), layer.file_gates, layer.gates));
    let mut recurrent = Recurrent::new(layer.cell, [INPUT_SIZE, HIDDEN_SIZE], weights);
    recurrent.peepholes = blocks(&numbers.take(3 * HIDDEN_SIZE), 3, layer.peepholes);
    let [h, c] = [0, 1].map(|_| numbers.take(BATCH * HIDDEN_SIZE));
    assert_run(&recurrent, &h, &c, numbers, &hidden, cell_states.as_ref().map(|c| &c[..]));
}

fn assert_run(
    layer: &Recurrent,
    h: &[f64],
    c: &[f64],
    mut numbers: Numbers,
    hidden: &[f64],
    cell_states: Option<&[f64]>,
) {
    let states = h.chunks(h.len() / BATCH).zip(c.chunks(HIDDEN_SIZE));
    let initial: Vec<State> = states
        .map(|(h, c)| State {
            hidden: h.to_vec(),
            cell: if cell_states.is_some() { c.to_vec() } else { Vec::new() },
        })
        .collect();
    let mut features = || numbers.take(INPUT_SIZE).iter().map(|x| 2.0 * x).collect();
    let inputs: Vec<Sequence> =
        (0..BATCH).map(|_| (0..TIME).map(|_| features()).collect()).collect();
    let found = layer.run(&inputs, &initial, Direction::Forward).final_states;
    let found_hidden: Vec<f64> = found.iter().flat_map(|state| state.hidden.clone()).collect();
    let found_cell: Vec<f64> = found.iter().flat_map(|state| state.cell.clone()).collect();
    for (found, expected) in [(found_hidden, hidden), (found_cell, cell_states.unwrap_or(&[]))] {
        assert_eq!(found.len(), expected.len());
        let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 3e-7);
        assert!(close, "{:?}: {found:?}, expected {expected:?}", layer.cell);
    }
}

fn lstm(coupling: Coupling, clip: Option<f64>, peepholes: &[usize]) -> Layer<'_> {
    Layer {
        cell: Cell::Lstm {
            activation: Activation::Tanh,
            recurrent_activation: Activation::Sigmoid,
            output_activation: Activation::Tanh,
            coupling,
            clip,
            cell_clip: None,
            projection_clip: None,
        },
        gates: if coupling == Coupling::None { &[0, 1, 2, 3] } else { &[0, 2, 3] },
        file_gates: 4,
        peepholes,
    }
}

#[test]
fn lstm_without_extras() {
    assert_final(
        &lstm(Coupling::None, None, &[]),
        [-0.1630491, 0.1455362, 0.0667728, -0.1481871, 0.146742, 0.0502798],
        Some([-0.2932634, 0.299741, 0.1800463, -0.2581047, 0.3050625, 0.1305634]),
    );
}

#[test]
fn peepholes() {
    assert_final(
        &lstm(Coupling::None, None, &[0, 1, 2]),
        [-0.1539524, 0.1341889, 0.0636415, -0.1424055, 0.1359061, 0.0478393],
        Some([-0.2852223, 0.2879048, 0.1712968, -0.2546858, 0.2952869, 0.1240024]),
    );
}

#[test]
fn a_clip_is_of_sums_with_their_peepholes() {
    assert_final(
        &lstm(Coupling::None, Some(0.3), &[0, 1, 2]),
        [-0.103437, 0.1141512, 0.0397162, -0.0980537, 0.1178789, 0.0258753],
        Some([-0.184888, 0.2393066, 0.0935998, -0.1723811, 0.2498005, 0.0608783]),
    );
}

#[test]
fn a_forget_gate_made_of_the_input_gate() {
    assert_final(
        &lstm(Coupling::ForgetFromInput, None, &[]),
        [-0.1503793, 0.1552752, 0.0406605, -0.1574412, 0.158568, 0.0238929],
        Some([-0.2686884, 0.3191383, 0.1101531, -0.2748787, 0.3305728, 0.0620593]),
    );
    assert_final(
        &lstm(Coupling::ForgetFromInput, None, &[0, 2]),
        [-0.1472993, 0.1452322, 0.0426466, -0.1537558, 0.1486418, 0.0256186],
        Some([-0.2713563, 0.3129638, 0.1153867, -0.2766941, 0.3259975, 0.0665324]),
    );
}

#[test]
fn three_activations() {
    let cell = Cell::Lstm {
        activation: Activation::Softsign,
        recurrent_activation: Activation::HARD_SIGMOID_FIFTH,
        output_activation: Activation::LeakyRelu { alpha: 0.1 },
        coupling: Coupling::None,
        clip: None,
        cell_clip: None,
        projection_clip: None,
    };
    assert_final(
        &Layer { cell, ..lstm(Coupling::None, None, &[]) },
        [-0.0136194, 0.120369, 0.0431639, -0.0118317, 0.1217859, 0.0291576],
        Some([-0.2402188, 0.2347252, 0.113784, -0.2046412, 0.2398729, 0.0743086]),
    );
}

#[test]
fn a_scaled_tanh_an_affine_function_and_a_threshold() {
    let cell = Cell::Lstm {
        activation: Activation::ScaledTanh { alpha: 1.5, beta: 0.75 },
        recurrent_activation: Activation::Sigmoid,
        output_activation: Activation::Affine { alpha: 0.5, beta: 0.25 },
        coupling: Coupling::None,
        clip: None,
        cell_clip: None,
        projection_clip: None,
    };
    assert_final(
        &Layer { cell, ..lstm(Coupling::None, None, &[]) },
        [0.0273744, 0.213549, 0.131259, 0.0431921, 0.2129829, 0.1255245],
        Some([-0.4048499, 0.3324604, 0.227878, -0.3536519, 0.3366159, 0.1723658]),
    );
    let cell =
        Cell::Simple { activation: Activation::ThresholdedRelu { alpha: 0.125 }, clip: None };
    assert_final(
        &Layer { cell, gates: &[0], file_gates: 1, peepholes: &[] },
        [0.4933295, 0.0, 0.6897587, 0.5903395, 0.0, 0.0],
        None,
    );
}

#[test]
fn clips_of_other_cells() {
    let clip = Some(0.3);
    for (reset, hidden) in [
        (
            Reset::BeforeProduct,
            [0.0954322, -0.2466501, 0.1968635, 0.0816139, -0.2208322, 0.1783373],
        ),
        (Reset::AfterProduct, [0.1651713, -0.2707977, 0.0715023, 0.1656772, -0.2494042, 0.0489642]),
    ] {
        let (activation, recurrent_activation) = (Activation::Tanh, Activation::Sigmoid);
        let cell = Cell::Gru { activation, recurrent_activation, reset, clip };
        let layer = Layer { cell, gates: &[0, 1, 2], file_gates: 3, peepholes: &[] };
        assert_final(&layer, hidden, None);
    }
    let cell = Cell::Simple { activation: Activation::Tanh, clip };
    assert_final(
        &Layer { cell, gates: &[0], file_gates: 1, peepholes: &[] },
        [0.2913126, -0.2913126, 0.2913126, 0.2913126, -0.2444519, 0.0530895],
        None,
    );
}

#[test]
fn a_projection() {
    let mut numbers = Numbers(0);
    let (rows, state_size) = (4 * HIDDEN_SIZE, 2);
    let weights =
        [rows * INPUT_SIZE, rows * state_size, rows, rows].map(|count| numbers.take(count));
    let cell = Cell::lstm(Activation::Tanh, Activation::Sigmoid);
    let mut layer = Recurrent::new(cell, [INPUT_SIZE, HIDDEN_SIZE], weights);
    layer.projection = numbers.take(state_size * HIDDEN_SIZE);
    let h = numbers.take(BATCH * state_size);
    let c = numbers.take(BATCH * HIDDEN_SIZE);
    let hidden = [0.0013421, 0.0243589, 0.0265798, 0.0474193];
    let cell_states = [0.1665493, 0.2260994, 0.0246364, 0.3106069, 0.1067747, -0.0241451];
    assert_run(&layer, &h, &c, numbers, &hidden, Some(&cell_states));
}
