//! Refusals to programs that say the same every time, made once: a flood is answered with them.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::Response;

use super::{Answer, Refused, refuse_program};
use crate::line::StoreFault;
use crate::proxy::ResponseBody;
use crate::room::JoinFault;

static STORE_DOWN: JoinFault = JoinFault::Store(StoreFault::NotMade);

/// The refusals that depend on nothing else.
static FIXED: [Refused<'static>; 8] = [
    Refused::SoldOut,
    Refused::Full,
    Refused::TooManyJoins,
    Refused::Join(&JoinFault::Overloaded),
    Refused::Join(&STORE_DOWN),
    Refused::Closed,
    Refused::Draining,
    Refused::NoPass,
];

static READY: LazyLock<[Response<Bytes>; FIXED.len()]> = LazyLock::new(|| FIXED.each_ref().map(refuse_program));

/// Returns the answer to a program, if it is one of those.
pub(super) fn answer(refused: &Refused<'_>) -> Option<Answer> {
    let place = match refused {
        Refused::SoldOut => 0,
        Refused::Full => 1,
        Refused::TooManyJoins => 2,
        Refused::Join(JoinFault::Store(_)) => 4,
        Refused::Join(_) => 3,
        Refused::Closed => 5,
        Refused::Draining => 6,
        Refused::NoPass => 7,
        _ => return None,
    };
    Some(READY[place].clone().map(ResponseBody::full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_is_what_would_be_made() {
        for refused in &FIXED {
            let (ready, made) = (answer(refused).unwrap(), refuse_program(refused));
            assert_eq!((ready.status(), ready.headers()), (made.status(), made.headers()), "{refused:?}");
            assert_eq!(format!("{:?}", ready.body()), format!("{:?}", ResponseBody::full(made.into_body())));
        }
    }
}
