//! Steps that one can do by hand.

use ritornello_reference::Activation::{Linear, Relu, Sigmoid, Tanh};
use ritornello_reference::{Cell, Coupling, Dot, Recurrence, Recurrent, Reset, State};

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found_one, expected_one) in found.iter().zip(expected) {
        assert!((found_one - expected_one).abs() < 1e-14, "{found:?}, expected {expected:?}");
    }
}

/// Sizes of 1, and biases such that at `x` and `h` the pre-activations are `sums`.
fn layer_of_one(cell: Cell, sums: &[f64], x: f64, h: f64) -> Recurrent {
    let gates = sums.len();
    let weights =
        |scale: f64| (0..gates).map(|gate| scale * (gate + 1) as f64).collect::<Vec<f64>>();
    let (input_weights, recurrent_weights, recurrent_bias) =
        (weights(0.5), weights(-0.3), weights(0.7));
    let bias = (0..gates)
        .map(|gate| {
            sums[gate]
                - input_weights[gate] * x
                - recurrent_weights[gate] * h
                - recurrent_bias[gate]
        })
        .collect();
    Recurrent::new(cell, [1, 1], [input_weights, recurrent_weights, bias, recurrent_bias])
}

/// `sigmoid(ln a) = a / (a + 1)` and `tanh(ln a) = (a² - 1) / (a² + 1)` make steps that one can
/// do by hand.
#[test]
fn lstm_by_hand() {
    let cell = Cell::lstm(Tanh, Sigmoid);
    let [ln2, ln3, ln4] = [2.0_f64.ln(), 3.0_f64.ln(), 4.0_f64.ln()];
    let layer = layer_of_one(cell, &[ln3, -ln3, ln2, ln4], 0.8, -0.6);
    // c' = 1/4·c + 3/4·3/5 shall be ln 2
    let before = State { hidden: vec![-0.6], cell: vec![4.0 * (ln2 - 0.45)] };
    let step = layer.step(&[0.8], &before);
    assert_close(&step.gates, &[0.75, 0.25, 0.6, 0.8]);
    assert_close(&step.state.cell, &[ln2]);
    assert_close(&step.state.hidden, &[0.8 * 0.6]);
}

#[test]
fn gru_by_hand_in_both_reset_modes() {
    let [ln2, ln3] = [2.0_f64.ln(), 3.0_f64.ln()];
    let (x, h) = (0.8, -0.6);
    // z = 3/4, r = 1/4. For the candidate U h + b' is 0.54 + 2.1 = 2.64, of which b' is 2.1:
    // r·2.64 is 1.98 less than 2.64, and r·0.54 + 2.1 is 0.405 less.
    for (reset, less) in [(Reset::AfterProduct, 1.98), (Reset::BeforeProduct, 0.405)] {
        let cell = Cell::gru(reset, Tanh, Sigmoid);
        let layer = layer_of_one(cell, &[ln3, -ln3, ln2 + less], x, h);
        let step = layer.step(&[x], &State { hidden: vec![h], cell: vec![] });
        assert_close(&step.gates, &[0.75, 0.25, 0.6]);
        assert_close(&step.state.hidden, &[0.75 * -0.6 + 0.25 * 0.6]);
        let recurrent = if reset == Reset::AfterProduct { 2.64 / 4.0 } else { 0.54 / 4.0 + 2.1 };
        let magnitude = 1.5 * x + layer.bias[2].abs() + recurrent;
        assert_close(&[step.pre_activations[2].magnitude], &[magnitude]);
    }
}

/// Core ML's GRU: `n = tanh(W x + b + r (U h))`, a reset after the product and one bias, outside of it.
#[test]
fn gru_with_one_bias_by_hand() {
    let [ln2, ln3] = [2.0_f64.ln(), 3.0_f64.ln()];
    let (x, h) = (0.8, -0.6);
    // U h is 0.54, and r = 1/4 leaves 0.135 of it.
    let cell = Cell::gru(Reset::AfterProduct, Tanh, Sigmoid);
    let mut layer = layer_of_one(cell, &[ln3, -ln3, ln2 + 0.405], x, h);
    for (bias, recurrent) in layer.bias.iter_mut().zip(&mut layer.recurrent_bias) {
        *bias += std::mem::take(recurrent);
    }
    let step = layer.step(&[x], &State { hidden: vec![h], cell: vec![] });
    assert_close(&step.gates, &[0.75, 0.25, 0.6]);
    assert_close(&step.state.hidden, &[0.75 * -0.6 + 0.25 * 0.6]);
}

#[test]
fn simple_by_hand_with_a_matrix_and_with_the_identity() {
    let weights = [vec![2.0, -3.0], vec![1.0, 2.0, 4.0, 8.0], vec![0.5, 0.25], vec![16.0, -32.0]];
    let mut layer = Recurrent::new(Cell::simple(Relu), [1, 2], weights);
    let before = State { hidden: vec![1.0, -1.5], cell: vec![] };
    let step = layer.step(&[3.0], &before);
    assert_eq!(step.pre_activations[0], Dot { value: 20.5, magnitude: 26.5 });
    assert_eq!(step.pre_activations[1], Dot { value: -48.75, magnitude: 57.25 });
    assert_eq!(step.state.hidden, [20.5, 0.0]);

    (layer.cell, layer.recurrence) = (Cell::simple(Linear), Recurrence::Identity);
    layer.recurrent_weights = vec![];
    let step = layer.step(&[3.0], &before);
    assert_eq!(step.state.hidden, [6.0 + 0.5 + 1.0 + 16.0, -9.0 + 0.25 - 1.5 - 32.0]);
    assert_eq!(step.pre_activations[1].magnitude, 9.0 + 0.25 + 1.5 + 32.0);
}

#[test]
#[should_panic(expected = "recurrent_bias is not [gates×hidden_size]")]
fn a_wrong_shape_panics() {
    let cell = Cell::simple(Tanh);
    let mut layer = layer_of_one(cell, &[0.0], 0.0, 0.0);
    layer.recurrent_bias.clear();
    let _ = layer.step(&[0.0], &layer.zero_state());
}

/// An LSTM of the reference with everything that it can have.
fn variant(coupling: Coupling, clips: [Option<f64>; 3]) -> Cell {
    let [clip, cell_clip, projection_clip] = clips;
    Cell::Lstm {
        activation: Tanh,
        recurrent_activation: Sigmoid,
        output_activation: Relu,
        coupling,
        clip,
        cell_clip,
        projection_clip,
    }
}

#[test]
fn peepholes_by_hand() {
    let [ln2, ln3, ln4] = [2.0_f64.ln(), 3.0_f64.ln(), 4.0_f64.ln()];
    let c = 2.0;
    // c' = 1/4·2 + 3/4·3/5 = 0.95, which the output gate sees.
    let sums = [ln3 - 0.5 * c, -ln3 - 0.25 * c, ln2, ln4 + 3.0 * 0.95];
    let mut layer = layer_of_one(variant(Coupling::None, [None; 3]), &sums, 0.8, -0.6);
    layer.peepholes = vec![0.5, 0.25, -3.0];
    let step = layer.step(&[0.8], &State { hidden: vec![-0.6], cell: vec![c] });
    assert_close(&step.gates, &[0.75, 0.25, 0.6, 0.8]);
    assert_close(&step.state.cell, &[0.95]);
    assert_close(&step.state.hidden, &[0.8 * 0.95]);
}

#[test]
fn coupled_gates_by_hand() {
    let [ln2, ln3, ln4] = [2.0_f64.ln(), 3.0_f64.ln(), 4.0_f64.ln()];
    // The first gate is 3/4: f is 1/4 or i is 1/4.
    for (coupling, c) in
        [(Coupling::ForgetFromInput, 0.5 + 0.45), (Coupling::InputFromForget, 1.5 + 0.15)]
    {
        let layer = layer_of_one(variant(coupling, [None; 3]), &[ln3, ln2, ln4], 0.8, -0.6);
        let step = layer.step(&[0.8], &State { hidden: vec![-0.6], cell: vec![2.0] });
        assert_close(&step.gates, &[0.75, 0.6, 0.8]);
        assert_close(&step.state.cell, &[c]);
        assert_close(&step.state.hidden, &[0.8 * c]);
    }
    // Peepholes of the gates that are left, in the order i o.
    let mut layer = layer_of_one(
        variant(Coupling::ForgetFromInput, [None; 3]),
        &[ln3 - 1.0, ln2, ln4],
        0.8,
        -0.6,
    );
    layer.peepholes = vec![0.5, 0.0];
    let step = layer.step(&[0.8], &State { hidden: vec![-0.6], cell: vec![2.0] });
    assert_close(&step.gates[..2], &[0.75, 0.6]);
}

#[test]
fn clips_by_hand() {
    let [ln2, ln3] = [2.0_f64.ln(), 3.0_f64.ln()];
    // Sums beyond ln 3 count as ln 3: i = f = 3/4, o = 1/4, and g is within.
    let sums = [9.0, ln3 + 0.1, ln2, -7.0];
    let clips = [Some(ln3), Some(1.5), Some(0.3)];
    let mut layer = layer_of_one(variant(Coupling::None, clips), &sums, 0.8, -0.6);
    let step = layer.step(&[0.8], &State { hidden: vec![-0.6], cell: vec![1.2] });
    assert_close(&step.gates, &[0.75, 0.75, 0.6, 0.25]);
    assert_close(&step.state.cell, &[0.75 * 1.2 + 0.75 * 0.6]);
    let step = layer.step(&[0.8], &State { hidden: vec![-0.6], cell: vec![-9.0] });
    assert_close(&step.state.cell, &[-1.5]);
    layer.projection = vec![-2.0];
    let step = layer.step(&[0.8], &State { hidden: vec![-0.6], cell: vec![9.0] });
    assert_close(&step.units, &[0.25 * 1.5]);
    assert_close(&step.state.hidden, &[-0.3]);
}

#[test]
fn a_projection_by_hand() {
    // Gates of 1/2 everywhere and a candidate of 0: c' = c/2, units = c/4.
    let cell = variant(Coupling::None, [None; 3]);
    let weights = [vec![0.0; 8], vec![0.0; 24], vec![0.0; 8], vec![0.0; 8]];
    let mut layer = Recurrent::new(cell, [1, 2], weights);
    layer.projection = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    assert_eq!((layer.state_size(), layer.zero_state().hidden.len()), (3, 3));
    let before = State { hidden: vec![9.0; 3], cell: vec![4.0, 8.0] };
    let step = layer.step(&[1.0], &before);
    assert_close(&step.state.cell, &[2.0, 4.0]);
    assert_close(&step.units, &[1.0, 2.0]);
    assert_close(&step.state.hidden, &[5.0, 11.0, 17.0]);
    // The recurrent matrix is over the three numbers of h.
    layer.recurrent_weights[2 * 2 * 3..][..3].copy_from_slice(&[0.1, 0.2, 0.3]);
    let before = State { hidden: vec![1.0, 2.0, 3.0], cell: vec![0.0; 2] };
    let step = layer.step(&[1.0], &before);
    assert_close(&step.gates[4..6], &[1.4_f64.tanh(), 0.0]);
}

#[test]
fn a_diagonal_by_hand() {
    let weights = [vec![2.0, -3.0], vec![0.5, -4.0], vec![0.5, 0.25], vec![16.0, -32.0]];
    let mut layer = Recurrent::new(Cell::simple(Linear), [1, 2], weights);
    layer.recurrence = Recurrence::Diagonal;
    let step = layer.step(&[3.0], &State { hidden: vec![1.0, -1.5], cell: vec![] });
    assert_close(&step.state.hidden, &[6.0 + 0.5 + 0.5 + 16.0, -9.0 + 0.25 + 6.0 - 32.0]);
}
