//! The simulated bank as something that runs: a listener of its own, and a courier for its news.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bank::{Bank, Delivery};
use super::courier::{self, Address};
use super::server;
use crate::clock::Clock;

/// Runs a bank until [`House::stop`].
pub struct House {
    bank: Bank,
    address: SocketAddr,
    /// News that nobody carries yet; taken by the courier.
    inbox: Option<mpsc::Receiver<Delivery>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl House {
    /// Serves a bank on a listener; its news waits for [`House::carry_news`].
    ///
    /// # Errors
    /// When the listener does not say where it is.
    pub fn open(
        listener: TcpListener,
        (bank, inbox): (Bank, mpsc::Receiver<Delivery>),
        key: Option<String>,
    ) -> io::Result<Self> {
        let (address, stop, tasks) = (listener.local_addr()?, CancellationToken::new(), TaskTracker::new());
        let (router, stopped) = (server::router(bank.clone(), key), stop.clone());
        tasks.spawn(async move {
            let serving = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned());
            if let Err(error) = serving.await {
                tracing::error!(%error, "the bank's listener failed");
            }
        });
        Ok(Self { bank, address, inbox: Some(inbox), tasks, stop })
    }

    /// Hands the bank's news over to whoever carries it; `None` when somebody does already.
    pub fn take_news(&mut self) -> Option<mpsc::Receiver<Delivery>> {
        self.inbox.take()
    }

    /// Has the bank's news carried to a merchant, once.
    pub fn carry_news(&mut self, to: Address, clock: Arc<dyn Clock>) {
        if let Some(inbox) = self.take_news() {
            self.tasks.spawn(courier::run(inbox, to, clock, self.stop.clone()));
        }
    }

    /// Returns the bank, to make it misbehave.
    #[must_use]
    pub const fn bank(&self) -> &Bank {
        &self.bank
    }

    /// Returns where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the bank.
    pub async fn stop(self) {
        self.stop.cancel();
        // Calls that hang end with the bank, and the listener with its calls.
        self.bank.stop().await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}
