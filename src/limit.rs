//! How often one address may join, and ask, by `governor`'s GCRA, where a prefix of 64 bits counts as one
//! IPv6 address; and how many connections may be open.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use prometheus::{IntCounter, IntGauge};

use crate::metrics::Metrics;

/// How often a minute one address may do something at a gateway.
#[derive(Debug)]
pub struct AddressLimit(Option<DefaultKeyedRateLimiter<IpAddr>>);

impl AddressLimit {
    /// Allows it `per_minute` times to each address; 0 allows any number.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self(NonZeroU32::new(per_minute).map(|n| RateLimiter::keyed(Quota::per_minute(n))))
    }

    /// Counts once more for `address`; returns whether it is allowed. Loopback is the operator's own.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.0.as_ref().is_none_or(|limiter| limiter.check_key(&prefix(address)).is_ok())
    }

    /// Forgets addresses that have not come lately. To be called now and then.
    pub fn prune(&self) {
        if let Some(limiter) = &self.0 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// The limit of open connections; clones share the count.
#[derive(Clone, Debug)]
pub struct ConnectionLimit(Arc<Open>);

#[derive(Debug)]
struct Open {
    count: AtomicUsize,
    most: usize,
    shown: IntGauge,
    refused: IntCounter,
}

/// One of the connections that may be open, until it is dropped. It goes along with a connection
/// that becomes a WebSocket.
#[derive(Debug)]
pub struct Slot(Arc<Open>);

impl ConnectionLimit {
    /// Allows `most` connections at once.
    #[must_use]
    pub fn new(most: usize, metrics: &Metrics) -> Self {
        let refused = metrics.refused.with_label_values(&["connections"]);
        Self(Arc::new(Open { count: AtomicUsize::new(0), most, shown: metrics.connections.clone(), refused }))
    }

    /// Takes a slot; `None` when all are in use, which is counted.
    #[must_use]
    pub fn take(&self) -> Option<Slot> {
        let slot = Slot(Arc::clone(&self.0));
        self.0.shown.inc();
        let has_room = self.0.count.fetch_add(1, Ordering::Relaxed) < self.0.most;
        if !has_room {
            self.0.refused.inc();
        }
        has_room.then_some(slot)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.shown.dec();
    }
}

fn prefix(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_when_it_is_dropped() {
        let limit = ConnectionLimit::new(2, &Metrics::new());
        let [first, second] = [limit.take(), limit.clone().take()];
        assert!(first.is_some() && second.is_some() && limit.take().is_none());
        drop(first);
        assert!(limit.take().is_some());
        assert_eq!(limit.0.shown.get(), 1);
    }

    #[test]
    fn a_prefix_is_one_address() {
        let limit = AddressLimit::new(2);
        let of = |text: &str| limit.allows(text.parse().unwrap());
        assert_eq!([of("2001:db8::1"), of("2001:db8::2"), of("2001:db8::3")], [true, true, false]);
        assert!(of("2001:db8:0:1::1"), "another prefix");
        assert_eq!([of("192.0.2.1"), of("::ffff:192.0.2.1"), of("192.0.2.1")], [true, true, false]);
        assert!((0..9).all(|_| of("127.0.0.1")));
        assert!((0..9).all(|_| AddressLimit::new(0).allows([192, 0, 2, 1].into())));
    }
}
