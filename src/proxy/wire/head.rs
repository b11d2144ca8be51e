//! The head of an answer.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use httparse::{Header, ParserConfig, Status};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};

use super::{Framing, WireFault};

/// An answer of more headers is not read, as with hyper.
const HEADERS_CAP: usize = 100;

/// Nor is one with a longer head.
const HEAD_CAP_BYTES: usize = 400 << 10;

/// There is room for so many headers more, which the gateway writes into most answers: the request's id, and who may keep them.
const WRITTEN: usize = 2;

/// Takes the head of an answer to a request of some method from what was heard, and says whether the connection may stay
/// when it is over; `None` where it is not all there.
///
/// # Errors
/// A [`WireFault`] where it is no head, or does not say clearly where the body ends.
pub fn take(heard: &mut BytesMut, method: &Method) -> Result<Option<(Response<Framing>, bool)>, WireFault> {
    let mut space = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_CAP];
    let mut head = httparse::Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut head, heard, &mut space)?;
    let Status::Complete(bytes) = parsed else {
        return if heard.len() > HEAD_CAP_BYTES { Err(WireFault::TooLong) } else { Ok(None) };
    };
    let status = head.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(WireFault::BadHead)?;
    let is_old = head.version != Some(1);
    let start = heard.as_ptr().addr();
    let (mut said, mut lines) = (Said::default(), Vec::with_capacity(head.headers.len()));
    for line in head.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| WireFault::BadHead)?;
        if said.is_all_of(&name, line.value) {
            continue;
        }
        let at = line.value.as_ptr().addr() - start;
        lines.push((name, at..at + line.value.len()));
    }
    let (framing, may_stay) = framing(method, status, is_old, &said)?;
    let says_both = said.says_both();
    let text = heard.split_to(bytes).freeze();
    let mut headers = HeaderMap::with_capacity(lines.len() + WRITTEN);
    for (name, at) in lines {
        headers.append(name, HeaderValue::from_maybe_shared(text.slice(at)).map_err(|_| WireFault::BadHead)?);
    }
    if says_both {
        headers.remove(header::CONTENT_LENGTH);
    }
    let mut answer = Response::new(framing);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(Some((answer, may_stay)))
}

/// Finds out where the body ends (RFC 9112, section 6.3), and whether the connection may stay.
fn framing(method: &Method, status: StatusCode, is_old: bool, said: &Said<'_>) -> Result<(Framing, bool), WireFault> {
    let may_stay = !said.closes && (!is_old || said.stays);
    let switches = status == StatusCode::SWITCHING_PROTOCOLS;
    let has_none = status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if has_none || *method == Method::HEAD {
        return Ok((Framing::over(), may_stay && !switches));
    }
    match (said.is_chunked, said.length) {
        (Some(false), _) | (None, Length::Unclear) => Err(WireFault::Unclear),
        (Some(true), _) if is_old => Err(WireFault::Unclear),
        // Whoever says both may mean either: what comes after is not to be trusted.
        (Some(true), length) => Ok((Framing::chunked(), may_stay && matches!(length, Length::Unsaid))),
        (None, Length::Bytes(bytes)) => Ok((Framing::sized(bytes), may_stay)),
        (None, Length::Unsaid) => Ok((Framing::until_end(), false)),
    }
}

/// What the head of an answer says of the connection and of the body's end.
#[derive(Default)]
struct Said<'a> {
    closes: bool,
    stays: bool,
    /// Whether that is the one coding, where there is any.
    is_chunked: Option<bool>,
    length: Length,
    last_length: Option<&'a [u8]>,
}

/// How long a body is, as headers have it.
#[derive(Clone, Copy, Default)]
enum Length {
    #[default]
    Unsaid,
    Bytes(u64),
    /// No number, or two that are not written alike.
    Unclear,
}

impl<'a> Said<'a> {
    /// Notes what a line says; true where that is all there is to it, so that it need not be kept.
    fn is_all_of(&mut self, name: &HeaderName, value: &'a [u8]) -> bool {
        match *name {
            header::CONNECTION => {
                let mut names_others = false;
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    let (closes, stays) =
                        (token.eq_ignore_ascii_case(b"close"), token.eq_ignore_ascii_case(b"keep-alive"));
                    (self.closes, self.stays) = (self.closes | closes, self.stays | stays);
                    names_others |= !closes && !stays;
                }
                !names_others
            }
            header::TRANSFER_ENCODING => {
                let is_chunked = value.eq_ignore_ascii_case(b"chunked");
                self.is_chunked = Some(is_chunked && self.is_chunked.is_none());
                true
            }
            header::CONTENT_LENGTH => {
                self.length = match (number(value), self.last_length.replace(value)) {
                    (Some(bytes), None) => Length::Bytes(bytes),
                    (Some(_), Some(before)) if before == value => self.length,
                    _ => Length::Unclear,
                };
                false
            }
            _ => false,
        }
    }

    fn says_both(&self) -> bool {
        self.is_chunked.is_some() && !matches!(self.length, Length::Unsaid)
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(digits).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(method: Method, text: &str) -> String {
        let mut heard = BytesMut::from(text);
        match take(&mut heard, &method) {
            Ok(Some((answer, may_stay))) => {
                format!("{} {:?} {may_stay} {}", answer.status().as_str(), answer.body(), heard.len())
            }
            Ok(None) => "more".to_owned(),
            Err(fault) => format!("{fault:?}"),
        }
    }

    #[test]
    fn what_it_says_of_the_hop_alone_is_not_kept() {
        let text = "HTTP/1.1 200 OK\r\nConnection: Keep-Alive\r\nA: b\r\nConnection: close, a\r\n\
            Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n";
        let (answer, _) = take(&mut BytesMut::from(text), &Method::GET).unwrap().unwrap();
        let lines: Vec<_> =
            answer.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(lines, [("a", "b"), ("connection", "close, a")]);
        let (answer, _) = take(&mut BytesMut::from(text), &Method::HEAD).unwrap().unwrap();
        assert_eq!(answer.headers().get("content-length"), None, "nor does it for an answer that would have a body");
    }

    #[test]
    fn an_answer_says_where_it_ends() {
        let cases = [
            ("200 OK\r\nContent-Length: 3\r\n\r\nabc", "200 Framing(Sized(3)) true 3"),
            ("200 OK\r\nContent-Length: 0\r\n\r\n", "200 Framing(Nothing) true 0"),
            ("200 OK\r\nContent-Length: 3\r\nConnection: x, Close\r\n\r\n", "200 Framing(Sized(3)) false 0"),
            ("200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", "200 Framing(Sized(3)) true 0"),
            ("200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", "200 Framing(Chunk) true 0"),
            ("200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "200 Framing(Chunk) false 0"),
            ("200 OK\r\n\r\n", "200 Framing(UntilEnd) false 0"),
            ("204 No Content\r\nContent-Length: 3\r\n\r\n", "204 Framing(Nothing) true 0"),
            ("304 Not Modified\r\nContent-Length: 3\r\n\r\n", "304 Framing(Nothing) true 0"),
            ("101 Switching Protocols\r\n\r\n", "101 Framing(Nothing) false 0"),
            ("200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", "Unclear"),
            ("200 OK\r\nContent-Length: 3\r\nContent-Length: 03\r\n\r\n", "Unclear"),
            ("200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n", "Unclear"),
            ("200 OK\r\nContent-Length: 4\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", "Unclear"),
            ("200 OK\r\nContent-Length: +3\r\n\r\n", "Unclear"),
            ("200 OK\r\nContent-Length:\r\n\r\n", "Unclear"),
            ("200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "Unclear"),
            ("200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "Unclear"),
            ("200 OK\r\nContent-Length: 3\r\n", "more"),
            ("099 Odd\r\n\r\n", "BadHead"),
        ];
        for (text, expected) in cases {
            assert_eq!(taken(Method::GET, &format!("HTTP/1.1 {text}")), expected, "{text:?}");
        }
        assert_eq!(taken(Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"), "200 Framing(Nothing) true 0");
        let old = |more: &str| taken(Method::GET, &format!("HTTP/1.0 200 OK\r\n{more}\r\n"));
        assert_eq!(old("Content-Length: 3\r\n"), "200 Framing(Sized(3)) false 0");
        assert_eq!(old("Content-Length: 3\r\nConnection: keep-alive\r\n"), "200 Framing(Sized(3)) true 0");
        assert_eq!(old("Content-Length: 3\r\nConnection: keep-alive, close\r\n"), "200 Framing(Sized(3)) false 0");
        assert_eq!(old("Transfer-Encoding: chunked\r\n"), "Unclear");
        assert_eq!(taken(Method::GET, &format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_CAP_BYTES))), "TooLong");
        assert!(taken(Method::GET, &format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(101))).starts_with("Head("));
    }
}
