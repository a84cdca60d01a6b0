//! Masks: which steps count, where they come from and which layers get them.
//!
//! `Masking` and `Embedding(mask_zero=True)` make them. From there Keras hands a mask on with every
//! tensor that a layer makes of a masked one, if that layer knows masks; a Functional model says
//! besides which mask each layer is called with, and how it is made by operations.

use super::Version;
use super::config::Layer;
use super::graph::Graph;
use super::topology::{Call, Tensor};
use crate::Error;
use crate::model::{MaskRule, Value};

/// What stands behind a tensor of truths, or goes with a tensor of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mask {
    /// Where each number of a sequence is not this one.
    Differs(Value, f32),
    /// A mask of steps.
    Steps(Value),
    /// The same for every feature.
    Features(Value),
    /// Everything counts.
    All,
    /// Nothing does: what is or-ed with a mask to give it a shape.
    Nothing,
    /// One made of different masks, which no node here is.
    Several,
}

impl Mask {
    /// Where one of two masks counts.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Nothing, mask) | (mask, Self::Nothing) => mask,
            (first, second) if first == second => first,
            _ => Self::Several,
        }
    }

    fn or_all(masks: impl IntoIterator<Item = Self>) -> Self {
        masks.into_iter().fold(Self::Nothing, Self::or)
    }
}

/// What to do about an operation that is none of these.
const OPERATIONS: &str = "of operations there are x + y, x * y, concatenate and x[:, step]; others can be \
                          layers; masks come from Masking and Embedding(mask_zero=True)";

const ADVICE: &str = "masks come from Masking, from Embedding(mask_zero=True), and from sums and \
                      concatenations of sequences that have one of them";

/// The mask that an operation among the layers makes of others.
pub(super) fn operation(call: &Call<'_>, graph: &mut Graph) -> Result<Mask, Error> {
    let layer = &call.layer;
    let refused = || layer.unsupported("", ADVICE);
    if layer.class == "NotEqual" {
        layer.know(&[])?;
        let ([of], Some(with)) = (&call.inputs[..], call.constant) else {
            return Err(refused());
        };
        return different(of, with, graph).ok_or_else(refused);
    }
    if matches!(layer.class, "ZerosLike" | "OnesLike") {
        layer.know(&["dtype"])?;
        return Ok(if layer.class == "OnesLike" { Mask::All } else { Mask::Nothing });
    }
    let masks: Option<Vec<Mask>> = call.inputs.iter().map(|tensor| graph.truths(tensor)).collect();
    let masks = masks.ok_or_else(|| layer.unsupported("on numbers", OPERATIONS))?;
    match (layer.class, &masks[..]) {
        ("Any", &[mask]) => {
            layer.know(&["axis", "keepdims"])?;
            layer.expect_last_axis("axis")?;
            match mask {
                _ if layer.switch("keepdims", false)? => Err(refused()),
                Mask::Differs(of, value) => {
                    let rule = MaskRule::AnyDiffers(value);
                    Ok(Mask::Steps(graph.mask(&call.inputs[0].layer, of, rule)))
                }
                Mask::Features(mask) => Ok(Mask::Steps(mask)),
                Mask::All | Mask::Several => Ok(mask),
                Mask::Steps(_) | Mask::Nothing => Err(refused()),
            }
        }
        ("ExpandDims", &[mask]) => {
            layer.know(&["axis"])?;
            layer.expect_last_axis("axis")?;
            match mask {
                Mask::Steps(mask) => Ok(Mask::Features(mask)),
                Mask::All | Mask::Several => Ok(mask),
                _ => Err(refused()),
            }
        }
        ("LogicalOr", &[first, second]) => {
            layer.know(&[])?;
            Ok(first.or(second))
        }
        // Of all features together, which `Any` makes a mask of steps again.
        ("Concatenate", masks) => {
            layer.know(&["axis"])?;
            layer.expect_last_axis("axis")?;
            Ok(Mask::or_all(masks.iter().copied()))
        }
        _ => Err(refused()),
    }
}

/// Where a tensor is not a number; `None` if it has no such steps.
fn different(of: &Tensor, with: f64, graph: &mut Graph) -> Option<Mask> {
    let value = graph.value(of).ok()?;
    #[allow(clippy::cast_possible_truncation, reason = "Keras compares in the tensor's type")]
    if graph.is_index(of) {
        let rule = MaskRule::IndexDiffers(with as i32);
        (f64::from(with as i32) == with).then(|| Mask::Steps(graph.mask(&of.layer, value, rule)))
    } else {
        Some(Mask::Differs(value, with as f32))
    }
}

/// Whose rules masks follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum MaskRules {
    #[default]
    Keras3,
    /// That of TensorFlow.
    Keras2,
    /// Before 2.4, whose masked steps show other things.
    Standalone,
}

impl MaskRules {
    pub(super) fn of(version: Version) -> Self {
        match version {
            Version { major: 3.., .. } => Self::Keras3,
            Version { standalone: true, .. } => Self::Standalone,
            Version { .. } => Self::Keras2,
        }
    }
}

/// The mask that a layer uses: the one it is called with, or that which goes with its input.
///
/// Keras 3 gives a layer that is called with an initial state only a mask that is given by hand.
pub(super) fn used(call: &Call<'_>, graph: &Graph) -> Result<Option<Value>, Error> {
    let layer = &call.layer;
    let flows = call.initial_state.is_empty() || graph.rules != MaskRules::Keras3;
    let mask = match &call.mask {
        // In Keras 2 masks are no tensors of the model's own.
        Some(given) => Some(graph.truths(given).unwrap_or(Mask::Several)),
        None if flows => graph.flow(&call.inputs[0]),
        None => None,
    };
    let settled = call.initial_state.is_empty() && layer.class != "Bidirectional";
    if mask.is_some() && graph.rules == MaskRules::Standalone && !settled {
        let advice = "what Keras before 2.4 shows at masked steps here is not what later ones \
                      show; load it in tf_keras, compare, and save it there";
        return Err(layer.unsupported("of an old Keras with a mask", advice));
    }
    match mask {
        None | Some(Mask::All) => Ok(None),
        Some(Mask::Steps(mask)) => Ok(Some(mask)),
        Some(_) => Err(layer.unsupported("with a mask made of others", ADVICE)),
    }
}

/// The mask that goes with what a layer gives, if it hands one on.
pub(super) fn handed_on(call: &Call<'_>, graph: &Graph) -> Option<Mask> {
    let mut masks = call.inputs.iter().map(|tensor| graph.flow(tensor));
    match call.layer.class {
        // Keras 2 wants every mask to count a step, and passes over what has none.
        "Add" | "Multiply" | "Concatenate" if graph.rules != MaskRules::Keras3 => {
            let masks: Vec<Mask> = masks.flatten().filter(|mask| *mask != Mask::All).collect();
            let first = *masks.first()?;
            Some(if masks.iter().all(|mask| *mask == first) { first } else { Mask::Several })
        }
        "Add" | "Multiply" => masks.collect::<Option<Vec<_>>>().map(Mask::or_all),
        "Concatenate" => {
            let masks: Vec<_> = masks.collect();
            let any = masks.iter().any(Option::is_some);
            any.then(|| Mask::or_all(masks.into_iter().map(|mask| mask.unwrap_or(Mask::All))))
        }
        "Flatten" | "RepeatVector" | "GlobalAveragePooling1D" | "GlobalMaxPooling1D" => None,
        _ => match &call.mask {
            Some(given) => graph.truths(given),
            None => masks.next()?,
        },
    }
}

/// Refuses a layer that does something with a mask that is not done here.
pub(super) fn check(call: &Call<'_>, graph: &Graph) -> Result<(), Error> {
    let layer = &call.layer;
    let masked = call.mask.is_some() || call.inputs.iter().any(|t| graph.flow(t).is_some());
    match layer.class {
        "Multiply" if masked => {
            let advice = "Keras multiplies by 1 where a mask leaves steps out; multiply before \
                          Masking, or without a mask";
            Err(layer.unsupported("of sequences with a mask", advice))
        }
        "Softmax" if masked => {
            let advice = "Keras compares the mask with the features; use Activation('softmax')";
            Err(layer.unsupported("with a mask", advice))
        }
        // A normalisation uses it in training only.
        "SimpleRNN"
        | "LSTM"
        | "GRU"
        | "RNN"
        | "Bidirectional"
        | "TimeDistributed"
        | "GlobalAveragePooling1D"
        | "BatchNormalization" => Ok(()),
        _ if call.mask.is_some() => {
            Err(layer.unsupported("called with a mask", "call it without; it has no use for one"))
        }
        _ => Ok(()),
    }
}

/// The rule of a layer that makes a mask.
pub(super) fn made(layer: &Layer<'_>) -> Result<Option<MaskRule>, Error> {
    match layer.class {
        "Masking" => {
            layer.know(&["mask_value"])?;
            #[allow(clippy::cast_possible_truncation, reason = "inputs are f32")]
            let value = layer.number("mask_value", 0.0)? as f32;
            Ok(Some(MaskRule::AnyDiffers(value)))
        }
        "Embedding" if layer.switch("mask_zero", false)? => Ok(Some(MaskRule::IndexDiffers(0))),
        _ => Ok(None),
    }
}
