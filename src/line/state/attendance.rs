//! Who of a line is present, and who has been away for too long. Nothing of it is durable:
//! gateways vouch again after a loss.

use std::collections::BTreeMap;

use crate::line::bits::{Bits, ones};
use crate::line::{DOOR_US, GatewayId, LAPSE_LIMIT, Number, Numbers, Tick};

/// The attendance of one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Attendance {
    /// Whom each gateway vouches for, while its lease holds.
    here: BTreeMap<GatewayId, Lease>,
    door: Door,
    grace: Grace,
}

#[derive(Clone, Debug, Default)]
struct Lease {
    until_us: u64,
    visitors: Bits,
    /// The interval that the gateway wishes for; it goes with the lease.
    wish_us: Option<u64>,
    /// A draw was made since the gateway last said who is here.
    is_unsettled: bool,
}

/// Those who have just joined and are still on their way to a first poll or live connection. At every mark
/// those leave who were there at the mark before, so that nobody is counted for less than [`DOOR_US`].
#[derive(Clone, Debug, Default)]
struct Door {
    visitors: Bits,
    marked_us: u64,
    /// Numbers up to this one have left the door at the next mark.
    old: Number,
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
        Self { here: BTreeMap::new(), door, grace }
    }

    /// Begins with everyone of `waiting` at the door: after a loss, they come back as they hear of it.
    pub(super) fn anew(waiting: &Bits, issued: Number, now_us: u64) -> Self {
        let door = Door { visitors: waiting.clone(), marked_us: now_us, old: 0 };
        Self { door, ..Self::since(issued, now_us) }
    }

    /// Notes who has just joined.
    pub(super) fn arrive(&mut self, first: Number, last: Number) {
        self.door.visitors.insert_run(first, last);
    }

    /// Notes who has just returned.
    pub(super) fn come_back(&mut self, numbers: &Numbers) {
        self.door.visitors.union_with(&numbers.iter().collect());
    }

    /// Renews a gateway's lease and notes who came to it and who went. Returns whether the gateway
    /// was known. A gateway that was only slow, and whose lease nobody else has dropped meanwhile,
    /// still has its visitors. Numbers are taken only where they are `understood`: places as the line has them now.
    pub(super) fn vouch(&mut self, tick: &Tick, understood: bool, issued: Number, now_us: u64) -> bool {
        let known = self.here.contains_key(&tick.gateway);
        let lease = self.here.entry(tick.gateway).or_default();
        (lease.until_us, lease.wish_us) = (now_us + tick.lease_ms * 1_000, tick.wish_us);
        self.drop_expired_leases(now_us);
        if !understood {
            return false;
        }
        let lease = self.here.entry(tick.gateway).or_default();
        lease.is_unsettled = false;
        for number in tick.here.iter().filter(|number| *number <= issued) {
            lease.visitors.insert(number);
            self.grace.seen.insert(number);
            self.door.visitors.remove(number);
        }
        for number in tick.gone.iter() {
            lease.visitors.remove(number);
            self.door.visitors.remove(number);
        }
        known
    }

    /// Forgets who is here, because places have changed; gateways say it again. Nobody lapses meanwhile.
    pub(super) fn unsettle(&mut self, issued: Number, now_us: u64) {
        let gateways = std::mem::take(&mut self.here).into_iter();
        let unsettled = |lease: Lease| Lease { is_unsettled: true, visitors: Bits::default(), ..lease };
        *self = Self::since(issued, now_us);
        self.here = gateways.map(|(gateway, lease)| (gateway, unsettled(lease))).collect();
    }

    /// Tells whether every gateway whose lease holds has said, since the last draw, who is here.
    pub(super) fn is_settled(&self) -> bool {
        self.here.values().all(|lease| !lease.is_unsettled)
    }

    /// Takes from those present whose gateway has fallen silent, and who never came on from the door.
    pub(super) fn tend(&mut self, issued: Number, now_us: u64) {
        self.drop_expired_leases(now_us);
        let door = &mut self.door;
        if now_us >= door.marked_us + DOOR_US {
            door.visitors.remove_run(0, door.old);
            (door.old, door.marked_us) = (issued, now_us);
        }
    }

    /// Returns the longest interval that a gateway wishes for, if one does.
    pub(super) fn longest_wish_us(&self) -> Option<u64> {
        self.here.values().filter_map(|lease| lease.wish_us).max()
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
        let mut here = Bits::default();
        self.here.values().for_each(|lease| here.union_with(&lease.visitors));
        let absent = |i| waiting.word(i) & !self.grace.seen.word(i) & !here.word(i);
        let numbers = (0..waiting.word_count()).flat_map(|i| ones(i, absent(i)));
        let lapsed: Numbers = numbers.take_while(|n| *n <= self.grace.issued).take(LAPSE_LIMIT).collect();
        if lapsed.len() < LAPSE_LIMIT as u64 {
            self.grace = Grace { seen: here, since_us: now_us, issued };
        }
        lapsed
    }

    /// Walks the words of `waiting` that hold anyone, with only those set who are present.
    pub(super) fn present_words<'a>(&'a self, waiting: &'a Bits) -> impl Iterator<Item = (usize, u64)> + 'a {
        let present =
            |i| self.here.values().fold(self.door.visitors.word(i), |word, lease| word | lease.visitors.word(i));
        let words = (0..waiting.word_count()).map(|i| (i, waiting.word(i)));
        words.filter(|(_, word)| *word != 0).map(move |(i, word)| (i, word & present(i)))
    }

    fn drop_expired_leases(&mut self, now_us: u64) {
        self.here.retain(|_, lease| lease.until_us > now_us);
    }
}
