//! Recurrent layers of one direction: `SimpleRNN`, `LSTM`, `GRU`, and `RNN` over cells.

use super::config::Layer;
use super::graph::{Graph, Produced};
use super::paths::Counter;
use super::topology::{Call, Tensor};
use super::{File, cells, masks};
use crate::Error;
use crate::model::{
    Cell, CellWeights, Direction, Op, OutputOrder, PadOutput, Port, Recurrent, StateScope, Value,
};

/// Attributes of every layer around a cell.
const ATTRIBUTES: &[&str] =
    &["return_sequences", "return_state", "go_backwards", "stateful", "zero_output_for_mask"];

/// What a layer does with the results of its cell.
pub(super) struct Around {
    pub(super) sequences: bool,
    pub(super) state: bool,
    pub(super) backwards: bool,
    pub(super) scope: StateScope,
    /// What it shows at masked steps.
    pub(super) pad: PadOutput,
}

/// What Keras returns.
pub(super) struct Results {
    pub(super) produced: Vec<Produced>,
    /// The first ones are sequences.
    pub(super) sequences: usize,
}

impl Around {
    pub(super) fn of(layer: &Layer<'_>) -> Result<Self, Error> {
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
    pub(super) fn pad_output(
        &self,
        layer: &Layer<'_>,
        mask: Option<Value>,
    ) -> Result<PadOutput, Error> {
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

    /// What the layer returns of its cells.
    pub(super) fn port(&self) -> Port {
        if self.sequences { Port::Main } else { Port::Last }
    }
}

pub(super) fn port(value: Value, port: Port) -> Value {
    match value {
        Value::Node { node, .. } => Value::Node { node, port },
        input @ Value::Input(_) => input,
    }
}

pub(super) fn states_of(cell: &Cell) -> &'static [(Port, &'static str)] {
    const BOTH: [(Port, &str); 2] = [(Port::FinalHidden, "h"), (Port::FinalCell, "c")];
    if cell.has_cell_state() { &BOTH } else { &BOTH[..1] }
}

/// Cells over a sequence in one direction, each over the outputs of the one before.
pub(super) struct Stack {
    /// From the input on.
    pub(super) cells: Vec<(Cell, CellWeights)>,
    pub(super) direction: Direction,
    pub(super) order: OutputOrder,
    pub(super) scope: StateScope,
    pub(super) pad: PadOutput,
}

/// What a stack starts from.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) sequence: Value,
    pub(super) mask: Option<Value>,
    /// None, or those of every cell.
    pub(super) states: &'a [Tensor],
}

impl Stack {
    /// The number of states of all cells.
    pub(super) fn states(&self) -> usize {
        self.cells.iter().map(|(cell, _)| states_of(cell).len()).sum()
    }

    /// Adds one node for each cell, the last of which is called `name`: its value, and the states.
    pub(super) fn add(
        self,
        layer: &Layer<'_>,
        name: &str,
        given: Given<'_>,
        graph: &mut Graph,
    ) -> Result<(Value, Vec<Produced>), Error> {
        let (last, mut produced) = (self.cells.len() - 1, Vec::new());
        let (mut sequence, mut tensors) = (given.sequence, given.states.iter());
        for (index, (cell, weights)) in self.cells.into_iter().enumerate() {
            let states = states_of(&cell);
            let mut recurrent = Recurrent::new(cell, self.direction, vec![weights])
                .map_err(|error| error.within(&layer.label()))?;
            recurrent.state_scope = self.scope;
            if index == last {
                (recurrent.pad_output, recurrent.order) = (self.pad, self.order);
            }
            let mut inputs = vec![sequence];
            for tensor in tensors.by_ref().take(states.len()) {
                inputs.push(graph.state(tensor)?);
            }
            inputs.extend(given.mask);
            let name = if index == last { name.to_owned() } else { format!("{name}.{index}") };
            sequence = graph.builder.node(&name, Op::Recurrent(recurrent), &inputs);
            produced.extend(states.iter().map(|(kind, letter)| Produced::OnlyState {
                whole: port(sequence, *kind),
                name: format!("{name}.{letter}"),
            }));
        }
        Ok((sequence, produced))
    }
}

/// Looks whether a call gives no initial states or as many as there are, and none that is a sequence.
pub(super) fn check_states(
    call: &Call<'_>,
    count: usize,
    order: &str,
    graph: &Graph,
) -> Result<(), Error> {
    let states = &call.initial_state;
    if !states.is_empty() && states.len() != count {
        return Err(Error::Shape {
            what: format!("{}: the number of initial states", call.layer.label()),
            expected: format!("{count}{order}"),
            found: states.len().to_string(),
        });
    }
    let sequence = |tensor: &Tensor| graph.axes.get(tensor).is_some_and(|axes| *axes > 2);
    match states.iter().position(sequence) {
        None => Ok(()),
        Some(index) => Err(Error::Shape {
            what: format!("{}: initial state {index}", call.layer.label()),
            expected: "[batch, units]".into(),
            found: "a sequence".into(),
        }),
    }
}

/// Adds a layer of one direction.
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
    let (direction, order) = match around.backwards {
        true => (Direction::Reverse, OutputOrder::Processing),
        false => (Direction::Forward, OutputOrder::Time),
    };
    let pad = around.pad_output(layer, mask)?;
    let cells = cells_of(layer, path, file)?;
    let stack = Stack { cells, direction, order, scope: around.scope, pad };
    check_states(call, stack.states(), "", graph)?;
    let sequence = graph.value(&call.inputs[0])?;
    let given = Given { sequence, mask, states: &call.initial_state };
    let (value, states) = stack.add(layer, name, given, graph)?;
    let mut produced = vec![Produced::Value(port(value, around.port()))];
    if around.state {
        produced.extend(states);
    }
    Ok(Results { produced, sequences: usize::from(around.sequences) })
}

/// The cells of a layer, from the input on.
pub(super) fn cells_of(
    layer: &Layer<'_>,
    path: &str,
    file: &File,
) -> Result<Vec<(Cell, CellWeights)>, Error> {
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
