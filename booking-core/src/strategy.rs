//! The known ways to keep two buyers from one seat, and which row is sold in which. `docs/strategies.md` teaches them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::domain::inventory::{Class, InventoryId, TrainNumber, parse_date};
use crate::domain::seat::Numbering;
use crate::store::Guard;

/// Chooses how seats are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Conditional update, many requests in one commit. The default.
    Teller,
    /// Conditional update, one commit for each request.
    Conditional,
    /// The row is locked, read, and written: `SELECT … FOR UPDATE`.
    Pessimistic,
    /// The row is read, and written if its version is still the same; tried again a bounded number of times.
    Optimistic,
    /// Numbered seats: a UNIQUE key on (row, seat) decides, many requests in one commit.
    SeatKey,
    /// Numbered seats: a lock in Redis while the buyer decides, and the UNIQUE key behind it.
    SeatLock,
    /// Numbered tickets, given in order: a UNIQUE key on (slot, number) decides, many requests in one commit.
    Tickets,
}

impl Strategy {
    /// Every strategy.
    pub const ALL: [Self; 7] = [
        Self::Teller,
        Self::Conditional,
        Self::Pessimistic,
        Self::Optimistic,
        Self::SeatKey,
        Self::SeatLock,
        Self::Tickets,
    ];

    /// Returns its name in configuration and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Teller => "teller",
            Self::Conditional => "conditional",
            Self::Pessimistic => "pessimistic",
            Self::Optimistic => "optimistic",
            Self::SeatKey => "seat-key",
            Self::SeatLock => "seat-lock",
            Self::Tickets => "tickets",
        }
    }

    /// Returns how the rows it sells are numbered.
    #[must_use]
    pub const fn numbering(self) -> Numbering {
        match self {
            Self::Teller | Self::Conditional | Self::Pessimistic | Self::Optimistic => Numbering::Pool,
            Self::SeatKey | Self::SeatLock => Numbering::Seats,
            Self::Tickets => Numbering::Tickets,
        }
    }

    /// Returns what decides in the database.
    #[must_use]
    pub const fn guard(self) -> Guard {
        match self {
            Self::Teller | Self::Conditional => Guard::Condition,
            Self::Pessimistic => Guard::RowLock,
            Self::Optimistic => Guard::Version,
            Self::SeatKey | Self::SeatLock | Self::Tickets => Guard::UniqueKey,
        }
    }

    /// Tells whether requests that arrive during a commit share the next one.
    #[must_use]
    pub const fn groups(self) -> bool {
        matches!(self, Self::Teller | Self::SeatKey | Self::SeatLock | Self::Tickets)
    }
}

/// Names rows: `TRAIN:DATE:CLASS`, where `*` stands for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowPattern {
    train: Option<TrainNumber>,
    date: Option<time::Date>,
    class: Option<Class>,
}

impl RowPattern {
    /// Tells whether a row is meant.
    #[must_use]
    pub fn matches(&self, row: InventoryId) -> bool {
        self.train.is_none_or(|train| train == row.train)
            && self.date.is_none_or(|date| date == row.date)
            && self.class.is_none_or(|class| class == row.class)
    }
}

/// The text is not a pattern of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("rows are named TRAIN:DATE:CLASS with * for any, for example 12951:*:3A")]
pub struct BadPattern;

fn part<T: FromStr>(text: &str) -> Result<Option<T>, BadPattern> {
    if text == "*" { Ok(None) } else { text.parse().map(Some).map_err(|_| BadPattern) }
}

impl FromStr for RowPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':');
        let (Some(train), Some(date), Some(class), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadPattern);
        };
        let date = if date == "*" { None } else { Some(parse_date(date).map_err(|_| BadPattern)?) };
        Ok(Self { train: part(train)?, date, class: part(class)? })
    }
}

impl fmt::Display for RowPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = || "*".to_owned();
        let train = self.train.map_or_else(any, |train| train.to_string());
        let date = self.date.map_or_else(any, |date| date.to_string());
        let class = self.class.map_or_else(any, |class| class.code().to_owned());
        write!(f, "{train}:{date}:{class}")
    }
}

impl Serialize for RowPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Says in which way some rows are sold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which rows.
    pub rows: RowPattern,
    /// In which way.
    #[serde(rename = "use")]
    pub strategy: Strategy,
}

/// Says in which way each row is sold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategies {
    default: Strategy,
    rules: Vec<Rule>,
}

impl Strategies {
    /// Puts rules before a default; the first that names a row counts.
    #[must_use]
    pub const fn new(default: Strategy, rules: Vec<Rule>) -> Self {
        Self { default, rules }
    }

    /// Returns the way a row is sold in. The places of a slot have numbers, whatever the rules say.
    #[must_use]
    pub fn of(&self, row: InventoryId) -> Strategy {
        if matches!(row.class, Class::Slot(_)) {
            return Strategy::Tickets;
        }
        self.rules.iter().find(|rule| rule.rows.matches(row)).map_or(self.default, |rule| rule.strategy)
    }

    /// Lists every strategy that may be used.
    pub fn in_use(&self) -> impl Iterator<Item = Strategy> + '_ {
        std::iter::once(self.default).chain(self.rules.iter().map(|rule| rule.strategy))
    }
}

impl From<Strategy> for Strategies {
    fn from(default: Strategy) -> Self {
        Self::new(default, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(rows: &str, strategy: Strategy) -> Rule {
        Rule { rows: rows.parse().unwrap(), strategy }
    }

    #[test]
    fn the_first_rule_that_names_a_row_counts() {
        let rules = vec![
            rule("12951:2026-11-23:*", Strategy::SeatLock),
            rule("12951:*:*", Strategy::Conditional),
            rule("*:*:CC", Strategy::SeatKey),
        ];
        let strategies = Strategies::new(Strategy::Teller, rules);
        for (row, expected) in [
            ("12951:2026-11-23:3A", Strategy::SeatLock),
            ("12951:2026-11-24:3A", Strategy::Conditional),
            ("12952:2026-11-24:CC", Strategy::SeatKey),
            ("12952:2026-11-24:3A", Strategy::Teller),
            ("12951:2026-11-23:T1", Strategy::Tickets),
        ] {
            assert_eq!(strategies.of(row.parse().unwrap()), expected, "{row}");
        }
    }

    #[test]
    fn a_pattern_reads_back() {
        for text in ["12951:2026-11-23:3A", "*:*:*", "12951:*:3A"] {
            assert_eq!(text.parse::<RowPattern>().unwrap().to_string(), text);
        }
        for text in ["", "*", "12951:*", "12951:*:9Z", "1:*:*", "*:2026-02-30:*", "*:*:*:*"] {
            assert_eq!(text.parse::<RowPattern>(), Err(BadPattern), "{text}");
        }
    }
}
