//! A room as this gateway runs it: its settings, its mirror, who is here, what is sold out.

mod drawing;
mod finding;
mod foreseeing;
mod introducing;
mod joining;
mod lately;
mod making;
mod pacing;
mod sessions;
mod sharing;
mod telling;
mod ticketing;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;
use tracing::Instrument as _;

use crate::adaptive::Tolerance;
use crate::admission::Limits;
use crate::clock::{Between, Clock, FarClock};
use crate::forecast::Learning;
use crate::gate::{QueueingMethod, View};
use crate::health::Health;
use crate::line::{GatewayId, LineStore, Number, PersonId, RoomName, Standing, StoreFault};
use crate::live::Live;
use crate::metrics::{Metrics, RoomCounts};
use crate::mirror::Mirror;
use crate::person::PersonRule;
use crate::presence::{Holder, Presence};
use crate::route::ItemPattern;
use crate::sold_out::SoldOut;
use crate::telemetry;
use crate::token::proof::WorkRule;
use crate::token::{KeyRing, PassVerifier, RoomHash};
pub use drawing::DrawFault;
use introducing::Introduced;
pub use joining::{JoinFault, Joining, Place};
pub use lately::Lately;
pub use pacing::{Line, Pacing};
pub use ticketing::{TICKET_KEPT_MS, TICKET_LIFETIME_MS};

/// How long a gateway's word about who is here holds without a further tick, in milliseconds.
pub const LEASE_MS: u64 = 10_000;

/// The longest that a call to the store is waited for.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(3);

/// How old may be what a gateway knows of the line, in microseconds: ten ticks.
const TOUCH_US: u64 = 1_000_000;

/// At most this many of each kind (leave, return, end) are kept for the next tick.
const PENDING_CAP: usize = 100_000;

/// At most this many of each kind go with one tick, lest the store's other verbs wait long behind it.
const TELL_LIMIT: usize = 4_096;

/// What does not change while the room runs.
#[derive(Clone, Debug)]
pub struct RoomRules {
    /// The room's name.
    pub name: RoomName,
    /// What people see as its name.
    pub title: String,
    /// How people get in.
    pub method: QueueingMethod,
    /// The public value that a draw mixes in, in words.
    pub public_value: Option<String>,
    /// How many may wait.
    pub max_waiting: u64,
    /// The status code of the waiting page.
    pub queueing_status: u16,
    /// How many are told their place a second by one gateway, and as many more asked to come for it.
    pub updates_per_second: u32,
    /// Where the key of an item stands in a request.
    pub items: Vec<ItemPattern>,
    /// The item that the whole room is about, if it is about one.
    pub item: Option<String>,
    /// What counts as a healthy upstream, where the rate adapts.
    pub tolerance: Tolerance,
    /// How persons are known, where one person holds one place.
    pub person: Option<PersonRule>,
    /// What is asked of newcomers before they get a place.
    pub work: Option<WorkRule>,
}

/// What every room of a gateway shares.
#[derive(Clone)]
pub struct Shared {
    /// The clock.
    pub clock: Clock,
    /// The line's store.
    pub store: Arc<dyn LineStore>,
    /// The metrics.
    pub metrics: Metrics,
    /// The keys; replaced whole when they are rotated.
    pub ring: Arc<ArcSwap<KeyRing>>,
    /// The memory of what was verified.
    pub verifier: Arc<PassVerifier>,
    /// This gateway.
    pub gateway: GatewayId,
}

/// One room.
pub struct Room {
    /// What does not change.
    pub rules: RoomRules,
    /// What tickets call it.
    pub hash: RoomHash,
    /// What all rooms share.
    pub shared: Shared,
    /// What requests are counted in.
    pub counts: RoomCounts,
    /// The line as this gateway knows it.
    pub mirror: Mirror,
    /// Who is here.
    pub presence: Presence,
    /// Who has a live connection here.
    pub live: Arc<Live>,
    /// What is sold out.
    pub sold_out: SoldOut,
    /// How the upstream does.
    pub health: Health,
    /// How fast this gateway would let people in.
    pub pacing: Pacing,
    /// How long those called lately had waited, in seconds.
    pub waits: Lately,
    /// How far the waits that they were told had been off, as a part of the wait.
    pub eta_errors: Lately,
    /// Wakes the ticker before its time.
    pub nudge: Notify,
    /// Wakes whoever waits for the next tick to be over.
    pub ticked: Notify,
    joining: Joining,
    configured: ArcSwapOption<Limits>,
    pending: Mutex<Pending>,
    introduced: Mutex<Introduced>,
    /// What those who are called take of the room's item.
    learning: Mutex<Learning>,
    present: AtomicU64,
    /// How many ticks were made here.
    ticks: AtomicU64,
    store_up: AtomicBool,
    /// The last tick was answered.
    is_heard: AtomicBool,
    /// When the store last answered a tick, on the steady clock.
    heard_us: AtomicU64,
    /// How many draws this gateway has promised, or has tried to.
    promises: AtomicU64,
    /// The clock of the line's store.
    line_clock: FarClock,
    /// When the newest ticket was issued here, in milliseconds since the Unix epoch.
    last_issue_ms: AtomicU64,
}

/// What visitors asked for, to go with the next tick.
#[derive(Debug, Default)]
struct Pending {
    left: Vec<Number>,
    returned: Vec<Number>,
    ended: Vec<(u64, Number)>,
    renewed: Vec<Number>,
    /// The highest number of a line that was lost whole; 0 where none was.
    recalled: Number,
    introduced: Vec<(PersonId, Number)>,
}

impl Pending {
    fn take_some(&mut self) -> Self {
        Self {
            left: take_first(&mut self.left),
            returned: take_first(&mut self.returned),
            ended: take_first(&mut self.ended),
            renewed: take_first(&mut self.renewed),
            introduced: take_first(&mut self.introduced),
            recalled: 0,
        }
    }
}

impl Room {
    /// Makes a room; its tasks are run by whoever calls [`Room::run_joining`] and the ticker.
    #[must_use]
    pub fn new(rules: RoomRules, shared: Shared) -> Self {
        Self {
            counts: shared.metrics.of_room(rules.name.as_str()),
            hash: RoomHash::of(rules.name.as_str()),
            live: Arc::new(Live::new(rules.updates_per_second)),
            rules,
            shared,
            mirror: Mirror::default(),
            presence: Presence::default(),
            sold_out: SoldOut::default(),
            health: Health::default(),
            pacing: Pacing::default(),
            waits: Lately::default(),
            eta_errors: Lately::default(),
            nudge: Notify::new(),
            ticked: Notify::new(),
            joining: Joining::new(),
            configured: ArcSwapOption::empty(),
            pending: Mutex::default(),
            introduced: Mutex::default(),
            learning: Mutex::default(),
            present: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            store_up: AtomicBool::new(false),
            is_heard: AtomicBool::new(true),
            heard_us: AtomicU64::new(0),
            promises: AtomicU64::new(0),
            line_clock: FarClock::default(),
            last_issue_ms: AtomicU64::new(0),
        }
    }

    /// Returns how often those ask who poll, in seconds: as often as others are told, unless so many are here that this
    /// gateway would do nothing else.
    #[must_use]
    pub fn poll_period_s(&self) -> f64 {
        self.live.period_s().max(self.live.spread_s(self.presence.count()))
    }

    /// Notes that somebody who asked is here, until a little after they were told to ask again: in `after_s` seconds.
    pub fn expect_back(&self, holder: Holder, after_s: u64) {
        let lease_ms = after_s * 1_500 + 7_000;
        self.presence.poll(holder, self.shared.clock.steady_ms(), lease_ms);
    }

    /// Does the same for somebody who has just come, and counts as here for a moment without that.
    pub fn expect_newcomer_back(&self, holder: Holder, after_s: u64) {
        if after_s * 2_000 >= joining::ARRIVAL_LEASE_MS {
            self.expect_back(holder, after_s);
        }
    }

    /// Lets `look` see the room as the gate does.
    pub fn view<A>(&self, look: impl FnOnce(&View<'_>) -> A) -> A {
        let ring = self.shared.ring.load();
        self.mirror.read(|roll| {
            look(&View {
                room: self.rules.name.as_str(),
                room_hash: self.hash,
                method: self.rules.method,
                max_waiting: self.rules.max_waiting,
                ticket_lifetime_ms: TICKET_LIFETIME_MS,
                ring: &ring,
                verifier: &self.shared.verifier,
                roll,
                line_now: self.line_now(),
                last_issue_ms: self.last_issue_ms.load(Ordering::Relaxed),
            })
        })
    }

    /// Gives a visitor a place, together with all who come at the same moment; a person who has one gets that.
    ///
    /// # Errors
    /// [`JoinFault`] when there is none to be had now.
    pub async fn join(&self, person: Option<PersonId>) -> Result<Place, JoinFault> {
        self.joining.join(person).await
    }

    /// Serves joins until the room is dropped or the task is.
    pub async fn run_joining(&self) {
        self.joining.run(self).await;
    }

    /// Takes a visitor's place at the next tick.
    pub fn leave(&self, number: Number) {
        push_bounded(&mut self.pending().left, number);
        self.nudge.notify_one();
    }

    /// Gives back, at the next tick, the place of a visitor whom the store has forgotten, if it has.
    pub fn take_back(&self, number: Number, standing: Standing) {
        match standing {
            Standing::Unseen => {
                push_bounded(&mut self.pending().returned, number);
            }
            Standing::Bygone => self.recall(number),
            _ => {}
        }
    }

    /// Brings back, at the next tick, a line that was lost whole, as far as this number.
    pub fn recall(&self, number: Number) {
        let mut pending = self.pending();
        pending.recalled = pending.recalled.max(number);
    }

    /// Returns how far a lost line is to be brought back, if one is.
    pub fn take_recalled(&self) -> Option<Number> {
        Some(std::mem::take(&mut self.pending().recalled)).filter(|number| *number > 0)
    }

    /// Returns the time of the line's store, as far as it is known: a session may be over, and a sale has opened.
    #[must_use]
    pub fn line_now(&self) -> Between {
        self.line_clock.now(&self.shared.clock)
    }

    /// Notes what the store's clock said to a question of `asked_us`, by this gateway's steady clock.
    pub fn hear_line_clock(&self, said_us: u64, asked_us: u64) {
        self.line_clock.hear(&self.shared.clock, said_us, asked_us);
        self.heard_us.store(self.shared.clock.steady_us(), Ordering::Relaxed);
    }

    /// Tells whether what this gateway knows of the line is of now: not while its store is away, and not for the moment
    /// after it was stopped for a while itself, before the next tick.
    #[must_use]
    pub fn is_in_touch(&self) -> bool {
        let silent_us = self.shared.clock.steady_us().saturating_sub(self.heard_us.load(Ordering::Relaxed));
        self.store_is_up() && silent_us <= TOUCH_US
    }

    /// Tells whether the store answered last time.
    #[must_use]
    pub fn store_is_up(&self) -> bool {
        self.store_up.load(Ordering::Relaxed)
    }

    /// Notes whether the store answers.
    pub fn set_store_up(&self, up: bool) {
        self.store_up.store(up, Ordering::Relaxed);
        self.shared.metrics.store_up.set(up.into());
    }

    /// Returns how many of the waiting were present, on any gateway, at the last tick.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.present.load(Ordering::Relaxed)
    }

    /// Notes how many of the waiting are present.
    pub fn set_present(&self, present: u64) {
        self.present.store(present, Ordering::Relaxed);
    }

    /// Tells whether everything here is sold out.
    #[must_use]
    pub fn is_sold_out(&self, now_ms: u64) -> bool {
        let item = self.rules.item.as_deref();
        self.sold_out.holds_everything(now_ms) || item.is_some_and(|item| self.sold_out.holds(item, now_ms))
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls the store, not for longer than [`STORE_TIMEOUT`], and notes how long it took.
///
/// # Errors
/// The store's fault, or [`StoreFault::Unreachable`] when time ran out.
pub async fn timed<A>(
    metrics: &Metrics,
    verb: &str,
    call: impl Future<Output = Result<A, StoreFault>>,
) -> Result<A, StoreFault> {
    let span = telemetry::verb(verb);
    let _timer = metrics.store_call_seconds.with_label_values(&[verb]).start_timer();
    let late = |_| Err(StoreFault::Unreachable(format!("no answer within {STORE_TIMEOUT:?}")));
    let answer = tokio::time::timeout(STORE_TIMEOUT, call).instrument(span.clone()).await.unwrap_or_else(late);
    answer.inspect_err(|fault| telemetry::failed(&span, fault))
}

/// Adds an item unless the list is full; returns whether it was added.
fn push_bounded<T>(list: &mut Vec<T>, item: T) -> bool {
    let has_space = list.len() < PENDING_CAP;
    if has_space {
        list.push(item);
    }
    has_space
}

fn take_first<T>(list: &mut Vec<T>) -> Vec<T> {
    list.drain(..list.len().min(TELL_LIMIT)).collect()
}
