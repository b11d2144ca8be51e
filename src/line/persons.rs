//! Persons at the door of a room where one person holds one place.

use super::{Epoch, Joined, Number};

/// The most arrivals that one claim may bring.
pub const CLAIM_LIMIT: usize = 4_096;

/// A person as a room's site knows them: a keyed hash, from which nobody reads who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub u128);

/// Somebody at the door of a room where one person holds one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Nobody knows who: gets a new number.
    Anybody,
    /// A person: gets the number they have, if its place stands, else a new one.
    Person {
        /// Who.
        id: PersonId,
        /// A number of theirs whose session, as the gateway knows, has run out: it stands no more. A store may
        /// know that by itself, or not.
        over: Option<Number>,
    },
}

impl Arrival {
    /// Returns who it is, where that is known.
    #[must_use]
    pub fn person(&self) -> Option<PersonId> {
        match self {
            Self::Anybody => None,
            Self::Person { id, .. } => Some(*id),
        }
    }
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The numbers that are new; `count` may be 0.
    pub joined: Joined,
    /// The number of each arrival, and its epoch, in order.
    pub numbers: Vec<(Epoch, Number)>,
}
