//! Where traces of requests go, and which.

use std::time::Duration;

use super::file::Section;
use crate::telemetry::{Endpoint, Share, TraceRules};

/// From when on a request is slow, unless it is set.
const USUAL_SLOW: Duration = Duration::from_millis(500);

/// Reads the table; without an `endpoint` there are no traces.
pub(super) fn traces(root: &mut Section<'_>) -> Option<TraceRules> {
    let mut table = root.section("traces")?;
    let endpoint = table.parsed::<Endpoint>("endpoint");
    let share = table.number("sample_ratio", 0.0..=1.0);
    let slow = table.duration("slow");
    if endpoint.is_none() && (share.is_some() || slow.is_some()) {
        table.missing("endpoint", "the collector that takes the traces, such as http://127.0.0.1:4318");
    }
    root.close(table);
    let sample_ratio = share.map_or(Ok(Share::ONE_IN_A_HUNDRED), Share::of).ok()?;
    Some(TraceRules { endpoint: endpoint?, sample_ratio, slow: slow.unwrap_or(USUAL_SLOW) })
}
