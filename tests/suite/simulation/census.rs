//! What the runs have reached, and how often: a simulation that never comes to a state says nothing of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// How often each thing happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census(BTreeMap<Cow<'static, str>, u64>);

impl Census {
    pub fn count(&mut self, what: impl Into<Cow<'static, str>>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    pub fn count_if(&mut self, happened: bool, what: &'static str) {
        if happened {
            self.count(what);
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what.clone()).or_default() += count;
        }
    }

    /// Names what was expected and never came about.
    pub fn missing(&self) -> Vec<&'static str> {
        EXPECTED
            .iter()
            .flat_map(|(_, names)| names.iter())
            .copied()
            .filter(|name| !self.0.contains_key(*name))
            .collect()
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, names) in EXPECTED {
            let counts = names.iter().map(|name| format!("{name} {}", self.0.get(*name).copied().unwrap_or(0)));
            writeln!(f, "{kind}: {}", counts.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

/// What every long enough series of runs has to reach.
const EXPECTED: [(&str, &[&str]); 8] = [
    (
        "faults",
        &[
            "GatewayCrashes",
            "AllGatewaysCrash",
            "GatewayPauses",
            "GatewayIsCutOff",
            "GatewayClockJumps",
            "StoreIsAway",
            "StoreHangs",
            "StoreFailsOver",
            "StoreLosesAll",
            "EverythingIsLost",
            "StoreClockSteps",
            "StoreClockJumps",
            "KeysAreRotated",
            "UpstreamFails",
        ],
    ),
    (
        "calls",
        &[
            "request lost",
            "request late",
            "request refused",
            "request hung",
            "tick cut",
            "answer lost",
            "answer slow",
            "answer too late",
        ],
    ),
    (
        "verbs",
        &[
            "join",
            "claim",
            "claim refused",
            "nobody joins a lost room",
            "page of entries",
            "page with a roll",
            "page of one who is behind",
            "tick in parts",
            "configured",
            "steered",
            "restore",
        ],
    ),
    (
        "losses",
        &[
            "begins an epoch",
            "merges",
            "gives way",
            "adds nothing",
            "loss before the last was healed",
            "gateway gone before the store was healed",
            "lost room configured",
            "lost room steered",
            "returned",
            "forgotten lapsed",
        ],
    ),
    (
        "line",
        &[
            "called",
            "called by hand",
            "left",
            "lapsed",
            "reset",
            "session ended",
            "session renewed",
            "in after the first end",
            "came to a pace",
        ],
    ),
    (
        "draws",
        &[
            "promised",
            "left while entries are taken",
            "closed",
            "draw asked for",
            "drawn",
            "drawn among nobody",
            "drawn a second time",
            "called by lot",
            "told its place",
            "left while lots are drawn",
            "loss while entries are taken",
            "loss while lots are drawn",
            "loss after a draw",
            "server gone while lots were drawn",
        ],
    ),
    (
        "gate",
        &[
            "admitted",
            "entered",
            "may join",
            "rejected",
            "waits",
            "waits unseen",
            "waits unheard",
            "waits with a ticket of a lost line",
        ],
    ),
    (
        "let in",
        &["Faithful", "Live", "Cloner", "Dozer", "Sleeper", "Reenterer", "Forger", "Returner", "left to come again"],
    ),
];
