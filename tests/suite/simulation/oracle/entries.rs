//! What an entry of the log may say.

use vestibule::line::{Entry, Number, Slots};

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
        entry.lapsed.runs().for_each(|(first, last)| self.lapsed_run(first, last));
        for ended in &entry.ended {
            ended.numbers.iter().for_each(|number| self.ended(number));
        }
        entry.renewed.iter().for_each(|slots| self.renewed(slots, entry));
        self.called(entry);
        if let Some(step) = &entry.draw {
            self.take_step(entry, step);
        }
        if entry.pace_us > 0 {
            self.paced(entry);
        }
        self.books.end_sessions(entry.at_us);
    }

    fn returned(&mut self, number: Number) {
        let books = &self.books;
        let known = books.waiting.contains(&number) || books.called.contains(&number);
        let is_asked = self.asked.returned.contains(&self.draws.number(number));
        let is_fair = !known && !books.over.contains(number) && is_asked;
        self.demand(is_fair, || format!("{number} returned, who was known or never asked"));
        self.census.count("returned");
        self.books.come_to_the_door(number);
    }

    fn left(&mut self, number: Number) {
        let is_asked = self.asked.reset || self.asked.left.contains(&self.draws.number(number));
        self.demand(is_asked, || format!("(L8) the place of {number} was taken, and nobody asked"));
        // A reset names all numbers at once, whoever of them waits.
        if !self.asked.reset || self.books.waiting.contains(&number) {
            self.census.count_if(!self.asked.reset, "left");
            self.census.count_if(self.asked.reset, "reset");
            self.census.count_if(self.pending_draw() == Some(false), "left while entries are taken");
            self.census.count_if(self.pending_draw() == Some(true), "left while lots are drawn");
            self.give_up(number);
        }
    }

    /// Some who waited lapse, or a run of numbers that nobody came back for.
    fn lapsed_run(&mut self, first: Number, last: Number) {
        if self.books.waiting.contains(&first) {
            return (first..=last).for_each(|number| self.lapsed(number));
        }
        let books = &self.books;
        let known = books.waiting.range(first..=last).chain(books.called.range(first..=last)).next().copied();
        let is_fair = known.is_none() && books.unseen.contains(first) && books.unseen.contains(last);
        self.demand(is_fair, || format!("(L8) {first} to {last} lapsed and were not forgotten, {known:?} for one"));
        let away_us = self.books.axis_us - self.books.begun_us;
        self.check_grace(first, away_us);
        self.census.count("forgotten lapsed");
        self.books.over.insert_run(first, last);
        if self.has_drawn() {
            (first..=last).for_each(|place| self.ever.end(self.key_of(place)));
        } else {
            self.ever.end_run(&self.rebuilt.eras, first, last);
        }
    }

    fn check_grace(&mut self, number: Number, away_us: u64) {
        let grace_us = self.books.limits.as_ref().map_or(0, |limits| limits.grace_ms * 1_000);
        self.demand(away_us >= grace_us, || {
            format!("(L8) {number} lapsed after {away_us} µs, and the grace time is {grace_us}")
        });
    }

    fn lapsed(&mut self, number: Number) {
        let away_us = self.books.away_us(number);
        self.check_grace(number, away_us);
        self.census.count("lapsed");
        self.give_up(number);
    }

    fn give_up(&mut self, number: Number) {
        let waited = self.books.waiting.remove(&number);
        self.demand(waited, || format!("{number} gave up a place and had none"));
        self.books.end(number);
        self.ever.end(self.key_of(number));
    }

    fn ended(&mut self, number: Number) {
        let is_asked = self.asked.ended.contains(&self.draws.number(number));
        let is_fair = is_asked && self.books.called.contains(&number);
        self.demand(is_fair, || format!("the session of {number} was ended, and nobody asked"));
        self.census.count("session ended");
        self.books.end(number);
        self.ever.end(self.key_of(number));
    }

    /// A session goes on that somebody asked for, while it runs, and for as long as one that begins now.
    fn renewed(&mut self, slots: &Slots, entry: &Entry) {
        let length_s = self.books.limits.as_ref().map_or(0, |limits| limits.session_duration_s);
        let ends_s = entry.at_us / 1_000_000 + length_s;
        for number in slots.numbers.iter() {
            let is_asked = self.asked.renewed.contains(&self.draws.number(number));
            let known_s = self.books.session_end(number);
            let is_fair = is_asked && known_s == Some(slots.ends_s) && slots.ends_s < ends_s && entry.ends_s == ends_s;
            self.demand(is_fair, || {
                format!(
                    "(L6) the session of {number} that ends at {known_s:?} was renewed by {entry:?}, asked: {is_asked}"
                )
            });
            self.census.count("session renewed");
            self.books.renew(number, ends_s);
        }
    }

    fn called(&mut self, entry: &Entry) {
        let Some(last) = entry.called.iter().last() else { return };
        self.demand(self.draws.pending.is_none(), || format!("(draw) {last} was called before lots were drawn"));
        for number in entry.called.iter() {
            let waited = self.books.waiting.remove(&number);
            self.demand(waited, || format!("{number} was called and did not wait"));
            let may_be_here = self.books.may_be_here(number);
            self.demand(may_be_here, || format!("{number} was called and is not here"));
            self.books.call(number, entry.ends_s);
            let key = self.key_of(number);
            self.census.count(if entry.by_hand > 0 { "called by hand" } else { "called" });
            self.census.count_if(key.1 != number, "called by lot");
            self.ever.call(key, entry.ends_s);
        }
        let overtaken = self.books.waiting.range(..last).copied().find(|number| self.books.is_surely_here(*number));
        self.demand(overtaken.is_none(), || format!("(L2) {last} was called before {overtaken:?}, who is here"));
        self.check_limits(entry);
    }

    /// The rate adapts to the longest wish of the gateways, a step a second.
    fn paced(&mut self, entry: &Entry) {
        self.census.count("came to a pace");
        let expected = self.books.come_to(entry);
        let is_right = expected.is_some_and(|(pace_us, from_us)| {
            entry.pace_us == pace_us && (entry.at_us >= from_us || entry.settings.is_some())
        });
        self.demand(is_right, || format!("the pace is {}, and should be {expected:?}", entry.pace_us));
    }

    /// (L5) and (L6): what an operator lets in by hand is on top of the rate, not of the active limit.
    fn check_limits(&mut self, entry: &Entry) {
        let Some(limits) = self.books.limits.clone() else {
            return self.demand(false, || "somebody was called in a room without limits".to_owned());
        };
        let free = entry.by_hand.min(self.asked.by_hand);
        let (schedule, now_ms) = (limits.schedule, entry.at_us / 1_000);
        let has_started = schedule.opens_ms.max(schedule.starts_ms).is_none_or(|starts_ms| starts_ms <= now_ms);
        let is_running = has_started && schedule.ends_ms.is_none_or(|ends_ms| now_ms < ends_ms);
        self.demand(is_running || free == entry.called.len(), || {
            format!("a call at {now_ms}, and the sale is {schedule:?}")
        });
        let is_open = self.books.phase.calls() || free == entry.called.len();
        self.demand(is_open, || "somebody was called in a room that is not open".to_owned());
        let in_force = self.books.in_force().unwrap_or_else(|| limits.clone());
        let over = self.books.spend(entry, free, &in_force);
        self.demand(over <= 1e-6, || format!("(L5) {over:.3} more were called than rate and burst allow"));
        let active = self.books.active();
        let most = limits.total_active_users.unwrap_or(u64::MAX);
        self.demand(active <= most, || format!("(L6) {active} sessions run, and {most} may"));
        let ends_s = entry.at_us / 1_000_000 + limits.session_duration_s;
        self.demand(entry.ends_s == ends_s, || format!("sessions end at {}, not at {ends_s}", entry.ends_s));
    }
}
