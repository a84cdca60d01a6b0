//! The memory that outlives a call: h and c of every recurrent layer.

use ritornello_kernels::{AlignedBuffer, View, state_stride};

use crate::plan::{PlanInner, RecurrentStage, StageKind};
use crate::{Array, Error};

/// The states of one recurrent layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerState {
    pub(crate) name: String,
    pub(crate) hidden: States,
    /// Without rows for a cell without one.
    pub(crate) cell: States,
    /// Of each row of the batch, whether h is an output: else it is a state that the model gave, and
    /// no step has counted since.
    pub(crate) shown: Vec<bool>,
}

/// h or c of one layer: `[directions, batch, features]` in the kernels' layout.
#[derive(Clone, Debug)]
pub(crate) struct States {
    directions: usize,
    features: usize,
    /// Rows are `state_stride(features)` apart.
    numbers: AlignedBuffer,
}

/// The states of a session: arrays `[directions, batch, features]`, named `LAYER.h` and, of an
/// LSTM, `LAYER.c`. Features are the units of a direction, those of an h that is projected the
/// projection's rows.
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

impl States {
    fn new(directions: usize, features: usize, batch: usize) -> Self {
        let numbers = AlignedBuffer::zeroed(directions * batch * state_stride(features));
        Self { directions, features, numbers }
    }

    /// Every row without padding, direction after direction.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.chunks(state_stride(self.features)).map(|row| &row[..self.features])
    }

    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let rows = self.numbers.chunks_mut(state_stride(self.features));
        rows.map(|row| &mut row[..self.features])
    }

    /// All rows with their padding.
    pub(crate) fn padded_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }

    /// The rows of the first direction and those of the second, with padding.
    pub(crate) fn split_direction(&mut self, batch: usize) -> (&mut [f32], &mut [f32]) {
        let first = self.numbers.len().min(batch * state_stride(self.features));
        self.numbers.split_at_mut(first)
    }

    /// `[directions, batch, features]`
    pub(crate) fn view(&self, batch: usize) -> View<'_> {
        let stride = state_stride(self.features);
        let extent = [self.directions, batch, self.features];
        View::new(&self.numbers, extent, [batch * stride, stride])
    }

    fn is_empty(&self) -> bool {
        self.directions == 0
    }

    fn reset(&mut self) {
        self.numbers.fill(0.0);
    }

    /// Takes states without padding.
    fn load(&mut self, given: &[f32]) {
        let features = self.features;
        for (to, from) in self.rows_mut().zip(given.chunks(features)) {
            to.copy_from_slice(from);
        }
    }

    fn array(&self, batch: usize) -> Result<Array, Error> {
        let numbers = self.rows().flatten().copied().collect();
        Array::new(&[self.directions, batch, self.features], numbers)
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
        let with_cell = if layer.has_cell_state() { directions } else { 0 };
        Self {
            name: name.into(),
            hidden: States::new(directions, layer.state_size(), batch),
            cell: States::new(with_cell, layer.hidden_size(), batch),
            shown: vec![true; batch],
        }
    }

    /// Numbers in the states of a layer: of h, and of c if there is one.
    pub(crate) fn lengths(layer: &RecurrentStage, batch: usize) -> impl Iterator<Item = usize> {
        let sizes = [layer.state_size(), layer.hidden_size()];
        let kinds = 1 + usize::from(layer.has_cell_state());
        let rows = layer.cells.len() * batch;
        sizes.into_iter().take(kinds).map(move |size| rows * state_stride(size))
    }

    pub(crate) fn reset(&mut self) {
        self.hidden.reset();
        self.cell.reset();
        // Zero stands for the output before the first.
        self.shown.fill(true);
    }

    /// Takes states without padding; an empty cell state where there is none.
    pub(crate) fn load(&mut self, hidden: &[f32], cell: &[f32]) {
        self.hidden.load(hidden);
        self.cell.load(cell);
        self.shown.fill(true);
    }

    /// Gives the cell states without padding.
    pub(crate) fn store_cell(&self, cell: &mut [f32]) {
        let features = self.cell.features;
        for (to, from) in cell.chunks_mut(features).zip(self.cell.rows()) {
            to.copy_from_slice(from);
        }
    }

    /// Both states as arrays with their names.
    pub(crate) fn arrays(&self, batch: usize) -> Result<Vec<(String, Array)>, Error> {
        let mut arrays = vec![(format!("{}.h", self.name), self.hidden.array(batch)?)];
        if !self.cell.is_empty() {
            arrays.push((format!("{}.c", self.name), self.cell.array(batch)?));
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
                what: format!("state '{name}' [directions, batch, features]"),
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
