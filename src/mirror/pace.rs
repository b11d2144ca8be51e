//! How fast a line moves, from its log: calls and arrivals of the last seconds, how long the
//! called had waited, and what that means for those who still wait.

use std::collections::VecDeque;

use serde::Serialize;

use crate::line::{Entry, Number};

/// Over how many seconds the pace is measured.
const WINDOW_S: u64 = 10;

/// At most this many marks of who came when are kept: about two hours at one a second.
const MARKS_CAP: usize = 8_192;

/// The pace of one line.
#[derive(Debug, Default)]
pub struct Pace {
    /// For each of the last seconds: how many came and were called.
    seconds: VecDeque<Second>,
    /// Who had come by when, and what the last of them was told.
    marks: VecDeque<Mark>,
    last_arrived: u64,
    begun_s: u64,
}

#[derive(Clone, Copy, Debug)]
struct Second {
    at_s: u64,
    came: u64,
    called: u64,
}

/// The visitors who came within one second.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// The highest number among them.
    number: Number,
    at_s: u64,
    /// How many were in line with the highest, itself included.
    waiting: u64,
    speed: Option<Speed>,
}

/// How fast the line may move, in calls a second.
#[derive(Clone, Copy, Debug)]
struct Speed {
    fastest: f64,
    slowest: f64,
}

/// A span of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Seconds {
    /// The least it may take.
    pub low: u64,
    /// The most it may take, if the line goes on as it does.
    pub high: u64,
}

impl Pace {
    /// Begins to measure where `issued` numbers were given before, nobody knows when.
    #[must_use]
    pub fn since(issued: Number) -> Self {
        Self { marks: VecDeque::from([Mark { number: issued, ..Mark::default() }]), ..Self::default() }
    }

    /// Takes in an entry of the log.
    pub fn arrive(&mut self, entry: &Entry) {
        let at_s = entry.at_us / 1_000_000;
        let before = self.marks.back().map_or(0, |mark| mark.number);
        let jumped = !entry.unseen.is_empty();
        self.last_arrived = if jumped { 0 } else { entry.issued.saturating_sub(before) };
        self.mark(entry.issued, at_s);
        let came = self.last_arrived;
        if entry.is_drawn() {
            self.forget_order(at_s);
        }
        let second = self.second(at_s);
        second.called += entry.called.len();
        second.came += came;
    }

    /// Returns how many came with the last entry.
    #[must_use]
    pub fn last_arrived(&self) -> u64 {
        self.last_arrived
    }

    /// Returns how long those called by `entry` had waited, in seconds, with how many did.
    #[must_use]
    pub fn waits(&self, entry: &Entry) -> Vec<(f64, u64)> {
        let wait_s = |first| Some((entry.at_us as f64 / 1e6 - self.came_s(first)? as f64).max(0.0));
        entry.called.runs().filter_map(|(first, last)| Some((wait_s(first)?, last - first + 1))).collect()
    }

    /// Notes what those who have just come are told of their wait, `waiting` being in line and `limit`
    /// the rate limit, so that it can be compared with the wait that comes of it.
    pub fn promise(&mut self, waiting: u64, limit: Option<f64>, now_s: u64) {
        let speed = self.speed(limit, now_s);
        if let Some(mark) = self.marks.back_mut().filter(|_| self.last_arrived > 0) {
            (mark.waiting, mark.speed) = (waiting, speed);
        }
    }

    /// Returns how far what the called had been told was from how long they had waited, as a part of
    /// the latter, with how many it is true of. Waits of less than a second say nothing.
    #[must_use]
    pub fn errors(&self, entry: &Entry) -> Vec<(f64, u64)> {
        let error = |first| {
            let mark = self.mark_of(first)?;
            let waited_s = entry.at_us as f64 / 1e6 - mark.at_s as f64;
            let ahead = mark.waiting.checked_sub(mark.number - first + 1)?;
            let told = mark.speed?.wait_behind(ahead);
            let told_s = (told.low + told.high) as f64 / 2.0;
            (waited_s >= 1.0).then(|| (told_s - waited_s).abs() / waited_s)
        };
        entry.called.runs().filter_map(|(first, last)| Some((error(first)?, last - first + 1))).collect()
    }

    /// Returns about when a number was given, in seconds since the Unix epoch.
    #[must_use]
    pub fn came_s(&self, number: Number) -> Option<u64> {
        self.mark_of(number).map(|mark| mark.at_s)
    }

    fn mark_of(&self, number: Number) -> Option<&Mark> {
        let after = self.marks.partition_point(|mark| mark.number < number);
        self.marks.get(after).filter(|mark| mark.at_s > 0)
    }

    /// Returns how many a second were called lately; `None` before there is anything to measure.
    #[must_use]
    pub fn called_per_second(&self, now_s: u64) -> Option<f64> {
        self.per_second(now_s, |second| second.called)
    }

    /// Returns how many a second came lately.
    #[must_use]
    pub fn came_per_second(&self, now_s: u64) -> Option<f64> {
        self.per_second(now_s, |second| second.came)
    }

    /// Estimates the wait of someone behind `ahead` others: not shorter than the limit allows, and as
    /// long as the measured pace says. `None` when nobody is called.
    #[must_use]
    pub fn wait_behind(&self, ahead: u64, limit: Option<f64>, now_s: u64) -> Option<Seconds> {
        self.speed(limit, now_s).map(|speed| speed.wait_behind(ahead))
    }

    fn speed(&self, limit: Option<f64>, now_s: u64) -> Option<Speed> {
        let measured = self.called_per_second(now_s).filter(|rate| *rate > 0.0);
        let fastest = limit.or(measured).filter(|rate| *rate > 0.0)?;
        Some(Speed { fastest, slowest: measured.map_or(fastest, |rate| rate.min(fastest)) })
    }

    fn mark(&mut self, issued: Number, at_s: u64) {
        match self.marks.back_mut() {
            Some(mark) if mark.at_s == at_s => mark.number = issued.max(mark.number),
            _ => self.marks.push_back(Mark { number: issued, at_s, ..Mark::default() }),
        }
        if self.marks.len() > MARKS_CAP {
            self.marks.pop_front();
        }
    }

    /// After a draw nobody's place says when they came: all wait from the draw on.
    fn forget_order(&mut self, at_s: u64) {
        let number = self.marks.back().map_or(0, |mark| mark.number);
        self.marks = VecDeque::from([Mark { number, at_s, ..Mark::default() }]);
    }

    fn second(&mut self, at_s: u64) -> &mut Second {
        if self.begun_s == 0 {
            self.begun_s = at_s;
        }
        if self.seconds.back().is_none_or(|second| second.at_s < at_s) {
            self.seconds.push_back(Second { at_s, came: 0, called: 0 });
        }
        while self.seconds.front().is_some_and(|second| second.at_s + WINDOW_S + 1 < at_s) {
            self.seconds.pop_front();
        }
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }

    /// Averages over the full seconds of the window, not the one that is still running.
    fn per_second(&self, now_s: u64, count: impl Fn(&Second) -> u64) -> Option<f64> {
        let from_s = now_s.saturating_sub(WINDOW_S).max(self.begun_s);
        let full_s = now_s.saturating_sub(from_s);
        let within = self.seconds.iter().filter(|second| (from_s..now_s).contains(&second.at_s));
        let sum: u64 = within.map(count).sum();
        (self.begun_s > 0 && full_s >= 2).then(|| sum as f64 / full_s as f64)
    }
}

impl Speed {
    fn wait_behind(self, ahead: u64) -> Seconds {
        let turn = (ahead + 1) as f64;
        let low = (turn / self.fastest * 0.95).floor() as u64;
        Seconds { low, high: ((turn / self.slowest * 1.1).ceil() as u64 + 1).max(low + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Numbers;

    fn entry(at_s: u64, issued: u64, called: Numbers) -> Entry {
        Entry { at_us: at_s * 1_000_000, issued, called, ..Entry::default() }
    }

    #[test]
    fn the_pace_is_what_the_log_says() {
        let mut pace = Pace::since(0);
        for s in 0..10 {
            pace.arrive(&entry(100 + s, 20 * (s + 1), Numbers::run(s * 5 + 1, s * 5 + 5)));
        }
        assert_eq!(pace.called_per_second(110), Some(5.0));
        assert_eq!(pace.came_per_second(110), Some(20.0));
        assert_eq!(pace.came_s(45), Some(102));
        let wait = pace.wait_behind(99, Some(10.0), 110).unwrap();
        assert_eq!((wait.low, wait.high), (9, 23), "between the limit and the measured pace");
        assert_eq!(pace.wait_behind(99, Some(0.0), 110), None);
        assert_eq!(pace.called_per_second(200), Some(0.0));
    }

    #[test]
    fn what_was_told_is_compared_with_what_came() {
        let mut pace = Pace::since(0);
        pace.arrive(&entry(100, 10, Numbers::default()));
        pace.promise(10, Some(1.0), 100);
        let [soon, late] = [entry(108, 10, Numbers::run(8, 8)), entry(120, 10, Numbers::run(10, 10))];
        assert_eq!(pace.errors(&soon), [(0.0625, 1)], "told 7 to 10, and waited 8");
        assert_eq!(pace.errors(&late), [(0.475, 1)], "told 9 to 12, and waited 20");
        assert_eq!(pace.errors(&entry(100, 10, Numbers::run(1, 1))), []);
        pace.arrive(&entry(121, 12, Numbers::default()));
        assert_eq!(pace.errors(&entry(130, 12, Numbers::run(12, 12))), [], "nothing was told");
    }

    #[test]
    fn the_called_have_waited_since_they_came() {
        let mut pace = Pace::since(0);
        pace.arrive(&entry(100, 10, Numbers::default()));
        let call = entry(130, 10, Numbers::run(1, 4));
        pace.arrive(&call);
        assert_eq!(pace.waits(&call), [(30.0, 4)]);
    }
}
