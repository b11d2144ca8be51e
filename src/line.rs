//! The line: who came when, who was called, who gave up. Exact, and a few bits a visitor.
//!
//! A place in line is a [`Number`]. A store keeps no record per visitor, only bitmaps over the
//! numbers and a log of what happened ([`Entry`]). What can be done to a line is the contract
//! [`LineStore`]; what each verb means is said once, by the pure machine [`state::LineState`], which
//! the embedded store runs as it is and against which the Redis scripts are tested.
//!
//! # Invariants
//! - (L1) numbers are dense and strictly increasing in a room and epoch;
//! - (L2) among those present, nobody is called before a lower number;
//! - (L4) the count of live places ahead of a number never rises;
//! - (L5) calls in any window stay within rate × window + burst, over all gateways together;
//! - (L6) sessions in use stay within the active limit;
//! - (L7) ticking twice at one instant is ticking once.

mod apart;
pub mod bits;
pub mod board;
mod bounds;
pub mod chain;
pub mod draw;
pub mod numbers;
pub mod persons;
pub mod roll;
mod settings;
pub mod spent;
pub mod state;
mod tick;

pub mod embedded;
pub mod redis;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub(crate) use apart::apart;
use board::{Heard, Reading, Word};
pub use bounds::{
    CALL_LIMIT, COUNTED_PER_US, DOOR_US, EPOCH_MARGIN, JOIN_LIMIT, LAPSE_LIMIT, LOG_CAP, LONG_LINE, MUSTER_EACH_US,
    MUSTER_US, PACE_STEP_US, REST_US, UNSEEN_S,
};
use draw::DrawStep;
pub use numbers::Numbers;
pub use persons::{Arrival, CLAIM_LIMIT, Claimed, PersonId};
pub use roll::{Lots, Roll, Standing, Tally};
pub use settings::{Phase, Settings, Steering};
pub use spent::{Kind, Mark};
pub use tick::{News, Page, Tick};

/// A place in line: 1 for the first who ever came to the room. Numbers go up over epochs too, so
/// order in line is the order of numbers, unless lots were drawn: see [`draw`].
pub type Number = u64;

/// Counts the times that a room's store began anew; see [`state::LineState::restore`].
pub type Epoch = u32;

/// The name of a room, as in the configuration: 1 to 32 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(Arc<str>);

/// Says that a text cannot name a room.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` cannot name a room: use 1 to 32 of the letters a-z, digits and `-`")]
pub struct BadRoomName(String);

impl RoomName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`BadRoomName`] when a letter is not allowed in a cookie's and a key's name, or the length is not.
    pub fn new(name: &str) -> Result<Self, BadRoomName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if (1..=32).contains(&name.len()) && name.bytes().all(allowed) {
            Ok(Self(name.into()))
        } else {
            Err(BadRoomName(name.chars().take(64).collect()))
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> Self {
        name.as_str().to_owned()
    }
}

impl TryFrom<String> for RoomName {
    type Error = BadRoomName;

    fn try_from(name: String) -> Result<Self, BadRoomName> {
        Self::new(&name)
    }
}

/// One gateway process, drawn at random when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(pub u64);

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What happened to a line at one instant. The log of a room is its entries, `seq` 1, 2, 3, …
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The entry's place in the log.
    pub seq: u64,
    /// When, in microseconds since the Unix epoch, by the store's clock.
    pub at_us: u64,
    /// The epoch of the line.
    pub epoch: Epoch,
    /// The highest number given so far.
    pub issued: Number,
    /// Who was called.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    pub called: Numbers,
    /// The second, since the Unix epoch, at which the sessions of `called`, or of `renewed`, end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ends_s: u64,
    /// The rate limit's theoretical arrival time after `called`; where an epoch begins, the one that lets the rate
    /// rest.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tat_us: u64,
    /// How many of `called` an operator let in on top of the rate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub by_hand: u64,
    /// The interval that the gateways have come to, in microseconds, where the rate adapts and they came to
    /// another.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pace_us: u64,
    /// Who gave up: those of these numbers who were waiting. A reset names all at once.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    pub left: Numbers,
    /// Who was away for longer than the grace period.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    pub lapsed: Numbers,
    /// Whose session ended before its time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Slots>,
    /// Whose session goes on, instead of ending as it would have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renewed: Vec<Slots>,
    /// Who came back with a number that the store had forgotten.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    pub returned: Numbers,
    /// Numbers that may have been given without the store remembering: a new epoch began.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    pub unseen: Numbers,
    /// The settings, when they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// What was said of a draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<DrawStep>,
}

impl Entry {
    /// Tells whether lots were drawn: then everyone's place is another.
    #[must_use]
    pub fn is_drawn(&self) -> bool {
        matches!(self.draw, Some(DrawStep::Drawn(_)))
    }
}

/// Slots of the active limit that are taken until the same second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// That second, since the Unix epoch: the end of the sessions, unless something comes between.
    pub ends_s: u64,
    /// Whose sessions they are.
    pub numbers: Numbers,
}

/// A session that is to go on, as a gateway knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Renewal {
    /// Whose it is.
    pub number: Number,
    /// When it would end, in seconds since the Unix epoch.
    pub ends_s: u64,
    /// When the number was called, in microseconds since the Unix epoch.
    pub called_us: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The answer to a join: `count` numbers from `first` on, of which the first `admitted` are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The epoch of the numbers.
    pub epoch: Epoch,
    /// The lowest of the numbers.
    pub first: Number,
    /// How many were given.
    pub count: u64,
    /// How many of them, from `first` on, were called at once: the line was empty and slots free.
    pub admitted: u64,
    /// When the sessions of the admitted end, in seconds since the Unix epoch.
    pub ends_s: u64,
    /// The instant of the join by the store's clock, in microseconds since the Unix epoch.
    pub at_us: u64,
}

/// How far a mirror has followed the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The epoch of the mirror; 0 when it knows nothing.
    pub epoch: Epoch,
    /// The last entry it applied.
    pub seq: u64,
    /// The highest number it knows to be given. A join that calls nobody appends no entry, so this
    /// alone tells a store that it has lost joins.
    pub issued: Number,
}

/// Says why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreFault {
    /// The store could not be reached, or not in time; whether the verb was done is unknown.
    #[error("the line's store does not answer: {0}")]
    Unreachable(String),
    /// The store answered, and refused.
    #[error("the line's store refused: {0}")]
    Refused(String),
    /// The room is not made, or what it has lost is not restored yet. A tick later it may be.
    #[error("the line's store does not know the room, or not all of it (yet)")]
    NotMade,
    /// The limits are others than those that the change was made of.
    #[error("somebody else changed the limits at the same moment; look at them, and try again")]
    Changed,
    /// The store holds something that this program did not write.
    #[error("the line's store holds what cannot be read: {0}")]
    Corrupt(String),
}

/// Keeps the lines of all rooms.
///
/// Every verb is atomic. Each but `join`, a `claim` of anybody, `use_once` and [`Steering::Admit`] may be repeated without
/// harm; a join whose answer is lost leaves numbers that nobody holds, and these lapse. After a tick whose answer is lost,
/// the next one says all who are here. Time is the store's.
#[async_trait]
pub trait LineStore: Send + Sync {
    /// Gives `count` (1 to 65,536) consecutive numbers; [`StoreFault::NotMade`] in a room that nobody has
    /// configured.
    async fn join(&self, room: &RoomName, count: u64) -> Result<Joined, StoreFault>;

    /// Gives each of at most [`CLAIM_LIMIT`] arrivals a number, in order; a person never has two. `None` where the
    /// store knows less than the mirror: something was lost, and whose a number is may not be written down anew.
    async fn claim(&self, room: &RoomName, arrivals: &[Arrival], known: Known) -> Result<Option<Claimed>, StoreFault>;

    /// Finds the number that a person has, where its place may still stand; changes nothing. Whether the place of a
    /// drawn number stands, and whether a session has run out, the gateway knows. A store that knows no persons finds
    /// nobody.
    async fn find(&self, _room: &RoomName, _person: PersonId) -> Result<Option<(Epoch, Number)>, StoreFault> {
        Ok(None)
    }

    /// Uses what may be used once; returns whether it was unused. An answer that is lost may have used it.
    async fn use_once(&self, _room: &RoomName, _mark: &Mark) -> Result<bool, StoreFault> {
        Err(StoreFault::Refused("this store remembers no uses".to_owned()))
    }

    /// Takes in what a gateway tells of what is sold out, and tells what it has not heard of yet. A store that shares
    /// nothing has nothing to tell.
    async fn share(&self, _room: &RoomName, _told: &[(String, Word)], _known: Reading) -> Result<Heard, StoreFault> {
        Ok(Heard::default())
    }

    /// Takes in what a gateway has to say, calls whom the limits allow, and tells the news.
    async fn tick(&self, room: &RoomName, tick: &Tick) -> Result<Page, StoreFault>;

    /// Changes the settings; makes the room where there was none.
    async fn steer(&self, room: &RoomName, steering: &Steering) -> Result<(), StoreFault>;

    /// Offers what a mirror remembers, merges it in, and returns the line as it then is.
    async fn restore(&self, room: &RoomName, offered: &Roll) -> Result<Roll, StoreFault>;
}
