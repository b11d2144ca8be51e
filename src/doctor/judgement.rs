//! What to make of what was seen: pure.

use std::io;
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderMap;

use super::Finding;
use crate::admission::Limits;
use crate::config::{Config, IgnoredVariable, RoomConfig};
use crate::gate::QueueingMethod;
use crate::line::redis::{Facts, Sight};
use crate::room::TICKET_KEPT_MS;
use crate::route::{HostPattern, PathPattern, Route, Routes};

/// How far clocks may be apart before somebody should know, in milliseconds.
const SKEW_NOTED_MS: u64 = 1_000;

/// How far they may be apart at all: what is signed from further ahead is refused.
const SKEW_MOST_MS: u64 = 60_000;

/// A tick is due every tenth of a second; a store this slow makes it late.
const SLOW_STORE: Duration = Duration::from_millis(50);

/// A file or folder, and who may read it.
#[derive(Debug)]
pub struct Files<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its permissions, or why they cannot be told.
    pub mode: io::Result<u32>,
}

/// How long it took to reach somebody, or why nobody was reached.
pub type Reached = Result<Duration, String>;

/// Judges a line that is kept in a folder, or nowhere.
#[must_use]
pub fn embedded(data: Option<&Path>) -> Finding {
    match data {
        Some(folder) => Finding::good("store", format!("embedded, kept in {}; for one gateway", folder.display())),
        None => Finding::warning(
            "store",
            "embedded, kept in memory only",
            "Set `data` to a folder: without one, every place is lost with the process.",
        ),
    }
}

/// Judges a Redis that is not there.
#[must_use]
pub fn silent_store(why: &str) -> Finding {
    Finding::bad("store", why, "Nobody can join without it. Check the URL in [store], the network and the server.")
}

/// Judges a Redis and its clock, which is `now_us` here.
#[must_use]
pub fn store(sight: &Sight, now_us: u64) -> Vec<Finding> {
    let facts = &sight.facts;
    [Some(speed(sight)), durability(facts), eviction(facts), memory(facts), clock(sight, now_us)]
        .into_iter()
        .flatten()
        .collect()
}

fn speed(sight: &Sight) -> Finding {
    let version = sight.facts.version.as_deref().unwrap_or("of an unknown version");
    let said = format!("Redis {version} answers in {:.1} ms", sight.round_trip.as_secs_f64() * 1e3);
    if sight.round_trip <= SLOW_STORE {
        return Finding::good("store", said);
    }
    Finding::warning(
        "store",
        said,
        "A tick is due every tenth of a second: put the store nearer, or find what slows it.",
    )
}

fn durability(facts: &Facts) -> Option<Finding> {
    const WHAT: &str = "store's memory";
    let appends = facts.appends?;
    let replicas = facts.replicas.unwrap_or(0);
    if facts.append_works == Some(false) {
        return Some(Finding::bad(WHAT, "its last write to disk failed", "Look at its disk before the sale."));
    }
    Some(match (appends, replicas) {
        (true, _) => Finding::good(WHAT, "every write goes to disk"),
        (false, 1..) => Finding::warning(
            WHAT,
            format!("no file of writes, {replicas} replicas"),
            "Set `appendonly yes`: if all of them go down at once, only the gateways' memory is left.",
        ),
        (false, 0) => Finding::warning(
            WHAT,
            "neither a file of writes nor a replica",
            "Set `appendonly yes`. The gateways give a lost line back, but only as long as one of them lives.",
        ),
    })
}

fn eviction(facts: &Facts) -> Option<Finding> {
    let policy = facts.eviction.as_deref()?;
    Some(if policy == "noeviction" {
        Finding::good("store's eviction", "it throws nothing away")
    } else {
        let said = format!("maxmemory-policy is {policy}");
        Finding::bad(
            "store's eviction",
            said,
            "Set `maxmemory-policy noeviction`: with any other it may throw a line away.",
        )
    })
}

fn memory(facts: &Facts) -> Option<Finding> {
    let (used, most) = (facts.used_bytes?, facts.most_bytes.filter(|most| *most > 0)?);
    let said = format!("{} of {} MB in use", used >> 20, most >> 20);
    Some(if used < most / 10 * 8 {
        Finding::good("store's room", said)
    } else {
        Finding::bad("store's room", said, "When it is full nobody can join: raise `maxmemory`, or free some of it.")
    })
}

fn clock(sight: &Sight, now_us: u64) -> Option<Finding> {
    let theirs = sight.now_us?;
    let apart_ms = theirs.abs_diff(now_us) / 1_000;
    let apart = format!("this machine's and the store's are {apart_ms} ms apart");
    Some(match apart_ms {
        0..=SKEW_NOTED_MS => Finding::good("clocks", apart),
        _ if apart_ms <= SKEW_MOST_MS => {
            Finding::warning("clocks", apart, "Let NTP run on both; links to other devices go by this machine's.")
        }
        _ => Finding::bad(
            "clocks",
            apart,
            "Let NTP run on both: links to other devices and the site's own tokens fail, and tickets are not renewed in time.",
        ),
    })
}

/// Judges the way to an upstream of these rooms.
#[must_use]
pub fn upstream(url: &str, rooms: &[&str], reached: Reached) -> Finding {
    let what = format!("upstream of {}", rooms.join(", "));
    match reached {
        Ok(took) => Finding::good(&what, format!("{url} takes a connection in {:.1} ms", took.as_secs_f64() * 1e3)),
        Err(why) => Finding::bad(
            &what,
            format!("{url}: {why}"),
            "Whoever is let in will see an error. Start it, or correct `upstream`.",
        ),
    }
}

/// Judges the file of the keys.
#[must_use]
pub fn keys(file: Files<'_>) -> Finding {
    let path = file.path.display();
    match file.mode {
        Err(fault) => Finding::warning(
            "keys",
            format!("{path}: {fault}"),
            "A start makes one. Gateways of one line need the same: make it once with `vestibule keys`, and back it up.",
        ),
        Ok(mode) if mode & 0o007 != 0 => Finding::bad(
            "keys",
            format!("{path} can be read by everybody on this machine"),
            "chmod 600: whoever has the keys can make tickets and passes.",
        ),
        Ok(_) => Finding::good("keys", format!("in {path}")),
    }
}

/// Judges the gateway's own folder.
#[must_use]
pub fn data(folder: Files<'_>) -> Finding {
    let path = folder.path.display();
    match folder.mode {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
            Finding::good("data", format!("{path} is made at the first start"))
        }
        Err(fault) => Finding::bad("data", format!("{path}: {fault}"), "Give the gateway's user a folder of its own."),
        Ok(_) => Finding::good("data", format!("in {path}")),
    }
}

/// Judges the limit of open files, each of which may be a visitor.
#[must_use]
pub fn open_files(limit: Option<u64>, max_connections: usize) -> Finding {
    let Some(limit) = limit else {
        return Finding::warning("open files", "their limit is not known", "See `ulimit -n`.");
    };
    let said = format!("{limit} files, for {max_connections} connections and what goes on to the upstream");
    if limit >= max_connections as u64 {
        return Finding::good("open files", said);
    }
    Finding::warning(
        "open files",
        said,
        "Raise the limit (LimitNOFILE, ulimits), add gateways, or lower `max_connections` to what it is.",
    )
}

/// Judges who can reach the listeners, and how.
#[must_use]
pub fn listeners(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !config.admin_listen.ip().is_loopback() && config.admin_tls.is_none() {
        findings.push(Finding::warning(
            "admin listener",
            format!("{} is not on loopback, and without TLS", config.admin_listen),
            "Give it a certificate in `[admin_tls]`, and let only operators and Prometheus reach it: whoever has the token steers every room.",
        ));
    }
    if !config.is_tls && !config.listen.ip().is_loopback() {
        findings.push(Finding::warning(
            "TLS",
            format!("visitors reach {} without TLS", config.listen),
            "Cookies are then not `Secure`. Name a certificate in `[tls]`, or put TLS in front and set `public_scheme = \"https\"`.",
        ));
    }
    if config.is_tls && config.certificate.is_none() && config.acme.is_none() && config.trusted_proxies.is_empty() {
        findings.push(Finding::warning(
            "trusted proxies",
            "TLS ends in front of the gateway, and no proxy is trusted",
            "Name that proxy in `trusted_proxies`, or every visitor seems to have its address.",
        ));
    }
    findings
}

/// Judges variables that look as if they set a key.
#[must_use]
pub fn environment(config: &Config) -> Vec<Finding> {
    let warning = |variable: &IgnoredVariable| {
        Finding::warning("environment", variable.to_string(), "Correct its name, or take it out of the environment.")
    };
    config.ignored_variables.iter().map(warning).collect()
}

/// Judges whether a visitor who names another host comes to the site of a room without the line.
#[must_use]
pub fn hosts(config: &Config) -> Vec<Finding> {
    let Some(open) = &config.upstream else { return Vec::new() };
    let routes = Routes::new(config.rooms.iter().map(|room| room.claim.clone()).collect());
    let leads_around = |room: &&RoomConfig| {
        let is_same_site = room.upstream.addresses.iter().any(|address| open.addresses.contains(address));
        let mut paths = room.claim.paths.iter().map(PathPattern::path);
        let is_open = |path| routes.find("any.invalid", path, &Method::GET, &HeaderMap::new()) == Route::Open;
        is_same_site && !room.claim.hosts.contains(&HostPattern::Any) && paths.any(is_open)
    };
    let warning = |room: &RoomConfig| {
        Finding::warning(
            &format!("hosts of room {}", room.rules.name),
            "whoever names another host comes to the same site without the line",
            "A visitor chooses the `Host`. Leave `hosts` out, take the top-level `upstream` away, or let the site refuse hosts that are not its own.",
        )
    };
    config.rooms.iter().filter(leads_around).map(warning).collect()
}

/// Judges what a room is told to do, at `now_ms`.
#[must_use]
pub fn room(room: &RoomConfig, now_ms: u64) -> Vec<Finding> {
    let name = room.rules.name.as_str();
    let what = format!("room {name}");
    let mut findings = Vec::new();
    let queues = matches!(room.rules.method, QueueingMethod::Fifo | QueueingMethod::Draw);
    let rate = room.limits.admissions_per_second();
    if queues && rate.is_none() && room.limits.total_active_users.is_none() {
        let remedy = "Set `admissions_per_second` or `total_active_users`: without either nobody ever waits.";
        findings.push(Finding::warning(&what, "nothing limits how many are let in", remedy));
    }
    if queues && (rate == Some(0.0) || room.limits.total_active_users == Some(0)) {
        findings.push(Finding::warning(&what, "its limit is 0", "Nobody is let in until you raise it on the console."));
    }
    if room.limits.schedule.ends_ms.is_some_and(|ends_ms| ends_ms <= now_ms) {
        findings.push(Finding::bad(&what, "its sale is over", "Correct `ends_at`, in the file or on the console."));
    }
    if queues && room.limits.grace_ms > TICKET_KEPT_MS {
        let remedy =
            "Set `grace` to 12h or less: a ticket is good for half a day after its holder was last here, or longer.";
        findings.push(Finding::warning(&what, "places are kept for longer than tickets", remedy));
    }
    if room.rules.method == QueueingMethod::Draw && room.limits.schedule.starts_ms.is_none_or(|at| at <= now_ms) {
        let remedy = "Set `starts_at`: nobody is drawn who comes after it.";
        findings.push(Finding::warning(&what, "its draw is not ahead", remedy));
    }
    if findings.is_empty() {
        findings.push(Finding::good(&what, limits_text(&room.limits)));
    }
    findings
}

fn limits_text(limits: &Limits) -> String {
    let rate = limits.admissions_per_second().map_or("any number".to_owned(), |rate| format!("{rate}"));
    let inside = limits.total_active_users.map_or("any number".to_owned(), |most| most.to_string());
    format!("{rate} a second, {inside} inside, {} s each", limits.session_duration_s)
}

#[cfg(test)]
mod tests;
