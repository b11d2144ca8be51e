//! Where a number stands, as the holder of its ticket is told.

use super::Roll;
use crate::line::{Epoch, Number, Renewal};

/// A session is renewed once this part of its length has gone by, so that one is told of it a few times and not all the time.
const RENEWED_AFTER_PART: u64 = 10;

/// Where a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In line, behind `ahead` others.
    Waiting {
        /// Live places with a lower number.
        ahead: u64,
    },
    /// Called; may come in until the session ends.
    Called {
        /// The session's end, in seconds since the Unix epoch.
        ends_s: u64,
        /// When the call was made, in microseconds since the Unix epoch.
        at_us: u64,
    },
    /// Gave up, lapsed, or the session is over.
    Over,
    /// Forgotten by the store; the visitor's coming back gives the place back.
    Unseen,
    /// Given in an epoch that this roll has not heard of yet: in line, nobody here knows where.
    Unheard,
    /// Of a line that the store may have lost whole; the visitor's coming back brings it back.
    Bygone,
    /// Not of this line.
    Foreign,
}

impl Roll {
    /// Tells where a number stands, of which a signed ticket says that it is of `epoch`.
    #[must_use]
    pub fn standing(&self, epoch: Epoch, number: Number, now_s: u64) -> Standing {
        self.standing_and_place(epoch, number, now_s).0
    }

    /// Tells where a number stands, and its place: where lots were drawn, that takes most of the time, and is done once.
    #[must_use]
    pub fn standing_and_place(&self, epoch: Epoch, number: Number, now_s: u64) -> (Standing, Number) {
        let place = self.place(number);
        let standing = if epoch > self.epoch() {
            Standing::Unheard
        } else if self.covers(epoch, number) {
            self.standing_of(place, now_s)
        } else if self.may_replace(epoch, now_s) {
            Standing::Bygone
        } else {
            Standing::Foreign
        };
        (standing, place)
    }

    fn standing_of(&self, number: Number, now_s: u64) -> Standing {
        if number > self.issued {
            // Given by another gateway a moment ago: all between are waiting too.
            Standing::Waiting { ahead: self.waiting.count() + (number - self.issued - 1) }
        } else if self.waiting.contains(number) {
            Standing::Waiting { ahead: self.waiting.count_below(number) }
        } else if self.called.contains(number) && !self.over.contains(number) {
            self.sessions.find(number, now_s)
        } else if self.over.contains(number) {
            Standing::Over
        } else if self.unseen.contains(number) {
            Standing::Unseen
        } else {
            Standing::Foreign
        }
    }

    /// Tells whether `number`, of which the ticket says that it is of `epoch`, gave up, lapsed or ended
    /// its session.
    #[must_use]
    pub fn is_over(&self, epoch: Epoch, number: Number) -> bool {
        self.covers(epoch, number) && self.over.contains(self.place(number))
    }

    /// Returns the second at which this line counts the session of a number as over, whatever the clock shows by now; `told`
    /// for one whose call is not known here, and `None` for one that has run out.
    #[must_use]
    pub fn slot_end(&self, number: Number, told: u64) -> Option<u64> {
        let place = self.place(number);
        match self.sessions.find(place, 0) {
            Standing::Called { ends_s, .. } => Some(ends_s),
            _ if self.called.contains(place) => None,
            _ => Some(told),
        }
    }

    /// Tells whether a place has a session that runs at `now_s`, and ends at `ends_s`.
    #[must_use]
    pub fn is_inside_until(&self, place: Number, ends_s: u64, now_s: u64) -> bool {
        matches!(self.standing_of(place, now_s), Standing::Called { ends_s: known_s, .. } if known_s == ends_s)
    }

    /// Returns when a session that was renewed ends, in seconds since the Unix epoch, and when its number was called, in
    /// microseconds; `None` for any other.
    #[must_use]
    pub fn renewed(&self, epoch: Epoch, number: Number) -> Option<(u64, u64)> {
        let renewed = self.sessions.renewed();
        let is_known = !renewed.is_empty() && self.covers(epoch, number);
        let session = is_known.then(|| renewed.get(&self.place(number))).flatten()?;
        Some((session.ends_s, session.at_us))
    }

    /// Returns what a store needs to know for the session of a number to go on, if that is worth it: a session is running, and
    /// would last longer by a tenth of what a new one lasts.
    #[must_use]
    pub fn renewal(&self, number: Number, now_s: u64) -> Option<Renewal> {
        let length_s = self.settings.as_ref()?.limits.session_duration_s;
        match self.standing_of(self.place(number), now_s) {
            Standing::Called { ends_s, at_us } => {
                let gained_s = (now_s + length_s).saturating_sub(ends_s);
                let is_worth_it = gained_s > 0 && gained_s >= length_s / RENEWED_AFTER_PART;
                is_worth_it.then_some(Renewal { number, ends_s, called_us: at_us })
            }
            _ => None,
        }
    }
}
