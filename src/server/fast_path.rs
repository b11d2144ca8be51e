//! The fast path of HTTP/1.1: plain requests that are answered from memory, or by an upstream in few words, without hyper. In
//! a rush that is nearly everybody.
//!
//! It takes what is [`plain`], and writes answers that are all there. With anything else hyper goes on, which reads again
//! what was read and is handed the answer that is under way: nothing is asked twice. Then the connection stays with hyper.

pub mod plain;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::task::{coop, yield_now};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::io::poll_read_buf;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::connection::{Caller, HEADER_TIMEOUT};
use crate::clock::rough_ms;
use crate::pipeline::Handling;
use crate::respond::{self, Written};
use crate::resumed::Resumed;

/// As much is read at once.
const READ_BYTES: usize = 8 << 10;

/// Whoever sends many requests at once has so many answered before the others have a turn.
const TURN: usize = 16;

/// What hyper goes on with.
pub(super) struct Rest<S> {
    pub(super) stream: Resumed<S>,
    /// The answer to the first request, where that has been asked already.
    pub(super) first: Option<Handling>,
}

/// Serves plain requests as long as there are only such: `None` when the connection is over.
pub(super) async fn serve<S>(mut stream: S, caller: &Caller, soft: &CancellationToken) -> Option<Rest<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut read, stop, timer) = (BytesMut::new(), pin!(soft.cancelled()), pin!(sleep(HEADER_TIMEOUT)));
    let mut silence = Silence { soft, stop, timer, is_asked: false, since_ms: rough_ms() };
    while silence.ends(&mut stream, &mut read).await {
        let (mut heard, mut answers) = (read.split().freeze(), 0);
        while !heard.is_empty() {
            let Some(plain) = plain::take(&mut heard) else { return Some(Rest::new(&[&heard], stream, None)) };
            let handling = silence.until_heard(caller.handle(plain.request), &mut stream, &mut read).await;
            let out = if caller.is_to_leave() { Err(Box::new(handling)) } else { written(handling) };
            let out = match out {
                Ok(out) => out,
                Err(handling) => return Some(Rest::new(&[&plain.bytes, &heard, &read], stream, Some(*handling))),
            };
            drop(plain.bytes);
            out.send(&mut stream).await.ok()?;
            answers += 1;
            if answers % TURN == 0 {
                yield_now().await;
            }
        }
    }
    // Whoever has gone, or was silent for too long, needs no more than that.
    let _ = stream.shutdown().await;
    None
}

/// Writes an answer that is all there; any other is given back, in a box, for it is rare and large.
fn written(handling: Handling) -> Result<Written, Box<Handling>> {
    match handling {
        Handling::Ready(ready) => Ok(ready.written()),
        Handling::Draft(draft) => Ok(draft.written()),
        Handling::AtOnce(ref answer) => {
            let written = answer.body().at_hand().and_then(|body| respond::written(answer, body));
            written.ok_or_else(|| Box::new(handling))
        }
        Handling::Later(_) => Err(Box::new(handling)),
    }
}

impl<S> Rest<S> {
    fn new(before: &[&[u8]], stream: S, first: Option<Handling>) -> Self {
        Self { stream: Resumed::new(Bytes::from(before.concat()), stream), first }
    }
}

/// How long a visitor may say nothing, and that the gateway may stop meanwhile.
///
/// Both wake the connection's task, whose waker is always the same: so the stop is asked for that once, and the timer
/// whenever it has run out, and else they are only looked at. To ask anew with every request would cost as much as to read it.
struct Silence<'a, 'b> {
    soft: &'b CancellationToken,
    stop: Pin<&'a mut WaitForCancellationFuture<'b>>,
    timer: Pin<&'a mut Sleep>,
    is_asked: bool,
    /// By the rough clock.
    since_ms: u64,
}

impl Silence<'_, '_> {
    /// Reads what the visitor says next; false where that is nothing, or nothing in time.
    async fn ends<S: AsyncRead + Unpin>(&mut self, stream: &mut S, read: &mut BytesMut) -> bool {
        self.since_ms = rough_ms();
        read.reserve(READ_BYTES);
        let heard = poll_fn(|cx| match poll_read_buf(Pin::new(&mut *stream), cx, read) {
            Poll::Pending if self.is_over(cx) => Poll::Ready(Ok(0)),
            polled => polled,
        });
        heard.await.is_ok_and(|bytes| bytes > 0)
    }

    /// Waits for an answer as long as the visitor neither goes away nor says anything more, and the gateway does not stop.
    async fn until_heard<S: AsyncRead + Unpin>(
        &mut self,
        mut handling: Handling,
        stream: &mut S,
        read: &mut BytesMut,
    ) -> Handling {
        if let Handling::Later(later) = &mut handling {
            let answered = poll_fn(|cx| match later.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if self.stops(cx) => Poll::Ready(None),
                Poll::Pending => poll_read_buf(Pin::new(&mut *stream), cx, read).map(|_: io::Result<usize>| None),
            });
            if let Some(answer) = answered.await {
                return answer.into();
            }
        }
        handling
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let stops = self.stops(cx);
        // Without a budget the task is woken again at once, and would ask in vain: a timer then says nothing and wakes nobody.
        if self.is_asked && self.timer.is_elapsed() && coop::has_budget_remaining() {
            return self.has_run_out(cx) || stops;
        }
        stops
    }

    /// Says whether the gateway stops. The first time it has the task woken when it does, and when the time is over.
    fn stops(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_asked && coop::has_budget_remaining() {
            self.is_asked = true;
            self.has_run_out(cx);
            return self.stop.as_mut().poll(cx).is_ready();
        }
        self.soft.is_cancelled()
    }

    /// Says whether the time is over; if not, has the task woken when it is. The clock decides: a timer that is set to now goes
    /// off a little later.
    fn has_run_out(&mut self, cx: &mut Context<'_>) -> bool {
        let silent = Duration::from_millis(rough_ms().saturating_sub(self.since_ms));
        let left = HEADER_TIMEOUT.saturating_sub(silent);
        self.timer.as_mut().reset(Instant::now() + left);
        left.is_zero() || self.timer.as_mut().poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn whoever_says_nothing_for_too_long_is_let_go() {
        let soft = CancellationToken::new();
        let (stop, timer) = (pin!(soft.cancelled()), pin!(sleep(HEADER_TIMEOUT)));
        let since_ms = rough_ms();
        let mut silence = Silence { soft: &soft, stop, timer, is_asked: false, since_ms };
        let is_over = |silence: &mut Silence<'_, '_>, cx: &mut Context<'_>| match silence.is_over(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        assert!(poll_fn(|cx| Poll::Ready(is_over(&mut silence, cx))).await.is_pending());
        // As if nearly all of the time had gone by, and the timer gone off: it is set to what is left.
        silence.since_ms = since_ms.saturating_sub(HEADER_TIMEOUT.as_millis() as u64 - 60);
        silence.timer.as_mut().reset(Instant::now());
        let mut wakes = 0;
        let over = poll_fn(|cx| {
            wakes += 1;
            is_over(&mut silence, cx)
        });
        assert!(tokio::time::timeout(Duration::from_secs(5), over).await.is_ok());
        assert!(wakes <= 4, "woken {wakes} times");
    }

    #[tokio::test]
    async fn whoever_is_silent_after_much_is_asked_for_as_well() {
        let (soft, (mut near, mut far)) = (CancellationToken::new(), tokio::io::duplex(1 << 10));
        let (stop, timer) = (pin!(soft.cancelled()), pin!(sleep(HEADER_TIMEOUT)));
        let mut silence = Silence { soft: &soft, stop, timer, is_asked: false, since_ms: rough_ms() };
        far.write_all(&[0; 1 << 10]).await.unwrap();
        poll_fn(|_| {
            while coop::has_budget_remaining() {
                assert!(near.read_u8().now_or_never().is_some());
            }
            assert!(silence.ends(&mut near, &mut BytesMut::new()).now_or_never().is_none());
            Poll::Ready(())
        })
        .await;
        assert!(!silence.is_asked, "the timer would not have heard");
        yield_now().await;
        let mut all = BytesMut::new();
        while silence.ends(&mut near, &mut all).now_or_never() == Some(true) {}
        assert!(silence.is_asked && !all.is_empty());
        soft.cancel();
        assert!(!silence.ends(&mut near, &mut all).await);
    }
}
