//! The files of a record: every number, the table as printed, the picture.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use ritornello::{Precision, Tune};

use crate::args::Args;
use crate::grid::Grid;
use crate::machine;
use crate::picture;
use crate::race::{Outcome, Row};

/// What a race gave.
pub(crate) struct Record<'a> {
    pub(crate) names: &'a [String],
    pub(crate) rows: &'a [Row],
    pub(crate) facts: &'a [(String, String)],
    pub(crate) table: &'a str,
}

impl Record<'_> {
    /// Writes all three into `folder` and names them.
    pub(crate) fn write(&self, folder: &Path, args: &Args) -> Result<String, String> {
        let stem = folder.join(stem(args));
        let facts: String =
            self.facts.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        let comment: String = facts.lines().map(|line| format!("# {line}\n")).collect();
        let write = |ending: &str, text: String| {
            let file = stem.with_extension(ending);
            fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok::<_, String>(file.display().to_string())
        };
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let files = [
            write("csv", comment + &self.csv())?,
            write("txt", format!("{facts}\n{}", self.table))?,
            write("svg", picture::draw(self.names, self.rows, args.threads)?)?,
        ];
        Ok(files.join("\n"))
    }

    fn csv(&self) -> String {
        let mut text = "row,cell,input_size,hidden_size,batch,time,layers,directions,contestant,\
                        outcome,best_us,median_us,samples,distance,percent_of_floor,note\n"
            .to_owned();
        for row in self.rows {
            for (place, (name, outcome)) in self.names.iter().zip(&row.outcomes).enumerate() {
                let s = row.shape;
                let _ = write!(
                    text,
                    "{s},{},{},{},{},{},{},{},{name},",
                    s.cell.name(),
                    s.input_size,
                    s.hidden_size,
                    s.batch,
                    s.time,
                    s.layers,
                    s.directions
                );
                let floor = row.floor.filter(|_| place == 0);
                let floor = floor.map_or(String::new(), |percent| format!("{percent:.1}"));
                let _ = match outcome {
                    Outcome::Timed { best, median, samples, distance } => writeln!(
                        text,
                        "timed,{:.3},{:.3},{samples},{distance:.2e},{floor},",
                        best * 1e6,
                        median * 1e6
                    ),
                    Outcome::Wrong(distance) => writeln!(text, "wrong,,,,{distance:.2e},,"),
                    Outcome::NotOffered(note) => writeln!(text, "-,,,,,,{}", quoted(note)),
                    Outcome::Failed(note) => writeln!(text, "failed,,,,,,{}", quoted(note)),
                };
            }
        }
        text
    }
}

fn quoted(note: &str) -> String {
    format!("\"{}\"", note.replace('"', "'").replace('\n', " "))
}

/// The date, and what was not the usual.
fn stem(args: &Args) -> String {
    let mut stem = machine::date();
    match args.grids[..] {
        [Grid::Main] => {}
        [Grid::Extended] => stem += "-extended",
        _ => stem += "-all",
    }
    if args.precision != Precision::F32 {
        stem += &format!("-{}", args.precision);
    }
    if args.tune != Tune::Latency {
        stem += &format!("-{}", args.tune);
    }
    if args.threads > 1 {
        stem += &format!("-{}-threads", args.threads);
    }
    if !args.rows.is_empty() || args.rivals.is_some() {
        stem += "-part";
    }
    stem
}
