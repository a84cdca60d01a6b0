//! The table: two lines for each row, the best time and the median.

use std::fmt::Write;

use crate::race::{Outcome, Row};

/// How this library stands against the fastest of the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standing {
    /// The fastest rival by this measure.
    pub(crate) rival: String,
    /// Its time divided by ours.
    pub(crate) ratio: f64,
}

/// Which of a contestant's times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    Best,
    Median,
}

impl Measure {
    /// In seconds, of those that were timed.
    pub(crate) fn of(self, outcome: &Outcome) -> Option<f64> {
        match (self, outcome) {
            (Self::Best, &Outcome::Timed { best, .. }) => Some(best),
            (Self::Median, &Outcome::Timed { median, .. }) => Some(median),
            _ => None,
        }
    }
}

/// The fastest rival of a row, if it and we were timed. Contestant 0 is this library.
pub(crate) fn standing(names: &[String], row: &Row, measure: Measure) -> Option<Standing> {
    let ours = measure.of(&row.outcomes[0])?;
    let rivals = names.iter().zip(&row.outcomes).skip(1);
    let timed = rivals.filter_map(|(name, outcome)| Some((name, measure.of(outcome)?)));
    let (name, time) = timed.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some(Standing { rival: name.clone(), ratio: time / ours })
}

/// Everything as text, times in µs.
pub(crate) fn table(names: &[String], rows: &[Row]) -> String {
    let mut text = String::new();
    let label = rows.iter().map(|row| row.shape.to_string().chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = names.iter().map(|name| name.len().max(9)).collect();
    let widest = names.iter().map(String::len).max().unwrap_or(0);
    let _ = write!(text, "{:label$}  {:6}", "µs", "");
    for (name, width) in names.iter().zip(&widths) {
        let _ = write!(text, "  {name:>width$}");
    }
    let _ = writeln!(text, "  {:widest$}  {:>7}  {:>7}", "best rival", "÷ ours", "floor");
    for row in rows {
        for measure in [Measure::Best, Measure::Median] {
            let (name, word) = match measure {
                Measure::Best => (row.shape.to_string(), "best"),
                Measure::Median => (String::new(), "median"),
            };
            let _ = write!(text, "{name:label$}  {word:6}");
            for (outcome, width) in row.outcomes.iter().zip(&widths) {
                let _ = write!(text, "  {:>width$}", cell(outcome, measure));
            }
            let (rival, ratio) = standing(names, row, measure)
                .map_or(("-".into(), "-".into()), |s| (s.rival, format!("{:.2}×", s.ratio)));
            let floor = row.floor.filter(|_| measure == Measure::Best);
            let floor = floor.map_or("-".into(), |percent| format!("{percent:.0} %"));
            let _ = writeln!(text, "  {rival:widest$}  {ratio:>7}  {floor:>7}");
        }
    }
    text + &notes(names, rows)
}

fn cell(outcome: &Outcome, measure: Measure) -> String {
    match outcome {
        Outcome::Wrong(_) => "WRONG".into(),
        Outcome::Failed(_) => "FAILED".into(),
        Outcome::NotOffered(_) => "-".into(),
        Outcome::Timed { .. } => measure.of(outcome).map_or(String::new(), microseconds),
    }
}

/// Three digits or more.
fn microseconds(seconds: f64) -> String {
    match seconds * 1e6 {
        time if time < 10.0 => format!("{time:.2}"),
        time if time < 100.0 => format!("{time:.1}"),
        time => format!("{time:.0}"),
    }
}

/// Why there is no time, each reason once for each contestant.
fn notes(names: &[String], rows: &[Row]) -> String {
    let mut text = String::new();
    for (place, name) in names.iter().enumerate() {
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        for row in rows {
            let reason = match &row.outcomes[place] {
                Outcome::Timed { .. } => continue,
                Outcome::NotOffered(reason) => format!("- {reason}"),
                Outcome::Failed(reason) => format!("FAILED {reason}"),
                Outcome::Wrong(distance) => format!("WRONG by {distance:.1e}"),
            };
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, shapes)) => shapes.push(row.shape.to_string()),
                None => reasons.push((reason, vec![row.shape.to_string()])),
            }
        }
        for (reason, shapes) in reasons {
            let of = if shapes.len() == rows.len() { "all rows".into() } else { shapes.join(", ") };
            let _ = writeln!(text, "{name}: {reason} ({of})");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(best: f64, median: f64) -> Outcome {
        Outcome::Timed { best, median, samples: 1, distance: 0.0 }
    }

    #[test]
    fn the_fastest_rival_may_differ_by_measure() {
        let names = ["ours", "a", "b", "c"].map(str::to_owned);
        let outcomes = vec![timed(2.0, 2.0), timed(3.0, 9.0), timed(4.0, 5.0), Outcome::Wrong(1.0)];
        let row = Row { shape: crate::grid::rows()[0], outcomes, floor: Some(61.4) };
        let best = Standing { rival: "a".into(), ratio: 1.5 };
        assert_eq!(standing(&names, &row, Measure::Best), Some(best));
        let median = Standing { rival: "b".into(), ratio: 2.5 };
        assert_eq!(standing(&names, &row, Measure::Median), Some(median));
        let text = table(&names, &[row]);
        assert!(text.contains("WRONG  a") && text.contains("1.50×") && text.contains("61 %"));
        assert!(text.contains("c: WRONG by 1.0e0 (all rows)"), "{text}");
    }
}
