//! Which file reads which operator.

use super::call::Call;
use super::known::Known;
use super::reader::Reader;
use super::{
    Reason, activation, arithmetic, filled, gelu, head, joining, layout, lengths, loops, pooling,
    recurrent, slicing, wrapping,
};
use crate::load::container::onnx::Node;

/// Reads a node: what is known of its results.
pub(super) fn read<'g, 'a>(
    reader: &mut Reader<'g, 'a>,
    call: &Call<'g, 'a>,
) -> Result<Vec<Known>, Reason> {
    if !matches!(call.node.domain, "" | "ai.onnx") {
        return Err(Reason(format!("operators of the domain '{}' are not read", call.node.domain)));
    }
    let refused = call.inputs.iter().flatten().any(|known| matches!(known, Known::Refused));
    // A recurrent node tells what the axes of its inputs mean even then.
    if refused && !RECURRENT.contains(&call.node.op) {
        return if is_read(call.node) {
            Ok(vec![Known::Refused; call.results()])
        } else {
            Err(unknown())
        };
    }
    if let Some(parts) = wrapping::read(call) {
        call.finish()?;
        return parts;
    }
    let result = match call.node.op {
        op if RECURRENT.contains(&op) => recurrent::read(reader, call),
        "Constant" => lengths::constant(reader, call),
        "Shape" => lengths::shape(reader, call),
        "Size" => lengths::size(reader, call),
        "ConstantOfShape" => lengths::constant_of_shape(reader, call),
        "Expand" => lengths::expand(reader, call),
        "ReduceProd" => lengths::product(call),
        "Less" => lengths::less(call),
        "And" => lengths::and(call),
        "Equal" => lengths::equal(reader, call),
        "Where" => lengths::choose(call),
        "Identity" | "Dropout" | "Cast" => layout::same(call),
        "Transpose" => layout::transpose(reader, call),
        "Squeeze" => layout::squeeze(reader, call),
        "Unsqueeze" => layout::unsqueeze(reader, call),
        "Reshape" => layout::reshape(reader, call),
        "Flatten" => layout::flatten(reader, call),
        "Slice" => slicing::slice(reader, call),
        "Gather" => slicing::gather(reader, call),
        "Split" => slicing::split(reader, call),
        "Tile" => filled::tile(reader, call),
        "Erf" => gelu::erf(reader, call),
        "Concat" => joining::concat(reader, call),
        "MatMul" => head::matmul(reader, call),
        "Gemm" => head::gemm(reader, call),
        "BatchNormalization" => head::batch_normalization(reader, call),
        "Add" => arithmetic::add(reader, call),
        "Sub" => arithmetic::sub(reader, call),
        "Mul" => arithmetic::mul(reader, call),
        "Div" => arithmetic::div(reader, call),
        "Neg" => arithmetic::neg(reader, call),
        "Loop" => loops::read(reader, call),
        "ReverseSequence" => slicing::reverse(reader, call),
        "ReduceMean" | "ReduceMax" => pooling::reduce(reader, call),
        op if activation::is_known(op) => activation::read(reader, call),
        _ => Err(unknown()),
    }?;
    call.finish()?;
    Ok(result)
}

fn unknown() -> Reason {
    Reason("this operator is not read".into())
}

const RECURRENT: [&str; 3] = ["LSTM", "GRU", "RNN"];

/// Whether there is a file for an operator.
pub(super) fn is_read(node: &Node<'_>) -> bool {
    const OTHERS: [&str; 37] = [
        "Constant",
        "Shape",
        "Size",
        "ConstantOfShape",
        "Expand",
        "ReduceProd",
        "Less",
        "And",
        "Identity",
        "Dropout",
        "Cast",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Reshape",
        "Flatten",
        "Slice",
        "Gather",
        "Split",
        "Tile",
        "Erf",
        "Concat",
        "MatMul",
        "Gemm",
        "BatchNormalization",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Neg",
        "ReduceMean",
        "ReduceMax",
        "Loop",
        "ReverseSequence",
        "Equal",
        "Where",
        "Not",
    ];
    let op = node.op;
    RECURRENT.contains(&op) || OTHERS.contains(&op) || activation::is_known(op)
}
