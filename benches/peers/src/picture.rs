//! The picture: for each row, the time of every rival as a multiple of ours, on a log axis.
//!
//! The background is transparent and every colour is of middle lightness, so that it can be read on
//! white and on black.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::race::Row;
use crate::table::Measure;

const WIDTH: u32 = 880;
const LABELS: i32 = 190;
const RIGHT: i32 = 56;
/// Where the axis ends: a longer bar is cut and says its number.
const MOST: f64 = 64.0;
const BAR: i32 = 7;
const GAP: i32 = 9;
const LEGEND_LINE: i32 = 18;
const LEGEND_COLUMN: i32 = 160;
const GREY: RGBColor = RGBColor(128, 128, 128);

/// One for each contestant after the first.
const COLOURS: [RGBColor; 13] = [
    RGBColor(230, 85, 13),
    RGBColor(40, 115, 190),
    RGBColor(107, 174, 214),
    RGBColor(49, 163, 84),
    RGBColor(214, 90, 160),
    RGBColor(150, 110, 60),
    RGBColor(220, 170, 30),
    RGBColor(20, 160, 165),
    RGBColor(220, 50, 60),
    RGBColor(117, 107, 200),
    RGBColor(140, 150, 40),
    RGBColor(110, 140, 125),
    RGBColor(150, 150, 150),
];

/// A bar: which rival, and its median time divided by ours.
type Bar = (usize, f64);

/// The picture as SVG.
pub(crate) fn draw(names: &[String], rows: &[Row], threads: usize) -> Result<String, String> {
    let groups: Vec<(String, Vec<Bar>)> = rows.iter().filter_map(group).collect();
    let legend = names.len().saturating_sub(1).div_ceil(5);
    let top = 34 + LEGEND_LINE * i32::try_from(legend).unwrap_or(0);
    let bars: usize = groups.iter().map(|(_, bars)| bars.len()).sum();
    let length = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let height = top + BAR * length(bars) + GAP * length(groups.len()) + 30;
    let axis = Axis::new(&groups);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height.unsigned_abs()));
        let area = area.into_drawing_area();
        let drawn = (|| {
            let title = format!(
                "time of others ÷ time of ritornello, median, {threads} thread(s); to the right of 1× they are slower"
            );
            area.draw(&Text::new(title, (8, 6), text(13)))?;
            for (place, name) in names.iter().enumerate().skip(1) {
                let (line, column) = (length((place - 1) / 5), length((place - 1) % 5));
                let at = (8 + column * LEGEND_COLUMN, 28 + line * LEGEND_LINE);
                area.draw(&rectangle(at, (at.0 + 10, at.1 + 10), place))?;
                area.draw(&Text::new(name.clone(), (at.0 + 15, at.1 - 1), text(12)))?;
            }
            axis.draw(&area, top, height - 24)?;
            let mut y = top + GAP / 2;
            for (label, bars) in &groups {
                let middle = y + BAR * length(bars.len()) / 2;
                let right = text(12).pos(Pos::new(HPos::Right, VPos::Center));
                area.draw(&Text::new(label.clone(), (LABELS - 6, middle), right))?;
                for &(place, ratio) in bars {
                    let (from, to) = (axis.x(1.0), axis.x(ratio));
                    let (left, right) = (from.min(to), from.max(to).max(from.min(to) + 1));
                    area.draw(&rectangle((left, y), (right, y + BAR - 1), place))?;
                    if ratio > MOST {
                        let at = (right + 4, y + BAR / 2);
                        let style = text(9).pos(Pos::new(HPos::Left, VPos::Center));
                        area.draw(&Text::new(format!("{ratio:.0}×"), at, style))?;
                    }
                    y += BAR;
                }
                y += GAP;
            }
            area.present()
        })();
        drawn.map_err(|error: DrawingAreaErrorKind<_>| error.to_string())?;
    }
    Ok(svg)
}

/// The bars of a row, the fastest rival first.
fn group(row: &Row) -> Option<(String, Vec<Bar>)> {
    let ours = Measure::Median.of(&row.outcomes[0])?;
    let timed = row.outcomes.iter().enumerate().skip(1);
    let mut bars: Vec<Bar> =
        timed.filter_map(|(i, outcome)| Some((i, Measure::Median.of(outcome)? / ours))).collect();
    bars.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    (!bars.is_empty()).then(|| (row.shape.to_string(), bars))
}

fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&GREY)
}

fn rectangle(from: (i32, i32), to: (i32, i32), place: usize) -> Rectangle<(i32, i32)> {
    let colour = COLOURS[(place - 1) % COLOURS.len()];
    Rectangle::new([from, to], colour.filled())
}

/// Ratios along the width, in logarithms.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn new(groups: &[(String, Vec<Bar>)]) -> Self {
        let ratios = groups.iter().flat_map(|(_, bars)| bars.iter().map(|&(_, ratio)| ratio));
        let (least, most) = ratios.fold((1.0_f64, 2.0_f64), |(a, b), r| (a.min(r), b.max(r)));
        Self { from: least.log2().floor(), to: most.min(MOST).log2().ceil() }
    }

    #[allow(clippy::cast_possible_truncation, reason = "a place within the picture")]
    fn x(&self, ratio: f64) -> i32 {
        let width = f64::from(WIDTH) - f64::from(LABELS + RIGHT);
        let part = (ratio.min(MOST).log2() - self.from) / (self.to - self.from);
        LABELS + (part * width).round() as i32
    }

    /// A line at every power of two, a strong one at 1.
    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, plotters::coord::Shift>,
        top: i32,
        bottom: i32,
    ) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
        let mut power = self.from;
        while power <= self.to {
            let ratio = power.exp2();
            let x = self.x(ratio);
            let (strength, width) = if power == 0.0 { (1.0, 2) } else { (0.35, 1) };
            let style = GREY.mix(strength).stroke_width(width);
            area.draw(&PathElement::new(vec![(x, top), (x, bottom)], style))?;
            let centre = text(12).pos(Pos::new(HPos::Center, VPos::Top));
            let label = if ratio < 1.0 { format!("{ratio:.2}×") } else { format!("{ratio:.0}×") };
            area.draw(&Text::new(label, (x, bottom + 5), centre))?;
            power += 1.0;
        }
        Ok(())
    }
}
