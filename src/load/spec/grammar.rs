//! What a specification can say, and the keys it says it with.

use crate::model::{
    Activation, Cell, Coupling, Direction, Merge, Op, OutputOrder, PadOutput, StateScope,
};

/// Keys at the top.
pub(super) const TOP: &[&str] = &["ritornello", "inputs", "time_major", "nodes", "outputs"];
/// Keys of an input.
pub(super) const INPUT: &[&str] = &["name", "axes", "dtype"];
/// Keys of an output that is an object.
pub(super) const OUTPUT: &[&str] = &["name", "value"];
/// Keys that say where weights are.
pub(super) const WEIGHTS: &[&str] = &["convention", "prefix"];
/// Keys of every node.
pub(super) const NODE: &[&str] = &["name", "op", "inputs"];

/// Every operation with the keys it has beside those of every node.
pub(super) const OPS: &[(&str, &[&str])] = &[
    ("rnn", &with_recurrent(&["activation"])),
    ("lstm", &with_recurrent(&LSTM)),
    ("gru", &with_recurrent(&["activation", "recurrent_activation", "reset"])),
    ("dense", &["activation", "bias", "weights"]),
    ("embedding", &["weights"]),
    ("scale_shift", &["eps", "weights"]),
    ("activation", &["activation"]),
    ("concat", &[]),
    ("add", &[]),
    ("multiply", &[]),
    ("select", &["step", "features", "state", "states"]),
    ("stack", &[]),
    ("unroll", &["steps"]),
    ("repeat", &["steps"]),
    ("flatten", &[]),
    ("mean_time", &[]),
    ("max_time", &[]),
    ("mask", &["value", "index"]),
    ("masked", &[]),
    ("constant", &["kind", "tensor"]),
    ("dropout", &[]),
];

/// Keys of every recurrent node.
const RECURRENT: [&str; 13] = [
    "hidden_size",
    "layers",
    "direction",
    "merge",
    "bias",
    "initial_h",
    "order",
    "stateful",
    "weights",
    "recurrent",
    "clip",
    "mask",
    "pad_output",
];

/// Keys of an LSTM alone.
const LSTM: [&str; 9] = [
    "activation",
    "recurrent_activation",
    "output_activation",
    "initial_c",
    "coupling",
    "peepholes",
    "proj_size",
    "cell_clip",
    "projection_clip",
];

/// The keys of every recurrent node and those of one operation; an unused place repeats the first.
const fn with_recurrent(own: &[&'static str]) -> [&'static str; 22] {
    let mut keys = [RECURRENT[0]; 22];
    let mut i = 0;
    while i < RECURRENT.len() {
        keys[i] = RECURRENT[i];
        i += 1;
    }
    i = 0;
    while i < own.len() {
        keys[RECURRENT.len() + i] = own[i];
        i += 1;
    }
    keys
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NodeSpec {
    pub(super) name: String,
    /// Names of values.
    pub(super) inputs: Vec<String>,
    pub(super) kind: NodeKind,
}

/// What a node computes, without its weights.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NodeKind {
    Recurrent(RecurrentSpec, WeightsSpec),
    Dense {
        activation: Activation,
        bias: bool,
        weights: WeightsSpec,
    },
    Embedding(WeightsSpec),
    ScaleShift {
        eps: Option<f64>,
        weights: WeightsSpec,
    },
    Constant {
        kind: ConstantKind,
        /// Its name in the file.
        tensor: String,
    },
    /// An operation without weights.
    Plain(Op),
    /// Nothing at inference: another name for the input.
    Dropout,
}

/// A recurrent node: one layer or a stack of equal ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RecurrentSpec {
    pub(super) cell: Cell,
    pub(super) hidden_size: Option<usize>,
    pub(super) layers: usize,
    pub(super) direction: Direction,
    /// `None`: the directions are offered one by one.
    pub(super) merge: Option<Merge>,
    pub(super) bias: bool,
    pub(super) recurrence: Recurrence,
    /// Whether there are peepholes.
    pub(super) peepholes: bool,
    /// Features of h if it is projected.
    pub(super) proj_size: Option<usize>,
    pub(super) initial_h: Option<String>,
    pub(super) initial_c: Option<String>,
    pub(super) order: OutputOrder,
    pub(super) state_scope: StateScope,
    /// The steps that count.
    pub(super) mask: Option<String>,
    pub(super) pad_output: PadOutput,
}

/// What a node multiplies its previous hidden state by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recurrence {
    Matrix,
    Diagonal,
    Identity,
}

/// The words for it.
pub(super) const RECURRENCES: [(&str, Recurrence); 3] = [
    ("matrix", Recurrence::Matrix),
    ("diagonal", Recurrence::Diagonal),
    ("identity", Recurrence::Identity),
];

/// The words for which gate of an LSTM is one minus the other.
pub(super) const COUPLINGS: [(&str, Coupling); 3] = [
    ("none", Coupling::None),
    ("forget_from_input", Coupling::ForgetFromInput),
    ("input_from_forget", Coupling::InputFromForget),
];

/// What an array of the model is, beside its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConstantKind {
    /// `[features]`
    Vector,
    /// `[count, features]`
    States,
    /// `[time, features]`
    Sequence,
}

/// The words for it.
pub(super) const CONSTANTS: [(&str, ConstantKind); 3] = [
    ("vector", ConstantKind::Vector),
    ("states", ConstantKind::States),
    ("sequence", ConstantKind::Sequence),
];

/// Where a node's weights are in the file, and how they are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WeightsSpec {
    pub(super) convention: Convention,
    /// Stands in front of every tensor's name.
    pub(super) prefix: String,
}

/// Names and layout of a node's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Convention {
    /// `weight_ih_l0`, ...; `weight` and `bias` of a linear layer.
    PyTorch,
    /// Of a recurrent node: `weight` and `bias` of a linear layer before an identity recurrence.
    Linear,
    /// `kernel`, `recurrent_kernel`, `bias`.
    Keras,
    /// This library's own names and layout.
    Ritornello,
}

impl Convention {
    pub(super) const ALL: [Self; 4] = [Self::PyTorch, Self::Linear, Self::Keras, Self::Ritornello];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PyTorch => "pytorch",
            Self::Linear => "linear",
            Self::Keras => "keras",
            Self::Ritornello => "ritornello",
        }
    }
}

/// An output: a value under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutputSpec {
    pub(super) name: String,
    pub(super) value: String,
}

/// The words for directions.
pub(super) const DIRECTIONS: [(&str, Direction); 3] = [
    ("forward", Direction::Forward),
    ("reverse", Direction::Reverse),
    ("bidirectional", Direction::Bidirectional),
];

/// The words for merges.
pub(super) const MERGES: [(&str, Option<Merge>); 5] = [
    ("concat", Some(Merge::Concat)),
    ("sum", Some(Merge::Sum)),
    ("mul", Some(Merge::Mul)),
    ("average", Some(Merge::Average)),
    ("none", None),
];

/// The words for what a sequence shows at steps that do not count.
pub(super) const PADS: [(&str, PadOutput); 3] = [
    (PadOutput::Zero.name(), PadOutput::Zero),
    (PadOutput::Hold.name(), PadOutput::Hold),
    (PadOutput::HoldState.name(), PadOutput::HoldState),
];

/// The words for the order of a reverse layer's output.
pub(super) const ORDERS: [(&str, OutputOrder); 2] =
    [("time", OutputOrder::Time), ("processing", OutputOrder::Processing)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The keys of a part of the schema.
    fn keys(part: &Value) -> BTreeSet<&str> {
        assert_eq!(part["additionalProperties"], false, "unknown keys are refused");
        part["properties"].as_object().expect("properties").keys().map(String::as_str).collect()
    }

    #[test]
    fn the_schema_knows_every_key_and_no_other() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/spec.schema.json");
        let text = std::fs::read_to_string(path).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        let defs = schema["$defs"].as_object().unwrap();
        assert_eq!(keys(&schema), TOP.iter().copied().collect());
        assert_eq!(keys(&defs["input"]), INPUT.iter().copied().collect());
        assert_eq!(keys(&defs["output"]), OUTPUT.iter().copied().collect());
        assert_eq!(keys(&defs["weights"]), WEIGHTS.iter().copied().collect());
        for (op, own) in OPS {
            let expected = NODE.iter().chain(*own).copied().collect();
            assert_eq!(keys(&defs[&format!("op_{op}")]), expected, "{op}");
        }
        let ops = defs.keys().filter(|name| name.starts_with("op_")).count();
        assert_eq!(ops, OPS.len(), "operations in the schema");
        let words = |part: &Value| -> Vec<String> {
            let words = part["enum"].as_array().unwrap().iter();
            words.map(|word| word.as_str().unwrap().to_owned()).collect()
        };
        let lstm = &defs["op_lstm"]["properties"];
        assert_eq!(words(&lstm["direction"]), DIRECTIONS.map(|(word, _)| word));
        assert_eq!(words(&lstm["merge"]), MERGES.map(|(word, _)| word));
        assert_eq!(words(&lstm["order"]), ORDERS.map(|(word, _)| word));
        assert_eq!(words(&lstm["pad_output"]), PADS.map(|(word, _)| word));
        let kinds = words(&defs["op_constant"]["properties"]["kind"]);
        assert_eq!(kinds, CONSTANTS.map(|(word, _)| word));
        let conventions = words(&defs["weights"]["properties"]["convention"]);
        assert_eq!(conventions, Convention::ALL.map(Convention::name));
    }
}
