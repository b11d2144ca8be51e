//! Where traces of requests go, and which.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vestibule_telemetry::{Endpoint, Share, TraceRules};

/// Says where traces go, and which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceTable {
    /// The collector; without one there are no traces.
    pub endpoint: Option<Endpoint>,
    /// The share of all requests that is kept, whatever becomes of them, where nobody has decided before.
    pub sample_ratio: Share,
    /// A request that takes longer than this is kept, in milliseconds.
    pub slow_ms: u64,
}

impl Default for TraceTable {
    fn default() -> Self {
        Self { endpoint: None, sample_ratio: Share::ONE_IN_A_HUNDRED, slow_ms: 500 }
    }
}

impl TraceTable {
    /// Returns the rules, if there are to be traces.
    #[must_use]
    pub fn rules(&self) -> Option<TraceRules> {
        let slow = Duration::from_millis(self.slow_ms);
        Some(TraceRules { endpoint: self.endpoint.clone()?, sample_ratio: self.sample_ratio, slow })
    }
}
