//! Keras tensors as values of a graph in the making.

use std::collections::{HashMap, HashSet};

use super::inside;
use super::masks::{Mask, MaskRules};
use super::topology::Tensor;
use crate::Error;
use crate::model::{GraphBuilder, MaskRule, Op, Select, Value};

/// A graph, and which of its values each Keras tensor is.
#[derive(Default)]
pub(super) struct Graph {
    pub(super) builder: GraphBuilder,
    results: HashMap<Tensor, Produced>,
    /// The input layers that give indices.
    pub(super) indices: HashSet<String>,
    /// Results of operations, which make masks of masks.
    pub(super) truths: HashMap<Tensor, Mask>,
    /// The masks that go with results of layers.
    pub(super) flows: HashMap<Tensor, Mask>,
    /// Whether masks are those of Keras 1 and 2, and which these are.
    pub(super) rules: MaskRules,
    /// The number of axes of results, where it is known.
    pub(super) axes: HashMap<Tensor, usize>,
    /// The nodes that make masks: of what, and the layer that they are named after.
    masks: Vec<(Value, MaskRule, Value, String)>,
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

    /// Whether a tensor is an input of indices.
    pub(super) fn is_index(&self, tensor: &Tensor) -> bool {
        self.indices.contains(&tensor.layer)
    }

    /// What an operation gave, if that is what the tensor is.
    pub(super) fn truths(&self, tensor: &Tensor) -> Option<Mask> {
        self.truths.get(tensor).copied()
    }

    /// The mask that goes with a tensor.
    pub(super) fn flow(&self, tensor: &Tensor) -> Option<Mask> {
        self.flows.get(tensor).copied()
    }

    /// The mask of a value by a rule. A node is added, named after `layer`, unless there is one.
    pub(super) fn mask(&mut self, layer: &str, of: Value, rule: MaskRule) -> Value {
        let known = self.masks.iter().find(|known| (known.0, known.1) == (of, rule));
        if let Some(&(_, _, mask, _)) = known {
            return mask;
        }
        let name = match self.masks.iter().filter(|known| known.3 == layer).count() {
            0 => format!("{layer}.mask"),
            number => format!("{layer}.mask_{number}"),
        };
        let mask = self.builder.mask(&name, rule, of);
        self.masks.push((of, rule, mask, layer.into()));
        mask
    }

    /// The value that a tensor is, as an initial state.
    pub(super) fn state(&mut self, tensor: &Tensor) -> Result<Value, Error> {
        match self.results.get(tensor) {
            Some(Produced::OnlyState { whole, .. }) => Ok(*whole),
            _ => self.value(tensor),
        }
    }
}
