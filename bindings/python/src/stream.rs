//! Streams: sequences that are given piece by piece.

use std::sync::{Mutex, MutexGuard, TryLockError};

use numpy::{
    PyArray2, PyArrayDyn, PyArrayMethods, PyReadonlyArray2, PyReadwriteArray2, PyReadwriteArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use ritornello::Session;
use ritornello::model::{Element, SequenceAxes, Shape};
use ritornello::plan::PlannedOutput;

use crate::arrays;
use crate::failure::{self, raised};
use crate::plan::{Counts, States, borrowed, run, states};

/// States that live from call to call, for a fixed batch.
#[pyclass(frozen, module = "ritornello._ritornello")]
#[derive(Debug)]
pub(crate) struct Stream {
    plan: ritornello::Plan,
    batch: usize,
    session: Mutex<Session>,
    /// Features of the input and of the output, if the model has one of each and a step is a row.
    rows: Option<[usize; 2]>,
}

/// Features of a step, if it is one row of numbers in and one out.
fn rows(plan: &ritornello::Plan) -> Option<[usize; 2]> {
    let ([input], [output]) = (plan.inputs(), plan.outputs()) else { return None };
    let is_row = |shape| matches!(shape, Shape::Sequence { .. } | Shape::Vector { .. });
    let fits = input.element == Element::F32 && is_row(input.shape) && is_row(output.shape);
    fits.then(|| [input.shape.features(), output.shape.features()])
}

impl Stream {
    pub(crate) fn new(plan: &ritornello::Plan, batch: usize, max_time: usize) -> PyResult<Self> {
        let session = plan.session(batch, max_time).map_err(raised)?;
        Ok(Self { plan: plan.clone(), batch, session: Mutex::new(session), rows: rows(plan) })
    }

    /// The session, which one thread has at a time.
    fn session(&self) -> PyResult<MutexGuard<'_, Session>> {
        match self.session.try_lock() {
            Ok(session) => Ok(session),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(failure::Error::new_err(
                "this stream is in use by another thread; a stream is one sequence: \
                 give each thread its own, model.stream(batch)",
            )),
        }
    }

    /// The caller's shape of one step of a value, as that of a sequence of one step.
    fn with_time(&self, shape: Shape, step: &[usize]) -> Vec<usize> {
        let mut shape_of_one = step.to_vec();
        if let Shape::Sequence { .. } = shape {
            shape_of_one.insert(self.time_axis().min(step.len()), 1);
        }
        shape_of_one
    }

    fn time_axis(&self) -> usize {
        match self.plan.axes() {
            SequenceAxes::BatchTime => 1,
            SequenceAxes::TimeBatch => 0,
        }
    }

    fn run_shaped<'py>(
        &self,
        py: Python<'py>,
        inputs: &[Bound<'py, PyAny>],
        out: Option<&mut Vec<PyReadwriteArrayDyn<'py, f32>>>,
        step: bool,
    ) -> PyResult<Option<Vec<Bound<'py, PyArrayDyn<f32>>>>> {
        let given = borrowed(&self.plan, inputs)?;
        let planned = self.plan.inputs();
        let shapes: Vec<Vec<usize>> = planned
            .iter()
            .zip(&given)
            .map(|(input, array)| match step {
                true => self.with_time(input.shape, array.shape()),
                false => array.shape().to_vec(),
            })
            .collect();
        let views = planned
            .iter()
            .zip(given.iter().zip(&shapes))
            .map(|(input, (array, shape))| Ok((input.name.as_str(), array.view(shape)?)))
            .collect::<PyResult<Vec<_>>>()?;
        let seen: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let times = arrays::times(&self.plan, &seen);
        let outside = |output: &PlannedOutput| {
            let mut shape =
                arrays::outside_shape(output.shape, self.plan.axes(), self.batch, &times);
            if step && matches!(output.shape, Shape::Sequence { .. }) {
                shape.remove(self.time_axis());
            }
            shape
        };
        let expected: Vec<Vec<usize>> = match out {
            Some(_) => self.plan.outputs().iter().map(outside).collect(),
            None => Vec::new(),
        };
        let mut session = self.session()?;
        let outputs = run(py, &mut session, &views, &Counts::All, &expected, out)?;
        drop(session);
        let Some(outputs) = outputs else { return Ok(None) };
        let arrays =
            self.plan.outputs().iter().zip(outputs).map(|(output, (mut shape, numbers))| {
                if step && matches!(output.shape, Shape::Sequence { .. }) {
                    shape.remove(self.time_axis());
                }
                arrays::owned(py, &shape, numbers)
            });
        arrays.collect::<PyResult<Vec<_>>>().map(Some)
    }
}

#[pymethods]
impl Stream {
    /// The rows.
    #[getter]
    fn batch(&self) -> usize {
        self.batch
    }

    /// Goes on with sequences of any number of steps.
    #[pyo3(signature = (inputs, out=None))]
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        inputs: Vec<Bound<'py, PyAny>>,
        mut out: Option<Vec<PyReadwriteArrayDyn<'py, f32>>>,
    ) -> PyResult<Option<Vec<Bound<'py, PyArrayDyn<f32>>>>> {
        self.run_shaped(py, &inputs, out.as_mut(), false)
    }

    /// Goes on with one step, whose arrays have no axis of time.
    #[pyo3(signature = (inputs, out=None))]
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn step<'py>(
        &self,
        py: Python<'py>,
        inputs: Vec<Bound<'py, PyAny>>,
        mut out: Option<Vec<PyReadwriteArrayDyn<'py, f32>>>,
    ) -> PyResult<Option<Vec<Bound<'py, PyArrayDyn<f32>>>>> {
        if !self.plan.is_causal() {
            return Err(failure::UnsupportedError::new_err(
                "a single step of this model: it needs whole sequences; call it on them",
            ));
        }
        self.run_shaped(py, &inputs, out.as_mut(), true)
    }

    /// `step` of a model of one input and one output: `[batch, features]` to the same.
    #[pyo3(signature = (x, out=None))]
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn step_row<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f32>,
        out: Option<PyReadwriteArray2<'py, f32>>,
    ) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        let misfit = || PyTypeError::new_err("the arrays of a step do not fit");
        let Some([from, to]) = self.rows else { return Err(misfit()) };
        let shape = [self.batch, to];
        if x.shape() != [self.batch, from] {
            return Err(misfit());
        }
        let fresh = out.is_none().then(|| PyArray2::zeros(py, shape, false));
        let mut memory = match (&fresh, out) {
            (Some(fresh), _) => fresh.readwrite(),
            (None, Some(out)) => out,
            (None, None) => return Err(misfit()),
        };
        if memory.shape() != shape {
            return Err(misfit());
        }
        let x = arrays::in_order(&x).map_err(|_| misfit())?;
        let y = arrays::in_order_mut(&mut memory).map_err(|_| misfit())?;
        let mut session = self.session()?;
        let session = &mut *session;
        py.detach(|| session.step(x, y)).map_err(raised)?;
        Ok(fresh)
    }

    /// Forgets everything.
    fn reset(&self) -> PyResult<()> {
        self.session()?.reset();
        Ok(())
    }

    /// The states by name.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyArrayDyn<f32>>)>> {
        let state = self.session()?.state().map_err(raised)?;
        let arrays = state.arrays().iter();
        arrays.map(|(name, array)| Ok((name.clone(), arrays::given_back(py, array)?))).collect()
    }

    /// Goes on from these.
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn set_state(&self, state: States<'_>) -> PyResult<()> {
        let state = states(&state)?;
        self.session()?.set_state(&state).map_err(raised)
    }
}
