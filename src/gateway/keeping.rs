//! Housekeeping: what is in memory is pruned, what is to be kept is synced, and files that change are read again.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Gateway, Upstreams};
use crate::crawlers::Crawlers;
use crate::metrics::Metrics;
use crate::pipeline::Site;
use crate::tls::Certificate;

impl Gateway {
    pub(super) fn run_keeping(&self, site: Arc<Site>, upstreams: Upstreams, metrics: Metrics) {
        let (embedded, certificates, end) = (self.embedded.clone(), self.certificates.clone(), self.end.clone());
        self.tasks.spawn(async move {
            let mut beat = interval(Duration::from_secs(1));
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while end.run_until_cancelled(beat.tick()).await.is_some() {
                site.join_limit.prune();
                site.poll_limit.prune();
                site.patience_limit.prune();
                upstreams.count(&metrics);
                certificates.all().for_each(|certificate| follow(certificate));
                site.crawlers.iter().for_each(follow_list);
                let Some(embedded) = embedded.clone() else { continue };
                let kept = tokio::task::spawn_blocking(move || embedded.keep()).await;
                if let Ok(Err(fault)) = kept {
                    tracing::error!(%fault, "the line cannot be written to disk; free some space");
                }
            }
        });
    }
}

/// Takes a certificate that was exchanged.
fn follow(certificate: &Certificate) {
    match certificate.follow() {
        Ok(true) => tracing::info!("took the certificate anew"),
        Ok(false) => {}
        Err(fault) => tracing::error!(%fault, "the changed certificate was not taken; the old one goes on"),
    }
}

/// Takes a list of crawlers that was exchanged.
fn follow_list(crawlers: &Crawlers) {
    match crawlers.follow() {
        Ok(true) => tracing::info!("took the lists of crawlers anew"),
        Ok(false) => {}
        Err(fault) => tracing::error!(%fault, "the changed list of crawlers was not taken; the old one goes on"),
    }
}
