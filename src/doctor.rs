//! Looks at what a sale needs, before the sale: store, clocks, keys, files, upstreams, and limits that somebody forgot.
//!
//! [`Doctor::examine`] looks; what it makes of each thing it saw is a pure function in [`judgement`].

pub mod judgement;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use self::judgement::{Files, Reached};
use crate::clock::Clock;
use crate::config::Config;
use crate::line::RoomName;
use crate::line::redis::RedisLine;

/// How long a store or an upstream may take to be reached.
const PATIENCE: Duration = Duration::from_secs(3);

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// It works, and may hurt.
    Warning,
    /// A sale will not go well with it.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, such as `store` or `upstream of sale`.
    pub what: String,
    /// How good it is.
    pub verdict: Verdict,
    /// What was seen.
    pub said: String,
    /// What to do, unless it is good.
    pub remedy: Option<&'static str>,
}

impl Finding {
    fn good(what: &str, said: impl Into<String>) -> Self {
        Self { what: what.to_owned(), verdict: Verdict::Good, said: said.into(), remedy: None }
    }

    fn warning(what: &str, said: impl Into<String>, remedy: &'static str) -> Self {
        Self { what: what.to_owned(), verdict: Verdict::Warning, said: said.into(), remedy: Some(remedy) }
    }

    fn bad(what: &str, said: impl Into<String>, remedy: &'static str) -> Self {
        Self { what: what.to_owned(), verdict: Verdict::Bad, said: said.into(), remedy: Some(remedy) }
    }
}

/// Looks at what a configuration needs.
#[derive(Debug)]
pub struct Doctor {
    config: Config,
    keys: Option<PathBuf>,
    clock: Clock,
}

impl Doctor {
    /// Makes a doctor for this configuration, whose keys are in the file `keys`, if in any.
    #[must_use]
    pub fn new(config: Config, keys: Option<PathBuf>, clock: Clock) -> Self {
        Self { config, keys, clock }
    }

    /// Looks at everything, for a few seconds at the most; what is worst comes first.
    pub async fn examine(&self) -> Vec<Finding> {
        let (store, upstreams) = tokio::join!(self.store(), self.upstreams());
        let mut findings = [store, upstreams].concat();
        findings.extend(self.files());
        findings.push(judgement::open_files(open_files(), self.config.max_connections));
        findings.extend(judgement::listeners(&self.config));
        findings.extend(judgement::hosts(&self.config));
        findings.extend(judgement::environment(&self.config));
        findings.extend(self.config.rooms.iter().flat_map(|room| judgement::room(room, self.clock.now_ms())));
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        findings
    }

    async fn store(&self) -> Vec<Finding> {
        let Some(url) = &self.config.store_url else {
            return vec![judgement::embedded(self.config.data.as_deref())];
        };
        let Some(room) = self.config.rooms.first() else { return Vec::new() };
        match timeout(PATIENCE, self.look(url, &room.rules.name)).await {
            Ok(findings) => findings,
            Err(_) => vec![judgement::silent_store("it did not answer within three seconds")],
        }
    }

    async fn look(&self, url: &str, room: &RoomName) -> Vec<Finding> {
        let seen = async { RedisLine::connect(url, PATIENCE).await?.look(room).await };
        match seen.await {
            Ok(sight) => judgement::store(&sight, self.clock.now_us()),
            Err(fault) => vec![judgement::silent_store(&fault.to_string())],
        }
    }

    /// Connects once to each address of each upstream.
    async fn upstreams(&self) -> Vec<Finding> {
        let mut rooms_of: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for room in &self.config.rooms {
            for address in &room.upstream.addresses {
                rooms_of.entry(address.to_string()).or_default().push(room.rules.name.as_str());
            }
        }
        let look = async |(url, rooms): (String, Vec<&str>)| judgement::upstream(&url, &rooms, reach(&url).await);
        futures_util::future::join_all(rooms_of.into_iter().map(look)).await
    }

    fn files(&self) -> Vec<Finding> {
        let of = |path: &PathBuf| std::fs::metadata(path).map(|found| found.permissions().mode());
        let keys = self.keys.as_ref().map(|path| Files { path, mode: of(path) });
        let data = self.config.data.as_ref().map(|path| Files { path, mode: of(path) });
        [keys.map(judgement::keys), data.map(judgement::data)].into_iter().flatten().collect()
    }
}

async fn reach(url: &str) -> Reached {
    let began = Instant::now();
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(began.elapsed()),
        Ok(Err(fault)) => Err(fault.to_string()),
        Err(_) => Err("nobody answers".to_owned()),
    }
}

/// Returns how many files this process may open, once it has asked for as many as it may.
fn open_files() -> Option<u64> {
    rlimit::Resource::NOFILE.get().ok().map(|(_, hard)| hard)
}
