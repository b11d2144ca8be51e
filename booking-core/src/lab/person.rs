//! One of the two people of a race: a task with a connection of its own, which goes on when it is clicked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::asking::Asking;
use super::board::{Board, Order, Standing};
use super::step::Step;
use super::way::{Buyer, Ending, Next};
use crate::clock::Clock;

/// How long a person waits for a click, with a transaction open or not, in seconds.
pub const PATIENCE_S: u64 = 120;

/// How far one goes at a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One statement.
    Step,
    /// All that are left.
    Whole,
}

/// A click, and who wants to know when it is done.
pub(super) struct Click {
    pub(super) pace: Pace,
    pub(super) done: oneshot::Sender<()>,
}

/// Is one of the two.
pub(super) struct Person {
    /// 0 or 1.
    pub(super) number: usize,
    pub(super) buyer: Buyer,
    pub(super) asking: Asking,
    pub(super) board: Arc<Mutex<Board>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Where a buyer stands before the first click, or between two.
pub(super) fn standing(buyer: &Buyer, asking: &Asking, person: usize) -> Standing {
    match buyer.next() {
        Next::Over(ending) => Standing::Over { ending },
        Next::Do(step) => {
            let next = Order { step: step.name(), text: asking.order(step, person as u32 + 1) };
            Standing::Ready { next, inside: buyer.inside() }
        }
    }
}

impl Person {
    /// Goes on click by click until the end, until nobody clicks any more, or until the race is closed. What is still
    /// open is rolled back then, with the connection.
    pub(super) async fn live(mut self, mut clicks: mpsc::Receiver<Click>, closed: CancellationToken) {
        let lived = closed.run_until_cancelled(self.follow(&mut clicks)).await;
        if lived.is_none() {
            self.board().people[self.number] = Standing::Over { ending: Ending::Left };
        }
    }

    async fn follow(&mut self, clicks: &mut mpsc::Receiver<Click>) {
        while let Next::Do(step) = self.buyer.next() {
            let clicked = tokio::time::timeout(Duration::from_secs(PATIENCE_S), clicks.recv()).await;
            let Ok(Some(click)) = clicked else {
                self.board().people[self.number] = Standing::Over { ending: Ending::Left };
                return;
            };
            self.take(step).await;
            while click.pace == Pace::Whole
                && let Next::Do(step) = self.buyer.next()
            {
                self.take(step).await;
            }
            let _who_clicked_may_have_left = click.done.send(());
        }
    }

    async fn take(&mut self, step: Step) {
        let person = self.number as u32 + 1;
        let text = self.asking.order(step, person);
        let sent = self.clock.stopwatch();
        let line = self.board().sent(self.number, step, text, self.buyer.inside(), sent);
        let answer = self.asking.ask(step, person).await;
        let now = self.clock.stopwatch();
        self.buyer.hear(&answer.heard);
        let standing = standing(&self.buyer, &self.asking, self.number);
        let mut board = self.board();
        board.said(line, answer.words, now);
        board.retries[self.number] = self.buyer.retries();
        board.people[self.number] = standing;
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
