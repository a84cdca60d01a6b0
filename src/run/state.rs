//! The memory that outlives a call: h and c of every recurrent layer.

use std::sync::Arc;

use ritornello_kernels::{AlignedBuffer, View, state_stride};

use crate::model::PadOutput;
use crate::plan::{PlanInner, RecurrentStage, StageKind};
use crate::{Array, Error, Values};

/// The states of one recurrent layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerState {
    pub(crate) hidden: States,
    /// Without rows for a cell without one.
    pub(crate) cell: States,
    /// Of each row of the batch, whether h is what the layer showed last. Else, where masked steps
    /// show zeros, such a step was the last; where they show the last output, h is a state that the
    /// model gave, and no step has counted since.
    pub(crate) shown: Vec<bool>,
    /// Whether what a row starts from is no output.
    start_is_given: bool,
}

/// h or c of one layer: `[directions, batch, features]` in the kernels' layout.
#[derive(Clone, Debug)]
pub(crate) struct States {
    /// That of its array.
    name: String,
    directions: usize,
    features: usize,
    /// Rows are `state_stride(features)` apart.
    numbers: AlignedBuffer,
    /// What every row starts from, `[directions, features]`; zero if there is nothing.
    start: Option<Arc<[f32]>>,
}

/// Some rows of a batch that stand side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowSpan {
    batch: usize,
    first: usize,
    count: usize,
}

impl RowSpan {
    /// The whole batch.
    pub(crate) fn all(batch: usize) -> Self {
        Self { batch, first: 0, count: batch }
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// If the batch does not have it.
    pub(crate) fn one(row: usize, batch: usize) -> Self {
        assert!(row < batch, "row {row} of a batch of {batch}");
        Self { batch, first: row, count: 1 }
    }

    /// Their places.
    fn range(self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }

    /// Of the numbers of one direction, those of these rows.
    fn of(self, numbers: &[f32], stride: usize) -> &[f32] {
        &numbers[self.first * stride..][..self.count * stride]
    }

    fn of_mut(self, numbers: &mut [f32], stride: usize) -> &mut [f32] {
        &mut numbers[self.first * stride..][..self.count * stride]
    }
}

/// The states of a session: arrays `[directions, batch, features]`, named `LAYER.h` and, of an
/// LSTM, `LAYER.c`. Features are the units of a direction, those of an h that is projected the
/// projection's rows.
///
/// Of one row of a batch, or one stream of a pool, the arrays are `[directions, 1, features]`.
#[derive(Clone, Debug, Default, PartialEq)]
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
    fn new(
        name: String,
        [directions, features]: [usize; 2],
        start: Option<Arc<[f32]>>,
        batch: usize,
    ) -> Self {
        let numbers = AlignedBuffer::zeroed(directions * batch * state_stride(features));
        let mut states = Self { name, directions, features, numbers, start };
        states.reset(RowSpan::all(batch));
        states
    }

    /// Some rows without padding, direction after direction.
    fn rows(&self, rows: RowSpan) -> impl Iterator<Item = &[f32]> {
        let (stride, features) = (state_stride(self.features), self.features);
        let directions = self.numbers.chunks((rows.batch * stride).max(1));
        let rows = directions.flat_map(move |all| rows.of(all, stride).chunks(stride));
        rows.map(move |row| &row[..features])
    }

    pub(crate) fn rows_mut(&mut self, rows: RowSpan) -> impl Iterator<Item = &mut [f32]> {
        let (stride, features) = (state_stride(self.features), self.features);
        let directions = self.numbers.chunks_mut((rows.batch * stride).max(1));
        let rows = directions.flat_map(move |all| rows.of_mut(all, stride).chunks_mut(stride));
        rows.map(move |row| &mut row[..features])
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

    fn reset(&mut self, rows: RowSpan) {
        let stride = state_stride(self.features);
        let directions = self.numbers.chunks_mut((rows.batch * stride).max(1));
        for (direction, all) in directions.enumerate() {
            let rows = rows.of_mut(all, stride);
            rows.fill(0.0);
            let Some(start) = &self.start else { continue };
            let start = &start[direction * self.features..][..self.features];
            for row in rows.chunks_exact_mut(stride) {
                row[..self.features].copy_from_slice(start);
            }
        }
    }

    /// Whether rows are what the model has learned to start from, to the bit.
    fn is_start(&self, rows: RowSpan) -> bool {
        let Some(start) = &self.start else { return false };
        let bits = |row: &[f32], start: &[f32]| {
            row.iter().map(|x| x.to_bits()).eq(start.iter().map(|x| x.to_bits()))
        };
        self.rows(rows).zip(start.chunks(self.features)).all(|(row, start)| bits(row, start))
    }

    /// Takes states without padding.
    fn load(&mut self, rows: RowSpan, given: &[f32]) {
        let features = self.features;
        for (to, from) in self.rows_mut(rows).zip(given.chunks(features)) {
            to.copy_from_slice(from);
        }
    }

    /// Gives states without padding.
    fn store(&self, rows: RowSpan, given: &mut [f32]) {
        for (from, to) in self.rows(rows).zip(given.chunks_mut(self.features)) {
            to.copy_from_slice(from);
        }
    }

    /// Takes the rows of `from` that `slots` names, in their order. Both have one direction.
    fn gather(&mut self, from: &Self, slots: impl Iterator<Item = usize>) {
        let stride = state_stride(self.features);
        for (to, slot) in self.numbers.chunks_exact_mut(stride).zip(slots) {
            to.copy_from_slice(&from.numbers[slot * stride..][..stride]);
        }
    }

    /// Gives the first rows to those of `to` that `slots` names.
    fn scatter(&self, to: &mut Self, slots: impl Iterator<Item = usize>) {
        let stride = state_stride(self.features);
        for (from, slot) in self.numbers.chunks_exact(stride).zip(slots) {
            to.numbers[slot * stride..][..stride].copy_from_slice(from);
        }
    }

    fn shape(&self, rows: RowSpan) -> [usize; 3] {
        [self.directions, rows.count, self.features]
    }

    fn array(&self, rows: RowSpan) -> Result<Array, Error> {
        let shape = self.shape(rows);
        let mut numbers = vec![0.0; shape.iter().product()];
        self.store(rows, &mut numbers);
        Array::new(&shape, numbers)
    }
}

impl LayerState {
    /// The states of every recurrent layer of a plan, as they are at the start.
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
        let start = layer.start.as_ref();
        let start = [start.map(|start| &start.hidden), start.map(|start| &start.cell)];
        let [hidden, cell] = start.map(Option::<&Arc<[f32]>>::cloned);
        let states =
            |suffix, shape, start| States::new(format!("{name}.{suffix}"), shape, start, batch);
        // Zero stands for the output before the first; a state that was learned does not.
        let start_is_given = hidden.is_some() && layer.pad_output == PadOutput::Hold;
        Self {
            shown: vec![!start_is_given; batch],
            start_is_given,
            hidden: states("h", [directions, layer.state_size()], hidden),
            cell: states("c", [with_cell, layer.hidden_size()], cell),
        }
    }

    /// Numbers in the states of a layer: of h, and of c if there is one.
    pub(crate) fn lengths(layer: &RecurrentStage, batch: usize) -> impl Iterator<Item = usize> {
        let sizes = [layer.state_size(), layer.hidden_size()];
        let kinds = 1 + usize::from(layer.has_cell_state());
        let rows = layer.cells.len() * batch;
        sizes.into_iter().take(kinds).map(move |size| rows * state_stride(size))
    }

    pub(crate) fn reset(&mut self, rows: RowSpan) {
        self.hidden.reset(rows);
        self.cell.reset(rows);
        self.shown[rows.range()].fill(!self.start_is_given);
    }

    /// Takes the rows of `from` that `slots` names, in their order. Both have one direction.
    pub(crate) fn gather(&mut self, from: &Self, slots: impl Iterator<Item = usize> + Clone) {
        self.hidden.gather(&from.hidden, slots.clone());
        self.cell.gather(&from.cell, slots.clone());
        for (to, slot) in self.shown.iter_mut().zip(slots) {
            *to = from.shown[slot];
        }
    }

    /// Gives the first rows to those of `to` that `slots` names.
    pub(crate) fn scatter(&self, to: &mut Self, slots: impl Iterator<Item = usize> + Clone) {
        self.hidden.scatter(&mut to.hidden, slots.clone());
        self.cell.scatter(&mut to.cell, slots.clone());
        for (&from, slot) in self.shown.iter().zip(slots) {
            to.shown[slot] = from;
        }
    }

    /// Takes states without padding; an empty cell state where there is none.
    pub(crate) fn load(&mut self, rows: RowSpan, hidden: &[f32], cell: &[f32]) {
        self.hidden.load(rows, hidden);
        self.cell.load(rows, cell);
        self.shown[rows.range()].fill(true);
    }

    /// Finds out whether states that were taken are outputs. Those that are the learned ones to the bit
    /// are where a stream starts, before any step has counted.
    fn find_shown(&mut self, rows: RowSpan) {
        for row in rows.range() {
            let one = RowSpan::one(row, rows.batch);
            let is_start = || self.hidden.is_start(one) && self.cell.is_start(one);
            self.shown[row] = !(self.start_is_given && is_start());
        }
    }

    /// Gives the cell states without padding.
    pub(crate) fn store_cell(&self, rows: RowSpan, cell: &mut [f32]) {
        self.cell.store(rows, cell);
    }
}

/// Every h and c that there is, layer by layer.
fn each(layers: &[LayerState]) -> impl Iterator<Item = &States> {
    let states = layers.iter().flat_map(|layer| [&layer.hidden, &layer.cell]);
    states.filter(|states| !states.is_empty())
}

fn each_mut(layers: &mut [LayerState]) -> impl Iterator<Item = &mut States> {
    let states = layers.iter_mut().flat_map(|layer| [&mut layer.hidden, &mut layer.cell]);
    states.filter(|states| !states.is_empty())
}

/// The states of some rows as arrays.
pub(crate) fn export(layers: &[LayerState], rows: RowSpan) -> Result<State, Error> {
    let mut arrays = Vec::new();
    for states in each(layers) {
        arrays.push((states.name.clone(), states.array(rows)?));
    }
    Ok(State { arrays })
}

/// The same into arrays that are there already, if they are those that `export` gives.
pub(crate) fn export_into(
    layers: &[LayerState],
    rows: RowSpan,
    state: &mut State,
) -> Result<(), Error> {
    let fits = |(states, (name, array)): (&States, &(String, Array))| {
        states.name == *name && array.as_f32().is_some() && array.shape() == states.shape(rows)
    };
    let count = each(layers).count();
    if state.arrays.len() != count || !each(layers).zip(&state.arrays).all(fits) {
        *state = export(layers, rows)?;
        return Ok(());
    }
    for (states, (_, array)) in each(layers).zip(&mut state.arrays) {
        states.store(rows, array.as_f32_mut().unwrap_or_default());
    }
    Ok(())
}

/// Checks that `state` has exactly the arrays that some rows need, then copies them.
pub(crate) fn import(layers: &mut [LayerState], rows: RowSpan, state: &State) -> Result<(), Error> {
    check(layers, rows, state)?;
    for states in each_mut(layers) {
        let given = state.get(&states.name).and_then(Array::as_f32);
        states.load(rows, given.unwrap_or_default());
    }
    layers.iter_mut().for_each(|layer| layer.find_shown(rows));
    Ok(())
}

/// The numbers of all states, one behind the other, in the order of `export`.
pub(crate) fn len(layers: &[LayerState], rows: RowSpan) -> usize {
    each(layers).map(|states| states.shape(rows).iter().product::<usize>()).sum()
}

/// Gives all states, one behind the other, to memory for as many numbers as they have.
pub(crate) fn store(layers: &[LayerState], rows: RowSpan, mut to: &mut [f32]) {
    for states in each(layers) {
        let len = states.shape(rows).iter().product();
        let (these, others) = std::mem::take(&mut to).split_at_mut(len);
        states.store(rows, these);
        to = others;
    }
}

/// Takes all states, one behind the other, from as many numbers as they have.
pub(crate) fn load(layers: &mut [LayerState], rows: RowSpan, mut from: &[f32]) {
    for states in each_mut(layers) {
        let len = states.shape(rows).iter().product();
        let (these, others) = from.split_at(len);
        states.load(rows, these);
        from = others;
    }
    layers.iter_mut().for_each(|layer| layer.find_shown(rows));
}

fn check(layers: &[LayerState], rows: RowSpan, state: &State) -> Result<(), Error> {
    for (place, (name, array)) in state.arrays.iter().enumerate() {
        if state.arrays[..place].iter().any(|(earlier, _)| earlier == name) {
            return Err(Error::DuplicateName { what: "state", name: name.clone() });
        }
        let Some(known) = each(layers).find(|states| states.name == *name) else {
            let names: Vec<&str> = each(layers).map(|states| states.name.as_str()).collect();
            return Err(Error::UnknownName {
                what: "state",
                name: name.clone(),
                known: names.join(", "),
            });
        };
        if array.shape() != known.shape(rows) || array.as_f32().is_none() {
            return Err(Error::Shape {
                what: format!("state '{name}' [directions, batch, features]"),
                expected: format!("f32 {:?}", known.shape(rows)),
                found: match array.values() {
                    Values::F32(_) => format!("{:?}", array.shape()),
                    Values::Index(_) => format!("indices {:?}", array.shape()),
                },
            });
        }
    }
    match each(layers).find(|states| state.get(&states.name).is_none()) {
        None => Ok(()),
        Some(missing) => Err(Error::Shape {
            what: format!("state '{}'", missing.name),
            expected: "an array".into(),
            found: "missing".into(),
        }),
    }
}
