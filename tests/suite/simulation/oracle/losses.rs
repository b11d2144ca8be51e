//! What must be so after the store has lost something: whatever anybody alive remembers is made good.

use std::collections::BTreeSet;

use vestibule::line::{EPOCH_MARGIN, Epoch, Roll, Standing};
use vestibule::token::Ticket;

use super::{Key, Oracle, Shown};
use crate::simulation::machine::Machine;

/// For how long a line that was made anew gives way to the one that was lost, in seconds.
const YOUNG_S: u64 = 60;

impl Oracle {
    /// Notes that the store goes on with another line, or with another state of it, and which epochs anybody alive
    /// still remembers. Nobody is owed a place of the others.
    pub fn lost(&mut self, machine: &Machine, clock_us: u64, remembered: &BTreeSet<Epoch>) {
        self.books.pass_to(clock_us);
        self.begin_anew(machine);
        self.survived_by(remembered);
    }

    /// Notes which epochs anybody alive remembers, after somebody has died.
    pub fn survived_by(&mut self, remembered: &BTreeSet<Epoch>) {
        let epochs: BTreeSet<Epoch> = self.desk.keys().map(|(epoch, _)| epoch).collect();
        epochs.difference(remembered).for_each(|epoch| self.ever.forget(*epoch));
    }

    pub(super) fn restored(&mut self, offered: &Roll, machine: &Machine) {
        let (roll, before) = (machine.roll(), self.rebuilt.clone());
        if gave_way(&before, roll) {
            self.census.count("gives way");
            self.ever.forget(before.epoch());
            self.check_settings(&before, roll);
        }
        self.forget_who_came_since_they_parted(&before, roll);
        self.forget_what_is_put_aside(&Roll { issued: self.books.issued, ..before.clone() });
        if roll.epoch() != self.books.epoch {
            self.census.count("begins an epoch");
            self.begin_anew(machine);
        } else if roll.seq != before.seq {
            self.census.count("merges");
            self.adopt(roll);
        } else {
            self.census.count_if(roll.known() != offered.known(), "adds nothing");
        }
        self.rebuilt = roll.clone();
    }

    /// Whoever came on a line after it parted from the one that it gives way to joins again (decision 24): the line goes
    /// on naming their epochs, which have no numbers any more.
    fn forget_who_came_since_they_parted(&mut self, before: &Roll, roll: &Roll) {
        let is_strange = |(epoch, number): &Key| before.covers(*epoch, *number) && has_no_numbers(roll, *epoch);
        let epochs: BTreeSet<Epoch> = self.desk.keys().filter(is_strange).map(|(epoch, _)| epoch).collect();
        epochs.iter().for_each(|epoch| self.ever.forget(*epoch));
    }

    /// A ticket that was under way when its line gave way is of the same strangers.
    pub(super) fn forget_whose_line_gave_way(&mut self, ticket: &Ticket) {
        if has_no_numbers(&self.rebuilt, ticket.epoch) {
            self.ever.forget(ticket.epoch);
        }
    }

    /// An epoch has begun: the books are written anew from what the store says, and no place may be gone.
    pub(super) fn begin_anew(&mut self, machine: &Machine) {
        self.adopt(machine.roll());
        self.books.begin_anew();
        self.rebuilt = machine.roll().clone();
        self.check_places(machine);
    }

    fn adopt(&mut self, roll: &Roll) {
        self.books.agree_with(roll);
        self.agree_on_draws(roll);
    }

    /// What was set on a line that gave way was set later than what the lost one knew.
    fn check_settings(&mut self, before: &Roll, roll: &Roll) {
        let Some(set) = &before.settings else { return };
        let is_kept = roll.settings.as_ref().is_some_and(|settings| settings.configured == set.configured);
        self.demand(is_kept, || format!("an operator has set {set:?}, and now there is {:?}", roll.settings));
    }

    /// Every place that was given and is not over is in line, called, or can be taken back, as long as the store
    /// remembers its epoch, or knows of a line that was lost whole. (L8)
    pub(super) fn check_places(&mut self, machine: &Machine) {
        let roll = machine.roll();
        self.forget_what_is_put_aside(roll);
        let gone = self.desk.keys().find_map(|(epoch, number)| {
            let standing = roll.standing(epoch, number, 0);
            let fate = self.ever.fate((epoch, number));
            let is_kept = !matches!(standing, Standing::Over | Standing::Foreign | Standing::Unheard);
            let is_known = !fate.is_forgotten && roll.eras.iter().any(|era| era.epoch == epoch);
            let is_owed = (is_known || is_bygone(roll, (epoch, number))) && !fate.is_over && fate.ends_s.is_none();
            (is_owed && !is_kept).then(|| format!("(L8) place {number} of epoch {epoch} is {standing:?}"))
        });
        self.demand(gone.is_none(), || gone.unwrap_or_default());
    }

    /// Every place that anybody remembers is in the line again, once all is healed.
    pub fn check_all_is_healed(&mut self, machine: &Machine) {
        self.forget_what_is_put_aside(machine.roll());
        let missing = self.desk.keys().find_map(|(epoch, number)| {
            let fate = self.ever.fate((epoch, number));
            let is_known = machine.roll().eras.iter().any(|era| era.epoch == epoch);
            let is_owed = !is_known && !fate.is_forgotten && !fate.is_over && fate.ends_s.is_none();
            is_owed.then(|| format!("(L8) epoch {epoch} of place {number} was remembered, and is lost"))
        });
        self.demand(missing.is_none(), || missing.unwrap_or_default());
    }

    /// Somebody who shows a ticket of an epoch that was lost to a gateway that has heard of two losses since joins anew.
    pub(super) fn put_aside(&mut self, shown: &Shown<'_>, mirror: &Roll) {
        let key = shown.ticket.and_then(|text| self.desk.find(text));
        let is_lost = |(epoch, _): &Key| mirror.eras.len() > 1 && !mirror.eras.iter().any(|era| era.epoch == *epoch);
        if let Some(key) = key.filter(is_lost) {
            self.census.count("put aside");
            self.ever.end(key);
        }
    }

    /// A line that was made anew and has given numbers for long is not put aside for one that was lost.
    fn forget_what_is_put_aside(&mut self, roll: &Roll) {
        let stands = roll.eras.len() == 1 && roll.issued > 0;
        if stands && self.books.clock_us / 1_000_000 >= u64::from(roll.epoch()) + YOUNG_S {
            self.survived_by(&[roll.epoch()].into());
        }
    }
}

/// Tells whether a line that was made anew has been put aside for one that was lost.
fn gave_way(before: &Roll, now: &Roll) -> bool {
    let first = |roll: &Roll| roll.eras.first().map(|era| era.epoch);
    before.eras.len() == 1 && before.seq > 0 && first(before) != first(now)
}

/// Tells whether an epoch is named, and nothing else.
fn has_no_numbers(roll: &Roll, epoch: Epoch) -> bool {
    let named = roll.eras.iter().position(|era| era.epoch == epoch);
    named.is_some_and(|i| roll.eras[i].above >= roll.eras.get(i + 1).map_or(roll.issued, |next| next.above))
}

/// Tells whether a line of which only tickets were left stands for this place.
fn is_bygone(roll: &Roll, (epoch, number): Key) -> bool {
    match roll.eras[..] {
        [bygone, next, ..] => bygone.epoch == 0 && epoch < next.epoch && number + EPOCH_MARGIN <= next.above,
        _ => false,
    }
}
