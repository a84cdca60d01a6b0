//! Contestants in Python: a child process for each, which times itself when it is its turn.
//!
//! One JSON object for each line, both ways: `enter` builds the row's network from its files,
//! `answer` writes all hidden states to a file, `turn` times, `leave` forgets the row.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ritornello::Precision;
use serde_json::{Value, json};

use crate::case::Case;
use crate::contest::{Contestant, Refusal, Rival};
use crate::grid::Signal;
use crate::scratch::Places;

/// A framework behind `peers.py`.
pub(crate) struct Python {
    name: &'static str,
    places: Places,
    version: Result<String, String>,
    process: Option<Arc<Mutex<Process>>>,
}

impl Python {
    /// Asks for the version; the process of the race is started when it is first needed.
    pub(crate) fn new(name: &'static str, places: &Places) -> Self {
        let output =
            Command::new(&places.python).arg(&places.script).args([name, "--version"]).output();
        let version = match output {
            Ok(output) if output.status.success() => {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            Ok(output) => Err(last_line(&output.stderr)),
            Err(error) => Err(format!("{}: {error}", places.python.display())),
        };
        Self { name, places: places.clone(), version, process: None }
    }

    fn process(&mut self, threads: usize) -> Result<Arc<Mutex<Process>>, String> {
        if let Some(process) = &self.process
            && process.lock().unwrap_or_else(PoisonError::into_inner).runs()
        {
            return Ok(process.clone());
        }
        let process = Arc::new(Mutex::new(Process::start(self.name, &self.places, threads)?));
        Ok(self.process.insert(process).clone())
    }
}

impl Rival for Python {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> Result<String, String> {
        self.version.clone()
    }

    fn precisions(&self) -> &[Precision] {
        match self.name {
            "pytorch" => &[Precision::F32, Precision::Int8],
            "openvino" => &[Precision::F32, Precision::Bf16],
            _ => &[Precision::F32],
        }
    }

    fn enter(&mut self, case: &Case, threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        let process = self.process(threads).map_err(Refusal::Failed)?;
        let shape = case.shape;
        let request = json!({
            "do": "enter",
            "cell": shape.cell.name(),
            "input_size": shape.input_size,
            "hidden_size": shape.hidden_size,
            "batch": shape.batch,
            "time": shape.time,
            "layers": shape.layers,
            "directions": shape.directions,
            "state": shape.signal == Signal::Decay,
            "precision": case.precision_of_rivals().name(),
            "folder": self.places.scratch,
        });
        let entered = Entered { process, places: self.places.clone() };
        let reply = entered.ask(&request).map_err(Refusal::Failed)?;
        match reply.get("not_offered").and_then(Value::as_str) {
            Some(reason) => Err(Refusal::NotOffered(reason.into())),
            None => Ok(Box::new(entered)),
        }
    }
}

struct Entered {
    process: Arc<Mutex<Process>>,
    places: Places,
}

impl Entered {
    fn ask(&self, request: &Value) -> Result<Value, String> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).ask(request)
    }
}

impl Contestant for Entered {
    fn answer(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        self.ask(&json!({"do": "answer"}))?;
        let file = fs::read(self.places.scratch.join("answer.f32"));
        let file = file.map_err(|error| format!("the answer: {error}"))?;
        let numbers = file.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let numbers: Vec<f32> = numbers.collect();
        Ok(if numbers.len() == case.answer.len() { numbers } else { Vec::new() })
    }

    fn turn(&mut self, budget: Duration) -> Result<Vec<f64>, String> {
        let reply = self.ask(&json!({"do": "turn", "seconds": budget.as_secs_f64()}))?;
        let samples = reply.get("samples").and_then(Value::as_array);
        Ok(samples.into_iter().flatten().filter_map(Value::as_f64).collect())
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // A child that is gone has forgotten everything anyway.
        let _ = self.ask(&json!({"do": "leave"}));
    }
}

/// The child and the two ends of its line.
struct Process {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Process {
    fn start(name: &str, places: &Places, threads: usize) -> Result<Self, String> {
        let threads = threads.to_string();
        let mut command = Command::new(&places.python);
        command.arg(&places.script).args([name, "--threads", &threads]);
        command.env("TF_CPP_MIN_LOG_LEVEL", "3");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        let requests = child.stdin.take().ok_or("no standard input")?;
        let replies = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Self { child, requests, replies })
    }

    /// Whether the child has not ended, by itself or by a fault.
    fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn ask(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.requests, "{request}")
            .map_err(|error| format!("the child is gone: {error}"))?;
        let mut line = String::new();
        self.replies.read_line(&mut line).map_err(|error| error.to_string())?;
        let reply: Value =
            serde_json::from_str(&line).map_err(|_| format!("it said '{}'", line.trim()))?;
        match reply.get("failed").and_then(Value::as_str) {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(reply),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The child may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim().lines().last().unwrap_or("it failed silently").to_owned()
}
