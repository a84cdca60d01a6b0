//! What `docs/onnx.md` says is not read of ONNX: each message names the node, why, and what helps.

#![cfg(feature = "onnx")]

mod onnx_writer;

use onnx_writer::{File, Node};
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
    let foreign = Node::new("DynamicQuantizeLSTM", &["y"], &["out"]).domain("com.microsoft");
    refused(&with(foreign.named("it")), &["'it'", "domain 'com.microsoft' are not read"]);
}

#[test]
fn numbers_in_other_files_are_not_read() {
    let mut file = with(Node::new("Relu", &["h"], &["out"]));
    from_bytes(&file.bytes()).unwrap();
    file.make_external("W");
    refused(&file, &["'W'", "external"]);
}
