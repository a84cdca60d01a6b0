//! What `docs/onnx.md` says is not read of ONNX: each message names the node, why, and what helps.

#![cfg(feature = "onnx")]

mod onnx_writer;

use onnx_writer::{File, Message, Node, attribute_int};
use ritornello::load::from_bytes;

/// An LSTM over `x`, time first, with 3 features and 2 units, and one more node on its sequence.
fn with(node: Node) -> File {
    let mut file = File::new(14);
    file.input("x", &["t", "b", "3"]);
    file.tensor("W", &[1, 8, 3], &[0.1; 24]);
    file.tensor("R", &[1, 8, 2], &[0.2; 16]);
    file.node(Node::new("LSTM", &["x", "W", "R"], &["y", "h", "c"]));
    file.node(node);
    file.output("out");
    file
}

#[track_caller]
fn refused(file: &File, words: &[&str]) {
    let Err(error) = from_bytes(&file.bytes()) else {
        panic!("it loads, and should say {words:?}")
    };
    let error = error.to_string();
    for word in words {
        assert!(error.contains(word), "no '{word}' in: {error}");
    }
}

#[test]
fn operators_that_are_not_read() {
    refused(&with(Node::new("Relu", &["x"], &["unused"])), &["output", "'out'"]);
    for op in [
        "Conv",
        "ConvTranspose",
        "Attention",
        "MatMulInteger",
        "QuantizeLinear",
        "DequantizeLinear",
        "QLinearMatMul",
        "LayerNormalization",
    ] {
        let file = with(Node::new(op, &["y", "W"], &["out"]).named("it"));
        let said = format!("{op} 'it' (this operator is not read)");
        refused(
            &file,
            &["an ONNX graph with 1 node", &said, "Keras: load the `.keras` file itself"],
        );
    }
    let scan = with(Node::new("Scan", &["y"], &["out"]).named("it"));
    refused(&scan, &["Scan 'it'", "of loops only those are read", "dynamo=False"]);
    let branch = with(Node::new("If", &["y"], &["out"]).named("it"));
    refused(&branch, &["If 'it'", "branches are not read", "without them"]);
    let foreign = Node::new("DynamicQuantizeLSTM", &["y"], &["out"]).domain("com.microsoft");
    refused(&with(foreign.named("it")), &["'it'", "domain 'com.microsoft' are not read"]);
}

#[test]
fn functions_inside_a_file() {
    let mut bytes = with(Node::new("Mine", &["y"], &["out"])).bytes();
    let mut function = Message::default();
    function.text(1, "Mine");
    let mut member = Message::default();
    member.bytes(25, &function.0);
    bytes.extend(member.0);
    let error = from_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("an ONNX file with functions of its own"), "{error}");
}

/// PyTorch packs rows by their lengths, longest first.
#[test]
fn rows_that_are_sorted_inside_the_graph() {
    let mut file = File::new(14);
    file.input("x", &["t", "b", "3"]);
    file.indices("lengths", &["b"]);
    file.tensor("W", &[1, 8, 3], &[0.1; 24]);
    file.tensor("R", &[1, 8, 2], &[0.2; 16]);
    file.integers("count", &[4]);
    let sorted = Node::new("TopK", &["lengths", "count"], &["sorted", "rows"]);
    file.node(sorted.with(attribute_int("axis", 0)).named("sort"));
    file.node(Node::new("Gather", &["x", "rows"], &["s"]).with(attribute_int("axis", 1)));
    file.node(Node::new("LSTM", &["s", "W", "R"], &["y", "h", "c"]).named("lstm"));
    file.output("y");
    refused(&file, &["TopK 'sort'", "dynamo=False"]);
}

#[test]
fn numbers_in_other_files_are_not_read() {
    let mut file = with(Node::new("Relu", &["h"], &["out"]));
    from_bytes(&file.bytes()).unwrap();
    file.make_external("W");
    refused(&file, &["'W'", "external"]);
}
