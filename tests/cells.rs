//! Cells by hand: one step on `[batch, features]` with explicit states, as notebooks call them.
//!
//! A cell is a model of a sequence of one step whose states are inputs. Real Keras wrote the
//! weights, inputs and results in `fixtures/cells`; the pass line is that of `goldens.rs`.

mod models;

use std::path::{Path, PathBuf};

use models::{Arrays, bits, get, named};
use ritornello::load::npz;
use ritornello::model::{
    Activation, Cell, CellWeights, Direction, Gate, Matrix, Op, RecurrentWeights,
};
use ritornello::model::{Dense, Recurrent};
use ritornello::{Array, Isa, Model, Plan, keras};

fn fixture(name: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name).join(file)
}

fn arrays(name: &str, file: &str) -> Arrays {
    let all = npz::read(fixture(name, file)).unwrap();
    all.into_iter().map(|(name, read)| (name, read.array)).collect()
}

/// `[kernel, recurrent_kernel, bias]` of a cell in `fixtures/cells`.
fn weights(cell: &str) -> Vec<Array> {
    let all = arrays("cells", "weights.npz");
    let parts = ["kernel", "recurrent_kernel", "bias"];
    parts.iter().map(|part| get(&all, &format!("{cell}.{part}")).clone()).collect()
}

/// A layer as a cell: one step of `x` from the states `h` and `c` to `y`, `h_n` and `c_n`.
fn cell(layer: Recurrent) -> Model {
    let mut graph = Model::graph();
    let x = graph.sequence("x", layer.input_size());
    let mut states = vec![graph.vector("h", layer.hidden_size())];
    let has_cell_state = layer.cell().has_cell_state();
    if has_cell_state {
        states.push(graph.vector("c", layer.hidden_size()));
    }
    let values = graph.recurrent_from("cell", layer, x, &states);
    graph.output("y", values.last);
    graph.output("h_n", values.h_n);
    if has_cell_state {
        graph.output("c_n", values.c_n);
    }
    graph.build().unwrap()
}

/// One call of a cell: `x` and the states are `[batch, features]`; so are `y` and the new states.
fn call(plan: &Plan, x: &Array, states: &[&Array]) -> Vec<Array> {
    let [batch, features] = *x.shape() else { panic!("a cell takes [batch, features]") };
    let x = reshaped(x, &[batch, 1, features]);
    let mut inputs = vec![("x", &x)];
    inputs.extend(["h", "c"].into_iter().zip(states.iter().copied()));
    let outputs = plan.run(&inputs).unwrap();
    outputs
        .into_iter()
        .map(|(_, array)| {
            let hidden = *array.shape().last().unwrap();
            reshaped(&array, &[batch, hidden])
        })
        .collect()
}

fn reshaped(array: &Array, shape: &[usize]) -> Array {
    Array::new(shape, array.as_f32().unwrap().to_vec()).unwrap()
}

fn distance(a: &Array, b: &Array) -> f32 {
    assert_eq!(a.shape(), b.shape());
    let (a, b) = (a.as_f32().unwrap(), b.as_f32().unwrap());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

/// Holds an array against what Keras gave in f32 and in f64.
fn check(name: &str, found: &Array, isa: Isa) {
    let (case, exact) = (arrays("cells", "case.npz"), arrays("cells", "exact.npz"));
    let (expected, exact) = (get(&case, &format!("output.{name}")), get(&exact, name));
    let largest = exact.as_f32().unwrap().iter().fold(1.0_f32, |most, y| most.max(y.abs()));
    let line = (5e-7 * largest).max(2.0 * distance(expected, exact));
    for (what, other) in [("f32", expected), ("f64", exact)] {
        let error = distance(found, other);
        assert!(error <= line, "{name} is {error:e} from Keras's {what} on {isa}, not {line:e}");
    }
}

#[test]
fn one_step_of_each_cell_is_that_of_keras() {
    let case = arrays("cells", "case.npz");
    let input = |name: &str| get(&case, &format!("input.{name}"));
    for isa in Isa::available() {
        let rnn = models::plan(&cell(keras::simple_rnn(&weights("rnn3")).unwrap()), isa);
        let found = call(&rnn, input("rnn3.x"), &[input("rnn3.h")]);
        check("rnn3.y", &found[0], isa);
        check("rnn3.h", &found[1], isa);

        let lstm = models::plan(&cell(keras::lstm(&weights("lstm7")).unwrap()), isa);
        let found = call(&lstm, input("lstm7.x"), &[input("lstm7.h"), input("lstm7.c")]);
        check("lstm7.y", &found[0], isa);
        check("lstm7.h", &found[1], isa);
        check("lstm7.c", &found[2], isa);

        for name in ["gru6_after", "gru6_before"] {
            let gru = models::plan(&cell(keras::gru(&weights(name)).unwrap()), isa);
            let found = call(&gru, input("gru6.x"), &[input("gru6.h")]);
            check(&format!("{name}.y"), &found[0], isa);
            check(&format!("{name}.h"), &found[1], isa);
        }
    }
}

/// Two cells called 80 times by hand, the first one's output into the second.
#[test]
fn cells_in_a_loop_are_those_of_keras() {
    let case = arrays("cells", "case.npz");
    let x = get(&case, "input.chain.x");
    let [batch, time, features] = *x.shape() else { panic!("[batch, time, features]") };
    let step = |t: usize| reshaped(&models::cut(x, 1, t, t + 1), &[batch, features]);
    let zeros = Array::new(&[batch, 64], vec![0.0; batch * 64]).unwrap();
    for isa in Isa::available() {
        let [first, second] = ["rnn64a", "rnn64b"]
            .map(|name| models::plan(&cell(keras::simple_rnn(&weights(name)).unwrap()), isa));
        let y1 = call(&first, &step(0), &[&zeros]);
        check("step0.y1", &y1[0], isa);
        check("step0.y2", &call(&second, &y1[0], &[&y1[1]])[0], isa);

        let (mut h1, mut h2, mut y) = (zeros.clone(), zeros.clone(), zeros.clone());
        for t in 0..time {
            let one = call(&first, &step(t), &[&h1]);
            let two = call(&second, &one[0], &[&h2]);
            (h1, h2, y) = (one[1].clone(), two[1].clone(), two[0].clone());
        }
        for (name, found) in [("chain.y", &y), ("chain.h1", &h1), ("chain.h2", &h2)] {
            check(name, found, isa);
        }
    }
}

/// The arrays that Keras's `get_weights()` gives, of a loaded layer: transposed, in Keras's order.
fn get_weights(layer: &Recurrent) -> Vec<Array> {
    let order: &[Gate] = match layer.cell() {
        Cell::Lstm(_) => &[Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output],
        Cell::SimpleRnn(_) => &[Gate::Hidden],
        Cell::Gru(_) => panic!("its bias has two rows"),
    };
    let blocks = |of: &dyn Fn(Gate) -> Matrix| {
        let blocks: Vec<Matrix> = order.iter().map(|&gate| of(gate)).collect();
        let columns = blocks[0].columns();
        let units = blocks[0].rows();
        let values = (0..columns)
            .flat_map(|k| {
                blocks.iter().flat_map(move |b| (0..units).map(move |unit| b.row(unit)[k]))
            })
            .collect();
        Array::new(&[columns, order.len() * units], values).unwrap()
    };
    // The library's own order of LSTM gates is Keras's.
    let bias = layer.weights()[0].bias.clone().unwrap();
    vec![
        blocks(&|gate| layer.input_gate(0, gate).unwrap()),
        blocks(&|gate| layer.recurrent_gate(0, gate).unwrap()),
        Array::new(&[bias.len()], bias).unwrap(),
    ]
}

fn loaded(name: &str) -> (Model, Recurrent) {
    let model = ritornello::load(fixture(name, "model.keras")).unwrap();
    let layer = model.nodes().iter().find_map(|node| match &node.op {
        Op::Recurrent(layer) => Some(layer.clone()),
        _ => None,
    });
    (model, layer.unwrap())
}

/// The file's own tensor, `[rows, columns]`, read by nothing of this library but the container.
fn column_block(kernel: &Array, block: usize) -> Matrix {
    let [rows, columns] = *kernel.shape() else { panic!("a kernel is a matrix") };
    let units = columns / 4;
    let values = kernel.as_f32().unwrap();
    let of_unit = |unit: usize| (0..rows).map(move |k| values[k * columns + block * units + unit]);
    Matrix::new(units, rows, (0..units).flat_map(of_unit).collect()).unwrap()
}

/// Notebook 001: the kernels of the gates i, f, c and o are the columns 0..U, U..2U, 2U..3U and
/// 3U..4U of the kernel, and likewise of the recurrent kernel.
#[test]
fn an_lstms_sub_matrices_are_readable_by_gate() {
    let arrays = weights("lstm7");
    let lstm = keras::lstm(&arrays).unwrap();
    let gates = [Gate::Input, Gate::Forget, Gate::Candidate, Gate::Output];
    for (block, gate) in gates.into_iter().enumerate() {
        assert_eq!(lstm.input_gate(0, gate).unwrap(), column_block(&arrays[0], block));
        assert_eq!(lstm.recurrent_gate(0, gate).unwrap(), column_block(&arrays[1], block));
    }
    assert_eq!(lstm.input_gate(0, Gate::Reset), None, "an LSTM has no such gate");
    assert_eq!(lstm.input_gate(1, Gate::Input), None, "nor a second direction");

    // Of the file, whose kernel the loader has read by itself, all eight are different.
    let (_, lstm) = loaded("lstm-sequence");
    let mut all: Vec<Matrix> = gates.iter().map(|&g| lstm.input_gate(0, g).unwrap()).collect();
    all.extend(gates.iter().map(|&g| lstm.recurrent_gate(0, g).unwrap()));
    for (index, matrix) in all.iter().enumerate() {
        assert_eq!((matrix.rows(), matrix.columns()), (32, if index < 4 { 16 } else { 32 }));
        assert!(all[..index].iter().all(|other| other != matrix), "matrix {index} is another's");
    }
}

/// A layer from the arrays of `get_weights()` is the layer from the file, to the bit.
#[test]
fn a_layer_from_arrays_is_the_layer_of_the_file() {
    let (model, lstm) = loaded("lstm-sequence");
    let from_arrays = keras::lstm(&get_weights(&lstm)).unwrap();
    assert_eq!(from_arrays, lstm);
    let by_hand = Model::chain(16).recurrent(from_arrays).build().unwrap();
    let case = arrays("lstm-sequence", "case.npz");
    let x = get(&case, "input.x");
    for isa in Isa::available() {
        let file = models::plan(&model, isa).run(&[(&model.inputs()[0].name, x)]).unwrap();
        let hand = models::plan(&by_hand, isa).run(&[("x", x)]).unwrap();
        assert_eq!(file[0].1, hand[0].1, "{isa}");
    }
}

/// Notebook: SimpleRNN(32, relu) and Dense(16) by hand, with copied weights, step by step.
#[test]
fn hand_made_cells_with_copied_weights_are_the_sequence_to_the_bit() {
    let (model, rnn) = loaded("simple-rnn-relu-dense");
    let dense = model.nodes().iter().find_map(|node| match &node.op {
        Op::Dense(dense) => Some(dense.clone()),
        _ => None,
    });
    let dense: Dense = dense.unwrap();
    let relu = Cell::simple_rnn(Activation::Relu);
    let copied = keras::recurrent(relu, &get_weights(&rnn)).unwrap();
    assert_eq!(copied, rnn);
    let mut head = Model::graph();
    let h = head.vector("h", 32);
    let head_y = head.dense("dense", dense, h);
    head.output("y", head_y);
    let head = head.build().unwrap();
    let case = arrays("simple-rnn-relu-dense", "case.npz");
    let x = get(&case, "input.x");
    let [batch, time, features] = *x.shape() else { panic!("[batch, time, features]") };
    assert_eq!(time, 100);
    for isa in Isa::available() {
        let whole = models::plan(&model, isa).run(&[(&model.inputs()[0].name, x)]).unwrap();
        let (cell, head) = (models::plan(&cell(copied.clone()), isa), models::plan(&head, isa));
        let mut h = Array::new(&[batch, 32], vec![0.0; batch * 32]).unwrap();
        for t in 0..time {
            let step = reshaped(&models::cut(x, 1, t, t + 1), &[batch, features]);
            h = call(&cell, &step, &[&h]).remove(0);
            let y = head.run(&[("h", &h)]).unwrap().remove(0).1;
            let expected = reshaped(&models::cut(&whole[0].1, 1, t, t + 1), &[batch, 16]);
            assert_eq!(
                bits(&[("y".into(), y)]),
                bits(&[("y".into(), expected)]),
                "step {t} on {isa}"
            );
        }
    }
}

/// `h' = tanh(W x + b + h)`: the loop without a recurrent matrix.
#[test]
fn an_identity_cell_adds_its_state() {
    let weights = CellWeights {
        input: Matrix::new(2, 2, vec![0.5, 0.0, 0.0, 0.25]).unwrap(),
        recurrent: RecurrentWeights::Identity,
        bias: Some(vec![0.125, -0.5]),
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    };
    let relu = Cell::simple_rnn(Activation::Relu);
    let layer = Recurrent::new(relu, Direction::Forward, vec![weights]).unwrap();
    let x = Array::new(&[1, 2], vec![1.0, 2.0]).unwrap();
    let h = Array::new(&[1, 2], vec![3.0, -4.0]).unwrap();
    for isa in Isa::available() {
        let found = call(&models::plan(&cell(layer.clone()), isa), &x, &[&h]);
        assert_eq!(found[0].as_f32().unwrap(), [0.5 + 0.125 + 3.0, 0.0]);
    }
}

#[test]
fn names_of_arrays_are_checked() {
    let inputs = arrays("cells", "case.npz");
    let rnn = models::plan(&cell(keras::simple_rnn(&weights("rnn3")).unwrap()), Isa::Portable);
    let x = reshaped(get(&inputs, "input.rnn3.x"), &[2, 1, 4]);
    let error = rnn.run(&named(&[("x".into(), x)])).unwrap_err().to_string();
    assert!(error.contains("'h'"), "{error}");
}
