//! From a view to the whole of a value: parts are selected, and features put in the order in which
//! they are seen.

use super::Reason;
use super::axes::Role;
use super::reader::Reader;
use super::view::{Atom, Form, View};
use crate::model::{Activation, Dense, Matrix, Op, Select, Value};

impl Reader<'_, '_> {
    /// Makes the last axis the features of a row, if that is not known yet.
    pub(super) fn claim_row(&mut self, view: &View) -> Result<(), Reason> {
        match view.axes.last().map(Vec::as_slice) {
            Some(&[Atom::Axis(axis)]) => self.axes.claim(axis, Role::Features),
            _ => Ok(()),
        }
    }

    /// The same tensor as the whole of a value, whose rows are what the view shows, in its order.
    ///
    /// States behind the batch become features, and what is no sequence of states is a vector.
    pub(super) fn settled(&mut self, view: &View) -> Result<View, Reason> {
        let mut view = view.clone();
        if view.form == Form::Open {
            return Ok(view);
        }
        if view.reversed {
            return Err(Reason("its input is a sequence backwards in time".into()));
        }
        self.flatten(&mut view);
        if let Form::States(_) = view.form {
            self.settle_states(&mut view)?;
        }
        let row: Vec<(usize, usize)> = view
            .atoms()
            .filter_map(|atom| match atom {
                Atom::Row { len, stride } => Some((len, stride)),
                _ => None,
            })
            .collect();
        let seen: usize = row.iter().map(|(len, _)| len).product();
        let mut stride = seen;
        let contiguous = row.iter().all(|&(len, found)| {
            stride /= len;
            found == stride
        });
        if contiguous {
            if seen != view.features {
                let select = Select::Features { start: view.start, end: view.start + seen };
                view.value = self.select(view.value, select);
                view.sole = false;
            }
        } else {
            view.value = self.reordered(&view, &row, seen)?;
            view.sole = false;
        }
        (view.start, view.features) = (0, seen);
        let mut stride = seen;
        for atom in view.axes.iter_mut().flatten() {
            if let Atom::Row { len, stride: found } = atom {
                stride /= *len;
                *found = stride;
            }
        }
        Ok(view)
    }

    /// Joins a sequence of fixed time, behind each other with its features, to a vector.
    fn flatten(&mut self, view: &mut View) {
        let axes = &self.axes;
        let steps = |atom: &Atom| match *atom {
            Atom::Axis(axis) if axes.role(axis) == Some(Role::Time) => axes.size(axis),
            _ => None,
        };
        let whole = |atoms: &[Atom]| match atoms {
            [time, Atom::Row { len, stride: 1 }] if *len == view.features => steps(time),
            _ => None,
        };
        let Some((last, others)) = view.axes.split_last() else { return };
        let batch = others.iter().flatten().all(|atom| matches!(atom, Atom::Axis(_)));
        let (Form::Sequence, true, Some(time)) = (view.form, batch, whole(last)) else { return };
        let name = format!("{}.flat", self.value_name(view.value));
        view.value = self.emit(&name, Op::Flatten, &[view.value]);
        let features = time.saturating_mul(view.features);
        (view.form, view.features, view.sole) = (Form::Vector, features, true);
        if let Some(last) = view.axes.last_mut() {
            *last = super::view::row(features, 1);
        }
    }

    /// A single state as a vector.
    pub(super) fn as_vector(&mut self, view: View) -> View {
        if view.form != Form::States(1) {
            return view;
        }
        let value = self.select(view.value, Select::State(0));
        View { value, form: Form::Vector, sole: false, ..view }
    }

    /// Selects the states that are seen, or makes them features if they stand behind the batch.
    fn settle_states(&mut self, view: &mut View) -> Result<(), Reason> {
        let Form::States(all) = view.form else { return Ok(()) };
        let front = view.axes.first().is_some_and(Vec::is_empty);
        if all == 1 && front {
            return Ok(());
        }
        let batch = view.atoms().position(|atom| matches!(atom, Atom::Axis(_)));
        let states = view.atoms().position(|atom| matches!(atom, Atom::States(_)));
        let count = view.atoms().find_map(|atom| match atom {
            Atom::States(count) => Some(count),
            _ => None,
        });
        match (count, states < batch) {
            (Some(count), true) => {
                if count != all {
                    let select = Select::States { start: view.state, end: view.state + count };
                    view.value = self.select(view.value, select);
                    view.form = Form::States(count);
                    view.sole = false;
                }
            }
            (count, _) => {
                const MOST_STATES: usize = 4096;
                if count.is_some_and(|count| count > MOST_STATES) {
                    return Err(Reason(format!("it joins more than {MOST_STATES} states")));
                }
                let range = view.state..view.state + count.unwrap_or(1);
                let parts: Vec<Value> =
                    range.map(|state| self.select(view.value, Select::State(state))).collect();
                let name = format!("{}.joined", self.value_name(view.value));
                view.value = match parts[..] {
                    [one] => one,
                    _ => self.emit(&name, Op::Concat, &parts),
                };
                for atom in view.axes.iter_mut().flatten() {
                    if let Atom::States(len) = *atom {
                        *atom = Atom::Row { len, stride: view.features };
                    }
                }
                view.features = view.features.saturating_mul(parts.len());
                (view.form, view.sole) = (Form::Vector, false);
            }
        }
        view.state = 0;
        Ok(())
    }

    /// Features in another order: parts of the row behind each other, or, where there are many, a
    /// product with a matrix that has a single 1 in each row.
    fn reordered(
        &mut self,
        view: &View,
        row: &[(usize, usize)],
        seen: usize,
    ) -> Result<Value, Reason> {
        const MOST_PARTS: usize = 8;
        let mut places = vec![view.start];
        for &(len, stride) in row {
            places = places
                .iter()
                .flat_map(|&first| (0..len).map(move |index| first + index * stride))
                .collect();
        }
        let mut parts: Vec<(usize, usize)> = Vec::new();
        for &place in &places {
            match parts.last_mut() {
                Some((_, end)) if *end == place => *end += 1,
                _ => parts.push((place, place + 1)),
            }
        }
        let name = format!("{}.reordered", self.value_name(view.value));
        if parts.len() <= MOST_PARTS {
            let parts: Vec<Value> = parts
                .into_iter()
                .map(|(start, end)| self.select(view.value, Select::Features { start, end }))
                .collect();
            return Ok(self.emit(&name, Op::Concat, &parts));
        }
        let count = seen.saturating_mul(view.features);
        self.spend(count)?;
        let mut matrix = vec![0.0; count];
        for (row, place) in places.into_iter().enumerate() {
            matrix[row * view.features + place] = 1.0;
        }
        let matrix = Matrix::new(seen, view.features, matrix)?;
        let dense = Dense::new(matrix, None, Activation::Linear)?;
        Ok(self.emit(&name, Op::Dense(dense), &[view.value]))
    }

    /// The same tensor with its last axis, and nothing else, the row of a value.
    pub(super) fn rows(&mut self, view: &View) -> Result<View, Reason> {
        self.claim_row(view)?;
        let view = self.settled(view)?;
        let last = view.axes.len().checked_sub(1).ok_or_else(|| Reason("it has no axis".into()))?;
        let elsewhere = view.axes[..last].iter().flatten();
        if elsewhere.clone().any(|atom| matches!(atom, Atom::Row { .. })) {
            return Err(Reason(
                "features stand on another axis than the last, which has the rows of a layer"
                    .into(),
            ));
        }
        let rowless = view.axes[last].iter().any(|atom| !matches!(atom, Atom::Row { .. }));
        if rowless && view.form != Form::Open {
            return Err(Reason("its last axis is the batch, or time, and not the features".into()));
        }
        Ok(view)
    }
}
