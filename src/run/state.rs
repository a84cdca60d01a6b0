//! The memory that outlives a call: h and c of every recurrent layer.

use ritornello_kernels::{AlignedBuffer, state_stride};

use crate::plan::{PlanInner, RecurrentStage, StageKind};
use crate::{Array, Error};

/// The states of one recurrent layer, in the kernels' layout.
#[derive(Clone, Debug)]
pub(crate) struct LayerState {
    pub(crate) name: String,
    pub(crate) directions: usize,
    pub(crate) hidden_size: usize,
    has_cell_state: bool,
    /// `[directions, batch, stride]`
    pub(crate) hidden: AlignedBuffer,
    /// Likewise; empty for a cell without one.
    pub(crate) cell: AlignedBuffer,
}

/// The states of a session: arrays `[directions, batch, hidden_size]`, named `LAYER.h` and, of an
/// LSTM, `LAYER.c`.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    arrays: Vec<(String, Array)>,
}

impl State {
    /// Takes arrays by name, as [`arrays`](Self::arrays) gives them.
    #[must_use]
    pub fn from_arrays(arrays: Vec<(String, Array)>) -> Self {
        Self { arrays }
    }

    /// The arrays with their names, layer by layer.
    #[must_use]
    pub fn arrays(&self) -> &[(String, Array)] {
        &self.arrays
    }

    /// The array of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.arrays.iter().find(|(known, _)| known == name).map(|(_, array)| array)
    }
}

impl LayerState {
    /// The states of every recurrent layer of a plan, zero.
    pub(crate) fn all(plan: &PlanInner, batch: usize) -> Vec<Self> {
        let recurrent = plan.stages.iter().filter_map(|stage| match &stage.kind {
            StageKind::Recurrent(layer) => Some(Self::new(&stage.name, layer, batch)),
            _ => None,
        });
        recurrent.collect()
    }

    fn new(name: &str, layer: &RecurrentStage, batch: usize) -> Self {
        let directions = layer.cells.len();
        let len = Self::len(layer, batch);
        Self {
            name: name.into(),
            directions,
            hidden_size: layer.hidden_size(),
            has_cell_state: layer.has_cell_state(),
            hidden: AlignedBuffer::zeroed(len),
            cell: AlignedBuffer::zeroed(if layer.has_cell_state() { len } else { 0 }),
        }
    }

    /// Numbers in the hidden states of a layer.
    pub(crate) fn len(layer: &RecurrentStage, batch: usize) -> usize {
        layer.cells.len() * batch * state_stride(layer.hidden_size())
    }

    pub(crate) fn reset(&mut self) {
        self.hidden.fill(0.0);
        self.cell.fill(0.0);
    }

    /// Takes states without padding; an empty cell state where there is none.
    pub(crate) fn load(&mut self, hidden: &[f32], cell: &[f32]) {
        let size = self.hidden_size;
        for (padded, given) in [(&mut self.hidden, hidden), (&mut self.cell, cell)] {
            for (to, from) in padded.chunks_mut(state_stride(size)).zip(given.chunks(size)) {
                to[..size].copy_from_slice(from);
            }
        }
    }

    /// Gives the cell states without padding.
    pub(crate) fn store_cell(&self, cell: &mut [f32]) {
        let size = self.hidden_size;
        let rows = self.cell.chunks(state_stride(size));
        for (to, from) in cell.chunks_mut(size).zip(rows) {
            to.copy_from_slice(&from[..size]);
        }
    }

    /// The states without the kernels' padding.
    fn exported(&self, padded: &[f32]) -> Vec<f32> {
        let rows = padded.chunks(state_stride(self.hidden_size));
        rows.flat_map(|row| &row[..self.hidden_size]).copied().collect()
    }

    /// Both states as arrays with their names.
    pub(crate) fn arrays(&self, batch: usize) -> Result<Vec<(String, Array)>, Error> {
        let shape = [self.directions, batch, self.hidden_size];
        let mut arrays =
            vec![(format!("{}.h", self.name), Array::new(&shape, self.exported(&self.hidden))?)];
        if self.has_cell_state {
            arrays
                .push((format!("{}.c", self.name), Array::new(&shape, self.exported(&self.cell))?));
        }
        Ok(arrays)
    }
}

/// All states of a session as arrays.
pub(crate) fn export(layers: &[LayerState], batch: usize) -> Result<State, Error> {
    let mut arrays = Vec::new();
    for layer in layers {
        arrays.extend(layer.arrays(batch)?);
    }
    Ok(State { arrays })
}

/// Checks that `state` has exactly the arrays that the layers need, then copies them.
pub(crate) fn import(layers: &mut [LayerState], batch: usize, state: &State) -> Result<(), Error> {
    let expected = export(layers, batch)?;
    for (place, (name, array)) in state.arrays.iter().enumerate() {
        if state.arrays[..place].iter().any(|(earlier, _)| earlier == name) {
            return Err(Error::DuplicateName { what: "state", name: name.clone() });
        }
        let Some(known) = expected.get(name) else {
            let names: Vec<&str> = expected.arrays.iter().map(|(n, _)| n.as_str()).collect();
            return Err(Error::UnknownName {
                what: "state",
                name: name.clone(),
                known: names.join(", "),
            });
        };
        if array.shape() != known.shape() || array.as_f32().is_none() {
            return Err(Error::Shape {
                what: format!("state '{name}' [directions, batch, hidden]"),
                expected: format!("f32 {:?}", known.shape()),
                found: format!("{:?}", array.shape()),
            });
        }
    }
    for (name, _) in &expected.arrays {
        if state.get(name).is_none() {
            return Err(Error::Shape {
                what: format!("state '{name}'"),
                expected: "an array".into(),
                found: "missing".into(),
            });
        }
    }
    for layer in layers {
        let given = |suffix: &str| {
            let array = state.get(&format!("{}.{suffix}", layer.name));
            array.and_then(Array::as_f32).unwrap_or(&[])
        };
        let (hidden, cell) = (given("h"), given("c"));
        layer.load(hidden, cell);
    }
    Ok(())
}
