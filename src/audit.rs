//! Verifies an exported admission log: its chain, its numbers, its rate, its active limit.
//!
//! Pure: lines in, findings out. Anyone can do the same with a page of code: each line holds the
//! link before it and its own, and the entry in canonical JSON. Where the log does not begin with the first entry, its
//! first line says what came before: the last link, the limits, and what of the rate was used up.
//!
//! What it cannot find: whether someone who was passed over was away, for who is here is written down
//! nowhere; it counts and names those who were. And a log that was written anew as a whole, unless a link of the
//! true one was kept elsewhere. Of sessions begun before the log, it knows nothing.

use std::fmt;

use crate::admission::{self, Limits};
use crate::line::bits::Bits;
use crate::line::chain::{Link, LogStart, Logged, Opening};
use crate::line::draw::{Draw, DrawStep};
use crate::line::roll::Era;
use crate::line::{Entry, Number, Numbers, Roll};

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
    /// A number was called twice, or after giving up, or without ever having waited.
    WrongCall(u64),
    /// A session was renewed of which the log does not say that it ran, or until then.
    WrongRenewal(u64),
    /// Sessions were begun or renewed that end at another second than `session_duration` after.
    WrongEnd {
        /// The second at which they should end.
        expected: u64,
        /// The second that is there.
        found: u64,
    },
    /// More were called than rate and burst allow.
    TooFast(u64),
    /// So many more sessions were in use after a call than the active limit allows.
    TooMany(u64),
    /// The line that says where the log begins is not the first.
    LateStart,
    /// The count of numbers given went down.
    Shrunk,
    /// A number that was not given yet is named, or is beyond any line.
    NeverGiven(u64),
    /// A draw is not what was promised, or people were called before it.
    WrongDraw(&'static str),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.kind {
            FindingKind::Unreadable(why) => write!(f, "is no entry of an admission log: {why}"),
            FindingKind::BrokenLink => write!(f, "the chain is broken: this line, or one before it, was changed"),
            FindingKind::Gap { expected, found } => write!(f, "entry {expected} should follow, not {found}"),
            FindingKind::WrongCall(number) => write!(f, "number {number} was called, but was not waiting"),
            FindingKind::WrongRenewal(number) => {
                write!(f, "the session of number {number} was renewed, but it did not run, or not until then")
            }
            FindingKind::WrongEnd { expected, found } => {
                write!(f, "sessions that begin or go on here end at {expected}, not at {found}")
            }
            FindingKind::TooFast(over) => write!(f, "{over} more were called than rate and burst allow"),
            FindingKind::TooMany(over) => write!(f, "{over} more sessions were in use than the active limit allows"),
            FindingKind::LateStart => write!(f, "the log begins anew in its middle"),
            FindingKind::NeverGiven(number) => write!(f, "number {number} had not been given"),
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
    /// Who was passed over: waited, while a higher number was called.
    pub passed: Passed,
    /// The draws that were made.
    pub draws: Vec<AuditedDraw>,
    /// The last link.
    pub link: Link,
}

/// Those who waited while a higher number was called, because they were away as far as the gateways saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Called later.
    pub called: Numbers,
    /// Gave up or lapsed later.
    pub over: Numbers,
    /// Still waiting at the end of the log.
    pub waiting: Numbers,
}

enum Line {
    Start(Box<Opening>),
    Entry(Box<Logged>),
}

fn read(line: &str) -> serde_json::Result<Line> {
    match line.starts_with("{\"start\":") {
        true => serde_json::from_str(line).map(|opening| Line::Start(Box::new(opening))),
        false => serde_json::from_str(line).map(|logged| Line::Entry(Box::new(logged))),
    }
}

/// A draw of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedDraw {
    /// The draw.
    pub draw: Draw,
    /// Whether the log holds its promise too, and it was kept. A log that begins later cannot tell.
    pub promise_seen: bool,
}

/// More than any line has: 512 MB of bits. An edited log may say anything.
const NUMBERS_CAP: Number = 1 << 32;

/// Verifies the lines of a log, which may begin anywhere.
#[must_use]
pub fn verify<'a>(lines: impl Iterator<Item = &'a str>) -> (Summary, Vec<Finding>) {
    let mut audit = Audit::default();
    for (i, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        audit.line = i + 1;
        match read(line) {
            Ok(Line::Start(opening)) => audit.begin(opening.start),
            Ok(Line::Entry(logged)) => audit.take(*logged),
            Err(e) => audit.find(FindingKind::Unreadable(e.to_string())),
        }
    }
    audit.summary.passed = audit.passed();
    (audit.summary, audit.findings)
}

#[derive(Default)]
struct Audit {
    line: usize,
    summary: Summary,
    findings: Vec<Finding>,
    /// What came before the next line; `None` before the first.
    last: Option<LogStart>,
    /// The line as the entries so far tell it. Of numbers given before the log begins, it knows nothing.
    roll: Roll,
    /// Of places up to this one nothing is known but what the log says of them.
    unknown: Number,
    passed: Bits,
    /// Nobody below waits.
    floor: Number,
    /// Whether the log begins with the first entry.
    is_whole: bool,
    /// Whether entries before the first line are missing, and nothing says what they came to.
    begins_blind: bool,
}

impl Audit {
    fn begin(&mut self, start: LogStart) {
        if self.last.is_some() {
            self.find(FindingKind::LateStart);
            return;
        }
        self.roll.eras.push(Era { epoch: start.epoch, above: 0 });
        (self.roll.issued, self.roll.tat_us) = (start.issued, start.tat_us);
        self.roll.pace_us = start.pace_us;
        self.roll.pending.clone_from(&start.pending);
        self.unknown = start.issued;
        self.roll.settings.clone_from(&start.settings);
        self.summary.link = start.link;
        self.last = Some(start);
    }

    fn take(&mut self, logged: Logged) {
        match self.last.take() {
            Some(last) => self.check_order(&last, &logged),
            None if logged.entry.seq > 1 => {
                (self.roll.issued, self.unknown, self.begins_blind) = (logged.entry.issued, logged.entry.issued, true);
            }
            None => {}
        }
        if logged.prev.then(&logged.entry) != logged.hash {
            self.find(FindingKind::BrokenLink);
        }
        if !self.check_numbers(&logged.entry) {
            return;
        }
        self.check_calls(&logged);
        self.check_sessions(&logged.entry);
        let tat_us = self.check_rate(&logged);
        self.check_draw(&logged);
        if self.limits().is_none() && (logged.entry.settings.is_some() || logged.entry.pace_us > 0) {
            // What the limits before have left of the burst is not known.
            self.roll.tat_us = 0;
        }
        self.roll.apply(&logged.entry);
        self.roll.tat_us = self.roll.tat_us.max(tat_us);
        self.check_active(&logged);
        self.note_passed(&logged);
        self.is_whole |= self.summary.entries == 0 && logged.entry.seq == 1;
        self.summary.entries += 1;
        self.summary.called += logged.entry.called.len();
        self.summary.link = logged.hash;
        let (seq, issued) = (logged.entry.seq, logged.entry.issued);
        self.last = Some(LogStart { seq, issued, link: logged.hash, ..LogStart::default() });
    }

    fn check_order(&mut self, last: &LogStart, next: &Logged) {
        if last.link != next.prev {
            self.find(FindingKind::BrokenLink);
        }
        let expected = last.seq + 1;
        if next.entry.seq != expected {
            self.find(FindingKind::Gap { expected, found: next.entry.seq });
        }
        if next.entry.issued < last.issued {
            self.find(FindingKind::Shrunk);
        }
    }

    /// Tells whether an entry names nobody but those who were given numbers. One that does not is left out: it would
    /// make a line as large as it likes.
    fn check_numbers(&mut self, entry: &Entry) -> bool {
        let slots = entry.ended.iter().chain(&entry.renewed).map(|slots| &slots.numbers);
        let sets = [&entry.called, &entry.left, &entry.lapsed, &entry.returned, &entry.unseen].into_iter().chain(slots);
        let drawn = match &entry.draw {
            Some(DrawStep::Drawn(draw)) => draw.last,
            Some(DrawStep::Closed { last }) => *last,
            _ => 0,
        };
        let highest = sets.filter_map(|set| set.runs().last()).map(|(_, last)| last).max().unwrap_or(0).max(drawn);
        let holds = entry.issued <= NUMBERS_CAP && highest <= entry.issued;
        if !holds {
            self.find(FindingKind::NeverGiven(highest.max(entry.issued)));
        }
        holds
    }

    fn check_calls(&mut self, logged: &Logged) {
        let wrong: Vec<Number> =
            logged.entry.called.iter().filter(|n| !self.may_be_called(*n, &logged.entry)).collect();
        wrong.into_iter().for_each(|number| self.find(FindingKind::WrongCall(number)));
    }

    /// Of a session that may have begun before the log, nothing is known.
    fn check_sessions(&mut self, entry: &Entry) {
        let settings = self.roll.settings.as_ref();
        let told = settings.filter(|_| !entry.called.is_empty() || !entry.renewed.is_empty());
        let ends_s = told.map(|settings| entry.at_us / 1_000_000 + settings.limits.session_duration_s);
        if let Some(expected) = ends_s.filter(|ends_s| *ends_s != entry.ends_s) {
            self.find(FindingKind::WrongEnd { expected, found: entry.ends_s });
        }
        for slots in &entry.renewed {
            for number in slots.numbers.iter() {
                let is_known = self.roll.called.contains(number) || number > self.unknown;
                let runs = self.roll.is_inside_until(number, slots.ends_s, entry.at_us / 1_000_000);
                if is_known && !(runs && slots.ends_s < entry.ends_s) {
                    self.find(FindingKind::WrongRenewal(number));
                }
            }
        }
    }

    /// Tells whether a number waited, or was given just now and not as one that may have been given unseen. Of one that
    /// was given before the log begins, only what has happened since is known.
    fn may_be_called(&self, number: Number, entry: &Entry) -> bool {
        let roll = &self.roll;
        if roll.called.contains(number) || roll.over.contains(number) {
            return false;
        }
        let is_new = number > roll.issued && !entry.unseen.contains(number);
        let returns = entry.returned.contains(number) && roll.is_forgotten(number);
        number <= self.unknown || roll.waiting.contains(number) || is_new || returns
    }

    /// By hand an operator may exceed the rate; the entry says so, and is not held to it. Returns the theoretical
    /// arrival time that the calls lead to, whatever the entry says of it.
    fn check_rate(&mut self, logged: &Logged) -> u64 {
        let entry = &logged.entry;
        let Some(limits) = self.limits() else {
            self.summary.unchecked += entry.called.len();
            return 0;
        };
        let allowed = admission::allowance(
            self.roll.tat_us,
            entry.at_us,
            0,
            &admission::Limits { total_active_users: None, ..limits.clone() },
        );
        let tat_us = match entry.called.len() {
            0 => 0,
            count => admission::spend(self.roll.tat_us, entry.at_us, count, &limits),
        };
        let over = (entry.called.len() - entry.by_hand.min(entry.called.len())).saturating_sub(allowed);
        if over > 0 {
            self.find(FindingKind::TooFast(over));
        }
        tat_us
    }

    /// Returns the limits in force, as far as they were told: where the log begins blind, the rate may have adapted.
    fn limits(&self) -> Option<Limits> {
        let is_told = |limits: &Limits| !limits.adapts() || self.roll.pace_us > 0 || !self.begins_blind;
        self.roll.limits().filter(is_told)
    }

    /// A limit that was lowered lets those stay who are in; but nobody is called on top of them.
    fn check_active(&mut self, logged: &Logged) {
        let limit = self.roll.settings.as_ref().and_then(|settings| settings.limits.total_active_users);
        let active = self.roll.active(logged.entry.at_us / 1_000_000);
        let over = limit.map_or(0, |limit| active.saturating_sub(limit));
        if over > 0 && !logged.entry.called.is_empty() {
            self.find(FindingKind::TooMany(over));
        }
    }

    /// Notes who waits below the highest number called.
    fn note_passed(&mut self, logged: &Logged) {
        if !logged.entry.returned.is_empty() || logged.entry.draw.is_some() {
            self.floor = 0;
        }
        let Some((_, highest)) = logged.entry.called.runs().last() else { return };
        self.floor = self.roll.waiting.iter_from(self.floor).next().unwrap_or(self.floor);
        self.passed.insert_run_of(&self.roll.waiting, self.floor, highest);
    }

    fn passed(&self) -> Passed {
        let both = |other: &Bits| self.passed.iter_from(0).filter(|number| other.contains(*number)).collect();
        Passed { called: both(&self.roll.called), over: both(&self.roll.over), waiting: both(&self.roll.waiting) }
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
            (Some(DrawStep::Closed { .. }), Some(pending)) if pending.closed.is_some() => {
                Some("the entries of the draw were closed twice")
            }
            (Some(DrawStep::Promised(_)), Some(_)) => Some("a draw was promised in the place of one that was pending"),
            (Some(DrawStep::Forgone), Some(pending)) if pending.closed.is_some() => {
                Some("the draw was taken back after its entries were closed, when its outcome could be known")
            }
            (Some(DrawStep::Drawn(_)), None) if !self.begins_blind => Some("lots were drawn without a promise"),
            (Some(DrawStep::Closed { .. } | DrawStep::Forgone), None) if !self.begins_blind => {
                Some("a draw was closed or taken back that was not promised")
            }
            _ => None,
        };
        if let Some(DrawStep::Drawn(draw)) = &entry.draw {
            // Lots mix those of whom nothing is known with the others.
            if draw.first <= self.unknown {
                self.unknown = self.unknown.max(draw.last);
            }
            self.summary.draws.push(AuditedDraw { draw: draw.clone(), promise_seen: pending.is_some() });
        }
        wrong.into_iter().for_each(|why| self.find(FindingKind::WrongDraw(why)));
    }

    fn find(&mut self, kind: FindingKind) {
        self.findings.push(Finding { line: self.line, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Settings;
    use crate::line::draw::{Promise, Reveal};
    use crate::line::state::LineState;
    use crate::line::{GatewayId, Known, News, Numbers, Renewal, Steering, Tick};
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
            floor_interval_us: None,
        }
    }

    fn tick() -> Tick {
        Tick::silent(GatewayId(1))
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

    /// A log in which number 1 is renewed before its session of a minute runs out, and more are called for the others.
    fn renewing_log() -> Vec<Logged> {
        let mut line = LineState::new(START_US);
        line.steer(&Steering::Configure(Limits { total_active_users: Some(3), ..limits() }), START_US);
        let ends_s = line.join(20, START_US).ends_s;
        let renewal = Renewal { number: 1, ends_s, called_us: START_US };
        line.renew(&[renewal], START_US + 30_000_000);
        (60..70).for_each(|second| {
            line.tick(&Tick { here: Numbers::run(1, 20), ..tick() }, START_US + second * 1_000_000);
        });
        log_of(&line)
    }

    #[test]
    fn a_renewed_session_counts_until_its_new_end() {
        let log = renewing_log();
        assert_eq!(findings(&log), []);
        let renewed = log.iter().position(|logged| !logged.entry.renewed.is_empty()).unwrap();
        assert_eq!(findings(&log[renewed..]), [], "of sessions from before the log, nothing is known");
        let mut longer = log.clone();
        longer[renewed].entry.renewed[0].ends_s += 1;
        relink(&mut longer);
        assert!(findings(&longer).contains(&FindingKind::WrongRenewal(1)), "{:?}", findings(&longer));
        let mut another = log.clone();
        another[renewed].entry.renewed[0].numbers = Numbers::run(9, 9);
        relink(&mut another);
        assert!(findings(&another).contains(&FindingKind::WrongRenewal(9)), "who waits has no session");
        let mut endless = log.clone();
        endless[renewed].entry.ends_s += 1;
        relink(&mut endless);
        let found = findings(&endless);
        assert!(matches!(found[..], [FindingKind::WrongEnd { expected, found }] if found == expected + 1), "{found:?}");
        let mut forgotten = log;
        let called = forgotten.iter().rposition(|logged| !logged.entry.called.is_empty()).unwrap();
        forgotten[called].entry.called = Numbers::run(4, 6);
        relink(&mut forgotten);
        assert!(findings(&forgotten).contains(&FindingKind::TooMany(1)), "{:?}", findings(&forgotten));
    }

    /// A log in which the rate adapts from 50 down to 10 a second and back, with a line that waits throughout.
    fn adapting_log() -> Vec<Logged> {
        let limits = Limits {
            interval_us: 20_000,
            burst: 5,
            total_active_users: None,
            session_duration_s: 60,
            grace_ms: 600_000,
            floor_interval_us: Some(200_000),
            schedule: Schedule::ALWAYS,
        };
        let mut line = LineState::new(START_US);
        line.steer(&Steering::Configure(limits), START_US);
        line.join(500, START_US);
        for tenth in 1..60 {
            let wish_us = if (20..40).contains(&tenth) { 100_000 } else { 20_000 };
            line.tick(&wishing(wish_us), START_US + tenth * 100_000);
            if tenth == 30 {
                line.steer(&Steering::Message(Some("slower".to_owned())), START_US + tenth * 100_000);
            }
        }
        log_of(&line)
    }

    fn wishing(wish_us: u64) -> Tick {
        Tick { here: Numbers::run(1, 500), wish_us: Some(wish_us), ..tick() }
    }

    #[test]
    fn a_rate_that_adapts_is_checked_at_each_instant() {
        let log = adapting_log();
        assert_eq!(
            log.iter().filter(|logged| logged.entry.pace_us > 0).count(),
            4,
            "the start at the floor, and three changes"
        );
        assert_eq!(findings(&log), []);
        for from in 1..log.len() {
            assert_eq!(findings(&log[from..]), [], "from {from} on");
        }
        let slow = log.iter().rposition(|logged| logged.entry.pace_us == 100_000).unwrap();
        let mut forged = log.clone();
        forged[slow].entry.pace_us = 200_000;
        relink(&mut forged);
        let found = findings(&forged);
        assert!(matches!(found[..], [FindingKind::TooFast(_), ..]), "calls for which the rate was too low: {found:?}");
        let mut forged = log;
        forged[slow].entry.pace_us = 200_000;
        for logged in forged[slow..].iter_mut().filter(|logged| logged.entry.tat_us > 0) {
            logged.entry.tat_us += 3_000_000;
        }
        relink(&mut forged);
        let found = findings(&forged);
        assert!(found.iter().any(|kind| matches!(kind, FindingKind::TooFast(_))), "{found:?}");
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

    /// Puts an entry with this step before the one at `at`, as a forger would.
    fn insert_step(log: &mut Vec<Logged>, at: usize, step: DrawStep) {
        let before = log[at - 1].entry.clone();
        let entry =
            Entry { seq: 0, at_us: before.at_us, epoch: before.epoch, issued: before.issued, ..Entry::default() };
        log.insert(at, Logged::new(Link::default(), Entry { draw: Some(step), ..entry }));
        for (i, logged) in log.iter_mut().enumerate() {
            logged.entry.seq = i as u64 + 1;
        }
        relink(log);
    }

    #[test]
    fn a_promise_that_is_broken_or_replaced_is_found() {
        let log = drawn();
        let is =
            |step: fn(&DrawStep) -> bool| log.iter().position(|l| l.entry.draw.as_ref().is_some_and(step)).unwrap();
        let closed = is(|step| matches!(step, DrawStep::Closed { .. }));
        let found = |at: usize, step: DrawStep| {
            let mut forged = log.clone();
            insert_step(&mut forged, at, step);
            let wrong = |kind| if let FindingKind::WrongDraw(why) = kind { Some(why) } else { None };
            findings(&forged).into_iter().filter_map(wrong).collect::<Vec<_>>()
        };
        let other = DrawStep::Promised(Promise::of(&[8; 32], "root".into(), [0; 16], None));
        let replaced = "a draw was promised in the place of one that was pending";
        assert_eq!(found(closed, other.clone())[0], replaced, "before the close");
        assert_eq!(found(closed + 1, other)[0], replaced, "and after it");
        assert!(found(closed + 1, DrawStep::Forgone)[0].starts_with("the draw was taken back after"));
        let again = DrawStep::Closed { last: log[closed].entry.issued };
        assert_eq!(found(closed + 1, again.clone()), ["the entries of the draw were closed twice"]);
        for step in [again, DrawStep::Forgone] {
            assert_eq!(found(log.len(), step), ["a draw was closed or taken back that was not promised"]);
        }
        let mut early = log[..closed].to_vec();
        insert_step(&mut early, closed, DrawStep::Forgone);
        assert_eq!(findings(&early), [], "before the entries are closed, a promise may be taken back");
    }

    /// A log in which an epoch begins, and one of those who were given numbers unseen comes back and is called.
    fn returned() -> Vec<Logged> {
        let mut line = LineState::new(START_US);
        line.steer(&Steering::Configure(limits()), START_US);
        line.join(5, START_US);
        let mut log = log_of(&line);
        let later = START_US + 10_000_000;
        line.succeed(later);
        let begun = Known { seq: line.roll().seq - 1, ..line.roll().known() };
        line.take_back(&Numbers::run(9, 9), later);
        (20..24).for_each(|tenth| line.call(later + tenth * 100_000));
        let News::Entries(entries) = line.follow(begun) else { panic!("the log goes on") };
        log.extend(entries.into_iter().map(|entry| Logged::new(Link::default(), entry)));
        relink(&mut log);
        log
    }

    #[test]
    fn a_call_of_somebody_who_never_waited_is_found() {
        let log = returned();
        assert_eq!(findings(&log), []);
        let back = log.iter().position(|logged| !logged.entry.returned.is_empty()).unwrap();
        assert!(log[back..].iter().any(|logged| logged.entry.called.contains(9)), "9 is called");
        let mut forged = log.clone();
        forged[back].entry.returned = Numbers::run(10, 10);
        relink(&mut forged);
        assert_eq!(findings(&forged), [FindingKind::WrongCall(9)], "9 did not come back");
        for from in 1..log.len() {
            assert_eq!(findings(&log[from..]), [], "from {from} on");
        }
        let mut forged = log;
        let begun = forged.iter().position(|logged| !logged.entry.unseen.is_empty()).unwrap();
        let call = forged.iter().rposition(|logged| logged.entry.called.contains(9)).unwrap();
        forged[begun].entry.called = Numbers::run(20, 20);
        forged.truncate(call);
        relink(&mut forged);
        assert!(findings(&forged).contains(&FindingKind::WrongCall(20)), "nobody knows whether 20 was given");
    }

    #[test]
    fn a_draw_whose_promise_is_not_in_the_log_is_not_called_kept() {
        let log = drawn();
        let at = log.iter().position(|logged| logged.entry.is_drawn()).unwrap();
        let lines: Vec<String> = log[at..].iter().map(|logged| serde_json::to_string(logged).unwrap()).collect();
        let (summary, found) = verify(lines.iter().map(String::as_str));
        assert_eq!((found, summary.draws[0].promise_seen), (vec![], false));
        let mut start = LogStart::default();
        log[..at].iter().for_each(|logged| start.follow(&logged.entry, logged.hash));
        let with_start: Vec<String> = std::iter::once(Opening { start }.to_line()).chain(lines).collect();
        let (summary, found) = verify(with_start.iter().map(String::as_str));
        assert_eq!((found, summary.draws[0].promise_seen), (vec![], true));
    }

    #[test]
    fn numbers_that_nobody_was_given_are_found_and_fill_no_memory() {
        let mut forged = log();
        forged[2].entry.issued = u64::MAX - 1;
        forged[3].entry.left = Numbers::run(5, u64::MAX - 1);
        relink(&mut forged);
        let found = findings(&forged);
        assert!(matches!(found[..], [FindingKind::NeverGiven(_), .., FindingKind::NeverGiven(_)]) || found.len() > 1);
        let mut drawn = drawn();
        let at = drawn.iter().position(|logged| logged.entry.is_drawn()).unwrap();
        let Some(DrawStep::Drawn(draw)) = &mut drawn[at].entry.draw else { panic!() };
        draw.last = u64::MAX;
        relink(&mut drawn);
        assert!(findings(&drawn).contains(&FindingKind::NeverGiven(u64::MAX)));
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

    #[test]
    fn an_understated_use_of_the_rate_hides_nothing() {
        let mut forged = log();
        for logged in &mut forged {
            logged.entry.tat_us = 0;
        }
        let last = forged.last().unwrap().entry.clone();
        let entry = Entry { seq: last.seq + 1, at_us: last.at_us + 1, called: Numbers::run(18, 18), ..last };
        forged.push(Logged::new(Link::default(), entry));
        relink(&mut forged);
        assert_eq!(findings(&forged), [FindingKind::TooFast(1)]);
    }

    #[test]
    fn more_sessions_than_the_limit_are_found() {
        let mut forged = log();
        let limited = |settings: &mut Settings| settings.limits.total_active_users = Some(4);
        forged[0].entry.settings.as_mut().map(limited).unwrap();
        relink(&mut forged);
        let over: Vec<u64> = (1..=forged.last().unwrap().entry.called.iter().last().unwrap() - 4).collect();
        let expected: Vec<FindingKind> = over.into_iter().map(FindingKind::TooMany).collect();
        assert!(!expected.is_empty());
        assert_eq!(findings(&forged), expected);
    }

    #[test]
    fn numbers_taken_back_and_lines_that_are_none_are_found() {
        let mut shrunk = log();
        let last = shrunk.last_mut().unwrap();
        last.entry.issued = 10;
        relink(&mut shrunk);
        assert_eq!(findings(&shrunk), [FindingKind::Shrunk]);
        let (_, found) = verify(["what", "{\"start\":1}"].into_iter());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|finding| matches!(finding.kind, FindingKind::Unreadable(_))));
    }

    /// A log from its fourth entry on, with the line that says what came before.
    fn late_log(change: impl FnOnce(&mut LogStart)) -> Vec<String> {
        let log = log();
        let mut start = LogStart::default();
        log[..3].iter().for_each(|logged| start.follow(&logged.entry, logged.hash));
        change(&mut start);
        let lines = log[3..].iter().map(|logged| serde_json::to_string(logged).unwrap());
        std::iter::once(Opening { start }.to_line()).chain(lines).collect()
    }

    fn verdict(lines: &[String]) -> (Summary, Vec<FindingKind>) {
        let (summary, findings) = verify(lines.iter().map(String::as_str));
        (summary, findings.into_iter().map(|finding| finding.kind).collect())
    }

    #[test]
    fn a_log_that_begins_late_is_checked_from_its_first_line() {
        let (summary, found) = verdict(&late_log(|_| {}));
        assert_eq!((found, summary.unchecked), (vec![], 0));
        assert!(summary.called > 0);
    }

    #[test]
    fn an_edited_first_line_is_found() {
        assert_eq!(verdict(&late_log(|start| start.link = Link([7; 32]))).1, [FindingKind::BrokenLink]);
        assert_eq!(verdict(&late_log(|start| start.issued = 99)).1, [FindingKind::Shrunk]);
        let gap = FindingKind::Gap { expected: 3, found: 4 };
        assert_eq!(verdict(&late_log(|start| start.seq = 2)).1, [gap]);
        let spent = |start: &mut LogStart| start.tat_us += 10_000_000;
        assert!(verdict(&late_log(spent)).1.contains(&FindingKind::TooFast(1)));
        let mut twice = late_log(|_| {});
        twice.insert(2, twice[0].clone());
        assert_eq!(verdict(&twice).1, [FindingKind::LateStart]);
    }

    #[test]
    fn who_was_passed_over_is_named() {
        let mut away = log();
        let calls: Vec<usize> = (0..away.len()).filter(|i| !away[*i].entry.called.is_empty()).collect();
        let [second, third] = [calls[1], calls[2]];
        let swapped = away[second].entry.called.clone();
        away[second].entry.called = std::mem::replace(&mut away[third].entry.called, swapped.clone());
        relink(&mut away);
        let lines: Vec<String> = away.iter().map(|logged| serde_json::to_string(logged).unwrap()).collect();
        let (summary, found) = verdict(&lines);
        assert_eq!((found, summary.passed.called, summary.passed.waiting), (vec![], swapped, Numbers::default()));
    }
}
