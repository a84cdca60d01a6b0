//! Long streams: errors do not pile up, and what bounds them is derived.
//!
//! The reference runs freely in f64, never restarted. Where the weights make a step a contraction its
//! distance is at most the fixed point of `docs/numerics.md`, under "Long runs", however long the run;
//! everywhere single steps of the reference, restarted from our state, are held against the derived
//! tolerance.

use ritornello::model::{
    Activation, Cell, CellWeights, Direction, GruReset, Matrix, Model, Recurrent, RecurrentWeights,
};
use ritornello::{Isa, PlanOptions, Session, Threads};
use ritornello_reference as reference;
use ritornello_reference::{Rounding, State, UNIT_ROUNDOFF, widen};

const INPUTS: usize = 2;
const UNITS: usize = 8;
/// Steps of a call, and of a session's buffers, which is less.
const PIECE: usize = 1000;
const MAX_TIME: usize = 64;

const TANH: Cell = Cell::SIMPLE_RNN;
const RELU: Cell = Cell::simple_rnn(Activation::Relu);
const GRU_AFTER: Cell = Cell::gru(GruReset::AfterMatmul);
const GRU_BEFORE: Cell = Cell::gru(GruReset::BeforeMatmul);

/// Numbers in [-1, 1) from a seed: xorshift64*.
struct Noise(u64);

impl Noise {
    fn numbers(&mut self, count: usize, bound: f32) -> Vec<f32> {
        let mut next = || {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
            bound * (high as f32 / 8_388_608.0 - 1.0)
        };
        (0..count).map(|_| next()).collect()
    }
}

/// One layer for both sides. All weights are in `[-bound, bound]`.
struct Layer {
    cell: Cell,
    input: Vec<f32>,
    recurrent: Vec<f32>,
    bias: Vec<f32>,
    recurrent_bias: Vec<f32>,
}

impl Layer {
    fn random(cell: Cell, input_bound: f32, recurrent_bound: f32) -> Self {
        let (rows, mut noise) = (cell.gates().len() * UNITS, Noise(1));
        Self {
            cell,
            input: noise.numbers(rows * INPUTS, input_bound),
            recurrent: noise.numbers(rows * UNITS, recurrent_bound),
            bias: noise.numbers(rows, input_bound),
            recurrent_bias: noise.numbers(rows, input_bound),
        }
    }

    fn model(&self) -> Model {
        let rows = self.bias.len();
        let weights = CellWeights {
            input: Matrix::new(rows, INPUTS, self.input.clone()).unwrap(),
            recurrent: RecurrentWeights::Matrix(
                Matrix::new(rows, UNITS, self.recurrent.clone()).unwrap(),
            ),
            bias: Some(self.bias.clone()),
            recurrent_bias: Some(self.recurrent_bias.clone()),
            peepholes: None,
            projection: None,
        };
        let layer = Recurrent::new(self.cell, Direction::Forward, vec![weights]).unwrap();
        Model::chain(INPUTS).recurrent(layer).build().unwrap()
    }

    fn reference(&self) -> reference::Recurrent {
        use reference::Activation::{Relu, Sigmoid, Tanh};
        let cell = match self.cell {
            TANH => reference::Cell::simple(Tanh),
            RELU => reference::Cell::simple(Relu),
            Cell::LSTM => reference::Cell::lstm(Tanh, Sigmoid),
            GRU_AFTER => reference::Cell::gru(reference::Reset::AfterProduct, Tanh, Sigmoid),
            GRU_BEFORE => reference::Cell::gru(reference::Reset::BeforeProduct, Tanh, Sigmoid),
            other => panic!("{other:?} is not among the cells"),
        };
        let weights = [&self.input, &self.recurrent, &self.bias, &self.recurrent_bias];
        reference::Recurrent::new(cell, [INPUTS, UNITS], weights.map(|numbers| widen(numbers)))
    }

    /// The greatest of a gate's rows: the sums of magnitudes of U, and of all else for |x| ≤ 1.
    fn gate(&self, gate: usize) -> Gate {
        let sum = |numbers: &[f32]| numbers.iter().map(|x| f64::from(x.abs())).sum::<f64>();
        let mut greatest = Gate { recurrent: 0.0, rest: 0.0, recurrent_bias: 0.0 };
        for row in gate * UNITS..(gate + 1) * UNITS {
            let recurrent_bias = sum(&self.recurrent_bias[row..=row]);
            let input = sum(&self.input[row * INPUTS..][..INPUTS]);
            let rest = input + sum(&self.bias[row..=row]) + recurrent_bias;
            let recurrent = sum(&self.recurrent[row * UNITS..][..UNITS]);
            greatest.recurrent = greatest.recurrent.max(recurrent);
            greatest.rest = greatest.rest.max(rest);
            greatest.recurrent_bias = greatest.recurrent_bias.max(recurrent_bias);
        }
        greatest
    }
}

/// Bounds of one gate's sums.
struct Gate {
    /// ‖U‖: the greatest row sum of magnitudes.
    recurrent: f64,
    /// That of |W| + |b| + |b'|.
    rest: f64,
    recurrent_bias: f64,
}

impl Gate {
    /// Of the sum's magnitudes where |h| ≤ `hidden`.
    fn magnitude(&self, hidden: f64) -> f64 {
        self.rest + self.recurrent * hidden
    }

    /// Of the sum's rounding errors.
    fn error(&self, hidden: f64, rounding: Rounding) -> f64 {
        let sum = reference::Dot { value: 0.0, magnitude: self.magnitude(hidden) };
        reference::dot_tolerance(sum, INPUTS + UNITS, rounding)
    }
}

/// What one step makes of the distances of c and h: `distance' ≤ matrix distance + error`.
struct Contraction {
    matrix: [[f64; 2]; 2],
    error: [f64; 2],
}

impl Contraction {
    /// Of h alone.
    fn of_hidden(factor: f64, error: f64) -> Self {
        Self { matrix: [[0.0, 0.0], [0.0, factor]], error: [0.0, error] }
    }

    /// The bounds of docs/numerics.md.
    fn of(layer: &Layer, rounding: Rounding) -> Self {
        const FUSED_CELL: f64 = 4.5e-7;
        const GENERAL_CELL: f64 = 16.0 * UNIT_ROUNDOFF;
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        match layer.cell {
            TANH => {
                let gate = layer.gate(0);
                Self::of_hidden(gate.recurrent, gate.error(1.0, rounding) + FUSED_CELL)
            }
            RELU => {
                let gate = layer.gate(0);
                let most = gate.rest / (1.0 - gate.recurrent);
                let error = gate.error(most, rounding) + GENERAL_CELL * most.max(1.0);
                Self::of_hidden(gate.recurrent, error)
            }
            Cell::LSTM => {
                let [i, f, g, o] = [0, 1, 2, 3].map(|gate| layer.gate(gate));
                let [ei, ef, eg, eo] = [&i, &f, &g, &o].map(|gate| gate.error(1.0, rounding));
                let [most_i, most_f, most_o] =
                    [&i, &f, &o].map(|gate| sigmoid(gate.magnitude(1.0)));
                let most_c = most_i / (1.0 - most_f);
                let shown = most_c.tanh();
                let through = most_c * f.recurrent / 4.0 + i.recurrent / 4.0 + most_i * g.recurrent;
                let error_c = most_c * ef / 4.0
                    + ei / 4.0
                    + most_i * eg
                    + ei / 4.0 * eg
                    + FUSED_CELL * most_c.max(1.0);
                let error_h = (most_o + eo / 4.0) * error_c + shown * eo / 4.0 + FUSED_CELL;
                Self {
                    matrix: [
                        [most_f, through],
                        [most_o * most_f, most_o * through + shown * o.recurrent / 4.0],
                    ],
                    error: [error_c, error_h],
                }
            }
            GRU_AFTER | GRU_BEFORE => {
                let [z, r, n] = [0, 1, 2].map(|gate| layer.gate(gate));
                let [ez, er, en] = [&z, &r, &n].map(|gate| gate.error(1.0, rounding));
                let most_z = sigmoid(z.magnitude(1.0));
                let after = layer.cell == GRU_AFTER;
                // What r scales, and how much of h reaches n through the product.
                let scaled = if after { n.recurrent + n.recurrent_bias } else { n.recurrent };
                let through = n.recurrent + scaled * r.recurrent / 4.0;
                assert!(through < 1.0, "the candidate contracts: {through}");
                let error_n = en + scaled * (er / 4.0 + FUSED_CELL);
                let error = ez / 2.0 + error_n + ez / 4.0 * error_n + FUSED_CELL;
                let factor = most_z + (1.0 - most_z) * through + z.recurrent / 2.0;
                Self::of_hidden(factor, error)
            }
            other => panic!("{other:?} is not among the cells"),
        }
    }

    /// (I - matrix)⁻¹ error: the distances of c and h that no step leaves.
    fn fixed_point(&self) -> [f64; 2] {
        let [[a, b], [c, d]] = self.matrix;
        let determinant = (1.0 - a) * (1.0 - d) - b * c;
        // Both eigenvalues of a matrix of positive numbers are below 1 if and only if these hold.
        assert!(a < 1.0 && d < 1.0 && determinant > 0.0, "no contraction: {:?}", self.matrix);
        let [x, y] = self.error;
        [((1.0 - d) * x + b * y) / determinant, (c * x + (1.0 - a) * y) / determinant]
    }
}

/// A session of a level beside the reference.
struct Runner {
    isa: Isa,
    session: Session,
    output: Vec<f32>,
    /// The greatest distances of c and h, in the first tenth of the run and after it.
    distances: [[f64; 2]; 2],
}

impl Runner {
    fn rounding(&self) -> Rounding {
        if self.isa == Isa::Portable { Rounding::Separate } else { Rounding::Fused }
    }

    /// h and c.
    fn state(&self) -> State {
        let state = self.session.state().unwrap();
        let of = |end: &str| {
            let array = state.arrays().iter().find(|(name, _)| name.ends_with(end));
            array.map_or(Vec::new(), |(_, array)| widen(array.as_f32().unwrap()))
        };
        State { hidden: of(".h"), cell: of(".c") }
    }

    /// Runs a piece, whose first step is compared with the restarted reference.
    fn run(&mut self, reference: &reference::Recurrent, x: &[f32]) {
        let before = self.state();
        self.session.run_into(x, &mut self.output).unwrap();
        let step = reference.step(&widen(&x[..INPUTS]), &before);
        let tolerance = reference.tolerance(&before, &step, self.rounding());
        for unit in 0..UNITS {
            let error = (f64::from(self.output[unit]) - step.state.hidden[unit]).abs();
            let bound = tolerance.hidden[unit];
            assert!(error <= bound, "{}: a step is off by {error:e} of {bound:e}", self.isa);
        }
    }

    fn compare(&mut self, part: usize, hidden: &[f64], cell: &[f64]) {
        let greatest = |found: &[f64], expected: &[f64]| {
            found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let cells = greatest(&self.state().cell, cell);
        let hiddens = greatest(&widen(&self.output), hidden);
        for (most, distance) in self.distances[part].iter_mut().zip([cells, hiddens]) {
            assert!(!distance.is_nan(), "{}: NaN", self.isa);
            *most = most.max(distance);
        }
    }
}

/// Every level beside one free run of the reference.
fn run(layer: &Layer, steps: usize) -> Vec<Runner> {
    let (model, reference) = (layer.model(), layer.reference());
    let runner = |isa| {
        let options = PlanOptions::default().isa(isa).threads(Threads::one());
        let session = model.plan(options).unwrap().session(1, MAX_TIME).unwrap();
        Runner { isa, session, output: vec![0.0; PIECE * UNITS], distances: [[0.0; 2]; 2] }
    };
    let mut runners: Vec<Runner> = Isa::available().into_iter().map(runner).collect();
    let mut state = reference.zero_state();
    let mut noise = Noise(2);
    for piece in 0..steps / PIECE {
        let x = noise.numbers(PIECE * INPUTS, 1.0);
        let mut hidden = Vec::with_capacity(PIECE * UNITS);
        for x in x.chunks(INPUTS) {
            state = reference.step(&widen(x), &state).state;
            hidden.extend_from_slice(&state.hidden);
        }
        let part = usize::from(piece >= steps / PIECE / 10);
        for runner in &mut runners {
            runner.run(&reference, &x);
            runner.compare(part, &hidden, &state.cell);
        }
    }
    runners
}

/// Weights so small that a step is a contraction, whatever the input.
fn check_contractive(cell: Cell, recurrent_bound: f32, steps: usize) {
    let layer = Layer::random(cell, 0.2, recurrent_bound / UNITS as f32);
    for runner in run(&layer, steps) {
        let bound = Contraction::of(&layer, runner.rounding()).fixed_point();
        for [c, h] in runner.distances {
            println!("{cell:?} on {}: c {c:e}, h {h:e} of {bound:?}", runner.isa);
            assert!(c <= bound[0] && h <= bound[1], "{c:e}, {h:e} of {bound:?}");
            assert!(h > 0.0 && (c > 0.0) == cell.has_cell_state(), "f32 is not f64");
        }
    }
}

/// Weights as PyTorch draws them: no bound of the run, but of its steps, which `run` holds to theirs.
fn check_typical(cell: Cell, steps: usize) {
    let bound = 1.0 / (UNITS as f32).sqrt();
    let layer = Layer::random(cell, bound, bound);
    for runner in run(&layer, steps) {
        let [first, rest] = runner.distances;
        println!("{cell:?} on {}: {first:?} in the first tenth, then {rest:?}", runner.isa);
    }
}

/// How long every run is.
const STEPS: usize = 1_000_000;

/// For each cell the greatest row sum of U with which its step is a contraction by far.
macro_rules! cells {
    ($($name:ident: $cell:expr, $bound:literal;)*) => {
        mod contractive {
            use super::*;
            $(#[test]
            fn $name() {
                check_contractive($cell, $bound, STEPS);
            })*
        }

        mod typical {
            use super::*;
            $(#[test]
            fn $name() {
                check_typical($cell, STEPS);
            })*
        }
    };
}

cells! {
    simple_tanh: TANH, 0.9;
    simple_relu: RELU, 0.9;
    lstm: Cell::LSTM, 0.1;
    gru_after: GRU_AFTER, 0.2;
    gru_before: GRU_BEFORE, 0.2;
}
