//! A model whose parts do not fit is refused when it is built, with what, where, expected and found.

mod models;
mod refusal;

use models::layer;
use refusal::{lstm, refused, zeros};
use ritornello::model::{
    Activation, Cell, CellWeights, Coupling, Dense, Direction, Element, Embedding, Extent, Gru,
    GruReset, Lstm, MaskRule, Matrix, Merge, Op, Recurrent, RecurrentWeights, ScaleShift, Select,
    Shape,
};
use ritornello::{Array, Error, Model, keras, pytorch};

#[test]
fn arrays_have_as_many_numbers_as_they_say() {
    refused(Array::new(&[2, 3], vec![0.0; 5]), &["[2, 3]", "6 values", "5 values"]);
    refused(Array::from_indices(&[4], vec![0; 5]), &["[4]", "4 values", "5 values"]);
    refused(Array::new(&[usize::MAX, 2], Vec::new()), &["an array", "0 values"]);
    assert!(
        Array::new(&[usize::MAX, 0, 2], Vec::new()).is_err() || cfg!(target_pointer_width = "64")
    );
    refused(Matrix::new(2, 3, vec![0.0; 5]), &["a matrix", "2 × 3", "5"]);
    refused(Matrix::new(usize::MAX, 2, Vec::new()), &["a matrix", "0 values"]);
    refused(Matrix::from_transposed(2, 3, &[0.0; 5]), &["a matrix", "5"]);
}

#[test]
fn names_are_given_once() {
    let build = |inputs: [&str; 2], nodes: [&str; 2], outputs: [&str; 2]| {
        let mut graph = Model::graph();
        let a = graph.sequence(inputs[0], 3);
        let b = graph.sequence(inputs[1], 3);
        let c = graph.activation(nodes[0], Activation::Tanh, a);
        let d = graph.activation(nodes[1], Activation::Tanh, b);
        graph.output(outputs[0], c);
        graph.output(outputs[1], d);
        graph.build()
    };
    assert!(build(["a", "b"], ["c", "d"], ["e", "f"]).is_ok());
    refused(build(["a", "a"], ["c", "d"], ["e", "f"]), &["two inputs", "'a'"]);
    refused(build(["a", "b"], ["c", "c"], ["e", "f"]), &["two nodes", "'c'"]);
    refused(build(["a", "b"], ["c", "d"], ["e", "e"]), &["two outputs", "'e'"]);
    refused(Model::graph().build(), &["outputs", "at least 1", "0"]);
}

#[test]
fn values_must_exist_and_fit() {
    let mut other = Model::graph();
    let x = other.sequence("x", 3);
    let stranger = other.activation("far", Activation::Tanh, x);
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    graph.output("y", stranger);
    refused(graph.clone().build(), &["value", "node 0", "x"]);
    let values = graph.recurrent("gru", layer(Cell::SIMPLE_RNN, Direction::Forward, [3, 2], 1), x);
    graph.output("c", values.c_n);
    refused(graph.build(), &["value", "gru.c_n"]);

    let node = |op: Op, features: usize| {
        let mut graph = Model::graph();
        let x = graph.sequence("x", features);
        let v = graph.vector("v", 2);
        let y = graph.node("here", op, &[x]);
        let z = graph.node("there", Op::Add, &[y, v]);
        graph.output("z", z);
        graph.build()
    };
    let dense = || {
        let weights = Matrix::new(2, 4, vec![0.0; 8]).unwrap();
        Op::Dense(Dense::new(weights, None, Activation::Linear).unwrap())
    };
    let affine = || Op::ScaleShift(ScaleShift::new(vec![1.0; 4], vec![0.0; 4]).unwrap());
    refused(node(dense(), 3), &["here", "dense", "4 features", "time, 3]"]);
    refused(node(affine(), 3), &["here", "scale_shift", "4 features", "time, 3]"]);
    refused(node(dense(), 4), &["there", "add", "of one kind", "time, 2]", "[batch, 2]"]);
    refused(node(Op::Recurrent(lstm()), 4), &["here", "lstm", "time, 3]", "time, 4]"]);
    refused(node(Op::Flatten, 3), &["here", "flatten", "fixed number of steps"]);
    refused(node(Op::Repeat { steps: 2 }, 3), &["here", "repeat", "[batch, features]"]);
    refused(node(Op::Stack, 3), &["here", "stack", "a state"]);
    let features = Op::Select(Select::Features { start: 1, end: 4 });
    refused(node(features, 3), &["here", "select", "Features", "time, 3]"]);
    refused(node(Op::Select(Select::State(0)), 3), &["here", "State(0)", "time, 3]"]);
    let table = Embedding::new(Matrix::new(5, 2, vec![0.0; 10]).unwrap());
    refused(node(Op::Embedding(table), 1), &["here", "'x'", "indices", "numbers"]);
    refused(node(Op::Masked, 3), &["here", "masked", "a sequence and its mask", "time, 3]"]);
    let rule = Op::Mask(MaskRule::IndexDiffers(0));
    refused(node(rule, 1), &["here", "'x'", "indices", "numbers"]);
    for op in [Op::Recurrent(lstm()), Op::MeanOverTime, Op::Masked] {
        // Of another sequence, and of several features.
        for (features, found) in [(1, "[batch, time, 1]"), (4, "[batch, time, 4]")] {
            let mut graph = Model::graph();
            let x = graph.sequence("x", 4);
            let mask = if features == 1 { graph.sequence("other", 1) } else { x };
            let y = graph.node("here", op.clone(), &[x, mask]);
            graph.output("y", y);
            refused(graph.build(), &["here", "the mask", "of the same sequence", found]);
        }
    }
    let mut graph = Model::graph();
    let v = graph.vector("v", 4);
    let mask = graph.mask("here", MaskRule::AnyDiffers(0.0), v);
    graph.output("y", mask);
    refused(graph.build(), &["here", "mask", "a sequence", "[batch, 4]"]);
    let mut graph = Model::graph();
    let v = graph.vector("v", 2);
    let none = graph.node("none", Op::Unroll { steps: 0 }, &[v]);
    graph.output("y", none);
    refused(graph.build(), &["none", "unroll", "steps", "at least 1"]);
    let mut graph = Model::graph();
    let empty = graph.sequence("x", 0);
    graph.output("y", empty);
    refused(graph.build(), &["input 'x'", "1 to", "0]"]);
    let mut graph = Model::graph();
    let other = Shape::Sequence { time: Extent::Input(3), features: 2 };
    let x = graph.input("x", other, Element::F32);
    graph.output("y", x);
    refused(graph.build(), &["input 'x'", "its own", "input 3"]);
    let mut graph = Model::graph();
    let ids = graph.indices("ids");
    graph.output("y", ids);
    refused(graph.build(), &["output 'y'", "indices"]);
}

#[test]
fn initial_states_must_fit() {
    let build = |directions: usize, hidden: usize, count: usize| {
        let mut graph = Model::graph();
        let x = graph.sequence("x", 3);
        let states: Vec<_> =
            (0..count).map(|i| graph.states(&format!("s{i}"), directions, hidden)).collect();
        let values = graph.recurrent_from("encoder", lstm(), x, &states);
        graph.output("y", values.sequence);
        graph.build()
    };
    assert!(build(1, 5, 2).is_ok());
    refused(build(1, 5, 1), &["encoder", "initial states", "h and c"]);
    refused(build(1, 5, 3), &["encoder", "initial states", "h and c"]);
    refused(build(2, 5, 2), &["encoder", "directions=1", "hidden=5", "states=2"]);
    refused(build(1, 4, 2), &["encoder", "hidden=5", "batch, 4]"]);
}

#[test]
fn weights_must_fit() {
    let weights = |rows: usize, input: usize, recurrent: [usize; 2], bias: usize| CellWeights {
        input: Matrix::new(rows, input, vec![0.0; rows * input]).unwrap(),
        recurrent: RecurrentWeights::Matrix(
            Matrix::new(recurrent[0], recurrent[1], vec![0.0; recurrent[0] * recurrent[1]])
                .unwrap(),
        ),
        bias: Some(vec![0.0; bias]),
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    };
    let lstm = |weights| Recurrent::new(Cell::LSTM, Direction::Forward, vec![weights]);
    assert!(lstm(weights(20, 3, [20, 5], 20)).is_ok());
    refused(lstm(weights(19, 3, [20, 5], 20)), &["lstm", "input_weights", "4 gates", "19"]);
    refused(
        lstm(weights(20, 3, [20, 6], 20)),
        &["lstm", "recurrent_weights", "[20, 6]", "4×hidden=20", "hidden=5"],
    );
    refused(lstm(weights(20, 3, [20, 5], 5)), &["lstm", "bias", "4×hidden=20", "[5]"]);
    refused(
        Recurrent::new(Cell::LSTM, Direction::Bidirectional, vec![weights(20, 3, [20, 5], 20)]),
        &["lstm", "sets of weights", "Bidirectional", "2", "1"],
    );
    let both = vec![weights(20, 3, [20, 5], 20), weights(20, 4, [20, 5], 20)];
    refused(
        Recurrent::new(Cell::LSTM, Direction::Bidirectional, both),
        &["lstm (backward)", "input_weights", "input=3", "[20, 4]"],
    );
    let matrix = || Matrix::new(2, 3, vec![0.0; 6]).unwrap();
    refused(
        Dense::new(matrix(), Some(vec![0.0; 3]), Activation::Linear),
        &["dense", "bias", "output=2", "[3]"],
    );
    refused(ScaleShift::new(vec![1.0; 2], vec![0.0; 3]), &["scale_shift", "[2]", "[3]"]);
    refused(
        ScaleShift::from_batch_norm(None, Some(&[0.0]), &[0.0; 2], &[1.0; 2], 1e-3),
        &["beta", "[2]", "[1]"],
    );
}

/// The weights of a cell of 5 units and 3 inputs, without biases.
fn usual(cell: Cell) -> CellWeights {
    let zeros = |columns: usize| {
        let rows = 5 * cell.gates().len();
        Matrix::new(rows, columns, vec![0.0; rows * columns]).unwrap()
    };
    CellWeights::new(zeros(3), RecurrentWeights::Matrix(zeros(5)))
}

fn one(cell: Cell, weights: CellWeights) -> Result<Recurrent, Error> {
    Recurrent::new(cell, Direction::Forward, vec![weights])
}

#[test]
fn what_only_an_lstm_has_is_refused_elsewhere_and_must_fit_there() {
    let zeros = |rows: usize, columns: usize| {
        Matrix::new(rows, columns, vec![0.0; rows * columns]).unwrap()
    };
    let gru = Cell::gru(GruReset::AfterMatmul);
    let with_peepholes =
        |cell: Cell, count: usize| CellWeights { peepholes: Some(vec![0.0; count]), ..usual(cell) };
    refused(one(gru, with_peepholes(gru, 15)), &["gru", "peepholes", "only an LSTM"]);
    assert!(one(Cell::LSTM, with_peepholes(Cell::LSTM, 15)).is_ok());
    refused(one(Cell::LSTM, with_peepholes(Cell::LSTM, 20)), &["peepholes", "3×hidden=15", "[20]"]);
    let coupled = Cell::Lstm(Lstm { coupling: Coupling::InputFromForget, ..Lstm::DEFAULT });
    assert!(one(coupled, with_peepholes(coupled, 10)).is_ok());
    refused(one(coupled, with_peepholes(coupled, 15)), &["peepholes", "2×hidden=10", "[15]"]);

    let projected = |projection: Matrix, recurrent: RecurrentWeights| CellWeights {
        projection: Some(projection),
        recurrent,
        ..usual(Cell::LSTM)
    };
    let matrix = |rows, columns| RecurrentWeights::Matrix(zeros(rows, columns));
    let layer = one(Cell::LSTM, projected(zeros(2, 5), matrix(20, 2))).unwrap();
    assert_eq!((layer.hidden_size(), layer.state_size(), layer.output_size()), (5, 2, 2));
    refused(
        one(Cell::LSTM, projected(zeros(2, 5), matrix(20, 5))),
        &["recurrent_weights", "state=2", "[20, 5]"],
    );
    refused(
        one(Cell::LSTM, projected(zeros(2, 4), matrix(20, 2))),
        &["projection", "state=2, hidden=5", "[2, 4]"],
    );
    refused(
        one(Cell::LSTM, projected(zeros(0, 5), matrix(20, 0))),
        &["projection", "without rows"],
    );
    refused(
        one(Cell::LSTM, projected(zeros(5, 5), RecurrentWeights::Identity)),
        &["projection", "recurrent_weights"],
    );
    let clip = Some(1.0);
    let clipped = Cell::Lstm(Lstm { projection_clip: clip, ..Lstm::DEFAULT });
    refused(one(clipped, usual(clipped)), &["lstm", "projection_clip", "no projection"]);
    let both = vec![projected(zeros(2, 5), matrix(20, 2)), usual(Cell::LSTM)];
    refused(
        Recurrent::new(Cell::LSTM, Direction::Bidirectional, both),
        &["lstm (backward)", "recurrent_weights", "state=2", "[20, 5]"],
    );
}

#[test]
fn clips_are_positive_and_diagonals_have_a_number_for_each_gate_and_unit() {
    for clip in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let cell = Cell::Gru(Gru { clip: Some(clip), ..Gru::new(GruReset::BeforeMatmul) });
        refused(one(cell, usual(cell)), &["gru", "clip", "positive", &clip.to_string()]);
        let cell = Cell::Lstm(Lstm { cell_clip: Some(clip), ..Lstm::DEFAULT });
        refused(one(cell, usual(cell)), &["lstm", "cell_clip", "positive", &clip.to_string()]);
    }
    let diagonal = |count: usize| CellWeights {
        recurrent: RecurrentWeights::Diagonal(vec![0.0; count]),
        ..usual(Cell::LSTM)
    };
    assert!(one(Cell::LSTM, diagonal(20)).is_ok());
    refused(one(Cell::LSTM, diagonal(5)), &["recurrent_weights", "4×hidden=20", "[5]"]);
}

#[test]
fn activations_of_whole_rows_do_not_belong_in_cells() {
    for activation in [Activation::Softmax, Activation::LogSoftmax] {
        let gate = Activation::Sigmoid;
        for cell in [
            Cell::simple_rnn(activation),
            Cell::lstm(activation, gate),
            Cell::lstm(gate, activation),
            Cell::Gru(Gru {
                activation,
                recurrent_activation: gate,
                ..Gru::new(GruReset::AfterMatmul)
            }),
        ] {
            let rows = cell.gates().len() * 2;
            let weights = CellWeights {
                input: Matrix::new(rows, 3, vec![0.0; rows * 3]).unwrap(),
                recurrent: RecurrentWeights::Matrix(
                    Matrix::new(rows, 2, vec![0.0; rows * 2]).unwrap(),
                ),
                bias: None,
                recurrent_bias: None,
                peepholes: None,
                projection: None,
            };
            let result = Recurrent::new(cell, Direction::Forward, vec![weights]);
            refused(result, &[activation.name(), cell.name(), "after the layer"]);
        }
    }
}

#[test]
fn arrays_of_other_frameworks_must_fit() {
    let (kernel, recurrent, bias) = (zeros(&[3, 8]), zeros(&[2, 8]), zeros(&[8]));
    assert!(keras::lstm(&[kernel.clone(), recurrent.clone(), bias.clone()]).is_ok());
    refused(keras::lstm(std::slice::from_ref(&kernel)), &["lstm", "3 (kernel", "1 [3, 8]"]);
    refused(keras::lstm(&[zeros(&[3, 6]), recurrent.clone()]), &["kernel", "8", "6"]);
    refused(
        keras::lstm(&[kernel.clone(), zeros(&[2, 6]), bias.clone()]),
        &["recurrent_kernel", "6"],
    );
    refused(keras::lstm(&[kernel.clone(), recurrent.clone(), zeros(&[2, 8])]), &["bias", "[2, 8]"]);
    refused(keras::gru(&[zeros(&[3, 6]), zeros(&[2, 6]), zeros(&[3, 6])]), &["bias"]);
    refused(keras::simple_rnn(&[kernel, recurrent]), &["'kernel'", "hidden=2", "[3, 8]"]);
    refused(keras::dense(&[], Activation::Linear), &["dense", "2 (kernel, bias)", "0"]);
    refused(keras::embedding(&[zeros(&[3])]), &["embeddings", "[3]"]);
    let four = [zeros(&[8, 3]), zeros(&[8, 2]), zeros(&[8]), zeros(&[8])];
    assert!(pytorch::lstm(&four).is_ok());
    refused(pytorch::lstm(&four[..3]), &["lstm", "4 (weight_ih", "3"]);
    refused(pytorch::rnn(&four), &["weight_hh", "2"]);
    let coupled = Cell::Lstm(Lstm { coupling: Coupling::ForgetFromInput, ..Lstm::DEFAULT });
    let three = [zeros(&[3, 6]), zeros(&[2, 6]), zeros(&[6])];
    refused(keras::recurrent(coupled, &three), &["coupled", "Keras", "CellWeights"]);
    let both = [&three[..], &three[..]].concat();
    refused(keras::bidirectional(coupled, &both, Merge::Concat), &["coupled", "Keras"]);
    let three = [zeros(&[6, 3]), zeros(&[6, 2]), zeros(&[6]), zeros(&[6])];
    let error = pytorch::recurrent(coupled, Direction::Forward, &three);
    refused(error, &["coupled", "PyTorch", "CellWeights"]);
    let error = pytorch::linear(&[zeros(&[2, 3]), zeros(&[3])]);
    refused(error, &["bias", "2", "3"]);
}
