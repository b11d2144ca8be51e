//! What is counted with nearly every request, resolved once for each room: no request looks for a label.

use prometheus::{Histogram, IntCounter};

use super::Metrics;

/// The classes of status codes, as labels.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counts of one room that requests and live connections add to.
#[derive(Clone, Debug)]
pub struct RoomCounts {
    /// Answers "sold out" from memory.
    pub sold_out_responses: IntCounter,
    /// Frames sent over live connections.
    pub live_frames: IntCounter,
    /// Seconds until the upstream's answer began.
    pub proxy_duration: Histogram,
    by_class: [IntCounter; CLASSES.len()],
}

impl RoomCounts {
    /// Counts a request that was forwarded, by the status code of its answer.
    pub fn forwarded(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, CLASSES.len());
        self.by_class[class - 1].inc();
    }
}

impl Metrics {
    /// Finds the counts of a room.
    #[must_use]
    pub fn of_room(&self, room: &str) -> RoomCounts {
        RoomCounts {
            sold_out_responses: self.sold_out_responses.with_label_values(&[room]),
            live_frames: self.live_frames.with_label_values(&[room]),
            proxy_duration: self.proxy_duration.with_label_values(&[room]),
            by_class: CLASSES.map(|class| self.proxy_requests.with_label_values(&[room, class])),
        }
    }
}
