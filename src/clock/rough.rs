//! What a clock showed a few milliseconds ago, for a fifth of what it costs to ask it now: for whoever asks with every
//! request and counts in seconds. A reading takes 33 ns here, and a request took six of them.

/// Returns the milliseconds since some instant, at most 10 behind. They go on evenly.
#[must_use]
pub fn rough_ms() -> u64 {
    let (seconds, nanos) = read(Hand::Steady);
    seconds * 1_000 + nanos / 1_000_000
}

/// Returns the seconds since the Unix epoch, as they were at most 10 milliseconds ago.
#[must_use]
pub(super) fn rough_epoch_s() -> u64 {
    read(Hand::Wall).0
}

enum Hand {
    Steady,
    Wall,
}

/// Reads what the kernel wrote down at its last tick, in seconds and nanoseconds.
#[cfg(target_os = "linux")]
fn read(hand: Hand) -> (u64, u64) {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(match hand {
        Hand::Steady => ClockId::MonotonicCoarse,
        Hand::Wall => ClockId::RealtimeCoarse,
    });
    (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Reads the clock itself, where there is nothing rougher.
#[cfg(not(target_os = "linux"))]
fn read(hand: Hand) -> (u64, u64) {
    let us = match hand {
        Hand::Steady => super::system_steady_us(),
        Hand::Wall => super::system_us(),
    };
    (us / 1_000_000, us % 1_000_000 * 1_000)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{system_steady_us, system_us};
    use super::*;

    #[test]
    fn is_a_little_behind() {
        let epoch_s = || system_us() / 1_000_000;
        let (before_s, rough_s, after_s) = (epoch_s(), rough_epoch_s(), epoch_s());
        assert!((before_s - 1..=after_s).contains(&rough_s));
    }

    #[test]
    fn goes_on_as_the_clock_does() {
        let (rough, exact_us) = (rough_ms(), system_steady_us());
        std::thread::sleep(Duration::from_millis(50));
        let (passed_ms, exact_ms) = (rough_ms() - rough, (system_steady_us() - exact_us) / 1_000);
        assert!(passed_ms.abs_diff(exact_ms) <= 11, "{passed_ms} {exact_ms}");
    }
}
