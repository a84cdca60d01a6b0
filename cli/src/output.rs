//! What is printed: results on standard output, notes and progress on standard error.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::Failure;

/// How a command talks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    json: bool,
    quiet: bool,
}

impl Console {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether the result is an object instead of text.
    pub(crate) fn json(self) -> bool {
        self.json
    }

    /// Prints text, unless the result is an object.
    pub(crate) fn text(self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { print(text) }
    }

    /// Prints the object, if that is the result.
    pub(crate) fn object(self, value: &Value) -> Result<(), Failure> {
        if self.json { print(&format!("{value:#}\n")) } else { Ok(()) }
    }

    /// Says something on standard error that is neither result nor error.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }

    /// A bar for something that may take long.
    pub(crate) fn progress(self) -> Progress {
        let shown = !self.quiet && !self.json && std::io::stderr().is_terminal();
        Progress { shown, started: Instant::now(), bar: None }
    }
}

/// Writes a line on standard error. If that is closed there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "ritornello: {text}");
}

/// Prints help, or what is wrong with the command line.
pub(crate) fn usage(text: &clap::Error) -> ExitCode {
    match text.print() {
        Err(error) if !text.use_stderr() => Failure::of_stdout(&error).report(),
        _ => ExitCode::from(if text.use_stderr() { 2 } else { 0 }),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| Failure::of_stdout(&error))
}

/// A progress bar that appears when a second has gone by, and leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Takes note of `done` of `total`.
    pub(crate) fn at(&mut self, done: usize, total: usize) {
        if !self.shown || (self.bar.is_none() && self.started.elapsed() < Duration::from_secs(1)) {
            return;
        }
        let (done, total) = (done as u64, total as u64);
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{bar:40} {percent}%, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr())
                .with_elapsed(self.started.elapsed())
                .with_style(style)
        });
        bar.set_length(total);
        bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Text in columns: two spaces between them, a line under the headings. A heading that begins with
/// `>` is of numbers, set to the right.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// The lines of the table, each ending in a newline.
    pub(crate) fn render(&self) -> String {
        let width = |text: &str| text.chars().count();
        let heading = |text: &'static str| text.strip_prefix('>').unwrap_or(text);
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                let cells = self.rows.iter().map(|row| width(&row[column]));
                cells.fold(width(heading(self.headings[column])), usize::max)
            })
            .collect();
        let mut text = String::new();
        let mut line = |cells: Vec<&str>| {
            let mut row = String::new();
            for ((cell, &width), head) in cells.iter().zip(&widths).zip(&self.headings) {
                let cell = if head.starts_with('>') {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                };
                row.push_str(&cell);
                row.push_str("  ");
            }
            let _ = writeln!(text, "{}", row.trim_end());
        };
        line(self.headings.iter().map(|&text| heading(text)).collect());
        let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
        line(rules.iter().map(String::as_str).collect());
        for row in &self.rows {
            line(row.iter().map(String::as_str).collect());
        }
        text
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
