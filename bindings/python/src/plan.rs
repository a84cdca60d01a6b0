//! Plans: calls on whole sequences, from any number of Python's threads at once.

use std::sync::{Mutex, PoisonError};

use numpy::{PyReadonlyArray2, PyReadonlyArrayDyn, PyReadwriteArrayDyn};
use pyo3::prelude::*;
use ritornello::model::ShownAxis;
use ritornello::{ArrayView, Mask, Session, State, Steps};

use crate::arrays::{self, Given};
use crate::failure::{self, raised};
use crate::stream::Stream;

/// Steps that a session of a causal model has buffers for; longer sequences go in pieces.
const BUFFERED_STEPS: usize = 1024;
/// Sessions that wait for the next call.
const MOST_WAITING: usize = 8;
/// Bytes of a session that may wait.
const MOST_BYTES: usize = 64 << 20;

/// Arrays of states by name.
pub(crate) type States<'py> = Vec<(String, PyReadonlyArrayDyn<'py, f32>)>;

/// A model that is ready to run on this machine.
#[pyclass(frozen, module = "ritornello._ritornello")]
#[derive(Debug)]
pub(crate) struct Plan {
    plan: ritornello::Plan,
    /// Sessions of earlier calls.
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    session: Session,
    max_time: usize,
}

impl From<ritornello::Plan> for Plan {
    fn from(plan: ritornello::Plan) -> Self {
        Self { plan, waiting: Mutex::new(Vec::new()) }
    }
}

impl Plan {
    /// A session for a call, fresh but for its memory.
    fn session(&self, batch: usize, longest: usize) -> Result<Waiting, ritornello::Error> {
        let causal = self.plan.is_causal();
        let max_time = if causal { longest.min(BUFFERED_STEPS) } else { longest }.max(1);
        let found = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |w: &Waiting| w.session.batch() == batch && w.max_time >= max_time;
            let place = waiting.iter().rposition(fits);
            place.map(|place| waiting.swap_remove(place))
        };
        match found {
            Some(mut waiting) => {
                waiting.session.reset();
                Ok(waiting)
            }
            None => Ok(Waiting { session: self.plan.session(batch, max_time)?, max_time }),
        }
    }

    /// Keeps a session for the next call.
    fn keep(&self, session: Waiting) {
        if self.plan.workspace_bytes(session.session.batch(), session.max_time) > MOST_BYTES {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == MOST_WAITING {
            waiting.remove(0);
        }
        waiting.push(session);
    }

    /// The batch and the longest sequence of some arrays; what does not fit is found by the run.
    fn sizes(&self, shapes: &[&[usize]]) -> (usize, usize) {
        let (mut batch, mut longest) = (0, 0);
        for (index, shape) in shapes.iter().enumerate().take(self.plan.inputs().len()) {
            let length = |wanted| arrays::length_of(self.plan.input_axes(index), wanted, shape);
            if index == 0 {
                batch = length(ShownAxis::Batch).unwrap_or(0);
            }
            longest = longest.max(length(ShownAxis::Time).unwrap_or(0));
        }
        (batch, longest)
    }
}

/// Borrows one array for each input.
pub(crate) fn borrowed<'py>(
    plan: &ritornello::Plan,
    inputs: &[Bound<'py, PyAny>],
) -> PyResult<Vec<Given<'py>>> {
    let expected = plan.inputs();
    if inputs.len() != expected.len() {
        let names: Vec<&str> = expected.iter().map(|input| input.name.as_str()).collect();
        let (found, names) = (inputs.len(), names.join(", "));
        let text = format!("the inputs are {found} arrays, expected {}: {names}", expected.len());
        return Err(failure::Error::new_err(text));
    }
    expected.iter().zip(inputs).map(|(input, array)| Given::new(input, array)).collect()
}

/// States by name, copied.
pub(crate) fn states(given: &States<'_>) -> PyResult<State> {
    let arrays = given.iter().map(|(name, array)| Ok((name.clone(), arrays::copied(array)?)));
    Ok(State::from_arrays(arrays.collect::<PyResult<_>>()?))
}

/// Which steps count, as Python says it.
pub(crate) enum Counts {
    All,
    Lengths(Vec<usize>),
    Mask(Mask),
}

impl Counts {
    pub(crate) fn new(
        lengths: Option<Vec<usize>>,
        mask: Option<&PyReadonlyArray2<'_, bool>>,
    ) -> PyResult<Self> {
        match (lengths, mask) {
            (Some(_), Some(_)) => Err(failure::Error::new_err("give lengths or a mask, not both")),
            (Some(lengths), None) => Ok(Self::Lengths(lengths)),
            (None, Some(mask)) => {
                let steps = mask.as_array();
                let shape = [steps.shape()[0], steps.shape()[1]];
                let mask = Mask::new(shape, steps.iter().copied().collect()).map_err(raised)?;
                Ok(Self::Mask(mask))
            }
            (None, None) => Ok(Self::All),
        }
    }

    pub(crate) fn steps(&self) -> Steps<'_> {
        match self {
            Self::All => Steps::All,
            Self::Lengths(lengths) => Steps::Lengths(lengths),
            Self::Mask(mask) => Steps::Mask(mask),
        }
    }
}

/// The shape and the numbers of each output.
type Outputs = Vec<(Vec<usize>, Vec<f32>)>;

/// Runs a session; writes into `out`, whose arrays have `shapes`, or gives new arrays.
fn run<'py>(
    py: Python<'py>,
    session: &mut Session,
    views: &[(&str, ArrayView<'_>)],
    counts: &Counts,
    shapes: &[Vec<usize>],
    out: Option<&mut Vec<PyReadwriteArrayDyn<'py, f32>>>,
) -> PyResult<Option<Outputs>> {
    let Some(out) = out else {
        let outputs = py.detach(|| session.run_views(views, counts.steps())).map_err(raised)?;
        let parts =
            outputs.into_iter().map(|(_, array)| (array.shape().to_vec(), arrays::numbers(array)));
        return Ok(Some(parts.collect()));
    };
    arrays::check_out(out, shapes)?;
    let mut slices = out.iter_mut().map(arrays::in_order_mut).collect::<PyResult<Vec<_>>>()?;
    py.detach(|| session.run_views_into(views, counts.steps(), &mut slices)).map_err(raised)?;
    Ok(None)
}

#[pymethods]
impl Plan {
    /// Runs whole sequences from fresh states, or from `state`.
    #[pyo3(signature = (inputs, lengths=None, mask=None, state=None, out=None))]
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        inputs: Vec<Bound<'py, PyAny>>,
        lengths: Option<Vec<usize>>,
        mask: Option<PyReadonlyArray2<'py, bool>>,
        state: Option<States<'py>>,
        mut out: Option<Vec<PyReadwriteArrayDyn<'py, f32>>>,
    ) -> PyResult<Option<Vec<Bound<'py, numpy::PyArrayDyn<f32>>>>> {
        let given = borrowed(&self.plan, &inputs)?;
        let shapes: Vec<&[usize]> = given.iter().map(Given::shape).collect();
        let times = arrays::times(&self.plan, &shapes);
        let (batch, longest) = self.sizes(&shapes);
        let outside = |output| arrays::outside_shape(output, batch, &times);
        let expected: Vec<Vec<usize>> = match out {
            Some(_) => self.plan.outputs().iter().map(outside).collect(),
            None => Vec::new(),
        };
        let views = self
            .plan
            .inputs()
            .iter()
            .zip(&given)
            .map(|(input, array)| Ok((input.name.as_str(), array.view(array.shape())?)))
            .collect::<PyResult<Vec<_>>>()?;
        let counts = Counts::new(lengths, mask.as_ref())?;
        let mut waiting = self.session(batch, longest).map_err(raised)?;
        if let Some(state) = state {
            waiting.session.set_state(&states(&state)?).map_err(raised)?;
        }
        let outputs = run(py, &mut waiting.session, &views, &counts, &expected, out.as_mut());
        self.keep(waiting);
        let outputs = outputs?.map(|outputs| {
            let arrays =
                outputs.into_iter().map(|(shape, numbers)| arrays::owned(py, &shape, numbers));
            arrays.collect::<PyResult<Vec<_>>>()
        });
        outputs.transpose()
    }

    /// A stream of `batch` rows; with `first_alone` it gives the first output and no other.
    fn stream(&self, batch: usize, max_time: usize, first_alone: bool) -> PyResult<Stream> {
        Stream::new(&self.plan, batch, max_time, first_alone)
    }

    /// What was chosen, and why.
    fn explain(&self) -> String {
        self.plan.explain().to_string()
    }

    /// Of each stage: node, operation, shape, parameters, kernel, bytes of packed weights.
    fn stages(&self) -> Vec<(String, String, String, usize, String, usize)> {
        let stages = self.plan.explain().stages.into_iter();
        stages
            .map(|stage| {
                let (kernel, bytes) = (stage.kernel, stage.packed_bytes);
                (stage.node, stage.op, stage.output, stage.parameters, kernel, bytes)
            })
            .collect()
    }

    /// The level that runs it.
    #[getter]
    fn isa(&self) -> String {
        self.plan.explain().isa.to_string()
    }

    /// What the arithmetic may be.
    #[getter]
    fn precision(&self) -> String {
        self.plan.explain().precision.to_string()
    }

    /// What kernels are chosen for.
    #[getter]
    fn tune(&self) -> String {
        self.plan.explain().tune.to_string()
    }

    /// The threads of a call.
    #[getter]
    fn threads(&self) -> usize {
        self.plan.explain().threads
    }

    /// Whether a sequence may be given in pieces.
    #[getter]
    fn is_causal(&self) -> bool {
        self.plan.is_causal()
    }
}
