//! The floor of a plan on a machine whose numbers are round, reckoned by hand.

use ritornello::model::{
    Activation, Cell, CellWeights, Dense, Direction, GruReset, Matrix, Model, Recurrent,
    RecurrentWeights,
};
use ritornello::plan::{Calibration, Limit, Machine, StageFloor, Threads};
use ritornello::{Isa, PlanOptions, Precision};

const INPUTS: usize = 3;
const UNITS: usize = 5;
const TIME: usize = 4;

/// Peak 10 GFLOP/s; a multiply-add takes 1 ns, a division 5, a number through memory 3, a number to
/// another thread 7. The sizes that the tests ask for are read at 1, 2 or 4 GB/s.
fn machine(cores: usize, bandwidths: &[(usize, f64)]) -> Machine {
    let calibration = Calibration {
        peak_gflops: 10.0,
        split_gflops: 0.0,
        fma_latency: 1.0,
        division_latency: 5.0,
        division_interval: 2.0,
        store_to_load: 3.0,
    };
    let mut machine = Machine::new(Isa::Portable, cores, calibration, Some(7.0)).unwrap();
    for &(bytes, bandwidth) in bandwidths {
        machine = machine.with_read_bandwidth(bytes, bandwidth);
    }
    machine
}

fn layer(cell: Cell, direction: Direction) -> Recurrent {
    layer_on(INPUTS, cell, direction)
}

fn layer_on(inputs: usize, cell: Cell, direction: Direction) -> Recurrent {
    layer_of([inputs, UNITS], cell, direction)
}

fn layer_of([inputs, units]: [usize; 2], cell: Cell, direction: Direction) -> Recurrent {
    let rows = cell.gates().len() * units;
    let matrix = |columns| Matrix::new(rows, columns, vec![0.5; rows * columns]).unwrap();
    let weights = CellWeights {
        input: matrix(inputs),
        recurrent: RecurrentWeights::Matrix(matrix(units)),
        bias: None,
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    };
    Recurrent::new(cell, direction, vec![weights; direction.count()]).unwrap()
}

fn model(cell: Cell, direction: Direction) -> Model {
    Model::chain(INPUTS).recurrent(layer(cell, direction)).build().unwrap()
}

/// The floors of a model's stages, and the bytes of recurrent weights.
fn floor(
    model: &Model,
    threads: usize,
    machine: &mut Machine,
    batch: usize,
) -> (Vec<StageFloor>, f64) {
    let threads = Threads::new(threads).unwrap();
    let plan = model.plan(PlanOptions::default().isa(Isa::Portable).threads(threads)).unwrap();
    let floor = plan.floor(machine, batch, TIME);
    let sum: f64 = floor.stages.iter().map(StageFloor::nanoseconds).sum();
    assert_eq!(floor.nanoseconds(), sum);
    (floor.stages, floor.recurrent_bytes)
}

#[track_caller]
fn assert_terms(stage: &StageFloor, expected: [f64; 5], limit: Limit) {
    let terms = [stage.projection, stage.arithmetic, stage.bytes, stage.latency, stage.hand_overs];
    for (found, expected) in terms.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-9 * expected.max(1.0), "{terms:?}");
    }
    assert_eq!(stage.limit(), limit, "{terms:?}");
}

#[test]
fn an_lstm_with_one_thread() {
    let model = model(Cell::LSTM, Direction::Forward);
    // U 4·5·5·4, W 4·5·3·4, X 2·4·3·4, Y 2·4·5·4 bytes.
    let mut machine = machine(2, &[(400, 4.0), (240, 2.0), (96, 1.0), (160, 1.0)]);
    let (stages, recurrent) = floor(&model, 1, &mut machine, 2);
    assert_eq!((stages.len(), recurrent), (1, 4.0 * 400.0));
    // Projection: 8 rows × 2·20·3 / 10 = 96, or 120 + 96. Recurrence: 8 rows × (2·20·5 + 2·72·5) / 10;
    // 4·100 + 160; 4 × (⌈5 / 4⌉ + 3 + 2·14).
    assert_terms(&stages[0], [216.0, 736.0, 560.0, 132.0, 0.0], Limit::Arithmetic);
    assert_eq!(stages[0].nanoseconds(), 216.0 + 736.0);
}

#[test]
fn cells_differ() {
    // One row: U 25, W 15 numbers for each gate, X 12, Y 20; read at 4 GB/s: a number each ns.
    let read = [25, 15, 75, 45, 12, 20].map(|numbers| (4 * numbers, 4.0));
    let cells = [
        (Cell::SIMPLE_RNN, 1.0, 18.0, 4.0 * (2.0 + 3.0 + 14.0)),
        (Cell::simple_rnn(Activation::Relu), 1.0, 3.0, 4.0 * (2.0 + 3.0)),
        (Cell::gru(GruReset::AfterMatmul), 3.0, 44.0, 4.0 * (2.0 + 3.0 + 28.0)),
        (Cell::gru(GruReset::BeforeMatmul), 3.0, 44.0, 4.0 * (2.0 * 5.0 + 28.0)),
    ];
    for (cell, gates, operations, latency) in cells {
        let mut machine = machine(1, &read);
        let (stages, _) = floor(&model(cell, Direction::Forward), 1, &mut machine, 1);
        // Reading takes longer than 4 × 2·15 / 10 for each gate.
        let projection = gates * 15.0 + 12.0;
        let arithmetic: f64 = 4.0 * (2.0 * gates * 25.0 + 2.0 * operations * 5.0) / 10.0;
        let bytes = 4.0 * gates * 25.0 + 20.0;
        let limit =
            [(arithmetic, Limit::Arithmetic), (bytes, Limit::Bytes), (latency, Limit::Latency)]
                .into_iter()
                .max_by(|one, other| f64::total_cmp(&one.0, &other.0));
        assert_terms(&stages[0], [projection, arithmetic, bytes, latency, 0.0], limit.unwrap().1);
    }
}

#[test]
fn an_identity_is_read_and_summed_by_nobody() {
    let weights = CellWeights {
        input: Matrix::new(UNITS, INPUTS, vec![0.5; UNITS * INPUTS]).unwrap(),
        recurrent: RecurrentWeights::Identity,
        bias: None,
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    };
    let layer = Recurrent::new(Cell::SIMPLE_RNN, Direction::Forward, vec![weights]).unwrap();
    let model = Model::chain(INPUTS).recurrent(layer).build().unwrap();
    let mut machine = machine(1, &[(60, 4.0), (48, 4.0), (80, 4.0)]);
    let (stages, recurrent) = floor(&model, 1, &mut machine, 1);
    assert_eq!(recurrent, 0.0);
    assert_terms(&stages[0], [27.0, 72.0, 20.0, 56.0, 0.0], Limit::Arithmetic);
}

#[test]
fn two_directions_add_up_on_one_core_and_not_on_two() {
    let model = model(Cell::LSTM, Direction::Bidirectional);
    let read = [(400, 4.0), (240, 2.0), (48, 1.0), (80, 1.0)];
    let (one, recurrent) = floor(&model, 1, &mut machine(2, &read), 1);
    assert_eq!(recurrent, 2.0 * 4.0 * 400.0);
    assert_terms(&one[0], [336.0, 736.0, 960.0, 264.0, 0.0], Limit::Bytes);
    let (two, _) = floor(&model, 2, &mut machine(2, &read), 1);
    assert_terms(&two[0], [168.0, 368.0, 480.0, 132.0, 0.0], Limit::Bytes);
    let (busy, _) = floor(&model, 2, &mut machine(1, &read), 1);
    assert_eq!(busy, one, "a thread without a core counts for nothing");
}

#[test]
fn threads_share_units_where_that_is_faster() {
    let model = model(Cell::LSTM, Direction::Forward);
    // One row: only units can be shared. Half of U is read at once, and 4 hand-overs are waited for.
    let ends = [(240, 4.0), (120, 4.0), (48, 4.0), (24, 4.0), (80, 4.0), (40, 4.0)];
    let read = [&[(400, 1.0), (200, 2.0)], &ends[..]].concat();
    let (stages, _) = floor(&model, 2, &mut machine(2, &read), 1);
    assert_terms(&stages[0], [36.0, 184.0, 410.0, 132.0, 28.0], Limit::Bytes);
    assert_eq!(stages[0].nanoseconds(), 474.0);
    // No faster by parts: then one thread does it all.
    let slow = [&[(400, 4.0), (200, 0.5)], &ends[..]].concat();
    let (stages, _) = floor(&model, 2, &mut machine(2, &slow), 1);
    assert_terms(&stages[0], [72.0, 368.0, 420.0, 132.0, 0.0], Limit::Bytes);
    // Two rows: each thread reads all weights for its own.
    let (stages, _) = floor(&model, 2, &mut machine(2, &slow), 2);
    assert_terms(&stages[0], [72.0, 368.0, 420.0, 132.0, 0.0], Limit::Bytes);
}

#[test]
fn layers_of_a_stack_run_at_once_on_threads() {
    let stack = |direction| {
        Model::chain(INPUTS)
            .recurrent(layer(Cell::LSTM, Direction::Forward))
            .recurrent(layer_on(UNITS, Cell::LSTM, direction))
            .build()
            .unwrap()
    };
    // One row; half of U is read slowly, so units are better left together.
    let ends = [(240, 4.0), (120, 4.0), (48, 4.0), (24, 4.0), (80, 4.0), (40, 4.0)];
    let read = [&[(400, 4.0), (200, 0.1)], &ends[..]].concat();
    // The second layer: W 100 and X 20 numbers.
    let alone = [[72.0, 368.0, 420.0, 132.0, 0.0], [120.0, 368.0, 420.0, 132.0, 0.0]];
    let halved = alone.map(|terms| terms.map(|term| term / 2.0));
    for (direction, threads, expected) in [
        (Direction::Forward, 1, alone),
        (Direction::Forward, 2, halved),
        // The last step of the lower layer is the first of the upper.
        (Direction::Reverse, 2, alone),
    ] {
        let (stages, _) = floor(&stack(direction), threads, &mut machine(2, &read), 1);
        for (stage, expected) in stages.iter().zip(expected) {
            assert_terms(stage, expected, Limit::Bytes);
        }
    }
    // A single step has no other layer beside it: X 12, 20 and Y 20 bytes, whole and in halves.
    let step = [(12, 4.0), (20, 4.0), (8, 4.0), (400, 4.0), (200, 0.1), (240, 4.0), (120, 4.0)];
    let options = PlanOptions::default().isa(Isa::Portable).threads(Threads::new(2).unwrap());
    let plan = stack(Direction::Forward).plan(options).unwrap();
    let floor = plan.floor(&mut machine(2, &step), 1, 1);
    assert_terms(&floor.stages[0], [63.0, 92.0, 105.0, 33.0, 0.0], Limit::Bytes);
    assert_terms(&floor.stages[1], [105.0, 92.0, 105.0, 33.0, 0.0], Limit::Bytes);
}

#[test]
fn the_larger_part_names_the_limit() {
    let model = model(Cell::SIMPLE_RNN, Direction::Forward);
    // U 1 each step, W 15, X 48 / 0.1, Y 20: the projection reads for longer than the rest takes.
    let mut read = [(100, 100.0), (60, 4.0), (48, 0.1), (80, 4.0)];
    let (stages, _) = floor(&model, 1, &mut machine(1, &read), 1);
    assert_terms(&stages[0], [495.0, 92.0, 24.0, 76.0, 0.0], Limit::Bytes);
    assert_eq!(stages[0].nanoseconds(), 587.0);
    read[2] = (48, 4.0);
    let (stages, _) = floor(&model, 1, &mut machine(1, &read), 1);
    assert_terms(&stages[0], [27.0, 92.0, 24.0, 76.0, 0.0], Limit::Arithmetic);
}

#[test]
fn stages_add_up_and_the_greatest_names_the_limit() {
    let head = Dense::new(Matrix::new(2, UNITS, vec![0.5; 10]).unwrap(), None, Activation::Linear);
    let model = Model::chain(INPUTS)
        .recurrent(layer(Cell::SIMPLE_RNN, Direction::Forward))
        .dense(head.unwrap())
        .build()
        .unwrap();
    // Of the layer U 100, W 60, X 48, Y 80 bytes; of the head 40 and 4·(5 + 2)·4.
    let read = [(100, 4.0), (60, 4.0), (48, 4.0), (80, 4.0), (40, 4.0), (112, 0.25)];
    let plan = model.plan(PlanOptions::default().isa(Isa::Portable)).unwrap();
    let floor = plan.floor(&mut machine(1, &read), 1, TIME);
    assert_terms(&floor.stages[0], [27.0, 92.0, 120.0, 76.0, 0.0], Limit::Bytes);
    assert_terms(&floor.stages[1], [0.0, 8.0, 458.0, 0.0, 0.0], Limit::Bytes);
    assert_eq!(floor.nanoseconds(), 605.0);
    assert_eq!(floor.limit(), Some(Limit::Bytes));
    // As bytes U and W have a quarter, the head as many as before.
    let read = [(25, 4.0), (15, 4.0), (48, 4.0), (80, 4.0), (40, 4.0), (112, 0.25)];
    let options = PlanOptions::default().isa(Isa::Portable).precision(Precision::Int8);
    let floor = model.plan(options).unwrap().floor(&mut machine(1, &read), 1, TIME);
    assert_terms(&floor.stages[0], [15.75, 92.0, 45.0, 72.0, 0.0], Limit::Arithmetic);
    assert_terms(&floor.stages[1], [0.0, 8.0, 458.0, 0.0, 0.0], Limit::Bytes);
}

/// A step waits for one term after the other of 70, or of as many bytes for 18 words and a quarter of that
/// time for each.
#[test]
fn sums_of_bytes_are_short_chains() {
    let layer = layer_of([INPUTS, 70], Cell::SIMPLE_RNN, Direction::Forward);
    let model = Model::chain(INPUTS).recurrent(layer).build().unwrap();
    for (precision, bytes, terms) in [(Precision::F32, 4, 70.0), (Precision::Int8, 1, 5.0)] {
        let options = PlanOptions::default().isa(Isa::Portable).precision(precision);
        let bytes = bytes * 70;
        let read = [(bytes * 70, 4.0), (bytes * INPUTS, 4.0), (48, 4.0), (1120, 4.0)];
        let floor = model.plan(options).unwrap().floor(&mut machine(1, &read), 1, TIME);
        assert_eq!(floor.stages[0].latency, 4.0 * (terms + 3.0 + 14.0), "{precision}");
    }
}

#[test]
fn this_machine_can_be_measured() {
    for isa in Isa::available() {
        let mut machine = Machine::measure(isa).unwrap();
        assert_eq!(machine.isa(), isa);
        let is_measure = |value: f64| value.is_finite() && value > 0.0;
        assert!(is_measure(machine.read_bandwidth(16 << 10)), "{machine:?}");
        assert!(machine.hand_over().is_none_or(is_measure), "{machine:?}");
        assert!(is_measure(machine.peak_gflops_together(2)), "{machine:?}");
        let plan =
            model(Cell::LSTM, Direction::Forward).plan(PlanOptions::default().isa(isa)).unwrap();
        assert!(is_measure(plan.floor(&mut machine, 1, TIME).nanoseconds()));
    }
}
