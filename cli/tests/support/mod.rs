//! The real command, run in a folder of its own, and models to run it on.

#![allow(dead_code, reason = "each test file uses its part")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ritornello::load::{self, npz};
use ritornello::model::{
    Activation, Cell, CellWeights, Dense, Direction, Embedding, Matrix, Recurrent, RecurrentWeights,
};
use ritornello::{Array, Model};
use serde_json::Value;

/// What a run of the command left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Fails unless the exit code is `code` and standard error holds every one of `words`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "'{word}' is not said: {self:#?}");
        }
        self
    }

    /// Standard output as one JSON object.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON: {error}: {self:#?}"));
        assert!(value.is_object(), "{self:#?}");
        value
    }
}

/// A folder for one test, and the command in it.
#[derive(Debug)]
pub(crate) struct Room(PathBuf);

impl Room {
    /// Makes an empty folder named `name`.
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Runs the command in it.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Outcome {
        self.run_with(&[], arguments)
    }

    /// Runs the command in it, with environment variables.
    pub(crate) fn run_with<I: AsRef<OsStr>>(
        &self,
        variables: &[(&str, &str)],
        arguments: impl IntoIterator<Item = I>,
    ) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_ritornello"))
            .current_dir(&self.0)
            .env_remove("RITORNELLO_THREADS")
            .envs(variables.iter().copied())
            .args(arguments)
            .output()
            .unwrap();
        Outcome {
            code: output.status.code().expect("the command ends by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the words of a line.
    pub(crate) fn say(&self, line: &str) -> Outcome {
        self.run(line.split_whitespace())
    }

    /// Writes a model into it.
    pub(crate) fn model(&self, name: &str, model: &Model) {
        load::save(model, self.file(name)).unwrap();
    }

    /// Writes arrays into it.
    pub(crate) fn npz(&self, name: &str, arrays: &[(&str, Array)]) {
        let arrays: Vec<(String, Array)> =
            arrays.iter().map(|(name, array)| ((*name).to_owned(), array.clone())).collect();
        npz::write(self.file(name), &arrays).unwrap();
    }

    /// Writes an array into it.
    pub(crate) fn npy(&self, name: &str, array: &Array) {
        load::npy::write(self.file(name), array).unwrap();
    }

    /// The bytes of a file in it.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.file(name)).unwrap()
    }

    /// The array in a `.npy` file in it.
    pub(crate) fn array(&self, name: &str) -> Array {
        load::npy::read(self.file(name)).unwrap().array
    }
}

/// A folder of the golden fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

/// The arrays of an `.npz` file whose names begin with `prefix`, without it.
pub(crate) fn arrays_of(path: &Path, prefix: &str) -> Vec<(String, Array)> {
    let arrays = npz::read(path).unwrap().into_iter();
    let named =
        arrays.filter_map(|(name, read)| Some((name.strip_prefix(prefix)?.to_owned(), read.array)));
    named.collect()
}

/// `count` numbers within 1/2, no two neighbours alike.
pub(crate) fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 + seed * 101) % 251) as f32 / 251.0 - 0.5).collect()
}

/// An array of such numbers.
pub(crate) fn array(shape: &[usize], seed: usize) -> Array {
    Array::new(shape, numbers(shape.iter().product(), seed)).unwrap()
}

fn matrix(rows: usize, columns: usize, seed: usize) -> Matrix {
    Matrix::new(rows, columns, numbers(rows * columns, seed)).unwrap()
}

/// A recurrent layer of `cell`s.
pub(crate) fn layer(
    cell: Cell,
    input_size: usize,
    hidden_size: usize,
    direction: Direction,
) -> Recurrent {
    let rows = cell.gates().len() * hidden_size;
    let weights = (0..direction.count()).map(|side| CellWeights {
        input: matrix(rows, input_size, side + 1),
        recurrent: RecurrentWeights::Matrix(matrix(rows, hidden_size, side + 2)),
        bias: Some(numbers(rows, side + 3)),
        recurrent_bias: None,
        peepholes: None,
        projection: None,
    });
    Recurrent::new(cell, direction, weights.collect()).unwrap()
}

/// `x` [batch, time, 5] → LSTM(7) → Dense(3) → `y` [batch, time, 3].
pub(crate) fn chain() -> Model {
    let head = Dense::new(matrix(3, 7, 4), Some(numbers(3, 5)), Activation::Tanh).unwrap();
    let lstm = layer(Cell::LSTM, 5, 7, Direction::Forward);
    Model::chain(5).recurrent(lstm).dense(head).build().unwrap()
}

/// `x` [batch, time, 5] and `h0` [batch, 4] → RNN(4) → `y` and `last`.
pub(crate) fn two_inputs() -> Model {
    let mut graph = Model::graph();
    let (x, h0) = (graph.sequence("x", 5), graph.vector("h0", 4));
    let rnn = layer(Cell::SIMPLE_RNN, 5, 4, Direction::Forward);
    let rnn = graph.recurrent_from("rnn", rnn, x, &[h0]);
    graph.output("y", rnn.sequence);
    graph.output("last", rnn.last);
    graph.build().unwrap()
}

/// `ids` [batch, time] → Embedding(6, 5) → RNN(4) → `last`.
pub(crate) fn indices() -> Model {
    let mut graph = Model::graph();
    let ids = graph.indices("ids");
    let rows = graph.embedding("table", Embedding::new(matrix(6, 5, 6)), ids);
    let rnn = layer(Cell::SIMPLE_RNN, 5, 4, Direction::Forward);
    let rnn = graph.recurrent("rnn", rnn, rows);
    graph.output("last", rnn.last);
    graph.build().unwrap()
}
