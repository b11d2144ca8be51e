//! How many of the waiting are present; of a long line, as counted lately.

use super::LineState;
use crate::line::{COUNTED_PER_US, LONG_LINE};

/// A count of who is present, and when it was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) present: u64,
    at_us: u64,
}

impl LineState {
    /// Returns how many of the waiting are present. Of a long line that is about so many, as counted lately.
    pub(super) fn present(&mut self, now_us: u64) -> u64 {
        let span = self.span();
        let is_good =
            |counted: &Counted| now_us.checked_sub(counted.at_us).is_some_and(|age_us| age_us * COUNTED_PER_US < span);
        if let Some(counted) = self.counted.filter(|counted| span >= LONG_LINE && is_good(counted)) {
            return counted.present;
        }
        let present = self.count_present();
        if span >= LONG_LINE {
            self.counted = Some(Counted { present, at_us: now_us });
        }
        present
    }

    /// Returns how many numbers there are from the lowest that waits to the last that was given.
    pub(super) fn span(&self) -> u64 {
        self.roll.waiting.iter_from(0).next().map_or(0, |lowest| self.roll.issued - lowest)
    }

    /// Counts those of the waiting who are present.
    #[must_use]
    pub fn count_present(&self) -> u64 {
        self.callable_words().map(|(_, word)| u64::from(word.count_ones())).sum()
    }
}
