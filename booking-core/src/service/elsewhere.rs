//! One key, one order, though there are several databases.
//!
//! A hold lies where its rows lie, so a database does not see that the same key was used for an order in another. Whoever
//! has made a hold therefore asks the others afterwards; if one knows a hold of the same key, the new one is given back and
//! the key refused. To ask *after* the commit is what makes it safe: of two that use one key at the same time, whoever
//! commits last finds the other (both may find each other, and then neither has anything).
//!
//! Those who ask while a question is on its way share the next one, so a hot row costs the others a few reads by key. A
//! database that does not answer is passed over, and asked again behind everybody's back: that nobody can buy anything
//! would be worse than a key that is used twice by mistake.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::Service;
use crate::domain::hold::{Hold, HoldId, HoldState};
use crate::domain::order;
use crate::domain::placement::ShardNumber;
use crate::store::{Made, Store, TakeAnswer};

/// Holds that one question is about, at most.
const BATCH: usize = 1_000;
/// Holds that may wait for the next question; more go unasked.
const ROOM: usize = 20_000;
/// How long a database may take to answer before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks databases about holds. One that is by itself has nobody to ask.
pub(super) struct Elsewhere {
    store: Arc<dyn Store>,
    desks: Arc<[Desk]>,
    tasks: TaskTracker,
}

/// Where questions to one database are gathered.
struct Desk {
    number: ShardNumber,
    /// Who waits for the next question; `None` while no question is on its way.
    waiting: Mutex<Option<Vec<Caller>>>,
    /// Whether it failed to answer, and has not answered since.
    away: AtomicBool,
}

struct Caller {
    hold: HoldId,
    answer: oneshot::Sender<Option<Made>>,
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, Option<Vec<Caller>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next ones out; when there are none, the next caller begins anew.
    fn next(&self) -> Option<Vec<Caller>> {
        let mut waiting = self.waiting();
        let callers = waiting.as_mut().filter(|callers| !callers.is_empty());
        let batch = callers.map(|callers| callers.drain(..callers.len().min(BATCH)).collect());
        if batch.is_none() {
            *waiting = None;
        }
        batch
    }
}

impl Elsewhere {
    pub(super) fn new(store: Arc<dyn Store>, tasks: TaskTracker) -> Self {
        let desk = |number| Desk { number, waiting: Mutex::default(), away: AtomicBool::new(false) };
        let desks = store.databases().iter().map(|&(number, _)| desk(number)).collect();
        Self { store, desks, tasks }
    }

    /// Returns what the database of a desk knows of a hold, if it does; the outer `None` says that this is not known.
    async fn made(&self, desk: usize, hold: HoldId) -> Option<Option<Made>> {
        let answered = self.ask(desk, hold)?;
        let place = &self.desks[desk];
        if place.away.load(Ordering::Relaxed) {
            return None;
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(found)) => Some(found),
            _ => {
                place.away.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    fn ask(&self, desk: usize, hold: HoldId) -> Option<oneshot::Receiver<Option<Made>>> {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.desks[desk].waiting();
        match &mut *waiting {
            Some(callers) if callers.len() >= ROOM => return None,
            Some(callers) => callers.push(Caller { hold, answer }),
            None => {
                *waiting = Some(vec![Caller { hold, answer }]);
                let (store, desks) = (Arc::clone(&self.store), Arc::clone(&self.desks));
                self.tasks.spawn(async move { work(&*store, &desks[desk], desk).await });
            }
        }
        Some(answered)
    }
}

/// Lets everybody go who waits at a desk whose task ended in a bug, so that the next one starts afresh.
struct Sweep<'a>(&'a Desk);

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            *self.0.waiting() = None;
        }
    }
}

async fn work(store: &dyn Store, desk: &Desk, index: usize) {
    let _swept_if_it_panics = Sweep(desk);
    let database = &store.databases()[index].1;
    while let Some(batch) = desk.next() {
        let ids: Vec<HoldId> = batch.iter().map(|caller| caller.hold).collect();
        let found = database.made(&ids).await;
        desk.away.store(found.is_err(), Ordering::Relaxed);
        match found {
            Ok(found) => answer(batch, &found.into_iter().collect()),
            // Whoever waited sees the answer lost.
            Err(error) => tracing::warn!(%error, "whether keys were used in a database is not known"),
        }
    }
}

fn answer(batch: Vec<Caller>, found: &HashMap<HoldId, Made>) {
    for caller in batch {
        let _caller_may_have_left = caller.answer.send(found.get(&caller.hold).copied());
    }
}

impl Service {
    /// Tells whether the key of an answered order belongs to an order in another database; the hold it was answered with
    /// is given back then.
    pub(super) async fn belongs_elsewhere(&self, answer: &TakeAnswer, key: &str) -> bool {
        let (hold, is_new) = match answer {
            TakeAnswer::Granted(hold) => (hold, true),
            TakeAnswer::Replayed(hold) => (hold, false),
            _ => return false,
        };
        let here = ShardNumber::of_hold(hold.id);
        let desks = self.elsewhere.desks.iter().enumerate().filter(|(_, desk)| desk.number != here);
        let asked = desks.map(|(index, desk)| self.elsewhere.made(index, self.ids.hold(key, Some(desk.number))));
        let answers = join_all(asked).await;
        self.parts.metrics.keys_unchecked.inc_by(answers.iter().filter(|answer| answer.is_none()).count() as u64);
        let anothers = |other: Made| is_new || gives_way(hold, other);
        let elsewhere = answers.into_iter().flatten().flatten().any(anothers);
        if elsewhere && hold.state == HoldState::Held {
            self.give_up_hold(hold.id).await;
        }
        elsewhere
    }

    async fn give_up_hold(&self, id: HoldId) {
        let now = self.now();
        if let Err(denied) = self.change_hold(id, Arc::new(move |loaded| order::cancel(loaded, now))).await {
            tracing::warn!(hold = %id, %denied, "a hold under a key of another order is left to lapse");
        }
    }
}

/// Tells whether a hold that was made before leaves its key to one in another database. What is bought keeps it, and what
/// is still promised gives way only to what is too: the clocks of two processes may tell another order of things, and the
/// other one may be just what was given back on that account.
fn gives_way(hold: &Hold, other: Made) -> bool {
    match hold.state {
        HoldState::Paid { .. } | HoldState::Confirmed { .. } => false,
        HoldState::Held => other.at < hold.created_at && !other.is_over,
        HoldState::Expired { .. } | HoldState::Cancelled { .. } => other.at <= hold.created_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::moment::Moment;
    use crate::domain::payment::PaymentId;

    #[test]
    fn what_is_promised_gives_way_only_to_what_is_promised_too() {
        let at = Moment::from_ms;
        let hold = |state| Hold {
            id: HoldId::from_bytes([1; 16]),
            lines: Vec::new(),
            request_hash: [0; 32],
            created_at: at(10),
            expires_at: at(20),
            extensions: 0,
            attempt: None,
            state,
        };
        let (payment, promised) = (PaymentId::from_bytes([2; 16]), hold(HoldState::Held));
        let (bought, over) = (hold(HoldState::Paid { payment, at: at(11) }), hold(HoldState::Cancelled { at: at(11) }));
        for (made_at, is_over, expected) in [
            (9, false, [true, false, true]),
            (9, true, [false, false, true]),
            (10, false, [false, false, true]),
            (11, false, [false; 3]),
        ] {
            let other = Made { at: at(made_at), is_over };
            assert_eq!([&promised, &bought, &over].map(|hold| gives_way(hold, other)), expected, "{other:?}");
        }
    }

    #[test]
    fn a_desk_whose_task_ended_in_a_bug_starts_afresh() {
        let number = ShardNumber::try_from(0).unwrap();
        let desk = Desk { number, waiting: Mutex::new(Some(Vec::new())), away: AtomicBool::new(false) };
        let bug = || {
            let _swept_if_it_panics = Sweep(&desk);
            panic!("a bug");
        };
        assert!(std::thread::scope(|scope| scope.spawn(bug).join()).is_err());
        assert!(desk.waiting().is_none());
    }
}
