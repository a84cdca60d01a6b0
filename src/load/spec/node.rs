//! JSON to [`NodeSpec`].

use serde_json::Value;

use super::grammar::{
    CONSTANTS, COUPLINGS, Convention, DIRECTIONS, MERGES, NODE, NodeKind, NodeSpec, OPS, ORDERS,
    PADS, RECURRENCES, RecurrentSpec, WEIGHTS, WeightsSpec,
};
use super::json::{Object, mistyped, wrong};
use super::read::names;
use crate::Error;
use crate::model::{
    Activation, Cell, Direction, Gru, GruReset, Lstm, MaskRule, Merge, Op, OutputOrder, Select,
    SimpleRnn, StateScope,
};

/// Reads one node.
pub(super) fn read(index: usize, value: &Value) -> Result<NodeSpec, Error> {
    let object = Object::new(format!("nodes[{index}]"), value)?;
    let op = object.text("op")?;
    let Some((_, keys)) = OPS.iter().find(|(name, _)| *name == op) else {
        let known: Vec<&str> = OPS.iter().map(|(name, _)| *name).collect();
        let problem = format!("'{op}' is not known; there are: {}", known.join(", "));
        return Err(wrong(object.at("op"), problem));
    };
    object.know(&[NODE, keys])?;
    let name = object.text("name")?.to_owned();
    // A constant has no inputs to list.
    let inputs = match op {
        "constant" if !object.has("inputs") => Vec::new(),
        _ => names(&object, "inputs")?,
    };
    Ok(NodeSpec { name, inputs, kind: kind(op, &object)? })
}

fn kind(op: &str, object: &Object<'_>) -> Result<NodeKind, Error> {
    Ok(NodeKind::Plain(match op {
        "rnn" | "lstm" | "gru" => {
            return Ok(NodeKind::Recurrent(recurrent(op, object)?, weights(object)?));
        }
        "dense" => {
            let activation = activation(object, "activation", Activation::Linear)?;
            let bias = object.switch("bias", true)?;
            return Ok(NodeKind::Dense { activation, bias, weights: weights(object)? });
        }
        "embedding" => return Ok(NodeKind::Embedding(weights(object)?)),
        "scale_shift" => {
            let eps = if object.has("eps") { Some(eps(object)?) } else { None };
            return Ok(NodeKind::ScaleShift { eps, weights: weights(object)? });
        }
        "dropout" => return Ok(NodeKind::Dropout),
        "constant" => {
            let kind = object.word("kind", &CONSTANTS)?;
            return Ok(NodeKind::Constant { kind, tensor: object.text("tensor")?.to_owned() });
        }
        "activation" => {
            object.need("activation")?;
            Op::Activation(activation(object, "activation", Activation::Linear)?)
        }
        "concat" => Op::Concat,
        "add" => Op::Add,
        "multiply" => Op::Multiply,
        "select" => Op::Select(select(object)?),
        "stack" => Op::Stack,
        "unroll" => Op::Unroll { steps: object.count("steps")? },
        "repeat" => Op::Repeat { steps: object.count("steps")? },
        "flatten" => Op::Flatten,
        "mean_time" => Op::MeanOverTime,
        "max_time" => Op::MaxOverTime,
        "mask" => Op::Mask(rule(object)?),
        "masked" => Op::Masked,
        _ => unreachable!("every operation of the table is read"),
    }))
}

fn recurrent(op: &str, object: &Object<'_>) -> Result<RecurrentSpec, Error> {
    let spec = RecurrentSpec {
        cell: cell(op, object)?,
        hidden_size: object.count_if("hidden_size")?,
        layers: object.count_if("layers")?.unwrap_or(1),
        direction: object.word("direction", &DIRECTIONS)?,
        merge: object.word("merge", &MERGES)?,
        bias: object.switch("bias", true)?,
        recurrence: object.word("recurrent", &RECURRENCES)?,
        peepholes: object.switch("peepholes", false)?,
        proj_size: object.count_if("proj_size")?,
        initial_h: object.text_if("initial_h")?.map(Into::into),
        initial_c: object.text_if("initial_c")?.map(Into::into),
        order: object.word("order", &ORDERS)?,
        state_scope: match object.switch("stateful", false)? {
            false => StateScope::Run,
            true => StateScope::Session,
        },
        mask: object.text_if("mask")?.map(Into::into),
        pad_output: object.word("pad_output", &PADS)?,
    };
    check(&spec, object)?;
    Ok(spec)
}

fn cell(op: &str, object: &Object<'_>) -> Result<Cell, Error> {
    let clip = object.positive_if("clip")?;
    let main = activation(object, "activation", Activation::Tanh)?;
    if op == "rnn" {
        return Ok(Cell::SimpleRnn(SimpleRnn { activation: main, clip }));
    }
    let recurrent_activation = activation(object, "recurrent_activation", Activation::Sigmoid)?;
    if op == "gru" {
        let words = [("after", GruReset::AfterMatmul), ("before", GruReset::BeforeMatmul)];
        let reset = object.word("reset", &words)?;
        return Ok(Cell::Gru(Gru { reset, activation: main, recurrent_activation, clip }));
    }
    Ok(Cell::Lstm(Lstm {
        activation: main,
        recurrent_activation,
        output_activation: activation(object, "output_activation", main)?,
        coupling: object.word("coupling", &COUPLINGS)?,
        clip,
        cell_clip: object.positive_if("cell_clip")?,
        projection_clip: object.positive_if("projection_clip")?,
    }))
}

/// Refuses what has no effect or no one meaning.
fn check(spec: &RecurrentSpec, object: &Object<'_>) -> Result<(), Error> {
    let refuse = |key: &str, problem: &str| Err(wrong(object.at(key), problem));
    if spec.layers == 0 {
        return refuse("layers", "it is 0, expected at least 1");
    }
    if spec.direction != Direction::Bidirectional && spec.merge != Some(Merge::Concat) {
        return refuse("merge", "there is nothing to merge in a layer of one direction");
    }
    if spec.merge.is_none() && spec.layers > 1 {
        return refuse("merge", "with 'none' there is one layer; write the others as nodes");
    }
    if spec.direction != Direction::Reverse && spec.order != OutputOrder::Time {
        return refuse("order", "only a layer of direction 'reverse' has an order to choose");
    }
    if spec.cell.has_cell_state() && spec.initial_h.is_some() != spec.initial_c.is_some() {
        return refuse(
            "initial_c",
            "initial_h and initial_c of an lstm are given both or not at all",
        );
    }
    Ok(())
}

fn activation(object: &Object<'_>, key: &str, default: Activation) -> Result<Activation, Error> {
    match object.text_if(key)? {
        None => Ok(default),
        Some(name) => name.parse().map_err(|e: <Activation as std::str::FromStr>::Err| {
            wrong(object.at(key), e.to_string())
        }),
    }
}

/// Which steps a mask counts.
fn rule(object: &Object<'_>) -> Result<MaskRule, Error> {
    match (object.number_if("value")?, object.index_if("index")?) {
        (Some(value), None) => Ok(MaskRule::AnyDiffers(value)),
        (None, Some(index)) => Ok(MaskRule::IndexDiffers(index)),
        _ => {
            let problem = "it has one of the keys value (a number) and index (of indices)";
            Err(wrong(object.at("mask"), problem))
        }
    }
}

fn eps(object: &Object<'_>) -> Result<f64, Error> {
    let value = object.need("eps")?;
    match value.as_f64() {
        Some(eps) if eps >= 0.0 && eps.is_finite() => Ok(eps),
        _ => Err(mistyped(&object.at("eps"), "a number that is not negative", value)),
    }
}

fn select(object: &Object<'_>) -> Result<Select, Error> {
    let mut chosen = Vec::new();
    if object.has("step") {
        let value = object.need("step")?;
        let step = value.as_i64().and_then(|step| isize::try_from(step).ok());
        let step = step.ok_or_else(|| mistyped(&object.at("step"), "a whole number", value))?;
        chosen.push(Select::Step(step));
    }
    if let Some((start, end)) = object.range_if("features")? {
        chosen.push(Select::Features { start, end });
    }
    if let Some(state) = object.count_if("state")? {
        chosen.push(Select::State(state));
    }
    if let Some((start, end)) = object.range_if("states")? {
        chosen.push(Select::States { start, end });
    }
    match chosen[..] {
        [select] => Ok(select),
        _ => Err(wrong(
            object.place(),
            format!("it has {} of step, features, state, states; expected one", chosen.len()),
        )),
    }
}

fn weights(object: &Object<'_>) -> Result<WeightsSpec, Error> {
    let object = Object::new(object.at("weights"), object.need("weights")?)?;
    object.know(&[WEIGHTS])?;
    object.need("convention")?;
    let words = Convention::ALL.map(|convention| (convention.name(), convention));
    let convention = object.word("convention", &words)?;
    let prefix = object.text_if("prefix")?.unwrap_or_default().to_owned();
    Ok(WeightsSpec { convention, prefix })
}
