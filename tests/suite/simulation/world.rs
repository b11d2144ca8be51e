//! The world of one run: virtual time, an agenda, and everything that moves.

mod network;
mod operator;
mod trouble;
mod visiting;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::runtime::Handle;
use vestibule::audit;
use vestibule::line::state::LineState;
use vestibule::token::KeyRing;

use super::census::Census;
use super::chance::Chance;
use super::gateway::{Gateway, Inbox, Life, Message};
use super::machine::{Defect, Machine};
use super::oracle::Oracle;
use super::plan::{Plan, SECOND, Weather};
use super::tasks::Tasks;
use super::visitor::Visitor;
use super::wire::Outbox;
use network::{Arrival, Network, Return};

/// When every run begins, in microseconds since the Unix epoch.
const START_US: u64 = 1_795_000_000_000_000;

/// How long the line may take, once all trouble is over, to let everyone in who is owed it.
const CALM_US: u64 = 400 * SECOND;

/// A run goes on for so long after the last trouble, though everybody be in: what was lost is not made good at once.
const HEALING_US: u64 = 10 * SECOND;

/// What is due at some instant.
#[derive(Debug)]
pub(super) enum Due {
    Beat(usize),
    Start(usize),
    Resume(usize),
    /// A call reaches the store.
    Arrival(Arrival),
    /// An answer reaches the gateway.
    Return(Return),
    /// Somebody acts.
    Visitor(usize),
    Trouble,
    Operator,
    Calm,
}

/// A run.
pub struct World {
    plan: Plan,
    chance: Chance,
    now_us: u64,
    agenda: BTreeMap<(u64, u64), Due>,
    scheduled: u64,
    tasks: Tasks,
    inbox: Inbox,
    outbox: Outbox,
    network: Network,
    machine: Machine,
    /// How far the store's clock is from the true time.
    store_skew_us: i64,
    /// How far it was ahead at the most: a clock that goes back makes the line rest for as long.
    furthest_skew_us: i64,
    /// What a replica has, the newest last.
    replicas: VecDeque<LineState>,
    gateways: Vec<Gateway>,
    visitors: Vec<Visitor>,
    /// The file with the keys, as every gateway reads it.
    ring: KeyRing,
    oracle: Oracle,
    /// Until when the upstream answers with errors.
    upstream_fails_until_us: u64,
    /// Since when all trouble is over.
    calm_since_us: Option<u64>,
    trace: VecDeque<String>,
    /// How many of the last steps it keeps.
    trace_steps: usize,
    steps: u64,
}

/// What became of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub violation: Option<String>,
    pub steps: u64,
    /// How long the run lasted, in the seconds of its world.
    pub lasted_s: u64,
    /// How many were let in.
    pub admitted: u64,
    /// How many epochs there were.
    pub epochs: usize,
    /// The last link of the log: two runs are the same if it is.
    pub link: String,
    pub trace: Vec<String>,
    pub census: Census,
}

impl World {
    /// Makes the world of a seed.
    pub fn new(seed: u64, defect: Option<Defect>, trace_steps: usize) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::draw(&mut chance, START_US);
        let mut world = Self {
            now_us: START_US,
            agenda: BTreeMap::new(),
            scheduled: 0,
            tasks: Tasks::default(),
            inbox: Rc::new(RefCell::default()),
            outbox: Outbox::default(),
            network: Network::new(plan.wire, plan.gateways),
            machine: Machine::new(defect, START_US),
            store_skew_us: 0,
            furthest_skew_us: 0,
            replicas: VecDeque::new(),
            gateways: Vec::new(),
            visitors: Vec::new(),
            ring: KeyRing::generate(START_US / 1_000, &mut StdRng::seed_from_u64(seed)),
            oracle: Oracle::since(START_US),
            upstream_fails_until_us: 0,
            calm_since_us: None,
            trace: VecDeque::new(),
            trace_steps,
            steps: 0,
            plan,
            chance,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        for index in 0..self.plan.gateways {
            let skew_us = self.chance.between(0, 40 * SECOND) as i64 - 20 * SECOND as i64;
            self.gateways.push(Gateway::new(index, skew_us));
            let after_us = self.chance.below(self.plan.beat_us);
            self.after(after_us, Due::Start(index));
        }
        for index in 0..self.plan.visitors {
            self.visitors.push(Visitor::draw(&mut self.chance, &self.plan));
            let after_us = self.chance.below(self.plan.storm_us * 3 / 4);
            self.after(after_us, Due::Visitor(index));
        }
        self.after(3 * SECOND, Due::Trouble);
        self.after(5 * SECOND, Due::Operator);
        self.after(self.plan.storm_us, Due::Calm);
    }

    /// Runs to the end, or to the first thing that is not as it must be.
    pub fn run(mut self) -> Outcome {
        let end_us = START_US + self.plan.storm_us + CALM_US;
        while let Some(((at_us, _), due)) = self.agenda.pop_first() {
            if at_us > end_us || self.is_over() {
                break;
            }
            self.now_us = at_us;
            self.step(due);
        }
        if self.oracle.violation().is_none() {
            self.close();
        }
        self.outcome()
    }

    fn is_over(&self) -> bool {
        let all_in = || !self.visitors.iter().any(Visitor::is_owed);
        let is_healed = || self.calm_since_us.is_some_and(|since_us| self.now_us >= since_us + HEALING_US);
        self.oracle.violation().is_some() || (is_healed() && all_in())
    }

    fn step(&mut self, due: Due) {
        self.steps += 1;
        self.gateways.iter().for_each(|gateway| gateway.set_clock(self.now_us));
        match due {
            Due::Beat(index) => self.beat(index),
            Due::Start(index) => self.start(index),
            Due::Resume(index) => self.resume(index),
            Due::Arrival(arrival) => self.arrive(arrival),
            Due::Return(answer) => self.give_back(answer),
            Due::Visitor(index) => self.visit(index),
            Due::Trouble => self.make_trouble(),
            Due::Operator => self.operate(),
            Due::Calm => self.calm_down(),
        }
        self.settle();
    }

    /// Lets every task go as far as it can, and takes what they have to say.
    fn settle(&mut self) {
        loop {
            self.run_tasks();
            let messages = std::mem::take(&mut *self.inbox.borrow_mut());
            let calls = std::mem::take(&mut *self.outbox.lock().expect("one thread"));
            if messages.is_empty() && calls.is_empty() {
                break;
            }
            messages.into_iter().for_each(|message| self.hear(message));
            calls.into_iter().for_each(|call| self.send(call));
        }
    }

    /// Lets every task go as far as it can. Large draws are made on another thread, which is waited for: the time of a
    /// run is the world's.
    fn run_tasks(&mut self) {
        self.tasks.run_until_stalled();
        while self.oracle.has_large_lots() && self.has_apart() {
            self.tasks.run_until_stalled();
        }
    }

    /// Waits for what is done apart; tells whether somebody has waited for it.
    fn has_apart(&self) -> bool {
        let runtime = Handle::current();
        // There is one such thread, and this is the last that it was told to do.
        runtime.block_on(runtime.spawn_blocking(|| ())).expect("it does nothing");
        self.tasks.is_any_woken()
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Started { gateway, done } => self.started(gateway, done),
            Message::Ticked { gateway } => {
                if let Some(gateway) = self.gateways.iter_mut().find(|g| g.id == gateway) {
                    gateway.is_ticking = false;
                    gateway.draw_lots(&mut self.tasks, &self.inbox);
                }
            }
            Message::Drew { gateway } => {
                if let Some(gateway) = self.gateways.iter_mut().find(|g| g.id == gateway) {
                    gateway.is_drawing = false;
                }
            }
            Message::Joined { gateway, visitor, place } => self.joined(gateway, visitor, place),
        }
    }

    fn start(&mut self, index: usize) {
        if self.gateways[index].life != Life::Down {
            return;
        }
        if self.network.lost.is_some() && !self.plan.overlaps {
            // Nobody makes a room anew while others remember it.
            return self.after(SECOND / 2, Due::Start(index));
        }
        self.note(|| format!("gateway {index} starts"));
        let id = self.chance.bits();
        let gateway = &mut self.gateways[index];
        gateway.start(id, self.ring.clone(), &self.plan, &self.outbox, &mut self.tasks, &self.inbox);
    }

    fn started(&mut self, id: u64, done: bool) {
        let Some(index) = self.gateways.iter().position(|gateway| gateway.id == id) else { return };
        if done {
            self.gateways[index].serve(&mut self.tasks);
            self.after(self.plan.beat_us, Due::Beat(index));
        } else {
            self.gateways[index].crash(&mut self.tasks);
            self.after(SECOND, Due::Start(index));
        }
    }

    fn beat(&mut self, index: usize) {
        match self.gateways[index].life {
            Life::Up => self.gateways[index].beat(&mut self.tasks, &self.inbox),
            Life::Paused => {}
            Life::Down | Life::Starting => return,
        }
        let jitter_us = self.chance.below(self.plan.beat_us / 4);
        self.after(self.plan.beat_us + jitter_us, Due::Beat(index));
    }

    /// Ends all trouble: whoever is down starts, clocks are set right, and an operator lets people in.
    fn calm_down(&mut self) {
        self.note(|| "calm".to_owned());
        self.calm_since_us = Some(self.now_us);
        self.network.weather = Weather::fair();
        self.network.calm();
        self.store_skew_us = self.furthest_skew_us;
        for index in 0..self.gateways.len() {
            let gateway = &mut self.gateways[index];
            (gateway.skew_us, gateway.cut_off_until_us) = (self.store_skew_us, 0);
            match gateway.life {
                Life::Down => self.after(SECOND, Due::Start(index)),
                Life::Paused => self.after(SECOND, Due::Resume(index)),
                Life::Starting | Life::Up => {}
            }
        }
        self.open_wide();
    }

    /// Looks at the end of a run at what every gateway knows.
    fn close(&mut self) {
        let owed: Vec<String> = (self.visitors.iter().enumerate().filter(|(_, visitor)| visitor.is_owed()))
            .map(|(index, visitor)| format!("visitor {index}, {:?}, {:?}", visitor.temper, visitor.stage))
            .collect();
        self.oracle.expect(owed.is_empty(), || format!("(L8) after all trouble is over, not let in: {owed:?}"));
        self.oracle.check_all_is_healed(&self.machine);
        for gateway in &self.gateways {
            let Some(room) = gateway.room() else { continue };
            let log: String = room.mirror.history().export().collect();
            let (_, findings) = audit::verify(log.lines());
            self.oracle.expect(findings.is_empty(), || format!("the audit of the log finds {findings:?}"));
            let known = room.mirror.known();
            let (mirror, roll) = (room.mirror.read(Clone::clone), self.machine.roll());
            let is_same = known != roll.known() || mirror == *roll;
            self.oracle.expect(is_same, || format!("the mirror of gateway {} is not the line", gateway.index));
        }
    }

    fn outcome(self) -> Outcome {
        Outcome {
            violation: self.oracle.violation().map(str::to_owned),
            steps: self.steps,
            lasted_s: (self.now_us - START_US) / SECOND,
            admitted: self.visitors.iter().map(|visitor| visitor.admissions).sum(),
            epochs: self.machine.roll().eras.len(),
            link: format!("{:?}", self.machine.roll().link),
            trace: self.trace.into_iter().collect(),
            census: self.oracle.census,
        }
    }

    fn after(&mut self, us: u64, due: Due) {
        self.at(self.now_us + us, due);
    }

    fn at(&mut self, at_us: u64, due: Due) {
        self.scheduled += 1;
        self.agenda.insert((at_us, self.scheduled), due);
    }

    /// Turns the store's clock to be `skew_us` off the true time.
    fn turn_store_clock(&mut self, skew_us: i64) {
        self.store_skew_us = skew_us;
        self.furthest_skew_us = self.furthest_skew_us.max(skew_us);
    }

    fn store_clock_us(&self) -> u64 {
        self.now_us.saturating_add_signed(self.store_skew_us)
    }

    fn census(&mut self, what: &'static str) {
        self.oracle.census.count(what);
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace_steps == 0 {
            return;
        }
        let at_s = (self.now_us - START_US) as f64 / SECOND as f64;
        if self.trace.len() == self.trace_steps {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{at_s:10.6} {}", what()));
    }
}
