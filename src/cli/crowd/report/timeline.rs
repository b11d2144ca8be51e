//! What happened in each second of a run.

use serde::Serialize;

use super::super::latency::Latencies;
use super::super::notes::{End, Note};
use super::{quantile_of, thousandths};

/// One second of the run. What was not there to be seen is `null`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Second {
    /// How many meant to come in it.
    pub arrivals: u64,
    /// How many were called in it.
    pub calls: u64,
    /// How many stood in line at its end.
    pub waiting: u64,
    /// How many were told in it that everything is sold.
    pub told: u64,
    /// How many saw their booking in it.
    pub booked: u64,
    /// How long those who came in it waited until they were called, in the middle.
    pub wait_seconds: Option<f64>,
    /// How far the first estimate of those who came in it was off, relative to the true wait, in the middle.
    pub eta_error: Option<f64>,
    /// How long the answers took that came in it, in the middle.
    pub answer_ms: Option<f64>,
    /// How long 99 of 100 of them took at the most.
    pub answer_p99_ms: Option<f64>,
}

/// Draws it from the notes of everyone, for a run between two instants.
pub(super) fn draw(notes: &[Note], answers: &Latencies, started_ms: u64, ended_ms: u64) -> Vec<Second> {
    let last = (ended_ms.saturating_sub(started_ms) / 1_000) as usize;
    let second_of = |ms: u64| ((ms.saturating_sub(started_ms) / 1_000) as usize).min(last);
    let mut seconds = vec![Second::default(); last + 1];
    for note in notes {
        seconds[second_of(note.arrives_ms)].arrivals += 1;
        if let Some(called_ms) = note.called_at_ms.or(note.admitted_ms) {
            seconds[second_of(called_ms)].calls += 1;
        }
        if let Some(booked_ms) = note.booked_ms {
            seconds[second_of(booked_ms)].booked += 1;
        }
        seconds[second_of(note.ended_ms)].told += u64::from(note.end == End::Told);
    }
    count_waiting(notes, &mut seconds, second_of);
    let waits = middles(notes, last, second_of, |note| Some(note.waited_ms()? as f64 / 1_000.0));
    let errors = middles(notes, last, second_of, Note::eta_error);
    for (at, second) in seconds.iter_mut().enumerate() {
        (second.wait_seconds, second.eta_error) = (waits[at], errors[at]);
        let quantile = |q| answers.of(at)?.quantile_ms(q).map(thousandths);
        (second.answer_ms, second.answer_p99_ms) = (quantile(0.5), quantile(0.99));
    }
    seconds
}

fn count_waiting(notes: &[Note], seconds: &mut [Second], second_of: impl Fn(u64) -> usize) {
    let mut change = vec![0i64; seconds.len()];
    for note in notes {
        if let Some(joined_ms) = note.joined_ms {
            let out_ms = note.called_at_ms.unwrap_or(note.ended_ms).max(joined_ms);
            change[second_of(joined_ms)] += 1;
            change[second_of(out_ms)] -= 1;
        }
    }
    let mut waiting = 0;
    for (second, change) in seconds.iter_mut().zip(change) {
        waiting += change;
        second.waiting = waiting.max(0).unsigned_abs();
    }
}

/// Returns the middle of a figure among those who came in each second.
fn middles(
    notes: &[Note],
    last: usize,
    second_of: impl Fn(u64) -> usize,
    figure: impl Fn(&Note) -> Option<f64>,
) -> Vec<Option<f64>> {
    let mut by_second: Vec<Vec<f64>> = vec![Vec::new(); last + 1];
    for note in notes {
        by_second[second_of(note.arrives_ms)].extend(figure(note));
    }
    let middle = |mut figures: Vec<f64>| {
        figures.sort_unstable_by(f64::total_cmp);
        quantile_of(&figures, 0.5).copied().map(thousandths)
    };
    by_second.into_iter().map(middle).collect()
}
