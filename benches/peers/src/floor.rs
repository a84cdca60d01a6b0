//! What part of the machine's limit a row reaches, as the command `ritornello bench` says.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::case::Case;
use crate::grid::Signal;

/// Asks the command, until it turns out that it does not know.
#[derive(Debug)]
pub(crate) struct Floor {
    cli: Option<PathBuf>,
}

impl Floor {
    /// `cli` is the command, if there is one.
    pub(crate) fn new(cli: Option<PathBuf>) -> Self {
        Self { cli }
    }

    /// Percent of the floor that our best time, in µs, reaches.
    ///
    /// The command times the layer again, so its own percentage is scaled by its own best time.
    pub(crate) fn percent(&mut self, case: &Case, threads: usize, best: f64) -> Option<f64> {
        if case.shape.signal == Signal::Decay {
            return None;
        }
        let report = self.report(case, threads)?;
        let field = |name: &str| report.get(name).and_then(Value::as_f64);
        let (Some(percent), Some(theirs)) = (field("percent_of_floor"), field("best_us")) else {
            self.cli = None;
            return None;
        };
        Some(percent * theirs / best)
    }

    fn report(&self, case: &Case, threads: usize) -> Option<Value> {
        let shape = case.shape;
        let mut layer = format!("{}:{}:{}", shape.cell.name(), shape.input_size, shape.hidden_size);
        if shape.layers > 1 {
            layer += &format!(":layers={}", shape.layers);
        }
        if shape.directions == 2 {
            layer += ":bidirectional";
        }
        let numbers = [shape.batch, shape.time, threads].map(|number| number.to_string());
        let mut command = Command::new(self.cli.as_ref()?);
        command.args(["bench", "--json", "--layer", &layer, "--batch", &numbers[0]]);
        command.args(["--time", &numbers[1], "--threads", &numbers[2]]);
        command.args(["--precision", case.precision.name(), "--tune", case.tune.name()]);
        serde_json::from_slice(&command.output().ok()?.stdout).ok()
    }
}
