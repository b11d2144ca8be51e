//! What goes wrong.

use std::collections::BTreeSet;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use vestibule::line::{Epoch, Roll};
use vestibule::token::key_ring::KeyKind;

use super::{Due, World};
use crate::simulation::gateway::Life;
use crate::simulation::plan::{SECOND, Trouble};

/// How far a clock is off after a jump.
const JUMP_US: i64 = 600_000_000;

impl World {
    /// Does one of the things that this run is to suffer, and comes back for more.
    pub(super) fn make_trouble(&mut self) {
        if self.calm_since_us.is_some() || self.plan.trouble.is_empty() {
            return;
        }
        let trouble = *self.chance.pick(&self.plan.trouble.clone());
        let index = self.chance.below(self.gateways.len() as u64) as usize;
        let for_us = self.chance.between(SECOND / 2, 8 * SECOND);
        self.note(|| format!("{trouble:?} (gateway {index}, {for_us} µs)"));
        if self.befall(trouble, index, for_us) {
            self.oracle.census.count(format!("{trouble:?}"));
        }
        let pause_us = self.chance.between(SECOND, 8 * SECOND);
        self.after(pause_us, Due::Trouble);
    }

    /// Lets something go wrong, if it can at this moment; tells whether it has.
    fn befall(&mut self, trouble: Trouble, index: usize, for_us: u64) -> bool {
        let takes_over =
            matches!(trouble, Trouble::StoreFailsOver | Trouble::StoreLosesAll | Trouble::EverythingIsLost);
        if takes_over && self.has_just_begun_an_epoch() {
            return false;
        }
        match trouble {
            Trouble::GatewayCrashes => return self.crash(index, for_us),
            Trouble::AllGatewaysCrash => return self.crash_all(for_us),
            Trouble::GatewayPauses => return self.pause(index, for_us),
            Trouble::GatewayIsCutOff => self.gateways[index].cut_off_until_us = self.now_us + for_us,
            Trouble::GatewayClockJumps => self.turn_gateway_clock(index),
            Trouble::StoreIsAway => self.network.away_until_us = self.now_us + for_us,
            Trouble::StoreHangs => self.network.hangs_until_us = self.now_us + for_us,
            Trouble::StoreFailsOver => return self.fail_over(),
            Trouble::StoreLosesAll => return self.lose_all(),
            Trouble::EverythingIsLost => self.lose_everything(for_us),
            Trouble::StoreClockSteps => {
                let step_us = self.chance.between(0, 4 * SECOND) as i64 - 2 * SECOND as i64;
                self.turn_store_clock(self.store_skew_us + step_us);
            }
            Trouble::StoreClockJumps => {
                let skew_us = *self.chance.pick(&[-JUMP_US, 0, JUMP_US]);
                self.turn_store_clock(skew_us);
            }
            Trouble::KeysAreRotated => self.rotate_keys(),
            Trouble::UpstreamFails => self.upstream_fails_until_us = self.now_us + for_us,
        }
        true
    }

    fn crash(&mut self, index: usize, down_us: u64) -> bool {
        // Whoever remembers what the store has lost lives until it is restored: where no two faults are to overlap, or the
        // server that took over has a clock that is behind.
        let is_behind = self.store_skew_us < self.furthest_skew_us;
        let is_needed = self.network.lost.is_some() && (!self.plan.overlaps || is_behind);
        let crashes = self.gateways[index].life != Life::Down && !is_needed;
        if crashes {
            self.oracle.census.count_if(self.network.lost.is_some(), "gateway gone before the store was healed");
            self.gateways[index].crash(&mut self.tasks);
            self.after(down_us, Due::Start(index));
            self.take_stock();
        }
        crashes
    }

    fn crash_all(&mut self, down_us: u64) -> bool {
        let crashed: Vec<bool> = (0..self.gateways.len()).map(|index| self.crash(index, down_us)).collect();
        crashed.contains(&true)
    }

    /// Tells the oracle who is left to remember what.
    fn take_stock(&mut self) {
        let remembered = self.remembered();
        self.oracle.survived_by(&remembered);
    }

    /// Returns the epochs that the store knows, or some gateway that lives.
    fn remembered(&self) -> BTreeSet<Epoch> {
        let of = |roll: &Roll| roll.eras.iter().map(|era| era.epoch).collect::<Vec<_>>();
        let mirrors = self.gateways.iter().filter_map(|gateway| gateway.any_room());
        mirrors.flat_map(|room| room.mirror.read(of)).chain(of(self.machine.roll())).collect()
    }

    fn pause(&mut self, index: usize, for_us: u64) -> bool {
        let is_up = self.gateways[index].life == Life::Up;
        if is_up {
            self.gateways[index].life = Life::Paused;
            self.after(for_us, Due::Resume(index));
        }
        is_up
    }

    /// A gateway goes on, and finds out who hung up meanwhile.
    pub(super) fn resume(&mut self, index: usize) {
        if self.gateways[index].life != Life::Paused {
            return;
        }
        self.gateways[index].life = Life::Up;
        let hung_up = std::mem::take(&mut self.gateways[index].hung_up);
        let steady_ms = self.gateways[index].clock.steady_ms();
        if let Some(room) = self.gateways[index].room() {
            hung_up.into_iter().for_each(|holder| room.presence.disconnect(holder, steady_ms));
        }
    }

    fn turn_gateway_clock(&mut self, index: usize) {
        let small_us = self.chance.between(0, 40 * SECOND) as i64 - 20 * SECOND as i64;
        self.gateways[index].skew_us = *self.chance.pick(&[-JUMP_US, small_us, small_us, JUMP_US]);
    }

    fn fail_over(&mut self) -> bool {
        let Some(replica) = self.replicas.pop_front() else { return false };
        self.replicas.clear();
        self.machine.fail_over(&replica, self.store_clock_us());
        self.go_on_after_a_loss();
        true
    }

    /// The store comes back with nothing. Where no two faults are to overlap, some gateway is there to remember the
    /// line, and none just makes it.
    fn lose_all(&mut self) -> bool {
        let is_any = |life| self.gateways.iter().any(|gateway| gateway.life == life);
        let is_well = self.is_healed() && is_any(Life::Up) && !is_any(Life::Starting);
        let loses = self.plan.overlaps || is_well;
        if loses {
            let epoch = self.machine.roll().epoch();
            self.replicas.clear();
            self.set_the_clock_of_a_stranger();
            self.machine.lose(self.store_clock_us());
            self.go_on_after_a_loss();
            self.network.lost = self.network.lost.or(Some(epoch));
            self.steer_the_lost();
        }
        loses
    }

    /// The store comes back with nothing, and no gateway is left: what remains are tickets.
    fn lose_everything(&mut self, down_us: u64) {
        self.replicas.clear();
        for index in 0..self.gateways.len() {
            let after_us = self.chance.below(down_us);
            self.crash(index, after_us);
        }
        self.set_the_clock_of_a_stranger();
        self.machine.lose(self.store_clock_us());
        self.go_on_after_a_loss();
        self.network.lost = None;
    }

    /// A server that takes over when nobody knows of another line has the right time, or a later one.
    fn set_the_clock_of_a_stranger(&mut self) {
        if self.gateways.iter().all(|gateway| gateway.any_room().is_none()) {
            self.turn_store_clock(self.furthest_skew_us);
        }
    }

    /// Tells whether an epoch is named after this very second, or the next. It takes another server longer than that to
    /// take over, so none names an epoch as one that it has lost.
    fn has_just_begun_an_epoch(&self) -> bool {
        let (epoch, second) = (u64::from(self.machine.roll().epoch()), self.store_clock_us() / SECOND);
        (second..=second + 1).contains(&epoch)
    }

    fn go_on_after_a_loss(&mut self) {
        self.oracle
            .census
            .count_if(self.network.lost.is_some() || !self.is_healed(), "loss before the last was healed");
        match self.oracle.pending_draw() {
            Some(false) => self.census("loss while entries are taken"),
            Some(true) => self.census("loss while lots are drawn"),
            None => self.oracle.census.count_if(self.oracle.has_drawn(), "loss after a draw"),
        }
        let (clock_us, remembered) = (self.store_clock_us(), self.remembered());
        self.oracle.lost(&self.machine, clock_us, &remembered);
        self.look_for_the_lost();
    }

    /// An operator is just about to change something.
    fn steer_the_lost(&mut self) {
        if self.plan.overlaps && self.plan.steers && self.chance.one_in(2) {
            self.configure_otherwise();
        }
    }

    /// Makes new keys, which every gateway reads within the same moment.
    fn rotate_keys(&mut self) {
        let mut dice = StdRng::seed_from_u64(self.chance.bits());
        for kind in [KeyKind::Ticket, KeyKind::Pass] {
            // A ring that is full stays as it is.
            let _ = self.ring.rotate(kind, self.now_us / 1_000, 24 * 3_600_000, &mut dice);
        }
        for room in self.gateways.iter().filter_map(|gateway| gateway.any_room()) {
            room.shared.ring.store(std::sync::Arc::new(self.ring.clone()));
        }
    }
}
