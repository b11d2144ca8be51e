//! Peers who take nothing, or say nothing, for too long: their connection is cut, and what it holds is free then.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::clock::rough_ms;

/// A reader who takes nothing for this long is cut.
pub const READER_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream that breaks when its peer takes nothing for [`READER_TIMEOUT`]. Who takes what there is costs no timer.
#[derive(Debug)]
pub struct Patient<S = TcpStream> {
    stream: S,
    /// Runs while something waits to be taken.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// Watches over a stream.
    pub const fn new(stream: S) -> Self {
        Self { stream, stalled: None }
    }

    /// Lets go of the stream.
    pub fn into_inner(self) -> S {
        self.stream
    }

    fn judge<T>(&mut self, taken: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.judge_within(READER_TIMEOUT, taken, cx)
    }

    fn judge_within<T>(
        &mut self,
        patience: Duration,
        taken: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if taken.is_ready() {
            self.stalled = None;
            return taken;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(taken, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(taken, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A limit of time that each request puts off. That costs a rough look at a clock: the timer is set anew only when it runs
/// out before its time.
#[derive(Debug)]
pub struct Limit {
    timer: Pin<Box<Sleep>>,
    /// When it is over, by the rough clock.
    until_ms: u64,
}

impl Limit {
    /// Makes one that is over.
    #[must_use]
    pub fn over() -> Self {
        Self { timer: Box::pin(sleep(Duration::ZERO)), until_ms: 0 }
    }

    /// Puts its end off until `limit` from now. It is never brought forward.
    pub fn put_off(&mut self, limit: Duration) {
        let until_ms = rough_ms().saturating_add(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        self.until_ms = self.until_ms.max(until_ms);
    }

    /// Waits until it is over.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let left_ms = self.until_ms.saturating_sub(rough_ms());
            if left_ms == 0 {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(Instant::now() + Duration::from_millis(left_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_reader_who_takes_nothing_is_cut_and_one_who_takes_a_little_is_not() {
        let mut patient = Patient::new(());
        let nothing = || Poll::<io::Result<usize>>::Pending;
        let mut wait = poll_fn(|cx| patient.judge_within(READER_TIMEOUT, nothing(), cx));
        assert!((&mut wait).now_or_never().is_none() && (&mut wait).now_or_never().is_none());
        let taken = poll_fn(|cx| patient.judge_within(READER_TIMEOUT, Poll::Ready(Ok(1)), cx)).await;
        assert!(taken.is_ok() && patient.stalled.is_none(), "the time begins anew");
        let cut = poll_fn(|cx| patient.judge_within(Duration::from_millis(1), nothing(), cx)).await;
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_limit_that_is_put_off_is_over_only_then() {
        let (mut limit, began) = (Limit::over(), Instant::now());
        poll_fn(|cx| limit.poll_over(cx)).await;
        limit.put_off(Duration::from_millis(40));
        assert!(poll_fn(|cx| Poll::Ready(limit.poll_over(cx))).await.is_pending(), "its timer runs");
        limit.put_off(Duration::from_millis(120));
        poll_fn(|cx| limit.poll_over(cx)).await;
        // The rough clock may be 10 ms behind.
        assert!(began.elapsed() >= Duration::from_millis(105), "the timer ran out before");
    }
}
