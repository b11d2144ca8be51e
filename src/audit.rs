//! Verifies an exported admission log: its chain, its numbers, its rate.
//!
//! Pure: lines in, findings out. Anyone can do the same with a page of code: each line holds the
//! link before it and its own, and the entry in canonical JSON.

use std::fmt;

use crate::admission;
use crate::line::chain::{Link, Logged};
use crate::line::draw::{Draw, DrawStep};
use crate::line::{Roll, Settings};

/// What is wrong with a log, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub kind: FindingKind,
}

/// What can be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// The line cannot be read.
    Unreadable(String),
    /// The line was edited, or one before it is missing.
    BrokenLink,
    /// A sequence number is missing or repeated.
    Gap {
        /// The number that would follow.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
    /// A number was called twice, or without having been given, or after giving up.
    WrongCall(u64),
    /// More were called than rate and burst allow.
    TooFast(u64),
    /// The count of numbers given went down.
    Shrunk,
    /// A draw is not what was promised, or people were called before it.
    WrongDraw(&'static str),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.kind {
            FindingKind::Unreadable(why) => write!(f, "cannot be read: {why}"),
            FindingKind::BrokenLink => write!(f, "the chain is broken: this line, or one before it, was changed"),
            FindingKind::Gap { expected, found } => write!(f, "entry {expected} should follow, not {found}"),
            FindingKind::WrongCall(number) => write!(f, "number {number} was called, but was not waiting"),
            FindingKind::TooFast(over) => write!(f, "{over} more were called than rate and burst allow"),
            FindingKind::WrongDraw(why) => f.write_str(why),
            FindingKind::Shrunk => write!(f, "fewer numbers were given than before"),
        }
    }
}

/// What a verified log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many entries there are.
    pub entries: usize,
    /// How many were called in them.
    pub called: u64,
    /// How many of those before any entry told the limits, so that their rate could not be checked.
    pub unchecked: u64,
    /// The draws that were made.
    pub draws: Vec<Draw>,
    /// The last link.
    pub link: Link,
}

/// Verifies the lines of a log, which may begin anywhere.
#[must_use]
pub fn verify<'a>(lines: impl Iterator<Item = &'a str>) -> (Summary, Vec<Finding>) {
    let mut audit = Audit::default();
    for (i, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        audit.line = i + 1;
        match serde_json::from_str::<Logged>(line) {
            Ok(logged) => audit.take(&logged),
            Err(e) => audit.find(FindingKind::Unreadable(e.to_string())),
        }
    }
    (audit.summary, audit.findings)
}

#[derive(Default)]
struct Audit {
    line: usize,
    summary: Summary,
    findings: Vec<Finding>,
    last: Option<Logged>,
    /// The line as the entries so far tell it; whole only when they begin with the first.
    roll: Roll,
    /// Whether they do.
    is_whole: bool,
}

impl Audit {
    fn take(&mut self, logged: &Logged) {
        if let Some(last) = self.last.take() {
            self.check_order(&last, logged);
        }
        if logged.prev.then(&logged.entry) != logged.hash {
            self.find(FindingKind::BrokenLink);
        }
        self.check_calls(logged);
        self.check_rate(logged);
        self.check_draw(logged);
        self.roll.apply(&logged.entry);
        self.is_whole |= self.summary.entries == 0 && logged.entry.seq == 1;
        self.summary.entries += 1;
        self.summary.called += logged.entry.called.len();
        self.summary.link = logged.hash;
        self.summary.draws.clone_from(&self.roll.draws);
        self.last = Some(logged.clone());
    }

    fn check_order(&mut self, last: &Logged, next: &Logged) {
        if last.hash != next.prev {
            self.find(FindingKind::BrokenLink);
        }
        let expected = last.entry.seq + 1;
        if next.entry.seq != expected {
            self.find(FindingKind::Gap { expected, found: next.entry.seq });
        }
        if next.entry.issued < last.entry.issued {
            self.find(FindingKind::Shrunk);
        }
    }

    fn check_calls(&mut self, logged: &Logged) {
        let entry = &logged.entry;
        for number in entry.called.iter() {
            let again = self.roll.called.contains(number) || self.roll.over.contains(number);
            if again || number > entry.issued {
                self.find(FindingKind::WrongCall(number));
            }
        }
    }

    /// By hand an operator may exceed the rate; the entry says so, and is not held to it.
    fn check_rate(&mut self, logged: &Logged) {
        let entry = &logged.entry;
        let Some(Settings { limits, .. }) = self.roll.settings.as_ref() else {
            self.summary.unchecked += entry.called.len();
            return;
        };
        let allowed = admission::allowance(
            self.roll.tat_us,
            entry.at_us,
            0,
            &admission::Limits { total_active_users: None, ..limits.clone() },
        );
        let over = (entry.called.len() - entry.by_hand.min(entry.called.len())).saturating_sub(allowed);
        if over > 0 {
            self.find(FindingKind::TooFast(over));
        }
    }

    /// Lots are drawn by what was promised, among those it was promised to, and before any of them is called.
    fn check_draw(&mut self, logged: &Logged) {
        let entry = &logged.entry;
        let pending = self.roll.pending.as_ref();
        let wrong = match (&entry.draw, pending) {
            (None, Some(_)) if !entry.called.is_empty() => Some("people were called before the draw that was promised"),
            (Some(DrawStep::Drawn(draw)), Some(pending)) if pending.draw(&draw.reveal).as_ref() != Some(draw) => {
                Some("the draw is not the one that was promised: another seed, other entries, or no public value")
            }
            (Some(DrawStep::Closed { last }), Some(_)) if *last != entry.issued => {
                Some("the entries of the draw were not closed at the last number given")
            }
            (Some(DrawStep::Drawn(_)), None) if self.roll.seq > 0 && self.is_whole => {
                Some("lots were drawn without a promise")
            }
            _ => None,
        };
        wrong.into_iter().for_each(|why| self.find(FindingKind::WrongDraw(why)));
    }

    fn find(&mut self, kind: FindingKind) {
        self.findings.push(Finding { line: self.line, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Limits;
    use crate::line::draw::{Promise, Reveal};
    use crate::line::state::LineState;
    use crate::line::{Entry, GatewayId, Known, News, Numbers, Steering, Tick};
    use crate::schedule::Schedule;

    const START_US: u64 = 1_795_000_000_000_000;

    fn limits() -> Limits {
        Limits {
            interval_us: 100_000,
            burst: 2,
            total_active_users: None,
            session_duration_s: 60,
            grace_ms: 60_000,
            schedule: Schedule::ALWAYS,
        }
    }

    fn tick() -> Tick {
        Tick {
            gateway: GatewayId(1),
            lease_ms: 10_000,
            here: Numbers::default(),
            gone: Numbers::default(),
            returned: Numbers::default(),
            left: Numbers::default(),
            ended: Vec::new(),
            introduced: Vec::new(),
            known: Known::default(),
        }
    }

    fn log() -> Vec<Logged> {
        let mut line = LineState::new(START_US);
        line.steer(&Steering::Configure(limits()), START_US);
        line.join(20, START_US);
        (1..8).for_each(|tick| line.call(START_US + tick * 100_000));
        log_of(&line)
    }

    fn log_of(line: &LineState) -> Vec<Logged> {
        let News::Entries(entries) = line.follow(Known { seq: 0, ..line.roll().known() }) else { panic!() };
        let mut link = Link::default();
        entries
            .into_iter()
            .map(|entry| {
                let l = Logged::new(link, entry);
                link = l.hash;
                l
            })
            .collect()
    }

    fn findings(log: &[Logged]) -> Vec<FindingKind> {
        let lines: Vec<String> = log.iter().map(|logged| serde_json::to_string(logged).unwrap()).collect();
        verify(lines.iter().map(String::as_str)).1.into_iter().map(|finding| finding.kind).collect()
    }

    /// Links a changed log anew, as a forger would.
    fn relink(log: &mut [Logged]) {
        let mut link = Link::default();
        for logged in log {
            *logged = Logged::new(link, logged.entry.clone());
            link = logged.hash;
        }
    }

    #[test]
    fn a_true_log_is_found_true() {
        assert_eq!(findings(&log()), []);
        assert_eq!(findings(&log()[3..]), [], "from the middle on");
    }

    #[test]
    fn an_edited_line_is_found() {
        let mut log = log();
        log[3].entry.called = Numbers::run(19, 19);
        assert_eq!(findings(&log), [FindingKind::BrokenLink]);
    }

    #[test]
    fn a_missing_line_is_found() {
        let mut log = log();
        log.remove(3);
        let gap = FindingKind::Gap { expected: 4, found: 5 };
        assert_eq!(findings(&log), [FindingKind::BrokenLink, gap]);
    }

    /// A log of a room whose order was drawn.
    fn drawn() -> Vec<Logged> {
        let schedule = Schedule { starts_ms: Some(START_US / 1_000 + 1_000), ..Schedule::ALWAYS };
        let limits = Limits { schedule, ..limits() };
        let mut line = LineState::new(START_US);
        line.steer(&Steering::Configure(limits), START_US);
        line.steer(&Steering::Promise(Promise::of(&[7; 32], "root".into(), [0; 16], None)), START_US);
        line.join(20, START_US);
        line.call(START_US + 1_000_000);
        line.steer(&Steering::Draw(Reveal { seed: [7; 32], public_value: None }), START_US + 1_000_000);
        let here = Tick { here: Numbers::run(1, 20), known: line.roll().known(), ..tick() };
        line.tick(&here, START_US + 1_100_000);
        log_of(&line)
    }

    #[test]
    fn a_draw_is_held_to_its_promise() {
        let log = drawn();
        assert_eq!(findings(&log), []);
        let at = log.iter().position(|logged| logged.entry.is_drawn()).unwrap();
        let forge = |change: &dyn Fn(&mut Draw)| {
            let mut forged = log.clone();
            let Some(DrawStep::Drawn(draw)) = &mut forged[at].entry.draw else { panic!() };
            change(draw);
            relink(&mut forged);
            matches!(findings(&forged)[..], [FindingKind::WrongDraw(_)])
        };
        assert!(forge(&|draw| draw.reveal.seed = [8; 32]), "another seed");
        assert!(forge(&|draw| draw.last = 19), "somebody left out");
        assert!(forge(&|draw| draw.reveal.public_value = Some("85".into())), "a value that was not named");
        let mut early = log.clone();
        let called = early.pop().unwrap().entry;
        early.insert(at, Logged::new(Link::default(), Entry { seq: at as u64 + 1, ..called }));
        early[at + 1].entry.seq += 1;
        relink(&mut early);
        assert!(matches!(findings(&early)[0], FindingKind::WrongDraw(_)), "called before the draw");
    }

    #[test]
    fn a_forged_call_is_found_even_when_linked_anew() {
        let mut forged = log();
        forged[4].entry.called = Numbers::run(1, 1);
        relink(&mut forged);
        assert_eq!(findings(&forged), [FindingKind::WrongCall(1)]);
        let mut fast = log();
        let last = fast.last().unwrap().entry.clone();
        let called = Numbers::run(15, 19);
        let entry = Entry { seq: last.seq + 1, at_us: last.at_us + 1, called, ends_s: last.ends_s, ..last };
        fast.push(Logged::new(Link::default(), entry));
        relink(&mut fast);
        assert_eq!(findings(&fast), [FindingKind::TooFast(5)]);
    }
}
