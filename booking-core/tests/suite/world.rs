//! A small world: one train, one day, a clock that stands still, a provider that does what it is told.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use booking_core::app::App;
use booking_core::catalogue::Catalogue;
use booking_core::clock::{Clock, ManualClock, SystemClock};
use booking_core::config::{Config, SaleRow};
use booking_core::domain::hold::{HoldId, HoldStatus};
use booking_core::domain::inventory::InventoryId;
use booking_core::domain::ledger::Account;
use booking_core::domain::moment::Moment;
use booking_core::domain::money::Paise;
use booking_core::domain::order;
use booking_core::domain::payment::{ChargeId, Payment, PaymentId, PaymentState};
use booking_core::domain::refund::Refunds;
use booking_core::metrics::Metrics;
use booking_core::provider::simulated::SimulatedProvider;
use booking_core::provider::simulated::account::{Account as Charge, Status};
use booking_core::provider::simulated::bank::{Bank, Delivery, Tempo};
use booking_core::provider::simulated::faults::{FaultKind, Rule, Script, Verb};
use booking_core::provider::simulated::house::House;
use booking_core::service::holding::{HoldAnswer, HoldOrder};
use booking_core::service::paying::{PaymentAnswer, PaymentOrder};
use booking_core::service::{Denied, Parts, Service, Terms};
use booking_core::store::{Decide, Store, Subject};
use booking_core::strategy::{Strategies, Strategy};
use booking_core::teller::{Teller, TellerLimits};
use booking_core::{auditor, outbox, reaper, reconciler};
use tokio::sync::mpsc;

use crate::database::Database;

/// 2026-11-21, noon in India.
pub const NOON: Moment = Moment::from_ms(1_795_242_600_000);
pub const SECRET: &str = "the provider's secret";
pub const HOLD_MS: i64 = 300_000;

pub fn row() -> InventoryId {
    "12951:2026-11-23:3A".parse().unwrap()
}

/// A row of a day to come by the real clock, for whatever goes by that; the same as long as the tests run.
pub fn row_in_a_month() -> InventoryId {
    static ROW: LazyLock<InventoryId> = LazyLock::new(|| {
        let date = SystemClock::new().now().plus_ms(30 * 86_400_000).day_in_india();
        InventoryId { date, ..row() }
    });
    *ROW
}

pub const LIMITS: TellerLimits = TellerLimits { batch: 256, waiting: 10_000, rows: 100, alone: 8 };

/// For an answer of the bank that comes.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// For an answer that does not.
pub const HASTE: Duration = Duration::from_millis(250);

/// A service without workers: a test makes their passes itself, when it wants them.
pub struct World {
    pub service: Arc<Service>,
    pub store: Arc<dyn Store>,
    pub provider: TestBank,
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
        let silent = matches!(method, "sim_hang" | "sim_late" | "sim_silent") || self.provider.is_silent();
        if silent {
            return pay_unanswered(&self.service, &self.provider, held, key, method).await;
        }
        pay(&self.service, held, key, method).await
    }

    pub async fn hold_status_of(&self, held: &HoldAnswer) -> HoldStatus {
        self.service.find_hold(held.hold.id).await.unwrap().state.status()
    }

    /// Writes a payment of a hold down, and then nothing more happens: as if the process had ended there.
    pub async fn open_only(&self, hold: HoldId) -> Payment {
        let now = self.service.now();
        let payment = Payment {
            id: PaymentId::from_bytes(*hold.as_bytes()),
            hold: Some(hold),
            amount: Paise::default(),
            method: "sim_ok".to_owned(),
            request_hash: [0; 32],
            created_at: now,
            changed_at: now,
            refunds: Refunds::default(),
            state: PaymentState::Pending,
        };
        let subject = Subject::Opening(hold, payment.id);
        let decide: Decide = Arc::new(move |loaded| order::open_payment(loaded, payment.clone(), now));
        self.store.transact(subject, decide).await.unwrap().unwrap().payment.unwrap()
    }

    /// Lets the background work come to rest.
    pub async fn settle_down(&self) {
        settle_down(&self.service, &self.clock).await;
    }

    pub async fn assert_books(&self) {
        assert_books(&*self.store, &self.provider).await;
    }
}

/// A simulated bank behind a socket of its own, and the hand that makes it misbehave.
pub struct TestBank {
    house: House,
}

impl TestBank {
    pub fn bank(&self) -> &Bank {
        self.house.bank()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.house.address())
    }

    fn rule(&self, verb: Verb, fault: Option<FaultKind>) {
        let rule = |fault| Rule { verb, fault, probability: 1.0, times: None, ms: None };
        self.bank().play(Script { seed: 0, rules: fault.map(rule).into_iter().collect() });
    }

    /// Makes every later order go wrong in one way, whatever its method; `None` ends that.
    pub fn force(&self, fault: Option<FaultKind>) {
        self.rule(Verb::Authorize, fault);
    }

    /// Makes every later call of one kind go wrong.
    pub fn spoil(&self, verb: Verb, fault: FaultKind) {
        self.rule(verb, Some(fault));
    }

    /// Ends whatever was spoilt.
    pub fn mend(&self) {
        self.bank().play(Script::default());
    }

    fn is_silent(&self) -> bool {
        let silent =
            |rule: &Rule| rule.verb == Verb::Authorize && matches!(rule.fault, FaultKind::Hang | FaultKind::Late);
        self.bank().script().rules.iter().any(silent)
    }

    pub fn stray_charge(&self, payment: PaymentId, amount: Paise) -> ChargeId {
        self.bank().stray(payment, amount, Status::Captured).unwrap().id
    }

    pub fn stray_reservation(&self, payment: PaymentId, amount: Paise) -> ChargeId {
        self.bank().stray(payment, amount, Status::Authorized).unwrap().id
    }

    pub fn kept(&self) -> Vec<Charge> {
        self.bank().kept()
    }

    pub async fn idle(&self) {
        self.bank().idle().await;
    }
}

pub fn provider(clock: &Arc<ManualClock>) -> (TestBank, mpsc::Receiver<Delivery>) {
    bank(Arc::clone(clock) as _)
}

pub fn bank(clock: Arc<dyn Clock>) -> (TestBank, mpsc::Receiver<Delivery>) {
    let tempo = Tempo { slow: Duration::from_millis(5), late: Duration::from_millis(20) };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let mut house = House::open(listener, Bank::open(clock, tempo, None).unwrap(), None).unwrap();
    let inbox = house.take_news().unwrap();
    (TestBank { house }, inbox)
}

pub async fn service(
    store: Arc<dyn Store>,
    provider: &TestBank,
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
    provider: &TestBank,
    clock: &Arc<ManualClock>,
    seats: u32,
) -> Arc<Service> {
    Service::new(parts(store, teller, metrics, provider, clock, seats))
}

pub fn parts(
    store: Arc<dyn Store>,
    teller: Teller,
    metrics: Metrics,
    provider: &TestBank,
    clock: &Arc<ManualClock>,
    seats: u32,
) -> Parts {
    let terms =
        Terms { hold_ms: HOLD_MS, provider_timeout: PATIENCE, sale: [(row(), seats)].into(), ..Terms::default() };
    Parts {
        id_secret: [7; 32],
        store,
        teller,
        seat_lock: None,
        provider: Arc::new(SimulatedProvider::new(&provider.url(), None, SECRET.into(), PATIENCE).unwrap()),
        catalogue: Arc::new(Catalogue::embedded().unwrap()),
        clock: Arc::clone(clock) as _,
        metrics,
        terms,
        boards: Vec::new(),
    }
}

pub async fn hold(service: &Arc<Service>, key: &str, quantity: u32) -> Result<HoldAnswer, Denied> {
    service.hold(HoldOrder::new(row(), quantity, key)).await
}

pub async fn pay(service: &Arc<Service>, held: &HoldAnswer, key: &str, method: &str) -> Result<PaymentAnswer, Denied> {
    let order = PaymentOrder { hold: held.hold.id, method: method.to_owned(), key: key.to_owned() };
    service.pay(order).await
}

/// Pays at a bank that does not answer: the call is ended as soon as the bank has heard it.
pub async fn pay_unanswered(
    service: &Arc<Service>,
    provider: &TestBank,
    held: &HoldAnswer,
    key: &str,
    method: &str,
) -> Result<PaymentAnswer, Denied> {
    let order = PaymentOrder { hold: held.hold.id, method: method.to_owned(), key: key.to_owned() };
    let (service, bank) = (Arc::clone(service), provider.bank());
    let paying = tokio::spawn(async move { service.pay(order).await });
    while !paying.is_finished() {
        if bank.hanging() > 0 {
            bank.let_go();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    paying.await.unwrap()
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

/// (B1), (B3), (B5), that the ledger tells every payment right, and that the bank keeps exactly what the ledger says.
pub async fn assert_books(store: &dyn Store, provider: &TestBank) {
    let books = store.books().await.unwrap();
    assert_eq!(books.faults(), Vec::<String>::new());
    assert_eq!(books.unsettled, 0, "no money is left undecided");
    let report = auditor::audit(store).await.unwrap();
    assert_eq!(report.words, Vec::<String>::new());
    assert_eq!((report.faults, report.balances.sum()), (0, 0));
    for at_rest in [Account::Reserve, Account::Deposits, Account::RefundsOwed] {
        assert_eq!(report.balances.of(at_rest), 0, "{at_rest:?}");
    }
    let kept = provider.kept();
    let at_the_bank: i64 = kept.iter().map(|charge| charge.kept().get()).sum();
    assert_eq!(report.balances.of(Account::Provider), at_the_bank, "the bank has what the ledger says");
    assert_eq!(provider.bank().set_aside(), [], "nothing stays set aside");
    let payments: HashSet<PaymentId> = kept.iter().map(|charge| charge.payment).collect();
    assert_eq!(payments.len(), kept.len(), "no payment was charged twice");
    if report.balances.of(Account::CancellationCharges) == 0 {
        assert_eq!(kept.len() as u64, books.bookings, "one charge kept for each booking, and no other");
    }
}

/// The whole thing over a real socket, on the real workers.
pub struct Site {
    pub base: String,
    pub service: Arc<Service>,
    pub bank: Bank,
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
        let (service, bank) = (Arc::clone(app.service()), app.bank().unwrap().clone());
        let serving = tokio::spawn(app.serve(listener, async {
            let _asked_or_dropped = stopped.await;
        }));
        Self { base, service, bank, stop: Some(stop), serving: Some(serving) }
    }

    pub async fn close(mut self) {
        drop(self.stop.take());
        self.serving.take().unwrap().await.unwrap().unwrap();
    }
}
