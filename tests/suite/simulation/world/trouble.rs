//! What goes wrong.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use vestibule::token::key_ring::KeyKind;

use super::{Due, World};
use crate::simulation::gateway::Life;
use crate::simulation::plan::{SECOND, Trouble};

/// How far a clock is off after a jump.
const JUMP_US: i64 = 600_000_000;

impl World {
    /// Does one of the things that this run is to suffer, and comes back for more.
    pub(super) fn make_trouble(&mut self) {
        if self.is_calm || self.plan.trouble.is_empty() {
            return;
        }
        let trouble = *self.chance.pick(&self.plan.trouble.clone());
        let index = self.chance.below(self.gateways.len() as u64) as usize;
        let for_us = self.chance.between(SECOND / 2, 8 * SECOND);
        self.note(|| format!("{trouble:?} (gateway {index}, {for_us} µs)"));
        match trouble {
            Trouble::GatewayCrashes => self.crash(index, for_us),
            Trouble::AllGatewaysCrash => (0..self.gateways.len()).for_each(|index| self.crash(index, for_us)),
            Trouble::GatewayPauses => self.pause(index, for_us),
            Trouble::GatewayIsCutOff => self.gateways[index].cut_off_until_us = self.now_us + for_us,
            Trouble::GatewayClockJumps => self.turn_gateway_clock(index),
            Trouble::StoreIsAway => self.network.away_until_us = self.now_us + for_us,
            Trouble::StoreHangs => self.network.hangs_until_us = self.now_us + for_us,
            Trouble::StoreFailsOver => self.fail_over(),
            Trouble::StoreLosesAll => self.lose_all(),
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
        let pause_us = self.chance.between(SECOND, 8 * SECOND);
        self.after(pause_us, Due::Trouble);
    }

    fn crash(&mut self, index: usize, down_us: u64) {
        // Whoever remembers what the store has lost must live until it is restored.
        if self.gateways[index].life != Life::Down && !self.network.has_lost_all {
            self.gateways[index].crash(&mut self.tasks);
            self.after(down_us, Due::Start(index));
        }
    }

    fn pause(&mut self, index: usize, for_us: u64) {
        if self.gateways[index].life == Life::Up {
            self.gateways[index].life = Life::Paused;
            self.after(for_us, Due::Resume(index));
        }
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
            hung_up.into_iter().for_each(|number| room.presence.disconnect(number, steady_ms));
        }
    }

    fn turn_gateway_clock(&mut self, index: usize) {
        let small_us = self.chance.between(0, 40 * SECOND) as i64 - 20 * SECOND as i64;
        self.gateways[index].skew_us = *self.chance.pick(&[-JUMP_US, small_us, small_us, JUMP_US]);
    }

    fn fail_over(&mut self) {
        let Some(replica) = self.replicas.pop_front() else { return };
        self.replicas.clear();
        let clock_us = self.store_clock_us();
        self.machine.fail_over(&replica, clock_us);
        self.oracle.failed_over(&self.machine, clock_us);
        self.network.has_lost_all &= !self.oracle.is_whole();
    }

    /// The store comes back with nothing, while some gateway is there to remember the line, and none just makes it.
    fn lose_all(&mut self) {
        let is_any = |life| self.gateways.iter().any(|gateway| gateway.life == life);
        if !self.is_healed() || !is_any(Life::Up) || is_any(Life::Starting) {
            return;
        }
        self.replicas.clear();
        self.machine.lose(self.store_clock_us());
        self.oracle.lost();
        self.network.has_lost_all = true;
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
