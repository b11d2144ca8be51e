//! How requests are forwarded: to which addresses, within which times and bounds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::file::Section;
use crate::proxy::{CheckRules, Fleet, FleetRules, ProxyLimits, UpstreamAddress};
use crate::tls::TlsFault;

/// Where requests go, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamConfig {
    /// The addresses, at least one.
    pub addresses: Vec<UpstreamAddress>,
    /// How they are asked.
    pub forward: Forward,
}

/// How an upstream is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// The bounds; those of connections are for the whole gateway.
    pub limits: ProxyLimits,
    /// When an address gets no requests.
    pub rules: FleetRules,
    /// How addresses are checked; `None` for not at all.
    pub check: Option<CheckRules>,
    /// The authorities whose certificates are believed; `None` for the system's.
    pub ca: Option<PathBuf>,
}

impl UpstreamConfig {
    /// Makes the fleet of these addresses.
    ///
    /// # Errors
    /// [`TlsFault`] when an address speaks TLS and nobody's certificates are believed.
    pub fn fleet(&self) -> Result<Arc<Fleet>, TlsFault> {
        Fleet::new(&self.addresses, self.forward.rules, self.forward.ca.as_deref())
    }

    /// Reads where requests go, `usual` where a section does not say.
    pub(super) fn read(section: &mut Section<'_>, usual: Option<&Self>, forward: &Forward) -> Option<Self> {
        let own = section.parsed_one_or_more::<UpstreamAddress>("upstream");
        let addresses = own.or_else(|| Some(usual?.addresses.clone()))?;
        if addresses.is_empty() {
            section.problem("upstream", "is empty; name at least one address".to_owned());
        }
        if let Some(twice) = addresses.iter().enumerate().find_map(|(i, a)| addresses[..i].contains(a).then_some(a)) {
            section.problem("upstream", format!("names {twice} twice"));
        }
        let upstream = Self { addresses, forward: Forward::read(section, forward) };
        if let Err(fault) = upstream.fleet() {
            section.problem("upstream", fault.to_string());
        }
        Some(upstream)
    }
}

impl Default for Forward {
    fn default() -> Self {
        Self {
            limits: ProxyLimits { max_connections: 2_048, ..ProxyLimits::default() },
            rules: FleetRules::default(),
            check: None,
            ca: None,
        }
    }
}

impl Forward {
    /// Reads the table of a section; what it leaves out is as usual.
    pub(super) fn read(section: &mut Section<'_>, usual: &Self) -> Self {
        let Some(mut table) = section.section("forward") else { return usual.clone() };
        let forward = Self {
            limits: limits(&mut table, usual.limits),
            rules: rules(&mut table, usual.rules),
            check: check(&mut table, usual.check.as_ref()),
            ca: table.text("ca").map(PathBuf::from).or_else(|| usual.ca.clone()),
        };
        section.close(table);
        forward
    }
}

fn limits(table: &mut Section<'_>, usual: ProxyLimits) -> ProxyLimits {
    let connect_timeout = span(table, "connect_timeout", |table| table.duration("connect_timeout"));
    let header_timeout = span(table, "answer_timeout", |table| table.duration("answer_timeout"));
    let body_timeout = span(table, "silence_timeout", |table| table.duration("silence_timeout"));
    let whole_timeout = span(table, "whole_timeout", |table| table.duration("whole_timeout"));
    let max_connections = table.whole("max_connections", 1..=1_000_000).map(|most| most as usize);
    ProxyLimits {
        max_connections: max_connections.unwrap_or(usual.max_connections),
        connect_timeout: connect_timeout.unwrap_or(usual.connect_timeout),
        header_timeout: header_timeout.unwrap_or(usual.header_timeout),
        body_timeout: body_timeout.unwrap_or(usual.body_timeout),
        whole_timeout: whole_timeout.or(usual.whole_timeout),
        trace_sampling: table.number("trace_sampling", 0.0..=1.0).or(usual.trace_sampling),
        ..usual
    }
}

fn rules(table: &mut Section<'_>, usual: FleetRules) -> FleetRules {
    let eject_for = span(table, "eject_for", |table| table.duration("eject_for"));
    FleetRules {
        eject_after: table.whole("eject_after", 0..=1_000_000).map_or(usual.eject_after, |after| after as u32),
        eject_for: eject_for.unwrap_or(usual.eject_for),
        max_ejected: table.number("max_ejected", 0.0..=1.0).unwrap_or(usual.max_ejected),
    }
}

fn check(table: &mut Section<'_>, usual: Option<&CheckRules>) -> Option<CheckRules> {
    let path = table.text("check_path");
    if path.as_ref().is_some_and(|path| !path.starts_with('/') || path.parse::<hyper::Uri>().is_err()) {
        table.problem("check_path", "is a path such as \"/healthz\"".to_owned());
    }
    let every = span(table, "check_interval", |table| table.duration("check_interval"));
    let within = span(table, "check_timeout", |table| table.duration("check_timeout"));
    let ill_after = table.whole("ill_after", 1..=1_000).map(|after| after as u32);
    let well_after = table.whole("well_after", 1..=1_000).map(|after| after as u32);
    Some(CheckRules {
        path: path.or_else(|| Some(usual?.path.clone()))?,
        interval: every.or(usual.map(|usual| usual.interval)).unwrap_or(Duration::from_secs(2)),
        timeout: within.or(usual.map(|usual| usual.timeout)).unwrap_or(Duration::from_secs(1)),
        ill_after: ill_after.or(usual.map(|usual| usual.ill_after)).unwrap_or(3),
        well_after: well_after.or(usual.map(|usual| usual.well_after)).unwrap_or(2),
    })
}

/// Reads a time span, which is from a millisecond to a day long.
fn span(
    table: &mut Section<'_>,
    key: &str,
    read: impl FnOnce(&mut Section<'_>) -> Option<Duration>,
) -> Option<Duration> {
    let span = read(table);
    let sensible = Duration::from_millis(1)..=Duration::from_secs(86_400);
    if span.is_some_and(|span| !sensible.contains(&span)) {
        table.problem(key, "is from \"1ms\" to \"1d\"".to_owned());
    }
    span
}
