//! The configuration: a TOML file, each key of which the environment may set.
//!
//! Everything is checked before anything starts, and every problem is told at once, with its
//! place and what would be right.

mod claim;
mod file;
mod forward;
mod instant;
mod listener;
mod person;
mod problem;
mod spelling;
mod theme;
mod traces;
mod variables;
mod work;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adaptive::Tolerance;
use crate::admission::Limits;
use crate::capacity::UPDATES_PER_SECOND;
use crate::gate::QueueingMethod;
use crate::line::RoomName;
use crate::line::redis::Address;
use crate::networks::{Network, Networks};
use crate::proxy::ChainHeader;
use crate::room::RoomRules;
use crate::route::{Claim, ItemPattern, Routes};
use crate::schedule::Schedule;
use crate::telemetry::TraceRules;
use crate::tls::CertificateFiles;
use crate::tls::acme::AcmeRules;
use crate::waiting::Theme;
use file::Section;
pub use forward::{Forward, UpstreamConfig};
use instant::Zone;
pub use instant::instant_text;
pub use listener::AdminTls;
use listener::{admin_tls, chain, public_scheme, tls};
pub use problem::{Problem, Problems};
pub use variables::{Environment, IgnoredVariable};

/// All that `vestibule serve` needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where visitors come.
    pub listen: SocketAddr,
    /// Where operators and Prometheus come.
    pub admin_listen: SocketAddr,
    /// How many threads serve visitors; 0 means one for each core.
    pub workers: usize,
    /// Where the gateway keeps its files; `None` keeps nothing.
    pub data: Option<PathBuf>,
    /// The URL of the Redis that keeps the lines; `None` for the embedded store.
    pub store_url: Option<String>,
    /// The file of the key ring; by default in `data`.
    pub keys: Option<PathBuf>,
    /// What an operator has to show; `None` for one that is made and kept in `data`.
    pub admin_token: Option<String>,
    /// Whether visitors come over TLS, which the gateway or a proxy in front ends.
    pub is_tls: bool,
    /// The certificate with which the gateway itself ends TLS.
    pub certificate: Option<CertificateFiles>,
    /// How it gets that certificate by itself.
    pub acme: Option<AcmeRules>,
    /// How TLS is ended where operators come; `None` for not at all.
    pub admin_tls: Option<AdminTls>,
    /// Proxies in front, whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// In which header they say who came.
    pub chain: ChainHeader,
    /// Whether they say by the PROXY protocol whose a connection is.
    pub proxy_protocol: bool,
    /// How many joins a minute one address may ask for; 0 for no limit.
    pub joins_per_minute: u32,
    /// How many positions a minute one address may ask for; 0 for no limit.
    pub polls_per_minute: u32,
    /// How many connections are open at most.
    pub max_connections: usize,
    /// The longest request body that is forwarded, in bytes.
    pub max_body_bytes: u64,
    /// How long a stop waits for requests to end.
    pub drain: Duration,
    /// How long a stop goes on serving whoever comes, while balancers hear of it.
    pub notice: Duration,
    /// Where traces go, and which; `None` for no traces.
    pub traces: Option<TraceRules>,
    /// Where requests go that are of no room; `None` answers them with 404.
    pub upstream: Option<UpstreamConfig>,
    /// The rooms.
    pub rooms: Vec<RoomConfig>,
    /// The variables that look as if they set something, and set nothing.
    pub ignored_variables: Vec<IgnoredVariable>,
}

/// One room.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// What does not change while it runs.
    pub rules: RoomRules,
    /// Which requests are its own.
    pub claim: Claim,
    /// Where they go.
    pub upstream: UpstreamConfig,
    /// What bounds admission.
    pub limits: Limits,
    /// How its page looks.
    pub theme: Theme,
    /// The files that name the addresses of crawlers, who need no place.
    pub crawlers: Vec<PathBuf>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(path: &Path, environment: &Environment) -> Result<Self, Problems> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Problems::one(Problem::general(format!("cannot read {}: {e}", path.display()))))?;
        Self::parse(&text, environment)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, environment: &Environment) -> Result<Self, Problems> {
        let mut root = Section::parse(text, environment)?;
        let config = Self::from_section(&mut root);
        let ignored_variables = root.ignored_variables();
        let problems = root.finish();
        match config {
            Some(config) if problems.is_empty() => Ok(Self { ignored_variables, ..config }),
            _ => Err(problems.with_misspelt(&ignored_variables)),
        }
    }

    fn from_section(root: &mut Section<'_>) -> Option<Self> {
        let forward = Forward::read(root, &Forward::default());
        let is_upstream_meant = root.gives("upstream") || root.misspells("upstream");
        let upstream = UpstreamConfig::read(root, None, &forward);
        let usual = Usual { upstream: upstream.as_ref(), is_upstream_meant, forward: &forward };
        let rooms = rooms(root, &usual);
        let (certificate, acme) = tls(root);
        let data = root.text("data").unwrap_or_else(|| "vestibule-data".to_owned());
        let config = Self {
            listen: root.address("listen").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            admin_listen: root.address("admin_listen").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8081))),
            workers: root.whole("workers", 0..=256).unwrap_or(0) as usize,
            data: (data != ":memory:").then(|| PathBuf::from(data)),
            keys: root.text("keys").map(PathBuf::from),
            admin_token: admin_token(root),
            is_tls: public_scheme(root, certificate.is_some() || acme.is_some()) == "https",
            certificate,
            acme,
            admin_tls: admin_tls(root),
            trusted_proxies: root.parsed_list::<Network>("trusted_proxies").unwrap_or_default().into(),
            chain: chain(root),
            proxy_protocol: root.flag("proxy_protocol").unwrap_or(false),
            max_connections: root.whole("max_connections", 1..=1_000_000).unwrap_or(100_000) as usize,
            max_body_bytes: root.whole("max_body_bytes", 0..=1 << 40).unwrap_or(64 << 20),
            drain: root.duration("drain").unwrap_or(Duration::from_secs(10)),
            notice: root.duration("notice").unwrap_or(Duration::ZERO),
            joins_per_minute: root.whole("joins_per_minute", 0..=1_000_000).unwrap_or(0) as u32,
            polls_per_minute: root.whole("polls_per_minute", 0..=100_000_000).unwrap_or(0) as u32,
            store_url: store_url(root),
            traces: traces::traces(root),
            upstream,
            rooms: rooms?,
            ignored_variables: Vec::new(),
        };
        config.check_conflicts(root);
        Some(config)
    }

    fn check_conflicts(&self, root: &mut Section<'_>) {
        if self.listen == self.admin_listen && self.listen.port() != 0 {
            root.problem("admin_listen", "is the same address as `listen`; give it a port of its own".to_owned());
        }
        if self.proxy_protocol && self.trusted_proxies.is_empty() {
            let text = "is believed of `trusted_proxies` only, and there are none; name the balancer in front there";
            root.problem("proxy_protocol", text.to_owned());
        }
        if self.acme.is_some() && self.data.is_none() {
            root.problem(
                "data",
                "keeps nothing, and a certificate from an authority has to be kept; name a folder".to_owned(),
            );
        }
        let own = [self.listen, self.admin_listen].map(|address| format!("http://{address}"));
        let is_own = |room: &&RoomConfig| room.upstream.addresses.iter().any(|one| own.contains(&one.to_string()));
        for room in self.rooms.iter().filter(is_own) {
            root.problem("room", format!("the upstream of `{}` is this gateway itself", room.rules.name));
        }
        let routes = Routes::new(self.rooms.iter().map(|room| room.claim.clone()).collect());
        for (i, room) in self.rooms.iter().enumerate() {
            let conflict = person::conflict(i, room, &routes, !self.trusted_proxies.is_empty());
            conflict.into_iter().for_each(|what| root.problem("room", what));
        }
        for (a, b, what) in routes.conflicts() {
            let [a, b] = [a, b].map(|i| self.rooms[i].rules.name.as_str());
            root.problem("room", format!("rooms `{a}` and `{b}` both claim {what}; give it to one of them, or tell them apart by `methods` or `headers`"));
        }
    }
}

fn store_url(root: &mut Section<'_>) -> Option<String> {
    let mut store = root.section("store")?;
    let url = store.secret("url");
    if let Some(Err(bad)) = url.as_deref().map(Address::parse) {
        store.problem("url", format!("{bad}; leave it out for the embedded store"));
    }
    root.close(store);
    url
}

fn admin_token(root: &mut Section<'_>) -> Option<String> {
    let token = root.secret("admin_token");
    if token.as_ref().is_some_and(|token| token.len() < 16) {
        root.problem("admin_token", "an admin token has at least 16 characters".to_owned());
    }
    token
}

/// What counts in rooms that do not say otherwise.
struct Usual<'a> {
    upstream: Option<&'a UpstreamConfig>,
    /// Whether there is one, or would be but for a problem that is told.
    is_upstream_meant: bool,
    forward: &'a Forward,
}

fn rooms(root: &mut Section<'_>, usual: &Usual<'_>) -> Option<Vec<RoomConfig>> {
    let mut rooms = root.section("room")?;
    let names = rooms.section_names();
    let read: Vec<Option<RoomConfig>> = names
        .iter()
        .map(|name| {
            let mut section = rooms.section(name)?;
            let room = room(name, &mut section, usual);
            rooms.close(section);
            room
        })
        .collect();
    if names.is_empty() {
        rooms.problem("", "there is no room: write one as [room.NAME]".to_owned());
    }
    root.close(rooms);
    read.into_iter().collect()
}

fn room(name: &str, section: &mut Section<'_>, usual: &Usual<'_>) -> Option<RoomConfig> {
    let room_name = RoomName::new(name).map_err(|e| section.problem("", e.to_string())).ok();
    let upstream = UpstreamConfig::read(section, usual.upstream, usual.forward);
    if upstream.is_none() && !usual.is_upstream_meant {
        section.missing("upstream", "where its requests go, such as http://127.0.0.1:9000");
    }
    let limits = limits(section);
    let (limits, tolerance) = adaptive(section, limits);
    let item = section.text("item");
    let method = method(section);
    let public_value = section.text("draw_public_value");
    check_draw(section, method, &limits, public_value.as_deref());
    let rules = room_name.map(|room_name| RoomRules {
        title: section.text("title").unwrap_or_else(|| name.to_owned()),
        method,
        public_value,
        max_waiting: section.whole("max_waiting", 1..=100_000_000).unwrap_or(10_000_000),
        queueing_status: status(section),
        updates_per_second: updates_per_second(section),
        items: section.parsed_list::<ItemPattern>("items").unwrap_or_default(),
        item,
        tolerance,
        person: person::person(section),
        work: work::work(section),
        name: room_name,
    });
    let theme = theme::theme(section);
    let claim = claim::claim(section);
    Some(RoomConfig { rules: rules?, claim, upstream: upstream?, limits, theme, crawlers: claim::crawlers(section) })
}

fn method(section: &mut Section<'_>) -> QueueingMethod {
    match section.choice("queueing_method", &["fifo", "draw", "passthrough", "reject"]) {
        Some("draw") => QueueingMethod::Draw,
        Some("passthrough") => QueueingMethod::Passthrough,
        Some("reject") => QueueingMethod::Reject,
        _ => QueueingMethod::Fifo,
    }
}

/// A draw needs a start, and is the only use of a public value.
fn check_draw(section: &mut Section<'_>, method: QueueingMethod, limits: &Limits, public_value: Option<&str>) {
    let is_draw = method == QueueingMethod::Draw;
    if is_draw && limits.schedule.starts_ms.is_none() {
        section.missing("starts_at", "a draw is made when the sale starts, such as 2026-12-01T10:00:00+05:30");
    }
    if !is_draw && public_value.is_some() {
        section.problem("draw_public_value", "is for rooms with queueing_method = \"draw\"".to_owned());
    }
    if public_value.is_some_and(|text| !(1..=200).contains(&text.chars().count())) {
        section.problem("draw_public_value", "has 1 to 200 characters".to_owned());
    }
}

fn status(section: &mut Section<'_>) -> u16 {
    let status = section.whole("queueing_status", 200..=599).unwrap_or(200);
    if ![200, 202, 429, 503].contains(&status) {
        section.problem("queueing_status", "the waiting page has status 200, 202, 429 or 503".to_owned());
    }
    status as u16
}

fn updates_per_second(section: &mut Section<'_>) -> u32 {
    let wished = section.whole("updates_per_second", 10..=1_000_000);
    wished.map_or(UPDATES_PER_SECOND, |updates| updates as u32)
}

fn limits(section: &mut Section<'_>) -> Limits {
    let per_second = section.number("admissions_per_second", 0.0..=1_000_000.0);
    let per_minute = section.number("new_users_per_minute", 0.0..=60_000_000.0);
    if per_second.is_some() && per_minute.is_some() {
        section
            .problem("new_users_per_minute", "give admissions_per_second or new_users_per_minute, not both".to_owned());
    }
    let rate = per_second.or(per_minute.map(|n| n / 60.0));
    let burst = section.whole("burst", Limits::BURST);
    let (session, grace) = (section.duration("session_duration"), section.duration("grace"));
    check_span(section, "session_duration", session);
    check_span(section, "grace", grace);
    Limits {
        interval_us: rate.map_or(0, Limits::interval_us),
        burst: burst.unwrap_or_else(|| default_burst(rate)),
        total_active_users: section.whole("total_active_users", Limits::ACTIVE_USERS),
        session_duration_s: session.map_or(600, |span| span.as_secs()),
        grace_ms: grace.map_or(120_000, |span| span.as_millis() as u64),
        schedule: schedule(section),
        floor_interval_us: None,
    }
}

/// Reads how the rate adapts to the upstream's health, if it does.
fn adaptive(section: &mut Section<'_>, limits: Limits) -> (Limits, Tolerance) {
    let usual = Tolerance::default();
    let Some(mut adaptive) = section.section("adaptive") else { return (limits, usual) };
    let floor = adaptive.number("floor", Limits::FLOOR);
    let tolerance = Tolerance {
        latency: adaptive.number("tolerance", 1.1..=100.0).unwrap_or(usual.latency),
        max_errors: adaptive.number("max_errors", 0.001..=0.9).unwrap_or(usual.max_errors),
        max_in_flight: adaptive.whole("max_in_flight", 1..=1_000_000),
    };
    let floor_interval_us = floor.map(Limits::interval_us);
    if floor_interval_us.is_some() && limits.interval_us == 0 {
        adaptive.problem("floor", "needs a ceiling: give the room admissions_per_second".to_owned());
    }
    if floor_interval_us.is_some_and(|floor_us| floor_us < limits.interval_us) {
        adaptive.problem("floor", "is above the ceiling, the room's admissions_per_second; lower it".to_owned());
    }
    section.close(adaptive);
    (Limits { floor_interval_us, ..limits }, tolerance)
}

fn schedule(section: &mut Section<'_>) -> Schedule {
    let zone: Option<Zone> = section.parsed("time_zone");
    let schedule = Schedule {
        opens_ms: section.instant("opens_at", zone.as_ref()),
        starts_ms: section.instant("starts_at", zone.as_ref()),
        ends_ms: section.instant("ends_at", zone.as_ref()),
    };
    if let Some(disorder) = schedule.disorder() {
        section.problem(if schedule.ends_ms.is_some() { "ends_at" } else { "opens_at" }, disorder.to_owned());
    }
    schedule
}

/// A visit and a grace time are from a second to thirty days long.
fn check_span(section: &mut Section<'_>, key: &str, span: Option<Duration>) {
    let [shortest, longest] =
        [Limits::SPAN_S.start(), Limits::SPAN_S.end()].map(|seconds| Duration::from_secs(*seconds));
    if span.is_some_and(|span| !(shortest..=longest).contains(&span)) {
        section.problem(key, "is from \"1s\" to \"30d\"".to_owned());
    }
}

/// A fifth of a second's worth: enough that a tick which comes late loses nothing, and far too
/// little for anyone to see a burst.
#[must_use]
pub fn default_burst(admissions_per_second: Option<f64>) -> u64 {
    admissions_per_second.map_or(1, |rate| (rate / 5.0).ceil().max(1.0) as u64)
}

#[cfg(test)]
mod tests;
