//! What an operator does in the middle of it.

use vestibule::admission::{Limits, MAX_INTERVAL_US};
use vestibule::line::{Phase, Steering};
use vestibule::schedule::Schedule;

use super::{Due, World};
use crate::simulation::plan::{SECOND, limits};
use crate::simulation::wire::{Call, Verb};

impl World {
    /// Steers the line, now and then.
    pub(super) fn operate(&mut self) {
        if self.calm_since_us.is_some() {
            return self.open_wide();
        }
        if !self.plan.steers {
            return;
        }
        let steering = self.draw_steering();
        // A gateway that starts ticks before it configures: so a room that was lost is restored, and not made anew. One
        // that is told to read its file again may come to a room that was just lost.
        let is_made = self.machine.roll().settings.is_some();
        if is_made || self.plan.overlaps || !matches!(steering, Steering::Configure(_)) {
            self.steer(steering);
        }
        let pause_us = self.chance.between(SECOND, 8 * SECOND);
        self.after(pause_us, Due::Operator);
    }

    /// Has a gateway read its file again, which says something else now.
    pub(super) fn configure_otherwise(&mut self) {
        let schedule = self.plan.limits.schedule;
        self.plan.limits = Limits { schedule, ..limits(&mut self.chance, self.now_us) };
        self.steer(Steering::Configure(self.plan.limits.clone()));
    }

    /// Opens the room with limits under which everyone can get in within minutes.
    pub(super) fn open_wide(&mut self) {
        let active = self.plan.limits.total_active_users.map(|limit| limit.max(12));
        let interval_us = Some(self.plan.limits.interval_us).filter(|interval| *interval < MAX_INTERVAL_US);
        let limits = Limits {
            interval_us: interval_us.unwrap_or(50_000),
            total_active_users: active,
            session_duration_s: 10,
            schedule: Schedule::ALWAYS,
            floor_interval_us: None,
            ..self.plan.limits.clone()
        };
        self.plan.limits = limits.clone();
        self.steer(Steering::Limits(limits));
        self.steer(Steering::Phase(Phase::Open));
        self.after(4 * SECOND, Due::Operator);
    }

    /// Goes through some gateway, if it answers; a change whose answer is lost may or may not have been made.
    pub(super) fn steer(&mut self, steering: Steering) {
        let from = self.chance.below(self.gateways.len() as u64) as usize;
        if self.gateways[from].room().is_none() {
            return;
        }
        let (reply, _) = tokio::sync::oneshot::channel();
        self.send(Call { from, verb: Verb::Steer(steering), reply });
    }

    fn draw_steering(&mut self) -> Steering {
        if self.plan.overlaps && self.chance.one_in(12) {
            let schedule = self.plan.limits.schedule;
            self.plan.limits = Limits { schedule, ..limits(&mut self.chance, self.now_us) };
        }
        match self.chance.below(12) {
            0..4 => Steering::Limits(limits(&mut self.chance, self.now_us)),
            4 => Steering::Phase(Phase::Paused),
            5 => Steering::Phase(Phase::Closed),
            6 => Steering::Phase(Phase::Draining),
            7..9 => Steering::Phase(Phase::Open),
            9 => Steering::Message(self.chance.one_in(2).then(|| "Back at ten.".to_owned())),
            10 => Steering::Admit(self.chance.between(1, 6)),
            _ if self.chance.one_in(4) => Steering::Reset,
            _ => Steering::Configure(self.plan.limits.clone()),
        }
    }
}
