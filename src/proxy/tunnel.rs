//! A WebSocket, or rather the bytes of one, between visitor and upstream.
//!
//! Nothing of the visitor's crosses before the upstream has said 101: until then its bytes are HTTP, and what
//! it sends too early is read as its next request, which has to pass the gate like any other.

use std::future::pending;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outgoing::Stay;
use super::watched::{Heard, Watched};

/// How often it is looked whether a visitor may still go on: the stay may end before its time.
const LOOK: Duration = Duration::from_secs(1);

/// Both ends of a conversation that is about to begin.
pub(super) struct Tunnel {
    /// The visitor's side, open once our own 101 is written.
    pub(super) down: OnUpgrade,
    /// The upstream's side.
    pub(super) up: OnUpgrade,
    /// Counts this tunnel for as long as it lives.
    pub(super) slot: OwnedSemaphorePermit,
    /// For how long its visitor may go on, where that is bounded.
    pub(super) stay: Option<Stay>,
    /// The longest silence of both sides together.
    pub(super) idle_limit: Duration,
}

impl Tunnel {
    /// Carries bytes both ways until a side closes, both are silent for too long, the visitor's stay is over, or `stop` is
    /// cancelled.
    pub(super) fn spawn(mut self, tasks: &TaskTracker, stop: CancellationToken) {
        let stay = self.stay.take();
        tasks.spawn(async move {
            tokio::select! {
                () = self.carry() => {}
                () = is_over(stay) => {}
                () = stop.cancelled() => {}
            }
        });
    }

    async fn carry(self) {
        let Self { down, up, slot: _slot, idle_limit, .. } = self;
        let both = async { tokio::try_join!(down, up) };
        // An end that vanished during the handshake ends the tunnel, as any close does.
        let Ok(Ok((down, up))) = timeout(idle_limit, both).await else {
            return;
        };
        let heard = Heard::default();
        let mut down = Watched::new(TokioIo::new(down), heard.clone());
        let mut up = Watched::new(TokioIo::new(up), heard.clone());
        let mut copy = std::pin::pin!(copy_bidirectional(&mut down, &mut up));
        let mut before_bytes = heard.bytes();
        while timeout(idle_limit, &mut copy).await.is_err() {
            let now_bytes = heard.bytes();
            if now_bytes == before_bytes {
                return;
            }
            before_bytes = now_bytes;
        }
    }
}

/// Ends when a stay is over; never where there is none.
async fn is_over(stay: Option<Stay>) {
    let Some(stay) = stay else { return pending().await };
    while let Some(left) = stay() {
        sleep(left.min(LOOK)).await;
    }
}
