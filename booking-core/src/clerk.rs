//! The clerk: decisions on holds and payments that come while the last commit is in flight go together in the next one.
//!
//! It is to paying what the teller is to holding. A payment is written down in three steps, and a crowd that pays makes
//! each of them at the same time; one commit, one sync and one change of the row's counts then serve all of them. There
//! is no timer: who comes alone is served at once, alone. Each database has a line of its own for each commit it gets on
//! with at once, so none waits for another. What is about one payment stands in one line. What cannot share a commit is
//! asked by itself, apart, and keeps nobody waiting. As at the teller, a line's task runs where its database is spoken to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};
use vestibule_telemetry::together;

use crate::domain::order::Stop;
use crate::domain::placement::ShardNumber;
use crate::line::{Full, Line, Room};
use crate::metrics::Metrics;
use crate::store::{Decide, Outcome, Question, Store, StoreError, Subject, Transacted};
use crate::telemetry;

/// Decisions in one commit, at most.
const BATCH: usize = 256;
/// Decisions that may wait for one database, and of them about one payment or hold: its answer, its news and some more.
const ROOM: Room = Room { for_all: 20_000, for_one_name: 32 };
/// Connections at most that those who are asked by themselves have at once; the others are left to everybody else.
const APART: usize = 8;

/// Says why a decision was not answered.
#[derive(Clone, Debug, Error)]
pub enum ClerkError {
    /// Too many wait already. Nothing happened; come back later.
    #[error("too many decisions wait")]
    Busy,
    /// The database failed. What was decided is not known; asking again tells.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The process is ending, or the commit was lost to a bug.
    #[error("the clerk has closed")]
    Closed,
}

impl From<Full> for ClerkError {
    fn from(_: Full) -> Self {
        Self::Busy
    }
}

/// Has decisions written down.
pub struct Clerk {
    office: Arc<Office>,
}

struct Caller {
    question: Question,
    answer: oneshot::Sender<Transacted>,
    /// Of the request that waits.
    span: Span,
}

/// Names one line: which database's, and which of them.
type Place = (Option<ShardNumber>, u8);

/// Who waits in one line.
type Callers = Line<Subject, Caller>;

/// What the tasks of the busy databases share.
struct Office {
    store: Arc<dyn Store>,
    metrics: Metrics,
    tasks: TaskTracker,
    /// Who waits, in each busy line. A line is in the map exactly while its task runs.
    waiting: Mutex<HashMap<Place, Callers>>,
    /// Bounds those who are asked by themselves.
    apart: Arc<Semaphore>,
}

impl Clerk {
    /// Opens an office at a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Metrics) -> Self {
        let apart = Arc::new(Semaphore::new(APART));
        let office = Office { store, metrics, tasks: TaskTracker::new(), waiting: Mutex::default(), apart };
        Self { office: Arc::new(office) }
    }

    /// Has the store decide, as by [`Store::transact`].
    ///
    /// It is done even if the caller no longer waits.
    ///
    /// # Errors
    /// [`ClerkError`]; the inner error is the decision's own refusal.
    pub async fn transact(&self, subject: Subject, decide: Decide) -> Result<Result<Outcome, Stop>, ClerkError> {
        let (answer, answered) = oneshot::channel();
        self.stand_in_line(Caller { question: Question { subject, decide }, answer, span: Span::current() })?;
        answered.await.map_err(|_| ClerkError::Closed)?.map_err(ClerkError::from)
    }

    fn stand_in_line(&self, caller: Caller) -> Result<(), Full> {
        let subject = caller.question.subject;
        let store = &self.office.store;
        let place = (store.place_of(subject), line_of(subject, store.writers(subject)));
        match self.office.waiting().entry(place) {
            Entry::Occupied(mut line) => line.get_mut().join(subject, caller, ROOM)?,
            Entry::Vacant(line) => {
                line.insert(Line::of(subject, caller));
                let (office, home) = (Arc::clone(&self.office), store.home(place.0));
                let work = async move { office.work(place).await };
                match home {
                    Some(home) => self.office.tasks.spawn_on(work, &home),
                    None => self.office.tasks.spawn(work),
                };
            }
        }
        Ok(())
    }

    /// Waits until everybody has been answered. Call it when nobody asks any more.
    pub async fn close(&self) {
        self.office.tasks.close();
        self.office.tasks.wait().await;
    }
}

impl Office {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Place, Callers>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self: &Arc<Self>, place: Place) {
        let _swept_if_it_panics = Sweep { office: self, place };
        while let Some(batch) = self.next_batch(place) {
            self.serve(batch).await;
        }
    }

    /// Calls the next ones. When nobody waits the line leaves the map, under the same lock under which newcomers
    /// look, so none can be left behind.
    fn next_batch(&self, place: Place) -> Option<Vec<Caller>> {
        let mut waiting = self.waiting();
        let batch = waiting.get_mut(&place)?.call(BATCH);
        if batch.is_empty() {
            waiting.remove(&place);
            return None;
        }
        Some(batch)
    }

    async fn serve(self: &Arc<Self>, batch: Vec<Caller>) {
        self.metrics.decision_batch_size.observe(batch.len() as f64);
        let waiting = batch.iter().map(|caller| &caller.span);
        let span = together(waiting, |first| telemetry::commit(first, "decide", batch.len()));
        let (questions, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|caller| (caller.question, (caller.answer, caller.span))).unzip();
        let together = self.store.transact_together(&questions).instrument(span).await;
        assert_eq!(together.len(), answers.len(), "an answer for each question");
        for ((question, (answer, span)), transacted) in questions.into_iter().zip(answers).zip(together) {
            match transacted {
                Some(transacted) => drop(answer.send(transacted)),
                None => self.serve_apart(Caller { question, answer, span }),
            }
        }
    }

    fn serve_apart(self: &Arc<Self>, caller: Caller) {
        let office = Arc::clone(self);
        self.tasks.spawn(async move {
            let Ok(_place) = office.apart.acquire().await else { return };
            let Question { subject, decide } = caller.question;
            let transacted = office.store.transact(subject, decide).instrument(caller.span).await;
            let _caller_may_have_left = caller.answer.send(transacted);
        });
    }
}

/// Chooses a line: everything about one payment goes to the same, and so does everything about a hold without one. An id
/// is as good as random, its last byte too.
fn line_of(subject: Subject, lines: u8) -> u8 {
    let of_payment = subject.payment().map(|payment| payment.as_bytes()[15]);
    of_payment.or_else(|| subject.hold().map(|hold| hold.as_bytes()[15])).unwrap_or_default() % lines
}

/// Lets everybody go who waits in a line whose task ended in a bug, so that the next one starts afresh.
struct Sweep<'a> {
    office: &'a Office,
    place: Place,
}

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.office.waiting().remove(&self.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hold::HoldId;
    use crate::domain::payment::PaymentId;

    #[test]
    fn what_is_about_one_payment_stands_in_one_line() {
        let mut used = [0; 2];
        for number in 0..=u8::MAX {
            let (hold, payment) = (HoldId::from_bytes([number / 2; 16]), PaymentId::from_bytes([number; 16]));
            let line = line_of(Subject::Payment(payment), 2);
            assert_eq!(line_of(Subject::Opening(hold, payment), 2), line);
            assert_eq!(line_of(Subject::Payment(payment), 1), 0);
            used[usize::from(line)] += 1;
        }
        assert_eq!(used, [128, 128]);
    }
}
