//! Asks each address now and then whether it is well, whether or not visitors come.

use std::sync::Arc;
use std::time::Duration;

use hyper::{Request, Version, header};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::address::UpstreamAddress;
use super::dress::Dress;
use super::fleet::{Backend, Fleet};
use super::request_body::RequestBody;
use super::way::Sender;

/// How addresses are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRules {
    /// What is asked for; a status below 400 is well.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// So many bad answers in a row make it ill ...
    pub ill_after: u32,
    /// ... and so many good ones well again.
    pub well_after: u32,
}

/// Asks all addresses of a fleet until `stop`.
pub async fn keep_checking(fleet: Arc<Fleet>, rules: CheckRules, stop: CancellationToken) {
    let mut checks = JoinSet::new();
    for i in 0..fleet.backends().len() {
        let (fleet, rules, stop) = (Arc::clone(&fleet), rules.clone(), stop.clone());
        checks.spawn(async move { stop.run_until_cancelled(keep_asking(&fleet.backends()[i], &rules)).await });
    }
    checks.join_all().await;
}

async fn keep_asking(backend: &Backend, rules: &CheckRules) {
    let mut beat = interval(rules.interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut verdict = Verdict { is_well: true, against: 0 };
    loop {
        beat.tick().await;
        let answered = matches!(timeout(rules.timeout, ask(backend, rules)).await, Ok(Some(true)));
        verdict.hear(answered, rules);
        if backend.set_well(verdict.is_well) {
            let upstream = &backend.way.address;
            match verdict.is_well {
                true => tracing::info!(%upstream, "is well again, as its checks say"),
                false => tracing::warn!(%upstream, "is ill, as its checks say; it gets no requests"),
            }
        }
    }
}

/// What has been made of the answers so far.
struct Verdict {
    is_well: bool,
    /// The answers in a row that speak against it.
    against: u32,
}

impl Verdict {
    fn hear(&mut self, answered: bool, rules: &CheckRules) {
        let enough = if self.is_well { rules.ill_after } else { rules.well_after };
        self.against = if answered == self.is_well { 0 } else { self.against + 1 };
        if self.against >= enough {
            (self.is_well, self.against) = (answered, 0);
        }
    }
}

/// Asks once, over a connection of its own; returns whether the answer is good.
async fn ask(backend: &Backend, rules: &CheckRules) -> Option<bool> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let _end = stop.clone().drop_guard();
    let mut fresh = backend.way.connect(false, (), (&tasks, &stop)).await.ok()?;
    let mut request = question(&backend.way.address, &rules.path)?;
    let dress = match fresh.sender {
        Sender::Http1(_) => Dress::Http1,
        Sender::Http2(_) => Dress::Http2(backend.way.address.scheme()),
    };
    dress.put_on(&mut request);
    let answer = fresh.sender.try_send(request).await.ok()?;
    Some(answer.status().as_u16() < 400)
}

fn question(address: &UpstreamAddress, path: &str) -> Option<Request<RequestBody>> {
    let question = Request::get(path).version(Version::HTTP_11).header(header::HOST, address.authority());
    question.header(header::USER_AGENT, "vestibule-check").body(RequestBody::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_several_answers_to_change_the_verdict() {
        let rules = CheckRules {
            path: "/".to_owned(),
            interval: Duration::ZERO,
            timeout: Duration::ZERO,
            ill_after: 3,
            well_after: 2,
        };
        let mut verdict = Verdict { is_well: true, against: 0 };
        let mut hear = |answers: &[bool]| {
            answers
                .iter()
                .map(|answered| {
                    verdict.hear(*answered, &rules);
                    verdict.is_well
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(hear(&[false, false, true, false, false]), [true; 5]);
        assert_eq!(hear(&[false, true, false, true]), [false; 4]);
        assert_eq!(hear(&[true, false]), [true, true]);
    }
}
