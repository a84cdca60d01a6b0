//! tract, from the ONNX file.

use std::sync::Arc;

use tract_onnx::prelude::*;

use super::locked;
use crate::case::Case;
use crate::contest::{Contestant, Refusal, Rival, Runner};
use crate::scratch::Places;

/// tract with its optimisations and a fresh state for each run; its default executor has one thread.
pub(crate) struct Tract {
    places: Places,
}

impl Tract {
    /// Reads the rows' files from `places`.
    pub(crate) fn new(places: &Places) -> Self {
        Self { places: places.clone() }
    }
}

impl Rival for Tract {
    fn name(&self) -> &str {
        "tract"
    }

    fn version(&self) -> Result<String, String> {
        locked("tract-onnx")
    }

    fn enter(&mut self, case: &Case, _threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        let shape = [case.shape.time, case.shape.batch, case.shape.input_size];
        let x = Tensor::from_shape(&shape, &case.x).map_err(Refusal::failed)?;
        let model = onnx()
            .model_for_path(self.places.model())
            .and_then(|model| model.into_optimized()?.into_runnable())
            .map_err(|error| Refusal::Failed(format!("{error:#}")))?;
        Ok(Box::new(Run { model, x: x.into_tvalue(), y: None }))
    }
}

struct Run {
    model: Arc<TypedRunnableModel>,
    x: TValue,
    y: Option<TValue>,
}

impl Runner for Run {
    fn run(&mut self) -> Result<(), String> {
        let outputs = self.model.run(tvec![self.x.clone()]);
        self.y = outputs.map_err(|error| format!("{error:#}"))?.into_iter().next();
        Ok(())
    }

    fn last(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        let y = self.y.as_ref().ok_or("no output")?;
        let y = y.to_plain_array_view::<f32>().map_err(|error| error.to_string())?;
        Ok(case.side_by_side(&y.iter().copied().collect::<Vec<_>>()))
    }
}
