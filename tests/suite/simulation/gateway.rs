//! One simulated gateway: a real room, and what keeps it running.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::header::HeaderName;
use vestibule::adaptive::Tolerance;
use vestibule::admission::Limits;
use vestibule::clock::Clock;
use vestibule::gate::QueueingMethod;
use vestibule::line::{GatewayId, PersonId, RoomName, StoreFault};
use vestibule::metrics::Metrics;
use vestibule::person::{PersonRule, Source};
use vestibule::presence::Holder;
use vestibule::room::{JoinFault, Place, Room, RoomRules, Shared};
use vestibule::ticker;
use vestibule::token::pass::ISSUER;
use vestibule::token::{KeyRing, PassVerifier};

use super::oracle::LineNow;
use super::plan::Plan;
use super::tasks::{TaskId, Tasks};
use super::wire::{Outbox, Wire};

/// What a task has to say when it is done.
pub enum Message {
    /// A gateway has started, or could not.
    Started { gateway: u64, done: bool },
    /// A tick is over.
    Ticked { gateway: u64 },
    /// Lots were drawn, or could not be.
    Drew { gateway: u64 },
    /// A visitor has joined, or not.
    Joined { gateway: u64, visitor: usize, place: Result<Place, JoinFault> },
}

/// Where they say it.
pub type Inbox = Rc<RefCell<Vec<Message>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Down,
    Starting,
    Up,
    /// Stopped in its tracks; it goes on later as if nothing had been.
    Paused,
}

/// What a gateway can know of the store's clock, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// What it really showed.
    pub clock_us: u64,
    /// When, in true time.
    pub at_us: u64,
    /// When the gateway asked, in true time.
    pub asked_us: u64,
}

/// A gateway, over all its lives.
pub struct Gateway {
    pub index: usize,
    /// This life's id.
    pub id: u64,
    pub life: Life,
    pub clock: Clock,
    /// How far its clock is from the true time, in microseconds.
    pub skew_us: i64,
    /// What the store's clock showed when this life of the gateway last heard of it.
    pub heard: Option<Heard>,
    /// Until when nothing reaches the store.
    pub cut_off_until_us: u64,
    pub is_ticking: bool,
    pub is_drawing: bool,
    /// Connections that ended while it was paused.
    pub hung_up: Vec<Holder>,
    room: Option<Arc<Room>>,
    tasks: Vec<TaskId>,
}

impl Gateway {
    pub fn new(index: usize, skew_us: i64) -> Self {
        Self {
            index,
            id: 0,
            life: Life::Down,
            clock: Clock::manual(0),
            skew_us,
            heard: None,
            cut_off_until_us: 0,
            is_ticking: false,
            is_drawing: false,
            hung_up: Vec::new(),
            room: None,
            tasks: Vec::new(),
        }
    }

    /// Returns the room, of a gateway that answers visitors.
    pub fn room(&self) -> Option<&Arc<Room>> {
        self.room.as_ref().filter(|_| self.life == Life::Up)
    }

    /// Returns the room of a gateway that runs, whether it answers or not.
    pub fn any_room(&self) -> Option<&Arc<Room>> {
        self.room.as_ref()
    }

    /// Lets the true time come to the clock, which shows its own.
    pub fn set_clock(&self, true_us: u64) {
        self.clock.advance_us(true_us.saturating_sub(self.clock.steady_us()));
        self.clock.set_us(true_us.saturating_add_signed(self.skew_us));
    }

    /// Returns how late it is at the store, unless its clock was turned since this gateway heard of it, and how late it
    /// may be for all that the gateway knows: the question may have come at once, and a clock may go wrong by a
    /// thousandth.
    pub fn line_now(&self, true_us: u64) -> LineNow {
        let Some(heard) = self.heard else {
            return LineNow { surely_ms: self.clock.now_ms(), maybe_ms: self.clock.now_ms() };
        };
        let elapsed_us = true_us - heard.asked_us;
        let maybe_us = heard.clock_us + elapsed_us + elapsed_us / 1_000;
        LineNow { surely_ms: (heard.clock_us + true_us - heard.at_us) / 1_000, maybe_ms: maybe_us / 1_000 + 1 }
    }

    /// Starts as the composition root does: it follows the log, configures the room, promises a draw, and follows the log.
    pub fn start(&mut self, id: u64, ring: KeyRing, plan: &Plan, outbox: &Outbox, tasks: &mut Tasks, inbox: &Inbox) {
        let store = Arc::new(Wire { from: self.index, outbox: Arc::clone(outbox) });
        let shared = Shared {
            clock: self.clock.clone(),
            store,
            metrics: Metrics::new(),
            ring: Arc::new(ArcSwap::from_pointee(ring)),
            verifier: Arc::new(PassVerifier::new(ISSUER, 1_000)),
            gateway: GatewayId(id),
        };
        let room = Arc::new(Room::new(rules(plan), shared));
        (self.id, self.life, self.room) = (id, Life::Starting, Some(Arc::clone(&room)));
        let (inbox, limits) = (Rc::clone(inbox), plan.limits.clone());
        self.tasks = vec![tasks.spawn(async move {
            let done = begin(&room, limits).await.is_ok();
            inbox.borrow_mut().push(Message::Started { gateway: id, done });
        })];
    }

    /// Opens the doors: from now on it serves visitors.
    pub fn serve(&mut self, tasks: &mut Tasks) {
        let Some(room) = self.room.clone() else { return };
        self.life = Life::Up;
        self.tasks.push(tasks.spawn(async move { room.run_joining().await }));
    }

    /// Loses all that is in memory.
    pub fn crash(&mut self, tasks: &mut Tasks) {
        self.tasks.drain(..).for_each(|task| tasks.kill(task));
        (self.life, self.room, self.heard) = (Life::Down, None, None);
        (self.is_ticking, self.is_drawing) = (false, false);
        self.hung_up.clear();
    }

    /// Ticks, unless the last tick is still under way.
    pub fn beat(&mut self, tasks: &mut Tasks, inbox: &Inbox) {
        let Some(room) = self.room().filter(|_| !self.is_ticking).map(Arc::clone) else { return };
        self.is_ticking = true;
        let (inbox, gateway) = (Rc::clone(inbox), self.id);
        self.tasks.push(tasks.spawn(async move {
            ticker::tick(&room).await;
            room.ticked.notify_waiters();
            inbox.borrow_mut().push(Message::Ticked { gateway });
        }));
    }

    /// Draws lots where that is due, unless it is under way already.
    pub fn draw_lots(&mut self, tasks: &mut Tasks, inbox: &Inbox) {
        let Some(room) = self.room().filter(|room| !self.is_drawing && room.is_draw_due()).map(Arc::clone) else {
            return;
        };
        self.is_drawing = true;
        let (inbox, gateway) = (Rc::clone(inbox), self.id);
        self.tasks.push(tasks.spawn(async move {
            // What cannot be drawn now is tried again after the next beat.
            drop(room.draw(None).await);
            inbox.borrow_mut().push(Message::Drew { gateway });
        }));
    }

    /// Lets a visitor stand at the door.
    pub fn join(&mut self, visitor: usize, person: Option<PersonId>, tasks: &mut Tasks, inbox: &Inbox) {
        let Some(room) = self.room().map(Arc::clone) else { return };
        let (inbox, gateway) = (Rc::clone(inbox), self.id);
        self.tasks.push(tasks.spawn(async move {
            let place = room.join(person).await;
            inbox.borrow_mut().push(Message::Joined { gateway, visitor, place });
        }));
    }
}

async fn begin(room: &Room, limits: Limits) -> Result<(), StoreFault> {
    ticker::tick(room).await;
    room.configure(limits).await?;
    ticker::tick(room).await;
    room.promise_draw().await?;
    ticker::tick(room).await;
    Ok(())
}

fn rules(plan: &Plan) -> RoomRules {
    let source = Source::Header(HeaderName::from_static("x-user"));
    let person = PersonRule { source, required: false, sign_in: None };
    RoomRules {
        name: RoomName::new("sale").expect("a name"),
        title: String::new(),
        method: if plan.draws { QueueingMethod::Draw } else { QueueingMethod::Fifo },
        public_value: None,
        max_waiting: 1_000,
        queueing_status: 200,
        updates_per_second: 20_000,
        items: Vec::new(),
        item: None,
        tolerance: Tolerance::default(),
        person: plan.knows_persons.then_some(person),
        work: None,
    }
}
