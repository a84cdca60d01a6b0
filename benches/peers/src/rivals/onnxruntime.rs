//! ONNX Runtime, its shared library taken out of the Python wheel.

use ort::environment::Environment;
use ort::session::Session;
use ort::value::Tensor;
use ritornello::Precision;

use crate::case::Case;
use crate::contest::{Contestant, Refusal, Rival, Runner};
use crate::grid::Cell;
use crate::scratch::Places;

/// ONNX Runtime with its CPU provider and default optimisations.
pub(crate) struct OnnxRuntime {
    places: Places,
    /// With the version.
    environment: Result<(Environment, String), String>,
}

impl OnnxRuntime {
    /// Loads the library.
    pub(crate) fn new(places: &Places) -> Self {
        Self { places: places.clone(), environment: load(places) }
    }
}

fn load(places: &Places) -> Result<(Environment, String), String> {
    let file = places.onnxruntime().ok_or("libonnxruntime.so is not in the Python environment")?;
    let version =
        file.file_name().and_then(|name| name.to_str()?.strip_prefix("libonnxruntime.so."));
    let version = version.unwrap_or("unknown").to_owned();
    let builder = ort::init_from(file).map_err(|error| error.to_string())?;
    let environment = builder.build().map_err(|error| error.to_string())?;
    Ok((environment, version))
}

impl Rival for OnnxRuntime {
    fn name(&self) -> &str {
        "onnxruntime"
    }

    fn version(&self) -> Result<String, String> {
        self.environment.as_ref().map(|(_, version)| version.clone()).map_err(Clone::clone)
    }

    fn precisions(&self) -> &[Precision] {
        &[Precision::F32, Precision::Int8]
    }

    fn enter(&mut self, case: &Case, threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        if case.precision == Precision::Int8 && case.shape.cell != Cell::Lstm {
            return Err(Refusal::NotOffered("bytes in an LSTM only".into()));
        }
        let (environment, _) = self.environment.as_ref().map_err(Refusal::failed)?;
        let mut builder = Session::builder(environment)
            .and_then(|builder| Ok(builder.with_intra_threads(threads)?.with_inter_threads(1)?))
            .map_err(Refusal::failed)?;
        let session = builder.commit_from_file(self.places.model()).map_err(Refusal::failed)?;
        let shape = [case.shape.time, case.shape.batch, case.shape.input_size];
        let x = Tensor::from_array((shape, case.x.clone())).map_err(Refusal::failed)?;
        Ok(Box::new(Run { session, x }))
    }
}

struct Run {
    session: Session,
    x: Tensor<f32>,
}

impl Runner for Run {
    fn run(&mut self) -> Result<(), String> {
        let outputs = self.session.run(ort::inputs!["x" => &self.x]);
        outputs.map(drop).map_err(|error| error.to_string())
    }

    fn last(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        let outputs = self.session.run(ort::inputs!["x" => &self.x]);
        let outputs = outputs.map_err(|error| error.to_string())?;
        let (_, y) = outputs[0].try_extract_tensor().map_err(|error| error.to_string())?;
        Ok(case.side_by_side(y))
    }
}
