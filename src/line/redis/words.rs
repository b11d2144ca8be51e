//! The text forms in which the scripts keep entries and settings.
//!
//! An entry is its fields with `|` between them, empty ones at the end left out; the settings stand
//! last, since a message may hold any character. The entry's `seq` is its place in the list, and its
//! instants count from the second of its epoch.

use std::str::FromStr;

use crate::admission::Limits;
use crate::line::draw::{Draw, DrawStep, Promise, Reveal};
use crate::line::{Entry, Epoch, Numbers, Phase, Settings, Slots};
use crate::schedule::Schedule;

/// From this many runs on, a set goes to the store as a bitmap: a script marks it at once, not run by run.
const SCATTERED: usize = 512;

/// Writes a set of numbers: runs as text, or `#`, the first byte, `:` and a bitmap.
pub fn set_word(numbers: &Numbers) -> Vec<u8> {
    if numbers.run_count() < SCATTERED {
        return numbers.to_string().into_bytes();
    }
    let (from, bytes) = numbers.to_bitmap();
    let mut word = format!("#{from}:").into_bytes();
    word.extend(bytes);
    word
}

/// The names of the limits, in the order in which they are written.
pub const LIMITS: [&str; 9] = [
    "interval_us",
    "burst",
    "total_active_users",
    "session_duration_s",
    "grace_ms",
    "opens_ms",
    "starts_ms",
    "ends_ms",
    "floor_interval_us",
];

/// Writes limits as nine words.
pub fn limit_words(limits: &Limits) -> [String; LIMITS.len()] {
    let optional = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let Schedule { opens_ms, starts_ms, ends_ms } = limits.schedule;
    [
        limits.interval_us.to_string(),
        limits.burst.to_string(),
        optional(limits.total_active_users),
        limits.session_duration_s.to_string(),
        limits.grace_ms.to_string(),
        optional(opens_ms),
        optional(starts_ms),
        optional(ends_ms),
        optional(limits.floor_interval_us),
    ]
}

/// Reads limits from nine words.
pub fn read_limits<'a>(words: impl Iterator<Item = &'a str>) -> Option<Limits> {
    let read = |word: &str| if word == "-" { Some(None) } else { word.parse().ok().map(Some) };
    let words: Vec<Option<u64>> = words.take(LIMITS.len()).map(read).collect::<Option<_>>()?;
    let [
        interval_us,
        burst,
        total_active_users,
        session_duration_s,
        grace_ms,
        opens_ms,
        starts_ms,
        ends_ms,
        floor_interval_us,
    ] = words.try_into().ok()?;
    Some(Limits {
        interval_us: interval_us?,
        burst: burst?,
        total_active_users,
        session_duration_s: session_duration_s?,
        grace_ms: grace_ms?,
        schedule: Schedule { opens_ms, starts_ms, ends_ms },
        floor_interval_us,
    })
}

/// Reads a phase.
pub fn read_phase(word: &str) -> Option<Phase> {
    Phase::ALL.into_iter().find(|phase| phase.name() == word)
}

/// Writes an entry.
pub fn write_entry(entry: &Entry) -> String {
    let at_s = entry.at_us / 1_000_000;
    let called = !entry.called.is_empty();
    let ends = called || !entry.renewed.is_empty();
    let mut text = [
        difference(true, entry.at_us, start_us(entry.epoch)),
        entry.issued.to_string(),
        called_text(&entry.called),
        difference(ends, entry.ends_s, at_s),
        difference(called || entry.tat_us > 0, entry.tat_us, entry.at_us),
        if entry.by_hand == 0 { String::new() } else { entry.by_hand.to_string() },
        entry.left.to_string(),
        entry.lapsed.to_string(),
        entry.returned.to_string(),
        entry.unseen.to_string(),
        slots_text(&entry.ended),
        entry.draw.as_ref().map(step_text).unwrap_or_default(),
        if entry.pace_us == 0 { String::new() } else { entry.pace_us.to_string() },
        slots_text(&entry.renewed),
    ]
    .join("|");
    match &entry.settings {
        Some(settings) => text.push_str(&format!("|{}", settings_text(settings))),
        None => text.truncate(text.trim_end_matches('|').len()),
    }
    text
}

/// Tells whether an epoch begins with this entry: it names numbers that may have been given unseen.
pub fn begins_epoch(text: &str) -> bool {
    text.split('|').nth(9).is_some_and(|unseen| !unseen.is_empty())
}

/// Reads an entry, given its place in the log and the log's epoch.
pub fn read_entry(text: &str, seq: u64, epoch: Epoch) -> Option<Entry> {
    let mut words = text.splitn(15, '|');
    let at_us = sum(start_us(epoch), words.next().filter(|word| !word.is_empty())?)?;
    let mut entry = Entry { seq, at_us, epoch, issued: number(words.next())?, ..Entry::default() };
    let mut word = || words.next().unwrap_or_default();
    entry.called = read_called(word())?;
    entry.ends_s = sum(at_us / 1_000_000, word())?;
    entry.tat_us = sum(at_us, word())?;
    entry.by_hand = or_zero(word())?;
    entry.left = word().parse().ok()?;
    entry.lapsed = word().parse().ok()?;
    entry.returned = word().parse().ok()?;
    entry.unseen = word().parse().ok()?;
    entry.ended = read_slots(word())?;
    entry.draw = match word() {
        "" => None,
        text => Some(read_step(text)?),
    };
    entry.pace_us = or_zero(word())?;
    entry.renewed = read_slots(word())?;
    entry.settings = match words.next() {
        Some(text) => Some(read_settings(text)?),
        None => None,
    };
    Some(entry)
}

/// Writes who was called: the lowest number, then, if they are more, `+` and all of them counted from that one.
fn called_text(called: &Numbers) -> String {
    let Some((first, _)) = called.runs().next() else { return String::new() };
    match called.len() {
        1 => first.to_string(),
        _ => format!("{first}+{}", called.counted_from(first)),
    }
}

fn read_called(text: &str) -> Option<Numbers> {
    match text.split_once('+') {
        Some((first, called)) => {
            let called = called.parse::<Numbers>().ok()?.counting_from(first.parse().ok()?);
            called.filter(|called| !called.is_empty())
        }
        None => text.parse().ok(),
    }
}

/// Writes a number in digits of 32, each a letter, the lowest of another case: such numbers need nothing between them.
pub fn letters(mut number: u64) -> String {
    let mut word = vec![96 + (number % 32) as u8];
    while number >= 32 {
        number /= 32;
        word.push(64 + (number % 32) as u8);
    }
    word.iter().rev().copied().map(char::from).collect()
}

/// Reads a number in letters off the head of a text; returns it and the rest.
pub fn read_letters(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|letter| matches!(letter, '`'..='\x7f'))? + 1;
    let digit = |number: u64, letter: u8| {
        let digit = letter.checked_sub(64).filter(|digit| *digit < 64)? % 32;
        number.checked_mul(32)?.checked_add(digit.into())
    };
    let number = text[..end].bytes().try_fold(0, digit)?;
    Some((number, &text[end..]))
}

fn settings_text(settings: &Settings) -> String {
    let [limits, configured] = [&settings.limits, &settings.configured].map(|limits| limit_words(limits).join(" "));
    let mut text = format!("{} {limits} {configured}", settings.phase.name());
    if let Some(message) = &settings.message {
        text.push(' ');
        text.push_str(message);
    }
    text
}

fn read_settings(text: &str) -> Option<Settings> {
    let mut words = text.splitn(2 + 2 * LIMITS.len(), ' ');
    let phase = read_phase(words.next()?)?;
    let limits = read_limits(words.by_ref())?;
    let configured = read_limits(words.by_ref())?;
    Some(Settings { phase, limits, configured, message: words.next().map(str::to_owned) })
}

/// Writes a step of a draw: its letter, then its words.
pub fn step_text(step: &DrawStep) -> String {
    match step {
        DrawStep::Promised(promise) => format!("p {}", promise_text(promise)),
        DrawStep::Closed { last } => format!("c {last}"),
        DrawStep::Drawn(draw) => format!("d {}", draw_text(draw)),
        DrawStep::Forgone => "f".to_owned(),
    }
}

fn read_step(text: &str) -> Option<DrawStep> {
    match text.split_once(' ') {
        Some(("p", promise)) => read_promise(promise).map(DrawStep::Promised),
        Some(("c", last)) => last.parse().ok().map(|last| DrawStep::Closed { last }),
        Some(("d", draw)) => read_draw(draw).map(DrawStep::Drawn),
        None if text == "f" => Some(DrawStep::Forgone),
        _ => None,
    }
}

/// Writes a promise. Free text is in hexadecimal, as it may hold any character.
pub fn promise_text(promise: &Promise) -> String {
    let Promise { commitment, key, nonce, public_value } = promise;
    format!("{} {key} {} {}", hex::encode(commitment), hex::encode(nonce), free_text(public_value.as_deref()))
}

/// Reads a promise.
pub fn read_promise(text: &str) -> Option<Promise> {
    let mut words = text.split(' ');
    Some(Promise {
        commitment: read_hex(words.next()?)?,
        key: words.next()?.to_owned(),
        nonce: read_hex(words.next()?)?,
        public_value: read_free_text(words.next()?)?,
    })
}

/// Writes a draw.
pub fn draw_text(draw: &Draw) -> String {
    let Draw { reveal: Reveal { seed, public_value }, first, last } = draw;
    format!("{first} {last} {} {}", hex::encode(seed), free_text(public_value.as_deref()))
}

/// Reads a draw.
pub fn read_draw(text: &str) -> Option<Draw> {
    let mut words = text.split(' ');
    let (first, last) = (number(words.next())?, number(words.next())?);
    let reveal = Reveal { seed: read_hex(words.next()?)?, public_value: read_free_text(words.next()?)? };
    Some(Draw { reveal, first, last })
}

fn free_text(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), hex::encode)
}

fn read_free_text(word: &str) -> Option<Option<String>> {
    if word == "-" { Some(None) } else { String::from_utf8(hex::decode(word).ok()?).ok().map(Some) }
}

fn read_hex<const N: usize>(word: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(word, &mut bytes).ok().map(|()| bytes)
}

fn slots_text(slots: &[Slots]) -> String {
    let texts: Vec<String> = slots.iter().map(|slots| format!("{}:{}", slots.ends_s, slots.numbers)).collect();
    texts.join(";")
}

fn read_slots(text: &str) -> Option<Vec<Slots>> {
    let slots = |text: &str| {
        let (ends_s, numbers) = text.split_once(':')?;
        Some(Slots { ends_s: ends_s.parse().ok()?, numbers: Numbers::from_str(numbers).ok()? })
    };
    text.split(';').filter(|part| !part.is_empty()).map(slots).collect()
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
