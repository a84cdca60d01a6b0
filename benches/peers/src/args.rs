//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use ritornello::{Precision, Tune};

use crate::grid::{Grid, Shape};

pub(crate) const USAGE: &str = "\
peers: races ritornello against other libraries, shape by shape

  --grid main|extended|all   which shapes (main)
  --rows TEXT[,TEXT]...      only rows whose name holds one of the texts, such as 'lstm 16-32';
                             ^ is the beginning of a name, $ its end
  --rivals NAME[,NAME]...    only these, beside ritornello
  --precision f32|f32-split|bf16|int8
                             what arithmetic may be (f32); those who have none such do not run,
                             but for f32-split, which is raced against f32
  --tune latency|throughput  what ritornello chooses kernels for (latency)
  --threads N                threads of every contestant (1)
  --budget MS                milliseconds for each contestant and row (1000)
  --record DIR               writes DIR/CPU/DATE.csv, .txt and .svg
  --shims DIR                where libpeer-*.so are
  --python FILE              an interpreter with onnxruntime, torch, openvino, keras
  --script FILE              peers.py
  --cli FILE                 the command ritornello, for the floor
  --list                     names of rows and rivals, and nothing else";

/// What the caller asked for.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) grids: Vec<Grid>,
    pub(crate) rows: Vec<String>,
    pub(crate) rivals: Option<Vec<String>>,
    pub(crate) precision: Precision,
    pub(crate) tune: Tune,
    pub(crate) threads: usize,
    pub(crate) budget: Duration,
    pub(crate) record: Option<PathBuf>,
    pub(crate) shims: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) script: PathBuf,
    pub(crate) cli: Option<PathBuf>,
    pub(crate) list: bool,
}

impl Args {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            grids: vec![Grid::Main],
            rows: Vec::new(),
            rivals: None,
            precision: Precision::F32,
            tune: Tune::Latency,
            threads: 1,
            budget: Duration::from_secs(1),
            record: None,
            shims: PathBuf::from("shims"),
            python: PathBuf::from("python3"),
            script: PathBuf::from("peers.py"),
            cli: None,
            list: false,
        };
        while let Some(flag) = words.next() {
            if flag == "--list" {
                args.list = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{flag}: a value is missing"))?;
            let list = || value.split(',').map(str::to_owned).collect();
            match flag.as_str() {
                "--grid" => args.grids = grids(&value)?,
                "--rows" => args.rows = list(),
                "--rivals" => args.rivals = Some(list()),
                "--precision" => {
                    args.precision =
                        value.parse().map_err(|error| format!("--precision: {error}"))?;
                }
                "--tune" => {
                    args.tune = value.parse().map_err(|error| format!("--tune: {error}"))?;
                }
                "--threads" => args.threads = number(&flag, &value)?,
                "--budget" => {
                    args.budget = Duration::from_millis(number(&flag, &value)? as u64);
                }
                "--record" => args.record = Some(value.into()),
                "--shims" => args.shims = value.into(),
                "--python" => args.python = value.into(),
                "--script" => args.script = value.into(),
                "--cli" => args.cli = Some(value.into()),
                _ => return Err(format!("there is no {flag}\n\n{USAGE}")),
            }
        }
        Ok(args)
    }

    /// Whether a row is asked for.
    pub(crate) fn wants(&self, shape: &Shape) -> bool {
        let name = format!("^{shape}$").replace('→', "-");
        let holds = |text: &String| name.contains(&text.replace("->", "-").replace('→', "-"));
        self.grids.contains(&shape.grid) && (self.rows.is_empty() || self.rows.iter().any(holds))
    }
}

fn grids(value: &str) -> Result<Vec<Grid>, String> {
    match value {
        "main" => Ok(vec![Grid::Main]),
        "extended" => Ok(vec![Grid::Extended]),
        "all" => Ok(vec![Grid::Main, Grid::Extended]),
        other => Err(format!("--grid is '{other}', expected main, extended or all")),
    }
}

fn number(flag: &str, value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("{flag} is '{value}', expected a number from 1 on")),
    }
}
