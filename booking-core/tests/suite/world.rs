//! A small world: one train, one day, a clock that stands still, a provider that does what it is told.

use std::sync::Arc;
use std::time::Duration;

use booking_core::app::App;
use booking_core::catalogue::Catalogue;
use booking_core::clock::{Clock, ManualClock};
use booking_core::config::{Config, SaleRow};
use booking_core::domain::inventory::InventoryId;
use booking_core::domain::moment::Moment;
use booking_core::metrics::Metrics;
use booking_core::provider::simulated::{Delivery, SimulatedProvider, Tempo};
use booking_core::service::holding::{HoldAnswer, HoldOrder};
use booking_core::service::paying::{PaymentAnswer, PaymentOrder};
use booking_core::service::{Denied, Parts, Service, Terms};
use booking_core::store::Store;
use booking_core::strategy::{Strategies, Strategy};
use booking_core::teller::{Teller, TellerLimits};
use booking_core::{outbox, reaper, reconciler};
use tokio::sync::mpsc;

use crate::database::Database;

/// 2026-11-21, noon in India.
pub const NOON: Moment = Moment::from_ms(1_795_242_600_000);
pub const SECRET: &str = "the provider's secret";
pub const HOLD_MS: i64 = 300_000;

pub fn row() -> InventoryId {
    "12951:2026-11-23:3A".parse().unwrap()
}

pub const LIMITS: TellerLimits = TellerLimits { batch: 256, waiting: 10_000, rows: 100 };

/// A service without workers: a test makes their passes itself, when it wants them.
pub struct World {
    pub service: Arc<Service>,
    pub store: Arc<dyn Store>,
    pub provider: SimulatedProvider,
    pub inbox: mpsc::Receiver<Delivery>,
    pub clock: Arc<ManualClock>,
}

impl World {
    pub async fn new(db: &Database, seats: u32) -> Self {
        let clock = Arc::new(ManualClock::at(NOON));
        let (provider, inbox) = provider(&clock);
        let store = db.open().await;
        let service = service(Arc::clone(&store), &provider, &clock, seats, Strategy::Teller).await;
        Self { service, store, provider, inbox, clock }
    }

    pub async fn hold(&self, key: &str, quantity: u32) -> Result<HoldAnswer, Denied> {
        hold(&self.service, key, quantity).await
    }

    pub async fn pay(&self, held: &HoldAnswer, key: &str, method: &str) -> Result<PaymentAnswer, Denied> {
        pay(&self.service, held, key, method).await
    }

    /// Lets the background work come to rest.
    pub async fn settle_down(&self) {
        settle_down(&self.service, &self.clock).await;
    }

    pub async fn assert_books(&self) {
        assert_books(&*self.store, &self.provider).await;
    }
}

pub fn provider(clock: &Arc<ManualClock>) -> (SimulatedProvider, mpsc::Receiver<Delivery>) {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
    let tempo = Tempo { slow: Duration::from_millis(5), late: Duration::from_millis(20) };
    SimulatedProvider::new(clock, SECRET.into(), tempo)
}

pub async fn service(
    store: Arc<dyn Store>,
    provider: &SimulatedProvider,
    clock: &Arc<ManualClock>,
    seats: u32,
    strategies: impl Into<Strategies>,
) -> Arc<Service> {
    let metrics = Metrics::new();
    let teller = Teller::new(Arc::clone(&store) as _, metrics.clone(), strategies, LIMITS);
    service_with(store, teller, metrics, provider, clock, seats).await
}

pub async fn service_with(
    store: Arc<dyn Store>,
    teller: Teller,
    metrics: Metrics,
    provider: &SimulatedProvider,
    clock: &Arc<ManualClock>,
    seats: u32,
) -> Arc<Service> {
    Service::new(parts(store, teller, metrics, provider, clock, seats))
}

pub fn parts(
    store: Arc<dyn Store>,
    teller: Teller,
    metrics: Metrics,
    provider: &SimulatedProvider,
    clock: &Arc<ManualClock>,
    seats: u32,
) -> Parts {
    let terms = Terms {
        hold_ms: HOLD_MS,
        provider_timeout: Duration::from_millis(10),
        sale: [(row(), seats)].into(),
        ..Terms::default()
    };
    Parts {
        id_secret: [7; 32],
        store,
        teller,
        seat_lock: None,
        provider: Arc::new(provider.clone()),
        catalogue: Arc::new(Catalogue::embedded().unwrap()),
        clock: Arc::clone(clock) as _,
        metrics,
        terms,
        boards: Vec::new(),
        webhook_secret: SECRET.into(),
    }
}

pub async fn hold(service: &Arc<Service>, key: &str, quantity: u32) -> Result<HoldAnswer, Denied> {
    service.hold(HoldOrder::new(row(), quantity, key)).await
}

pub async fn pay(service: &Arc<Service>, held: &HoldAnswer, key: &str, method: &str) -> Result<PaymentAnswer, Denied> {
    let order = PaymentOrder { hold: held.hold.id, method: method.to_owned(), key: key.to_owned() };
    service.pay(order).await
}

/// Makes passes of every worker, moving the clock so that everything put off becomes due.
pub async fn settle_down(service: &Service, clock: &ManualClock) {
    for _ in 0..6 {
        clock.advance_ms(60_000);
        reconciler::pass(service).await.unwrap();
        outbox::pass(service).await.unwrap();
        reaper::pass(service).await.unwrap();
    }
}

/// (B1), (B3), (B5), and that the provider keeps exactly what is booked.
pub async fn assert_books(store: &dyn Store, provider: &SimulatedProvider) {
    let books = store.books().await.unwrap();
    assert_eq!(books.faults(), Vec::<String>::new());
    assert_eq!(books.unsettled, 0, "no money is left undecided");
    assert_eq!(provider.kept().len() as u64, books.bookings, "one charge kept for each booking, and no other");
}

/// The whole thing over a real socket, on the real workers.
pub struct Site {
    pub base: String,
    pub service: Arc<Service>,
    pub provider: SimulatedProvider,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    serving: Option<tokio::task::JoinHandle<std::io::Result<()>>>,
}

pub fn site_config(db: &Database, seats: u32) -> Config {
    let mut config = Config { sale: vec![SaleRow { inventory: row(), capacity: seats }], ..db.config() };
    config.payments.webhook_secret = Some(SECRET.to_owned());
    config
}

impl Site {
    pub async fn open(config: Config, clock: Arc<dyn Clock>) -> Self {
        let app = App::start(config, clock).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (service, provider) = (Arc::clone(app.service()), app.provider().clone());
        let serving = tokio::spawn(app.serve(listener, async {
            let _asked_or_dropped = stopped.await;
        }));
        Self { base, service, provider, stop: Some(stop), serving: Some(serving) }
    }

    pub async fn close(mut self) {
        drop(self.stop.take());
        self.serving.take().unwrap().await.unwrap().unwrap();
    }
}
