//! The upstreams of all rooms: made together, checked, and counted.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, UpstreamConfig};
use crate::metrics::Metrics;
use crate::proxy::{Fleet, Proxy, ProxyLimits, keep_checking};
use crate::tls::TlsFault;

/// The name under which the upstream of no room is counted; no room can have it.
const NO_ROOM: &str = "*";

/// One upstream, by the room that it is of.
#[derive(Clone)]
pub struct Upstream {
    /// The room's name, or `*`.
    pub room: String,
    /// Its addresses.
    pub fleet: Arc<Fleet>,
    config: UpstreamConfig,
    limits: ProxyLimits,
}

/// All upstreams, in the order of the rooms; what is of no room comes last.
#[derive(Clone)]
pub struct Upstreams {
    /// Those of rooms.
    pub rooms: Vec<Upstream>,
    /// That of no room.
    pub open: Option<Upstream>,
}

impl Upstreams {
    /// Makes the upstreams for as many threads.
    ///
    /// # Errors
    /// [`TlsFault`] when there is nobody whose certificates are believed.
    pub fn new(config: &Config, workers: usize) -> Result<Self, TlsFault> {
        let make = |name: &str, upstream: &UpstreamConfig| {
            let all = upstream.forward.limits;
            // Each thread has connections of its own, and so its part of them.
            let max_connections = all.max_connections.div_ceil(workers);
            let limits = ProxyLimits { max_connections, max_body_bytes: config.max_body_bytes, ..all };
            Ok(Upstream { room: name.to_owned(), fleet: upstream.fleet()?, config: upstream.clone(), limits })
        };
        let rooms = config.rooms.iter().map(|room| make(room.rules.name.as_str(), &room.upstream));
        let open = config.upstream.as_ref().map(|upstream| make(NO_ROOM, upstream));
        Ok(Self { rooms: rooms.collect::<Result<_, TlsFault>>()?, open: open.transpose()? })
    }

    /// Walks all of them.
    pub fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.rooms.iter().chain(&self.open)
    }

    /// Begins the checks of those that are checked.
    pub fn run_checks(&self, tasks: &TaskTracker, end: &CancellationToken) {
        for upstream in self.iter() {
            if let Some(rules) = upstream.config.forward.check.clone() {
                tasks.spawn(keep_checking(Arc::clone(&upstream.fleet), rules, end.clone()));
            }
        }
    }

    /// Tells the metrics how each address does.
    pub fn count(&self, metrics: &Metrics) {
        for upstream in self.iter() {
            for (i, view) in upstream.fleet.view().into_iter().enumerate() {
                // Not the address, which is nobody's business who may read metrics.
                let place = (i + 1).to_string();
                let labels = [upstream.room.as_str(), place.as_str()];
                metrics.upstream_up.with_label_values(&labels).set(i64::from(view.is_up));
                metrics.upstream_outstanding.with_label_values(&labels).set(view.outstanding as i64);
                for (counter, total) in
                    [(&metrics.upstream_failures, view.failures), (&metrics.upstream_ejections, view.ejections)]
                {
                    let counter = counter.with_label_values(&labels);
                    counter.inc_by(total.saturating_sub(counter.get()));
                }
            }
        }
    }
}

impl Upstream {
    /// Makes one thread's way to it.
    pub fn proxy(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Arc<Proxy> {
        Arc::new(Proxy::new(Arc::clone(&self.fleet), self.limits, tasks.clone(), stop.clone()))
    }
}
