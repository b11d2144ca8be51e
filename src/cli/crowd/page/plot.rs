//! Plots over the time of a run, as SVG.

use std::fmt::Write;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 210.0;
/// Room for the labels: left, top, right, bottom.
const MARGIN: [f64; 4] = [52.0, 12.0, 12.0, 26.0];
/// At most so many points are drawn of a series.
const POINTS_MAX: usize = 220;

/// One figure over time.
pub struct Series<'a> {
    /// What it is; empty where the title says it all.
    pub name: &'a str,
    /// Its value in each second; `None` where there is none.
    pub values: Vec<Option<f64>>,
    /// How several seconds become one point.
    pub merge: Merge,
}

/// How several seconds become one point.
#[derive(Clone, Copy)]
pub enum Merge {
    /// By their mean: of what is counted by the second.
    Mean,
    /// By the highest: of what stands at an instant.
    Highest,
}

/// A plot of one or two figures.
pub struct Plot<'a> {
    /// What is shown.
    pub title: &'a str,
    /// Its unit, or what there is to say.
    pub note: &'a str,
    /// At most two.
    pub series: Vec<Series<'a>>,
    /// What it is held against: its name and value.
    pub limit: Option<(&'a str, f64)>,
}

impl Plot<'_> {
    /// Draws it.
    #[must_use]
    pub fn draw(&self) -> String {
        let seconds = self.series.iter().map(|series| series.values.len()).max().unwrap_or(0).max(1);
        let shown: Vec<Vec<Option<f64>>> = self.series.iter().map(Series::points).collect();
        let highest = shown.iter().flatten().flatten().copied().fold(0.0, f64::max);
        let top = ceiling(highest.max(self.limit.map_or(0.0, |(_, value)| value)));
        let mut drawn = grid(top, seconds as f64);
        for (points, class) in shown.iter().zip(["one", "two"]) {
            let _ = write!(drawn, "<path class={class} d=\"{}\"/>", path(points, top));
        }
        if let Some((_, value)) = self.limit {
            let _ = write!(
                drawn,
                "<line class=stop x1={} x2={} y1={y:.1} y2={y:.1} />",
                x(0.0),
                x(1.0),
                y = y(value / top)
            );
        }
        let label = format!("{}, at most {} over {}", self.title, short(highest), span(seconds as f64));
        format!(
            "<figure><figcaption>{}{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img \
             aria-label=\"{label}\">{drawn}</svg></figure>",
            self.title,
            self.legend(),
        )
    }

    fn legend(&self) -> String {
        let named =
            self.series.iter().map(|series| series.name).zip(["one", "two"]).filter(|(name, _)| !name.is_empty());
        let limit = self.limit.iter().map(|(name, _)| (*name, "stop"));
        let words = named.chain(limit).map(|(name, class)| format!("<span class={class}>{name}</span>"));
        format!(" <span>{}</span>{}", self.note, words.collect::<String>())
    }
}

impl Series<'_> {
    /// Merges seconds until the points are few enough.
    fn points(&self) -> Vec<Option<f64>> {
        let each = self.values.len().div_ceil(POINTS_MAX).max(1);
        self.values.chunks(each).map(|chunk| self.merge.of(chunk)).collect()
    }
}

impl Merge {
    fn of(self, values: &[Option<f64>]) -> Option<f64> {
        let known: Vec<f64> = values.iter().flatten().copied().collect();
        match self {
            _ if known.is_empty() => None,
            Self::Mean => Some(known.iter().sum::<f64>() / known.len() as f64),
            Self::Highest => known.into_iter().reduce(f64::max),
        }
    }
}

/// Returns where a fraction of the width is.
fn x(fraction: f64) -> f64 {
    MARGIN[0] + fraction * (WIDTH - MARGIN[0] - MARGIN[2])
}

/// Returns where a fraction of the height is, from below.
fn y(fraction: f64) -> f64 {
    HEIGHT - MARGIN[3] - fraction * (HEIGHT - MARGIN[1] - MARGIN[3])
}

/// Writes the way through the points; where one is missing, the line is broken.
fn path(points: &[Option<f64>], top: f64) -> String {
    let mut path = String::new();
    let mut is_down = false;
    for (at, value) in points.iter().enumerate() {
        let across = at as f64 / (points.len().max(2) - 1) as f64;
        if let Some(value) = value {
            let _ = write!(path, "{}{:.1} {:.1}", if is_down { 'L' } else { 'M' }, x(across), y(value / top));
            if !is_down {
                // A point alone is seen as the cap of a line of no length.
                path += "h0";
            }
        }
        is_down = value.is_some();
    }
    path
}

fn grid(top: f64, seconds: f64) -> String {
    let mut drawn = String::new();
    let step = step_of(top / 4.0);
    for at in (0..=4).map(|n| f64::from(n) * step).filter(|at| *at <= top * 1.001) {
        let (left, right, height) = (x(0.0), x(1.0), y(at / top));
        let _ = write!(
            drawn,
            "<line class=grid x1={left} x2={right} y1={height:.1} y2={height:.1} /><text x={} y={:.1} \
             text-anchor=end>{}</text>",
            left - 6.0,
            height + 4.5,
            short(at)
        );
    }
    let step = time_step(seconds / 4.0);
    for at in (0..=5).map(|n| f64::from(n) * step).filter(|at| *at <= seconds * 0.97) {
        let anchor = if at == 0.0 { "start" } else { "middle" };
        let (across, foot) = (x(at / seconds), HEIGHT - 8.0);
        let _ = write!(drawn, "<text x={across:.1} y={foot} text-anchor={anchor}>{}</text>", span(at));
    }
    drawn
}

/// Returns the next round number from `least` on: 1, 2 or 5 times a power of ten.
fn step_of(least: f64) -> f64 {
    let power = 10f64.powf(least.max(1e-6).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|step| *step >= least * 0.999).unwrap_or(power)
}

/// Returns the end of the scale for values up to `highest`.
fn ceiling(highest: f64) -> f64 {
    if highest <= 0.0 {
        return 1.0;
    }
    let step = step_of(highest / 4.0);
    (highest / step - 0.001).ceil() * step
}

fn time_step(least: f64) -> f64 {
    let steps =
        [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0];
    steps.into_iter().find(|step| *step >= least).unwrap_or(least.ceil())
}

/// Writes a number in few characters.
#[must_use]
pub fn short(value: f64) -> String {
    match value {
        large if large >= 1e6 => trimmed(large / 1e6) + "M",
        large if large >= 1e4 => trimmed(large / 1e3) + "k",
        small => trimmed(small),
    }
}

fn trimmed(value: f64) -> String {
    let digits = if value.abs() >= 100.0 { 0 } else { 2 };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Writes a time in few characters.
#[must_use]
pub fn span(seconds: f64) -> String {
    match seconds {
        long if long >= 3_600.0 => trimmed(long / 3_600.0) + "\u{a0}h",
        long if long >= 120.0 => trimmed(long / 60.0) + "\u{a0}min",
        short => trimmed(short) + "\u{a0}s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_and_reach_the_highest() {
        for (highest, top) in [(0.0, 1.0), (1.0, 1.0), (7.0, 8.0), (103.0, 150.0), (15_000.0, 15_000.0), (0.31, 0.4)] {
            assert!((ceiling(highest) - top).abs() < 1e-9, "{highest}: {}", ceiling(highest));
        }
        assert_eq!([short(15_000.0), short(1_234_000.0), short(0.5), short(812.4)], ["15k", "1.23M", "0.5", "812"]);
        assert_eq!(
            [span(0.0), span(90.0), span(600.0), span(5_400.0)],
            ["0\u{a0}s", "90\u{a0}s", "10\u{a0}min", "1.5\u{a0}h"]
        );
    }

    #[test]
    fn many_seconds_become_few_points_and_gaps_stay_gaps() {
        let values = (0..1_000).map(|at| (at != 500).then_some(f64::from(at % 5))).collect();
        let series = Series { name: "", values, merge: Merge::Highest };
        let points = series.points();
        assert_eq!((points.len(), points[0]), (200, Some(4.0)));
        assert_eq!(Merge::Mean.of(&[Some(1.0), None, Some(2.0)]), Some(1.5));
        assert_eq!(path(&[Some(1.0), None, Some(0.0)], 1.0).matches('M').count(), 2);
    }
}
