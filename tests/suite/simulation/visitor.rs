//! One simulated visitor: a browser with a jar of cookies, and a temper.

use vestibule::line::PersonId;
use vestibule::presence::Holder;

use super::chance::Chance;
use super::oracle::Screen;
use super::plan::{Plan, SECOND};

/// How somebody behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Asks every few seconds until it is in.
    Faithful,
    /// Holds a live connection.
    Live,
    /// Has the same cookies in two tabs, on two gateways.
    Cloner,
    /// Is away now and then, within the grace time.
    Dozer,
    /// Is away once for longer than the grace time.
    Sleeper,
    /// Gives up its place after a while.
    Leaver,
    /// Gives up its place once, and comes again: in a draw, for another lot.
    Reenterer,
    /// Never asks again after joining.
    NoShow,
    /// Tries tickets and passes that are not its own.
    Forger,
    /// Comes back after its session, and wants in again.
    Returner,
}

/// How far somebody has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Outside,
    /// Has asked for a place and hears nothing yet.
    AtTheDoor {
        since_us: u64,
    },
    Waiting,
    Inside {
        clicks: u64,
        ends_s: u64,
    },
    Done,
}

/// A live connection, and to which life of which gateway.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub gateway: usize,
    pub id: u64,
    pub holder: Holder,
}

/// A visitor.
#[derive(Debug)]
pub struct Visitor {
    pub temper: Temper,
    /// Who it is, where the room knows that: the same as another visitor, now and then, on another device.
    pub person: Option<PersonId>,
    pub stage: Stage,
    pub ticket: Option<String>,
    pub pass: Option<String>,
    /// The gateway that it goes to, by its index.
    pub home: usize,
    pub connection: Option<Connection>,
    pub screen: Screen,
    /// How often it was let in with a place of its own.
    pub admissions: u64,
    pub asked: u64,
}

/// Three in four are known; of those, many have two devices.
fn person(chance: &mut Chance, plan: &Plan) -> Option<PersonId> {
    let name = chance.below(plan.visitors as u64) + 1;
    (!chance.one_in(4)).then_some(PersonId(1 << 127 | u128::from(name)))
}

impl Visitor {
    pub fn draw(chance: &mut Chance, plan: &Plan) -> Self {
        let temper = match chance.below(21) {
            0..6 => Temper::Faithful,
            6..10 => Temper::Live,
            10..12 => Temper::Cloner,
            12..14 => Temper::Dozer,
            14 => Temper::Sleeper,
            15 => Temper::Leaver,
            16 => Temper::NoShow,
            17 => Temper::Forger,
            18 => Temper::Reenterer,
            _ => Temper::Returner,
        };
        Self {
            temper,
            person: plan.knows_persons.then(|| person(chance, plan)).flatten(),
            stage: Stage::Outside,
            ticket: None,
            pass: None,
            home: chance.below(plan.gateways as u64) as usize,
            connection: None,
            screen: Screen::default(),
            admissions: 0,
            asked: 0,
        }
    }

    /// Tells whether the line owes this visitor something: it keeps coming and is not in yet.
    pub fn is_owed(&self) -> bool {
        !matches!(self.temper, Temper::Leaver | Temper::NoShow) && self.admissions == 0
    }

    /// Returns after how many microseconds somebody who waits asks again, in a line with this grace time.
    pub fn pause_us(&self, chance: &mut Chance, grace_us: u64) -> u64 {
        match self.temper {
            Temper::Dozer if chance.one_in(4) => chance.between(grace_us / 4, grace_us / 2),
            Temper::Sleeper if self.asked == 3 => 3 * grace_us,
            _ => chance.between(SECOND, 6 * SECOND),
        }
    }

    /// Empties the jar and begins again.
    pub fn start_over(&mut self) {
        (self.ticket, self.pass, self.screen) = (None, None, Screen::default());
        self.stage = Stage::Outside;
    }
}
