//! The names of a specification's values, and the nodes that are made only if one is asked for.

use std::collections::BTreeMap;

use crate::Error;
use crate::model::{GraphBuilder, Op, Value};

/// A graph in the making, and what can be referred to in it.
#[derive(Default)]
pub(super) struct Names {
    pub(super) graph: GraphBuilder,
    known: BTreeMap<String, Offer>,
}

/// What stands behind a name.
pub(super) enum Offer {
    /// A value that is there.
    Value(Value),
    /// The result of a node that is added when it is first asked for.
    Made {
        /// The node's name.
        node: String,
        /// What it computes.
        op: Op,
        /// From what.
        inputs: Vec<Value>,
    },
}

impl Names {
    /// Lets `name` be referred to from now on.
    pub(super) fn offer(&mut self, name: String, offer: Offer) -> Result<(), Error> {
        if self.known.contains_key(&name) {
            return Err(Error::DuplicateName { what: "value", name });
        }
        self.known.insert(name, offer);
        Ok(())
    }

    /// The value of this name.
    pub(super) fn value(&mut self, name: &str) -> Result<Value, Error> {
        let Some(offer) = self.known.get_mut(name) else {
            let known: Vec<&str> = self.known.keys().map(String::as_str).collect();
            return Err(Error::UnknownName {
                what: "value",
                name: name.into(),
                known: known.join(", "),
            });
        };
        if let Offer::Made { node, op, inputs } = offer {
            *offer = Offer::Value(self.graph.node(node, op.clone(), inputs));
        }
        match offer {
            Offer::Value(value) => Ok(*value),
            Offer::Made { .. } => unreachable!("it was made just now"),
        }
    }
}
