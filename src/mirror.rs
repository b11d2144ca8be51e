//! The mirror: a room's line as this gateway knows it, one tick old at the most.
//!
//! Reads are short and never await; the ticker alone writes, but for the numbers of own joins,
//! which are noted at once.

mod history;
mod pace;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};

pub use self::history::History;
use crate::line::chain::{Link, Logged};
use crate::line::draw::DrawStep;
use crate::line::{Entry, Joined, Known, Number, Numbers, Roll, Tally, Tick, apart};
pub use pace::{Pace, Seconds};

/// Up to so many places are computed at once, a microsecond each; more of them apart, for that takes a thread.
const AT_ONCE: u64 = 256;

/// One room's mirror.
#[derive(Debug)]
pub struct Mirror {
    roll: RwLock<Roll>,
    /// The lowest place to which somebody may yet come back, [`Number::MAX`] where there is none. It is changed with the
    /// roll, and by nobody else, and asked for by everyone in line.
    first_forgotten: AtomicU64,
    /// The highest number that the log has told, as far as it was followed; changed as that is.
    heard: AtomicU64,
    kept: Mutex<Kept>,
}

impl Default for Mirror {
    fn default() -> Self {
        let first_forgotten = AtomicU64::new(Number::MAX);
        Self { roll: RwLock::default(), first_forgotten, heard: AtomicU64::default(), kept: Mutex::default() }
    }
}

#[derive(Debug, Default)]
struct Kept {
    history: History,
    pace: Pace,
}

/// What a page of news brought.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// Who was called, in the order of the entries.
    pub called: Vec<Numbers>,
    /// How many gave up.
    pub left: u64,
    /// How many lapsed.
    pub lapsed: u64,
    /// How many came, on all gateways.
    pub arrived: u64,
    /// How long the called had waited, in seconds, and how many waited so long.
    pub waits: Vec<(f64, u64)>,
    /// How far what the called had been told was from their wait, as a part of it, and of how many.
    pub eta_errors: Vec<(f64, u64)>,
    /// Whether the settings are others, or the whole roll is.
    pub resettled: bool,
}

impl Mirror {
    /// Lets `look` see the roll. To be short: the ticker waits for it.
    pub fn read<A>(&self, look: impl FnOnce(&Roll) -> A) -> A {
        look(&self.roll.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells whether somebody may yet come back to a place below this one, whom the store has forgotten. To be asked
    /// while the roll is read.
    #[must_use]
    pub fn is_forgotten_below(&self, place: Number) -> bool {
        self.first_forgotten.load(Ordering::Relaxed) < place
    }

    /// Tells whether the log was followed to where it tells that a number was given. Before that, a draw may have been
    /// promised to it of which this gateway has not heard. To be asked while the roll is read.
    #[must_use]
    pub fn has_heard_of(&self, number: Number) -> bool {
        number <= self.heard.load(Ordering::Relaxed)
    }

    /// Returns how far the log was followed.
    #[must_use]
    pub fn known(&self) -> Known {
        self.read(Roll::known)
    }

    /// Notes an own join ahead of the log.
    pub fn note(&self, joined: &Joined) {
        self.write().note(joined);
    }

    /// Puts another roll in the place of what is known.
    pub fn replace(&self, roll: Roll) -> Taken {
        let kept = Kept { pace: Pace::since(roll.issued), history: History::since(roll.log_start()) };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        let mut mine = self.write();
        *mine = roll;
        self.look_for_forgotten(&mine, 0);
        self.hear(mine.issued);
        drop(mine);
        Taken { resettled: true, ..Taken::default() }
    }

    /// Returns the newest entries of the log, as they are now.
    #[must_use]
    pub fn history(&self) -> History {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).history.clone()
    }

    /// Finds the entry that called a number, if it is still kept.
    #[must_use]
    pub fn call_of(&self, number: Number) -> Option<Logged> {
        let place = self.read(|roll| roll.place(number));
        let piece = self.kept.lock().unwrap_or_else(PoisonError::into_inner).history.piece_that_calls(place);
        piece.and_then(|piece| piece.call_of(place))
    }

    /// Lets `look` see how fast the line moves.
    pub fn pace<A>(&self, look: impl FnOnce(&Pace) -> A) -> A {
        look(&self.kept.lock().unwrap_or_else(PoisonError::into_inner).pace)
    }

    /// Takes in the next entries of the log. To be called by one at a time.
    ///
    /// A draw takes half a second for a million, so one of many is made of a copy, apart, which then takes the place of
    /// the roll.
    pub async fn follow(&self, entries: Vec<Entry>) -> Taken {
        if !entries.iter().any(|entry| drawn_count(entry) > AT_ONCE) {
            return self.take(entries);
        }
        let mut copy = self.read(Roll::clone);
        let tally = copy.tally;
        let applied = move || {
            let links = apply_to(&mut copy, &entries);
            (copy, links, entries)
        };
        let (roll, links, entries) = apart(applied).await;
        self.put_in_place(roll, &entries);
        self.account(&entries, links, tally)
    }

    /// Takes in the next entries of the log, at once.
    pub fn take(&self, entries: Vec<Entry>) -> Taken {
        let tally = self.read(|roll| roll.tally);
        // The two locks are never held at once: a reader of the roll may ask for the pace.
        let mut roll = self.write();
        let links = apply_to(&mut roll, &entries);
        // Those forgotten only become fewer, but by an epoch that begins, and by lots.
        let begins = entries.iter().any(|entry| !entry.unseen.is_empty() || entry.is_drawn());
        let known = self.first_forgotten.load(Ordering::Relaxed);
        self.look_for_forgotten(&roll, if begins { 0 } else { known });
        self.hear_all(&entries);
        drop(roll);
        self.account(&entries, links, tally)
    }

    /// Says a tick in places, as they are known here. Many are computed apart.
    pub async fn in_places(&self, tick: Tick) -> Tick {
        let (lots, known) = self.read(|roll| (roll.lots(), roll.known()));
        let said = Tick { known, ..tick };
        let is_short = lots.is_empty() || count(&said) <= AT_ONCE;
        let translated = move || said.translated(|numbers| lots.places(numbers));
        if is_short { translated() } else { apart(translated).await }
    }

    fn account(&self, entries: &[Entry], links: Vec<Link>, tally: Tally) -> Taken {
        let (waiting, limit, now) = self.read(|roll| {
            let limits = roll.limits();
            (roll.waiting.count(), limits.and_then(|limits| limits.admissions_per_second()), roll.tally)
        });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, lapsed) = (now.left - tally.left, now.lapsed - tally.lapsed);
        let mut taken = Taken { left, lapsed, ..Taken::default() };
        for (entry, link) in entries.iter().zip(links) {
            kept.pace.arrive(entry);
            taken.count(entry, &kept.pace);
            if kept.pace.last_arrived() > 0 {
                kept.pace.promise(waiting, limit, entry.at_us / 1_000_000);
            }
            kept.history.push(entry, link);
        }
        taken
    }

    /// Puts a roll in place that was made of a copy and these entries. All that can have happened to this one meanwhile is
    /// that joins were noted.
    fn put_in_place(&self, mut roll: Roll, entries: &[Entry]) {
        let mut mine = self.write();
        roll.raise_to(mine.issued);
        *mine = roll;
        self.look_for_forgotten(&mine, 0);
        self.hear_all(entries);
    }

    fn hear_all(&self, entries: &[Entry]) {
        entries.last().into_iter().for_each(|entry| self.hear(entry.issued));
    }

    fn hear(&self, issued: Number) {
        self.heard.store(issued, Ordering::Relaxed);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Roll> {
        self.roll.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_for_forgotten(&self, roll: &Roll, from: Number) {
        let first = if from == Number::MAX { None } else { roll.first_forgotten(from) };
        self.first_forgotten.store(first.unwrap_or(Number::MAX), Ordering::Relaxed);
    }
}

/// Counts the numbers that lots are drawn for.
fn drawn_count(entry: &Entry) -> u64 {
    match &entry.draw {
        Some(DrawStep::Drawn(draw)) => (draw.last + 1).saturating_sub(draw.first),
        _ => 0,
    }
}

/// Counts the numbers that a tick speaks of.
fn count(tick: &Tick) -> u64 {
    let ended = tick.ended.iter().map(|ended| ended.numbers.len());
    let sets = [&tick.here, &tick.gone, &tick.returned, &tick.left].map(Numbers::len);
    sets.into_iter().chain(ended).sum::<u64>() + tick.renewed.len() as u64
}

/// Applies entries to a roll, and returns the link of each.
fn apply_to(roll: &mut Roll, entries: &[Entry]) -> Vec<Link> {
    let link = |entry| {
        roll.apply(entry);
        roll.link
    };
    entries.iter().map(link).collect()
}

impl Taken {
    fn count(&mut self, entry: &Entry, pace: &Pace) {
        self.arrived += pace.last_arrived();
        self.waits.extend(pace.waits(entry));
        self.eta_errors.extend(pace.errors(entry));
        self.resettled |= entry.settings.is_some() || entry.draw.is_some();
        self.called.extend((!entry.called.is_empty()).then(|| entry.called.clone()));
    }
}
