//! A request as the text that is sent, all of it: for an upstream that is spoken to in HTTP/1.1 and in the clear.

use std::ops::Range;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};

use super::VisitorBody;
use super::headers::{self, Passage};
use super::lines::{Lines, ends_line, put_line, put_name};
use super::target::Target;
use super::trace::{self, Sampling};

/// A head is rarely longer.
const HEAD_EXPECTED_BYTES: usize = 768;

/// A request that can be sent in one piece, more than once if need be.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    method: Method,
    has_body: bool,
    /// Where it tells of the trace.
    trace: Range<usize>,
}

impl Text {
    /// Writes a visitor's request, whose `body` is all there, as the upstream may see it.
    pub(super) fn of(
        request: &Request<VisitorBody>,
        body: &[u8],
        target: &Target,
        passage: &Passage<'_>,
        sampling: Sampling,
    ) -> Self {
        let (method, told) = (request.method(), request.headers());
        let mut writing = Writing { bytes: Vec::with_capacity(HEAD_EXPECTED_BYTES + body.len()), has_length: false };
        writing.put(&[method.as_str().as_bytes(), b" ", target.path_and_query().as_bytes(), b" HTTP/1.1\r\n"]);
        headers::pass_up(told, target, passage, false, &mut writing);
        let before = writing.bytes.len();
        trace::keep_or_begin(told, sampling, rand::random, &mut writing);
        let trace = before..writing.bytes.len();
        writing.end(body);
        Self { bytes: writing.bytes, method: method.clone(), has_body: !body.is_empty(), trace }
    }

    /// Tells of another trace.
    pub(super) fn retell(&mut self, trace: &HeaderMap) {
        let mut lines = Writing { bytes: Vec::new(), has_length: false };
        trace.iter().for_each(|(name, value)| lines.copy(name, value));
        let end = self.trace.start + lines.bytes.len();
        self.bytes.splice(self.trace.clone(), lines.bytes);
        self.trace.end = end;
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn method(&self) -> &Method {
        &self.method
    }

    pub(super) const fn has_body(&self) -> bool {
        self.has_body
    }
}

/// What is written so far.
struct Writing {
    bytes: Vec<u8>,
    /// Whether the visitor has said how long the body is, if only that there is none.
    has_length: bool,
}

impl Writing {
    fn put(&mut self, pieces: &[&[u8]]) {
        pieces.iter().for_each(|piece| self.bytes.extend_from_slice(piece));
    }

    fn end(&mut self, body: &[u8]) {
        if self.has_length || !body.is_empty() {
            put_line(&mut self.bytes, "content-length", itoa::Buffer::new().format(body.len()).as_bytes());
        }
        self.put(&[b"\r\n", body]);
    }
}

impl Lines for Writing {
    fn copy(&mut self, name: &HeaderName, value: &HeaderValue) {
        if *name == header::CONTENT_LENGTH {
            self.has_length = true;
        } else {
            put_line(&mut self.bytes, name.as_str(), value.as_bytes());
        }
    }

    fn write(&mut self, name: &HeaderName, pieces: &[&[u8]]) {
        if *name == header::TE {
            // What is said of one hop only has to be named so (RFC 9110, section 10.1.4).
            put_line(&mut self.bytes, "connection", b"te");
        }
        debug_assert!(pieces.iter().all(|piece| !ends_line(piece)), "{name}");
        put_name(&mut self.bytes, name.as_str());
        self.put(pieces);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::proxy::ChainHeader;
    use crate::proxy::headers::tests::passage;

    const VOUCHED: &str = "x-forwarded-for: 192.0.2.7\r\nforwarded: for=192.0.2.7;proto=https;host=h\r\nx-real-ip: 192.0.2.7\r\n\
        x-forwarded-proto: https\r\nx-forwarded-host: h\r\nx-request-id: 0000000000000000000000000000001d\r\n";

    fn text(request: hyper::http::request::Builder, body: &'static [u8]) -> Text {
        let request = request.header("host", "h").body(VisitorBody::AtHand(body.into())).unwrap();
        let target = Target::parse(&request, "https").unwrap();
        let passage = Passage { room: "", visitor: None, pass: None, ..passage() };
        Text::of(&request, body, &target, &passage, None)
    }

    fn says(text: &Text, expected: &str) {
        assert_eq!(String::from_utf8_lossy(text.as_bytes()), expected.replace("VOUCHED\r\n", VOUCHED));
    }

    #[test]
    fn a_request_is_written_with_the_length_of_its_body() {
        let asked = || Request::post("//a?b").header("content-length", "7").header("te", "trailers, x");
        let line = "POST /a?b HTTP/1.1\r\nhost: h\r\nconnection: te\r\nte: trailers\r\nVOUCHED\r\n";
        says(&text(asked(), b"abc"), &format!("{line}content-length: 3\r\n\r\nabc"));
        says(&text(asked(), b""), &format!("{line}content-length: 0\r\n\r\n"));
        says(&text(Request::options("*"), b""), "OPTIONS * HTTP/1.1\r\nhost: h\r\nVOUCHED\r\n\r\n");
    }

    #[test]
    fn it_can_tell_of_one_trace_after_the_other() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let told = Request::put("/").header("traceparent", parent).header("tracestate", "a=b").header("a", "b");
        let mut text = text(told, b"body");
        let expected = |trace: &str| {
            format!("PUT / HTTP/1.1\r\nhost: h\r\na: b\r\nVOUCHED\r\n{trace}content-length: 4\r\n\r\nbody")
        };
        says(&text, &expected(&format!("traceparent: {parent}\r\ntracestate: a=b\r\n")));
        for trace in ["traceparent: 00-x\r\n", "traceparent: 00-longer\r\ntracestate: c=d\r\n", ""] {
            let lines = trace.lines().filter_map(|line| line.split_once(": "));
            let lines = lines.map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()), value.parse()));
            text.retell(&lines.map(|(name, value)| (name.unwrap(), value.unwrap())).collect());
            says(&text, &expected(trace));
        }
    }

    const NAMES: [&str; 20] = [
        "accept",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "forwarded",
        "host",
        "keep-alive",
        "te",
        "traceparent",
        "tracestate",
        "trailer",
        "vestibule-pass",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-own",
        "x-real-ip",
        "x-request-id",
        "x_own",
    ];

    const VALUES: [&str; 14] = [
        "",
        "a=1; vestibule-pass-r=x; b=2",
        "vestibule-ticket=y",
        "c",
        "keep-alive, x-own, te",
        "trailers, deflate",
        "grpc-status, host",
        "203.0.113.1, [2001:db8::1]:80, x",
        "for=203.0.113.1;proto=http, for=\"[2001:db8::7]\"",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0",
        "h.example",
        "\t x",
        "\u{e9}",
    ];

    /// Reads a text as an upstream does: its headers, sorted, and what comes after them.
    fn read(text: &[u8]) -> (Vec<(String, Vec<u8>)>, &[u8]) {
        let mut lines = [httparse::EMPTY_HEADER; 100];
        let mut head = httparse::Request::new(&mut lines);
        let end = head.parse(text).unwrap().unwrap();
        let mut lines: Vec<_> = head.headers.iter().map(|line| (line.name.to_owned(), line.value.to_vec())).collect();
        lines.sort();
        (lines, &text[end..])
    }

    proptest! {
        /// An upstream is told the same whichever way a request goes up.
        #[test]
        fn a_text_says_what_a_map_says(
            lines in vec((select(&NAMES[..]), select(&VALUES[..])), 0..12),
            (peer, peer_is_trusted) in (select(&["192.0.2.7", "2001:db8::9"][..]), any::<bool>()),
            chain in select(&[ChainHeader::XForwardedFor, ChainHeader::Forwarded][..]),
            (visitor, pass) in (select(&[None, Some("00ff"), Some("a\r\nb: c")][..]), select(&[None, Some("a.b.c")][..])),
            body in select(&["", "GET / HTTP/1.1\r\n\r\n"][..]),
        ) {
            let asked = Request::post("/a").header("host", "h:81").body(VisitorBody::AtHand(body.into())).unwrap();
            let target = Target::parse(&asked, "http").unwrap();
            let mut request = asked;
            for (name, value) in lines {
                request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let peer = peer.parse().unwrap();
            let passage = Passage { visitor, pass, peer, peer_is_trusted, chain, ..passage() };
            headers::drop_nominated(request.headers_mut());
            let mut map = HeaderMap::new();
            headers::pass_up(request.headers(), &target, &passage, false, &mut map);
            trace::keep_or_begin(request.headers(), None, rand::random, &mut map);
            let says_length = map.remove("content-length").is_some() || !body.is_empty();
            if says_length {
                map.insert("content-length", body.len().into());
            }
            if map.contains_key("te") {
                map.insert("connection", HeaderValue::from_static("te"));
            }
            let mut expected: Vec<_> =
                map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().trim_ascii().to_vec())).collect();
            expected.sort();
            let text = Text::of(&request, body.as_bytes(), &target, &passage, None);
            prop_assert_eq!(read(text.as_bytes()), (expected, body.as_bytes()));
        }
    }
}
