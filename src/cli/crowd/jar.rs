//! A visitor's cookies, as far as a crowd needs them.

use hyper::HeaderMap;
use hyper::header::SET_COOKIE;

const COOKIES_MAX: usize = 16;

/// Keeps name and value of at most 16 cookies; path, domain and age are the browser's business, except that an age
/// of 0 removes.
#[derive(Clone, Debug, Default)]
pub struct Jar(Vec<(Box<str>, Box<str>)>);

impl Jar {
    /// Takes what an answer sets.
    pub fn take(&mut self, headers: &HeaderMap) {
        headers.get_all(SET_COOKIE).iter().filter_map(|line| line.to_str().ok()).for_each(|line| self.take_one(line));
    }

    fn take_one(&mut self, line: &str) {
        let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
        let Some((name, value)) = pair.trim().split_once('=') else { return };
        self.0.retain(|(known, _)| &**known != name);
        let removed = attributes.split(';').any(|attribute| attribute.trim().eq_ignore_ascii_case("max-age=0"));
        if !removed && self.0.len() < COOKIES_MAX {
            self.0.push((name.into(), value.into()));
        }
    }

    /// Returns the `Cookie` header, or `None` when there is nothing to send.
    #[must_use]
    pub fn header(&self) -> Option<String> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Returns the room of the first ticket: the end of its cookie's name.
    #[must_use]
    pub fn room(&self) -> Option<&str> {
        self.0.iter().find_map(|(name, _)| name.trim_start_matches("__Host-").strip_prefix("vestibule-ticket-"))
    }

    /// Tells whether a pass was given.
    #[must_use]
    pub fn has_pass(&self) -> bool {
        self.0.iter().any(|(name, _)| name.trim_start_matches("__Host-").starts_with("vestibule-pass"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn set(jar: &mut Jar, line: &'static str) {
        jar.take(&HeaderMap::from_iter([(SET_COOKIE, HeaderValue::from_static(line))]));
    }

    #[test]
    fn cookies_are_kept_replaced_and_removed() {
        let mut jar = Jar::default();
        assert_eq!(jar.header(), None);
        set(&mut jar, "vestibule-ticket-tatkal=one; Path=/; HttpOnly");
        set(&mut jar, "theme=dark");
        set(&mut jar, "vestibule-ticket-tatkal=two; Path=/; Max-Age=60");
        assert_eq!(jar.header().as_deref(), Some("theme=dark; vestibule-ticket-tatkal=two"));
        assert_eq!((jar.room(), jar.has_pass()), (Some("tatkal"), false));
        set(&mut jar, "__Host-vestibule-pass-tatkal=p");
        assert!(jar.has_pass());
        set(&mut jar, "theme=; Max-Age=0");
        assert!(!jar.header().is_some_and(|header| header.contains("theme")));
    }
}
