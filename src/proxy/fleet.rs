//! The addresses of one upstream: which of them gets the next request, and which gets none for a while.
//!
//! Shared by all threads. Each request is a few additions to atomic counters; nothing is locked.

mod ejection;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::address::UpstreamAddress;
use super::way::Way;
use crate::tls::TlsFault;
use ejection::Ejection;

/// When an address gets no requests, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FleetRules {
    /// After so many failures without a success between them; 0 for never.
    pub eject_after: u32,
    /// For so long the first time, and longer each time it fails again.
    pub eject_for: Duration,
    /// Which part of the addresses may be out at once.
    pub max_ejected: f64,
}

impl Default for FleetRules {
    fn default() -> Self {
        Self { eject_after: 5, eject_for: Duration::from_secs(10), max_ejected: 0.5 }
    }
}

/// The addresses of one upstream.
pub struct Fleet {
    backends: Vec<Backend>,
    rules: FleetRules,
    started: Instant,
}

/// One address, as all threads see it.
pub(super) struct Backend {
    pub(super) way: Arc<Way>,
    outstanding: AtomicUsize,
    ejection: Ejection,
    /// What the checks say.
    is_well: AtomicBool,
}

/// How an address does.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendView {
    /// As it is configured.
    pub address: UpstreamAddress,
    /// Whether it gets requests.
    pub is_up: bool,
    /// Whether the checks find it well.
    pub is_well: bool,
    /// How many requests it has not answered whole.
    pub outstanding: usize,
    /// How many failures there were.
    pub failures: u64,
    /// How often it was out.
    pub ejections: u64,
}

impl Fleet {
    /// Makes a fleet of some addresses, at least one; `ca` names the authorities to believe, if not the system's.
    ///
    /// # Errors
    /// [`TlsFault`] when there is nobody to believe.
    pub fn new(addresses: &[UpstreamAddress], rules: FleetRules, ca: Option<&Path>) -> Result<Arc<Self>, TlsFault> {
        let backend = |address: &UpstreamAddress| Ok(Backend::new(Way::new(address.clone(), ca)?));
        let backends = addresses.iter().map(backend).collect::<Result<_, TlsFault>>()?;
        Ok(Arc::new(Self { backends, rules, started: Instant::now() }))
    }

    /// Shows how each address does.
    #[must_use]
    pub fn view(&self) -> Vec<BackendView> {
        let now_ms = self.now_ms();
        self.backends.iter().map(|backend| backend.view(now_ms)).collect()
    }

    pub(super) fn backends(&self) -> &[Backend] {
        &self.backends
    }

    /// Chooses the less busy of two, of those that are up and were not tried; where none is up, of all that were not
    /// tried: better to ask one that may be down than nobody. `chance` picks the two.
    pub(super) fn choose(&self, chance: u64, tried: &[usize]) -> Option<usize> {
        if self.backends.len() == 1 {
            return tried.is_empty().then_some(0);
        }
        let now_ms = self.now_ms();
        let untried = |i: &usize| !tried.contains(i);
        let is_up = |i: &usize| self.backends[*i].is_up(now_ms);
        let all = 0..self.backends.len();
        let up = all.clone().filter(untried).filter(is_up).count();
        let eligible = |i: &usize| untried(i) && (up == 0 || is_up(i));
        let count = if up == 0 { all.clone().filter(untried).count() } else { up };
        let (first, second) = two_of(count, chance)?;
        let nth = |n: usize| all.clone().filter(eligible).nth(n);
        let load = |i: &usize| self.backends[*i].outstanding.load(Relaxed);
        // Another thread may have changed who is up between the two looks; then anybody will do.
        nth(first).into_iter().chain(nth(second)).min_by_key(load).or_else(|| all.clone().find(untried))
    }

    /// Notes that an address failed, or did not.
    pub(super) fn note(&self, i: usize, failed: bool) {
        let ejection = &self.backends[i].ejection;
        if !failed {
            return ejection.succeed();
        }
        let now_ms = self.now_ms();
        let out = self.backends.iter().filter(|backend| backend.ejection.is_out(now_ms)).count();
        let may_eject = (out + 1) as f64 <= self.rules.max_ejected * self.backends.len() as f64;
        if ejection.fail(&self.rules, now_ms, may_eject) {
            tracing::warn!(upstream = %self.backends[i].way.address, "gets no requests for a while: it failed again and again");
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Two different numbers below `count`, or twice the only one.
fn two_of(count: usize, chance: u64) -> Option<(usize, usize)> {
    let below = |chance: u64, count: usize| (chance % count as u64) as usize;
    match count {
        0 => None,
        1 => Some((0, 0)),
        _ => {
            let first = below(chance >> 32, count);
            let step = 1 + below(chance & 0xffff_ffff, count - 1);
            Some((first, (first + step) % count))
        }
    }
}

impl Backend {
    fn new(way: Way) -> Self {
        Self {
            way: Arc::new(way),
            outstanding: AtomicUsize::new(0),
            ejection: Ejection::default(),
            is_well: AtomicBool::new(true),
        }
    }

    fn is_up(&self, now_ms: u64) -> bool {
        self.is_well.load(Relaxed) && !self.ejection.is_out(now_ms)
    }

    /// Notes what the checks say; returns whether that is news.
    pub(super) fn set_well(&self, is_well: bool) -> bool {
        self.is_well.swap(is_well, Relaxed) != is_well
    }

    fn view(&self, now_ms: u64) -> BackendView {
        BackendView {
            address: self.way.address.clone(),
            is_up: self.is_up(now_ms),
            is_well: self.is_well.load(Relaxed),
            outstanding: self.outstanding.load(Relaxed),
            failures: self.ejection.failures(),
            ejections: self.ejection.ejections(),
        }
    }
}

/// One request that an address has not answered whole, for as long as it lives.
pub(super) struct Load {
    fleet: Arc<Fleet>,
    i: usize,
}

impl Load {
    pub(super) fn on(fleet: &Arc<Fleet>, i: usize) -> Self {
        fleet.backends[i].outstanding.fetch_add(1, Relaxed);
        Self { fleet: Arc::clone(fleet), i }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.fleet.backends[self.i].outstanding.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(count: usize, rules: FleetRules) -> Arc<Fleet> {
        let addresses: Vec<UpstreamAddress> = (1..=count).map(|i| format!("10.0.0.{i}:80").parse().unwrap()).collect();
        Fleet::new(&addresses, rules, None).unwrap()
    }

    /// How often each address is chosen, over many chances.
    fn chosen(fleet: &Fleet, tried: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; fleet.backends.len()];
        for i in 0..1_000_u64 {
            let chance = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            fleet.choose(chance, tried).into_iter().for_each(|i| counts[i] += 1);
        }
        counts
    }

    #[test]
    fn requests_are_spread_and_the_busy_are_spared() {
        let fleet = fleet(3, FleetRules::default());
        assert!(chosen(&fleet, &[]).iter().all(|count| *count > 200), "{:?}", chosen(&fleet, &[]));
        let _busy = [(); 5].map(|()| Load::on(&fleet, 1));
        let counts = chosen(&fleet, &[]);
        assert!(counts[1] == 0 && counts[0] > 300 && counts[2] > 300, "{counts:?}");
        assert_eq!(chosen(&fleet, &[0, 2]), [0, 1_000, 0]);
        assert_eq!(fleet.choose(7, &[0, 1, 2]), None);
    }

    #[test]
    fn who_fails_gets_nothing_but_never_all_of_them() {
        let fleet = fleet(3, FleetRules { eject_after: 2, ..FleetRules::default() });
        for i in [0, 0, 1, 1, 2, 2] {
            fleet.note(i, true);
        }
        assert_eq!(chosen(&fleet, &[])[0], 0, "only one of three may be out");
        assert!(chosen(&fleet, &[])[1] > 0);
        assert_eq!(fleet.view().iter().map(|view| view.is_up).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(fleet.view()[0].ejections, 1);
        fleet.backends[1].set_well(false);
        assert_eq!(chosen(&fleet, &[]), [0, 0, 1_000]);
        fleet.backends[2].set_well(false);
        assert!(chosen(&fleet, &[]).iter().all(|count| *count > 0), "nobody is up: then anybody");
    }

    #[test]
    fn the_only_address_is_never_out() {
        let fleet = fleet(1, FleetRules { eject_after: 1, max_ejected: 0.9, ..FleetRules::default() });
        (0..9).for_each(|_| fleet.note(0, true));
        assert!(fleet.view()[0].is_up);
        assert_eq!(fleet.view()[0].failures, 9);
    }
}
