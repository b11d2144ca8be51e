//! What a crowd is answered most: statuses and waiting pages. Such an answer is put together when it is sent, behind a head of
//! which all but a line was written before; whoever needs it as an answer like others has it made into one.

use std::sync::LazyLock;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};

use super::written::{Head, Rest, Written};
use super::{Answer, HTML, JSON, head, packed};
use crate::proxy::ResponseBody;
use crate::status::Status;
use crate::waiting::{Coding, WaitingPage};

/// What a line says besides a policy, and all of the other line.
const POLICY_BYTES: usize = "content-security-policy: \r\n".len();
const RETRY_BYTES: usize = "retry-after: 3600\r\n".len();

/// An answer that is not written yet.
#[derive(Debug)]
pub struct Draft {
    status: StatusCode,
    what: What,
}

#[derive(Debug)]
enum What {
    Status { json: Vec<u8>, retry_after_s: Option<u64> },
    Page { page: WaitingPage, coding: Coding },
}

/// The part of a head that is the same whoever is answered.
struct Common {
    headers: HeaderMap,
    lines: Vec<u8>,
}

static OF_STATUS: LazyLock<Common> = LazyLock::new(|| Common::of(head(StatusCode::OK, JSON)));
static OF_PAGE: LazyLock<Common> = LazyLock::new(|| Common::of(head(StatusCode::OK, HTML)));
static OF_PACKED_PAGE: LazyLock<Common> = LazyLock::new(|| Common::of(packed(head(StatusCode::OK, HTML))));

impl Common {
    fn of(head: Response<()>) -> Self {
        let (headers, mut written) = (head.into_parts().0.headers, Head::default());
        headers.iter().for_each(|(name, value)| written.put(name, value.as_bytes()));
        Self { headers, lines: written.into_text() }
    }
}

impl Draft {
    /// Tells a program where its visitor stands.
    pub(super) fn status(status: StatusCode, told: &Status, retry_after_s: Option<u64>) -> Self {
        Self { status, what: What::Status { json: told.json(), retry_after_s } }
    }

    /// Shows a visitor the waiting page.
    pub(super) const fn page(status: StatusCode, page: WaitingPage, coding: Coding) -> Self {
        Self { status, what: What::Page { page, coding } }
    }

    /// Returns its status code.
    #[must_use]
    pub const fn code(&self) -> StatusCode {
        self.status
    }

    fn common(&self) -> &'static Common {
        match &self.what {
            What::Status { .. } => &OF_STATUS,
            What::Page { coding: Coding::Identity, .. } => &OF_PAGE,
            What::Page { coding: Coding::Gzip, .. } => &OF_PACKED_PAGE,
        }
    }

    /// Has the header told that is this answer's own.
    fn own<A>(&self, tell: impl FnOnce(HeaderName, &[u8]) -> A) -> Option<A> {
        match &self.what {
            What::Status { retry_after_s: None, .. } => None,
            What::Status { retry_after_s: Some(seconds), .. } => {
                Some(tell(header::RETRY_AFTER, itoa::Buffer::new().format(*seconds).as_bytes()))
            }
            What::Page { page, .. } => Some(tell(header::CONTENT_SECURITY_POLICY, page.policy().as_bytes())),
        }
    }

    /// Makes an answer of it that is like others.
    #[must_use]
    pub fn answer(self) -> Answer {
        let mut headers = self.common().headers.clone();
        let own = self.own(|name, value| HeaderValue::from_bytes(value).map(|value| (name, value)));
        headers.extend(own.and_then(Result::ok));
        let body = match self.what {
            What::Status { json, .. } => ResponseBody::full(json),
            What::Page { page, .. } => ResponseBody::full(page.into_bytes()),
        };
        let mut answer = Response::new(body);
        (*answer.status_mut(), *answer.headers_mut()) = (self.status, headers);
        answer
    }

    /// Writes it as it is sent, with the date of now.
    #[must_use]
    pub fn written(self) -> Written {
        let more = match &self.what {
            What::Status { json, .. } => json.len() + RETRY_BYTES,
            What::Page { page, .. } => page.policy().len() + POLICY_BYTES,
        };
        let mut head = Head::of(self.status, &self.common().lines, more);
        self.own(|name, value| head.put(&name, value));
        match self.what {
            What::Status { json, .. } => head.with_short(&json),
            What::Page { page, .. } => head.with(Rest::Page(page)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::written::written;
    use super::*;
    use crate::waiting::{Language, Pages, Theme, sample};

    #[test]
    fn what_is_written_is_what_the_answer_says() {
        let pages = Pages::new([("sale", "Sale", &Theme::default())]);
        let told = sample("waiting", "sale", 0).unwrap();
        let page = |coding| Draft::page(StatusCode::OK, pages.waiting(&told, "", Language::En, coding), coding);
        let makers: [&dyn Fn() -> Draft; 4] = [
            &|| Draft::status(StatusCode::OK, &told, None),
            &|| Draft::status(StatusCode::TOO_MANY_REQUESTS, &told, Some(7)),
            &|| page(Coding::Identity),
            &|| page(Coding::Gzip),
        ];
        // The second of the date may change between the two.
        let undated = |written: Written| {
            let text = String::from_utf8_lossy(&written.text()).into_owned();
            let (before, after) = text.split_once("\r\ndate: ").unwrap();
            (before.to_owned(), after.split_once("\r\n").unwrap().1.to_owned())
        };
        for make in makers {
            let (drafted, answer) = (make(), make().answer());
            assert_eq!(drafted.code(), answer.status());
            let expected = written(&answer, answer.body().at_hand().unwrap()).unwrap();
            assert_eq!(undated(drafted.written()), undated(expected));
        }
        let headers = makers.map(|make| make().answer().into_parts().0.headers);
        assert_eq!(headers[1][header::RETRY_AFTER], "7");
        assert!(!headers[0].contains_key(header::RETRY_AFTER) && !headers[2].contains_key(header::CONTENT_ENCODING));
        assert_eq!(headers[3][header::CONTENT_ENCODING], "gzip");
    }
}
