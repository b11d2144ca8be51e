//! One visitor: comes, waits, is let in, buys, goes. As a browser would, without looking at the pages.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::jar::Jar;
use super::live::{Ended, Live};
use super::notes::{End, Note, Tally};
use super::plan::Plan;
use super::status::{State, Status};
use super::target::Target;
use super::wire::{Answer, Ask, Wire};
use crate::clock::Clock;

mod buying;

/// How often in a row a visitor sees nothing but errors before it gives up.
const ERRORS_MAX: u32 = 8;
/// How often in a row a live connection is refused before the visitor polls instead.
const REFUSALS_MAX: u32 = 3;

/// What all visitors share.
#[derive(Debug)]
pub struct Scene {
    /// The gateways; visitors are spread over them.
    pub targets: Vec<Target>,
    /// The room's name.
    pub room: String,
    /// What is bought, if anything.
    pub inventory: Option<String>,
    /// How many seats each buyer wants.
    pub quantity: u32,
    /// How many visitors there are.
    pub visitors: u64,
    /// Tells this run's idempotency keys from any other's.
    pub run: String,
    /// The time.
    pub clock: Clock,
    /// The start of the arrivals on the stopwatch.
    pub started: Instant,
    /// The same on the clock, in microseconds since the Unix epoch.
    pub started_us: u64,
    /// When the run ends at the latest.
    pub deadline: Instant,
    /// How long a payment may stay without a booking or a refund.
    pub settling: Duration,
    /// Ends every visit at once.
    pub stop: CancellationToken,
    /// Counts everything.
    pub tally: Tally,
}

/// Lives one visit to its end, to the deadline or until the run is stopped, and hands back the notes.
pub async fn visit(scene: &Scene, plan: Plan) -> Note {
    let arrives = scene.started + Duration::from_micros(plan.arrives_us);
    let mut visitor = Visitor::new(scene, plan);
    sleep_until(arrives).await;
    scene.tally.arrived.up();
    let end = tokio::select! {
        end = visitor.live() => end,
        () = sleep_until(scene.deadline) => End::Unfinished,
        () = scene.stop.cancelled() => End::Unfinished,
    };
    visitor.leave(end)
}

struct Visitor<'a> {
    scene: &'a Scene,
    plan: Plan,
    gateway: usize,
    wire: Wire,
    jar: Jar,
    note: Note,
}

/// What the site answered to a visitor at its door.
pub(super) enum Door {
    /// Come in.
    Open,
    /// Wait; this is where you stand.
    Line(Box<Status>),
    /// Sold out.
    SoldOut,
    /// An error, or an answer that only says to try again after so many milliseconds.
    TryAgain(String, Option<u64>),
}

impl Door {
    /// Reads an answer to a request for a guarded page.
    pub(super) fn read(answer: &Answer) -> Self {
        let code = answer.status.as_u16();
        match code {
            200..=399 => return Self::Open,
            410 => return Self::SoldOut,
            _ => {}
        }
        if let Some(status) = Status::read(&answer.body) {
            return Self::Line(Box::new(status));
        }
        if code == 429 || code >= 500 {
            let after = answer.headers.get("retry-after").and_then(|after| after.to_str().ok()?.parse::<u64>().ok());
            return Self::TryAgain(format!("http_{code}"), after.map(|seconds| seconds.min(10) * 1_000));
        }
        Self::Open
    }
}

/// What comes after a while in line.
enum Next {
    /// Knock: it is the visitor's turn.
    Knock,
    /// Go away for so many milliseconds, then knock.
    Away(u64),
    /// It is over.
    Over(End),
}

impl<'a> Visitor<'a> {
    fn new(scene: &'a Scene, plan: Plan) -> Self {
        let gateway = plan.index as usize % scene.targets.len();
        let source = scene.targets[gateway].source(plan.index, scene.visitors);
        let note = Note { arrives_ms: (scene.started_us + plan.arrives_us) / 1_000, ..Note::default() };
        Self { scene, plan, gateway, wire: Wire::new(source), jar: Jar::default(), note }
    }

    /// Comes to the door until it is in or it is over.
    async fn live(&mut self) -> End {
        loop {
            match self.knock().await {
                Ok(Door::Open) => return self.enter().await,
                Ok(Door::Line(status)) => match self.wait(&status).await {
                    Next::Knock => self.pause(0, 300).await,
                    Next::Away(ms) => self.go_away(ms).await,
                    Next::Over(end) => return end,
                },
                Ok(Door::SoldOut) => return self.be_told(),
                Ok(Door::TryAgain(..)) | Err(()) => return End::GaveUp,
            }
        }
    }

    /// Asks for the page, again and again while that only brings errors.
    async fn knock(&mut self) -> Result<Door, ()> {
        for attempt in 0..ERRORS_MAX {
            let target = &self.scene.targets[self.gateway];
            let door = match self.wire.ask(target, &mut self.jar, &Ask::get(&target.page)).await {
                Ok(answer) => Door::read(&answer),
                Err(fault) => {
                    self.move_on();
                    Door::TryAgain(fault.kind().to_owned(), None)
                }
            };
            let Door::TryAgain(kind, after) = door else {
                self.join();
                return Ok(door);
            };
            self.scene.tally.error(&kind);
            let backoff = after.unwrap_or(500 << attempt.min(4));
            self.pause(backoff, backoff + backoff / 2).await;
        }
        Err(())
    }

    /// Notes the first answer, once, from the instant the visitor meant to come.
    fn join(&mut self) {
        let now_us = self.scene.clock.now_us();
        self.note.joined_ms = self.note.joined_ms.or(Some(now_us / 1_000));
        let meant_us = self.scene.started_us + self.plan.arrives_us;
        self.note.join_us = self.note.join_us.or(Some(now_us.saturating_sub(meant_us)));
    }

    /// Stands in line: on a live connection, or polling where that is refused.
    async fn wait(&mut self, status: &Status) -> Next {
        let _waiting = self.scene.tally.waiting.during();
        self.wire.close();
        if let Some(next) = self.heed(status) {
            return next;
        }
        let mut refusals = 0;
        while refusals < REFUSALS_MAX {
            let target = &self.scene.targets[self.gateway];
            match Live::open(target, self.wire.source(), &self.scene.room, &self.jar).await {
                Some(live) => match self.watch(live).await {
                    Some(next) => return next,
                    None => refusals = 0,
                },
                None => {
                    refusals += 1;
                    self.scene.tally.error("live_refused");
                }
            }
            self.note.returns += 1;
            self.move_on();
            self.pause(500, 3_000).await;
        }
        self.poll().await
    }

    /// Listens until something follows; `None` when the connection ended and another is needed.
    async fn watch(&mut self, mut live: Live) -> Option<Next> {
        let _live = self.scene.tally.live.during();
        let mut patience = Duration::from_secs(20);
        let next = loop {
            let status = match live.next(patience).await {
                Ok(status) => status,
                Err(ended) => {
                    self.scene.tally.error(kind_of(ended));
                    break None;
                }
            };
            patience = Duration::from_millis(3 * status.next_update_ms() + 5_000);
            let now_ms = self.now_ms();
            self.note.be_here(status.as_of.unwrap_or(now_ms));
            if let Some(as_of) = status.as_of {
                self.scene.tally.lag(now_ms.saturating_sub(as_of));
            }
            if let Some(next) = self.heed(&status).or_else(|| self.drop_out()) {
                break Some(next);
            }
        };
        self.note.go();
        live.close().await;
        next
    }

    /// Asks for the status as often as the status says.
    async fn poll(&mut self) -> Next {
        let path = format!("/.vestibule/status?room={}", self.scene.room);
        loop {
            let mut wait_ms = 2_000;
            if let Some(status) = self.status(&path).await {
                wait_ms = status.next_update_ms();
                if let Some(next) = self.heed(&status).or_else(|| self.drop_out()) {
                    return next;
                }
            }
            self.wire.close();
            self.pause(wait_ms, wait_ms + wait_ms / 4).await;
        }
    }

    async fn status(&mut self, path: &str) -> Option<Status> {
        let target = &self.scene.targets[self.gateway];
        let answer = self.wire.ask(target, &mut self.jar, &Ask::get(path)).await;
        let status = answer.map_err(|fault| fault.kind()).map(|answer| Status::read(&answer.body));
        if !matches!(status, Ok(Some(_))) {
            self.scene.tally.error(status.as_ref().err().unwrap_or(&"bad_status"));
            self.move_on();
        }
        status.ok().flatten()
    }

    /// Writes a status down and says what follows, if anything does.
    fn heed(&mut self, status: &Status) -> Option<Next> {
        self.scene.tally.limits(status);
        if !self.note.heed(status, self.now_ms()) {
            return Some(Next::Over(End::Lost));
        }
        match status.state {
            State::PreQueue | State::Waiting | State::Paused => None,
            State::Called | State::Admitted => Some(Next::Knock),
            State::SoldOut => Some(Next::Over(self.be_told())),
            State::Full | State::Closed => Some(Next::Over(End::TurnedAway)),
            State::Lapsed | State::None => Some(Next::Over(End::Lost)),
        }
    }

    /// Half way through the line, those who are to lose their connection once do.
    fn drop_out(&mut self) -> Option<Next> {
        let away_ms = self.plan.away_ms.filter(|_| !self.note.dropped && self.note.is_half_way())?;
        self.note.dropped = true;
        Some(Next::Away(away_ms))
    }

    /// Comes back after a while, through whichever gateway a balancer may choose.
    async fn go_away(&mut self, ms: u64) {
        self.wire.close();
        sleep(Duration::from_millis(ms)).await;
        self.note.returns += 1;
        self.gateway = self.plan.chance.between(0, self.scene.targets.len() as u64 - 1) as usize;
    }

    /// Goes on at the next gateway, ticket in hand, as behind a balancer when one does not answer.
    fn move_on(&mut self) {
        self.wire.close();
        self.gateway = (self.gateway + 1) % self.scene.targets.len();
    }

    /// Is in. Asks when it was called if it never saw it, and buys.
    async fn enter(&mut self) -> End {
        self.note.admitted_ms = Some(self.now_ms());
        self.scene.tally.admitted.up();
        if !self.jar.has_pass() {
            self.scene.tally.error("no_pass");
        }
        if self.note.called_at_ms.is_none() {
            let path = format!("/.vestibule/status?room={}", self.scene.room);
            if let Some(status) = self.status(&path).await {
                self.scene.tally.limits(&status);
                self.note.heed(&status, self.now_ms());
            }
        }
        match &self.scene.inventory {
            Some(inventory) if self.plan.holds => self.buy(inventory).await,
            _ => End::Served,
        }
    }

    fn be_told(&mut self) -> End {
        self.scene.tally.told.up();
        End::Told
    }

    async fn pause(&mut self, low_ms: u64, high_ms: u64) {
        let ms = self.plan.chance.between(low_ms, high_ms);
        sleep(Duration::from_millis(ms)).await;
    }

    fn now_ms(&self) -> u64 {
        self.scene.clock.now_ms()
    }

    fn leave(mut self, end: End) -> Note {
        let now_ms = self.now_ms();
        self.note.go();
        self.note.ended_ms = now_ms;
        self.note.end = end;
        self.note
    }
}

fn kind_of(ended: Ended) -> &'static str {
    match ended {
        Ended::Closed => "live_closed",
        Ended::Silent => "live_silent",
        Ended::Garbled => "live_garbled",
    }
}
