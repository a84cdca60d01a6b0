//! ONNX files that are damaged, or lie.

use super::load_fixtures::fixture;
use super::onnx_writer::{File, Message, Node, attribute_graph, attribute_int, attribute_ints};
use super::{Random, damage, survive};

const FILES: [&str; 7] = [
    "onnx-torch-lstm-loop-given",
    "onnx-dynamo-gru-loop-fixed",
    "onnx-torch-lstm",
    "onnx-torch-classifier",
    "onnx-torch-pools",
    "onnx-keras-gru",
    "onnx-node-lstm-all",
];

#[test]
fn truncated_at_every_byte() {
    for (name, step) in [
        ("onnx-node-lstm-all", 1),
        ("onnx-torch-classifier", 1),
        ("onnx-torch-lstm", 97),
        ("onnx-dynamo-lstm", 97),
    ] {
        let whole = std::fs::read(fixture(name, "model.onnx")).unwrap();
        for end in (0..whole.len()).step_by(step) {
            let how = format!("{name}.onnx cut to {end} bytes");
            assert!(!survive(&whole[..end], "onnx", None, &how), "{how}: it loads");
        }
    }
}

#[test]
fn damaged() {
    let mut random = Random(4);
    for name in FILES {
        let whole = std::fs::read(fixture(name, "model.onnx")).unwrap();
        for _ in 0..1500 {
            let mut bytes = whole.clone();
            let how = damage(&mut bytes, &mut random);
            survive(&bytes, "onnx", None, &format!("{name}.onnx, {how}"));
        }
    }
}

#[test]
fn graphs_in_graphs() {
    let mut graph = Vec::new();
    for _ in 0..2000 {
        let node = Node::new("If", &[], &[]).with(attribute_graph("then_branch", &graph));
        let mut outer = Message::default();
        outer.bytes(1, &node.into_bytes());
        graph = outer.0;
    }
    let mut file = Message::default();
    file.bytes(7, &graph);
    assert!(!survive(&file.0, "onnx", None, "graphs in graphs"));
}

#[test]
fn lengths_that_are_claimed() {
    // A field of so many bytes, of each kind of message.
    for claim in [u64::MAX, 1 << 63, 1 << 40] {
        for outer in [&[][..], &[7], &[7, 1], &[7, 5], &[7, 11], &[7, 1, 5], &[8]] {
            let mut inner = Message::default();
            inner.varint(9 << 3 | 2);
            inner.varint(claim);
            inner.0.extend([0; 16]);
            for &field in outer.iter().rev() {
                let mut message = Message::default();
                message.bytes(field, &inner.0);
                inner = message;
            }
            let how = format!("{claim} bytes inside of fields {outer:?}");
            assert!(!survive(&inner.0, "onnx", None, &how), "{how}");
        }
    }
}

fn survives(file: &File, how: &str) -> bool {
    survive(&file.bytes(), "onnx", None, how)
}

#[test]
fn constants_that_grow() {
    for op in ["Concat", "Gather", "Expand"] {
        let mut file = File::new(14);
        file.input("x", &["b", "4"]);
        file.tensor("t0", &[16, 4], &[0.5; 64]);
        file.integers("many", &[0; 4096]);
        file.integers("huge", &[1 << 40, 16, 4]);
        for round in 0..40 {
            let (before, after) = (format!("t{round}"), format!("t{}", round + 1));
            let inputs = match op {
                "Concat" => [before.as_str(), before.as_str()],
                "Gather" => [before.as_str(), "many"],
                _ => [before.as_str(), "huge"],
            };
            let mut node = Node::new(op, &inputs, &[&after]);
            if op != "Expand" {
                node = node.with(attribute_int("axis", 0));
            }
            file.node(node);
        }
        file.node(Node::new("Add", &["x", "t40"], &["y"]));
        file.node(Node::new("Add", &["y", "many"], &["z"]));
        file.node(Node::new("Add", &["z", "huge"], &["w"]));
        file.output("w");
        assert!(!survives(&file, op), "{op}");
    }
}

/// Steps of a cell as far as a file goes, which are no sequence, and are looked at again and again.
#[test]
fn steps_without_end() {
    for joined in [0, 400] {
        let mut file = File::new(14);
        file.input("x", &["b", "3", "2"]);
        file.tensor("W", &[2, 2], &[0.5; 4]);
        file.integers("first", &[0]);
        file.integers("one", &[1]);
        let gather = Node::new("Gather", &["x", "first"], &["part"]);
        file.node(gather.with(attribute_int("axis", 1)));
        file.node(Node::new("Squeeze", &["part", "one"], &["h0"]));
        file.node(Node::new("MatMul", &["h0", "W"], &["Wx"]));
        for round in 1..3000 {
            let name = |what: &str| format!("{what}{round}");
            file.node(Node::new("MatMul", &[&format!("h{}", round - 1), "W"], &[&name("Uh")]));
            file.node(Node::new("Add", &["Wx", &name("Uh")], &[&name("sum")]));
            file.node(Node::new("Tanh", &[&name("sum")], &[&name("h")]));
            file.node(Node::new("Unsqueeze", &[&name("h"), "one"], &[&name("u")]));
        }
        for end in 3000 - joined..3000 {
            let (last, before) = (format!("u{}", end - 1), format!("u{}", end - 2));
            let both = Node::new("Concat", &[&before, &last], &[&format!("both{end}")]);
            file.node(both.with(attribute_int("axis", 1)));
        }
        file.output("h2999");
        assert!(survives(&file, &format!("{joined} joined")), "{joined}");
    }
}

#[test]
fn axes_that_grow() {
    let mut file = File::new(11);
    file.input("x0", &["b", "4"]);
    for round in 0..200 {
        let (before, after) = (format!("x{round}"), format!("x{}", round + 1));
        let node = Node::new("Unsqueeze", &[&before], &[&after]);
        file.node(node.with(attribute_ints("axes", &[0, 1, 2])));
    }
    file.output("x200");
    assert!(!survives(&file, "axes"));
}

#[test]
fn axes_as_long_as_numbers_go() {
    for length in ["2147483647", "9223372036854775807", "-5", "0", "1099511627776"] {
        for (axes, op) in [
            ([length, "b", "4"], "Relu"),
            (["b", length, length], "Relu"),
            ([length, "b", "4"], "GRU"),
        ] {
            let mut file = File::new(14);
            file.input("x", &axes);
            file.tensor("W", &[1, 6, 4], &[0.5; 24]);
            file.tensor("R", &[1, 6, 2], &[0.5; 12]);
            file.node(match op {
                "GRU" => Node::new(op, &["x", "W", "R"], &["y", "h"]),
                _ => Node::new(op, &["x"], &["h"]),
            });
            // States behind the batch become features.
            let moved = Node::new("Transpose", &["h"], &["m"]);
            file.node(moved.with(attribute_ints("perm", &[1, 0, 2])));
            file.integers("shape", &[0, -1]);
            file.node(Node::new("Reshape", &["m", "shape"], &["rows"]));
            file.node(Node::new("Softmax", &["rows"], &["out"]));
            file.output("out");
            survives(&file, &format!("{axes:?} into {op}"));
        }
    }
}
