//! The oracle's own books about the line: sets of numbers, kept from what the store was told and what it wrote.

use std::collections::{BTreeMap, BTreeSet};

use vestibule::admission::{Limits, MAX_INTERVAL_US};
use vestibule::line::{
    DOOR_US, Entry, Epoch, GatewayId, Joined, MUSTER_EACH_US, MUSTER_US, Number, Phase, Roll, Standing, Tick,
};

use super::bucket::Bucket;
use super::lots::Lots;
use super::places::Places;

/// What the store has been told, and what follows from it. A copy of the books goes with every replica.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub epoch: Epoch,
    pub issued: Number,
    pub waiting: BTreeSet<Number>,
    pub called: BTreeSet<Number>,
    pub over: Places,
    /// The sessions that no entry has found ended, and the second of their end.
    sessions: BTreeMap<Number, u64>,
    pub limits: Option<Limits>,
    /// The interval that the gateways have come to, and when, where the rate adapts.
    pace_us: u64,
    paced_at_us: u64,
    pub configured: Option<Limits>,
    pub phase: Phase,
    bucket: Bucket,
    /// How many each entry of the log has called.
    calls: Vec<(u64, u64)>,
    /// Time that passed by the store's clock, jumps forwards counted and jumps back left out.
    pub axis_us: u64,
    pub clock_us: u64,
    /// Whether the store's clock ever went back: marks that it set before are then in the future.
    pub went_back: bool,
    leases: BTreeMap<GatewayId, Lease>,
    muster: Muster,
    door: BTreeMap<Number, Door>,
    /// Numbers that somebody may hold whom the store has forgotten, and since when, on the axis.
    pub unseen: Places,
    pub begun_us: u64,
    /// The entry of the last draw: a gateway that has not heard of it speaks of numbers.
    pub drawn_seq: u64,
    /// When each was last vouched for, on the axis.
    seen_us: BTreeMap<Number, u64>,
}

#[derive(Clone, Debug, Default)]
struct Lease {
    until_us: u64,
    serial: u64,
    wish_us: Option<u64>,
    /// For whom the gateway vouches, as far as the store has said that it took it in.
    sure: BTreeSet<Number>,
    has_answered: bool,
}

/// For whom all gateways together have vouched since they were last asked, whom they named again, and who was here when
/// they were asked or has been named since by one that has yet to answer.
#[derive(Clone, Debug, Default)]
struct Muster {
    here: BTreeSet<Number>,
    twice: BTreeSet<Number>,
    before: BTreeSet<Number>,
    begun_us: u64,
    is_doubted: bool,
}

/// How far somebody who has just joined, or come back, is from not being counted as here any more: a mark is set at most
/// five seconds later, and five seconds after that the door is left.
#[derive(Clone, Copy, Debug)]
enum Door {
    Fresh { since_us: u64 },
    Marked { since_us: u64 },
}

impl Books {
    /// Opens the books of a store that begins at `start_us`.
    pub fn since(start_us: u64) -> Self {
        Self { muster: Muster { begun_us: start_us, ..Muster::default() }, ..Self::default() }
    }

    /// Lets time go on to `clock_us` of the store's clock.
    pub fn pass_to(&mut self, clock_us: u64) {
        let elapsed_us = clock_us.saturating_sub(self.clock_us);
        if self.clock_us > 0 {
            self.axis_us += elapsed_us;
            if let Some(limits) = self.in_force() {
                self.bucket.drain(elapsed_us, &limits);
            }
        }
        self.went_back |= clock_us < self.clock_us;
        self.clock_us = clock_us;
    }

    /// Whoever was present is so no more, and who waits is on the way back: an epoch has begun.
    pub fn begin_anew(&mut self) {
        self.leases.clear();
        self.muster = Muster { begun_us: self.clock_us, ..Muster::default() };
        let since_us = self.axis_us;
        self.begun_us = since_us;
        self.door = self.waiting.iter().map(|number| (*number, Door::Fresh { since_us })).collect();
        self.seen_us.extend(self.waiting.iter().map(|number| (*number, since_us)));
    }

    /// Takes the limits that the store was told, or that it says after a loss.
    pub fn limit(&mut self, limits: Option<Limits>) {
        self.regulate(limits, self.pace_us);
    }

    /// Takes an entry that says which interval the gateways have come to; returns what it should be, and since when it
    /// may. A room that is made begins at its floor.
    pub fn come_to(&mut self, entry: &Entry) -> Option<(u64, u64)> {
        let limits = self.limits.clone()?;
        let wish_us = match entry.settings {
            Some(_) => limits.floor_interval_us,
            None => self.longest_wish_us(),
        };
        let expected = (wished(&limits, wish_us?), self.paced_at_us + 1_000_000);
        self.regulate(Some(limits), entry.pace_us);
        self.paced_at_us = entry.at_us;
        Some(expected)
    }

    /// Returns the limits in force, the rate as far as it has adapted.
    pub fn in_force(&self) -> Option<Limits> {
        let limits = self.limits.clone()?;
        Some(Limits { interval_us: wished(&limits, self.pace_us), ..limits })
    }

    fn longest_wish_us(&self) -> Option<u64> {
        self.leases.values().filter(|lease| lease.until_us > self.clock_us).filter_map(|lease| lease.wish_us).max()
    }

    fn regulate(&mut self, limits: Option<Limits>, pace_us: u64) {
        let old = self.in_force();
        (self.limits, self.pace_us) = (limits, pace_us);
        if let (Some(old), Some(new)) = (old, self.in_force()) {
            self.bucket.change(&old, &new);
        }
    }

    pub fn join(&mut self, joined: &Joined) {
        let numbers = joined.first..joined.first + joined.count;
        self.issued = numbers.end - 1;
        numbers.for_each(|number| self.come_to_the_door(number));
    }

    pub fn come_to_the_door(&mut self, number: Number) {
        self.waiting.insert(number);
        self.seen_us.insert(number, self.axis_us);
        self.door.insert(number, Door::Fresh { since_us: self.axis_us });
    }

    /// Notes whom a gateway vouches for; `is_heard` if the store says that it took all of it in. One that is of an older
    /// epoch, or from before a draw, only has its lease renewed. What a later tick has overtaken says nothing.
    pub fn vouch(&mut self, tick: &Tick, is_of_old: bool, is_heard: bool) {
        if self.leases.get(&tick.gateway).is_some_and(|lease| tick.serial < lease.serial) {
            return;
        }
        let is_of_old = is_of_old || tick.known.seq < self.drawn_seq;
        let before = self.leases.get(&tick.gateway).cloned();
        let new = || Lease { has_answered: !is_of_old, ..Lease::default() };
        let lease = Lease {
            until_us: self.clock_us + tick.lease_ms * 1_000,
            serial: tick.serial,
            wish_us: tick.wish_us,
            ..before.clone().unwrap_or_else(new)
        };
        self.leases.insert(tick.gateway, lease);
        self.drop_leases();
        if is_of_old {
            return;
        }
        if tick.all_here && before.is_some() && self.leases[&tick.gateway].has_answered {
            self.ask_all();
        }
        self.take_in(tick, is_heard, before.is_some());
        self.settle();
    }

    fn take_in(&mut self, tick: &Tick, is_heard: bool, was_known: bool) {
        let Some(lease) = self.leases.get_mut(&tick.gateway) else { return };
        lease.has_answered |= tick.all_here;
        if tick.all_here {
            lease.sure.clear();
        }
        for number in tick.here.iter().filter(|number| *number <= self.issued && !lease.has_answered) {
            self.muster.before.insert(number);
            self.seen_us.insert(number, self.axis_us);
        }
        for number in tick.here.iter().filter(|number| *number <= self.issued && lease.has_answered) {
            if !self.muster.here.insert(number) {
                self.muster.twice.insert(number);
            }
            lease.sure.extend(is_heard.then_some(number));
            self.door.remove(&number);
            self.seen_us.insert(number, self.axis_us);
        }
        for number in tick.gone.iter() {
            lease.sure.remove(&number);
            self.door.remove(&number);
            match lease.has_answered && was_known && !tick.all_here {
                true if self.muster.twice.contains(&number) => {
                    self.muster.is_doubted |= self.waiting.contains(&number);
                }
                true => {
                    self.muster.here.remove(&number);
                }
                false => {}
            }
        }
        self.seen_us.extend(lease.sure.iter().map(|number| (*number, self.axis_us)));
    }

    /// Every gateway is to say again who is here.
    fn ask_all(&mut self) {
        let Muster { mut before, mut here, .. } = std::mem::take(&mut self.muster);
        before.append(&mut here);
        self.muster = Muster { before, begun_us: self.clock_us, ..Muster::default() };
        self.leases.values_mut().for_each(|lease| lease.has_answered = false);
    }

    fn settle(&mut self) {
        if self.leases.values().all(|lease| lease.has_answered) {
            self.muster.before.clear();
        }
    }

    /// Lots were drawn: everything is by place from now on, and nobody stands at the door.
    pub fn redraw(&mut self, lots: &Lots, seq: u64) {
        let range = [lots.draw.first, lots.draw.last];
        let place = |number: Number| lots.of_any(number);
        let places = |set: &BTreeSet<Number>| set.iter().map(|number| place(*number)).collect();
        (self.waiting, self.called) = (places(&self.waiting), places(&self.called));
        (self.over, self.unseen) = (self.over.redrawn(range, place), self.unseen.redrawn(range, place));
        self.sessions = self.sessions.iter().map(|(number, ends_s)| (place(*number), *ends_s)).collect();
        self.seen_us = self.seen_us.iter().map(|(number, at_us)| (place(*number), *at_us)).collect();
        self.unsettle(seq);
    }

    /// Every gateway says again who is here, and nobody stands at the door.
    pub fn unsettle(&mut self, seq: u64) {
        self.muster = Muster { begun_us: self.clock_us, ..Muster::default() };
        self.leases.values_mut().for_each(|lease| (lease.has_answered, lease.sure) = (false, BTreeSet::new()));
        self.door.clear();
        self.drawn_seq = seq;
    }

    /// Goes over the leases and the door, as every call does first.
    pub fn tend(&mut self) {
        self.drop_leases();
        let waits_us = MUSTER_US.max(self.muster.here.len() as u64 * MUSTER_EACH_US);
        let waits = self.muster.begun_us..self.muster.begun_us + waits_us;
        if self.muster.is_doubted && !waits.contains(&self.clock_us) {
            self.ask_all();
        }
        self.settle();
        let axis_us = self.axis_us;
        self.door.retain(|_, door| match *door {
            Door::Fresh { since_us } if axis_us >= since_us + DOOR_US => {
                *door = Door::Marked { since_us: axis_us };
                true
            }
            Door::Fresh { .. } => true,
            Door::Marked { since_us } => self.went_back || axis_us < since_us + DOOR_US,
        });
    }

    /// Tells whether the store must count `number` as present: a gateway vouches for it, or did before the muster that goes
    /// on, or it has just come.
    pub fn is_surely_here(&self, number: Number) -> bool {
        let at_the_door = match self.door.get(&number) {
            Some(Door::Fresh { since_us }) => self.axis_us < since_us + DOOR_US,
            _ => false,
        };
        at_the_door || self.muster.before.contains(&number) || self.is_vouched_for(number)
    }

    /// Tells whether the store may count `number` as present: whom a gateway that fell silent has named counts
    /// until all others have said who is theirs.
    pub fn may_be_here(&self, number: Number) -> bool {
        let Muster { here, before, .. } = &self.muster;
        self.door.contains_key(&number) || here.contains(&number) || before.contains(&number)
    }

    /// Returns for how long `number` has not been vouched for, in microseconds.
    pub fn away_us(&self, number: Number) -> u64 {
        self.axis_us - self.seen_us.get(&number).copied().unwrap_or(0)
    }

    /// Counts the sessions that run.
    pub fn active(&self) -> u64 {
        let now_s = self.clock_us / 1_000_000;
        self.sessions.values().filter(|ends_s| **ends_s > now_s).count() as u64
    }

    /// Fills the bucket with the calls of an entry, `free` of them on top of the rate; returns the excess.
    pub fn spend(&mut self, entry: &Entry, free: u64, limits: &Limits) -> f64 {
        self.calls.push((entry.seq, entry.called.len()));
        self.bucket.fill(entry.called.len(), free, limits)
    }

    /// Notes a call.
    pub fn call(&mut self, number: Number, ends_s: u64) {
        self.called.insert(number);
        self.sessions.insert(number, ends_s);
    }

    /// Notes that a place is over, or a session.
    pub fn end(&mut self, number: Number) {
        self.over.insert(number);
        self.sessions.remove(&number);
    }

    /// Returns when a session ends that runs.
    pub fn session_end(&self, number: Number) -> Option<u64> {
        self.sessions.get(&number).copied().filter(|ends_s| *ends_s > self.clock_us / 1_000_000)
    }

    /// Lets a session go on.
    pub fn renew(&mut self, number: Number, ends_s: u64) {
        self.sessions.insert(number, ends_s);
    }

    /// Lets the sessions end whose time is over by the clock of an entry.
    pub fn end_sessions(&mut self, at_us: u64) {
        self.sessions.retain(|_, ends_s| *ends_s > at_us / 1_000_000);
    }

    /// Counts the live places below `number`.
    pub fn ahead_of(&self, number: Number) -> u64 {
        self.waiting.range(..number).count() as u64
    }

    /// Takes over what a store says after a loss. Of calls that were lost and made again, the second counts.
    pub fn agree_with(&mut self, roll: &Roll) {
        let is_lost = |(seq, _): &&(u64, u64)| *seq >= roll.seq;
        self.bucket.forgive(self.calls.iter().filter(is_lost).map(|(_, count)| count).sum());
        self.calls.retain(|(seq, _)| *seq < roll.seq);
        if roll.tat_us == 0 {
            // A line that nobody remembers has called nobody.
            self.bucket = Bucket::default();
        }
        self.epoch = roll.epoch();
        self.issued = roll.issued;
        self.drawn_seq = roll.drawn_seq;
        self.waiting = roll.waiting.iter_from(0).collect();
        self.over = roll.over.runs().collect();
        self.unseen = roll.unseen.runs().collect();
        self.called = roll.called.iter_from(0).collect();
        let now_s = self.clock_us / 1_000_000;
        self.sessions =
            self.called.iter().filter_map(|number| Some((*number, session_end(roll, *number, now_s)?))).collect();
        self.regulate(roll.settings.as_ref().map(|settings| settings.limits.clone()), roll.pace_us);
        self.paced_at_us = roll.paced_at_us;
        self.configured = roll.settings.as_ref().map(|settings| settings.configured.clone());
        self.phase = roll.settings.as_ref().map_or(Phase::Open, |settings| settings.phase);
    }

    fn is_vouched_for(&self, number: Number) -> bool {
        self.leases.values().any(|lease| lease.until_us > self.clock_us && lease.sure.contains(&number))
    }

    fn drop_leases(&mut self) {
        let (clock_us, before) = (self.clock_us, self.leases.len());
        self.leases.retain(|_, lease| lease.until_us > clock_us);
        if self.leases.len() < before {
            self.ask_all();
        }
    }
}

/// Returns the interval that a wish makes of limits: between the one that is set and the floor's, where there is one.
fn wished(limits: &Limits, wish_us: u64) -> u64 {
    match limits.floor_interval_us {
        Some(floor_us) if limits.interval_us > 0 && limits.interval_us < MAX_INTERVAL_US => {
            wish_us.min(floor_us).max(limits.interval_us)
        }
        _ => limits.interval_us,
    }
}

/// Returns the second at which the session of a place ends, as anyone is told who asks for it.
fn session_end(roll: &Roll, place: Number, now_s: u64) -> Option<u64> {
    let number = roll.number(place);
    let era = roll.eras.iter().rev().find(|era| era.above < number)?;
    match roll.standing(era.epoch, number, now_s) {
        Standing::Called { ends_s, .. } => Some(ends_s),
        _ => None,
    }
}
