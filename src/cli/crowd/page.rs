//! The report as one HTML page that needs nothing beside it.

use std::fmt::Write;

use super::report::{Report, Second};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 180.0;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:800px;margin:2rem auto;padding:0 1rem;\
color:#1d2733;background:#fff}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-bottom:.2rem}table{border-collapse:collapse;\
width:100%}td{padding:.2rem .5rem;border-bottom:1px solid #dde3ea}td+td{text-align:right;font-variant-numeric:\
tabular-nums}svg{width:100%;height:auto;background:#f5f7fa}path{fill:none;stroke:#0b63b0;stroke-width:1.5}\
line{stroke:#b3261e;stroke-dasharray:5 4}text{font-size:12px;fill:#4a5765}.good{color:#17692f}.bad{color:#b3261e}\
@media(prefers-color-scheme:dark){body{color:#e5eaf0;background:#12171d}svg{background:#1b222b}td{border-color:#2c3641}\
path{stroke:#6cb4f5}text{fill:#a5b1bf}.good{color:#6fce8b}.bad,line{color:#ff8a80;stroke:#ff8a80}}";

/// Writes the page.
#[must_use]
pub fn html(report: &Report) -> String {
    let verdict = match report.broken().as_slice() {
        [] => "<p class=good>Every check held.</p>".to_owned(),
        broken => broken.iter().map(|(check, count)| format!("<p class=bad>Failed: {check} = {count}</p>")).collect(),
    };
    let plots = [
        plot("Arrivals a second", &report.timeline, |second| second.arrivals, None),
        plot("Admissions a second, and the limit", &report.timeline, |second| second.calls, report.admission_limit),
        plot("Waiting", &report.timeline, |second| second.waiting, None),
    ];
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Crowd of {visitors}</title><style>{STYLE}</style><h1>A crowd of {visitors} over {over} s</h1>\
         {verdict}{plots}<h2>Figures</h2><table>{rows}</table></html>\n",
        visitors = report.visitors,
        over = report.over_seconds,
        plots = plots.concat(),
        rows = rows(report),
    )
}

/// Lists every figure of the JSON, so that the page says no less.
fn rows(report: &Report) -> String {
    let json = serde_json::to_value(report).unwrap_or_default();
    let fields = json.as_object().into_iter().flatten().filter(|(name, _)| *name != "timeline");
    fields.fold(String::new(), |mut rows, (name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(rows, "<tr><td>{}<td>{}", escape(name), escape(&text));
        rows
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn plot(title: &str, seconds: &[Second], value: fn(&Second) -> u64, limit: Option<f64>) -> String {
    let most = seconds.iter().map(value).max().unwrap_or(0).max(1) as f64;
    let top = most.max(limit.unwrap_or(0.0)) * 1.1;
    let x = |at: usize| at as f64 / (seconds.len().max(2) - 1) as f64 * WIDTH;
    let y = |value: f64| HEIGHT - value / top * HEIGHT;
    let mut path = String::new();
    for (at, second) in seconds.iter().enumerate() {
        let _ = write!(path, "{}{:.1} {:.1}", if at == 0 { 'M' } else { 'L' }, x(at), y(value(second) as f64));
    }
    let limit =
        limit.map_or(String::new(), |limit| format!("<line x1=0 x2={WIDTH} y1={y:.1} y2={y:.1} />", y = y(limit)));
    format!(
        "<h2>{title}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{title}, at most {most} in {len} \
         seconds\">{limit}<path d=\"{path}\"/><text x=4 y=14>at most {most}</text><text x={end} y={foot} \
         text-anchor=end>{len} s</text></svg>",
        len = seconds.len(),
        end = WIDTH - 4.0,
        foot = HEIGHT - 6.0,
    )
}

#[cfg(test)]
mod tests {
    use super::super::notes::{Note, Tally};
    use super::super::report::Asked;
    use super::*;

    #[test]
    fn the_page_carries_the_figures_and_needs_nothing_beside_it() {
        let asked = Asked {
            visitors: 42,
            quantity: 1,
            seed: 7,
            curve: "<script>.csv".to_owned(),
            over_seconds: 3.0,
            started_at: 0,
            ended_at: 3_000,
        };
        let note = Note { regressions: 5, ..Note::default() };
        let page = html(&Report::of(&[note], &Tally::new(), None, &asked));
        assert!(page.contains("Failed: position_regressions = 5") && page.contains("A crowd of 42"));
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("&lt;script&gt;.csv") && !page.contains("<script") && !page.contains("http"));
    }
}
