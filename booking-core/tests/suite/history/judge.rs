//! Judges a history of a sale afterwards: what was asked of one row, and what was answered, each with its times.
//!
//! A request took effect at some moment between its beginning and its answer; nobody outside knows which. So a hold
//! *surely* keeps its seats from the first answer that says so until somebody begins to give it back, and *perhaps* from
//! when it was first asked for until that is answered. Whatever must never be is looked for in what is sure, and whatever
//! excuses a refusal in what may have been.

use std::collections::{BTreeMap, BTreeSet};

use booking_core::domain::hold::HoldId;
use booking_core::domain::inventory::Stock;

/// Is one request with its answer. Times are of one counter: whatever ended before another began has the lower number.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub asked: Asked,
    pub began: u64,
    pub ended: u64,
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// So many seats, whichever.
    Any(u32),
    /// These.
    These(Vec<u32>),
    /// To give back what the key has.
    GiveBack,
    /// What is left.
    Look,
}

impl Asked {
    fn quantity(&self) -> u32 {
        match self {
            Self::Any(quantity) => *quantity,
            Self::These(seats) => seats.len() as u32,
            Self::GiveBack | Self::Look => 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Held; `replayed` when it was before.
    Held {
        hold: HoldId,
        seats: Vec<u32>,
        replayed: bool,
    },
    SoldOut,
    SeatTaken(Vec<u32>),
    /// The key was used for something else.
    KeyReused,
    GivenBack,
    Seen(Stock, u64),
}

/// When a hold keeps its seats, from and until.
#[derive(Debug)]
struct Span {
    hold: HoldId,
    quantity: u32,
    seats: Vec<u32>,
    surely: (u64, u64),
    perhaps: (u64, u64),
}

const NEVER: u64 = u64::MAX;

const fn overlap(one: (u64, u64), other: (u64, u64)) -> bool {
    one.0 < other.1 && other.0 < one.1
}

/// Lists what cannot have been, in words; empty when some order of events explains every answer as far as is looked at.
pub fn faults(history: &[Entry], capacity: u32) -> Vec<String> {
    let spans = spans(history);
    let mut faults = one_answer_for_each_key(history);
    faults.extend(two_owners(&spans));
    faults.extend(beyond_capacity(&spans, capacity));
    faults.extend(history.iter().filter_map(|entry| refused_for_nothing(entry, &spans, capacity)));
    faults.extend(history.iter().filter_map(|entry| seen_wrong(entry, &spans, capacity)));
    faults.extend(versions_going_back(history));
    faults
}

fn spans(history: &[Entry]) -> Vec<Span> {
    let mut by_key: BTreeMap<&str, Span> = BTreeMap::new();
    for entry in history {
        let Answer::Held { hold, seats, .. } = &entry.answer else { continue };
        let span = by_key.entry(&entry.key).or_insert_with(|| Span {
            hold: *hold,
            quantity: entry.asked.quantity(),
            seats: seats.clone(),
            surely: (NEVER, NEVER),
            perhaps: (NEVER, NEVER),
        });
        span.surely.0 = span.surely.0.min(entry.ended);
        span.perhaps.0 = span.perhaps.0.min(entry.began);
    }
    for entry in history.iter().filter(|entry| entry.asked == Asked::GiveBack) {
        if let Some(span) = by_key.get_mut(entry.key.as_str()) {
            span.surely.1 = span.surely.1.min(entry.began);
            span.perhaps.1 = span.perhaps.1.min(entry.ended);
        }
    }
    by_key.into_values().collect()
}

fn one_answer_for_each_key(history: &[Entry]) -> Vec<String> {
    let mut known: BTreeMap<&str, (HoldId, &[u32], u32)> = BTreeMap::new();
    let mut faults = Vec::new();
    for entry in history {
        let Answer::Held { hold, seats, replayed } = &entry.answer else { continue };
        let (first, has, made) = known.entry(&entry.key).or_insert((*hold, seats, 0));
        *made += u32::from(!replayed);
        if first != hold || *has != seats.as_slice() || *made > 1 {
            faults.push(format!("the key {} has two answers", entry.key));
        }
    }
    let keys: BTreeSet<HoldId> = known.values().map(|(hold, ..)| *hold).collect();
    if keys.len() != known.len() {
        faults.push("two keys have one hold".to_owned());
    }
    faults
}

fn two_owners(spans: &[Span]) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, one) in spans.iter().enumerate() {
        for other in spans[at + 1..].iter().filter(|other| overlap(one.surely, other.surely)) {
            let both = one.seats.iter().filter(|seat| other.seats.contains(seat));
            faults.extend(both.map(|seat| format!("seat {seat} has two owners, {} and {}", one.hold, other.hold)));
        }
    }
    faults
}

/// Sums the seats of spans that are open at a moment.
fn kept(spans: &[Span], at: u64, when: impl Fn(&Span) -> (u64, u64)) -> u32 {
    let open = spans.iter().filter(|span| (when(span).0..when(span).1).contains(&at));
    open.map(|span| span.quantity).sum()
}

fn beyond_capacity(spans: &[Span], capacity: u32) -> Vec<String> {
    let sums = spans.iter().map(|span| kept(spans, span.surely.0, |span| span.surely));
    sums.filter(|sum| *sum > capacity).map(|sum| format!("{sum} of {capacity} seats are held")).collect()
}

/// Lists the moments of a stretch at which a sum may be at its highest or lowest: its ends, and whenever a span begins
/// or ends.
fn moments<'a>(
    spans: &'a [Span],
    (began, ended): (u64, u64),
    when: impl Fn(&Span) -> (u64, u64) + 'a,
) -> impl Iterator<Item = u64> + 'a {
    let turns = spans.iter().flat_map(move |span| [when(span).0, when(span).1]);
    turns.filter(move |at| (began..=ended).contains(at)).chain([began, ended])
}

fn most(spans: &[Span], stretch: (u64, u64)) -> u32 {
    let perhaps = |span: &Span| span.perhaps;
    moments(spans, stretch, perhaps).map(|at| kept(spans, at, perhaps)).max().unwrap_or_default()
}

fn least(spans: &[Span], stretch: (u64, u64)) -> u32 {
    let surely = |span: &Span| span.surely;
    moments(spans, stretch, surely).map(|at| kept(spans, at, surely)).min().unwrap_or_default()
}

fn refused_for_nothing(entry: &Entry, spans: &[Span], capacity: u32) -> Option<String> {
    let stretch = (entry.began, entry.ended);
    match &entry.answer {
        Answer::SoldOut if most(spans, stretch) + entry.asked.quantity() <= capacity => {
            Some(format!("{} was told that too little is left, and there was enough all the time", entry.key))
        }
        Answer::SeatTaken(taken) => {
            let owned =
                |seat: &u32| spans.iter().any(|span| span.seats.contains(seat) && overlap(span.perhaps, stretch));
            let free = taken.iter().find(|seat| !owned(seat));
            free.map(|seat| format!("{} was told that seat {seat} is taken, and nobody had it", entry.key))
        }
        _ => None,
    }
}

/// (B1) as whoever reads sees it: the counts add up, and are such as they can have been at that moment.
fn seen_wrong(entry: &Entry, spans: &[Span], capacity: u32) -> Option<String> {
    let Answer::Seen(stock, _) = entry.answer else { return None };
    let (stretch, gone) = ((entry.began, entry.ended), stock.held + stock.sold);
    let possible = least(spans, stretch)..=most(spans, stretch);
    let right = stock.adds_up() && stock.capacity == capacity && possible.contains(&gone);
    (!right).then(|| format!("{stock:?} was seen when {possible:?} were held"))
}

fn versions_going_back(history: &[Entry]) -> Vec<String> {
    let mut seen: Vec<(u64, u64, u64)> = history
        .iter()
        .filter_map(|entry| match entry.answer {
            Answer::Seen(_, version) => Some((entry.began, entry.ended, version)),
            _ => None,
        })
        .collect();
    seen.sort_unstable();
    let newest_before =
        |began: u64| seen.iter().filter(|(_, ended, _)| *ended < began).map(|(.., version)| *version).max();
    let back = seen.iter().filter(|(began, _, version)| newest_before(*began).is_some_and(|newest| newest > *version));
    back.map(|(_, _, version)| format!("version {version} was seen after a higher one")).collect()
}
