//! Models: from files, bytes, specifications and Keras's configurations, and back to bytes.

use std::path::PathBuf;
use std::sync::Arc;

use numpy::PyReadonlyArrayDyn;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use ritornello::load::{self, KerasMask, Spec};
use ritornello::model::{Element, Op, StateScope};
use ritornello::{Array, Isa, PlanOptions, Precision, Threads, Tune};

use crate::arrays;
use crate::failure::{self, raised};
use crate::plan::Plan;

/// Tensors by name.
type Tensors<'py> = Vec<(String, PyReadonlyArrayDyn<'py, f32>)>;
/// Name, kind, axes and whether it holds indices.
type End = (String, String, Vec<String>, bool);

/// What is computed, with its weights.
#[pyclass(frozen, module = "ritornello._ritornello")]
#[derive(Debug)]
pub(crate) struct Model {
    model: Arc<ritornello::Model>,
}

impl From<ritornello::Model> for Model {
    fn from(model: ritornello::Model) -> Self {
        Self { model: Arc::new(model) }
    }
}

fn copied(tensors: &Tensors<'_>) -> PyResult<Vec<(String, Array)>> {
    tensors.iter().map(|(name, array)| Ok((name.clone(), arrays::copied(array)?))).collect()
}

#[pymethods]
impl Model {
    /// Reads a model file; `spec` is JSON and completes a file of weights only.
    #[staticmethod]
    #[pyo3(signature = (path, spec=None))]
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn load(py: Python<'_>, path: PathBuf, spec: Option<&str>) -> PyResult<Self> {
        let spec = spec.map(Spec::from_json).transpose().map_err(raised)?;
        let model = py.detach(|| match spec {
            None => ritornello::load(&path),
            Some(spec) => load::load_with_spec(&path, &spec),
        });
        Ok(model.map_err(raised)?.into())
    }

    /// Reads the bytes that `to_bytes` gives, or those of another model file.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        Ok(py.detach(|| load::from_bytes(bytes)).map_err(raised)?.into())
    }

    /// Builds what a specification says from tensors by name.
    #[staticmethod]
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn from_spec(spec: &str, tensors: Tensors<'_>) -> PyResult<Self> {
        let spec = Spec::from_json(spec).map_err(raised)?;
        Ok(load::from_tensors(&spec, copied(&tensors)?).map_err(raised)?.into())
    }

    /// Builds a Keras model from its configuration and its weights by path.
    #[staticmethod]
    #[allow(clippy::needless_pass_by_value, reason = "Python's arguments are owned")]
    fn from_keras(config: &str, version: &str, tensors: Tensors<'_>, mask: bool) -> PyResult<Self> {
        let mask = if mask { KerasMask::InLastFeature } else { KerasMask::None };
        let model = load::from_keras(config, version, copied(&tensors)?, mask);
        Ok(model.map_err(raised)?.into())
    }

    /// The library's own `.safetensors`.
    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| load::to_bytes(&self.model)).map_err(raised)?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Writes it as `.safetensors`.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| load::save(&self.model, path)).map_err(raised)
    }

    /// What is computed, as a specification.
    fn spec(&self) -> PyResult<String> {
        Ok(Spec::from_model(&self.model).map_err(raised)?.to_json())
    }

    /// Of each input its name, kind, axes and whether it holds indices.
    #[getter]
    fn inputs(&self) -> Vec<End> {
        let inputs = self.model.inputs().iter().enumerate().map(|(index, input)| {
            let (kind, axes) = arrays::axes(input.shape, self.model.input_axes(index));
            (input.name.clone(), kind, axes, input.element == Element::Index)
        });
        inputs.collect()
    }

    /// The same of each output.
    #[getter]
    fn outputs(&self) -> PyResult<Vec<End>> {
        let outputs = self.model.outputs().iter().enumerate().map(|(index, output)| {
            let shape = self.model.shape(output.value).map_err(raised)?;
            let (kind, axes) = arrays::axes(shape, self.model.output_axes(index));
            Ok((output.name.clone(), kind, axes, false))
        });
        outputs.collect()
    }

    /// Whether a sequence may be given in pieces.
    #[getter]
    fn is_causal(&self) -> bool {
        self.model.is_causal()
    }

    /// Whether a layer keeps its states from run to run: Keras's `stateful=True`.
    #[getter]
    fn is_stateful(&self) -> bool {
        self.model.nodes().iter().any(|node| match &node.op {
            Op::Recurrent(layer) => layer.state_scope == StateScope::Session,
            _ => false,
        })
    }

    /// The number of weights and biases.
    #[getter]
    fn parameters(&self) -> usize {
        self.model.parameters()
    }

    /// Packs the weights for this machine.
    #[pyo3(signature = (threads=None, isa=None, precision=None, tune=None))]
    fn plan(
        &self,
        py: Python<'_>,
        threads: Option<usize>,
        isa: Option<&str>,
        precision: Option<&str>,
        tune: Option<&str>,
    ) -> PyResult<Plan> {
        let mut options = PlanOptions::default();
        if let Some(threads) = threads {
            options = options.threads(Threads::new(threads).map_err(raised)?);
        }
        if let Some(name) = isa {
            let isa: Isa = name.parse().map_err(|e: <Isa as std::str::FromStr>::Err| {
                failure::Error::new_err(format!("isa: {e}"))
            })?;
            options = options.isa(isa);
        }
        if let Some(name) = precision {
            let precision: Precision =
                name.parse().map_err(|e: <Precision as std::str::FromStr>::Err| {
                    failure::Error::new_err(format!("precision: {e}"))
                })?;
            options = options.precision(precision);
        }
        if let Some(name) = tune {
            let tune: Tune = name.parse().map_err(|e: <Tune as std::str::FromStr>::Err| {
                failure::Error::new_err(format!("tune: {e}"))
            })?;
            options = options.tune(tune);
        }
        Ok(py.detach(|| self.model.plan(options)).map_err(raised)?.into())
    }
}
