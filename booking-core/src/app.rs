//! The whole booking core in one place: the only file that puts the parts together, starts the workers and stops them.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper_util::service::TowerToHyperService;
use rand::Rng;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::catalogue::{Catalogue, DamagedCatalogue, NotOnSale};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, ProviderKind};
use crate::domain::inventory::InventoryId;
use crate::domain::placement::ShardNumber;
use crate::lab::Lab;
use crate::metrics::Metrics;
use crate::notifier::{BadGateway, Board, Notifier};
use crate::provider::Provider;
use crate::provider::simulated::SimulatedProvider;
use crate::provider::simulated::bank::Bank;
use crate::provider::simulated::courier::Address;
use crate::provider::simulated::house::House;
use crate::provider::stripe::{self, StripeProvider};
use crate::provider::wire::{BadAddress, Wire};
use crate::seat_lock::SeatLock;
use crate::service::{Parts, Service};
use crate::serving::Threads;
use crate::store::{Store, StoreError, Till};
use crate::teller::Teller;
use crate::{auditor, follower, outbox, reaper, reconciler};

mod opening;

pub use opening::open;
use opening::take_places;

/// How long the bank in this process waits for us to take a webhook.
const WEBHOOK_PATIENCE: Duration = Duration::from_secs(5);

/// Says why the booking core does not start, and what to do about it.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(
        "cannot use the database {address}: {error}\nCheck `database` in the configuration and that the database is running and may be used."
    )]
    Database {
        /// Where it should be, without its password.
        address: String,
        /// What it said.
        error: StoreError,
    },
    /// A database that was opened and then failed.
    #[error("a database failed: {0}")]
    Store(StoreError),
    /// A database that is another shard than the configuration says.
    #[error("{address} is {found}, and the configuration calls it {wanted}; put its own number there")]
    AnotherShard {
        /// Where, without its password.
        address: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// A row that is on sale in one database and would be looked for in another.
    #[error(
        "{inventory} is kept in another database than where the shards of the configuration place it: rows do not move. A shard that is added begins with a day that was not on sale before (`from`)"
    )]
    Misplaced {
        /// Which row, one of perhaps many.
        inventory: InventoryId,
    },
    /// Two databases that derive ids with different secrets.
    #[error(
        "shard {0} and shard {1} derive ids with different secrets, as databases of two installations do; put only those of one into `shards`. Should both be of this one: keep the secret of the shard with the lowest number it has run with so far, run `DELETE FROM secrets` in the database of the other, and start again; it then takes the one that is left"
    )]
    TwoSecrets(ShardNumber, ShardNumber),
    /// A row of `sale` that does not exist.
    #[error("sale: {inventory}: {reason}")]
    Sale {
        /// Which row.
        inventory: InventoryId,
        /// Why not.
        reason: NotOnSale,
    },
    /// The provider's address or key.
    #[error(transparent)]
    Provider(#[from] BadAddress),
    /// The simulated bank in this process.
    #[error("the simulated bank does not open: {0}\nCheck `payments.simulated_state` in the configuration.")]
    Bank(io::Error),
    /// A gateway's address.
    #[error(transparent)]
    Gateway(#[from] BadGateway),
    /// The embedded data.
    #[error(transparent)]
    Catalogue(#[from] DamagedCatalogue),
}

/// Is a booking core that runs: its workers go on until [`App::stop`].
pub struct App {
    service: Arc<Service>,
    /// The bank, if it is in this process.
    house: Option<House>,
    lab: Option<Arc<Lab>>,
    clock: Arc<dyn Clock>,
    webhook_secret: Vec<u8>,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    workers: TaskTracker,
    drain: Duration,
}

impl App {
    /// Checks the configuration, opens the database, creates the rows of `sale` and starts the workers.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: Config, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        config.check()?;
        let catalogue = Catalogue::embedded()?.with_practices(config.practices.clone());
        let catalogue = Arc::new(catalogue.map_err(ConfigError::Senseless)?);
        check_sale(&config, &catalogue)?;
        let store = open(&config).await?;
        let id_secret = take_places(&*store, clock.now().day_in_india(), random()).await?;
        let metrics = Metrics::new();
        let boards: Vec<Arc<Board>> = config.gateways.iter().map(|_| Arc::default()).collect();
        let notifiers = notifiers(&config, &boards, (&store, &clock), &metrics)?;
        let webhook_secret =
            config.payments.webhook_secret.clone().map_or_else(|| random().to_vec(), String::into_bytes);
        let house = open_bank(&config, &clock).await.map_err(StartError::Bank)?;
        let till: Arc<dyn Till> = Arc::clone(&store) as _;
        let teller = Teller::new(till, metrics.clone(), config.strategies(), config.teller_limits());
        let patience = Duration::from_millis(config.seat_lock.patience_ms);
        let seat_lock = config.seat_lock.redis.as_deref().map(|url| SeatLock::new(url, patience));
        let seat_lock = seat_lock.transpose().map_err(bad_redis)?;
        let service = Service::new(Parts {
            store,
            teller,
            seat_lock,
            provider: provider(&config, house.as_ref(), &webhook_secret, &id_secret)?,
            catalogue,
            clock: Arc::clone(&clock),
            metrics,
            terms: config.terms(),
            boards,
            id_secret,
        });
        service.open_sale().await.map_err(StartError::Store)?;
        let app = Self {
            service,
            house,
            lab: open_lab(&config, &clock)?,
            clock,
            webhook_secret,
            ready: Arc::new(AtomicBool::new(true)),
            stop: CancellationToken::new(),
            workers: TaskTracker::new(),
            drain: Duration::from_secs(config.drain_seconds),
        };
        app.start_workers(notifiers);
        Ok(app)
    }

    fn start_workers(&self, notifiers: Vec<Notifier>) {
        let (service, stop) = (&self.service, &self.stop);
        self.workers.spawn(reaper::run(Arc::clone(service), stop.clone()));
        self.workers.spawn(follower::run(Arc::clone(service), stop.clone()));
        self.workers.spawn(outbox::run(Arc::clone(service), stop.clone()));
        self.workers.spawn(reconciler::run(Arc::clone(service), stop.clone()));
        self.workers.spawn(auditor::run(Arc::clone(service), stop.clone()));
        for notifier in notifiers {
            self.workers.spawn(notifier.run(stop.clone()));
        }
        self.workers.close();
    }

    /// Returns what sells, for callers in the same process.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Returns the simulated bank, if it is in this process, to make it misbehave.
    #[must_use]
    pub fn bank(&self) -> Option<&Bank> {
        self.house.as_ref().map(House::bank)
    }

    /// Has the bank in this process send its webhooks to the listener we serve on, as one far away would.
    pub(crate) fn expect_webhooks(&mut self, listener: &TcpListener) -> Result<(), StartError> {
        let Some(house) = &mut self.house else { return Ok(()) };
        let mut own = listener.local_addr().map_err(StartError::Bank)?;
        if own.ip().is_unspecified() {
            own.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let wire = Wire::new(&format!("http://{own}"), None, WEBHOOK_PATIENCE)?;
        let to = Address { wire, path: api::WEBHOOK.to_owned(), secret: self.webhook_secret.clone() };
        house.carry_news(to, Arc::clone(&self.clock));
        Ok(())
    }

    /// Returns the API and the site.
    pub fn router(&self) -> Router {
        api::router(Arc::clone(&self.service), Arc::clone(&self.ready), self.lab.clone())
    }

    /// Serves on a listener until `shutdown` completes; then stops accepting, lets requests under way finish within
    /// `drain_seconds`, and stops the workers.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        self.expect_webhooks(&listener).map_err(io::Error::other)?;
        let ending = CancellationToken::new();
        let threads = Threads::start()?;
        let deadline = async {
            shutdown.await;
            self.ready.store(false, Ordering::Relaxed);
            ending.cancel();
            tokio::time::sleep(self.drain).await;
        };
        tokio::select! {
            () = threads.serve(listener, TowerToHyperService::new(self.router()), ending.clone()) => {}
            () = deadline => tracing::warn!("requests were still under way when the time to drain was over"),
        }
        self.stop().await;
        drop(threads);
        Ok(())
    }

    /// Stops the workers and waits for what callers left behind.
    pub async fn stop(self) {
        self.service.close().await;
        self.stop.cancel();
        self.workers.wait().await;
        if let Some(lab) = self.lab {
            lab.stop().await;
        }
        if let Some(house) = self.house {
            house.stop().await;
        }
    }
}

/// Draws a secret.
pub(crate) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn check_sale(config: &Config, catalogue: &Catalogue) -> Result<(), StartError> {
    for row in &config.sale {
        let reason = catalogue.offer(row.inventory).err();
        if let Some(reason) = reason {
            return Err(StartError::Sale { inventory: row.inventory, reason });
        }
    }
    Ok(())
}

fn bad_redis(error: impl std::fmt::Display) -> ConfigError {
    ConfigError::Senseless(vec![format!("seat_lock.redis: {error}")])
}

/// Makes the lab, if the configuration wants one, beside the first database. Nothing of it is opened before it is used.
fn open_lab(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Arc<Lab>>, StartError> {
    if !config.lab.enabled {
        return Ok(None);
    }
    let databases = config.databases().map_err(|problem| ConfigError::Senseless(vec![problem]))?;
    let lab = Lab::new(&databases[0].1, config.seat_lock.redis.as_deref(), Arc::clone(clock)).map_err(bad_redis)?;
    Ok(Some(Arc::new(lab)))
}

fn notifiers(
    config: &Config,
    boards: &[Arc<Board>],
    (store, clock): (&Arc<dyn Store>, &Arc<dyn Clock>),
    metrics: &Metrics,
) -> Result<Vec<Notifier>, BadGateway> {
    let notifier = |(address, board): (&_, &Arc<Board>)| {
        let (board, store, clock) = (Arc::clone(board), Arc::clone(store), Arc::clone(clock));
        Notifier::new(Clone::clone(address), board, store, clock, metrics.clone())
    };
    config.gateways.iter().zip(boards).map(notifier).collect()
}

/// Opens the bank in this process, on a port of its own, if the configuration wants one.
async fn open_bank(config: &Config, clock: &Arc<dyn Clock>) -> io::Result<Option<House>> {
    if !config.payments.bank_is_here() {
        return Ok(None);
    }
    let memory = config.payments.simulated_state.as_deref();
    let bank = Bank::open(Arc::clone(clock), config.payments.tempo(), memory)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    House::open(listener, bank, config.payments.provider_key.clone()).map(Some)
}

/// Opens the adapter of the configured provider.
fn provider(
    config: &Config,
    house: Option<&House>,
    secret: &[u8],
    id_secret: &[u8; 32],
) -> Result<Arc<dyn Provider>, BadAddress> {
    let rules = &config.payments;
    let (patience, key) = (Duration::from_millis(rules.provider_timeout_ms), rules.provider_key.as_deref());
    let url = rules.provider_url.clone();
    Ok(match rules.provider {
        ProviderKind::Simulated => {
            let url = url.or_else(|| house.map(|house| format!("http://{}", house.address()))).unwrap_or_default();
            Arc::new(SimulatedProvider::new(&url, key, secret.to_vec(), patience)?)
        }
        ProviderKind::Stripe => {
            let url = url.unwrap_or_else(|| stripe::ADDRESS.to_owned());
            // Two installations never share a database, so what it derives its ids with tells them apart.
            let site = hex::encode(&Sha256::digest(id_secret)[..8]);
            Arc::new(StripeProvider::new(&url, key.unwrap_or_default(), (secret.to_vec(), site), patience)?)
        }
    })
}

/// Returns the address a listener really has, for printing.
///
/// # Errors
/// When the system does not say.
pub fn address(listener: &TcpListener) -> io::Result<SocketAddr> {
    listener.local_addr()
}
