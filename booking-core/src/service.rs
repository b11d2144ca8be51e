//! What the booking core does for its callers: browse, hold, pay, confirm, refund.
//!
//! A caller that leaves takes nothing with it: what must go on after a write runs in a task of its own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use time::Date;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::availability::Availability;
use crate::catalogue::{Catalogue, NotOnSale};
use crate::clerk::Clerk;
use crate::clock::Clock;
use crate::domain::booking::CancellationRule;
use crate::domain::inventory::{InventoryId, Offer};
use crate::domain::moment::Moment;
use crate::domain::order::Extensions;
use crate::metrics::Metrics;
use crate::notifier::Board;
use crate::provider::Provider;
use crate::seat_lock::SeatLock;
use crate::store::{Left, Store, StoreError};
use crate::teller::Teller;

mod denied;

mod ids;

pub mod bell;

mod wanted;

mod elsewhere;

pub mod browsing;

pub mod seating;

pub mod holding;

pub mod paying;

mod resolving;

pub mod returning;

pub mod cancelling;

mod telling;

pub use denied::{Denied, SoldOut};
pub use seating::SeatsTaken;
pub use wanted::{BadOrder, Item, Want};

use bell::Bell;
use elsewhere::Elsewhere;
use ids::{Ids, request_hash};

/// How many rows are remembered as created; beyond that they are asked about again.
const KNOWN_ROWS: usize = 100_000;

/// Is how long, how many and how far ahead.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long seats are promised, in milliseconds.
    pub hold_ms: i64,
    /// How often and by how much a hold's end may be put off.
    pub extensions: Extensions,
    /// Seats in one order, at most.
    pub most_seats: u32,
    /// Days ahead that are on sale, today not counted.
    pub window_days: u16,
    /// How long the provider may take to answer.
    pub provider_timeout: Duration,
    /// After how long a payment the provider does not know counts as failed, in milliseconds.
    pub pending_ms: i64,
    /// Where a buyer comes back to from a page at the bank, with `{hold}` for the hold's id.
    pub return_url: Option<String>,
    /// How much goes back when a booking is cancelled.
    pub cancellation: Vec<CancellationRule>,
    /// Rows with a capacity of their own, on sale whatever the day.
    pub sale: HashMap<InventoryId, u32>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            hold_ms: 300_000,
            extensions: Extensions { most: 1, each_ms: 120_000 },
            most_seats: 6,
            window_days: 120,
            provider_timeout: Duration::from_secs(8),
            pending_ms: 120_000,
            return_url: None,
            cancellation: vec![CancellationRule { hours_before: 0, percent: 100 }],
            sale: HashMap::new(),
        }
    }
}

/// Is everything a service is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Who takes seats.
    pub teller: Teller,
    /// Who locks chosen seats before the database is asked, if anybody does.
    pub seat_lock: Option<SeatLock>,
    /// Who takes money.
    pub provider: Arc<dyn Provider>,
    /// What there is.
    pub catalogue: Arc<Catalogue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The figures.
    pub metrics: Metrics,
    /// How long, how many, how far ahead.
    pub terms: Terms,
    /// The boards of the gateways that are told of changes.
    pub boards: Vec<Arc<Board>>,
    /// The secret ids are derived with; from [`Store::secret`].
    pub id_secret: [u8; 32],
}

/// Sells.
pub struct Service {
    pub(crate) parts: Parts,
    pub(crate) availability: Availability,
    /// Has decisions on holds and payments written down.
    pub(crate) clerk: Clerk,
    ids: Ids,
    /// Who asks other databases about a key.
    elsewhere: Elsewhere,
    /// Rows that are on sale whatever the day.
    sale: Arc<HashSet<InventoryId>>,
    /// Rows that are known to have been created.
    known: Mutex<HashSet<InventoryId>>,
    /// Seat maps that were read lately.
    seat_maps: seating::SeatMaps,
    /// Rows that have a gauge.
    gauges: Mutex<HashMap<InventoryId, IntGauge>>,
    /// Owns what must go on when a caller leaves.
    tasks: TaskTracker,
    /// Wakes the outbox to settle.
    pub(crate) settle_nudge: Bell,
    /// Wakes the outbox to take what is set aside.
    pub(crate) capture_nudge: Bell,
    /// Wakes the outbox to let money go or give it back.
    pub(crate) return_nudge: Bell,
    /// Wakes the reaper.
    pub(crate) reaper_nudge: Bell,
}

impl Service {
    /// Puts a service together.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let (databases, tasks) = (parts.store.databases().len().max(1), TaskTracker::new());
        let service = Arc::new(Self {
            ids: Ids::new(&parts.id_secret),
            elsewhere: Elsewhere::new(Arc::clone(&parts.store), tasks.clone()),
            clerk: Clerk::new(Arc::clone(&parts.store), parts.metrics.clone()),
            sale: Arc::new(parts.terms.sale.keys().copied().collect()),
            parts,
            availability: Availability::default(),
            known: Mutex::default(),
            seat_maps: seating::SeatMaps::default(),
            gauges: Mutex::default(),
            tasks,
            settle_nudge: Bell::new(databases),
            capture_nudge: Bell::new(databases),
            return_nudge: Bell::new(databases),
            reaper_nudge: Bell::new(databases),
        });
        service.listen();
        service
    }

    /// Has the teller say what its commits leave on sale.
    fn listen(self: &Arc<Self>) {
        let service = Arc::downgrade(self);
        self.parts.teller.tell(Box::new(move |inventory, available| {
            if let Some(service) = service.upgrade() {
                service.changed(Left { inventory, available, was_zero: false });
            }
        }));
    }

    /// Returns where everything is kept.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    /// Lists the databases everything is kept in, which background work visits one by one.
    #[must_use]
    pub fn databases(&self) -> Vec<&dyn Store> {
        match self.parts.store.databases() {
            [] => vec![&*self.parts.store],
            several => several.iter().map(|(_, database)| &**database).collect(),
        }
    }

    /// Returns what there is.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.parts.catalogue
    }

    /// Returns the figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// Returns how long, how many and how far ahead.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.parts.terms
    }

    /// Returns the present moment, the one every promise is measured by.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.parts.clock.now()
    }

    /// Returns the header that carries the signature of the provider's webhooks.
    #[must_use]
    pub fn signature_header(&self) -> &'static str {
        self.parts.provider.signature_header()
    }

    /// Wakes the reaper, which otherwise looks by itself every quarter of a second.
    pub fn nudge_reaper(&self) {
        self.reaper_nudge.ring();
    }

    /// Waits for what callers left behind, then for the teller and the clerk.
    pub async fn close(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.parts.teller.close().await;
        self.clerk.close().await;
    }

    /// Returns what is offered under an id today.
    ///
    /// # Errors
    /// [`NotOnSale`].
    pub fn offer(&self, inventory: InventoryId) -> Result<Offer, NotOnSale> {
        let numbering = self.parts.teller.strategy(inventory).numbering();
        if let Some(&capacity) = self.parts.terms.sale.get(&inventory) {
            return Ok(Offer { capacity, numbering, ..self.parts.catalogue.offer(inventory)? });
        }
        self.check_day(inventory.date)?;
        Ok(Offer { numbering, ..self.parts.catalogue.offer(inventory)? })
    }

    /// Returns what tells whether a row is on sale at a moment, for decisions that are made where there is no service.
    fn on_sale(&self, now: Moment) -> impl Fn(InventoryId) -> bool + Send + Sync + 'static {
        let (sale, catalogue) = (Arc::clone(&self.sale), Arc::clone(&self.parts.catalogue));
        let today = now.day_in_india();
        move |row| sale.contains(&row) || (row.date >= today && catalogue.offer(row).is_ok())
    }

    /// Checks that a day is on sale.
    ///
    /// # Errors
    /// [`NotOnSale::Past`] or [`NotOnSale::TooEarly`].
    pub fn check_day(&self, date: Date) -> Result<(), NotOnSale> {
        let today = self.now().day_in_india();
        let last = today.saturating_add(time::Duration::days(self.parts.terms.window_days.into()));
        match date {
            date if date < today => Err(NotOnSale::Past),
            date if date > last => Err(NotOnSale::TooEarly(last)),
            _ => Ok(()),
        }
    }

    /// Creates a row the first time it is needed.
    async fn ensure(&self, offer: Offer) -> Result<(), StoreError> {
        let known = |known: &Mutex<HashSet<InventoryId>>| {
            known.lock().unwrap_or_else(PoisonError::into_inner).contains(&offer.inventory)
        };
        if known(&self.known) {
            return Ok(());
        }
        self.parts.store.ensure(&[offer]).await?;
        let mut rows = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= KNOWN_ROWS {
            rows.clear();
        }
        rows.insert(offer.inventory);
        Ok(())
    }

    /// Creates the rows of the sale, and warns where one exists with another capacity.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_sale(&self) -> Result<(), StoreError> {
        let rows: Vec<InventoryId> = self.parts.terms.sale.keys().copied().collect();
        let offers: Vec<Offer> = rows.iter().filter_map(|&row| self.offer(row).ok()).collect();
        if offers.is_empty() {
            return Ok(());
        }
        self.parts.store.ensure(&offers).await?;
        for row in self.parts.store.stock(&rows).await? {
            let wanted = self.parts.terms.sale.get(&row.inventory).copied();
            let (inventory, capacity) = (row.inventory, row.stock.capacity);
            if wanted != Some(capacity) {
                tracing::warn!(%inventory, capacity, "it exists already; its capacity stays");
            }
            if self.parts.teller.strategy(inventory).numbering() != row.numbering {
                let numbering = row.numbering.word();
                tracing::warn!(%inventory, numbering, "it exists already and keeps its numbering: its strategy does not suit it");
            }
        }
        Ok(())
    }

    /// Runs work to its end, whether or not the caller stays.
    async fn detach<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl Future<Output = Result<T, Denied>> + Send + 'static,
    ) -> Result<T, Denied> {
        self.tasks.spawn(work.in_current_span()).await.unwrap_or(Err(Denied::Closing))
    }
}
