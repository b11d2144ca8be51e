//! The status object: what a visitor is told, the same on every channel.

mod json;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

use crate::admission::Limits;
use crate::clock::Between;
use crate::forecast::Forecast;
use crate::gate::QueueingMethod;
use crate::line::draw::Pending;
use crate::line::{Epoch, Number, Phase, Roll, Standing};
use crate::mirror::Seconds;
use crate::room::Room;
use crate::schedule::{Schedule, Stage};
use crate::token::Ticket;
use json::Written;

/// Where a visitor is on the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The sale has not begun.
    PreQueue,
    /// In line.
    Waiting,
    /// Called: the next request goes in.
    Called,
    /// In, with a pass.
    Admitted,
    /// In line, and nobody is called for now.
    Paused,
    /// In line, and nothing is left.
    SoldOut,
    /// No place: as many wait as may wait.
    Full,
    /// No place: the room is closed.
    Closed,
    /// The place is gone: away for too long, given up, or the visit is over.
    Lapsed,
    /// Not in line.
    None,
}

/// What a visitor is told. Unknown is `None`, never a guess.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The room's name.
    pub room: String,
    /// Where the visitor is.
    pub state: State,
    /// The own number in line; it never changes.
    pub number: Option<Number>,
    /// The place that was drawn for the number; the number itself where no lots were drawn, `None` before a draw,
    /// and in a room that draws lots until the log has told of the number.
    pub place: Option<Number>,
    /// The epoch of the number.
    pub epoch: Option<Epoch>,
    /// The place, 1 for the next to be called; it never rises. `None` where somebody ahead may yet come back whom the
    /// store has forgotten, and as long as there is no place.
    pub position: Option<u64>,
    /// How many are ahead.
    pub ahead: Option<u64>,
    /// How many wait in all.
    pub waiting: u64,
    /// How long the wait will probably be, in seconds.
    pub eta_seconds: Option<Seconds>,
    /// The rate limit; `None` where there is none.
    pub admissions_per_second: Option<f64>,
    /// How many may be admitted at one instant.
    pub burst: Option<u64>,
    /// Whether what is left will last until this visitor's turn.
    pub forecast: Option<Forecast>,
    /// What is left of the room's item.
    pub stock: Option<Stock>,
    /// The operator's message.
    pub message: Option<String>,
    /// How long a place is kept, at the least, when its holder is away.
    pub grace_seconds: Option<u64>,
    /// When people may take a place, or, where they may already, when they are let in, in milliseconds since the Unix
    /// epoch; `None` once that has come.
    pub opens_at: Option<u64>,
    /// How far the draw is, where one is to come.
    pub draw: Option<DrawStage>,
    /// When the visitor was called, in milliseconds since the Unix epoch.
    pub called_at: Option<u64>,
    /// Until when the visitor may come in or stay, in milliseconds since the Unix epoch.
    pub session_ends_at: Option<u64>,
    /// How old this is: milliseconds since the Unix epoch.
    pub as_of: u64,
    /// Whether the line's store answers, and did within the last second; if not, the line rests and places are kept.
    pub store_up: bool,
    /// When to ask, or to hear, next.
    pub next_update_seconds: u64,
}

/// What is left of the item that a room is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stock {
    /// How many, as last heard.
    pub available: u64,
}

/// Whoever polls and may be called at any moment comes back after so many seconds at the latest, and one more.
const UNFORESEEN_S: f64 = 10.0;

/// Nobody is asked to poll more often, in seconds, and one more.
const LEAST_S: f64 = 1.0;

impl Status {
    /// Tells where the holder of `ticket` stands now.
    ///
    /// The gate has mostly asked so before. Where lots were drawn, the place is computed again, some 2 µs, and not taken
    /// over: between the two looks at the roll lots may be drawn, and the place would be somebody else's.
    #[must_use]
    pub fn of(room: &Room, ticket: &Ticket) -> Self {
        let now = room.line_now();
        room.mirror.read(|roll| {
            let (standing, place) = roll.standing_and_place(ticket.epoch, ticket.number, now.latest_s());
            let mut status = Self::of_room(room, roll, now);
            status.number = Some(ticket.number);
            // A draw may have been promised to a number just given of which this gateway has not heard.
            let is_settled = room.rules.method != QueueingMethod::Draw || room.mirror.has_heard_of(ticket.number);
            status.place = (is_settled && roll.pending.is_none()).then_some(place);
            status.epoch = Some(ticket.epoch);
            let is_known = is_settled && !room.mirror.is_forgotten_below(place);
            status.stand(room, Course::of(room, roll, now), standing, is_known);
            status
        })
    }

    /// Says when to ask next to a program, which asks instead of being told. Where very many do, each is asked to come less
    /// often, yet in time for its turn, and long before its place or its visit could be over.
    #[must_use]
    pub fn for_a_poll(self, room: &Room) -> Self {
        use State::{Closed, Paused, PreQueue, SoldOut, Waiting};
        let period_s = room.poll_period_s();
        if period_s <= LEAST_S || !matches!(self.state, Waiting | Paused | SoldOut | PreQueue | Closed) {
            return self;
        }
        let limits = room.mirror.read(Roll::limits);
        let quiet_s = limits.as_ref().and_then(|limits| self.quiet_s(room, limits));
        let in_time_s = quiet_s.map_or(UNFORESEEN_S, |quiet_s| quiet_s / 2.0);
        let kept_s =
            limits.map_or(f64::INFINITY, |limits| limits.session_duration_s.min(limits.grace_ms / 1_000) as f64);
        let next_s = period_s.min(in_time_s).min(kept_s / 3.0).max(LEAST_S);
        Self { next_update_seconds: next_s.ceil() as u64 + 1, ..self }
    }

    /// Says for how many seconds this visitor is not called at the soonest, where that is known: if nobody else goes away,
    /// and the limit stays as it is.
    fn quiet_s(&self, room: &Room, limits: &Limits) -> Option<f64> {
        let rate = limits.admissions_per_second().filter(|rate| *rate > 0.0)?;
        let present = self.present_ahead(room).filter(|_| room.present() > 0)?;
        Some((present - limits.burst as f64).max(0.0) / rate)
    }

    /// Returns how many of those ahead are probably here: the others are passed over.
    fn present_ahead(&self, room: &Room) -> Option<f64> {
        let share = room.present() as f64 / self.waiting.max(1) as f64;
        self.ahead.map(|ahead| ahead as f64 * share.min(1.0))
    }

    /// Tells what someone without a place is told.
    #[must_use]
    pub fn of_nobody(room: &Room, state: State) -> Self {
        let now = room.line_now();
        let status = room.mirror.read(|roll| Self::of_room(room, roll, now));
        Self { state, ..status }
    }

    /// Writes it down, with a number that two statuses of one visitor have in common when they say the same, the time of
    /// saying left aside.
    #[must_use]
    pub fn written(&self) -> (String, u64) {
        let Written { text, as_of } = Written::of(self);
        let mut hasher = DefaultHasher::new();
        (&text[..as_of.start], &text[as_of.end..]).hash(&mut hasher);
        (String::from_utf8(text).unwrap_or_default(), hasher.finish())
    }

    /// Writes it down as JSON: what serde would write.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        Written::of(self).text
    }

    fn of_room(room: &Room, roll: &Roll, now: Between) -> Self {
        let settings = roll.settings.as_ref();
        let limits = roll.limits();
        let item = room.rules.item.as_deref();
        Self {
            room: room.rules.name.to_string(),
            state: State::None,
            number: None,
            place: None,
            epoch: None,
            position: None,
            ahead: None,
            waiting: roll.waiting.count(),
            eta_seconds: None,
            admissions_per_second: limits.as_ref().and_then(Limits::admissions_per_second),
            burst: limits.as_ref().map(|limits| limits.burst),
            forecast: None,
            stock: item.and_then(|item| room.sold_out.stock(item)).map(|available| Stock { available }),
            message: settings.and_then(|settings| settings.message.clone()),
            grace_seconds: limits.map(|limits| limits.grace_ms / 1_000),
            opens_at: settings.and_then(|settings| next_opening(&settings.limits.schedule, now)),
            draw: roll.pending.as_ref().map(DrawStage::of),
            called_at: None,
            session_ends_at: None,
            as_of: now.earliest_ms,
            store_up: room.is_in_touch(),
            next_update_seconds: room.live.period_s().ceil() as u64 + 1,
        }
    }

    /// Says how many are ahead only where that is known: nobody below may yet come back whom the store has forgotten.
    fn stand(&mut self, room: &Room, course: Course, standing: Standing, is_known: bool) {
        match standing {
            Standing::Waiting { .. } if course.awaits_draw => self.state = State::PreQueue,
            Standing::Waiting { ahead } => {
                self.wait(room, course, is_known.then_some(ahead));
                self.foresee(room);
            }
            Standing::Unseen | Standing::Unheard | Standing::Bygone => self.wait(room, course, None),
            Standing::Called { ends_s, at_us } => {
                self.state = State::Called;
                self.called_at = Some(at_us / 1_000);
                self.session_ends_at = Some(ends_s * 1_000);
            }
            Standing::Over => self.state = State::Lapsed,
            Standing::Foreign => self.state = State::None,
        }
    }

    /// Says whether it will last until the turn, as long as that is open and it is known how many are ahead. Those of
    /// them who are away are passed over, so that only the present share of them counts.
    fn foresee(&mut self, room: &Room) {
        let is_open = matches!(self.state, State::Waiting | State::Paused);
        let (Some(stock), Some(ahead)) = (self.stock.filter(|_| is_open), self.ahead) else { return };
        let present = self.present_ahead(room).filter(|present| *present > 0.0).unwrap_or(ahead as f64);
        self.forecast = room.taking().map(|taking| taking.forecast(stock.available, present));
    }

    fn wait(&mut self, room: &Room, course: Course, ahead: Option<u64>) {
        (self.ahead, self.position) = (ahead, ahead.map(|ahead| ahead + 1));
        self.state = match (course.phase, course.stage) {
            (Phase::Closed, _) | (_, Stage::Ended) => State::Closed,
            (_, Stage::Early | Stage::Gathering) => State::PreQueue,
            _ if room.is_sold_out(course.now.latest_ms) => State::SoldOut,
            (Phase::Paused, _) => State::Paused,
            (Phase::Open | Phase::Draining, Stage::Running) => State::Waiting,
        };
        if matches!(self.state, State::Waiting | State::SoldOut) && course.phase.calls() && self.store_up {
            let (limit, now_s) = (self.admissions_per_second, course.now.latest_s());
            let wait = |ahead| room.mirror.pace(|pace| pace.wait_behind(ahead, limit, now_s));
            self.eta_seconds = ahead.and_then(wait);
        }
    }
}

/// Where a room stands now: by its operator's hand, and by its schedule.
#[derive(Clone, Copy)]
struct Course {
    now: Between,
    phase: Phase,
    stage: Stage,
    /// Whether lots are yet to be drawn. Also where the promise of it is still under way to this gateway: a position
    /// before a draw is none.
    awaits_draw: bool,
}

impl Course {
    fn of(room: &Room, roll: &Roll, now: Between) -> Self {
        let settings = roll.settings.as_ref();
        Self {
            now,
            phase: settings.map_or(Phase::Open, |settings| settings.phase),
            stage: settings.map_or(Stage::Running, |settings| settings.limits.schedule.stage_between(now)),
            awaits_draw: roll.pending.is_some() || room.lacks_promise_in(roll, now),
        }
    }
}

/// How far a draw is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawStage {
    /// Whoever comes is in it.
    Open,
    /// The sale has started, the order is being drawn.
    Drawing,
    /// The sale has started, and the public value is waited for.
    AwaitingPublicValue,
}

impl DrawStage {
    /// Tells how far a pending draw is.
    #[must_use]
    pub fn of(pending: &Pending) -> Self {
        match (pending.closed, &pending.promise.public_value) {
            (None, _) => Self::Open,
            (Some(_), None) => Self::Drawing,
            (Some(_), Some(_)) => Self::AwaitingPublicValue,
        }
    }
}

fn next_opening(schedule: &Schedule, now: Between) -> Option<u64> {
    match schedule.stage_between(now) {
        Stage::Early => schedule.opens_ms,
        Stage::Gathering => schedule.starts_ms,
        Stage::Running | Stage::Ended => None,
    }
}
