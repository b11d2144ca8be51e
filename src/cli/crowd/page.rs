//! The report as one HTML page that needs nothing beside it.

mod plot;

use std::fmt::Write;

use serde_json::Value;

use super::report::{Report, Second};
use plot::{Merge, Plot, Series, short, span};

const STYLE: &str = include_str!("page/style.css");

/// Writes the page.
#[must_use]
pub fn html(report: &Report) -> String {
    let plots: String = plots(report).iter().map(Plot::draw).collect();
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width, \
         initial-scale=1\"><title>A crowd of {visitors}</title><style>{STYLE}</style><h1>A crowd of {visitors}, over \
         {over}</h1><p class=soft>{curve}, seed {seed}, {lasted} in all</p>{verdict}<div \
         class=tiles>{tiles}</div><div class=plots>{plots}</div><h2>What became of them</h2>{fates}<details><summary>All \
         figures</summary><div class=scroll><table>{rows}</table></div></details></html>\n",
        visitors = grouped(report.visitors),
        over = span(report.over_seconds),
        curve = escape(&report.curve),
        seed = report.seed,
        lasted = span(report.seconds),
        verdict = verdict(report),
        tiles = tiles(report),
        fates = fates(report),
        rows = rows(report),
    )
}

fn verdict(report: &Report) -> String {
    match report.broken().as_slice() {
        [] => {
            "<p class=\"verdict good\">Every check held: nobody overtaken, no place lost, nothing oversold, no money \
               without a booking.</p>"
                .to_owned()
        }
        broken => {
            let line = |(check, count): &(&str, u64)| format!("<p class=\"verdict bad\">Failed: {check} = {count}</p>");
            broken.iter().map(line).collect()
        }
    }
}

fn tiles(report: &Report) -> String {
    let limit = report.admission_limit.map_or("no limit".to_owned(), |limit| format!("limit {}", short(limit)));
    let mut tiles = vec![
        (grouped(report.joined), format!("got an answer, {} a second", short(report.joins_per_second))),
        (grouped(report.admitted), format!("were let in, {} a second, {limit}", short(report.admissions_per_second))),
        (grouped(report.waiting_peak), "stood in line at once".to_owned()),
        (span(report.wait_seconds.p50), format!("waited in the middle, {} at most", span(report.wait_seconds.max))),
        (format!("{} ms", short(report.answer_ms.p99)), "99 of 100 answers took at most".to_owned()),
    ];
    if report.live_connections_peak > 0 {
        tiles.push((grouped(report.live_connections_peak), "live connections at once".to_owned()));
        tiles.push((
            format!("{} ms", short(report.update_lag_ms.p99)),
            "99 of 100 updates were at most as old".to_owned(),
        ));
    }
    if let Some(capacity) = report.capacity {
        tiles.push((grouped(report.seats_sold), format!("seats sold of {}", grouped(capacity))));
    }
    let tile = |(figure, words): (String, String)| format!("<div><b>{figure}</b><span>{words}</span></div>");
    tiles.into_iter().map(tile).collect()
}

fn plots(report: &Report) -> Vec<Plot<'_>> {
    let seconds = &report.timeline;
    let of = |figure: fn(&Second) -> u64| seconds.iter().map(|second| Some(figure(second) as f64)).collect::<Vec<_>>();
    let maybe = |figure: fn(&Second) -> Option<f64>| seconds.iter().map(figure).collect::<Vec<_>>();
    let came = seconds.iter().rposition(|second| second.arrivals > 0).map_or(0, |last| last + 1);
    let by_arrival = |figure: fn(&Second) -> Option<f64>| seconds[..came].iter().map(figure).collect::<Vec<_>>();
    let alone = |values, merge| vec![Series { name: "", values, merge }];
    let mut plots = vec![
        Plot { title: "Arrivals", note: "a second", series: alone(of(|s| s.arrivals), Merge::Mean), limit: None },
        Plot {
            title: "Admissions",
            note: "a second",
            series: alone(of(|s| s.calls), Merge::Mean),
            limit: report.admission_limit.map(|limit| ("the limit", limit)),
        },
        Plot { title: "In line", note: "people", series: alone(of(|s| s.waiting), Merge::Highest), limit: None },
        Plot {
            title: "Wait",
            note: "seconds, by when they came",
            series: alone(by_arrival(|s| s.wait_seconds), Merge::Mean),
            limit: None,
        },
        Plot {
            title: "Error of the first estimate",
            note: "%, by when they came",
            series: alone(by_arrival(|s| s.eta_error.map(|error| error * 100.0)), Merge::Mean),
            limit: None,
        },
        Plot {
            title: "Answers took",
            note: "ms",
            series: vec![
                Series { name: "half", values: maybe(|s| s.answer_ms), merge: Merge::Mean },
                Series { name: "99 of 100", values: maybe(|s| s.answer_p99_ms), merge: Merge::Highest },
            ],
            limit: None,
        },
    ];
    plots.extend(report.capacity.map(|capacity| sold(seconds, capacity)));
    plots
}

/// Plots what is sold so far.
fn sold(seconds: &[Second], capacity: u64) -> Plot<'static> {
    let so_far = |figure: fn(&Second) -> u64| {
        let sum = seconds.iter().scan(0, |sum, second| {
            *sum += figure(second);
            Some(Some(*sum as f64))
        });
        sum.collect::<Vec<_>>()
    };
    Plot {
        title: "Sold so far",
        note: "",
        series: vec![
            Series { name: "bookings", values: so_far(|s| s.booked), merge: Merge::Highest },
            Series { name: "told that it is sold out", values: so_far(|s| s.told), merge: Merge::Highest },
        ],
        limit: Some(("seats", capacity as f64)),
    }
}

fn fates(report: &Report) -> String {
    let row = |(name, fate): (&&str, &super::report::Fate)| {
        format!("<tr><td>{name}<td>{}<td>{}<td>{}", grouped(fate.came), grouped(fate.admitted), grouped(fate.booked))
    };
    let rows: String = report.behaviours.iter().map(row).collect();
    format!("<div class=scroll><table><tr><th>They were<th>came<th>let in<th>booked{rows}</table></div>")
}

/// Lists every figure of the JSON, so that the page says no less.
fn rows(report: &Report) -> String {
    let mut json = serde_json::to_value(report).unwrap_or_default();
    json.as_object_mut().into_iter().for_each(|fields| drop(fields.remove("timeline")));
    let mut rows = String::new();
    list(&mut rows, "", &json);
    rows
}

fn list(rows: &mut String, name: &str, value: &Value) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let dot = if name.is_empty() { "" } else { "." };
            fields.iter().for_each(|(field, value)| list(rows, &format!("{name}{dot}{field}"), value));
        }
        value => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(rows, "<tr><td>{}<td>{}", escape(name), escape(&text));
        }
    }
}

/// Writes a number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::notes::Note;
    use super::super::report::Asked;
    use super::super::scout::Stock;
    use super::super::tally::Tally;
    use super::*;

    #[test]
    fn the_page_carries_the_figures_and_needs_nothing_beside_it() {
        let asked = Asked {
            visitors: 4_200,
            quantity: 1,
            seed: 7,
            curve: "<script>.csv".to_owned(),
            over_seconds: 3.0,
            started_at: 0,
            ended_at: 3_000,
        };
        let note = Note { regressions: 5, ..Note::default() };
        let stock = Stock { id: "a:b:c".to_owned(), capacity: Some(3), sold: None };
        let page = html(&Report::of(&[note], &Tally::new(), Some(&stock), &asked));
        assert!(page.contains("Failed: position_regressions = 5") && page.contains("A crowd of 4,200"));
        assert_eq!(page.matches("<svg").count(), 7);
        assert!(page.contains("&lt;script&gt;.csv") && !page.contains("<script") && !page.contains("http"));
        assert!(page.contains("<td>errors<td>{}") && page.contains("<td>join_ms.p99<td>0"));
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([grouped(0), grouped(999), grouped(1_000), grouped(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
    }
}
