//! Refusals to programs that say the same every time, made once: a flood is answered with them. Whoever needs one as it is sent
//! finds it written as well.

use std::ops::Range;
use std::sync::LazyLock;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use memchr::memmem;

use super::written::{Rest, Written, written};
use super::{Answer, Reads, Refused, refuse_program};
use crate::clock::http_date;
use crate::line::StoreFault;
use crate::proxy::ResponseBody;
use crate::room::JoinFault;

static STORE_DOWN: JoinFault = JoinFault::Store(StoreFault::NotMade);

/// The refusals that depend on nothing else.
static FIXED: [Refused<'static>; 9] = [
    Refused::SoldOut,
    Refused::Full,
    Refused::TooManyJoins,
    Refused::Join(&JoinFault::Overloaded),
    Refused::Join(&STORE_DOWN),
    Refused::Closed,
    Refused::Draining,
    Refused::NoPass,
    Refused::TooManyPolls,
];

static READY: LazyLock<[Ready; FIXED.len()]> =
    LazyLock::new(|| FIXED.each_ref().map(|why| Ready::of(refuse_program(why))));

/// An answer that says the same every time, but for the date.
#[derive(Debug)]
pub struct Ready {
    answer: Response<Bytes>,
    text: Vec<u8>,
    date: Range<usize>,
}

impl Ready {
    fn of(answer: Response<Bytes>) -> Self {
        let text = written(&answer, answer.body()).expect("it says nothing of the connection").front;
        let from = memmem::find(&text, DATE).expect("it is dated") + DATE.len();
        Self { answer, date: from..from + http_date().len(), text }
    }

    /// Returns it as an answer like others.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.answer.clone().map(ResponseBody::full)
    }

    /// Returns its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.answer.status()
    }

    /// Writes it as it is sent, with the date of now.
    #[must_use]
    pub fn written(&self) -> Written {
        let mut front = self.text.clone();
        front[self.date.clone()].copy_from_slice(&http_date());
        Written { front, rest: Rest::Nothing }
    }
}

/// What stands before the date in a head.
const DATE: &[u8] = b"\r\ndate: ";

/// Returns the refusal to a program, if it is one of those.
#[must_use]
pub fn ready(reads: Reads, refused: &Refused<'_>) -> Option<&'static Ready> {
    let place = match refused {
        Refused::SoldOut => 0,
        Refused::Full => 1,
        Refused::TooManyJoins => 2,
        Refused::Join(JoinFault::Store(_)) => 4,
        Refused::Join(_) => 3,
        Refused::Closed => 5,
        Refused::Draining => 6,
        Refused::NoPass => 7,
        Refused::TooManyPolls => 8,
        _ => return None,
    };
    (reads == Reads::Json).then(|| &READY[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_is_what_would_be_made() {
        for refused in &FIXED {
            let (ready, made) = (ready(Reads::Json, refused).unwrap(), refuse_program(refused));
            let answer = ready.answer();
            assert_eq!((answer.status(), answer.headers()), (made.status(), made.headers()), "{refused:?}");
            assert_eq!(answer.body().at_hand(), Some(made.body()));
            let undated = |text: &[u8]| [&text[..ready.date.start], &text[ready.date.end..]].concat();
            let (told, anew) = (ready.written(), written(&made, made.body()).unwrap());
            assert_eq!(undated(&told.front), undated(&anew.front), "{refused:?}");
            assert!(matches!((told.rest, anew.rest), (Rest::Nothing, Rest::Nothing)));
        }
    }

    #[test]
    fn what_is_ready_is_dated_when_it_is_sent() {
        let mut ready = Ready::of(refuse_program(&Refused::SoldOut));
        ready.text[ready.date.clone()].fill(b'?');
        let date = ready.written().front[ready.date.clone()].to_vec();
        assert!(httpdate::parse_http_date(&String::from_utf8(date).unwrap()).is_ok());
    }
}
