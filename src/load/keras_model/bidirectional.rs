//! `Bidirectional`: two layers over one sequence, one of them from its end.
//!
//! Two layers of one cell and size are one node; any others are a node for each cell, and what they
//! give is merged.

use super::File;
use super::config::Layer;
use super::graph::{Graph, Produced};
use super::masks;
use super::recurrent::{Around, Given, Results, Stack, cells_of, check_states, port, states_of};
use super::topology::Call;
use crate::Error;
use crate::model::{
    Cell, CellWeights, Direction, Merge, Op, OutputOrder, PadOutput, Recurrent, Select, Value,
};

/// What both ways have in common.
struct Both<'a> {
    call: &'a Call<'a>,
    name: &'a str,
    around: Around,
    merge: Option<Merge>,
    mask: Option<Value>,
}

/// Adds a `Bidirectional` layer.
pub(super) fn both_ways(
    call: &Call<'_>,
    name: &str,
    path: &str,
    file: &File,
    graph: &mut Graph,
) -> Result<Results, Error> {
    let layer = &call.layer;
    layer.know(&["merge_mode", "layer", "backward_layer"])?;
    let missing = || layer.unsupported("without a layer", "give it a recurrent layer");
    let forward = layer.inner("layer")?.ok_or_else(missing)?;
    let own = layer.inner("backward_layer")?;
    let around = around(layer, &forward, own.as_ref())?;
    let backward = own.unwrap_or(forward);
    let mut forward = cells_of(&forward, &format!("{path}/forward_layer"), file)?;
    let mut backward = cells_of(&backward, &format!("{path}/backward_layer"), file)?;
    let mask = masks::used(call, graph)?;
    let both = Both { call, name, around, merge: merge(layer)?, mask };
    match (&mut forward[..], &mut backward[..]) {
        ([first], [second]) if first.0 == second.0 && units(first) == units(second) => {
            let (first, second) = (forward.remove(0), backward.remove(0));
            both.one_layer(first.0, [first.1, second.1], graph)
        }
        _ => both.two_layers([forward, backward], graph),
    }
}

/// What both layers inside do with the results of their cells.
fn around(
    layer: &Layer<'_>,
    forward: &Layer<'_>,
    backward: Option<&Layer<'_>>,
) -> Result<Around, Error> {
    let mut around = Around::of(forward)?;
    if around.backwards {
        let advice = "let the forward layer run forwards";
        return Err(layer.unsupported("whose forward layer has go_backwards=True", advice));
    }
    if let Some(backward) = backward {
        let other = Around::of(backward)?;
        if !other.backwards {
            let advice = "give the backward layer go_backwards=True";
            return Err(layer.unsupported("whose backward layer runs forwards", advice));
        }
        if (other.sequences, other.state) != (around.sequences, around.state)
            || other.scope != around.scope
        {
            let what = "whose layers differ in return_sequences, return_state or stateful";
            return Err(layer.unsupported(what, "give both the same"));
        }
    }
    // Whatever the layers inside say.
    around.pad = if around.sequences { PadOutput::Zero } else { PadOutput::Hold };
    Ok(around)
}

fn units((cell, weights): &(Cell, CellWeights)) -> usize {
    weights.input.rows() / cell.gates().len()
}

impl Both<'_> {
    /// Both directions in one node.
    fn one_layer(
        self,
        cell: Cell,
        weights: [CellWeights; 2],
        graph: &mut Graph,
    ) -> Result<Results, Error> {
        let Both { call, name, around, merge, mask } = self;
        let layer = &call.layer;
        let hidden = weights[0].input.rows() / cell.gates().len();
        let mut recurrent = Recurrent::new(cell, Direction::Bidirectional, weights.into())
            .map_err(|error| error.within(&layer.label()))?;
        recurrent.state_scope = around.scope;
        recurrent.pad_output = around.pad_output(layer, mask)?;
        recurrent.merge = merge.unwrap_or(Merge::Concat);

        let mut inputs = vec![graph.value(&call.inputs[0])?];
        let kinds = states_of(&cell);
        check_states(call, 2 * kinds.len(), FORWARD_FIRST, graph)?;
        if !call.initial_state.is_empty() {
            let (forward, backward) = call.initial_state.split_at(kinds.len());
            for (index, (_, letter)) in kinds.iter().enumerate() {
                let pair = [graph.state(&forward[index])?, graph.state(&backward[index])?];
                let name = format!("{name}.initial_{letter}");
                inputs.push(graph.builder.node(&name, Op::Stack, &pair));
            }
        }
        inputs.extend(mask);
        let value = graph.builder.node(name, Op::Recurrent(recurrent), &inputs);

        let whole = port(value, around.port());
        let half = |side: &str, start: usize| Produced::Part {
            whole,
            select: Select::Features { start, end: start + hidden },
            name: format!("{name}.{side}"),
        };
        let mut produced = match merge {
            Some(_) => vec![Produced::Value(whole)],
            None => vec![half("forward", 0), half("backward", hidden)],
        };
        let sequences = if around.sequences { produced.len() } else { 0 };
        if around.state {
            for (index, side) in ["forward", "backward"].into_iter().enumerate() {
                produced.extend(kinds.iter().map(|(kind, letter)| Produced::Part {
                    whole: port(value, *kind),
                    select: Select::State(index),
                    name: format!("{name}.{side}_{letter}"),
                }));
            }
        }
        Ok(Results { produced, sequences })
    }

    /// Each direction by itself, then the merge.
    fn two_layers(
        self,
        [forward, backward]: [Vec<(Cell, CellWeights)>; 2],
        graph: &mut Graph,
    ) -> Result<Results, Error> {
        let Both { call, name, around, merge, mask } = self;
        let layer = &call.layer;
        let (scope, pad) = (around.scope, around.pad_output(layer, mask)?);
        let features = forward.last().map_or(0, units);
        let side =
            |cells, direction| Stack { cells, direction, order: OutputOrder::Time, scope, pad };
        let forward = side(forward, Direction::Forward);
        let backward = side(backward, Direction::Reverse);
        let count = forward.states();
        check_states(call, count + backward.states(), FORWARD_FIRST, graph)?;
        let states = call.initial_state.split_at(count.min(call.initial_state.len()));
        let sequence = graph.value(&call.inputs[0])?;
        let given = |states| Given { sequence, mask, states };
        let mut add = |stack: Stack, side: &str, states| {
            let (value, states) =
                stack.add(layer, &format!("{name}.{side}"), given(states), graph)?;
            Ok::<_, Error>((port(value, around.port()), states))
        };
        let (first, forward_states) = add(forward, "forward", states.0)?;
        let (second, backward_states) = add(backward, "backward", states.1)?;
        let mut produced: Vec<Produced> = match merge {
            Some(merge) => vec![graph.builder.merge(name, merge, [first, second], features)?],
            None => vec![first, second],
        }
        .into_iter()
        .map(Produced::Value)
        .collect();
        let sequences = if around.sequences { produced.len() } else { 0 };
        if around.state {
            produced.extend(forward_states.into_iter().chain(backward_states));
        }
        Ok(Results { produced, sequences })
    }
}

/// The order of initial states, for errors.
const FORWARD_FIRST: &str = ", forward first";

fn merge(layer: &Layer<'_>) -> Result<Option<Merge>, Error> {
    if !layer.has("merge_mode") {
        return Ok(Some(Merge::Concat));
    }
    let Some(value) = layer.get("merge_mode") else { return Ok(None) };
    match value.as_str() {
        Some("concat") => Ok(Some(Merge::Concat)),
        Some("sum") => Ok(Some(Merge::Sum)),
        Some("mul") => Ok(Some(Merge::Mul)),
        Some("ave") => Ok(Some(Merge::Average)),
        _ => {
            let advice = "there are: concat, sum, mul, ave, None";
            Err(layer.unsupported(&format!("with merge_mode={value}"), advice))
        }
    }
}
