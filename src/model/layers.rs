//! A model that shows what its layers give.

use super::{Model, Op, Output, Port, Value};
use crate::Error;

impl Model {
    /// The same model with other outputs: the results of its layers with matrices of weights, under the
    /// names of the nodes, then those of its own outputs that are none of them.
    ///
    /// For comparing how two plans of a model differ, layer by layer.
    ///
    /// # Errors
    ///
    /// If that is none.
    pub fn showing_layers(&self) -> Result<Self, Error> {
        let constant = self.constant_nodes();
        let has_matrices = |op: &Op| matches!(op, Op::Recurrent(_) | Op::Dense(_));
        let layers = self.nodes().iter().enumerate();
        let mut outputs: Vec<Output> = layers
            .filter(|(index, node)| !constant[*index] && has_matrices(&node.op))
            .map(|(index, node)| Output {
                name: node.name.clone(),
                value: Value::Node { node: index, port: Port::Main },
            })
            .collect();
        for own in self.outputs() {
            if outputs.iter().any(|output| output.value == own.value) {
                continue;
            }
            let mut name = own.name.clone();
            while outputs.iter().any(|output| output.name == name) {
                name.push('_');
            }
            outputs.push(Output { name, value: own.value });
        }
        let (inputs, nodes) = (self.inputs().to_vec(), self.nodes().to_vec());
        let model = Self::new(inputs, nodes, outputs, self.axes())?;
        let outputs = model.axes_of_outputs();
        model.with_shown_axes(self.input_axes.clone(), outputs)
    }
}
