//! What a plan holds, and what making it takes: bytes, counted by the allocator.

mod allocator;

use allocator::measured;
use ritornello::model::{
    Activation, Cell, CellWeights, Dense, Direction, Embedding, GruReset, Matrix, Model, Op,
    Recurrent, RecurrentWeights, ScaleShift,
};
use ritornello::{Isa, Plan, PlanOptions, Threads};

/// Names, shapes and tables of a small plan, which are no weights.
const BESIDE: isize = 4096;

/// Bytes of some numbers.
fn bytes(numbers: usize) -> isize {
    (numbers * size_of::<f32>()).cast_signed()
}

/// Numbers in [-1, 1), never all the same: a cycle of 251.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37) % 251) as f32 / 125.5 - 1.0).collect()
}

fn matrix(rows: usize, columns: usize) -> Matrix {
    Matrix::new(rows, columns, numbers(rows * columns)).unwrap()
}

fn recurrent(cell: Cell, direction: Direction, input_size: usize, size: usize) -> Recurrent {
    let rows = cell.gates().len() * size;
    let weights = || CellWeights {
        input: matrix(rows, input_size),
        recurrent: RecurrentWeights::Matrix(matrix(rows, size)),
        bias: Some(numbers(rows)),
        recurrent_bias: Some(numbers(rows)),
        peepholes: None,
        projection: None,
    };
    let sets = (0..direction.count()).map(|_| weights()).collect();
    Recurrent::new(cell, direction, sets).unwrap()
}

fn stack(cell: Cell, features: usize, size: usize) -> Model {
    Model::chain(features)
        .recurrent(recurrent(cell, Direction::Forward, features, size))
        .recurrent(recurrent(cell, Direction::Forward, size, size))
        .recurrent(recurrent(cell, Direction::Bidirectional, size, size))
        .dense(Dense::new(matrix(30, 2 * size), None, Activation::Softmax).unwrap())
        .build()
        .unwrap()
}

/// Every node that holds weights.
fn graph() -> Model {
    let mut graph = Model::graph();
    let x = graph.indices("x");
    let x = graph.node("table", Op::Embedding(Embedding::new(matrix(500, 96))), &[x]);
    let affine = ScaleShift::new(numbers(96), numbers(96)).unwrap();
    let x = graph.node("scaled", Op::ScaleShift(affine), &[x]);
    let x = graph.recurrent("gru", recurrent(gru(), Direction::Forward, 96, 128), x).sequence;
    let head = Dense::new(matrix(100, 128), Some(numbers(100)), Activation::Tanh).unwrap();
    let y = graph.dense("head", head, x);
    graph.output("y", y);
    graph.build().unwrap()
}

fn gru() -> Cell {
    Cell::gru(GruReset::AfterMatmul)
}

/// A file of our own is read once, and each weight goes from there to where the model has it.
#[cfg(feature = "safetensors")]
#[test]
fn a_file_and_its_model_are_all_that_loading_holds() {
    let model = stack(Cell::LSTM, 90, 128);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("memory.safetensors");
    ritornello::load::save(&model, &path).unwrap();
    let (back, held, peak) = measured(|| ritornello::load(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    assert!(back == model);
    let (weights, most) = (bytes(model.parameters()), bytes(largest_tensor(&model)));
    assert!((weights..weights + 4 * BESIDE).contains(&held), "holds {held}, weights {weights}");
    // Beside both, one tensor on its way: its gates change their order in memory of its own.
    let allowed = 2 * weights + most + 8 * BESIDE;
    assert!(peak <= allowed, "had {peak}, weights {weights}, allowed {allowed}");
}

/// Numbers in the largest group of weights.
#[cfg(feature = "safetensors")]
fn largest_tensor(model: &Model) -> usize {
    let nodes = model.nodes().iter().filter_map(|node| match &node.op {
        Op::Recurrent(layer) => Some(layer),
        _ => None,
    });
    let cells = nodes.flat_map(|layer| layer.weights());
    cells.flat_map(|cell| cell.tensors().map(|t| t.values.len()).collect::<Vec<_>>()).max().unwrap()
}

/// What must hold for any model.
fn check(model: &Model, isa: Isa) -> Plan {
    let options = || PlanOptions::default().isa(isa).threads(Threads::one());
    let (kept, held, _) = measured(|| model.plan(options()).unwrap());
    let explanation = kept.explain();
    let packed = explanation.packed_bytes().cast_signed();
    assert!((packed..packed + BESIDE).contains(&held), "{isa}: holds {held}, states {packed}");
    assert_eq!(explanation.parameters(), model.parameters());
    assert_eq!(explanation.parameter_bytes().cast_signed(), bytes(model.parameters()));
    let total = format!(
        "total: {} parameters of {} bytes, {packed} bytes packed\n",
        model.parameters(),
        explanation.parameter_bytes()
    );
    assert!(explanation.to_string().ends_with(&total), "{explanation}");

    // The copy of the model counts for what is free when it is given up.
    let (given_up, left, most) = measured(|| model.clone().into_plan(options()).unwrap());
    let largest = model.nodes().iter().map(|node| node.op.parameters()).max().unwrap();
    let allowed = packed.max(bytes(model.parameters())) + 2 * bytes(largest) + packed / 20;
    assert!(most <= allowed + BESIDE, "{isa}: takes {most}, not {allowed}");
    assert_eq!(left, held, "{isa}: a plan is the same however it was made");
    assert_eq!(given_up.explain(), explanation);
    given_up
}

#[test]
fn the_counter_counts() {
    let (vec, held, most) = measured(|| {
        drop(std::hint::black_box(vec![1.0_f32; 100]));
        std::hint::black_box(vec![1.0_f32; 8])
    });
    assert_eq!((vec.len(), held, most), (8, 32, 400));
}

#[test]
fn a_plan_holds_what_it_states_and_takes_one_layer_more() {
    for isa in Isa::available() {
        for cell in [Cell::SIMPLE_RNN, Cell::LSTM, gru(), Cell::gru(GruReset::BeforeMatmul)] {
            check(&stack(cell, 40, 130), isa);
            check(&stack(cell, 1, 64), isa);
        }
        check(&graph(), isa);
    }
}

#[test]
fn a_plan_holds_its_weights_and_little_else() {
    for isa in Isa::available() {
        let model = stack(Cell::LSTM, 64, 128);
        let explanation = check(&model, isa).explain();
        let (packed, weights) = (explanation.packed_bytes(), explanation.parameter_bytes());
        // 128 units fill vectors of any level.
        assert!(packed <= weights + weights / 20, "{isa}: {packed} for {weights}");
    }
}

/// Many equal layers: giving the model up takes far less than holding it twice.
#[test]
fn a_model_is_freed_layer_by_layer() {
    for isa in Isa::available() {
        let layer = || recurrent(Cell::LSTM, Direction::Forward, 128, 128);
        let chain = (0..10).fold(Model::chain(128), |chain, _| chain.recurrent(layer()));
        let model = chain.build().unwrap();
        let weights = bytes(model.parameters());
        let options = PlanOptions::default().isa(isa).threads(Threads::one());
        let (_plan, _, most) = measured(|| model.clone().into_plan(options).unwrap());
        assert!(most <= weights * 13 / 10, "{isa}: {most} for {weights}");
    }
}
