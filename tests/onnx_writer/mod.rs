//! Writes ONNX files by hand, right ones and wrong ones.

#![allow(dead_code, reason = "each test file uses a part")]

/// A protocol buffer in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    pub(crate) fn integer(&mut self, number: u64, value: i64) {
        self.varint(number << 3);
        self.varint(value.cast_unsigned());
    }

    pub(crate) fn bytes(&mut self, number: u64, bytes: &[u8]) {
        self.varint(number << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, number: u64, text: &str) {
        self.bytes(number, text.as_bytes());
    }
}

pub(crate) fn attribute_int(name: &str, value: i64) -> Message {
    let mut attribute = Message::default();
    attribute.text(1, name);
    attribute.integer(3, value);
    attribute.integer(20, 2);
    attribute
}

pub(crate) fn attribute_ints(name: &str, values: &[i64]) -> Message {
    let mut attribute = Message::default();
    attribute.text(1, name);
    values.iter().for_each(|&value| attribute.integer(8, value));
    attribute.integer(20, 7);
    attribute
}

pub(crate) fn attribute_text(name: &str, value: &str) -> Message {
    let mut attribute = Message::default();
    attribute.text(1, name);
    attribute.text(4, value);
    attribute.integer(20, 3);
    attribute
}

/// An attribute that holds a graph of these bytes.
pub(crate) fn attribute_graph(name: &str, graph: &[u8]) -> Message {
    let mut attribute = Message::default();
    attribute.text(1, name);
    attribute.bytes(6, graph);
    attribute.integer(20, 5);
    attribute
}

/// A node in the making.
#[derive(Clone, Debug)]
pub(crate) struct Node(Message);

impl Node {
    pub(crate) fn new(op: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let mut node = Message::default();
        inputs.iter().for_each(|name| node.text(1, name));
        outputs.iter().for_each(|name| node.text(2, name));
        node.text(4, op);
        Self(node)
    }

    pub(crate) fn named(mut self, name: &str) -> Self {
        self.0.text(3, name);
        self
    }

    pub(crate) fn domain(mut self, name: &str) -> Self {
        self.0.text(7, name);
        self
    }

    #[allow(clippy::needless_pass_by_value, reason = "it reads better")]
    pub(crate) fn with(mut self, attribute: Message) -> Self {
        self.0.bytes(5, &attribute.0);
        self
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.0
    }
}

/// A file in the making.
#[derive(Clone, Debug)]
pub(crate) struct File {
    opset: i64,
    nodes: Vec<Node>,
    tensors: Vec<(String, Message)>,
    ends: Message,
}

impl File {
    pub(crate) fn new(opset: i64) -> Self {
        Self { opset, nodes: Vec::new(), tensors: Vec::new(), ends: Message::default() }
    }

    pub(crate) fn set_opset(&mut self, opset: i64) {
        self.opset = opset;
    }

    pub(crate) fn node(&mut self, node: Node) {
        self.nodes.push(node);
    }

    pub(crate) fn nodes_mut(&mut self) -> &mut Vec<Node> {
        &mut self.nodes
    }

    /// Axes are names, or numbers.
    pub(crate) fn input(&mut self, name: &str, axes: &[&str]) {
        self.value(11, name, 1, axes);
    }

    pub(crate) fn indices(&mut self, name: &str, axes: &[&str]) {
        self.value(11, name, 6, axes);
    }

    pub(crate) fn output(&mut self, name: &str) {
        let mut info = Message::default();
        info.text(1, name);
        self.ends.bytes(12, &info.0);
    }

    fn value(&mut self, number: u64, name: &str, element: i64, axes: &[&str]) {
        let mut shape = Message::default();
        for axis in axes {
            let mut dim = Message::default();
            match axis.parse() {
                Ok(length) => dim.integer(1, length),
                Err(_) => dim.text(2, axis),
            }
            shape.bytes(1, &dim.0);
        }
        let mut tensor = Message::default();
        tensor.integer(1, element);
        tensor.bytes(2, &shape.0);
        let mut kind = Message::default();
        kind.bytes(1, &tensor.0);
        let mut info = Message::default();
        info.text(1, name);
        info.bytes(2, &kind.0);
        self.ends.bytes(number, &info.0);
    }

    pub(crate) fn tensor(&mut self, name: &str, dims: &[i64], numbers: &[f32]) {
        let mut tensor = Message::default();
        dims.iter().for_each(|&length| tensor.integer(1, length));
        tensor.integer(2, 1);
        tensor.text(8, name);
        let raw: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        tensor.bytes(9, &raw);
        self.tensors.push((name.into(), tensor));
    }

    pub(crate) fn integers(&mut self, name: &str, numbers: &[i64]) {
        let mut tensor = Message::default();
        tensor.integer(1, i64::try_from(numbers.len()).unwrap());
        tensor.integer(2, 7);
        tensor.text(8, name);
        numbers.iter().for_each(|&number| tensor.integer(7, number));
        self.tensors.push((name.into(), tensor));
    }

    pub(crate) fn replace_tensor(&mut self, name: &str, dims: &[i64], numbers: &[f32]) {
        self.tensors.retain(|(known, _)| known != name);
        self.tensor(name, dims, numbers);
    }

    /// A tensor of f32 whose numbers are in another file.
    pub(crate) fn external(&mut self, name: &str, dims: &[i64], entries: &[(&str, &str)]) {
        let mut tensor = Message::default();
        dims.iter().for_each(|&length| tensor.integer(1, length));
        tensor.integer(2, 1);
        tensor.text(8, name);
        for (key, value) in entries {
            let mut entry = Message::default();
            entry.text(1, key);
            entry.text(2, value);
            tensor.bytes(13, &entry.0);
        }
        tensor.integer(14, 1);
        self.tensors.push((name.into(), tensor));
    }

    pub(crate) fn remove_tensor(&mut self, name: &str) {
        self.tensors.retain(|(known, _)| known != name);
    }

    pub(crate) fn make_external(&mut self, name: &str) {
        for (known, tensor) in &mut self.tensors {
            if known == name {
                tensor.integer(14, 1);
            }
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut graph = Message::default();
        self.nodes.iter().for_each(|node| graph.bytes(1, &node.0.0));
        self.tensors.iter().for_each(|(_, tensor)| graph.bytes(5, &tensor.0));
        graph.0.extend_from_slice(&self.ends.0);
        let mut opset = Message::default();
        opset.integer(2, self.opset);
        let mut file = Message::default();
        file.integer(1, 8);
        file.bytes(7, &graph.0);
        file.bytes(8, &opset.0);
        file.0
    }
}
