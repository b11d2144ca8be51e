//! The gateway's part in a draw: it promises a seed before the first entry, and tells it at the start.
//!
//! The seed is derived from the root of the gateways' keys and a nonce, so no gateway keeps it and
//! every gateway can tell it. All of them try; the first wins, and for the others there is nothing
//! left to draw.

use std::sync::atomic::Ordering;

use super::{Room, timed};
use crate::clock::Between;
use crate::gate::QueueingMethod;
use crate::line::draw::{Pending, Promise, Reveal};
use crate::line::{Roll, Steering, StoreFault};
use crate::schedule::{Schedule, Stage};

/// What the seeds are derived for.
const PURPOSE: &str = "vestibule 2026-11 seed of a draw";

/// Why a draw cannot be made now.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DrawFault {
    /// No draw is promised.
    #[error("no draw is promised in this room")]
    NotPromised,
    /// The sale has not started, so entries are still taken.
    #[error("entries are taken until the sale starts; draw then")]
    TooEarly,
    /// A public value was promised and not given, or given and not promised.
    #[error("{0}")]
    PublicValue(String),
    /// The keys are others than those the promise was made with.
    #[error(
        "the draw was promised with another key file (root {0}); put that file back, and the draw goes on by itself"
    )]
    OtherRoot(String),
    /// The store has not done it.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl Room {
    /// Promises a draw where the room is to make one, or takes the promise back where it is not.
    ///
    /// # Errors
    /// When the store does not answer, or the key file has no root.
    pub async fn promise_draw(&self) -> Result<(), StoreFault> {
        let is_pending = self.mirror.read(|roll| roll.pending.is_some());
        let steering = match self.rules.method {
            QueueingMethod::Draw => Steering::Promise(self.promise()?),
            _ if is_pending => Steering::Forgo,
            _ => return Ok(()),
        };
        self.steer(&steering).await
    }

    /// Tells whether the room is to draw lots among those who come, and none is promised: its store was lost meanwhile.
    #[must_use]
    pub fn lacks_promise(&self) -> bool {
        self.mirror.read(|roll| self.lacks_promise_in(roll, self.line_now()))
    }

    /// As [`Room::lacks_promise`], of the roll that is being read.
    #[must_use]
    pub fn lacks_promise_in(&self, roll: &Roll, now: Between) -> bool {
        let is_before = |schedule: &Schedule| matches!(schedule.stage_between(now), Stage::Early | Stage::Gathering);
        let schedule = roll.settings.as_ref().map(|settings| settings.limits.schedule);
        let is_open = roll.pending.is_none() && schedule.as_ref().is_some_and(is_before);
        self.rules.method == QueueingMethod::Draw && is_open
    }

    fn promise(&self) -> Result<Promise, StoreFault> {
        let nonce = self.next_nonce();
        let no_root = "the key file has no root secret, from which draws are made; run `vestibule keys rotate` once";
        let seed = self.seed(&nonce).ok_or_else(|| StoreFault::Refused(no_root.to_owned()))?;
        Ok(Promise::of(&seed, self.root_name(), nonce, self.rules.public_value.clone()))
    }

    /// Tells whether a draw is to be made that waits for no public value.
    #[must_use]
    pub fn is_draw_due(&self) -> bool {
        self.mirror.read(|roll| {
            let closed = |pending: &Pending| pending.closed.is_some() && pending.promise.public_value.is_none();
            roll.pending.as_ref().is_some_and(closed)
        })
    }

    /// Makes the draw that is due; where it cannot be made, rests for a moment before it may be tried again.
    pub async fn make_draw(&self) {
        if let Err(fault) = self.draw(None).await {
            tracing::error!(room = %self.rules.name, %fault, "the draw is not made yet");
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    /// Makes the draw that is pending, with the public value that was promised, if one was.
    ///
    /// # Errors
    /// [`DrawFault`], with what to do.
    pub async fn draw(&self, public_value: Option<String>) -> Result<(), DrawFault> {
        let pending = self.mirror.read(|roll| roll.pending.clone()).ok_or(DrawFault::NotPromised)?;
        let Promise { key, nonce, public_value: promised, .. } = &pending.promise;
        match (promised, &public_value) {
            (Some(name), None) => return Err(DrawFault::PublicValue(format!("give the public value: {name}"))),
            (None, Some(_)) => {
                return Err(DrawFault::PublicValue("no public value was promised; leave it out".to_owned()));
            }
            _ => {}
        }
        if pending.closed.is_none() {
            return Err(DrawFault::TooEarly);
        }
        let seed = self.seed(nonce).filter(|_| *key == self.root_name());
        let seed = seed.ok_or_else(|| DrawFault::OtherRoot(key.clone()))?;
        let reveal = Reveal { seed, public_value };
        Ok(self.steer(&Steering::Draw(reveal)).await?)
    }

    async fn steer(&self, steering: &Steering) -> Result<(), StoreFault> {
        timed(&self.shared.metrics, "steer", self.shared.store.steer(&self.rules.name, steering)).await
    }

    /// Makes a nonce that no other promise has: of this process, and of how many it has made.
    fn next_nonce(&self) -> [u8; 16] {
        let made = self.promises.fetch_add(1, Ordering::Relaxed);
        (u128::from(self.shared.gateway.0) << 64 | u128::from(made)).to_be_bytes()
    }

    fn seed(&self, nonce: &[u8; 16]) -> Option<[u8; 32]> {
        let about = [self.rules.name.as_str().as_bytes(), b"\0", nonce].concat();
        self.shared.ring.load().derive(PURPOSE, &about)
    }

    /// Names the root without telling it.
    fn root_name(&self) -> String {
        let named = self.shared.ring.load().derive("vestibule 2026-11 name of a root", b"");
        named.map_or_else(String::new, |name| hex::encode(&name[..4]))
    }
}
