//! How many cores a run kept busy: those of this process, which has the clients and the service, and those of everything
//! else on the machine, which on a quiet machine is the database.

use std::time::Duration;

/// Hundredths of a second: in these the kernel tells processor time to programs, on every architecture (`USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;

/// Is the processor time used up so far, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Used {
    own: u64,
    all: u64,
}

impl Used {
    /// Reads it; `None` where the system does not tell it as Linux does.
    pub(super) fn read() -> Option<Self> {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        Some(Self { own: own(&read("/proc/self/stat")?)?, all: all(&read("/proc/stat")?)? })
    }

    /// Returns how many cores this process and all others together kept busy since then.
    pub(super) fn cores_since(self, then: Self, elapsed: Duration) -> (f64, f64) {
        let cores = |ticks: u64| ticks as f64 / TICKS_A_SECOND / elapsed.as_secs_f64();
        let own = self.own.saturating_sub(then.own);
        (cores(own), cores(self.all.saturating_sub(then.all).saturating_sub(own)))
    }
}

/// Sums `utime` and `stime` of proc(5). The name before them may have spaces, and ends with the last bracket.
fn own(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: Vec<u64> = fields.split_ascii_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    (ticks.len() == 2).then(|| ticks.iter().sum())
}

/// Sums what all cores spent on work: `user`, `nice`, `system`, and after `idle` and `iowait`, `irq` and `softirq`.
fn all(stat: &str) -> Option<u64> {
    let ticks: Vec<u64> = stat.lines().next()?.split_ascii_whitespace().skip(1).flat_map(str::parse).collect();
    Some(ticks.get(..3)?.iter().chain(ticks.get(5..7)?).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_read_from_the_right_fields() {
        assert_eq!(own("7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20"), Some(42));
        assert_eq!(all("cpu  1 2 3 1000 1000 4 5 9 9 9\ncpu0 1 2 3"), Some(15));
        assert_eq!((own("7 (a"), own("7 (a) S 1"), all("cpu 1 2"), all("")), (None, None, None, None));
    }

    #[test]
    fn cores_are_ticks_by_time() {
        let (then, now) = (Used { own: 100, all: 1_000 }, Used { own: 300, all: 1_350 });
        assert_eq!(now.cores_since(then, Duration::from_secs(2)), (1.0, 0.75));
    }
}
