//! What a visitor keeps of what it was given: cookies, or for a program the headers of the protocol.

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderName, SET_COOKIE};

const COOKIES_MAX: usize = 16;
const TICKET: HeaderName = HeaderName::from_static("vestibule-ticket");
const PASS: HeaderName = HeaderName::from_static("vestibule-pass");

/// Keeps name and value of at most 16 cookies; path, domain and age are the browser's business, except that an age
/// of 0 removes.
#[derive(Clone, Debug, Default)]
pub struct Jar {
    cookies: Vec<(Box<str>, Box<str>)>,
    /// Whether ticket and pass are sent in headers of their own.
    is_app: bool,
}

impl Jar {
    /// Makes the one of a program, which sends ticket and pass in headers.
    #[must_use]
    pub fn of_app() -> Self {
        Self { cookies: Vec::new(), is_app: true }
    }

    /// Takes what an answer sets.
    pub fn take(&mut self, headers: &HeaderMap) {
        headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok()).for_each(|line| self.take_one(line));
        let renewed = headers.get(TICKET).filter(|_| self.is_app).and_then(|ticket| ticket.to_str().ok());
        if let (Some(ticket), Some(room)) = (renewed, self.room().map(str::to_owned)) {
            self.put(&format!("{TICKET}-{room}"), ticket);
        }
    }

    fn take_one(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let Some((name, value)) = pair.trim().split_once('=') else { return };
        if attributes.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0")) {
            self.cookies.retain(|(known, _)| &**known != name);
        } else {
            self.put(name, value);
        }
    }

    fn put(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(known, _)| &**known != name);
        let is_plain = !name.bytes().chain(value.bytes()).any(|byte| byte.is_ascii_control());
        if is_plain && self.cookies.len() < COOKIES_MAX {
            self.cookies.push((name.into(), value.into()));
        }
    }

    /// Keeps the ticket, and the pass if there is one, that a program was given in JSON.
    pub fn put_place(&mut self, room: &str, ticket: &str, pass: Option<&str>) {
        self.put(&format!("{TICKET}-{room}"), ticket);
        pass.iter().for_each(|pass| self.put(&format!("{PASS}-{room}"), pass));
    }

    /// Returns the headers to send.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, String)> {
        let own = |name: &str| match bare(name) {
            name if name.starts_with("vestibule-ticket-") => Some(TICKET),
            name if name.starts_with("vestibule-pass-") => Some(PASS),
            _ => None,
        };
        let in_header = move |name: &str| own(name).filter(|_| self.is_app);
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|(name, _)| in_header(name).is_none())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let headers = self.cookies.iter().filter_map(move |(name, value)| Some((in_header(name)?, value.to_string())));
        headers.chain((!cookies.is_empty()).then(|| (COOKIE, cookies.join("; "))))
    }

    /// Returns the room of the first ticket: the end of its cookie's name.
    #[must_use]
    pub fn room(&self) -> Option<&str> {
        self.cookies.iter().find_map(|(name, _)| bare(name).strip_prefix("vestibule-ticket-"))
    }

    /// Tells whether a pass was given.
    #[must_use]
    pub fn has_pass(&self) -> bool {
        self.cookies.iter().any(|(name, _)| bare(name).starts_with("vestibule-pass"))
    }
}

fn bare(name: &str) -> &str {
    name.trim_start_matches("__Host-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn set(jar: &mut Jar, line: &'static str) {
        jar.take(&HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(line))]));
    }

    fn sent(jar: &Jar) -> Vec<(String, String)> {
        jar.headers().map(|(name, value)| (name.to_string(), value)).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn cookies_are_kept_replaced_and_removed() {
        let mut jar = Jar::default();
        assert_eq!(sent(&jar), []);
        set(&mut jar, "vestibule-ticket-tatkal=one; Path=/; HttpOnly");
        set(&mut jar, "theme=dark");
        set(&mut jar, "vestibule-ticket-tatkal=two; Path=/; Max-Age=60");
        assert_eq!(sent(&jar), [pair("cookie", "theme=dark; vestibule-ticket-tatkal=two")]);
        assert_eq!((jar.room(), jar.has_pass()), (Some("tatkal"), false));
        set(&mut jar, "__Host-vestibule-pass-tatkal=p");
        assert!(jar.has_pass());
        set(&mut jar, "theme=; Max-Age=0");
        assert!(!sent(&jar)[0].1.contains("theme"));
    }

    #[test]
    fn nothing_that_would_end_a_line_is_sent() {
        let mut jar = Jar::of_app();
        jar.put_place("hall", "t\r\nx: y", Some("p"));
        assert_eq!(sent(&jar), [pair("vestibule-pass", "p")]);
    }

    #[test]
    fn a_program_sends_what_it_was_given_in_headers() {
        let mut jar = Jar::of_app();
        jar.put_place("hall", "t1", None);
        set(&mut jar, "vestibule-pass-hall=p1; Path=/");
        set(&mut jar, "theme=dark");
        jar.take(&HeaderMap::from_iter([(TICKET, HeaderValue::from_static("t2"))]));
        let mut headers = sent(&jar);
        headers.sort();
        assert_eq!(
            headers,
            [pair("cookie", "theme=dark"), pair("vestibule-pass", "p1"), pair("vestibule-ticket", "t2")]
        );
    }
}
