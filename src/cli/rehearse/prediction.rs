//! What will come of a sale, before it: the crowd that is expected, played through the law of admission.
//!
//! Pure: the same plans as those that `vestibule crowd` carries out with the same seed, the same
//! [`allowance`](crate::admission::allowance) as the line's, and a clock that only counts.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use serde::Serialize;

use crate::admission::{self, Limits};
use crate::cli::crowd::behaviour::Behaviour;
use crate::cli::crowd::plan::Plan;

/// A gateway ticks so often, in microseconds.
const TICK_US: u64 = 100_000;
/// Nothing is foretold beyond a week.
const END_US: u64 = 7 * 86_400_000_000;

/// What is sold, and how.
#[derive(Clone, Debug)]
pub struct Sale {
    /// Who may come in when.
    pub limits: Limits,
    /// How many seats there are; `None` where nothing runs out.
    pub seats: Option<u64>,
    /// How many each buyer takes.
    pub quantity: u64,
    /// After how many seconds seats that were not paid for are on sale again.
    pub lapse_s: u64,
    /// Whether those in line hear when the last seat is gone.
    pub is_told_in_line: bool,
}

/// What will come of it. Times are seconds from the first instant at which somebody may come.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Prediction {
    /// How many will be called.
    pub called: u64,
    /// How many will give their place up.
    pub left: u64,
    /// When the last will be called; `null` where nobody is.
    pub drained_after_seconds: Option<f64>,
    /// How long half of those called will have waited at the most.
    pub wait_p50_seconds: f64,
    /// How long 99 of 100 will.
    pub wait_p99_seconds: f64,
    /// How long anybody will.
    pub wait_max_seconds: f64,
    /// The most who will stand in line at once.
    pub waiting_peak: u64,
    /// How many seats will be taken and paid.
    pub seats_sold: u64,
    /// When the last seat will be gone; `null` where seats are left.
    pub sold_out_after_seconds: Option<f64>,
    /// Who gets one of the last seats has come by then; `null` where seats are left.
    pub last_seat_came_after_seconds: Option<f64>,
    /// How many will hear that everything is sold.
    pub told: u64,
    /// How many will not have been called within a week.
    pub never: u64,
}

/// Foretells a sale to those who mean to come, in the order of coming.
#[must_use]
pub fn predict(plans: impl Iterator<Item = Plan>, sale: &Sale) -> Prediction {
    let plans: Vec<Plan> = plans.filter(|plan| plan.behaviour != Behaviour::Robot).collect();
    let mut rehearsal = Rehearsal::new(&plans, sale);
    while rehearsal.now_us < END_US && rehearsal.tick() {}
    rehearsal.end()
}

struct Rehearsal<'a> {
    plans: &'a [Plan],
    sale: &'a Sale,
    now_us: u64,
    /// The next who comes.
    next: usize,
    /// In line, in their order.
    line: VecDeque<Standing>,
    /// Were away at their turn: when they come back, and who they are.
    away: BinaryHeap<Reverse<(u64, usize)>>,
    /// Are back, and called first.
    back: BTreeSet<usize>,
    /// How far the line had moved by when.
    moved: Vec<(u64, u64)>,
    /// When the sessions end.
    sessions: VecDeque<u64>,
    tat_us: u64,
    till: Till,
    waits_us: Vec<u64>,
    told: Prediction,
}

/// Somebody in line.
#[derive(Clone, Copy)]
struct Standing {
    index: usize,
    /// How far the line had moved when they came.
    moved: u64,
    /// How many were ahead of them.
    ahead: u64,
}

/// What is left of the seats.
struct Till {
    left: Option<u64>,
    /// When seats that were not paid for come back.
    lapsing: VecDeque<u64>,
}

impl<'a> Rehearsal<'a> {
    fn new(plans: &'a [Plan], sale: &'a Sale) -> Self {
        Self {
            plans,
            sale,
            now_us: 0,
            next: 0,
            line: VecDeque::new(),
            away: BinaryHeap::new(),
            back: BTreeSet::new(),
            moved: vec![(0, 0)],
            sessions: VecDeque::new(),
            tat_us: 0,
            till: Till { left: sale.seats, lapsing: VecDeque::new() },
            waits_us: Vec::with_capacity(plans.len()),
            told: Prediction::default(),
        }
    }

    /// Plays one tick. Returns whether anything is yet to come.
    fn tick(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        let is_quiet = self.waiting() == 0;
        let next_us = self.plans.get(self.next).map(|plan| plan.arrives_us);
        self.now_us = match next_us.filter(|_| is_quiet) {
            Some(next_us) => self.now_us.max(next_us / TICK_US * TICK_US) + TICK_US,
            None => self.now_us + TICK_US,
        };
        self.come();
        self.told.waiting_peak = self.told.waiting_peak.max(self.waiting());
        self.call();
        true
    }

    fn is_over(&self) -> bool {
        let all_came = self.next == self.plans.len();
        (self.waiting() == 0 && all_came) || (self.sale.is_told_in_line && self.told.sold_out_after_seconds.is_some())
    }

    /// Has those come whose time it is. Whoever finds nobody in line, and a place inside, is in at once.
    fn come(&mut self) {
        while let Some(plan) = self.plans.get(self.next).filter(|plan| plan.arrives_us < self.now_us) {
            let index = self.next;
            self.next += 1;
            let is_empty = self.line.is_empty() && self.back.is_empty();
            if is_empty && self.allowance(plan.arrives_us) > 0 {
                self.admit(index, plan.arrives_us);
            } else {
                self.line.push_back(Standing { index, moved: self.moved_so_far(), ahead: self.waiting() });
            }
        }
    }

    fn allowance(&mut self, at_us: u64) -> u64 {
        while self.sessions.front().is_some_and(|ends_us| *ends_us <= at_us) {
            self.sessions.pop_front();
        }
        admission::allowance(self.tat_us, at_us, self.sessions.len() as u64, &self.sale.limits)
    }

    fn call(&mut self) {
        while let Some(Reverse((_, index))) =
            self.away.peek().copied().filter(|Reverse((until, _))| *until <= self.now_us)
        {
            self.away.pop();
            self.back.insert(index);
        }
        let mut allowed = self.allowance(self.now_us);
        while allowed > 0
            && let Some(index) = self.back.pop_first().or_else(|| self.first_here())
        {
            self.admit(index, self.now_us);
            allowed -= 1;
        }
        if self.moved.last().is_none_or(|(moved, _)| *moved < self.moved_so_far()) {
            self.moved.push((self.moved_so_far(), self.now_us));
        }
    }

    /// Counts those who hold a place.
    fn waiting(&self) -> u64 {
        (self.line.len() + self.away.len() + self.back.len()) as u64
    }

    fn moved_so_far(&self) -> u64 {
        self.told.called + self.told.left
    }

    /// Takes the first off the line who is there and still wants to come in.
    fn first_here(&mut self) -> Option<usize> {
        while let Some(standing) = self.line.pop_front() {
            let (index, plan) = (standing.index, &self.plans[standing.index]);
            let away_ms = match plan.behaviour {
                Behaviour::Leaving if standing.ahead > 0 => {
                    self.told.left += 1;
                    continue;
                }
                Behaviour::Sleeping => Some(self.sale.limits.grace_ms / 2),
                _ => plan.away_ms,
            };
            match away_ms.map(|ms| self.half_way_us(standing) + ms * 1_000).filter(|until| *until > self.now_us) {
                Some(until_us) if standing.ahead > 0 => self.away.push(Reverse((until_us, index))),
                _ => return Some(index),
            }
        }
        None
    }

    /// Returns when somebody had half of those ahead behind.
    fn half_way_us(&self, standing: Standing) -> u64 {
        let wanted = standing.moved + standing.ahead.div_ceil(2);
        let at = self.moved.partition_point(|(moved, _)| *moved < wanted);
        self.moved.get(at).map_or(self.now_us, |(_, us)| *us)
    }

    fn admit(&mut self, index: usize, at_us: u64) {
        let plan = &self.plans[index];
        self.tat_us = admission::spend(self.tat_us, at_us, 1, &self.sale.limits);
        self.sessions.push_back(at_us + self.sale.limits.session_duration_s * 1_000_000);
        self.waits_us.push(at_us.saturating_sub(plan.arrives_us));
        self.told.called += 1;
        self.told.drained_after_seconds = Some(seconds(at_us));
        if plan.holds {
            self.sell(plan, at_us);
        }
    }

    fn sell(&mut self, plan: &Plan, at_us: u64) {
        let quantity = self.sale.quantity;
        let Some(left) = self.till.left_at(at_us, quantity) else {
            return self.told.seats_sold += quantity * u64::from(plan.pays);
        };
        if left < quantity {
            self.told.told += 1;
            return;
        }
        self.till.left = Some(left - quantity);
        if plan.pays {
            self.told.seats_sold += quantity;
        } else {
            self.till.lapsing.push_back(at_us + self.sale.lapse_s * 1_000_000);
        }
        if left - quantity < quantity && self.told.sold_out_after_seconds.is_none() {
            self.told.sold_out_after_seconds = Some(seconds(at_us));
            self.told.last_seat_came_after_seconds = Some(seconds(plan.arrives_us));
        }
    }

    fn end(mut self) -> Prediction {
        self.waits_us.sort_unstable();
        let at = |share: f64| {
            let rank = (share * self.waits_us.len() as f64).ceil() as usize;
            self.waits_us.get(rank.saturating_sub(1)).map_or(0.0, |us| seconds(*us))
        };
        (self.told.wait_p50_seconds, self.told.wait_p99_seconds) = (at(0.5), at(0.99));
        self.told.wait_max_seconds = at(1.0);
        let rest = (self.plans.len() as u64).saturating_sub(self.told.called + self.told.left);
        if self.sale.is_told_in_line && self.told.sold_out_after_seconds.is_some() {
            self.told.told += rest;
        } else {
            self.told.never = rest;
        }
        self.told
    }
}

impl Till {
    /// Returns how many are left now, with those that have come back; `None` where seats do not run out.
    fn left_at(&mut self, now_us: u64, quantity: u64) -> Option<u64> {
        while self.lapsing.front().is_some_and(|back_us| *back_us <= now_us) {
            self.lapsing.pop_front();
            self.left = self.left.map(|left| left + quantity);
        }
        self.left
    }
}

/// Turns microseconds into seconds, to the millisecond.
fn seconds(us: u64) -> f64 {
    (us / 1_000) as f64 / 1_000.0
}

#[cfg(test)]
mod tests;
