//! Masks that a model makes from its own data.

use super::{Element, Model, Node, Op, Shape, Value};

/// Which steps count, told from the step itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaskRule {
    /// Those with a feature that is not this number; NaN is none: Keras `Masking(mask_value)`.
    AnyDiffers(f32),
    /// Those whose index is not this one: Keras `Embedding(mask_zero=True)`, with 0.
    IndexDiffers(i32),
}

impl MaskRule {
    /// What the rule is told from.
    pub(crate) fn element(self) -> Element {
        match self {
            Self::AnyDiffers(_) => Element::F32,
            Self::IndexDiffers(_) => Element::Index,
        }
    }
}

impl Model {
    /// The inputs of a node that are no mask, and its mask: the last of a recurrent layer's, if that
    /// is a sequence, and the second of a mean over time.
    pub(crate) fn split_mask<'a>(&self, node: &'a Node) -> (&'a [Value], Option<Value>) {
        let Some((&last, others)) = node.inputs.split_last() else { return (&node.inputs, None) };
        let is_sequence = matches!(self.shape(last), Ok(Shape::Sequence { .. }));
        let takes_one = matches!(node.op, Op::Recurrent(_) | Op::MeanOverTime);
        if takes_one && !others.is_empty() && is_sequence {
            (others, Some(last))
        } else {
            (&node.inputs, None)
        }
    }
}
