//! What visitors do, and what a gateway does for them: the glue of the pipeline around the real gate, the real
//! room and the real tokens.

use std::sync::Arc;

use hyper::StatusCode;
use vestibule::gate::{self, Credentials, Decision};
use vestibule::line::Standing;
use vestibule::person;
use vestibule::presence::Holder;
use vestibule::room::{JoinFault, Place, Room};
use vestibule::status::{State, Status};
use vestibule::token::pass::ISSUER;
use vestibule::token::{Pass, Ticket};

use super::{Due, World};
use crate::simulation::oracle::{Shown, Told};
use crate::simulation::plan::SECOND;
use crate::simulation::visitor::{Connection, Stage, Temper};

/// How long a poll is good for, in milliseconds: three periods and seven seconds.
const POLL_LEASE_MS: u64 = 10_000;

/// How long a visitor waits for the answer to a request.
const PATIENCE_US: u64 = 6 * SECOND;

impl World {
    /// Lets a visitor do the next thing.
    pub(super) fn visit(&mut self, index: usize) {
        self.visitors[index].asked += 1;
        match self.visitors[index].stage {
            Stage::Outside => self.come(index),
            Stage::AtTheDoor { since_us } if self.now_us > since_us + PATIENCE_US => {
                self.visitors[index].stage = Stage::Outside;
                self.again(index, SECOND);
            }
            Stage::AtTheDoor { .. } => self.again(index, SECOND),
            Stage::Waiting => self.wait(index),
            Stage::Inside { clicks, ends_s } => self.click(index, clicks, ends_s),
            Stage::Done => {}
        }
    }

    fn again(&mut self, index: usize, us: u64) {
        self.after(us, Due::Visitor(index));
    }

    /// Returns the room that a visitor reaches; one whose gateway does not answer goes to another.
    fn reach(&mut self, index: usize) -> Option<Arc<Room>> {
        let gateways = self.gateways.len();
        if self.chance.one_in(10) {
            self.visitors[index].home = self.chance.below(gateways as u64) as usize;
        }
        let home = self.visitors[index].home;
        let room = self.gateways[home].room().map(Arc::clone);
        if room.is_none() {
            self.visitors[index].home = (home + 1) % gateways;
        }
        room
    }

    fn come(&mut self, index: usize) {
        let pause_us = self.chance.between(SECOND, 3 * SECOND);
        self.again(index, pause_us);
        let Some(room) = self.reach(index) else { return };
        match self.ask(index, &room) {
            Decision::Admit(..) | Decision::Enter { .. } | Decision::Wait(..) | Decision::Pass => {}
            Decision::Reject(_) => {}
            Decision::Join => {
                let home = self.visitors[index].home;
                self.visitors[index].stage = Stage::AtTheDoor { since_us: self.now_us };
                let person = self.visitors[index].person;
                self.gateways[home].join(index, person, &mut self.tasks, &self.inbox);
            }
        }
    }

    fn wait(&mut self, index: usize) {
        if self.has_given_up(index) {
            return;
        }
        let grace_us = self.plan.limits.grace_ms * 1_000;
        let pause_us = self.visitors[index].pause_us(&mut self.chance, grace_us);
        if pause_us > 4 * SECOND {
            self.hang_up(index);
        }
        self.again(index, pause_us);
        let Some(room) = self.reach(index) else { return };
        match self.visitors[index].temper {
            Temper::Forger => self.forge(index, &room),
            Temper::Cloner => self.ask_elsewhere(index),
            _ => {}
        }
        if self.ask(index, &room) == Decision::Join {
            // The place is over: begin again.
            self.hang_up(index);
            self.visitors[index].start_over();
        }
    }

    fn has_given_up(&mut self, index: usize) -> bool {
        match self.visitors[index].temper {
            Temper::NoShow => true,
            Temper::Reenterer if self.visitors[index].asked == 4 => {
                self.leave(index);
                self.come_again(index);
                true
            }
            Temper::Leaver if self.visitors[index].asked > 4 => {
                self.leave(index);
                true
            }
            _ => false,
        }
    }

    /// Comes again, with another jar, if the place was given up.
    fn come_again(&mut self, index: usize) {
        if self.visitors[index].stage == Stage::Done {
            self.census("left to come again");
            self.visitors[index].start_over();
            self.again(index, SECOND);
        }
    }

    /// Gives the place up, if a gateway answers; else tries again later.
    fn leave(&mut self, index: usize) {
        let Some(room) = self.reach(index) else { return self.again(index, SECOND) };
        let now_ms = room.shared.clock.now_ms();
        let credentials = Credentials { ticket: self.visitors[index].ticket.as_deref(), pass: None };
        let ticket = room.view(|view| gate::ticket(&credentials, view, now_ms));
        if let Some(ticket) = ticket {
            let now_s = room.line_now().latest_s();
            let standing = room.mirror.read(|roll| roll.standing(ticket.epoch, ticket.number, now_s));
            if matches!(standing, Standing::Waiting { .. } | Standing::Unseen | Standing::Unheard) {
                self.oracle.ask_to_leave(ticket.number);
                room.leave(ticket.number);
            }
        }
        self.hang_up(index);
        self.visitors[index].stage = Stage::Done;
    }

    /// Does something inside, and goes in the end; some tell the site, others close the window.
    fn click(&mut self, index: usize, clicks: u64, ends_s: u64) {
        let pause_us = self.chance.between(SECOND / 2, 3 * SECOND);
        self.again(index, pause_us);
        let Some(room) = self.reach(index) else { return };
        let decision = self.ask(index, &room);
        let is_in = matches!(decision, Decision::Admit(..) | Decision::Enter { .. });
        if is_in {
            self.ask_upstream(&room);
        }
        if let (Decision::Admit(ticket, _) | Decision::Enter { ticket, .. }, true) = (&decision, self.chance.one_in(3))
        {
            self.renew_session(&room, ticket);
        }
        if is_in && ends_s * 1_000 <= room.line_now().earliest_ms {
            self.census("in after the first end");
        }
        if clicks > 0 && is_in {
            self.visitors[index].stage = Stage::Inside { clicks: clicks - 1, ends_s };
            return;
        }
        if let (Decision::Admit(ticket, _) | Decision::Enter { ticket, .. }, true) = (decision, self.chance.one_in(2)) {
            self.end_session(&room, &ticket, ends_s);
        }
        let comes_back = self.visitors[index].temper == Temper::Returner && self.visitors[index].admissions < 2;
        self.visitors[index].stage = if comes_back { Stage::Outside } else { Stage::Done };
    }

    /// Uploads something, of which nobody takes the time: the runs of a seed are the same on every machine.
    fn ask_upstream(&self, room: &Room) {
        let fails = self.now_us < self.upstream_fails_until_us;
        let status = if fails { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        room.health.ask(None, true).answered(status);
    }

    fn end_session(&mut self, room: &Room, ticket: &Ticket, ends_s: u64) {
        if room.mirror.read(|roll| roll.covers(ticket.epoch, ticket.number)) {
            self.oracle.ask_to_end(ticket.number);
            room.end_session(ticket.number, ends_s);
        }
    }

    fn renew_session(&mut self, room: &Room, ticket: &Ticket) {
        if room.mirror.read(|roll| roll.covers(ticket.epoch, ticket.number)) {
            self.oracle.ask_to_renew(ticket.number);
            room.renew_session(ticket.number);
        }
    }

    /// Asks for the site with what is in the jar, and does what the gate says.
    fn ask(&mut self, index: usize, room: &Arc<Room>) -> Decision {
        let (ticket, pass) = (self.visitors[index].ticket.clone(), self.visitors[index].pass.clone());
        let decision = self.decide(room, ticket.as_deref(), pass.as_deref());
        match &decision {
            Decision::Admit(_, claims) => self.enter(index, claims.exp),
            Decision::Enter { ticket, ends_s } => self.sign(index, room, ticket, *ends_s),
            Decision::Wait(ticket, standing) => self.stand(index, room, ticket, *standing),
            Decision::Join | Decision::Reject(_) | Decision::Pass => {}
        }
        decision
    }

    fn decide(&mut self, room: &Room, ticket: Option<&str>, pass: Option<&str>) -> Decision {
        let now_ms = room.shared.clock.now_ms();
        let decision = room.view(|view| gate::decide(&Credentials { ticket, pass }, view, now_ms));
        let line = self.gateways[self.gateway_of(room)].line_now(self.now_us);
        room.mirror.read(|mirror| self.oracle.decided(&Shown { ticket, pass, now_ms, line }, mirror, &decision));
        self.census(name(&decision));
        decision
    }

    /// Finds the gateway whose room this is, which answers.
    fn gateway_of(&self, room: &Room) -> usize {
        let id = room.shared.gateway.0;
        self.gateways.iter().position(|gateway| gateway.id == id).expect("it answers")
    }

    fn stand(&mut self, index: usize, room: &Arc<Room>, ticket: &Ticket, standing: Standing) {
        self.visitors[index].stage = Stage::Waiting;
        if standing == Standing::Unseen {
            self.oracle.ask_to_return(ticket.number);
        }
        room.take_back(ticket.number, standing);
        room.introduce(ticket);
        match self.visitors[index].temper {
            Temper::Live => self.connect(index, room, (ticket.epoch, ticket.number)),
            _ => room.presence.poll((ticket.epoch, ticket.number), room.shared.clock.steady_ms(), POLL_LEASE_MS),
        }
        let status = Status::of(room, ticket);
        self.note(|| {
            format!("visitor {index}, number {}, sees {:?} {:?}", ticket.number, status.state, status.position)
        });
        if status.state != State::Called {
            let gateway = self.gateway_of(room);
            let told = Told { gateway, room, ticket, status: &status };
            self.oracle.shown(&mut self.visitors[index].screen, &told);
        }
    }

    fn connect(&mut self, index: usize, room: &Arc<Room>, holder: Holder) {
        let (gateway, id) = (self.visitors[index].home, room.shared.gateway.0);
        let is_connected = |old: Connection| (old.gateway, old.id, old.holder) == (gateway, id, holder);
        if !self.visitors[index].connection.is_some_and(is_connected) {
            self.hang_up(index);
            room.presence.connect(holder);
            self.visitors[index].connection = Some(Connection { gateway, id, holder });
        }
    }

    /// Ends a live connection; a gateway that is paused notices later, and one that has crashed never.
    fn hang_up(&mut self, index: usize) {
        let Some(old) = self.visitors[index].connection.take() else { return };
        let gateway = &mut self.gateways[old.gateway];
        if gateway.id != old.id {
            return;
        }
        match gateway.room() {
            Some(room) => room.presence.disconnect(old.holder, room.shared.clock.steady_ms()),
            None => gateway.hung_up.push(old.holder),
        }
    }

    /// Lets in somebody who was called. The answer with the pass may be lost on its way.
    fn sign(&mut self, index: usize, room: &Room, ticket: &Ticket, ends_s: u64) {
        let issued_ms = room.line_now().latest_ms.min(ends_s * 1_000);
        let pass = Pass {
            issuer: ISSUER,
            room: room.rules.name.as_str(),
            ticket: ticket.id,
            number: ticket.number,
            id: u128::from(self.chance.bits()),
            issued_ms,
            lifetime_ms: ends_s * 1_000 - issued_ms,
        };
        let text = pass.sign(&room.shared.ring.load()).expect("the ring signs");
        self.oracle.signed(&text, ticket, issued_ms, ends_s);
        if self.chance.one_in(10) {
            return;
        }
        self.visitors[index].pass = Some(text);
        self.enter(index, ends_s);
    }

    fn enter(&mut self, index: usize, ends_s: u64) {
        self.hang_up(index);
        if !matches!(self.visitors[index].stage, Stage::Inside { .. }) {
            self.visitors[index].admissions += 1;
            self.oracle.census.count(format!("{:?}", self.visitors[index].temper));
            let most = if self.chance.one_in(4) { 12 } else { 4 };
            self.visitors[index].stage = Stage::Inside { clicks: self.chance.below(most), ends_s };
        }
    }

    /// A visitor has a place, if the answer arrives; if not, nobody holds the number.
    pub(super) fn joined(&mut self, gateway: u64, index: usize, place: Result<Place, JoinFault>) {
        let Some(room) = self.gateways.iter().find(|g| g.id == gateway).and_then(|g| g.room()).map(Arc::clone) else {
            return;
        };
        let is_at_the_door = matches!(self.visitors[index].stage, Stage::AtTheDoor { .. });
        let Ok(place) = place else {
            if is_at_the_door {
                self.visitors[index].stage = Stage::Outside;
            }
            return;
        };
        let ticket = Ticket {
            room: room.hash,
            epoch: place.epoch,
            number: place.number,
            id: person::ticket_of_anybody(u128::from(self.chance.bits()) << 64 | u128::from(self.chance.bits())),
            issued_ms: room.issue_ms(),
        };
        let id = self.visitors[index].person.map_or(ticket.id, person::ticket_of);
        let ticket = Ticket { id, ..ticket };
        let text = ticket.seal(&room.shared.ring.load());
        self.note(|| format!("visitor {index} is number {}", ticket.number));
        let line = self.gateways[self.gateway_of(&room)].line_now(self.now_us);
        self.oracle.issued(&text, ticket, line);
        if !is_at_the_door || self.chance.one_in(20) {
            return;
        }
        let visitor = &mut self.visitors[index];
        (visitor.ticket, visitor.pass, visitor.stage) = (Some(text), None, Stage::Waiting);
        match place.ends_s {
            Some(ends_s) => self.sign(index, &room, &ticket, ends_s),
            None => self.stand(index, &room, &ticket, Standing::Waiting { ahead: 0 }),
        }
    }

    /// The same cookies in a second tab, on another gateway.
    fn ask_elsewhere(&mut self, index: usize) {
        let other = (self.visitors[index].home + 1) % self.gateways.len();
        if let Some(room) = self.gateways[other].room().map(Arc::clone) {
            self.ask(index, &room);
        }
    }

    /// Shows what is not one's own, or not genuine.
    fn forge(&mut self, index: usize, room: &Room) {
        let other = self.chance.below(self.visitors.len() as u64) as usize;
        let (theirs, their_pass) = (self.visitors[other].ticket.clone(), self.visitors[other].pass.clone());
        let (own, own_pass) = (self.visitors[index].ticket.clone(), self.visitors[index].pass.clone());
        let bent = own.as_deref().map(|text| bend(text, self.chance.below(text.len() as u64) as usize));
        let bent_pass = their_pass.as_deref().map(|text| bend(text, self.chance.below(text.len() as u64 - 1) as usize));
        self.decide(room, bent.as_deref(), own_pass.as_deref());
        self.decide(room, own.as_deref(), their_pass.as_deref());
        self.decide(room, theirs.as_deref(), bent_pass.as_deref());
        self.decide(room, None, their_pass.as_deref());
    }
}

/// Names what the gate says.
fn name(decision: &Decision) -> &'static str {
    match decision {
        Decision::Admit(..) => "admitted",
        Decision::Enter { .. } => "entered",
        Decision::Pass => "passed",
        Decision::Join => "may join",
        Decision::Reject(_) => "rejected",
        Decision::Wait(_, Standing::Unseen) => "waits unseen",
        Decision::Wait(_, Standing::Unheard) => "waits unheard",
        Decision::Wait(_, Standing::Bygone) => "waits with a ticket of a lost line",
        Decision::Wait(..) => "waits",
    }
}

/// Changes one character of a text.
fn bend(text: &str, at: usize) -> String {
    let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
    let mut bent = text.to_owned();
    bent.replace_range(at..=at, other);
    bent
}
