//! What bounds admission into a line: the limits that are set, and the rate as far as it has adapted.

use super::Roll;
use crate::admission::{self, Limits};
use crate::line::Entry;

impl Roll {
    /// Returns the limits in force, the rate as far as it has adapted; `None` until the room is made.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.settings.as_ref().map(|settings| settings.limits.at(self.pace_us))
    }

    /// Takes in what the entry changes of the limits; the credit is carried over.
    pub(super) fn regulate(&mut self, entry: &Entry) {
        if entry.settings.is_none() && entry.pace_us == 0 {
            return;
        }
        let old = self.limits();
        if entry.pace_us > 0 {
            (self.pace_us, self.paced_at_us) = (entry.pace_us, entry.at_us);
        }
        self.settings = entry.settings.clone().or(self.settings.take());
        if let (Some(old), Some(new)) = (old, self.limits()) {
            self.tat_us = admission::carry_over(self.tat_us, entry.at_us, &old, &new);
        }
    }
}
