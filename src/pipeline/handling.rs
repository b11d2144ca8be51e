//! How a request goes on: most are answered at once, some wait for the store or the upstream.

use std::pin::Pin;

use tracing::{Instrument as _, Span};

use super::renewing::{Renewal, with_renewal};
use crate::respond::{Answer, Draft, Ready};
use crate::telemetry;

/// An answer, at once or later. What waits is in a box, so that nobody who is answered at once pays for its size: in a
/// rush that is nearly everybody.
pub enum Handling {
    /// Here it is, as it was made before.
    Ready(&'static Ready),
    /// Here it is, to be written.
    Draft(Draft),
    /// Here it is.
    AtOnce(Answer),
    /// It takes its time.
    Later(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl From<Answer> for Handling {
    fn from(answer: Answer) -> Self {
        Self::AtOnce(answer)
    }
}

impl From<Draft> for Handling {
    fn from(draft: Draft) -> Self {
        Self::Draft(draft)
    }
}

impl Handling {
    /// Waits for the answer, if it is not there.
    pub async fn answer(self) -> Answer {
        match self {
            Self::Ready(ready) => ready.answer(),
            Self::Draft(draft) => draft.answer(),
            Self::AtOnce(answer) => answer,
            Self::Later(answer) => answer.await,
        }
    }

    /// Adds a renewed ticket to the answer, if there is one.
    pub(super) fn renewing(self, renewal: Option<Renewal>) -> Self {
        match (self, renewal) {
            (handling, None) => handling,
            (Self::Ready(ready), renewal) => Self::AtOnce(with_renewal(ready.answer(), renewal)),
            (Self::Draft(draft), renewal) => Self::AtOnce(with_renewal(draft.answer(), renewal)),
            (Self::AtOnce(answer), renewal) => Self::AtOnce(with_renewal(answer, renewal)),
            (Self::Later(answer), renewal) => Self::Later(Box::pin(async { with_renewal(answer.await, renewal) })),
        }
    }

    /// Tells the span of a request what came of it.
    pub(super) fn traced(self, span: Span) -> Self {
        match self {
            handling if span.is_disabled() => handling,
            Self::Ready(ready) => {
                telemetry::answered(&span, ready.status(), false);
                Self::Ready(ready)
            }
            Self::Draft(draft) => {
                telemetry::answered(&span, draft.code(), false);
                Self::Draft(draft)
            }
            Self::AtOnce(answer) => {
                telemetry::answered(&span, answer.status(), false);
                Self::AtOnce(answer)
            }
            Self::Later(answer) => {
                let telling = span.clone();
                let told = async move {
                    let answer = answer.await;
                    telemetry::answered(&telling, answer.status(), false);
                    answer
                };
                Self::Later(Box::pin(told.instrument(span)))
            }
        }
    }
}
