//! Cells of a fixed size have the bits of the levels with fused multiply-add, and are right.

mod layer;

use layer::{Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits, fused, noise};
use ritornello_kernels::fixed::{
    FixedDense, FixedGru, FixedLstm, FixedRnn, FixedSource, HiddenState, LstmState, activate,
};
use ritornello_kernels::{
    Activation, Cell, Gru, GruReset, Kernels, MatrixSource, Precision, SimpleRnn, View, ViewMut,
};
use ritornello_reference::{Rounding, State, widen};

const RELU: Cell = Cell::simple_rnn(Activation::Relu);
const KINDS: [Cell; 5] = [RNN, RELU, LSTM, GRU_AFTER, GRU_BEFORE];

/// The levels whose bits the cells of a fixed size have.
fn levels() -> Vec<&'static Kernels> {
    let levels: Vec<_> = Kernels::available().into_iter().filter(|level| fused(level)).collect();
    if levels.is_empty() {
        println!("compared nothing: this CPU has no level with fused multiply-add");
    }
    levels
}

/// A cell of a fixed size and its state.
enum Fixed<const I: usize, const H: usize> {
    Lstm(Box<FixedLstm<I, H>>, LstmState<H>),
    Gru(Box<FixedGru<I, H>>, HiddenState<H>),
    Rnn(Box<FixedRnn<I, H>>, HiddenState<H>),
}

impl<const I: usize, const H: usize> Fixed<I, H> {
    fn of(layer: &Layer) -> Self {
        let source = FixedSource {
            input_weights: &layer.input_weights,
            recurrent_weights: &layer.recurrent_weights,
            bias: layer.bias.as_deref(),
            recurrent_bias: layer.recurrent_bias.as_deref(),
        };
        let hidden = layer.hidden[..].try_into().unwrap();
        match layer.kind {
            Cell::Lstm(_) => {
                let state = LstmState { hidden, cell: layer.cell[..].try_into().unwrap() };
                Self::Lstm(Box::new(FixedLstm::new(source).unwrap()), state)
            }
            Cell::Gru(Gru { reset, .. }) => {
                let cell = FixedGru::new(source, reset).unwrap();
                Self::Gru(Box::new(cell), HiddenState { hidden })
            }
            Cell::SimpleRnn(SimpleRnn { activation, .. }) => {
                let new = match activation {
                    Activation::Tanh => FixedRnn::tanh,
                    Activation::Relu => FixedRnn::relu,
                    other => panic!("{other} has no cell of a fixed size"),
                };
                Self::Rnn(Box::new(new(source).unwrap()), HiddenState { hidden })
            }
        }
    }

    /// One step: h, and c if there is one.
    fn step(&mut self, x: &[f32]) -> [Vec<f32>; 2] {
        let x = x.try_into().unwrap();
        match self {
            Self::Lstm(cell, state) => {
                let shown = cell.step(x, state).to_vec();
                [shown, state.cell.to_vec()]
            }
            Self::Gru(cell, state) => [cell.step(x, state).to_vec(), Vec::new()],
            Self::Rnn(cell, state) => [cell.step(x, state).to_vec(), Vec::new()],
        }
    }
}

/// Compares every step with the levels, which take the same steps one by one and all at once.
fn check_bits<const I: usize, const H: usize>(layer: &Layer, what: &str) {
    for kernels in levels() {
        let packed = layer.packed(kernels);
        let whole = layer.run_packed(kernels, &packed);
        let mut fixed = Fixed::<I, H>::of(layer);
        let mut now = layer.clone();
        for t in 0..layer.time {
            let step = now.steps(t, t + 1);
            let expected = step.run_packed(kernels, &packed);
            let [hidden, cell] = fixed.step(&step.input);
            let of = |what: &str| format!("{what} of step {t} on {}", kernels.isa());
            assert_eq!(bits(&hidden), bits(&expected.hidden), "{what}: {}", of("h"));
            assert_eq!(bits(&cell), bits(&expected.cell), "{what}: {}", of("c"));
            let in_one = &whole.output[t * H..][..H];
            assert_eq!(bits(&hidden), bits(in_one), "{what}: {}", of("the output"));
            (now.hidden, now.cell) = (expected.hidden, expected.cell);
        }
    }
}

/// Every step from the cell's own state, within the derived tolerance.
fn check_truth<const I: usize, const H: usize>(layer: &Layer, what: &str) {
    let reference = layer.reference();
    let mut fixed = Fixed::<I, H>::of(layer);
    let mut before = State::from_f32(&layer.hidden, &layer.cell);
    for t in 0..layer.time {
        let x = &layer.input[t * I..][..I];
        let expected = reference.step(&widen(x), &before);
        let tolerance = reference.tolerance(&before, &expected, Rounding::Fused);
        let [hidden, cell] = fixed.step(x);
        for (name, found, expected, bounds) in [
            ("h", &hidden, expected.state.hidden, tolerance.hidden),
            ("c", &cell, expected.state.cell, tolerance.cell),
        ] {
            for unit in 0..found.len() {
                let error = (f64::from(found[unit]) - expected[unit]).abs();
                let bound = bounds[unit];
                assert!(error <= bound, "{what}: {name}[{unit}] of step {t} is off by {error:e}");
            }
        }
        before = State::from_f32(&hidden, &cell);
    }
}

fn check<const I: usize, const H: usize>() {
    for (seed, kind) in (1..).zip(KINDS) {
        for biases in [[false, false], [true, false], [false, true], [true, true]] {
            let what = format!("{kind:?} of {I} features and {H} units, biases {biases:?}");
            let mut layer = Layer::random(kind, Extras::NONE, biases, [I, H, 12, 1], seed);
            check_truth::<I, H>(&layer, &what);
            // What is too small to count, gates that saturate, and one infinite feature.
            layer.recurrent_weights[0] = 1e-30;
            layer.input_weights[0] = -1e-38;
            layer.hidden[0] = 1e-40;
            layer.input[2 * I..5 * I].fill(60.0);
            layer.input[5 * I..7 * I].fill(0.0);
            layer.input[8 * I] = f32::MIN_POSITIVE / 4.0;
            if I > 1 && kind != RELU {
                layer.input[9 * I] = f32::INFINITY;
            }
            check_bits::<I, H>(&layer, &what);
        }
    }
}

/// One test for each size, so that they run side by side.
macro_rules! sizes {
    ($($name:ident: $($input:literal)* => $hidden:literal;)*) => {
        $(#[test]
        fn $name() {
            $(check::<$input, $hidden>();)*
        })*
    };
}

sizes! {
    one_unit: 1 5 => 1;
    two_units: 1 3 => 2;
    three_units: 1 5 => 3;
    four_units: 1 2 => 4;
    eight_units: 1 8 => 8;
    sixteen_units: 1 9 => 16;
    seventeen_units: 1 5 => 17;
    thirty_two_units: 1 17 => 32;
    forty_units: 1 40 => 40;
    forty_eight_units: 24 => 48;
    sixty_four_units: 1 7 => 64;
    sixty_five_units: 1 3 => 65;
}

/// A state that fades is flushed, in the same step as on any level.
#[test]
fn a_state_fades_to_zero() {
    let half = [(0.0, 0.0); 4];
    for kind in [LSTM, GRU_AFTER, GRU_BEFORE] {
        let gates = &half[..kind.gates().len()];
        let mut layer = Layer::with_gates(kind, [5, 130, 1], gates);
        layer.cell.iter_mut().for_each(|c| *c = c.abs() + 0.5);
        layer.hidden.iter_mut().for_each(|h| *h = -h.abs() - 0.5);
        check_bits::<3, 5>(&layer, "fading");
        let mut fixed = Fixed::<3, 5>::of(&layer);
        let mut last = Default::default();
        for x in layer.input.chunks(3) {
            last = fixed.step(x);
        }
        let [hidden, cell] = last;
        assert!(
            hidden.iter().chain(&cell).all(|state| state.to_bits() == 0),
            "{kind:?}: {last:?}",
            last = [hidden, cell]
        );
    }
}

#[test]
fn a_reset_state_is_that_of_the_beginning() {
    let layer = Layer::random(LSTM, Extras::NONE, [true, true], [2, 9, 3, 1], 1);
    let Fixed::Lstm(cell, mut state) = Fixed::<2, 9>::of(&layer) else { unreachable!() };
    state.reset();
    assert_eq!(state, LstmState::default());
    let first = *cell.step(&[0.5, -1.0], &mut state);
    cell.step(&[1.5, 2.0], &mut state);
    state.reset();
    assert_eq!(bits(cell.step(&[0.5, -1.0], &mut state)), bits(&first));
    let mut state = HiddenState { hidden: [1.0; 4] };
    state.reset();
    assert_eq!(state, HiddenState::ZERO);
}

#[test]
fn a_dense_layer_and_activations_have_the_bits_of_the_head() {
    fn check<const I: usize, const O: usize>() {
        let mut next = noise(7);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| 4.0 * next()).collect() };
        let (mut weights, bias, x) = (draw(I * O), draw(O), draw(I));
        weights[0] = 1e-30;
        for bias in [None, Some(&bias[..])] {
            let layer = FixedDense::<I, O>::new(&weights, bias).unwrap();
            let found = layer.apply(x[..].try_into().unwrap());
            for kernels in levels() {
                let source = MatrixSource { weights: &weights, bias, depth: I };
                let packed = kernels.pack_dense(&source, O, Precision::F32);
                let mut y = vec![0.0; O];
                let input = View::time_major(&x, [1, 1, I]);
                kernels.dense(&packed, input, ViewMut::time_major(&mut y, [1, 1, O]));
                assert_eq!(bits(&found), bits(&y), "{I} to {O} on {}", kernels.isa());
                for activation in Activation::ALL {
                    let (mut found, mut expected) = (found, y.clone());
                    let outcome = activate(activation, &mut found);
                    assert_eq!(outcome.is_err(), activation.works_on_rows(), "{activation}");
                    if outcome.is_ok() {
                        let view = ViewMut::time_major(&mut expected, [1, 1, O]);
                        kernels.activate(activation, view);
                    }
                    let what = format!("{activation} of {O} numbers on {}", kernels.isa());
                    assert_eq!(bits(&found), bits(&expected), "{what}");
                }
            }
        }
    }
    check::<1, 1>();
    check::<40, 1>();
    check::<17, 5>();
    check::<600, 33>();
}

/// Each operand that does not fit is named, with what was expected.
#[test]
fn wrong_lengths_are_named() {
    let numbers = [0.5; 64];
    let source = FixedSource {
        input_weights: &numbers[..16],
        recurrent_weights: &numbers,
        bias: None,
        recurrent_bias: Some(&numbers[..16]),
    };
    assert!(FixedLstm::<1, 4>::new(source).is_ok());
    let message = |source| FixedLstm::<1, 4>::new(source).unwrap_err().to_string();
    assert_eq!(
        message(FixedSource { input_weights: &numbers[..15], ..source }),
        "FixedLstm: input_weights has 15 numbers, expected 16 of [4×hidden=16, input=1]"
    );
    assert_eq!(
        message(FixedSource { recurrent_weights: &numbers[..63], ..source }),
        "FixedLstm: recurrent_weights has 63 numbers, expected 64 of [4×hidden=16, hidden=4]"
    );
    assert_eq!(
        message(FixedSource { bias: Some(&numbers[..4]), ..source }),
        "FixedLstm: bias has 4 numbers, expected 16 of [4×hidden=16]"
    );
    assert_eq!(
        message(FixedSource { recurrent_bias: Some(&numbers[..17]), ..source }),
        "FixedLstm: recurrent_bias has 17 numbers, expected 16 of [4×hidden=16]"
    );
    let reset = GruReset::AfterMatmul;
    assert_eq!(
        FixedGru::<1, 4>::new(source, reset).unwrap_err().to_string(),
        "FixedGru: input_weights has 16 numbers, expected 12 of [3×hidden=12, input=1]"
    );
    assert_eq!(
        FixedRnn::<4, 4>::tanh(source).unwrap_err().to_string(),
        "FixedRnn: recurrent_weights has 64 numbers, expected 16 of [hidden=4, hidden=4]"
    );
    assert_eq!(
        FixedDense::<3, 5>::new(&numbers, None).unwrap_err().to_string(),
        "FixedDense: weights has 64 numbers, expected 15 of [output=5, input=3]"
    );
    assert_eq!(
        FixedDense::<8, 8>::new(&numbers, Some(&numbers)).unwrap_err().to_string(),
        "FixedDense: bias has 64 numbers, expected 8 of [output=8]"
    );
    assert_eq!(
        activate(Activation::Softmax, &mut [0.0; 3]).unwrap_err().to_string(),
        "softmax works on whole rows, expected an activation of single numbers: take the numbers \
         before it"
    );
}
