//! rten, from the ONNX file.

use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

use super::locked;
use crate::case::Case;
use crate::contest::{Contestant, Refusal, Rival, Runner};
use crate::grid::Cell;
use crate::scratch::Places;

/// rten with a thread pool of the race's size and weights packed at loading, where it can.
pub(crate) struct Rten {
    places: Places,
}

impl Rten {
    /// Reads the rows' files from `places`.
    pub(crate) fn new(places: &Places) -> Self {
        Self { places: places.clone() }
    }
}

impl Rival for Rten {
    fn name(&self) -> &str {
        "rten"
    }

    fn version(&self) -> Result<String, String> {
        locked("rten")
    }

    fn enter(&mut self, case: &Case, threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        if case.shape.cell == Cell::Rnn {
            return Err(Refusal::NotOffered("there is no operator RNN".into()));
        }
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        let model = options.load_file(self.places.model()).map_err(Refusal::failed)?;
        let (input, output) = match (model.input_ids(), model.output_ids()) {
            (&[input], &[output]) => (input, output),
            _ => return Err(Refusal::failed("not one input and one output")),
        };
        let shape = [case.shape.time, case.shape.batch, case.shape.input_size];
        let x = NdTensor::from_data(shape, case.x.clone());
        let pool = Arc::new(ThreadPool::with_num_threads(threads));
        Ok(Box::new(Run { model, input, output, x, pool }))
    }
}

struct Run {
    model: Model,
    input: NodeId,
    output: NodeId,
    x: NdTensor<f32, 3>,
    pool: Arc<ThreadPool>,
}

impl Run {
    fn outputs(&self) -> Result<Vec<Value>, String> {
        let options = RunOptions::default().with_thread_pool(Some(self.pool.clone()));
        let inputs = vec![(self.input, ValueOrView::from(self.x.view()))];
        self.model.run(inputs, &[self.output], Some(options)).map_err(|error| error.to_string())
    }
}

impl Runner for Run {
    fn run(&mut self) -> Result<(), String> {
        self.outputs().map(drop)
    }

    fn last(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        let first = self.outputs()?.into_iter().next().ok_or("no output")?;
        let y: NdTensor<f32, 4> = first.try_into().map_err(|_| "the output has another type")?;
        Ok(case.side_by_side(&y.to_vec()))
    }
}
