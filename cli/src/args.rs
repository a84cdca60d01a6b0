//! The command line: commands, flags, and what can be said of them before any file is opened.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use ritornello::load::{self, ModelFile, Spec};
use ritornello::plan::Threads;
use ritornello::{Model, PlanOptions, Precision, Tune, UnknownPrecision, UnknownTune};

use crate::failure::{Blame, Failure};

const AFTER_HELP: &str = "\
Exit codes:
  0  fine
  1  verify found a difference, or another check of an answer failed
  2  usage: the command line, or an environment variable
  3  the model file, or the spec that belongs to it
  4  the data
  5  input or output: a file cannot be read or written

Environment:
  RITORNELLO_ISA      portable, avx2 or avx512: lowers the level of the kernels
  RITORNELLO_THREADS  threads where --threads says nothing

Results go to standard output, messages to standard error. With --json a command that gets as far
as a result prints one object; numbers that are not finite are null in it.";

/// Runs recurrent networks (Elman RNN, LSTM, GRU) on CPUs.
#[derive(Debug, Parser)]
#[command(name = "ritornello", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Explain, run and check an embedded model, and print its speed: start here
    Demo,
    /// Run a model on arrays
    Run(RunArgs),
    /// Show a model: layers, shapes, parameters, kernels
    Inspect(InspectArgs),
    /// Compare a model's results with those of the framework it comes from
    ///
    /// Every array of the case must belong to an input or an output. An output passes if no value
    /// differs by more than --tolerance × max(1, max|y|), y being the case's own values. With another
    /// --precision than f32 it also says how far each layer is from f32.
    Verify(VerifyArgs),
    /// Say how far a precision takes each layer from f32, on data of yours
    ///
    /// Runs the model twice, with --precision and with f32, and compares what every layer gives.
    Calibrate(CalibrateArgs),
    /// Time a model or a single layer
    ///
    /// Prints the best and the median time of one whole run, and the GFLOP/s of the best, counting
    /// the matrix products. One thread is used unless told otherwise. The answer is checked first:
    /// two runs must give the same finite numbers. Then the machine is measured, and the least time
    /// that a run can take on it is printed: the floor, and what sets it.
    Bench(BenchArgs),
    /// Write a model as .safetensors with its spec inside
    Convert(ConvertArgs),
    /// Show what this machine offers and what of it is used
    ///
    /// Measures, for about a second, what one and two threads can do at most with the level chosen.
    Doctor,
}

/// Flags that every command has.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Threads to run on
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    /// What arithmetic may give up: f32 (nothing), f32-split (nothing but the order of sums: a matrix unit
    /// does them where there is one), bf16 (weights, and what such a unit multiplies by them), int8 (weights,
    /// inputs and states of recurrent layers)
    #[arg(long, global = true, value_name = "PRECISION", default_value = "f32")]
    precision: String,
    /// What to choose kernels for, where the precision leaves that open, as f32-split and bf16 do: latency
    /// or throughput
    #[arg(long, global = true, value_name = "AIM", default_value = "latency")]
    tune: String,
    /// Print one JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print results and errors only: no notes, no progress
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
}

/// What the common flags and the environment ask of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    threads: Threads,
    precision: Precision,
    tune: Tune,
}

impl Options {
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// The same as the library takes it.
    pub(crate) fn plan(&self) -> PlanOptions {
        PlanOptions::default()
            .precision(self.precision)
            .tune(self.tune)
            .threads(self.threads.clone())
    }
}

impl Common {
    /// Checks the flags, and completes them from the environment.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let precision = self
            .precision
            .parse()
            .map_err(|error: UnknownPrecision| Failure::usage(format!("--precision: {error}")))?;
        let tune = self
            .tune
            .parse()
            .map_err(|error: UnknownTune| Failure::usage(format!("--tune: {error}")))?;
        Ok(Options { threads: self.threads()?, precision, tune })
    }

    fn threads(&self) -> Result<Threads, Failure> {
        match self.threads {
            Some(0) => Err(Failure::usage("--threads is 0, expected at least 1")),
            Some(count) => Threads::new(count).blame_usage(),
            None => Threads::from_environment().blame_usage(),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// .npy for a model with one input, .npz with an array named like each input
    pub(crate) input: PathBuf,
    /// Where the outputs go, .npy if there is one, or .npz; without it a summary is printed
    #[arg(short, long)]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) steps: StepsArgs,
}

/// Which steps of the data count.
#[derive(Debug, Args)]
pub(crate) struct StepsArgs {
    /// How many steps of each row count, the others being padding: 5,3,0 or integers [batch] in an .npy
    #[arg(long, value_name = "LENGTHS")]
    pub(crate) lengths: Option<String>,
    /// Which steps of each row count: bool [batch, time], in the model's order of axes
    #[arg(long, value_name = "MASK.npy", conflicts_with = "lengths")]
    pub(crate) mask: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    /// .keras, .h5, .onnx, .safetensors, .json or .nam; with --spec also weights in .pt, .h5 or .npz
    #[arg(required_unless_present = "layer", conflicts_with = "layer", requires = "input")]
    pub(crate) model: Option<PathBuf>,
    /// .npy for a model with one input, .npz with an array named like each input
    pub(crate) input: Option<PathBuf>,
    /// The spec of a file that holds weights only
    #[arg(long, value_name = "SPEC.json", conflicts_with = "layer")]
    pub(crate) spec: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) steps: StepsArgs,
    /// A layer with weights and inputs at random instead of a model: as for bench
    #[arg(long, value_name = "CELL:I:H[:layers=L][:bidirectional]")]
    pub(crate) layer: Option<String>,
    /// Sequences at once, of a layer
    #[arg(long, value_name = "B", default_value_t = 1, conflicts_with = "model")]
    pub(crate) batch: usize,
    /// Steps of a sequence, of a layer
    #[arg(long, value_name = "T", default_value_t = 100, conflicts_with = "model")]
    pub(crate) time: usize,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// .keras, .h5, .onnx, .safetensors, .pt, .npz, .json or .nam
    pub(crate) model: PathBuf,
    /// Alone: print the model's spec, not the table. With a file: the spec of weights only
    #[arg(long, value_name = "SPEC.json", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "a flag that may have a value")]
    pub(crate) spec: Option<Option<PathBuf>>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// .npz with arrays input.NAME and output.NAME, and input.lengths if not all steps of each row count;
    /// without it the file's self-test
    pub(crate) case: Option<PathBuf>,
    /// How much an output may differ, as a part of max(1, max|y|)
    #[arg(long, value_name = "X", default_value_t = 1e-5)]
    pub(crate) tolerance: f64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// .keras, .h5, .onnx, .safetensors, .json or .nam
    #[arg(required_unless_present = "layer", conflicts_with = "layer")]
    pub(crate) model: Option<PathBuf>,
    /// The spec of a file that holds weights only
    #[arg(long, value_name = "SPEC.json", conflicts_with = "layer")]
    pub(crate) spec: Option<PathBuf>,
    /// A layer instead of a model: CELL is rnn, rnn-relu, lstm, gru or gru-before
    #[arg(long, value_name = "CELL:I:H[:layers=L][:bidirectional]")]
    pub(crate) layer: Option<String>,
    /// Sequences at once
    #[arg(long, value_name = "B", default_value_t = 1)]
    pub(crate) batch: usize,
    /// Steps of a sequence whose length the model leaves open
    #[arg(long, value_name = "T", default_value_t = 100)]
    pub(crate) time: usize,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The file to write, .safetensors
    #[arg(short, long, value_name = "OUT.safetensors")]
    pub(crate) output: PathBuf,
    /// Write a self-test too: that of the file, or inputs at random and what the model gives for them
    #[arg(long)]
    pub(crate) self_test: bool,
}

/// A model file and what completes it.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// .keras, .h5, .onnx, .safetensors, .json or .nam; with --spec also weights in .pt, .h5 or .npz
    #[arg(value_name = "MODEL")]
    pub(crate) path: PathBuf,
    /// The spec of a file that holds weights only
    #[arg(long, value_name = "SPEC.json")]
    pub(crate) spec: Option<PathBuf>,
}

impl ModelArgs {
    /// Reads the model.
    pub(crate) fn load(&self) -> Result<Model, Failure> {
        load_model(&self.path, self.spec.as_deref())
    }

    /// Reads the model and what stands beside it.
    pub(crate) fn open(&self) -> Result<ModelFile, Failure> {
        open_file(&self.path, self.spec.as_deref())
    }
}

/// Reads a model, with or without a spec beside it.
pub(crate) fn load_model(path: &Path, spec: Option<&Path>) -> Result<Model, Failure> {
    Ok(open_file(path, spec)?.model)
}

/// The same with what else the file holds.
pub(crate) fn open_file(path: &Path, spec: Option<&Path>) -> Result<ModelFile, Failure> {
    let file = match spec {
        None => load::open(path),
        Some(spec) => {
            Spec::read(spec).and_then(|spec| load::load_with_spec(path, &spec)).map(ModelFile::new)
        }
    };
    file.blame_model()
}
