//! (L5), told a second time: a leaky bucket over the instants of the calls, with none of the code's arithmetic.

use vestibule::admission::{Limits, MAX_INTERVAL_US};

/// How many admissions stand against the rate. Every call adds one and time drains them at the rate in force, so
/// that at most `burst` are in the bucket after a call means just that no window, however long, has more calls
/// than rate × window + burst.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    level: f64,
}

impl Bucket {
    /// Lets `elapsed_us` pass under `limits`.
    pub fn drain(&mut self, elapsed_us: u64, limits: &Limits) {
        if limits.interval_us > 0 {
            self.level = (self.level - elapsed_us as f64 / limits.interval_us as f64).max(0.0);
        }
    }

    /// Adds `count` calls; returns by how many they exceed the burst, where `free` of them are on top of the rate.
    pub fn fill(&mut self, count: u64, free: u64, limits: &Limits) -> f64 {
        match limits.interval_us {
            0 => 0.0,
            // At a rate of zero only an operator calls, and no rate has to rest for that.
            MAX_INTERVAL_US => (count - free) as f64,
            _ => {
                self.level += count as f64;
                if count == free { 0.0 } else { self.level - limits.burst as f64 }
            }
        }
    }

    /// Takes other limits: what is left of the burst stays as it was, and a change grants none. At a rate of zero none
    /// is left. What stands above the burst, which only an operator calls, drains in no more time than it would have.
    pub fn change(&mut self, old: &Limits, new: &Limits) {
        if (old.interval_us, old.burst) == (new.interval_us, new.burst) {
            return;
        }
        let above = match old.interval_us {
            0 | MAX_INTERVAL_US => 0.0,
            _ => (self.level - old.burst as f64).max(0.0),
        };
        let left = match old.interval_us {
            0 => old.burst as f64,
            MAX_INTERVAL_US => 0.0,
            _ => (old.burst as f64 - self.level).max(0.0),
        };
        let kept =
            if new.interval_us > old.interval_us { old.interval_us as f64 / new.interval_us as f64 } else { 1.0 };
        self.level = new.burst as f64 - left.min(new.burst as f64) + above * kept;
    }

    /// Forgets calls that the store has lost.
    pub fn forgive(&mut self, count: u64) {
        self.level = (self.level - count as f64).max(0.0);
    }
}
