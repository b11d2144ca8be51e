//! A bell that wakes background work early, one listener for each database.

use tokio::sync::Notify;

/// Wakes every listener; a listener that is busy hears it when it listens next.
#[derive(Debug)]
pub struct Bell(Vec<Notify>);

impl Bell {
    pub(super) fn new(listeners: usize) -> Self {
        Self((0..listeners).map(|_| Notify::new()).collect())
    }

    /// Wakes them all: which database has the work is not known, and to look costs little.
    pub fn ring(&self) {
        self.0.iter().for_each(Notify::notify_one);
    }

    /// Returns the listeners, in the order of [`super::Service::databases`].
    pub fn listeners(&self) -> &[Notify] {
        &self.0
    }
}
