//! The text forms in which the scripts keep entries and settings.
//!
//! An entry is its fields with `|` between them, empty ones at the end left out; the settings stand
//! last, since a message may hold any character. The entry's `seq` is its place in the list, and its
//! instants count from the second of its epoch.

use std::str::FromStr;

use crate::admission::Limits;
use crate::line::{Ended, Entry, Epoch, Numbers, Phase, Settings};

/// The names of a room's fields that hold its limits, in the order of the words.
pub const LIMIT_FIELDS: [&str; 6] =
    ["interval_us", "burst", "total_active_users", "session_duration_s", "grace_ms", "floor_interval_us"];

/// Writes limits as six words.
pub fn limit_words(limits: &Limits) -> [String; 6] {
    let or_none = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    [
        limits.interval_us.to_string(),
        limits.burst.to_string(),
        or_none(limits.total_active_users),
        limits.session_duration_s.to_string(),
        limits.grace_ms.to_string(),
        or_none(limits.floor_interval_us),
    ]
}

/// Reads limits from six words.
pub fn read_limits<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Limits> {
    Some(Limits {
        interval_us: number(words.next())?,
        burst: number(words.next())?,
        total_active_users: number_or_none(words.next()?)?,
        session_duration_s: number(words.next())?,
        grace_ms: number(words.next())?,
        floor_interval_us: number_or_none(words.next()?)?,
    })
}

fn number_or_none(word: &str) -> Option<Option<u64>> {
    if word == "-" { Some(None) } else { word.parse().ok().map(Some) }
}

/// Returns a phase's word.
pub fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Open => "open",
        Phase::Paused => "paused",
        Phase::Closed => "closed",
    }
}

/// Reads a phase.
pub fn read_phase(word: &str) -> Option<Phase> {
    [Phase::Open, Phase::Paused, Phase::Closed].into_iter().find(|phase| phase_word(*phase) == word)
}

/// Writes an entry.
pub fn write_entry(entry: &Entry) -> String {
    let at_s = entry.at_us / 1_000_000;
    let called = !entry.called.is_empty();
    let ended: Vec<String> = entry.ended.iter().map(|e| format!("{}:{}", e.ends_s, e.numbers)).collect();
    let mut text = [
        difference(true, entry.at_us, start_us(entry.epoch)),
        entry.issued.to_string(),
        entry.called.to_string(),
        difference(called, entry.ends_s, at_s),
        difference(called, entry.tat_us, entry.at_us),
        if entry.by_hand == 0 { String::new() } else { entry.by_hand.to_string() },
        entry.left.to_string(),
        entry.lapsed.to_string(),
        entry.returned.to_string(),
        entry.unseen.to_string(),
        ended.join(";"),
        if entry.pace_us == 0 { String::new() } else { entry.pace_us.to_string() },
    ]
    .join("|");
    match &entry.settings {
        Some(settings) => text.push_str(&format!("|{}", settings_text(settings))),
        None => text.truncate(text.trim_end_matches('|').len()),
    }
    text
}

/// Reads an entry, given its place in the log and the log's epoch.
pub fn read_entry(text: &str, seq: u64, epoch: Epoch) -> Option<Entry> {
    let mut words = text.splitn(13, '|');
    let at_us = sum(start_us(epoch), words.next().filter(|word| !word.is_empty())?)?;
    let mut entry = Entry { seq, at_us, epoch, issued: number(words.next())?, ..Entry::default() };
    let mut word = || words.next().unwrap_or_default();
    entry.called = word().parse().ok()?;
    entry.ends_s = sum(at_us / 1_000_000, word())?;
    entry.tat_us = sum(at_us, word())?;
    entry.by_hand = or_zero(word())?;
    entry.left = word().parse().ok()?;
    entry.lapsed = word().parse().ok()?;
    entry.returned = word().parse().ok()?;
    entry.unseen = word().parse().ok()?;
    entry.ended = word().split(';').filter(|part| !part.is_empty()).map(read_ended).collect::<Option<_>>()?;
    entry.pace_us = or_zero(word())?;
    entry.settings = match words.next() {
        Some(text) => Some(read_settings(text)?),
        None => None,
    };
    Some(entry)
}

fn settings_text(settings: &Settings) -> String {
    let [limits, configured] = [&settings.limits, &settings.configured].map(|limits| limit_words(limits).join(" "));
    let mut text = format!("{} {limits} {configured}", phase_word(settings.phase));
    if let Some(message) = &settings.message {
        text.push(' ');
        text.push_str(message);
    }
    text
}

fn read_settings(text: &str) -> Option<Settings> {
    let mut words = text.splitn(14, ' ');
    let phase = read_phase(words.next()?)?;
    let limits = read_limits(words.by_ref())?;
    let configured = read_limits(words.by_ref())?;
    Some(Settings { phase, limits, configured, message: words.next().map(str::to_owned) })
}

fn read_ended(text: &str) -> Option<Ended> {
    let (ends_s, numbers) = text.split_once(':')?;
    Some(Ended { ends_s: ends_s.parse().ok()?, numbers: Numbers::from_str(numbers).ok()? })
}

fn start_us(epoch: Epoch) -> u64 {
    u64::from(epoch) * 1_000_000
}

fn number(word: Option<&str>) -> Option<u64> {
    word?.parse().ok()
}

fn or_zero(word: &str) -> Option<u64> {
    if word.is_empty() { Some(0) } else { word.parse().ok() }
}

fn difference(is_given: bool, later: u64, earlier: u64) -> String {
    if is_given { (i128::from(later) - i128::from(earlier)).to_string() } else { String::new() }
}

fn sum(base: u64, difference: &str) -> Option<u64> {
    if difference.is_empty() { Some(0) } else { base.checked_add_signed(difference.parse().ok()?) }
}
