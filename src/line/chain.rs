//! The hash chain over a room's log: whoever edits, drops or inserts an entry breaks it.
//!
//! Each link is the SHA-256 of the link before and of the entry in its canonical text (JSON, fields in the order of
//! [`Entry`], empty ones left out). Every follower of a log computes the same chain.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::draw::Pending;
use super::{Entry, Epoch, Number, Settings};
use crate::admission::{self, Limits};

/// One link of the chain; all zero before the first entry.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link(pub [u8; 32]);

impl Link {
    /// Returns the link after `entry`.
    #[must_use]
    pub fn then(self, entry: &Entry) -> Self {
        self.then_text(&entry.canonical())
    }

    /// Returns the link after the entry whose canonical text this is.
    #[must_use]
    pub fn then_text(self, text: &str) -> Self {
        Self(Sha256::new().chain_update(self.0).chain_update(text).finalize().into())
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        hex::encode(link.0)
    }
}

impl TryFrom<String> for Link {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, hex::FromHexError> {
        let mut link = [0; 32];
        hex::decode_to_slice(text, &mut link).map(|()| Self(link))
    }
}

/// One line of an exported log: the entry, the link before it and its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The link of the entry before.
    pub prev: Link,
    /// The link of this entry.
    pub hash: Link,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

impl Entry {
    /// Writes the text that is hashed.
    ///
    /// # Panics
    /// Never: an entry is plain data, and plain data has a JSON text.
    #[must_use]
    pub fn canonical(&self) -> String {
        serde_json::to_string(self).expect("plain data serialises")
    }
}

/// Where a log begins that is not told from its first entry on: what the entries before it came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStart {
    /// The last entry before.
    pub seq: u64,
    /// Its link.
    pub link: Link,
    /// The epoch.
    pub epoch: Epoch,
    /// The highest number given.
    pub issued: Number,
    /// The rate limit's theoretical arrival time.
    pub tat_us: u64,
    /// The interval that the gateways had come to, where the rate adapts.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub pace_us: u64,
    /// The draw that was promised and not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The settings, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
}

impl LogStart {
    /// Goes on past an entry, whose link is `link`.
    pub fn follow(&mut self, entry: &Entry, link: Link) {
        (self.seq, self.link, self.epoch, self.issued) = (entry.seq, link, entry.epoch, entry.issued);
        self.tat_us = self.tat_us.max(entry.tat_us);
        if let Some(step) = &entry.draw {
            self.pending = Pending::after(self.pending.take(), step, entry.issued);
        }
        let old = self.limits();
        if entry.pace_us > 0 {
            self.pace_us = entry.pace_us;
        }
        if entry.settings.is_some() {
            self.settings.clone_from(&entry.settings);
        }
        if let (Some(old), Some(new)) = (old, self.limits()) {
            self.tat_us = admission::carry_over(self.tat_us, entry.at_us, &old, &new);
        }
    }

    fn limits(&self) -> Option<Limits> {
        self.settings.as_ref().map(|settings| settings.limits.at(self.pace_us))
    }
}

/// The first line of an exported log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Where the log begins.
    pub start: LogStart,
}

impl Opening {
    /// Writes the line.
    ///
    /// # Panics
    /// Never: it is plain data.
    #[must_use]
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).expect("plain data serialises") + "\n"
    }
}

impl Logged {
    /// Writes the line of an entry, given its canonical text and the links before and after it.
    #[must_use]
    pub fn line(prev: Link, hash: Link, text: &str) -> String {
        format!("{{\"prev\":\"{prev:?}\",\"hash\":\"{hash:?}\",{}", &text[1..])
    }

    /// Links `entry` to the chain that ends in `prev`.
    #[must_use]
    pub fn new(prev: Link, entry: Entry) -> Self {
        Self { prev, hash: prev.then(&entry), entry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Numbers;

    #[test]
    fn an_edited_entry_has_another_link() {
        let entry = Entry { seq: 1, called: Numbers::run(1, 5), ..Entry::default() };
        let edited = Entry { called: Numbers::run(1, 6), ..entry.clone() };
        assert_ne!(Link::default().then(&entry), Link::default().then(&edited));
    }

    #[test]
    fn a_logged_line_reads_back_the_same() {
        let entry = Entry { seq: 7, at_us: 9, issued: 4, called: Numbers::run(2, 4), ..Entry::default() };
        let logged = Logged::new(Link([3; 32]), entry);
        let line = serde_json::to_string(&logged).unwrap();
        assert_eq!(serde_json::from_str::<Logged>(&line).unwrap(), logged);
    }
}
