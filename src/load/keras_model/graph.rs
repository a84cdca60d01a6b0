//! Keras tensors as values of a graph in the making.

use std::collections::HashMap;

use super::inside;
use super::topology::Tensor;
use crate::Error;
use crate::model::{GraphBuilder, Op, Select, Value};

/// A graph, and which of its values each Keras tensor is.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) builder: GraphBuilder,
    results: HashMap<Tensor, Produced>,
}

/// What stands behind a Keras tensor.
#[derive(Clone, Debug)]
pub(super) enum Produced {
    /// A value.
    Value(Value),
    /// A part of a value, selected by a node that is added when the part is first used.
    Part {
        whole: Value,
        select: Select,
        /// The name of the node.
        name: String,
    },
    /// The only state of `whole`, which can stand for it where a state is expected.
    OnlyState {
        whole: Value,
        /// The name of the node that selects it.
        name: String,
    },
}

impl Graph {
    /// Enters the result of a layer.
    pub(super) fn enter(&mut self, tensor: Tensor, produced: Produced) {
        self.results.insert(tensor, produced);
    }

    /// The value that a tensor is.
    pub(super) fn value(&mut self, tensor: &Tensor) -> Result<Value, Error> {
        let Some(produced) = self.results.get_mut(tensor) else {
            let Tensor { layer, call, index } = tensor;
            let problem = format!("there is no result {index} of call {call} of layer '{layer}'");
            return Err(inside("config.json", &problem));
        };
        let (whole, select, name) = match produced {
            Produced::Value(value) => return Ok(*value),
            Produced::Part { whole, select, name } => (*whole, *select, name),
            Produced::OnlyState { whole, name } => (*whole, Select::State(0), name),
        };
        let value = self.builder.node(name, Op::Select(select), &[whole]);
        *produced = Produced::Value(value);
        Ok(value)
    }

    /// The value that a tensor is, as an initial state.
    pub(super) fn state(&mut self, tensor: &Tensor) -> Result<Value, Error> {
        match self.results.get(tensor) {
            Some(Produced::OnlyState { whole, .. }) => Ok(*whole),
            _ => self.value(tensor),
        }
    }
}
