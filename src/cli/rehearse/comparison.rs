//! What was foretold beside what came.

use serde::Serialize;
use serde_json::Value;

use super::prediction::Prediction;

/// One figure, foretold and seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// What it is.
    pub figure: &'static str,
    /// As foretold.
    pub foretold: f64,
    /// As seen; `None` where the run has none of it.
    pub seen: Option<f64>,
    /// By how much the foretold one is off, relative to the seen one of at least 1.
    pub off: Option<f64>,
}

/// Holds a prediction against the JSON of a crowd's report.
#[must_use]
pub fn compare(prediction: &Prediction, report: &Value) -> Vec<Compared> {
    let figure = |figure: &'static str, foretold: Option<f64>, path: &str| {
        let foretold = foretold?;
        let seen = report.pointer(path).and_then(Value::as_f64);
        let off = seen.map(|seen| ((foretold - seen).abs() / seen.abs().max(1.0) * 1_000.0).round() / 1_000.0);
        Some(Compared { figure, foretold, seen, off })
    };
    let count = |count: u64| Some(count as f64);
    let figures = [
        figure("called", count(prediction.called), "/admitted"),
        figure("the last is called after, s", prediction.drained_after_seconds, "/drained_after_seconds"),
        figure("half wait at most, s", Some(prediction.wait_p50_seconds), "/wait_seconds/p50"),
        figure("99 of 100 wait at most, s", Some(prediction.wait_p99_seconds), "/wait_seconds/p99"),
        figure("the longest wait, s", Some(prediction.wait_max_seconds), "/wait_seconds/max"),
        figure("in line at once", count(prediction.waiting_peak), "/waiting_peak"),
        figure("seats sold", count(prediction.seats_sold), "/seats_sold"),
        figure("sold out after, s", prediction.sold_out_after_seconds, "/sold_out_after_seconds"),
        figure("told that it is sold out", count(prediction.told), "/told"),
    ];
    figures.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_stands_beside_the_one_that_came() {
        let prediction = Prediction { called: 100, drained_after_seconds: Some(9.0), ..Prediction::default() };
        let report = serde_json::json!({"admitted": 80, "drained_after_seconds": 10.0, "wait_seconds": {"p50": 0.2}});
        let compared = compare(&prediction, &report);
        let of =
            |figure: &str| compared.iter().find(|one| one.figure.starts_with(figure)).map(|one| (one.seen, one.off));
        assert_eq!(of("called"), Some((Some(80.0), Some(0.25))));
        assert_eq!(of("the last"), Some((Some(10.0), Some(0.1))));
        assert_eq!(of("half wait"), Some((Some(0.2), Some(0.2))));
        assert_eq!((of("seats sold"), of("sold out")), (Some((None, None)), None));
    }
}
