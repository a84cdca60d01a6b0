//! Writes a row's network as an ONNX file: the few messages of its protobuf that this needs.
//!
//! An LSTM of bytes is ONNX Runtime's own operator, as its tool for dynamic quantization writes it: one scale
//! for a whole matrix, and weights of 7 bits (`reduce_range`), which it advises for CPUs whose sums of 8 bits
//! saturate.

use ritornello::Precision;

use crate::case::{Case, Weights};
use crate::grid::{Cell, Signal};

/// The newest operator set that every reader of the race knows.
const OPERATOR_SET: u64 = 14;
const FLOAT: u64 = 1;
const INT8: u64 = 3;
const INT64: u64 = 7;
/// Whose operator multiplies bytes.
const RUNTIME: &str = "com.microsoft";

/// Input `x` `[time, batch, input]`, output `y` `[time, directions, batch, hidden]`.
pub(crate) fn model(case: &Case) -> Vec<u8> {
    let mut set = Message::new();
    set.bytes(1, b"");
    set.number(2, OPERATOR_SET);
    let mut model = Message::new();
    model.number(1, 8);
    model.bytes(7, &graph(case).0);
    model.bytes(8, &set.0);
    if in_bytes(case) {
        let mut set = Message::new();
        set.bytes(1, RUNTIME.as_bytes());
        set.number(2, 1);
        model.bytes(8, &set.0);
    }
    model.0
}

/// Numbers as they lie in files: little-endian.
pub(crate) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn in_bytes(case: &Case) -> bool {
    case.precision == Precision::Int8 && case.shape.cell == Cell::Lstm
}

fn graph(case: &Case) -> Message {
    let shape = case.shape;
    let (hidden, sides) = (shape.hidden_size, shape.directions);
    assert!(shape.layers == 1 || sides == 1, "stacked bidirectional layers need a transposition");
    let mut graph = Message::new();
    let mut x = "x".to_owned();
    for (layer, weights) in case.layers.iter().enumerate() {
        let last = layer + 1 == shape.layers;
        let y = if last { "y".to_owned() } else { format!("y{layer}") };
        graph.bytes(1, &recurrent(case, layer, &x, &y).0);
        if !last {
            x = format!("x{}", layer + 1);
            graph.bytes(1, &node("Squeeze", &[&y, "side"], &x).0);
        }
        let rows = shape.cell.gates() * hidden;
        let gather = |of: fn(&Weights) -> &[f32], columns: usize| -> Vec<f32> {
            let blocks =
                weights.iter().flat_map(|w| in_file_order(shape.cell, of(w), hidden, columns));
            blocks.collect()
        };
        let width = case.width(layer);
        let matrices = [
            ("w", gather(|w| &w.input, width), width),
            ("r", gather(|w| &w.recurrent, hidden), hidden),
        ];
        for (letter, matrix, width) in matrices {
            let name = format!("{letter}{layer}");
            if in_bytes(case) {
                for tensor in quantized(&name, [sides, rows, width], &matrix) {
                    graph.bytes(5, &tensor.0);
                }
            } else {
                graph.bytes(5, &tensor(&name, &[sides, rows, width], &matrix).0);
            }
        }
        let both = weights.iter().flat_map(|w| {
            let input = in_file_order(shape.cell, &w.bias, hidden, 1);
            [input, in_file_order(shape.cell, &w.recurrent_bias, hidden, 1)].concat()
        });
        let both: Vec<f32> = both.collect();
        graph.bytes(5, &tensor(&format!("b{layer}"), &[sides, 2 * rows], &both).0);
    }
    graph.bytes(2, b"race");
    if shape.layers > 1 {
        graph.bytes(5, &raw("side", &[1], INT64, &1_i64.to_le_bytes()).0);
    }
    if shape.signal == Signal::Decay {
        let axes = [sides, shape.batch, hidden];
        graph.bytes(5, &tensor("h", &axes, &case.hidden.repeat(sides)).0);
        if shape.cell == Cell::Lstm {
            graph.bytes(5, &tensor("c", &axes, &case.cell.repeat(sides)).0);
        }
    }
    graph.bytes(11, &value("x", &[shape.time, shape.batch, shape.input_size]).0);
    graph.bytes(12, &value("y", &[shape.time, sides, shape.batch, hidden]).0);
    graph
}

/// One recurrent layer.
fn recurrent(case: &Case, layer: usize, x: &str, y: &str) -> Message {
    let operator = match case.shape.cell {
        Cell::Rnn => "RNN",
        Cell::Lstm if in_bytes(case) => "DynamicQuantizeLSTM",
        Cell::Lstm => "LSTM",
        Cell::Gru => "GRU",
    };
    let [w, r, b] = ["w", "r", "b"].map(|name| format!("{name}{layer}"));
    let mut inputs = vec![x, &w, &r, &b];
    if case.shape.signal == Signal::Decay {
        inputs.extend(["", "h"]);
        if case.shape.cell == Cell::Lstm {
            inputs.push("c");
        }
    }
    let scales = [&w, &r].map(|name| [format!("{name}-scale"), format!("{name}-zero")]);
    if in_bytes(case) {
        inputs.resize(8, "");
        inputs.extend(scales.iter().flatten().map(String::as_str));
    }
    let mut node = node(operator, &inputs, y);
    if in_bytes(case) {
        node.bytes(7, RUNTIME.as_bytes());
    }
    node.bytes(5, &integer("hidden_size", case.shape.hidden_size as u64).0);
    if case.shape.directions == 2 {
        let mut direction = Message::new();
        direction.bytes(1, b"direction");
        direction.bytes(4, b"bidirectional");
        direction.number(20, 3);
        node.bytes(5, &direction.0);
    }
    if case.shape.cell == Cell::Gru {
        node.bytes(5, &integer("linear_before_reset", 1).0);
    }
    node
}

/// Gate blocks in the order of the format: `i o f g` of an LSTM.
fn in_file_order(cell: Cell, rows: &[f32], hidden: usize, columns: usize) -> Vec<f32> {
    let order: &[usize] = match cell {
        Cell::Rnn => &[0],
        Cell::Lstm => &[0, 3, 1, 2],
        Cell::Gru => &[0, 1, 2],
    };
    let block = hidden * columns;
    order.iter().flat_map(|gate| &rows[gate * block..][..block]).copied().collect()
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Message {
    let mut node = Message::new();
    for input in inputs {
        node.bytes(1, input.as_bytes());
    }
    node.bytes(2, output.as_bytes());
    node.bytes(3, format!("to-{output}").as_bytes());
    node.bytes(4, operator.as_bytes());
    node
}

fn integer(name: &str, value: u64) -> Message {
    let mut attribute = Message::new();
    attribute.bytes(1, name.as_bytes());
    attribute.number(3, value);
    attribute.number(20, 2);
    attribute
}

fn tensor(name: &str, axes: &[usize], values: &[f32]) -> Message {
    raw(name, axes, FLOAT, &bytes(values))
}

/// A tensor whose numbers are of a kind of the format's.
fn raw(name: &str, axes: &[usize], kind: u64, bytes: &[u8]) -> Message {
    let mut tensor = Message::new();
    for &axis in axes {
        tensor.number(1, axis as u64);
    }
    tensor.number(2, kind);
    tensor.bytes(8, name.as_bytes());
    tensor.bytes(9, bytes);
    tensor
}

/// A matrix for each direction as bytes, turned round, and their scales and zeros.
fn quantized(name: &str, [sides, rows, width]: [usize; 3], matrix: &[f32]) -> [Message; 3] {
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for side in matrix.chunks_exact(rows * width) {
        let scale = side.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs())) / 63.0;
        let columns = (0..width).flat_map(|k| (0..rows).map(move |row| row * width + k));
        bytes.extend(columns.map(|at| (side[at] / scale).round() as i8 as u8));
        scales.push(scale);
    }
    [
        raw(name, &[sides, width, rows], INT8, &bytes),
        tensor(&format!("{name}-scale"), &[sides], &scales),
        raw(&format!("{name}-zero"), &[sides], INT8, &vec![0; sides]),
    ]
}

/// The name and shape of an input or output.
fn value(name: &str, axes: &[usize]) -> Message {
    let mut shape = Message::new();
    for &axis in axes {
        let mut dimension = Message::new();
        dimension.number(1, axis as u64);
        shape.bytes(1, &dimension.0);
    }
    let mut tensor = Message::new();
    tensor.number(1, FLOAT);
    tensor.bytes(2, &shape.0);
    let mut kind = Message::new();
    kind.bytes(1, &tensor.0);
    let mut value = Message::new();
    value.bytes(1, name.as_bytes());
    value.bytes(2, &kind.0);
    value
}

/// A protobuf message being written.
struct Message(Vec<u8>);

impl Message {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }
}
