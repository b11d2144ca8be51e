//! One attempt to have an answer, over a connection that is there.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::{Method, Request, Response};
use tokio::time::{Instant, sleep};

use super::errand::{copy_head, is_safe};
use super::{Carrier, Coming, Connection, Errand, Lease, Message, Pool};
use crate::proxy::ProxyFault;
use crate::proxy::dress::{self, Dress};
use crate::proxy::request_body::{Progress, RequestBody, Upload};
use crate::proxy::way::Sender;
use crate::proxy::wire::{Unanswered, Wire};

/// What comes back when there is no answer: the fault, and the request if it was not written.
type Unsent = TrySendError<Request<RequestBody>>;

impl Pool {
    /// Sends the message of an errand over what carries it. Where nothing can have happened, the errand has it back.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        carrier: Carrier,
        errand: &mut Errand,
    ) -> Result<(Lease, Response<Coming>), ProxyFault> {
        match carrier {
            Carrier::Wire(wire) => self.attempt_by_wire(wire, errand).await,
            Carrier::Hyper(connection) => {
                // In a box, for it takes twice the space of the other, and all who forward would have that.
                Box::pin(self.attempt_by_hyper(connection, errand)).await
            }
        }
    }

    async fn attempt_by_wire(
        self: &Arc<Self>,
        mut wire: Box<Wire>,
        errand: &mut Errand,
    ) -> Result<(Lease, Response<Coming>), ProxyFault> {
        let Some(Message::Text(text)) = &errand.message else { unreachable!("a text goes by wire, and nothing else") };
        let may_be_lost = wire.is_reused() && is_safe(text.method()) && !text.has_body();
        let answer = wire.exchange(text, self.limits.header_timeout).await;
        let nothing_happened = may_be_lost && matches!(answer, Err(Unanswered::Silent(_))) && !self.stop.is_cancelled();
        errand.message.take_if(|_| !nothing_happened);
        match answer {
            Ok(answer) => Ok((Lease::new(Carrier::Wire(wire), self, None), answer.map(Coming::Wire))),
            Err(Unanswered::TooLate) => Err(ProxyFault::HeaderTimeout),
            Err(Unanswered::Silent(fault)) => Err(ProxyFault::NoAnswer(fault.into())),
            Err(Unanswered::Bad(fault)) => Err(ProxyFault::BadAnswer(fault.into())),
        }
    }

    async fn attempt_by_hyper(
        self: &Arc<Self>,
        mut connection: Box<Connection>,
        errand: &mut Errand,
    ) -> Result<(Lease, Response<Coming>), ProxyFault> {
        let Some(Message::Request(mut request)) = errand.message.take() else { unreachable!("no text goes by hyper") };
        let dressed = match connection.sender {
            Sender::Http1(_) => Dress::Http1,
            Sender::Http2(_) => Dress::Http2(self.way.address.scheme()),
        };
        dressed.put_on(&mut request);
        let may_be_lost = connection.reused || dressed != Dress::Http1;
        let spare = (may_be_lost && request.body().is_end_stream()).then(|| copy_head(&request));
        let heard_bytes = connection.heard.bytes();
        let mut failed = match self.answer(&mut connection, request, errand.upload.as_ref()).await? {
            Ok(answer) => {
                let lease = Lease::new(Carrier::Hyper(connection), self, errand.upload.take());
                return Ok((lease, answer.map(Coming::Hyper)));
            }
            Err(failed) => failed,
        };
        if let Some(fault) = errand.upload.as_ref().and_then(|upload| upload.fault()) {
            return Err(fault);
        }
        let (unsent, error) = (failed.take_message(), failed.into_error());
        let silent = connection.heard.bytes() == heard_bytes;
        let is_lost = silent && connection.reused && dressed == Dress::Http1;
        let nothing_happened = |method: &Method| dress::was_refused_unseen(&error) || (is_lost && is_safe(method));
        let spare = spare.filter(|spare| nothing_happened(spare.method()));
        errand.message = unsent.map(Box::new).or(spare).map(Message::Request);
        Err(fault_of(error, silent))
    }

    /// Waits for the head of an answer, for as long as the upstream may think; longer where the visitor still sends.
    async fn answer(
        &self,
        connection: &mut Connection,
        request: Box<Request<RequestBody>>,
        upload: Option<&Arc<Upload>>,
    ) -> Result<Result<Response<Incoming>, Box<Unsent>>, ProxyFault> {
        let limit = self.limits.header_timeout;
        let patience = connection.patience.get_or_insert_with(|| Box::pin(sleep(limit)));
        let mut answer = pin!(connection.sender.try_send(*request));
        let mut progress = Progress::default();
        loop {
            patience.as_mut().reset(Instant::now() + limit);
            let outcome = poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome.map_err(Box::new))),
                Poll::Pending => patience.as_mut().poll(cx).map(|()| None),
            });
            match (outcome.await, upload) {
                (Some(outcome), _) => return Ok(outcome),
                (None, Some(upload)) => upload.judge_wait(&mut progress)?,
                (None, None) => return Err(ProxyFault::HeaderTimeout),
            }
        }
    }
}

fn fault_of(error: hyper::Error, silent: bool) -> ProxyFault {
    if silent { ProxyFault::NoAnswer(error.into()) } else { ProxyFault::BadAnswer(error.into()) }
}
