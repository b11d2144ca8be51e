//! When a sale opens for entry, starts to let people in, and ends.
//!
//! Pure, and all in instants: a time zone matters only where one is written down, in the
//! configuration.

use serde::{Deserialize, Serialize};

use crate::clock::Between;

/// The instants of one sale, in milliseconds since the Unix epoch; one that is not set does not bound it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// From when on people may take a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_ms: Option<u64>,
    /// From when on people are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_ms: Option<u64>,
    /// From when on nobody joins and nobody is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<u64>,
}

/// How far a sale has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nobody may take a place yet.
    Early,
    /// People take places; nobody is called.
    Gathering,
    /// People are called.
    Running,
    /// It is over.
    Ended,
}

impl Schedule {
    /// The schedule of a room that is always open.
    pub const ALWAYS: Self = Self { opens_ms: None, starts_ms: None, ends_ms: None };

    /// Tells how far the sale has come at `now_ms`.
    #[must_use]
    pub fn stage(&self, now_ms: u64) -> Stage {
        let before = |instant: Option<u64>| instant.is_some_and(|instant| now_ms < instant);
        if self.ends_ms.is_some_and(|ends_ms| now_ms >= ends_ms) {
            Stage::Ended
        } else if before(self.opens_ms) {
            Stage::Early
        } else if before(self.starts_ms) {
            Stage::Gathering
        } else {
            Stage::Running
        }
    }

    /// Tells how far the sale has come for certain: it opens late rather than early, and ends early rather than late.
    #[must_use]
    pub fn stage_between(&self, now: Between) -> Stage {
        match self.stage(now.latest_ms) {
            Stage::Ended => Stage::Ended,
            _ => self.stage(now.earliest_ms),
        }
    }

    /// Tells whether no instant is set: the sale always runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what is wrong with the order of the instants, if anything.
    #[must_use]
    pub fn disorder(&self) -> Option<&'static str> {
        let not_before = |a: Option<u64>, b: Option<u64>| a.zip(b).is_some_and(|(a, b)| a >= b);
        if self.opens_ms.zip(self.starts_ms).is_some_and(|(opens, starts)| opens > starts) {
            Some("opens_at must not be after starts_at: people take places first, then they are let in")
        } else if not_before(self.starts_ms, self.ends_ms) || not_before(self.opens_ms, self.ends_ms) {
            Some("ends_at must be after opens_at and starts_at")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_goes_through_its_stages() {
        let sale = Schedule { opens_ms: Some(10), starts_ms: Some(20), ends_ms: Some(30) };
        let stages = [9, 10, 19, 20, 29, 30].map(|now| sale.stage(now));
        use Stage::{Early, Ended, Gathering, Running};
        assert_eq!(stages, [Early, Gathering, Gathering, Running, Running, Ended]);
        assert_eq!(Schedule::default().stage(0), Running);
        assert_eq!(Schedule { starts_ms: Some(5), ..Schedule::default() }.stage(4), Gathering);
        assert_eq!(Schedule { opens_ms: Some(5), ..Schedule::default() }.stage(5), Running);
    }

    #[test]
    fn a_wrong_order_is_told_by_what_must_be() {
        let told = Schedule { opens_ms: None, starts_ms: Some(20), ends_ms: Some(10) }.disorder();
        assert_eq!(told, Some("ends_at must be after opens_at and starts_at"));
    }

    #[test]
    fn nobody_is_early_and_nobody_is_late_while_the_time_is_not_known_exactly() {
        let sale = Schedule { opens_ms: Some(10), starts_ms: None, ends_ms: Some(30) };
        let at = |earliest_ms, latest_ms| sale.stage_between(Between { earliest_ms, latest_ms });
        assert_eq!(
            [at(9, 12), at(10, 12), at(27, 29), at(28, 30)],
            [Stage::Early, Stage::Running, Stage::Running, Stage::Ended]
        );
    }

    #[test]
    fn instants_out_of_order_are_told() {
        let order =
            |opens, starts, ends| Schedule { opens_ms: opens, starts_ms: starts, ends_ms: ends }.disorder().is_some();
        assert!(!order(Some(1), Some(1), Some(2)) && !order(None, None, Some(1)) && !order(Some(1), None, None));
        assert!(order(Some(2), Some(1), None) && order(None, Some(2), Some(2)) && order(Some(3), None, Some(2)));
    }
}
