//! Who of a line is present, and who has been away for too long. Nothing of it is durable:
//! gateways vouch again after a loss.

use std::collections::BTreeMap;

use super::muster::Muster;
use crate::line::bits::{Bits, ones};
use crate::line::{DOOR_US, GatewayId, LAPSE_LIMIT, Number, Numbers, Tick};

/// The attendance of one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Attendance {
    /// The gateways that vouch for visitors.
    leases: BTreeMap<GatewayId, Lease>,
    muster: Muster,
    /// A draw was made that some gateway has not answered: who is present is not known by place.
    is_unsettled: bool,
    door: Door,
    grace: Grace,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    until_us: u64,
    /// The latest of its ticks that was heard.
    serial: u64,
    /// The interval that the gateway wishes for; it goes with the lease.
    wish_us: Option<u64>,
    /// Since the muster began it has said who is here.
    has_answered: bool,
}

/// Those who have just joined and are still on their way to a first poll or live connection. At every mark
/// those leave who were there at the mark before, so that nobody is counted for less than [`DOOR_US`].
#[derive(Clone, Debug, Default)]
struct Door {
    visitors: Bits,
    marked_us: u64,
    /// Numbers up to this one leave the door at the next mark, but for those who are `back`.
    old: Number,
    /// Who has come back since the last mark.
    back: Bits,
}

impl Door {
    fn come_back(&mut self, visitors: &Bits) {
        self.visitors.union_with(visitors);
        self.back.union_with(visitors);
    }

    fn remove(&mut self, number: Number) {
        self.visitors.remove(number);
        self.back.remove(number);
    }

    fn mark(&mut self, issued: Number, now_us: u64) {
        self.visitors.remove_run(0, self.old);
        if self.back.count() > 0 {
            self.visitors.union_with(&std::mem::take(&mut self.back));
        }
        (self.old, self.marked_us) = (issued, now_us);
    }
}

/// Who was seen in this period of the grace time. Whoever was in line before the period began and
/// is not seen in all of it has been away for at least the grace time.
#[derive(Clone, Debug, Default)]
struct Grace {
    seen: Bits,
    since_us: u64,
    issued: Number,
}

impl Attendance {
    /// Begins with nobody present, and with the whole grace time for everyone up to `issued`.
    pub(super) fn since(issued: Number, now_us: u64) -> Self {
        let door = Door { marked_us: now_us, ..Door::default() };
        let grace = Grace { since_us: now_us, issued, ..Grace::default() };
        Self { muster: Muster::since(now_us), door, grace, ..Self::default() }
    }

    /// Begins with everyone of `waiting` at the door: after a loss, they come back as they hear of it.
    pub(super) fn anew(waiting: &Bits, issued: Number, now_us: u64) -> Self {
        let door = Door { visitors: waiting.clone(), marked_us: now_us, ..Door::default() };
        Self { door, ..Self::since(issued, now_us) }
    }

    /// Notes who has just joined.
    pub(super) fn arrive(&mut self, first: Number, last: Number) {
        self.door.visitors.insert_run(first, last);
    }

    /// Notes who has just returned: they stand at the door, and do not lapse in this period.
    pub(super) fn come_back(&mut self, numbers: &Numbers) {
        let returned: Bits = numbers.iter().collect();
        self.door.come_back(&returned);
        self.grace.seen.union_with(&returned);
    }

    /// Renews a gateway's lease and notes who came to it and who went. Returns whether it was heard: one that was not
    /// known, or has yet to answer a muster, says again who is here. A gateway that was only slow, and whose lease
    /// nobody else has dropped meanwhile, still has its visitors. Numbers are taken only where they are `understood`:
    /// places as the line, in which `waiting` wait, has them now. A tick that a later one has overtaken is not heard.
    pub(super) fn vouch(&mut self, tick: &Tick, understood: bool, waiting: &Bits, issued: Number, now_us: u64) -> bool {
        if self.leases.get(&tick.gateway).is_some_and(|lease| tick.serial < lease.serial) {
            return false;
        }
        let was_known = self.renew(tick, understood, now_us);
        if !understood {
            return false;
        }
        if tick.all_here {
            self.answer(tick.gateway, was_known, now_us);
        }
        let has_answered = self.leases.get(&tick.gateway).is_some_and(|lease| lease.has_answered);
        let here = tick.here.iter().filter(|number| *number <= issued);
        if has_answered {
            here.for_each(|number| self.come(number));
        } else {
            here.for_each(|number| self.stay(number));
        }
        for number in tick.gone.iter() {
            self.door.remove(number);
            // What one says who was not known is of before its lease ran out: others may have named them since.
            if has_answered && was_known && !tick.all_here {
                self.muster.go(number, waiting.contains(number));
            }
        }
        self.settle();
        has_answered && (was_known || tick.all_here)
    }

    /// Renews a lease; returns whether there was one.
    fn renew(&mut self, tick: &Tick, understood: bool, now_us: u64) -> bool {
        let before = self.leases.get(&tick.gateway);
        let has_answered = before.map_or(understood, |lease| lease.has_answered);
        let (was_known, until_us) = (before.is_some(), now_us + tick.lease_ms * 1_000);
        self.leases.insert(tick.gateway, Lease { until_us, serial: tick.serial, wish_us: tick.wish_us, has_answered });
        self.drop_expired_leases(now_us);
        was_known
    }

    /// Takes a gateway's word that it says all. One that had answered before does not know any more what it had said:
    /// then the others say it again too.
    fn answer(&mut self, gateway: GatewayId, was_known: bool, now_us: u64) {
        if was_known && self.leases.get(&gateway).is_some_and(|lease| lease.has_answered) {
            self.call_muster(now_us);
        }
        if let Some(lease) = self.leases.get_mut(&gateway) {
            lease.has_answered = true;
        }
    }

    fn come(&mut self, number: Number) {
        self.muster.come(number);
        self.grace.seen.insert(number);
        self.door.remove(number);
    }

    /// Notes who is with a gateway that has yet to answer the muster: it may be gone before it says so again.
    fn stay(&mut self, number: Number) {
        self.muster.stay(number);
        self.grace.seen.insert(number);
    }

    fn call_muster(&mut self, now_us: u64) {
        self.muster.begin(now_us);
        self.leases.values_mut().for_each(|lease| lease.has_answered = false);
    }

    /// Ends a muster that every gateway has answered.
    fn settle(&mut self) {
        if self.leases.values().all(|lease| lease.has_answered) {
            self.muster.end();
            self.is_unsettled = false;
        }
    }

    /// Forgets who is here, because places have changed; gateways say it again. Nobody lapses meanwhile.
    pub(super) fn unsettle(&mut self, issued: Number, now_us: u64) {
        let leases = std::mem::take(&mut self.leases);
        *self = Self { leases, is_unsettled: true, ..Self::since(issued, now_us) };
        self.call_muster(now_us);
        self.settle();
    }

    /// Tells whether every gateway whose lease holds has said, since the last draw, who is here.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_unsettled
    }

    /// Takes from those present who never came on from the door, and calls a muster where one is due.
    pub(super) fn tend(&mut self, issued: Number, now_us: u64) {
        self.drop_expired_leases(now_us);
        if self.muster.is_due(now_us) {
            self.call_muster(now_us);
        }
        self.settle();
        if now_us >= self.door.marked_us + DOOR_US {
            self.door.mark(issued, now_us);
        }
    }

    /// Returns the longest interval that a gateway wishes for, if one does.
    pub(super) fn longest_wish_us(&self) -> Option<u64> {
        self.leases.values().filter_map(|lease| lease.wish_us).max()
    }

    /// Tells whether a period of the grace time is over.
    pub(super) fn is_grace_over(&self, grace_ms: u64, now_us: u64) -> bool {
        now_us >= self.grace.since_us + grace_ms * 1_000
    }

    /// When a period of the grace time is over, returns who of `waiting` was away for all of it, at most
    /// [`LAPSE_LIMIT`] at once, and begins the next when these were the last.
    pub(super) fn take_lapsed(&mut self, waiting: &Bits, issued: Number, grace_ms: u64, now_us: u64) -> Numbers {
        if !self.is_grace_over(grace_ms, now_us) {
            return Numbers::default();
        }
        let absent = |i| waiting.word(i) & !self.grace.seen.word(i) & !self.muster.word(i);
        let numbers = (0..waiting.word_count()).flat_map(|i| ones(i, absent(i)));
        let lapsed: Numbers = numbers.take_while(|n| *n <= self.grace.issued).take(LAPSE_LIMIT).collect();
        if lapsed.len() < LAPSE_LIMIT as u64 {
            self.grace = Grace { seen: self.muster.all(), since_us: now_us, issued };
        }
        lapsed
    }

    /// Walks the words of `waiting` that hold anyone, with only those set who are present.
    pub(super) fn present_words<'a>(&'a self, waiting: &'a Bits) -> impl Iterator<Item = (usize, u64)> + 'a {
        let present = |i| self.door.visitors.word(i) | self.muster.word(i);
        let words = (0..waiting.word_count()).map(|i| (i, waiting.word(i)));
        words.filter(|(_, word)| *word != 0).map(move |(i, word)| (i, word & present(i)))
    }

    fn drop_expired_leases(&mut self, now_us: u64) {
        let before = self.leases.len();
        self.leases.retain(|_, lease| lease.until_us > now_us);
        if self.leases.len() < before {
            self.call_muster(now_us);
        }
    }
}
