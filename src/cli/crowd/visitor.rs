//! One visitor: comes, waits, is let in, looks around, buys, goes. As a browser would, without looking at the pages.

mod buying;
mod inside;
mod robot;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::behaviour::Behaviour;
use super::carriers::Carriers;
use super::door::Door;
use super::jar::Jar;
use super::notes::{End, Note};
use super::plan::Plan;
use super::status::{State, Status};
use super::tally::Tally;
use super::target::Target;
use super::wire::{Answer, Ask, Wire, WireFault};
use crate::clock::Clock;

/// How often in a row a visitor sees nothing but errors before it gives up.
const ERRORS_MAX: u32 = 8;

/// What all visitors share.
pub struct Scene {
    /// The gateways; visitors are spread over them.
    pub targets: Vec<Target>,
    /// The room's name.
    pub room: String,
    /// Where its status is asked.
    pub status_path: String,
    /// What is bought, if anything.
    pub inventory: Option<String>,
    /// How many seats each buyer wants.
    pub quantity: u32,
    /// The pages that are looked at inside, in order.
    pub pages: Vec<String>,
    /// How long each of them is looked at, about.
    pub think: Duration,
    /// How many visitors there are.
    pub visitors: u64,
    /// Tells this run's idempotency keys from any other's.
    pub run: String,
    /// The connections that all share, where they do.
    pub through: Option<Arc<Carriers>>,
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
    pub tally: Arc<Tally>,
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

/// What comes after a while in line.
enum Next {
    /// Knock: it is the visitor's turn.
    Knock,
    /// Load the page anew.
    Reload,
    /// Go away for so many milliseconds, then knock.
    Away(u64),
    /// It is over.
    Over(End),
}

impl<'a> Visitor<'a> {
    fn new(scene: &'a Scene, plan: Plan) -> Self {
        let gateway = plan.index as usize % scene.targets.len();
        let source = scene.targets[gateway].source(plan.index, scene.visitors);
        let arrives_ms = (scene.started_us + plan.arrives_us) / 1_000;
        let note = Note { arrives_ms, behaviour: plan.behaviour, ..Note::default() };
        let jar = if plan.behaviour == Behaviour::App { Jar::of_app() } else { Jar::default() };
        Self { wire: Wire::new(source, scene.through.clone()), scene, plan, gateway, jar, note }
    }

    /// Comes to the door until it is in or it is over. What takes room is boxed: whoever only waits is to need little.
    async fn live(&mut self) -> End {
        if self.plan.behaviour == Behaviour::Robot {
            return Box::pin(self.swarm()).await;
        }
        loop {
            match Box::pin(self.knock()).await {
                Ok(Door::Open) => return Box::pin(self.enter()).await,
                Ok(Door::Line(status)) => match self.wait(&status).await {
                    Next::Knock => self.pause(0, 300).await,
                    Next::Reload => {}
                    Next::Away(ms) => self.go_away(ms).await,
                    Next::Over(End::Left) => return Box::pin(self.give_up()).await,
                    Next::Over(end) => return end,
                },
                Ok(Door::SoldOut) => return self.be_told(),
                Ok(Door::TurnedAway) => return End::TurnedAway,
                Ok(Door::TryAgain(..)) | Err(()) => return End::GaveUp,
            }
        }
    }

    /// Comes to the door, again and again while that only brings errors.
    async fn knock(&mut self) -> Result<Door, ()> {
        for attempt in 0..ERRORS_MAX {
            let door = match self.ask_at_the_door().await {
                Ok(door) => door,
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

    async fn ask_at_the_door(&mut self) -> Result<Door, WireFault> {
        let page = &self.scene.targets[self.gateway].page;
        if self.plan.behaviour == Behaviour::NoScript {
            let answer = self.ask(Ask::page(page)).await?;
            return Ok(Door::read_page(&answer, self.jar.has_pass()));
        }
        if self.plan.behaviour == Behaviour::App && self.jar.room().is_none() {
            let answer = self.ask_for_a_place().await?;
            let Some(place) = Door::read_join(&answer) else { return Ok(Door::read(&answer)) };
            self.jar.put_place(&self.scene.room, &place.ticket, place.pass.as_deref());
            if !matches!(place.status.state, State::Called | State::Admitted) {
                return Ok(Door::Line(Box::new(place.status)));
            }
        }
        Ok(Door::read(&self.ask(Ask::get(page)).await?))
    }

    async fn ask_for_a_place(&mut self) -> Result<Answer, WireFault> {
        let body = serde_json::json!({ "room": self.scene.room }).to_string();
        self.ask(Ask::post("/.vestibule/join", body)).await
    }

    /// Gives its place up, as somebody who presses the button.
    async fn give_up(&mut self) -> End {
        let path = format!("/.vestibule/leave?room={}", self.scene.room);
        if !self.ask(Ask::post(&path, "{}".to_owned())).await.is_ok_and(|answer| answer.status.is_success()) {
            self.scene.tally.error("leave_refused");
        }
        End::Left
    }

    /// Asks, and notes how long the answer took; of connections that are shared, with the time until one was free.
    async fn ask(&mut self, ask: Ask<'_>) -> Result<Answer, WireFault> {
        let target = &self.scene.targets[self.gateway];
        let asked_us = self.scene.clock.now_us();
        let answer = Box::pin(self.wire.ask(target, &mut self.jar, &ask)).await;
        if answer.is_ok() {
            let now_us = self.scene.clock.now_us();
            self.scene.tally.answer(self.second(now_us), now_us.saturating_sub(asked_us));
        }
        answer
    }

    /// Returns in which second of the run an instant is.
    fn second(&self, us: u64) -> u64 {
        us.saturating_sub(self.scene.started_us) / 1_000_000
    }

    /// Notes the first answer, once, from the instant the visitor meant to come.
    fn join(&mut self) {
        let now_us = self.scene.clock.now_us();
        self.note.joined_ms = self.note.joined_ms.or(Some(now_us / 1_000));
        let meant_us = self.scene.started_us + self.plan.arrives_us;
        self.note.join_us = self.note.join_us.or(Some(now_us.saturating_sub(meant_us)));
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

    fn be_told(&mut self) -> End {
        self.scene.tally.told.up();
        End::Told
    }

    /// Asks for the status; what is none is an error, and the next gateway's turn.
    async fn status(&mut self) -> Option<Status> {
        let answer = self.ask(Ask::get(&self.scene.status_path)).await;
        let status = answer.map_err(|fault| fault.kind()).map(|answer| Status::read(&answer.body));
        if !matches!(status, Ok(Some(_))) {
            self.scene.tally.error(status.as_ref().err().unwrap_or(&"bad_status"));
            self.move_on();
        }
        status.ok().flatten()
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

#[cfg(test)]
mod tests;
