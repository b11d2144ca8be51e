//! What an entry of the log may say.

use vestibule::line::{Entry, Number, Phase};

use super::Oracle;

impl Oracle {
    /// Holds an entry against the books, and writes it into them.
    pub(super) fn read(&mut self, entry: &Entry) {
        let (at_us, clock_us) = (entry.at_us, self.books.clock_us);
        self.demand(at_us == clock_us, || format!("entry {} is of {at_us}, and it is {clock_us}", entry.seq));
        self.demand(entry.seq == self.rebuilt.seq + 1, || format!("entry {} does not follow", entry.seq));
        self.demand(entry.unseen.is_empty(), || "an epoch began, and nothing was lost".to_owned());
        self.rebuilt.apply(entry);
        entry.returned.iter().for_each(|number| self.returned(number));
        entry.left.iter().for_each(|number| self.left(number));
        let is_empty = !self.asked.reset || self.books.waiting.is_empty();
        self.demand(is_empty, || "somebody kept a place through a reset".to_owned());
        entry.lapsed.iter().for_each(|number| self.lapsed(number));
        for ended in &entry.ended {
            ended.numbers.iter().for_each(|number| self.ended(number));
        }
        self.called(entry);
        self.books.end_sessions(entry.at_us);
    }

    fn returned(&mut self, number: Number) {
        let books = &self.books;
        let known = books.waiting.contains(&number) || books.called.contains(&number);
        let is_fair = !known && !books.over.contains(&number) && self.asked.returned.contains(&number);
        self.demand(is_fair, || format!("{number} returned, who was known or never asked"));
        self.books.come_to_the_door(number);
        self.ever.returned.push((self.books.epoch, self.rebuilt.seq, number));
    }

    fn left(&mut self, number: Number) {
        let is_asked = self.asked.reset || self.asked.left.contains(&number);
        self.demand(is_asked, || format!("(L8) the place of {number} was taken, and nobody asked"));
        // A reset names all numbers at once, whoever of them waits.
        if !self.asked.reset || self.books.waiting.contains(&number) {
            self.give_up(number);
        }
    }

    fn lapsed(&mut self, number: Number) {
        let grace_us = self.books.limits.as_ref().map_or(0, |limits| limits.grace_ms * 1_000);
        let away_us = self.books.away_us(number);
        self.demand(away_us >= grace_us, || {
            format!("(L8) {number} lapsed after {away_us} µs, and the grace time is {grace_us}")
        });
        self.give_up(number);
    }

    fn give_up(&mut self, number: Number) {
        let waited = self.books.waiting.remove(&number);
        self.demand(waited, || format!("{number} gave up a place and had none"));
        self.books.end(number);
        self.ever.over.insert(number);
    }

    fn ended(&mut self, number: Number) {
        let is_fair = self.asked.ended.contains(&number) && self.books.called.contains(&number);
        self.demand(is_fair, || format!("the session of {number} was ended, and nobody asked"));
        self.books.end(number);
        self.ever.over.insert(number);
    }

    fn called(&mut self, entry: &Entry) {
        let Some(last) = entry.called.iter().last() else { return };
        for number in entry.called.iter() {
            let waited = self.books.waiting.remove(&number);
            self.demand(waited, || format!("{number} was called and did not wait"));
            let may_be_here = self.books.may_be_here(number);
            self.demand(may_be_here, || format!("{number} was called and is not here"));
            self.books.call(number, entry.ends_s);
            let ends_s = self.ever.called.entry(number).or_insert(entry.ends_s);
            *ends_s = entry.ends_s.min(*ends_s);
        }
        let overtaken = self.books.waiting.range(..last).copied().find(|number| self.books.is_surely_here(*number));
        self.demand(overtaken.is_none(), || format!("(L2) {last} was called before {overtaken:?}, who is here"));
        self.check_limits(entry);
    }

    /// (L5) and (L6): what an operator lets in by hand is on top of the rate, not of the active limit.
    fn check_limits(&mut self, entry: &Entry) {
        let Some(limits) = self.books.limits.clone() else {
            return self.demand(false, || "somebody was called in a room without limits".to_owned());
        };
        let free = entry.by_hand.min(self.asked.by_hand);
        let is_open = self.books.phase == Phase::Open || free == entry.called.len();
        self.demand(is_open, || "somebody was called in a room that is not open".to_owned());
        let over = self.books.spend(entry, free, &limits);
        self.demand(over <= 1e-6, || format!("(L5) {over:.3} more were called than rate and burst allow"));
        let active = self.books.active();
        let most = limits.total_active_users.unwrap_or(u64::MAX);
        self.demand(active <= most, || format!("(L6) {active} sessions run, and {most} may"));
        let ends_s = entry.at_us / 1_000_000 + limits.session_duration_s;
        self.demand(entry.ends_s == ends_s, || format!("sessions end at {}, not at {ends_s}", entry.ends_s));
    }
}
