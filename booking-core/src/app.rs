//! The whole booking core in one place: the only file that puts the parts together, starts the workers and stops them.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use rand::Rng;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api;
use crate::catalogue::{Catalogue, DamagedCatalogue, NotOnSale};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::domain::inventory::InventoryId;
use crate::metrics::Metrics;
use crate::notifier::{BadGateway, Board, Notifier};
use crate::provider::Provider;
use crate::provider::simulated::{Delivery, SimulatedProvider};
use crate::seat_lock::SeatLock;
use crate::service::{Parts, Service};
use crate::store::{Store, StoreError, Till};
use crate::teller::Teller;
use crate::{follower, outbox, reaper, reconciler};

mod opening;

pub use opening::open;
use opening::take_places;

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
    /// A row of `sale` that does not exist.
    #[error("sale: {inventory}: {reason}")]
    Sale {
        /// Which row.
        inventory: InventoryId,
        /// Why not.
        reason: NotOnSale,
    },
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
    provider: SimulatedProvider,
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
        let secret = config.payments.webhook_secret.clone().map_or_else(|| random().to_vec(), String::into_bytes);
        let (provider, inbox) = SimulatedProvider::new(Arc::clone(&clock), secret, config.tempo());
        Self::start_with(config, clock, provider, inbox).await
    }

    /// As [`App::start`], with a provider that outlives it; for tests that kill and restart the rest.
    ///
    /// The provider must have been made with the configured `webhook_secret`.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with(
        config: Config,
        clock: Arc<dyn Clock>,
        provider: SimulatedProvider,
        inbox: mpsc::Receiver<Delivery>,
    ) -> Result<Self, StartError> {
        config.check()?;
        let catalogue = Catalogue::embedded()?.with_practices(config.practices.clone());
        let catalogue = Arc::new(catalogue.map_err(ConfigError::Senseless)?);
        check_sale(&config, &catalogue)?;
        let store = open(&config).await?;
        take_places(&*store, clock.now().day_in_india()).await?;
        let id_secret = store.secret(random()).await.map_err(StartError::Store)?;
        let metrics = Metrics::new();
        let boards: Vec<Arc<Board>> = config.gateways.iter().map(|_| Arc::default()).collect();
        let notifiers = notifiers(&config, &boards, (&store, &clock), &metrics)?;
        let till: Arc<dyn Till> = Arc::clone(&store) as _;
        let teller = Teller::new(till, metrics.clone(), config.strategies(), config.teller_limits());
        let patience = Duration::from_millis(config.seat_lock.patience_ms);
        let seat_lock = config.seat_lock.redis.as_deref().map(|url| SeatLock::new(url, patience));
        let seat_lock = seat_lock.transpose().map_err(bad_redis)?;
        let service = Service::new(Parts {
            store,
            teller,
            seat_lock,
            provider: Arc::new(provider.clone()) as Arc<dyn Provider>,
            catalogue,
            clock,
            metrics,
            terms: config.terms(),
            boards,
            id_secret,
            webhook_secret: provider.secret().to_vec(),
        });
        service.open_sale().await.map_err(StartError::Store)?;
        let app = Self {
            service,
            provider,
            ready: Arc::new(AtomicBool::new(true)),
            stop: CancellationToken::new(),
            workers: TaskTracker::new(),
            drain: Duration::from_secs(config.drain_seconds),
        };
        app.start_workers(notifiers, inbox);
        Ok(app)
    }

    fn start_workers(&self, notifiers: Vec<Notifier>, inbox: mpsc::Receiver<Delivery>) {
        let (service, stop) = (&self.service, &self.stop);
        self.workers.spawn(reaper::run(Arc::clone(service), stop.clone()));
        self.workers.spawn(follower::run(Arc::clone(service), stop.clone()));
        self.workers.spawn(outbox::run(Arc::clone(service), stop.clone()));
        self.workers.spawn(reconciler::run(Arc::clone(service), stop.clone()));
        self.workers.spawn(receive(Arc::clone(service), inbox, stop.clone()));
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

    /// Returns the simulated provider, to make it misbehave.
    #[must_use]
    pub fn provider(&self) -> &SimulatedProvider {
        &self.provider
    }

    /// Returns the API and the site.
    pub fn router(&self) -> Router {
        api::router(Arc::clone(&self.service), Arc::clone(&self.ready))
    }

    /// Serves on a listener until `shutdown` completes; then stops accepting, lets requests under way finish within
    /// `drain_seconds`, and stops the workers.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let ending = CancellationToken::new();
        let (signal, ready) = (ending.clone(), Arc::clone(&self.ready));
        let graceful = async move {
            shutdown.await;
            ready.store(false, Ordering::Relaxed);
            signal.cancel();
        };
        let serving = axum::serve(listener, self.router()).with_graceful_shutdown(graceful).into_future();
        let deadline = async {
            ending.cancelled().await;
            tokio::time::sleep(self.drain).await;
        };
        let served = tokio::select! {
            served = serving => served,
            () = deadline => {
                tracing::warn!("requests were still under way when the time to drain was over");
                Ok(())
            }
        };
        self.stop().await;
        served
    }

    /// Stops the workers and waits for what callers left behind.
    pub async fn stop(self) {
        self.service.close().await;
        self.stop.cancel();
        self.workers.wait().await;
        self.provider.stop().await;
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

/// Takes the provider's webhooks in, as if they came over HTTP.
async fn receive(service: Arc<Service>, mut inbox: mpsc::Receiver<Delivery>, stop: CancellationToken) {
    loop {
        let delivery = tokio::select! {
            () = stop.cancelled() => return,
            delivery = inbox.recv() => delivery,
        };
        let Some(Delivery { signature, body }) = delivery else { return };
        if let Err(denied) = service.webhook(&signature, &body).await {
            tracing::warn!(%denied, "a webhook was refused");
        }
    }
}

/// Returns the address a listener really has, for printing.
///
/// # Errors
/// When the system does not say.
pub fn address(listener: &TcpListener) -> io::Result<SocketAddr> {
    listener.local_addr()
}
