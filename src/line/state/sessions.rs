//! Sessions that end before their time, or go on after it.
//!
//! Of most sessions the line knows only how many end in each second, so a gateway tells at which second each of them would.
//! Of one that was renewed the line knows it itself: gateways that hear of it late would free, or take along, somebody
//! else's slot.

use std::collections::{BTreeMap, BTreeSet};

use super::LineState;
use crate::line::{Entry, Number, Numbers, Renewal, Slots};

impl LineState {
    /// Ends sessions before their time.
    pub fn end(&mut self, ended: &[Slots], now_us: u64) {
        let told = ended.iter().flat_map(|slots| slots.numbers.iter().map(|number| (number, slots.ends_s)));
        let ended = self.slots_of(told);
        if !ended.is_empty() {
            self.append(Entry { ended, ..Entry::default() }, now_us);
        }
    }

    /// Lets sessions that have not run out go on for as long as one that begins now, in the slots that they have.
    pub fn renew(&mut self, renewed: &[Renewal], now_us: u64) {
        let ends_s = self.ends_s(now_us);
        let told = self.slots_of(renewed.iter().map(|renewal| (renewal.number, renewal.ends_s)));
        let may_move = |slots: &Slots| now_us / 1_000_000 < slots.ends_s && slots.ends_s < ends_s;
        let renewed: Vec<Slots> = told.into_iter().filter(may_move).filter_map(|slots| self.taken(slots)).collect();
        if !renewed.is_empty() {
            self.append(Entry { renewed, ends_s, ..Entry::default() }, now_us);
        }
    }

    /// Returns as many of some slots as are taken until their second; a gateway may have told of one that was free already.
    fn taken(&self, slots: Slots) -> Option<Slots> {
        let taken = self.roll.sessions.in_use().get(&slots.ends_s).copied().unwrap_or(0);
        let numbers: Numbers = slots.numbers.iter().take(taken as usize).collect();
        (!numbers.is_empty()).then_some(Slots { numbers, ..slots })
    }

    /// Returns the slots of those who were called and are not over, each once.
    fn slots_of(&self, told: impl Iterator<Item = (Number, u64)>) -> Vec<Slots> {
        let (mut slots, mut seen) = (BTreeMap::<u64, Vec<Number>>::new(), BTreeSet::new());
        for (number, told_s) in told {
            let is_inside = self.roll.called.contains(number) && !self.roll.over.contains(number);
            if is_inside && seen.insert(number) {
                let ends_s = self.roll.sessions.renewed_end(number).unwrap_or(told_s);
                slots.entry(ends_s).or_default().push(number);
            }
        }
        slots.into_iter().map(|(ends_s, numbers)| Slots { ends_s, numbers: numbers.into_iter().collect() }).collect()
    }
}
