//! Kept connections that a whole crowd shares, one question at a time on each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::speech::Open;

/// The connections, and how many there may be.
#[derive(Debug)]
pub struct Carriers {
    idle: Mutex<HashMap<SocketAddr, Vec<Open>>>,
    places: Semaphore,
}

impl Carriers {
    /// Allows so many connections.
    #[must_use]
    pub fn new(connections: u32) -> Self {
        Self { idle: Mutex::default(), places: Semaphore::new(connections as usize) }
    }

    /// Waits until a question may be asked.
    pub async fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    /// Takes a kept connection, if one is free.
    #[must_use]
    pub fn take(&self, address: SocketAddr) -> Option<Open> {
        self.lock().get_mut(&address)?.pop()
    }

    /// Keeps a connection for the next question.
    pub fn keep(&self, address: SocketAddr, open: Open) {
        self.lock().entry(address).or_default().push(open);
    }

    /// Lets all those to one gateway go: one of them was found closed.
    pub fn forget(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Vec<Open>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
