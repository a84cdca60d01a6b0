//! [`Spec`] to JSON. What has its default value is left out.

use serde_json::{Map, Value, json};

use super::Spec;
use super::grammar::{
    CONSTANTS, COUPLINGS, DIRECTIONS, MERGES, NodeKind, NodeSpec, ORDERS, OutputSpec, PADS,
    RECURRENCES, RecurrentSpec, WeightsSpec,
};
use crate::model::{
    Activation, Cell, Element, Extent, Gru, GruReset, Input, Lstm, MaskRule, Op, Select,
    SequenceAxes, Shape, SimpleRnn, StateScope,
};

/// The whole, one input or node on a line.
pub(super) fn spec(spec: &Spec) -> String {
    let lines = |items: Vec<Value>| {
        let items: Vec<String> = items.iter().map(|item| format!("\n    {item}")).collect();
        format!("[{}{}]", items.join(","), if items.is_empty() { "" } else { "\n  " })
    };
    let inputs = spec.inputs.iter().map(|i| input(i, spec.axes)).collect();
    let nodes = spec.nodes.iter().map(node).collect();
    let outputs: Vec<Value> = spec.outputs.iter().map(output).collect();
    let said = spec.inputs.iter().any(|i| matches!(i.shape, Shape::Sequence { .. }));
    let time_major = if spec.axes == SequenceAxes::TimeBatch && !said {
        "  \"time_major\": true,\n"
    } else {
        ""
    };
    let head = format!("  \"ritornello\": 1,\n  \"inputs\": {},\n{time_major}", lines(inputs));
    let outputs = Value::Array(outputs);
    format!("{{\n{head}  \"nodes\": {},\n  \"outputs\": {outputs}\n}}\n", lines(nodes))
}

fn input(input: &Input, axes: SequenceAxes) -> Value {
    let time = |time: Extent| match time {
        Extent::Input(_) => json!("time"),
        Extent::Fixed(steps) => json!(format!("time={steps}")),
    };
    let mut list = match input.shape {
        Shape::Sequence { time: extent, .. } => match axes {
            SequenceAxes::BatchTime => vec![json!("batch"), time(extent)],
            SequenceAxes::TimeBatch => vec![time(extent), json!("batch")],
        },
        Shape::Vector { .. } => vec![json!("batch")],
        Shape::States { count, .. } => vec![json!(count), json!("batch")],
    };
    match input.element {
        Element::F32 => {
            list.push(json!(input.shape.features()));
            json!({"name": input.name, "axes": list})
        }
        Element::Index => json!({"name": input.name, "axes": list, "dtype": "int32"}),
    }
}

fn output(output: &OutputSpec) -> Value {
    if output.name == output.value {
        json!(output.name)
    } else {
        json!({"name": output.name, "value": output.value})
    }
}

/// The keys of one node.
struct Keys(Map<String, Value>);

impl Keys {
    fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.into(), value.into());
    }

    /// Sets the word for `value`, unless it is the first, which is the default.
    fn word<T: Copy + PartialEq>(&mut self, key: &str, words: &[(&str, T)], value: T) {
        if let Some((word, _)) = words.iter().skip(1).find(|(_, other)| *other == value) {
            self.set(key, *word);
        }
    }

    fn activation(&mut self, key: &str, value: Activation, default: Activation) {
        if value != default {
            self.set(key, value.to_string());
        }
    }

    /// An f32 in as many digits as tell it from others.
    fn number(&mut self, key: &str, value: f32) {
        let digits = value.to_string().parse::<f64>();
        self.set(key, digits.unwrap_or_else(|_| f64::from(value)));
    }

    fn weights(&mut self, weights: &WeightsSpec) {
        let convention = weights.convention.name();
        self.set("weights", json!({"convention": convention, "prefix": weights.prefix}));
    }
}

fn node(node: &NodeSpec) -> Value {
    let op = match &node.kind {
        NodeKind::Recurrent(spec, _) => spec.cell.name(),
        NodeKind::Dense { .. } => "dense",
        NodeKind::Embedding(_) => "embedding",
        NodeKind::ScaleShift { .. } => "scale_shift",
        NodeKind::Plain(op) => op.name(),
        NodeKind::Constant { .. } => "constant",
        NodeKind::Dropout => "dropout",
    };
    let mut keys = Keys(Map::new());
    keys.set("name", node.name.as_str());
    keys.set("op", op);
    keys.set("inputs", node.inputs.clone());
    match &node.kind {
        NodeKind::Recurrent(spec, weights) => {
            recurrent(&mut keys, spec);
            keys.weights(weights);
        }
        NodeKind::Dense { activation, bias, weights } => {
            keys.activation("activation", *activation, Activation::Linear);
            if !bias {
                keys.set("bias", false);
            }
            keys.weights(weights);
        }
        NodeKind::Embedding(weights) => keys.weights(weights),
        NodeKind::ScaleShift { eps, weights } => {
            if let Some(eps) = eps {
                keys.set("eps", *eps);
            }
            keys.weights(weights);
        }
        NodeKind::Constant { kind, tensor } => {
            keys.word("kind", &CONSTANTS, *kind);
            keys.set("tensor", tensor.as_str());
        }
        NodeKind::Plain(op) => plain(&mut keys, op),
        NodeKind::Dropout => {}
    }
    Value::Object(keys.0)
}

fn plain(keys: &mut Keys, op: &Op) {
    match op {
        Op::Activation(activation) => keys.set("activation", activation.to_string()),
        Op::Unroll { steps } | Op::Repeat { steps } => keys.set("steps", *steps),
        Op::Select(Select::Step(step)) => keys.set("step", *step),
        Op::Select(Select::Features { start, end }) => keys.set("features", vec![*start, *end]),
        Op::Select(Select::State(state)) => keys.set("state", *state),
        Op::Select(Select::States { start, end }) => keys.set("states", vec![*start, *end]),
        Op::Mask(MaskRule::AnyDiffers(value)) => keys.number("value", *value),
        Op::Mask(MaskRule::IndexDiffers(index)) => keys.set("index", *index),
        _ => {}
    }
}

fn recurrent(keys: &mut Keys, spec: &RecurrentSpec) {
    if let Some(hidden_size) = spec.hidden_size {
        keys.set("hidden_size", hidden_size);
    }
    if spec.layers != 1 {
        keys.set("layers", spec.layers);
    }
    keys.word("direction", &DIRECTIONS, spec.direction);
    keys.word("merge", &MERGES, spec.merge);
    cell(keys, spec.cell);
    if !spec.bias {
        keys.set("bias", false);
    }
    keys.word("recurrent", &RECURRENCES, spec.recurrence);
    if spec.peepholes {
        keys.set("peepholes", true);
    }
    if let Some(proj_size) = spec.proj_size {
        keys.set("proj_size", proj_size);
    }
    for (key, state) in [("initial_h", &spec.initial_h), ("initial_c", &spec.initial_c)] {
        if let Some(state) = state {
            keys.set(key, state.as_str());
        }
    }
    keys.word("order", &ORDERS, spec.order);
    if spec.state_scope == StateScope::Session {
        keys.set("stateful", true);
    }
    if let Some(mask) = &spec.mask {
        keys.set("mask", mask.as_str());
    }
    keys.word("pad_output", &PADS, spec.pad_output);
}

fn cell(keys: &mut Keys, cell: Cell) {
    let (activation, gates) = match cell {
        Cell::SimpleRnn(SimpleRnn { activation, .. }) => (activation, None),
        Cell::Lstm(Lstm { activation, recurrent_activation, .. })
        | Cell::Gru(Gru { activation, recurrent_activation, .. }) => {
            (activation, Some(recurrent_activation))
        }
    };
    keys.activation("activation", activation, Activation::Tanh);
    if let Some(gates) = gates {
        keys.activation("recurrent_activation", gates, Activation::Sigmoid);
    }
    match cell {
        Cell::Lstm(lstm) => {
            keys.activation("output_activation", lstm.output_activation, activation);
            keys.word("coupling", &COUPLINGS, lstm.coupling);
        }
        Cell::Gru(Gru { reset: GruReset::BeforeMatmul, .. }) => keys.set("reset", "before"),
        _ => {}
    }
    for (key, clip) in cell.clips() {
        keys.number(key, clip);
    }
}
