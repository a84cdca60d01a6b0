//! What is said of a graph that is not read: every node that is not understood, and what helps.

use super::Reason;
use super::call::Call;
use crate::Error;

/// A node that is not understood.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    name: String,
    op: String,
    reason: String,
}

impl Refused {
    pub(super) fn new(call: &Call<'_, '_>, Reason(reason): Reason) -> Self {
        Self { name: call.name().into(), op: call.node.op.into(), reason }
    }
}

impl Refused {
    /// An input of the graph that cannot be given.
    pub(super) fn input(name: &str, error: &Error) -> Self {
        Self { name: name.into(), op: "input".into(), reason: error.to_string() }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, op, reason } = self;
        write!(f, "{op} '{name}' ({reason})")
    }
}

/// The error that lists all of them.
pub(super) fn error(refused: &[Refused]) -> Error {
    let nodes: Vec<String> = refused.iter().map(ToString::to_string).collect();
    let plural = if refused.len() == 1 { "node" } else { "nodes" };
    Error::Unsupported {
        what: format!("an ONNX graph with {} {plural}: {}", refused.len(), nodes.join("; ")),
        advice: advice(refused).into(),
    }
}

/// What helps, by what there is.
fn advice(refused: &[Refused]) -> &'static str {
    let has = |op: &str| refused.iter().any(|node| node.op == op);
    if has("If") {
        "branches are not read; export the model without them, and only its recurrent part"
    } else if refused.iter().any(|node| node.op == "Equal" && node.reason.contains("masks")) {
        "masks, as Keras' Masking and mask_zero=True make them, are not read from ONNX; load the \
         `.keras` file itself, which says them, or export the model without them and give the \
         lengths of rows to run_lengths"
    } else if refused.iter().any(|node| node.name.contains("time_distributed")) {
        "Keras' TimeDistributed over a time that is open is exported as a loop, whose numbers are not \
         those of Keras: give the model a fixed time, Input((10, 5)), or use Dense without it, which \
         does the same at every step; or load the `.keras` file itself"
    } else if has("Loop") || has("Scan") {
        "of loops only those are read that tf2onnx makes of Keras' SimpleRNN, GRU and LSTM without \
         masks; load the `.keras` file itself, or export PyTorch with dynamo=False"
    } else if refused.iter().any(|node| node.reason.contains("hidden_size is not")) {
        "the file is broken; save the state_dict as .safetensors and describe the layer in a spec \
         with proj_size"
    } else {
        "this library runs recurrent networks and what stands directly around them; PyTorch: \
         torch.onnx.export(..., dynamo=False, dynamic_axes=...) keeps nn.RNN, nn.LSTM and nn.GRU \
         whole; Keras: load the `.keras` file itself, or export from the TensorFlow backend"
    }
}
