//! `.onnx`: recurrent nodes, what exporters write around them, and heads.
//!
//! This recognises a graph, and does not run it: each node becomes part of the one [`Model`], or is
//! refused by name. Inputs and outputs have the names of the graph's values, and its order of axes.
//! A batch size fixed in the file is not kept: any will do. A fixed time is.

mod activation;
mod arithmetic;
mod axes;
mod call;
mod cells;
mod dims;
mod filled;
mod gelu;
mod head;
mod joining;
mod known;
mod layout;
mod lengths;
mod loops;
mod ops;
mod order;
mod outputs;
mod pooling;
mod reader;
mod recurrent;
mod refusal;
mod settle;
mod slicing;
mod states;
mod tensor;
mod unrolled;
mod view;
mod wrapping;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use super::container::external;
use super::container::onnx::{self, File, element};
#[cfg(any(feature = "safetensors", feature = "audio"))]
use super::tensors::{Data, Tensors};
use crate::{Error, Model};
use axes::Axes;
use reader::Reader;
use tensor::Tensor;

/// Why a node is not understood.
#[derive(Clone, Debug, PartialEq)]
struct Reason(String);

impl From<Error> for Reason {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// The versions of the operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=22;

/// The tensors that a `.onnx` file stores beside its graph, whatever is done with them.
#[cfg(any(feature = "safetensors", feature = "audio"))]
pub(super) fn tensors(bytes: &[u8], path: Option<&Path>) -> Result<Tensors, Error> {
    let mut file = onnx::parse(bytes)?;
    path.map_or(Ok(0), |path| external::attach(&mut file.graph, path))?;
    let mut tensors = Tensors::default();
    for stored in &file.graph.initializers {
        let (dims, numbers) = stored.read()?;
        let data = match numbers {
            onnx::Numbers::F32(numbers) => Data::F32(numbers),
            onnx::Numbers::I64(_) => Data::Other("integer".into()),
        };
        tensors.insert(stored.name.into(), dims, data)?;
    }
    Ok(tensors)
}

/// Reads the bytes of a `.onnx` file, and, where it is at a path, the files beside it that it names.
pub(super) fn read(bytes: &[u8], path: Option<&Path>) -> Result<Model, Error> {
    let mut file = onnx::parse(bytes)?;
    let beside = path.map_or(Ok(0), |path| external::attach(&mut file.graph, path))?;
    let opset = opset(&file)?;
    let graph = &file.graph;
    let mut constants: HashMap<&str, Rc<Tensor>> = HashMap::new();
    for stored in &graph.initializers {
        let (dims, numbers) = stored.read()?;
        if constants.insert(stored.name, Rc::new(Tensor { dims, numbers })).is_some() {
            return Err(Error::DuplicateName { what: "tensor", name: stored.name.into() });
        }
    }
    let given = reader::given(graph);
    let indices: HashSet<&str> = given
        .iter()
        .filter(|info| matches!(info.element, element::INT32 | element::INT64))
        .map(|info| info.name)
        .collect();
    let mut axes = Axes::new(&given)?;
    // What is copied and joined stays near the size of what is there.
    let budget = bytes.len().saturating_add(beside).saturating_mul(8).saturating_add(1 << 16);
    loop {
        let findings = axes.findings;
        let reader = Reader::read(graph, &constants, opset, axes, budget)?;
        if reader.axes.findings != findings {
            axes = reader.axes;
            continue;
        }
        let mut supposed = reader.axes.clone();
        if supposed.suppose(&|name| indices.contains(name)) {
            axes = supposed;
            continue;
        }
        if !reader.refused.is_empty() {
            return Err(refusal::error(&reader.refused));
        }
        let used = used_constants(&file);
        if let Some(unused) = constants.keys().find(|name| !used.contains(*name)) {
            return Err(Error::UnusedTensors { names: (*unused).into() });
        }
        return outputs::finish(reader);
    }
}

/// The version of the operators of ONNX itself.
fn opset(file: &File<'_>) -> Result<i64, Error> {
    let main = file.opsets.iter().find(|(domain, _)| matches!(*domain, "" | "ai.onnx"));
    match main {
        Some(&(_, version)) if OPSETS.contains(&version) => Ok(version),
        Some((_, version)) => Err(Error::Unsupported {
            what: format!("ONNX opset {version}"),
            advice: format!(
                "export with an opset from {} to {}, or convert with onnx.version_converter",
                OPSETS.start(),
                OPSETS.end()
            ),
        }),
        None => Err(Error::Format {
            container: "ONNX".into(),
            problem: "it does not say its opset".into(),
        }),
    }
}

/// The names that nodes and outputs use.
fn used_constants<'a>(file: &File<'a>) -> HashSet<&'a str> {
    let mut used: HashSet<&str> = file.graph.outputs.iter().map(|info| info.name).collect();
    let mut graphs = vec![&file.graph];
    while let Some(graph) = graphs.pop() {
        for node in &graph.nodes {
            used.extend(node.inputs.iter().copied());
            for attribute in &node.attributes {
                if let onnx::Content::Graph(inner) = &attribute.value {
                    graphs.push(inner);
                }
            }
        }
    }
    used
}
