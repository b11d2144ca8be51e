//! What an error of Redis means: whether the verb may be sent again, and what to tell the operator.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::address::Place;
use crate::line::StoreFault;

/// Whether a verb may be sent again when it is not known whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    Never,
    Once,
}

/// A verb that was not answered as it should be.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub error: RedisError,
    /// Whether a server may have got it.
    pub was_sent: bool,
}

impl Failure {
    /// Notes an error after the verb was sent.
    pub fn sent(error: RedisError) -> Self {
        Self { error: first_of(error), was_sent: true }
    }

    /// Notes an error from before the verb was sent.
    pub fn unsent(error: RedisError) -> Self {
        Self { error, was_sent: false }
    }

    /// Tells whether the verb may be sent again: nothing can have happened, or it does no harm.
    pub fn may_repeat(&self, repeat: Repeat) -> bool {
        !self.was_sent || was_refused(&self.error) || (repeat == Repeat::Once && is_broken(&self.error))
    }

    /// Tells whether the connection is of no more use: it is broken, or the server is not the one to ask.
    pub fn ends_connection(&self) -> bool {
        use ServerErrorKind::{MasterDown, ReadOnly};
        let is_other = |kind| matches!(self.error.kind(), ErrorKind::Server(k) if k == kind);
        is_broken(&self.error) || is_other(ReadOnly) || is_other(MasterDown)
    }

    /// Tells whether the server has lost its scripts.
    pub fn is_about_scripts(&self) -> bool {
        self.error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
    }

    /// Tells whether another node of the cluster is named.
    pub fn is_moved(&self) -> bool {
        self.error.kind() == ErrorKind::Server(ServerErrorKind::Moved)
    }
}

/// Returns what the first command met of those that were sent together.
pub fn first_of(error: RedisError) -> RedisError {
    let first = error.clone().into_server_errors().and_then(|errors| errors.first().map(|(_, first)| first.clone()));
    first.map_or(error, RedisError::from)
}

impl From<Failure> for StoreFault {
    fn from(failure: Failure) -> Self {
        fault(&failure.error)
    }
}

/// Tells whether the server said no before it did anything: then even a join may be sent again.
fn was_refused(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, NoScript, ReadOnly, TryAgain};
    let refusals = [Ask, BusyLoading, ClusterDown, MasterDown, Moved, NoScript, ReadOnly, TryAgain];
    matches!(error.kind(), ErrorKind::Server(kind) if refusals.contains(&kind))
}

/// Tells whether nobody knows what became of the command.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

fn fault(error: &RedisError) -> StoreFault {
    let said = error.to_string();
    if is_broken(error) {
        StoreFault::Unreachable(said)
    } else if error.code() == Some("NOTMADE") {
        StoreFault::NotMade
    } else if said.contains("LAYOUT") || said.contains("WRONGTYPE") || error.kind() == ErrorKind::Parse {
        StoreFault::Corrupt(said)
    } else {
        StoreFault::Refused(said)
    }
}

/// The error's text when a server is too old; its detail is the version.
pub const TOO_OLD: &str = "this server is too old";

/// Says why there is no connection at the start, and what to do. Names the address, never the password.
pub fn explain(error: &RedisError, at: &Place) -> StoreFault {
    let said = error.to_string();
    match error.kind() {
        _ if is_about_password(error) => StoreFault::Refused(format!(
            "Redis at {at} refuses the user or password ({said}); give the right one in the URL: \
             redis://user:password@host:port, or redis://:password@host:port without a user"
        )),
        ErrorKind::Client if said.contains(TOO_OLD) => {
            StoreFault::Refused(format!("Redis at {at}: {said}; version 6.2 or newer is needed"))
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => StoreFault::Refused(format!(
            "Redis at {at} lets this user not do all it must ({said}); \
             it needs ~vestibule:* and @read @write @scripting @bitmap +info, in a cluster also +cluster|slots"
        )),
        _ if said.contains("cluster support disabled") => {
            StoreFault::Refused(format!("Redis at {at} is no cluster; write redis:// for a single server"))
        }
        _ if is_broken(error) => StoreFault::Unreachable(format!(
            "no answer from Redis at {at} ({said}); is it running there, and can this machine reach it?"
        )),
        _ => fault(error),
    }
}

fn is_about_password(error: &RedisError) -> bool {
    error.kind() == ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}
