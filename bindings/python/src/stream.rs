//! Streams: sequences that are given piece by piece.

use std::sync::{Mutex, MutexGuard, TryLockError};

use numpy::{
    PyArray2, PyArrayDyn, PyArrayMethods, PyReadonlyArray2, PyReadwriteArray2, PyReadwriteArrayDyn,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use ritornello::model::{Element, Shape, ShownAxis};
use ritornello::plan::PlannedOutput;
use ritornello::{Numbers, Session, Steps};

use crate::arrays::{self, Given};
use crate::failure::{self, raised};
use crate::plan::{States, borrowed, states};

/// States that live from call to call, for a fixed batch.
#[pyclass(frozen, module = "ritornello._ritornello")]
#[derive(Debug)]
pub(crate) struct Stream {
    plan: ritornello::Plan,
    batch: usize,
    /// How many outputs it gives.
    shown: usize,
    running: Mutex<Running>,
    /// Features of the input and of the output, if a step is a row in and a row out.
    rows: Option<[usize; 2]>,
}

#[derive(Debug)]
struct Running {
    session: Session,
    /// Of each output that is not given, its memory.
    unseen: Vec<Vec<f32>>,
}

/// Features of a step, if it is one row of numbers in and one out, the first `shown` of the outputs.
fn rows(plan: &ritornello::Plan, shown: usize) -> Option<[usize; 2]> {
    let ([input], Some(output), 1) = (plan.inputs(), plan.outputs().first(), shown) else {
        return None;
    };
    let is_row = |shape| matches!(shape, Shape::Sequence { .. } | Shape::Vector { .. });
    let is_plain =
        |axes: &[ShownAxis]| axes.iter().filter(|axis| **axis != ShownAxis::Time).count() == 2;
    let fits = input.element == Element::F32
        && is_row(input.shape)
        && is_row(output.shape)
        && is_plain(plan.input_axes(0))
        && is_plain(&output.axes)
        && plan.is_causal();
    fits.then(|| [input.shape.features(), output.shape.features()])
}

/// The caller's shape of one step, as that of a sequence of one step.
fn with_time(axes: &[ShownAxis], step: &[usize]) -> Vec<usize> {
    let mut shape = step.to_vec();
    if let Some(time) = axes.iter().position(|axis| *axis == ShownAxis::Time) {
        shape.insert(time.min(step.len()), 1);
    }
    shape
}

/// The reverse of [`with_time`].
fn without_time(axes: &[ShownAxis], mut shape: Vec<usize>) -> Vec<usize> {
    if let Some(time) = axes.iter().position(|axis| *axis == ShownAxis::Time) {
        shape.remove(time);
    }
    shape
}

impl Stream {
    pub(crate) fn new(
        plan: &ritornello::Plan,
        batch: usize,
        max_time: usize,
        first_alone: bool,
    ) -> PyResult<Self> {
        let session = plan.session(batch, max_time).map_err(raised)?;
        let outputs = plan.outputs();
        let shown = if first_alone { 1.min(outputs.len()) } else { outputs.len() };
        let ones = vec![1; plan.inputs().len()];
        let numbers = |output| arrays::outside_shape(output, batch, &ones).iter().product();
        let unseen = outputs[shown..].iter().map(|output| vec![0.0; numbers(output)]).collect();
        let running = Mutex::new(Running { session, unseen });
        Ok(Self { plan: plan.clone(), batch, shown, running, rows: rows(plan, shown) })
    }

    /// The session, which one thread has at a time.
    fn running(&self) -> PyResult<MutexGuard<'_, Running>> {
        match self.running.try_lock() {
            Ok(running) => Ok(running),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(failure::Error::new_err(
                "this stream is in use by another thread; a stream is one sequence: \
                 give each thread its own, model.stream(batch)",
            )),
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
        let shape_of = |(index, array): (usize, &Given<'_>)| match step {
            true => with_time(self.plan.input_axes(index), array.shape()),
            false => array.shape().to_vec(),
        };
        let shapes: Vec<Vec<usize>> = given.iter().enumerate().map(shape_of).collect();
        let views = planned
            .iter()
            .zip(given.iter().zip(&shapes))
            .map(|(input, (array, shape))| Ok((input.name.as_str(), array.view(shape)?)))
            .collect::<PyResult<Vec<_>>>()?;
        let seen: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let times = arrays::times(&self.plan, &seen);
        let (outputs, unseen) = self.plan.outputs().split_at(self.shown);
        let outside = |output: &PlannedOutput| {
            let shape = arrays::outside_shape(output, self.batch, &times);
            if step { without_time(&output.axes, shape) } else { shape }
        };
        let mut running = self.running()?;
        let session = &mut running.session;
        let Some(out) = out else {
            let found = py.detach(|| session.run_views(&views, Steps::All)).map_err(raised)?;
            drop(running);
            let shown = outputs.iter().zip(found).map(|(output, (_, array))| {
                arrays::owned(py, &outside(output), arrays::numbers(array))
            });
            return shown.collect::<PyResult<Vec<_>>>().map(Some);
        };
        if out.len() == outputs.len() {
            let expected: Vec<Vec<usize>> = outputs.iter().map(outside).collect();
            arrays::check_out(out, &expected)?;
        }
        let sizes = unseen.iter().map(|output| outside(output).iter().product());
        let mut memory: Vec<Vec<f32>> = sizes.map(|numbers| vec![0.0; numbers]).collect();
        let mut slices = out.iter_mut().map(arrays::in_order_mut).collect::<PyResult<Vec<_>>>()?;
        slices.extend(memory.iter_mut().map(Vec::as_mut_slice));
        py.detach(|| session.run_views_into(&views, Steps::All, &mut slices)).map_err(raised)?;
        Ok(None)
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

    /// `step` of one input and one output that is given: `[batch, features]` to the same.
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
        let mut running = self.running()?;
        let Running { session, unseen } = &mut *running;
        py.detach(|| {
            if unseen.is_empty() {
                return session.step(x, y);
            }
            let unseen = unseen.iter_mut().map(Vec::as_mut_slice);
            let mut memory: Vec<&mut [f32]> = std::iter::once(y).chain(unseen).collect();
            session.run_numbers_into(&[Numbers::F32(x)], Steps::All, &mut memory)
        })
        .map_err(raised)?;
        Ok(fresh)
    }

    /// Forgets everything.
    fn reset(&self) -> PyResult<()> {
        self.running()?.session.reset();
        Ok(())
    }

    /// The states by name.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Bound<'py, PyArrayDyn<f32>>)>> {
        let state = self.running()?.session.state().map_err(raised)?;
        let arrays = state.arrays().iter();
        arrays.map(|(name, array)| Ok((name.clone(), arrays::given_back(py, array)?))).collect()
    }

    /// Goes on from these.
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn set_state(&self, state: States<'_>) -> PyResult<()> {
        let state = states(&state)?;
        self.running()?.session.set_state(&state).map_err(raised)
    }
}
