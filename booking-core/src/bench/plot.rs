//! Figures as a picture and as a table, for a report.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Figures, Way};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
/// One panel: where it begins, how wide and how high it is.
const PANELS: [(f64, &str); 2] = [(60.0, "holds a second"), (490.0, "p99 in ms")];
const PANEL_WIDTH: f64 = 330.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 270.0;
/// Colours that are told apart without seeing red or green (Okabe and Ito).
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a6d00"];

/// Is a line of the picture: figures of one kind by the number of clients.
type Series<'a> = BTreeMap<(&'a str, u32, Way, &'a str), Vec<&'a Figures>>;

fn series(figures: &[Figures]) -> Series<'_> {
    let mut series = Series::new();
    for run in figures {
        series.entry((&run.database, run.sync_added_ms, run.way, &run.strategy)).or_default().push(run);
    }
    series.values_mut().for_each(|runs| runs.sort_by_key(|run| run.clients));
    series
}

fn name((database, sync_added_ms, way, strategy): (&str, u32, Way, &str)) -> String {
    let sync = if sync_added_ms > 0 { format!(", +{sync_added_ms} ms a sync") } else { String::new() };
    let way = if way == Way::Service { String::new() } else { format!(", {}", way.name()) };
    format!("{database}, {strategy}{way}{sync}")
}

/// Writes a table in Markdown, a row for each run.
#[must_use]
pub fn table(figures: &[Figures]) -> String {
    let mut text = "| | clients | a second | p50 ms | p99 ms | failed | cores here | elsewhere |\n\
                    |---|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for (key, runs) in series(figures) {
        for run in runs {
            let Figures { clients, holds_per_second, p50_ms, p99_ms, failed, .. } = run;
            let [own, other] = [run.own_cores, run.other_cores].map(cores);
            let _text_never_fails = writeln!(
                text,
                "| {} | {clients} | {holds_per_second:.0} | {p50_ms:.2} | {p99_ms:.2} | {failed} | {own} | {other} |",
                name(key)
            );
        }
    }
    text
}

fn cores(busy: Option<f64>) -> String {
    busy.map_or_else(String::new, |cores| format!("{cores:.2}"))
}

/// Draws both measures against the number of clients, on logarithmic scales, as an SVG.
#[must_use]
pub fn picture(figures: &[Figures]) -> String {
    let series = series(figures);
    let clients: Vec<usize> =
        figures.iter().map(|run| run.clients).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for (panel, (left, title)) in PANELS.into_iter().enumerate() {
        let value = |run: &Figures| if panel == 0 { run.holds_per_second } else { run.p99_ms };
        let scale = Scale::over(figures.iter().map(value));
        svg += &axes(left, title, &clients, scale);
        for (index, runs) in series.values().enumerate() {
            let point = |run: &&Figures| format!("{:.1},{:.1}", x(left, &clients, run.clients), scale.y(value(run)));
            let points: Vec<String> = runs.iter().map(point).collect();
            let colour = COLOURS[index % COLOURS.len()];
            svg += &format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
                points.join(" ")
            );
        }
    }
    for (index, key) in series.keys().enumerate() {
        let (left, top) = (60.0 + (index % 2) as f64 * 400.0, 320.0 + (index / 2) as f64 * 18.0);
        let colour = COLOURS[index % COLOURS.len()];
        svg += &format!("<rect x=\"{left}\" y=\"{top}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>");
        svg += &format!("<text x=\"{}\" y=\"{}\">{}</text>\n", left + 20.0, top + 7.0, name(*key));
    }
    svg + "</svg>\n"
}

fn x(left: f64, clients: &[usize], of: usize) -> f64 {
    let place = clients.iter().position(|clients| *clients == of).unwrap_or(0) as f64;
    left + PANEL_WIDTH * (place + 0.5) / clients.len().max(1) as f64
}

/// Is a logarithmic scale from one power of ten to another.
#[derive(Clone, Copy)]
struct Scale {
    least: i32,
    most: i32,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let powers = values.filter(|value| *value > 0.0).map(f64::log10);
        let (least, most) =
            powers.fold((f64::MAX, f64::MIN), |(least, most), power| (least.min(power), most.max(power)));
        if least > most {
            return Self { least: 0, most: 1 };
        }
        Self { least: least.floor() as i32, most: (most.ceil() as i32).max(least.floor() as i32 + 1) }
    }

    fn y(self, value: f64) -> f64 {
        let power = value.max(f64::MIN_POSITIVE).log10().max(f64::from(self.least));
        BOTTOM - (BOTTOM - TOP) * (power - f64::from(self.least)) / f64::from(self.most - self.least)
    }
}

fn axes(left: f64, title: &str, clients: &[usize], scale: Scale) -> String {
    let right = left + PANEL_WIDTH;
    let mut svg = format!("<text x=\"{left}\" y=\"24\" font-weight=\"bold\">{title}</text>\n");
    for power in scale.least..=scale.most {
        let (y, value) = (scale.y(10_f64.powi(power)), 10_f64.powi(power));
        svg += &format!("<path d=\"M{left} {y:.1}H{right}\" stroke=\"#ddd\"/>");
        svg += &format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>\n", left - 6.0, y + 4.0);
    }
    for count in clients {
        let x = x(left, clients, *count);
        svg += &format!("<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{count}</text>\n", BOTTOM + 18.0);
    }
    svg + &format!("<text x=\"{right}\" y=\"{}\" text-anchor=\"end\">clients</text>\n", BOTTOM + 34.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Vec<Figures> {
        let run = |strategy: &str, clients, holds_per_second, p99_ms| Figures {
            database: "sqlite".to_owned(),
            sync_added_ms: 2,
            way: Way::Service,
            strategy: strategy.to_owned(),
            clients,
            holds: 1,
            holds_per_second,
            p50_ms: 1.0,
            p99_ms,
            failed: 0,
            own_cores: Some(0.5),
            other_cores: None,
        };
        vec![run("teller", 64, 5_000.0, 3.0), run("teller", 1, 100.0, 2.0), run("conditional", 64, 200.0, 90.0)]
    }

    #[test]
    fn a_table_has_a_row_for_each_run_in_order() {
        let table = table(&figures());
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(rows[0], "| sqlite, conditional, +2 ms a sync | 64 | 200 | 1.00 | 90.00 | 0 | 0.50 |  |");
        assert!(rows[1].contains("| 1 | 100 |") && rows[2].contains("| 64 | 5000 |"), "{table}");
    }

    #[test]
    fn a_picture_has_a_line_for_each_kind_in_both_panels() {
        let picture = picture(&figures());
        assert_eq!(picture.matches("<polyline").count(), 4);
        assert!(picture.contains("sqlite, teller, +2 ms a sync") && picture.ends_with("</svg>\n"));
        let scale = Scale::over([100.0, 5_000.0].into_iter());
        assert_eq!((scale.least, scale.most), (2, 4));
        assert!((scale.y(100.0) - BOTTOM).abs() < 1e-9 && (scale.y(10_000.0) - TOP).abs() < 1e-9);
    }
}
