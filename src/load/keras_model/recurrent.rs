//! Recurrent layers: `SimpleRNN`, `LSTM`, `GRU`, `RNN` over cells, and `Bidirectional`.

use super::config::Layer;
use super::graph::{Graph, Produced};
use super::paths::Counter;
use super::topology::Call;
use super::{File, cells, masks};
use crate::Error;
use crate::model::{
    Cell, CellWeights, Direction, Merge, Op, OutputOrder, PadOutput, Port, Recurrent, Select,
    StateScope, Value,
};

/// Attributes of every layer around a cell.
const ATTRIBUTES: &[&str] =
    &["return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask"];

/// What a layer does with the results of its cell.
struct Around {
    sequences: bool,
    state: bool,
    backwards: bool,
    scope: StateScope,
    /// What it shows at masked steps.
    pad: PadOutput,
}

/// What Keras returns.
pub(super) struct Results {
    pub(super) produced: Vec<Produced>,
    /// The first ones are sequences.
    pub(super) sequences: usize,
}

impl Around {
    fn of(layer: &Layer<'_>) -> Result<Self, Error> {
        let stateful = layer.switch("stateful", false)?;
        let zero = layer.switch("zero_output_for_mask", false)?;
        Ok(Self {
            sequences: layer.switch("return_sequences", false)?,
            state: layer.switch("return_state", false)?,
            backwards: layer.switch("go_backwards", false)?,
            scope: if stateful { StateScope::Session } else { StateScope::Run },
            pad: if zero { PadOutput::Zero } else { PadOutput::Hold },
        })
    }

    /// What the layer shows at steps that its mask leaves out, and where its run does not count any.
    fn pad_output(&self, layer: &Layer<'_>, mask: Option<Value>) -> Result<PadOutput, Error> {
        if mask.is_none() {
            return Ok(PadOutput::Zero);
        }
        if self.scope == StateScope::Session && self.pad == PadOutput::Hold {
            let advice = "at the start of a call Keras shows zeros at masked steps, and the state \
                          goes on here; use zero_output_for_mask=True or stateful=False";
            return Err(layer.unsupported("with stateful=True and a mask", advice));
        }
        Ok(self.pad)
    }

    fn port(&self) -> Port {
        if self.sequences { Port::Main } else { Port::Last }
    }
}

fn port(value: Value, port: Port) -> Value {
    match value {
        Value::Node { node, .. } => Value::Node { node, port },
        input @ Value::Input(_) => input,
    }
}

fn states_of(cell: &Cell) -> &'static [(Port, &'static str)] {
    const BOTH: [(Port, &str); 2] = [(Port::FinalHidden, "h"), (Port::FinalCell, "c")];
    if cell.has_cell_state() { &BOTH } else { &BOTH[..1] }
}

/// Adds a layer of one direction: one node for each cell.
pub(super) fn one_way(
    call: &Call<'_>,
    name: &str,
    path: &str,
    file: &File,
    graph: &mut Graph,
) -> Result<Results, Error> {
    let layer = &call.layer;
    let around = Around::of(layer)?;
    let mask = masks::used(call, graph)?;
    let pad = around.pad_output(layer, mask)?;
    let cells = cells_of(layer, path, file)?;
    if mask.is_some() && around.backwards && cells.len() > 1 {
        let advice = "use one layer for each cell";
        return Err(layer.unsupported("with several cells, go_backwards=True and a mask", advice));
    }
    let (state_inputs, count) =
        (&call.initial_state, cells.iter().map(|(cell, _)| states_of(cell).len()).sum::<usize>());
    if !state_inputs.is_empty() && state_inputs.len() != count {
        return Err(Error::Shape {
            what: format!("{}: the number of initial states", layer.label()),
            expected: count.to_string(),
            found: state_inputs.len().to_string(),
        });
    }
    let mut given = state_inputs.iter();
    let mut sequence = graph.value(&call.inputs[0])?;
    let (last, mut states) = (cells.len() - 1, Vec::new());
    for (index, (cell, weights)) in cells.into_iter().enumerate() {
        // The first of several cells turns the time round for all.
        let backwards = around.backwards && index == 0;
        let direction = if backwards { Direction::Reverse } else { Direction::Forward };
        let mut recurrent = Recurrent::new(cell, direction, vec![weights])
            .map_err(|error| error.within(&layer.label()))?;
        recurrent.state_scope = around.scope;
        if index == last {
            recurrent.pad_output = pad;
        }
        if backwards {
            recurrent.order = OutputOrder::Processing;
        }
        let mut inputs = vec![sequence];
        for tensor in given.by_ref().take(states_of(&cell).len()) {
            inputs.push(graph.state(tensor)?);
        }
        inputs.extend(mask);
        let name = if index == last { name.to_owned() } else { format!("{name}.{index}") };
        sequence = graph.builder.node(&name, Op::Recurrent(recurrent), &inputs);
        states.extend(states_of(&cell).iter().map(|(kind, letter)| Produced::OnlyState {
            whole: port(sequence, *kind),
            name: format!("{name}.{letter}"),
        }));
    }
    let mut produced = vec![Produced::Value(port(sequence, around.port()))];
    if around.state {
        produced.extend(states);
    }
    Ok(Results { produced, sequences: usize::from(around.sequences) })
}

/// The cells of a layer, from the input on.
fn cells_of(layer: &Layer<'_>, path: &str, file: &File) -> Result<Vec<(Cell, CellWeights)>, Error> {
    let path = format!("{path}/cell");
    if layer.class != "RNN" {
        return Ok(vec![cells::read(layer, &path, ATTRIBUTES, file)?]);
    }
    layer.know(&[ATTRIBUTES, &["cell"]].concat())?;
    let missing = || layer.unsupported("without a cell", "give it one or several cells");
    let cell = layer.inner("cell")?.ok_or_else(missing)?;
    if cell.class != "StackedRNNCells" {
        return Ok(vec![cells::read(&cell, &path, &[], file)?]);
    }
    cell.know(&["cells"])?;
    let mut counter = Counter::default();
    let cells: Vec<_> = cell
        .inner_list("cells")?
        .iter()
        .map(|cell| {
            let path = format!("{path}/cells/{}", counter.next(cell.class));
            cells::read(cell, &path, &[], file)
        })
        .collect::<Result<_, _>>()?;
    if cells.is_empty() { Err(missing()) } else { Ok(cells) }
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
    let backward = layer.inner("backward_layer")?.unwrap_or(forward);
    let mut around = Around::of(&forward)?;
    // Whatever the layers inside say.
    around.pad = if around.sequences { PadOutput::Zero } else { PadOutput::Hold };
    let mask = masks::used(call, graph)?;
    if around.backwards {
        let advice = "let the forward layer run forwards";
        return Err(layer.unsupported("whose forward layer has go_backwards=True", advice));
    }
    let side = |inner: &Layer<'_>, part: &str| {
        if inner.class == "RNN" {
            return Err(layer.unsupported("around RNN", "put it around SimpleRNN, LSTM or GRU"));
        }
        cells::read(inner, &format!("{path}/{part}/cell"), ATTRIBUTES, file)
    };
    let (cell, first) = side(&forward, "forward_layer")?;
    let (other, second) = side(&backward, "backward_layer")?;
    let hidden = first.input.rows() / cell.gates().len();
    if cell != other || second.input.rows() != first.input.rows() {
        let advice = "give both directions the same cell, units and activations, or use two \
                      layers and a Concatenate";
        return Err(layer.unsupported("with two different directions", advice));
    }
    let mut recurrent = Recurrent::new(cell, Direction::Bidirectional, vec![first, second])
        .map_err(|error| error.within(&layer.label()))?;
    recurrent.state_scope = around.scope;
    recurrent.pad_output = around.pad_output(layer, mask)?;
    let merge = merge(layer)?;
    recurrent.merge = merge.unwrap_or(Merge::Concat);

    let mut inputs = vec![graph.value(&call.inputs[0])?];
    let kinds = states_of(&cell);
    if !call.initial_state.is_empty() {
        if call.initial_state.len() != 2 * kinds.len() {
            return Err(Error::Shape {
                what: format!("{}: the number of initial states", layer.label()),
                expected: format!("{}, forward first", 2 * kinds.len()),
                found: call.initial_state.len().to_string(),
            });
        }
        let (forward, backward) = call.initial_state.split_at(kinds.len());
        for (index, (_, letter)) in kinds.iter().enumerate() {
            let pair = [graph.state(&forward[index])?, graph.state(&backward[index])?];
            inputs.push(graph.builder.node(&format!("{name}.initial_{letter}"), Op::Stack, &pair));
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
