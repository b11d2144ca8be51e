//! Whose turn it is on the streams of an HTTP/2 connection: one that waits for its reader too long is cut.
//!
//! A connection of HTTP/1.1 shows this by itself, as its only answer cannot be written. In HTTP/2 a reader may keep the
//! connection lively and one answer waiting for ever, with the upstream's connection behind it.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::proxy::{BoxError, ResponseBody};

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on.
    GoesOn,
    /// Nothing has been asked for long: it is told to end.
    Idle,
    /// A reader has taken nothing for too long.
    Stalled,
}

/// The streams of one connection. Time is counted in beats, which its owner makes.
#[derive(Debug, Default)]
pub(super) struct Turns {
    beats: AtomicU64,
    busy_at: AtomicU64,
    open: Mutex<Vec<Weak<Turn>>>,
}

/// The beat at which the reader's turn began, and one; 0 while it is ours.
#[derive(Debug, Default)]
pub(super) struct Turn(AtomicU64);

/// An answer's body that notes whose turn it is.
#[derive(Debug)]
pub(super) struct InTurn {
    body: ResponseBody,
    turns: Arc<Turns>,
    turn: Arc<Turn>,
}

impl Turns {
    /// Begins a request; it is under way for as long as the turn lives.
    pub(super) fn begin(&self) -> Arc<Turn> {
        let turn = Arc::<Turn>::default();
        self.lock().push(Arc::downgrade(&turn));
        turn
    }

    /// Lets a beat pass and judges, by how many beats a reader may rest and a connection be idle.
    pub(super) fn beat(&self, reader_beats: u64, idle_beats: u64) -> Verdict {
        let now = self.beats.fetch_add(1, Relaxed) + 1;
        let mut open = self.lock();
        open.retain(|turn| turn.strong_count() > 0);
        if !open.is_empty() {
            self.busy_at.store(now, Relaxed);
        }
        let rests = |turn: Arc<Turn>| turn.0.load(Relaxed).checked_sub(1).is_some_and(|at| now - at > reader_beats);
        if open.iter().filter_map(Weak::upgrade).any(rests) {
            return Verdict::Stalled;
        }
        if now - self.busy_at.load(Relaxed) > idle_beats { Verdict::Idle } else { Verdict::GoesOn }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Turn>>> {
        // A panic cannot leave the list half changed, so that a poisoned one is still sound.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InTurn {
    pub(super) const fn new(body: ResponseBody, turns: Arc<Turns>, turn: Arc<Turn>) -> Self {
        Self { body, turns, turn }
    }
}

impl Body for InTurn {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let is_readers = matches!(polled, Poll::Ready(Some(_)));
        let turn = if is_readers { self.turns.beats.load(Relaxed) + 1 } else { 0 };
        self.turn.0.store(turn, Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(body: &mut InTurn) -> bool {
        Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn a_reader_who_takes_nothing_is_seen() {
        let turns = Arc::<Turns>::default();
        let mut body = InTurn::new(ResponseBody::full("x"), Arc::clone(&turns), turns.begin());
        assert_eq!([(); 9].map(|()| turns.beat(2, 4)), [Verdict::GoesOn; 9], "the upstream may take its time");
        assert!(poll(&mut body));
        assert_eq!([(); 3].map(|()| turns.beat(2, 4)), [Verdict::GoesOn, Verdict::GoesOn, Verdict::Stalled]);
        assert!(poll(&mut body), "the end was taken");
        assert_eq!(turns.beat(2, 4), Verdict::GoesOn);
        drop(body);
        let idle = [(); 5].map(|()| turns.beat(2, 4));
        assert_eq!(idle, [Verdict::GoesOn, Verdict::GoesOn, Verdict::GoesOn, Verdict::GoesOn, Verdict::Idle]);
        let _turn = turns.begin();
        assert_eq!(turns.beat(2, 4), Verdict::GoesOn);
    }
}
