//! Standing in line: on a live connection, by asking now and then, or by looking at the page again.

use std::time::Duration;

use super::super::behaviour::Behaviour;
use super::super::live::{Ended, Live};
use super::super::notes::End;
use super::super::status::{State, Status};
use super::super::wire::Ask;
use super::{Door, Next, Visitor};

/// How often in a row a live connection is refused before the visitor polls instead.
const REFUSALS_MAX: u32 = 3;
/// The longest that a phone sleeps.
const SLEEP_MAX_MS: u64 = 240_000;

impl Visitor<'_> {
    /// Stands in line until something follows.
    pub(super) async fn wait(&mut self, status: &Status) -> Next {
        let _waiting = self.scene.tally.waiting.during();
        self.wire.close();
        if let Some(next) = self.heed(status) {
            return next;
        }
        match self.plan.behaviour {
            Behaviour::NoScript => {
                self.pause(status.next_update_ms(), status.next_update_ms()).await;
                Next::Reload
            }
            behaviour if behaviour.is_live() && self.scene.through.is_none() => self.listen().await,
            _ => self.poll(status.sparing_ms()).await,
        }
    }

    /// Keeps a live connection, and polls where that is refused.
    async fn listen(&mut self) -> Next {
        let mut refusals = 0;
        while refusals < REFUSALS_MAX {
            match Box::pin(self.open()).await {
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
        self.poll(0).await
    }

    async fn open(&mut self) -> Option<Live> {
        let target = &self.scene.targets[self.gateway];
        Live::open(target, self.wire.source(), &self.scene.room, &self.jar).await
    }

    /// Listens until something follows; `None` when the connection ended and another is needed.
    async fn watch(&mut self, mut live: Live) -> Option<Next> {
        let _live = self.scene.tally.live.during();
        let mut second = Box::pin(self.open_second_tab()).await;
        let reloads_ms = self.now_ms() + self.plan.chance.between(1_000, 15_000);
        let mut patience = Duration::from_secs(20);
        let next = loop {
            let lost = || self.scene.tally.error("second_tab_closed");
            let status = match Live::next_of(&mut live, &mut second, patience, lost).await {
                Ok(status) => status,
                Err(ended) => {
                    self.scene.tally.error(kind_of(ended));
                    break None;
                }
            };
            patience = Duration::from_millis(3 * status.next_update_ms() + 5_000);
            self.hear(&status);
            if let Some(next) = self.heed(&status).or_else(|| self.interrupt(&status)) {
                break Some(next);
            }
            if self.plan.behaviour == Behaviour::Reloading && self.now_ms() >= reloads_ms {
                self.note.reloads += 1;
                break Some(Next::Reload);
            }
            if self.note.is_half_way()
                && let Some(other) = second.take()
            {
                std::mem::replace(&mut live, other).close().await;
            }
        };
        self.note.go();
        live.close().await;
        next
    }

    /// Opens the page once more, with the same cookies, and a live connection of that tab.
    async fn open_second_tab(&mut self) -> Option<Live> {
        if self.plan.behaviour != Behaviour::SecondTab || self.note.is_half_way() {
            return None;
        }
        let page = &self.scene.targets[self.gateway].page;
        let answer = self.ask(Ask::get(page)).await.ok()?;
        self.wire.close();
        if let Door::Line(status) = Door::read(&answer) {
            let now_ms = self.now_ms();
            // A second tab with a number of its own is a place lost, or one too many.
            self.note.strays += u64::from(!self.note.heed(&status, now_ms));
        }
        let second = self.open().await;
        self.note.tabs += u64::from(second.is_some());
        second
    }

    fn hear(&mut self, status: &Status) {
        let now_ms = self.now_ms();
        // Of whoever is at a gateway that has lost touch, the line cannot know that they are here.
        match status.store_up {
            true => self.note.be_here(status.as_of.unwrap_or(now_ms), status.next_update_ms()),
            false => self.note.go(),
        }
        if let Some(as_of) = status.as_of {
            self.scene.tally.lag(now_ms.saturating_sub(as_of));
        }
    }

    /// Asks for the status: as often as it says, or as seldom as one can.
    async fn poll(&mut self, first_ms: u64) -> Next {
        let mut wait_ms = first_ms;
        loop {
            self.wire.close();
            self.pause(wait_ms, wait_ms + wait_ms / 4).await;
            wait_ms = 2_000;
            if let Some(status) = Box::pin(self.status()).await {
                let is_sparing = self.plan.behaviour == Behaviour::App || self.scene.through.is_some();
                wait_ms = if is_sparing { status.sparing_ms() } else { status.next_update_ms() };
                if let Some(next) = self.heed(&status).or_else(|| self.interrupt(&status)) {
                    return next;
                }
            }
        }
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

    /// Half way through the line, some do what they are to do once: lose the connection, sleep, or give up.
    fn interrupt(&mut self, status: &Status) -> Option<Next> {
        if self.note.dropped || !self.note.is_half_way() {
            return None;
        }
        let next = match self.plan.behaviour {
            Behaviour::Sleeping => Next::Away(self.sleep_ms(status)),
            Behaviour::Leaving => Next::Over(End::Left),
            _ => Next::Away(self.plan.away_ms?),
        };
        self.note.dropped = true;
        Some(next)
    }

    /// Returns for how long a phone sleeps: a good part of the time for which its place is kept.
    fn sleep_ms(&mut self, status: &Status) -> u64 {
        let grace_ms = status.grace_seconds.unwrap_or(10).saturating_mul(1_000);
        self.plan.chance.between(grace_ms / 4, grace_ms / 4 * 3).min(SLEEP_MAX_MS)
    }
}

fn kind_of(ended: Ended) -> &'static str {
    match ended {
        Ended::Closed => "live_closed",
        Ended::Silent => "live_silent",
        Ended::Garbled => "live_garbled",
    }
}
