//! Why the rate is where it is, in a sentence for the operator.

use serde::Serialize;

use super::{Bounds, Law, Reason, Sample, Tolerance};

/// A rate that adapts, as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Account {
    /// The least rate, in admissions a second.
    pub floor: f64,
    /// The highest rate.
    pub ceiling: f64,
    /// The rate that this gateway wishes for.
    pub wish: f64,
    /// Why it does.
    pub reason: Reason,
    /// The latency that is usual, in milliseconds.
    pub baseline_ms: Option<f64>,
    /// How long after being let in people ask, on average, in seconds.
    pub delay_seconds: f64,
    /// The same in words.
    pub words: String,
}

impl Account {
    /// Gives account of a law's last step.
    #[must_use]
    pub fn of(law: &Law, sample: &Sample, bounds: Bounds, tolerance: &Tolerance) -> Self {
        Self {
            floor: bounds.floor,
            ceiling: bounds.ceiling,
            wish: law.rate(),
            reason: law.reason(),
            baseline_ms: law.baseline_s().map(|baseline_s| baseline_s * 1_000.0),
            delay_seconds: law.delay_s(),
            words: words(law, sample, tolerance),
        }
    }
}

fn words(law: &Law, sample: &Sample, tolerance: &Tolerance) -> String {
    let rate = format!("{}/s", number(law.rate()));
    match law.reason() {
        Reason::Unused => format!("Resting at {rate}: nobody waits for a higher rate"),
        Reason::Climbing => format!("Climbing, now {rate}: {}", wellness(law, sample)),
        Reason::AtCeiling => format!("At the ceiling of {rate}: {}", wellness(law, sample)),
        Reason::Slow => format!("Slowed to {rate}: {}", wellness(law, sample)),
        Reason::Errors => {
            let (errors, most) = (percent(sample.errors), percent(tolerance.max_errors));
            format!("Slowed to {rate}: {errors} of the answers are errors, {most} are borne")
        }
        Reason::InFlight => {
            let most = tolerance.max_in_flight.unwrap_or(0);
            format!("Slowed to {rate}: {} requests wait for an answer, {most} are borne", sample.in_flight)
        }
        Reason::Silent => {
            format!("Slowed to {rate}: the upstream answers nothing, and {} requests wait", sample.in_flight)
        }
    }
}

fn wellness(law: &Law, sample: &Sample) -> String {
    match sample.latency_s.zip(law.baseline_s()) {
        Some((latency_s, baseline_s)) => {
            format!("the upstream answers in {}, usually {}", span(latency_s), span(baseline_s))
        }
        None => "too few requests to tell how the upstream does".to_owned(),
    }
}

fn span(seconds: f64) -> String {
    match seconds * 1_000.0 {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ => format!("{seconds:.1} s"),
    }
}

fn percent(part: f64) -> String {
    number(part * 100.0) + " %"
}

/// Writes ten and more without, and less with a decimal that counts.
fn number(value: f64) -> String {
    let text = if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::{Flow, Latencies};
    use super::*;

    const FLOW: Flow = Flow { admitted: 40.0, is_wanted: true, ages_s: 0.0, aged: 0 };
    const BOUNDS: Bounds = Bounds { floor: 5.0, ceiling: 50.0 };

    fn sample(latency_s: f64) -> Sample {
        let mut latencies = Latencies::default();
        (0..200).for_each(|_| latencies.note(latency_s));
        Sample { answers: 200, kept_up: 1.0, latency_s: latencies.typical_s(), ..Sample::default() }
    }

    fn said_after(law: &mut Law, sample: &Sample) -> String {
        let tolerance = Tolerance { max_in_flight: Some(100), ..Tolerance::default() };
        law.step(sample, &FLOW, BOUNDS, &tolerance);
        Account::of(law, sample, BOUNDS, &tolerance).words
    }

    #[test]
    fn a_reason_has_one_word_everywhere() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.word());
        }
    }

    #[test]
    fn the_reason_is_a_sentence() {
        let mut law = Law::new(50.0);
        assert_eq!(
            said_after(&mut law, &sample(0.09)),
            "At the ceiling of 50/s: the upstream answers in 93 ms, usually 93 ms"
        );
        let slow = said_after(&mut law, &sample(0.42));
        assert!(slow.starts_with("Slowed to ") && slow.ends_with("answers in 401 ms, usually 95 ms"), "{slow}");
        let failing = Sample { errors: 0.13, ..sample(0.09) };
        assert!(said_after(&mut law, &failing).ends_with("/s: 13 % of the answers are errors, 5 % are borne"));
        let crowded = Sample { in_flight: 300, ..sample(0.09) };
        assert!(said_after(&mut law, &crowded).ends_with("/s: 300 requests wait for an answer, 100 are borne"));
        let silent = Sample { is_silent: true, in_flight: 60, ..Sample::default() };
        assert!(said_after(&mut law, &silent).ends_with("answers nothing, and 60 requests wait"));
        let few = Sample { kept_up: 1.0, ..Sample::default() };
        assert!(said_after(&mut law, &few).starts_with("Climbing, now "));
    }
}
