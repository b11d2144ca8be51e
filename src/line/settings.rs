//! What an operator sets while a room runs.

use serde::{Deserialize, Serialize};

use super::draw::{Promise, Reveal};
use crate::admission::Limits;

/// Whether a room calls people in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Arrivals join and are called.
    #[default]
    Open,
    /// Arrivals join; nobody is called.
    Paused,
    /// Nobody joins; those in line are called, until nobody is left.
    Draining,
    /// Nobody joins and nobody is called; places are kept.
    Closed,
}

impl Phase {
    /// Tells whether those in line are called.
    #[must_use]
    pub const fn calls(self) -> bool {
        matches!(self, Self::Open | Self::Draining)
    }

    /// Tells whether somebody who comes is given a place.
    #[must_use]
    pub const fn joins(self) -> bool {
        matches!(self, Self::Open | Self::Paused)
    }

    /// Names it as the protocol, the stores and the metrics do.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Closed => "closed",
        }
    }

    /// All there are.
    pub const ALL: [Self; 4] = [Self::Open, Self::Paused, Self::Draining, Self::Closed];
}

/// What an operator may set while the room runs; the same on every gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether people are called in.
    pub phase: Phase,
    /// What bounds admission.
    pub limits: Limits,
    /// The limits last taken from a configuration.
    pub configured: Limits,
    /// A message shown to everyone in line, at most 500 characters.
    pub message: Option<String>,
}

/// One change of the [`Settings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steering {
    /// Takes the limits of the configuration, unless the very same were taken before: so what an
    /// operator set by hand outlives a restart, and an edited file is obeyed.
    Configure(Limits),
    /// Sets the limits.
    Limits(Limits),
    /// Sets the limits where they are still what somebody made other ones of, or are those already; else
    /// [`StoreFault::Changed`](super::StoreFault::Changed). So of two who change different things at the same moment, neither undoes the other.
    Revise {
        /// What they were made of.
        from: Box<Limits>,
        /// What they are to be.
        to: Box<Limits>,
    },
    /// Sets the phase.
    Phase(Phase),
    /// Sets or takes away the message.
    Message(Option<String>),
    /// Calls up to this many at once, on top of the rate; the rate then rests until it is even.
    Admit(u64),
    /// Takes every waiting place away.
    Reset,
    /// Promises a draw among all who come from now on, unless one is promised already or the sale has started.
    Promise(Promise),
    /// Takes back a promise: those who came stay in the order of their coming.
    Forgo,
    /// Makes the draw that was promised, once the sale has started; anything but the promised seed changes nothing.
    Draw(Reveal),
}
