//! Whether a model can be run piece by piece, and what of it needs a whole sequence.

use super::graph::{Model, Node, Op, Select, Value};
use super::{Direction, Extent, Shape};

impl Model {
    /// Whether every output up to step t needs only the inputs up to step t, so that a sequence
    /// may be given in pieces: no reverse direction, no mean or maximum over time, and no sequence
    /// or initial state that is made from the end of another sequence.
    #[must_use]
    pub fn is_causal(&self) -> bool {
        self.first_whole_sequence_node().is_none()
    }

    /// The first node that needs a whole sequence before it can give anything.
    pub(crate) fn first_whole_sequence_node(&self) -> Option<&Node> {
        let (constant, given) = (self.constant_nodes(), self.given_nodes());
        let is_given = |value: &Value| match *value {
            Value::Input(index) => !matches!(self.inputs()[index].shape, Shape::Sequence { .. }),
            Value::Node { node, .. } => given[node],
        };
        let nodes = self.nodes().iter().zip(constant).filter(|(_, constant)| !constant);
        nodes.map(|(node, _)| node).find(|node| match &node.op {
            Op::Recurrent(layer) => {
                layer.direction() != Direction::Forward
                    || !matches!(
                        self.shape(node.inputs[0]),
                        Ok(Shape::Sequence { time: Extent::Input(_), .. })
                    )
                    || !self.split_mask(node).0[1..].iter().all(is_given)
            }
            Op::MeanOverTime | Op::MaxOverTime | Op::Flatten => true,
            Op::Select(Select::Step(step)) => *step != -1,
            Op::Unroll { .. } | Op::Repeat { .. } => true,
            // Beside a sequence of fixed length, none can be given in pieces.
            Op::Concat | Op::Add | Op::Multiply => {
                node.inputs.len() > 1
                    && node.inputs.iter().any(|&input| {
                        let shape = self.shape(input);
                        matches!(shape, Ok(Shape::Sequence { time: Extent::Fixed(_), .. }))
                    })
            }
            _ => false,
        })
    }

    /// Of each node, whether it is made from vectors that the caller gives and from constants, without
    /// any sequence.
    fn given_nodes(&self) -> Vec<bool> {
        let mut given: Vec<bool> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let inputs = node.inputs.iter().all(|value| match *value {
                Value::Input(index) => {
                    !matches!(self.inputs()[index].shape, Shape::Sequence { .. })
                }
                Value::Node { node, .. } => given[node],
            });
            given.push(inputs && !matches!(node.op, Op::Recurrent(_)));
        }
        given
    }
}
