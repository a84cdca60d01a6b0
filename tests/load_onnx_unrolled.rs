//! `.onnx` files in which recurrences are written out step by step, or as loops: they are layers where
//! that is proven, and else the graph that they are. Numbers of the fixtures are in `goldens.rs`.

#![cfg(feature = "onnx")]

mod load_fixtures;
mod onnx_writer;

use load_fixtures::fixture;
use onnx_writer::{File, Node, attribute_int};
use ritornello::load::from_bytes;
use ritornello::model::{Activation, Cell, Direction, Model, Op};
use ritornello::{Array, PlanOptions};

fn load(name: &str) -> Model {
    ritornello::load(fixture(name, "model.onnx")).unwrap_or_else(|e| panic!("{e}"))
}

/// The words for the nodes of a model that compute, sorted.
fn ops(model: &Model) -> Vec<&'static str> {
    let mut ops: Vec<&str> = model.nodes().iter().map(|node| node.op.name()).collect();
    ops.retain(|op| *op != "select");
    ops.sort_unstable();
    ops
}

#[test]
fn steps_are_layers() {
    for (name, expected) in [
        ("onnx-torch-lstm-loop", &["dense", "lstm", "lstm"][..]),
        ("onnx-torch-gru-loop", &["dense", "gru"]),
        ("onnx-torch-rnn-loop", &["dense", "rnn", "rnn"]),
        ("onnx-torch-lstm-loop-given", &["dense", "lstm"]),
        ("onnx-torch-gru-loop-fixed", &["dense", "gru"]),
        ("onnx-dynamo-lstm-loop", &["dense", "lstm"]),
        ("onnx-dynamo-lstm-loop-fixed", &["dense", "lstm", "lstm"]),
        ("onnx-dynamo-gru-loop-fixed", &["dense", "gru", "gru"]),
        ("onnx-dynamo-rnn-last", &["dense", "rnn"]),
        ("onnx-keras-unroll", &["gru", "lstm", "rnn"]),
        ("onnx-keras-unroll-both", &["concat", "dense", "gru", "gru"]),
        ("onnx-keras-lstm-loop", &["lstm", "lstm"]),
        (
            "onnx-torch-encoder-decoder",
            &["activation", "dense", "gru", "lstm", "repeat", "scale_shift", "scale_shift"],
        ),
        ("onnx-keras-repeat", &["activation", "dense", "gru", "lstm", "repeat"]),
    ] {
        assert_eq!(ops(&load(name)), expected, "{name}");
    }
}

#[test]
fn activations_of_a_loop_are_those_of_its_cell() {
    let cells: Vec<Cell> = load("onnx-keras-lstm-loop")
        .nodes()
        .iter()
        .filter_map(|node| match &node.op {
            Op::Recurrent(layer) => Some(layer.cell()),
            _ => None,
        })
        .collect();
    let [Cell::Lstm(hard), Cell::Lstm(soft)] = cells[..] else { panic!("{cells:?}") };
    assert!(matches!(hard.recurrent_activation, Activation::HardSigmoid { offset: 0.5, .. }));
    assert_eq!([soft.activation, soft.output_activation], [Activation::Softsign; 2]);
}

#[test]
fn a_fixed_batch_is_not_kept() {
    for name in ["onnx-torch-gru-loop-fixed", "onnx-dynamo-lstm-loop-fixed"] {
        let plan = load(name).into_plan(PlanOptions::default()).unwrap();
        let x: Vec<f32> = (0..75_u8).map(|k| f32::from(k % 11) / 11.0 - 0.5).collect();
        let run = |rows: usize| {
            let x = Array::new(&[rows, 5, 5], x[..rows * 25].to_vec()).unwrap();
            plan.run(&[("x", &x)]).unwrap().remove(0).1.as_f32().unwrap().to_vec()
        };
        let (three, one) = (run(3), run(1));
        assert_eq!(three[..one.len()], one, "{name}");
        assert_eq!(three.len(), 3 * one.len(), "{name}");
    }
}

/// `h' = tanh(W x + U h + b)` of 2 units over steps of `[batch, 3, 2]`, each with the weights and the
/// step that is said; the first starts from zeros for each row. `h` is the last state, `all` every one.
fn written_out(rounds: &[(&str, i64)]) -> File {
    let mut file = File::new(14);
    file.input("x", &["batch", "3", "2"]);
    for (name, number) in [("W", 0.3), ("V", 0.2)] {
        file.tensor(name, &[2, 2], &[number, -0.5, 0.7, 0.1]);
    }
    file.tensor("U", &[2, 2], &[0.6, 0.4, -0.3, 0.2]);
    file.tensor("b", &[2], &[0.1, -0.2]);
    file.integers("units", &[2]);
    file.node(Node::new("Shape", &["x"], &["shape"]).with(attribute_int("end", 1)));
    file.node(Node::new("Concat", &["shape", "units"], &["state"]).with(attribute_int("axis", 0)));
    file.node(Node::new("ConstantOfShape", &["state"], &["h0"]));
    file.integers("one", &[1]);
    let mut parts = Vec::new();
    for (round, (weights, step)) in rounds.iter().enumerate() {
        let name = |what: &str| format!("{what}{}", round + 1);
        file.integers(&name("step"), &[*step]);
        file.node(
            Node::new("Gather", &["x", &name("step")], &[&name("x")])
                .with(attribute_int("axis", 1)),
        );
        file.node(Node::new("Squeeze", &[&name("x"), "one"], &[&name("row")]));
        file.node(Node::new("MatMul", &[&name("row"), weights], &[&name("Wx")]));
        let gemm = Node::new("Gemm", &[&format!("h{round}"), "U", "b"], &[&name("Uh")]);
        file.node(gemm);
        file.node(Node::new("Add", &[&name("Wx"), &name("Uh")], &[&name("sum")]));
        file.node(Node::new("Tanh", &[&name("sum")], &[&name("h")]));
        file.node(Node::new("Unsqueeze", &[&name("h"), "one"], &[&name("part")]));
        parts.push(name("part"));
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    file.node(Node::new("Concat", &parts, &["all"]).with(attribute_int("axis", 1)));
    file.output("all");
    file.output(&format!("h{}", rounds.len()));
    file
}

/// The states that these rounds give, in f64.
fn reference(rounds: &[(&str, i64)], x: &[f32]) -> Vec<f64> {
    let mut h = [0.0; 2];
    let mut all = Vec::new();
    for (weights, step) in rounds {
        let x = &x[usize::try_from(*step).unwrap() * 2..][..2];
        let first = if *weights == "W" { 0.3_f32 } else { 0.2_f32 };
        let w = [[first, -0.5], [0.7, 0.1]].map(|row| row.map(f64::from));
        let u = [[0.6_f32, 0.4], [-0.3, 0.2]].map(|row| row.map(f64::from));
        let b = [0.1_f32, -0.2].map(f64::from);
        let unit = |k: usize| {
            let of = |v: [f64; 2], m: &[[f64; 2]; 2]| v[0] * m[0][k] + v[1] * m[1][k];
            (of([f64::from(x[0]), f64::from(x[1])], &w) + of(h, &u) + b[k]).tanh()
        };
        h = [unit(0), unit(1)];
        all.extend(h);
    }
    all
}

#[test]
fn what_is_not_proven_stays_a_graph() {
    const W: &str = "W";
    let x = [0.5_f32, -0.25, 0.75, 1.0, -0.5, 0.125];
    for (rounds, direction) in [
        (&[(W, 0), (W, 1), (W, 2)][..], Some(Direction::Forward)),
        (&[(W, 2), (W, 1), (W, 0)], Some(Direction::Reverse)),
        // Another order, other weights in the middle or at an end, some steps only.
        (&[(W, 0), (W, 2), (W, 1)], None),
        (&[(W, 0), ("V", 1), (W, 2)], None),
        (&[("V", 0), (W, 1), (W, 2)], None),
        (&[(W, 0), (W, 1), ("V", 2)], None),
        (&[(W, 0), (W, 1)], None),
        (&[(W, 1), (W, 2)], None),
        (&[(W, 0), (W, 1), (W, 1)], None),
    ] {
        let file = written_out(rounds);
        let model = from_bytes(&unused_left_out(file, rounds)).unwrap_or_else(|e| panic!("{e}"));
        let layer = model.nodes().iter().find_map(|node| match &node.op {
            Op::Recurrent(layer) => Some(layer.direction()),
            _ => None,
        });
        assert_eq!(layer, direction, "{rounds:?}: {:?}", ops(&model));
        let plan = model.into_plan(PlanOptions::default()).unwrap();
        let array = Array::new(&[1, 3, 2], x.to_vec()).unwrap();
        let found = plan.run(&[("x", &array)]).unwrap();
        let expected = reference(rounds, &x);
        let all = found[0].1.as_f32().unwrap();
        assert_eq!(all.len(), expected.len());
        for (found, expected) in all.iter().zip(&expected) {
            assert!(
                (f64::from(*found) - expected).abs() <= 5e-7,
                "{rounds:?}: {all:?} {expected:?}"
            );
        }
        assert_eq!(found[1].1.as_f32().unwrap(), &all[all.len() - 2..], "{rounds:?}");
    }
}

/// The bytes of a file without the tensors that no round uses.
fn unused_left_out(mut file: File, rounds: &[(&str, i64)]) -> Vec<u8> {
    for name in ["W", "V"] {
        if rounds.iter().all(|(weights, _)| *weights != name) {
            file.remove_tensor(name);
        }
    }
    file.bytes()
}
