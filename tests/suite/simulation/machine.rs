//! The store's side of the wire: the real pure line, or one with a defect that the checks have to catch.

use vestibule::admission::{Limits, MAX_INTERVAL_US};
use vestibule::line::draw::{DrawStep, Reveal};
use vestibule::line::roll::Drawn;
use vestibule::line::state::LineState;
use vestibule::line::{
    Arrival, Claimed, Entry, Joined, Known, News, Number, Numbers, Page, Roll, Steering, StoreFault, Tick,
};
use vestibule::schedule::Schedule;

use super::wire::{Answer, Reply, Verb};

/// What is wrong with a line that is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Every fifth join begins with the last number of the join before.
    GivesANumberTwice,
    /// Those who join are called before those who wait.
    LetsNewcomersPass,
    /// The rate is twice what was set.
    HearsTwiceTheRate,
    /// One session more than may be is let in.
    HearsALargerActiveLimit,
    /// Places lapse after a quarter of the grace time.
    HearsAShorterGrace,
    /// The lowest of those who came to a gateway is not noted.
    LosesWhoIsHere,
    /// The lowest who is here is overlooked in every call.
    CallsFromBehind,
    /// Sessions that end early keep their slots.
    ForgetsEndedSessions,
    /// Sessions that are to go on do not.
    ForgetsRenewals,
    /// A place is taken now and then, though nobody gave it up.
    TakesPlacesUnasked,
    /// A replica goes on as if it had missed nothing.
    FailsOverUnnoticed,
    /// A mirror that offers what was lost is not listened to.
    RestoresNothing,
    /// A mirror is not told of every entry.
    SkipsAnEntry,
    /// Gateways hear that it is ten seconds earlier than it is, so that people stay longer than their slots.
    TellsThePast,
    /// People are called whether the sale has started or not.
    HearsNoSchedule,
    /// A person who comes again gets another place.
    ForgetsWhoHasWhichPlace,
    /// A gateway that wishes for a slower rate is half heard.
    HearsHalfTheWish,
    /// What gateways say by number after a draw is taken for places.
    TakesNumbersForPlaces,
    /// Mirrors hear of other lots than were drawn.
    TellsOtherLots,
    /// The promise of a draw is taken back when its outcome could be known.
    ForgoesTheDraw,
    /// An operator's configuration of a line that gives way is not kept.
    ForgetsWhatWasConfigured,
}

/// All of them.
pub const DEFECTS: [Defect; 21] = [
    Defect::GivesANumberTwice,
    Defect::LetsNewcomersPass,
    Defect::HearsTwiceTheRate,
    Defect::HearsALargerActiveLimit,
    Defect::HearsAShorterGrace,
    Defect::LosesWhoIsHere,
    Defect::CallsFromBehind,
    Defect::ForgetsEndedSessions,
    Defect::ForgetsRenewals,
    Defect::TakesPlacesUnasked,
    Defect::FailsOverUnnoticed,
    Defect::RestoresNothing,
    Defect::SkipsAnEntry,
    Defect::TellsThePast,
    Defect::HearsNoSchedule,
    Defect::ForgetsWhoHasWhichPlace,
    Defect::HearsHalfTheWish,
    Defect::TakesNumbersForPlaces,
    Defect::TellsOtherLots,
    Defect::ForgoesTheDraw,
    Defect::ForgetsWhatWasConfigured,
];

impl Defect {
    /// Returns the word for what it breaks.
    pub fn breaks(self) -> &'static str {
        match self {
            Self::GivesANumberTwice => "(L1)",
            Self::LetsNewcomersPass => "was told to be called",
            Self::HearsTwiceTheRate => "(L5)",
            Self::HearsALargerActiveLimit | Self::ForgetsEndedSessions | Self::ForgetsRenewals => "(L6)",
            Self::HearsAShorterGrace | Self::TakesPlacesUnasked => "(L8)",
            Self::RestoresNothing => "(L",
            Self::LosesWhoIsHere => "here",
            Self::CallsFromBehind => "was called",
            Self::ForgetsWhoHasWhichPlace => "(L3)",
            Self::HearsHalfTheWish => "the pace is",
            Self::TellsThePast => "(L6)",
            Self::HearsNoSchedule => "the sale is",
            Self::TellsOtherLots | Self::ForgoesTheDraw => "draw",
            Self::TakesNumbersForPlaces => "here",
            Self::ForgetsWhatWasConfigured => "an operator has set",
            Self::FailsOverUnnoticed | Self::SkipsAnEntry => "",
        }
    }
}

/// A store's line.
pub struct Machine {
    state: LineState,
    defect: Option<Defect>,
    verbs: u64,
    /// How many servers have kept the line before this one.
    life: u64,
}

/// Lots that are being drawn: it takes a while, and the line goes on.
#[derive(Debug)]
pub struct Drawing {
    drawn: Drawn,
    life: u64,
}

impl Machine {
    pub fn new(defect: Option<Defect>, now_us: u64) -> Self {
        Self { state: LineState::new(now_us), defect, verbs: 0, life: 0 }
    }

    pub fn roll(&self) -> &Roll {
        self.state.roll()
    }

    pub fn state(&self) -> &LineState {
        &self.state
    }

    /// Forgets everything.
    pub fn lose(&mut self, now_us: u64) {
        self.state = LineState::new(now_us);
        self.life += 1;
    }

    /// Goes on from what a replica had, as another server does that takes over.
    pub fn fail_over(&mut self, replica: &LineState, now_us: u64) {
        self.life += 1;
        self.state = match self.has(Defect::FailsOverUnnoticed) {
            true => replica.clone(),
            false => {
                let mut successor = replica.clone();
                successor.succeed(now_us);
                successor
            }
        };
    }

    /// Does a verb and answers it. A line that was never made, because all was lost, gives no numbers.
    pub fn answer(&mut self, verb: &Verb, now_us: u64) -> Reply {
        self.verbs += 1;
        Ok(match verb {
            Verb::Join(_) | Verb::Claim(..) if !self.state.is_made() => return Err(StoreFault::NotMade),
            Verb::Join(count) => Answer::Joined(self.join(*count, now_us)),
            Verb::Claim(arrivals, known) => Answer::Claimed(self.claim(arrivals, *known, now_us).map(Box::new)),
            Verb::Tick(tick) => Answer::Page(Box::new(self.tick(tick, now_us))),
            Verb::Steer(Steering::Draw(_)) if self.has(Defect::ForgoesTheDraw) => {
                self.state.steer(&Steering::Forgo, now_us);
                Answer::Done
            }
            Verb::Steer(steering) => {
                self.state.steer(&self.heard(steering), now_us);
                Answer::Done
            }
            Verb::Restore(offered) => Answer::Roll(Box::new(self.restore(offered, now_us))),
        })
    }

    /// Begins to draw the lots that a reveal decides, if they are due.
    pub fn begin_draw(&self, reveal: &Reveal) -> Option<Drawing> {
        let draw = self.state.due_draw(reveal).filter(|_| !self.has(Defect::ForgoesTheDraw))?;
        Some(Drawing { drawn: Drawn::of(draw, self.roll()), life: self.life })
    }

    /// Puts lots in place that were drawn meanwhile; tells whether the server that drew them still keeps the line.
    pub fn end_draw(&mut self, drawing: Drawing, now_us: u64) -> bool {
        let is_alive = drawing.life == self.life;
        if is_alive {
            self.state.put_draw(drawing.drawn, now_us);
        }
        is_alive
    }

    /// Does the first `parts` of a tick's five, as when the wire is cut between them.
    pub fn do_parts(&mut self, tick: &Tick, parts: u64, now_us: u64) {
        let is_behind = self.state.follow(tick.known) == News::Behind;
        let is_of_old = (1..self.roll().epoch()).contains(&tick.known.epoch);
        let is_understood = tick.known.seq >= self.roll().drawn_seq;
        for part in 0..if is_behind || is_of_old { parts.min(1) } else { parts } {
            match part {
                1..=3 if !is_understood => {}
                0 => drop(self.state.vouch(tick, now_us)),
                1 => self.state.take_back(&tick.returned, now_us),
                2 => self.state.leave(&tick.left, now_us),
                3 => {
                    self.state.end(&tick.ended, now_us);
                    self.state.renew(&tick.renewed, now_us);
                }
                _ => self.state.call(now_us),
            }
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn join(&mut self, count: u64, now_us: u64) -> Joined {
        let mut joined = self.state.join(count, now_us);
        if self.has(Defect::GivesANumberTwice) && self.verbs.is_multiple_of(5) && joined.first > 1 {
            joined.first -= 1;
        }
        if self.has(Defect::LetsNewcomersPass) && joined.admitted == 0 {
            joined.admitted = 1;
        }
        joined
    }

    fn claim(&mut self, arrivals: &[Arrival], known: Known, now_us: u64) -> Option<Claimed> {
        let strangers = vec![Arrival::Anybody; arrivals.len()];
        let arrivals = if self.has(Defect::ForgetsWhoHasWhichPlace) { &strangers } else { arrivals };
        self.state.claim(arrivals, known, now_us)
    }

    fn tick(&mut self, tick: &Tick, now_us: u64) -> Page {
        let mut tick = tick.clone();
        let overlooked = self.overlooked(&tick);
        match self.defect {
            Some(Defect::LosesWhoIsHere) => tick.here = tick.here.iter().skip(1).collect(),
            Some(Defect::HearsHalfTheWish) => tick.wish_us = tick.wish_us.map(|wish_us| wish_us / 2),
            Some(Defect::ForgetsEndedSessions) => tick.ended.clear(),
            Some(Defect::ForgetsRenewals) => tick.renewed.clear(),
            Some(Defect::TakesPlacesUnasked) if self.verbs.is_multiple_of(17) => {
                tick.left = self.roll().waiting.iter_from(0).take(1).collect();
            }
            Some(Defect::TakesNumbersForPlaces) if tick.known.epoch == self.roll().epoch() => {
                let pretended = Known { seq: self.roll().drawn_seq.max(tick.known.seq), ..tick.known };
                self.state.vouch(&Tick { known: pretended, ..tick.clone() }, now_us);
            }
            Some(Defect::CallsFromBehind) => drop(self.vouch(&tick, Numbers::default(), overlooked.clone(), now_us)),
            _ => {}
        }
        let mut page = self.state.tick(&tick, now_us);
        if self.has(Defect::CallsFromBehind) {
            self.vouch(&tick, overlooked, Numbers::default(), now_us);
        }
        if let (Some(Defect::SkipsAnEntry), News::Entries(entries)) = (self.defect, &mut page.news)
            && entries.len() > 1
        {
            entries.remove(0);
        }
        if let (Some(Defect::TellsOtherLots), News::Entries(entries)) = (self.defect, &mut page.news) {
            entries.iter_mut().for_each(tell_other_lots);
        }
        if self.has(Defect::TellsThePast) {
            page.now_us -= 10_000_000;
        }
        page
    }

    fn overlooked(&self, tick: &Tick) -> Numbers {
        let lowest: Option<Number> = self.roll().waiting.iter_from(0).next();
        lowest.filter(|number| !tick.gone.contains(*number)).into_iter().collect()
    }

    fn vouch(&mut self, tick: &Tick, here: Numbers, gone: Numbers, now_us: u64) -> bool {
        self.state.vouch(&Tick { here, all_here: false, gone, ..tick.clone() }, now_us)
    }

    fn restore(&mut self, offered: &Roll, now_us: u64) -> Roll {
        match self.defect {
            Some(Defect::RestoresNothing) => return self.roll().clone(),
            // A line that is made anew knows less of an operator than one that was lost.
            Some(Defect::ForgetsWhatWasConfigured) => {
                self.state.restore(offered, now_us);
                if let Some(settings) = &offered.settings {
                    self.state.steer(&Steering::Configure(settings.configured.clone()), now_us);
                }
            }
            _ => drop(self.state.restore(offered, now_us)),
        }
        self.roll().clone()
    }

    fn heard(&self, steering: &Steering) -> Steering {
        match steering {
            Steering::Configure(limits) => Steering::Configure(self.misheard(limits)),
            Steering::Limits(limits) => Steering::Limits(self.misheard(limits)),
            other => other.clone(),
        }
    }

    fn misheard(&self, limits: &Limits) -> Limits {
        let mut limits = limits.clone();
        match self.defect {
            // Twice no rate is none.
            Some(Defect::HearsTwiceTheRate) if limits.interval_us < MAX_INTERVAL_US => limits.interval_us /= 2,
            Some(Defect::HearsNoSchedule) => limits.schedule = Schedule::ALWAYS,
            Some(Defect::HearsAShorterGrace) => limits.grace_ms /= 4,
            Some(Defect::HearsALargerActiveLimit) => {
                limits.total_active_users = limits.total_active_users.map(|limit| limit + 1);
            }
            _ => {}
        }
        limits
    }
}

fn tell_other_lots(entry: &mut Entry) {
    if let Some(DrawStep::Drawn(draw)) = &mut entry.draw {
        draw.reveal.public_value = Some("another".to_owned());
    }
}
