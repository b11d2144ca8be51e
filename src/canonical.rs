//! One host, one path, one spelling: what is matched is what is sent, and what an operator writes is read by the same rules.
//!
//! Sites read paths more freely than that, and each in its own way: without regard to case, with more decoded, without
//! parameters. [`loose_path`] is the path as the freest of them reads it.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use percent_encoding::percent_decode_str;

/// Reads a host: letters, digits, `-`, `.`, `_`, or an IPv6 address in brackets, and perhaps a port. Returns the name
/// without a final dot, in the case in which it stands, an address in its short form (RFC 5952), and the port; `None` for
/// anything else.
#[must_use]
pub fn host(text: &str) -> Option<(Cow<'_, str>, Option<u16>)> {
    let (name, port) = split_port(text)?;
    let name = name.strip_suffix('.').unwrap_or(name);
    if is_dns_name(name) {
        return Some((Cow::Borrowed(name), port));
    }
    let address: Ipv6Addr = name.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
    Some((Cow::Owned(format!("[{address}]")), port))
}

fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    let end_of_brackets = host.starts_with('[').then(|| host.rfind(']')).flatten();
    let after_brackets = end_of_brackets.map_or(0, |at| at + 1);
    let Some(colon) = memchr::memchr(b':', &host.as_bytes()[after_brackets..]) else {
        return Some((host, None));
    };
    let (name, port) = host.split_at(after_brackets + colon);
    let digits = port.get(1..).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((name, Some(digits.parse().ok().filter(|&port| port != 0)?)))
}

/// The bytes that a label of a name has, looked up: every request's host is read.
static IS_OF_LABEL: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        let letter = byte as u8;
        table[byte] = letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
        byte += 1;
    }
    table
};

fn is_dns_name(name: &str) -> bool {
    let is_label =
        |label: &[u8]| matches!(label.len(), 1..=63) && label.iter().all(|&byte| IS_OF_LABEL[usize::from(byte)]);
    name.len() <= 253 && name.as_bytes().split(|&byte| byte == b'.').all(is_label)
}

/// Spells a path: it begins with `/`, and runs of `/` become one. Encoded letters, digits and `-._~` are decoded; other
/// escapes get upper-case digits; bytes outside the grammar of RFC 3986 are encoded.
///
/// Returns `None` for what could be read in two ways: a dot segment, plain or encoded, with or without a `;parameter`, is
/// not resolved; nor is there a backslash or a control byte, plain or encoded, or an encoded `/`.
#[must_use]
pub fn path(text: &str) -> Option<Cow<'_, str>> {
    if is_canonical(text.as_bytes()) { Some(Cow::Borrowed(text)) } else { canonical_path(text).map(Cow::Owned) }
}

/// Reads a canonical path as the freest of sites does: decoded, in lower case, its segments without their `;parameters`,
/// without empty ones at the end or between. Whoever guards by this form guards more than needs be, and nothing less.
#[must_use]
pub fn loose_path(path: &str) -> Cow<'_, str> {
    let is_loose = |byte: &u8| !(byte.is_ascii_uppercase() || matches!(byte, b'%' | b';'));
    let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
    if path.as_bytes().iter().all(is_loose) {
        return Cow::Borrowed(path);
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let plain = |segment: &str| without_case(segment.split(';').next().unwrap_or_default());
    let segments: Vec<String> = decoded.split('/').map(plain).filter(|segment| !segment.is_empty()).collect();
    Cow::Owned(format!("/{}", segments.join("/")))
}

/// Makes letters alike that one site or another takes for one: those of a pair by their upper case too (`ſ`, `ς`), and `i` with
/// its dot and without.
fn without_case(text: &str) -> String {
    text.to_uppercase().to_lowercase().replace('\u{307}', "")
}

/// Recognises, in one look at each byte, the paths that are canonical already, which nearly all are.
fn is_canonical(path: &[u8]) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b'/');
    let awkward = path.windows(2).any(|two| two == b"//" || two == b"/.");
    path.first() == Some(&b'/') && !awkward && path.iter().all(|&byte| plain(byte) || byte == b'.')
}

fn canonical_path(path: &str) -> Option<String> {
    let mut out = String::with_capacity(path.len());
    if !path.starts_with('/') {
        return None;
    }
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => push_escaped(&mut out, escape(&mut bytes)?)?,
            b'/' if out.ends_with('/') => {}
            _ if is_control(byte) || byte == b'\\' => return None,
            _ if is_path_byte(byte) => out.push(char::from(byte)),
            _ => push_escape(&mut out, byte),
        }
    }
    if out.split('/').any(is_dot_segment) { None } else { Some(out) }
}

fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let value = digit().zip(digit()).map(|(high, low)| high * 16 + low);
    value.and_then(|value| u8::try_from(value).ok())
}

fn push_escaped(out: &mut String, byte: u8) -> Option<()> {
    let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    match byte {
        b'/' | b'\\' => return None,
        _ if is_control(byte) => return None,
        _ if unreserved => out.push(char::from(byte)),
        _ => push_escape(out, byte),
    }
    Some(())
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let digits = [byte >> 4, byte & 15].map(|four| char::from(DIGITS[usize::from(four)]));
    out.push('%');
    out.extend(digits);
}

/// Tells a control byte of ASCII.
#[must_use]
pub const fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// The bytes of `pchar` and `/` (RFC 3986, section 3.3), without `%`.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}

/// A segment that some reader resolves: `.` and `..`, alone or before a `;parameter`, however that is spelled.
fn is_dot_segment(segment: &str) -> bool {
    let before = segment.split(';').next().unwrap_or_default();
    matches!(before.split("%3B").next(), Some("." | ".."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_freest_reading_has_no_case_no_escapes_and_no_parameters() {
        for (path, expected) in [
            ("/", "/"),
            ("/book/7", "/book/7"),
            ("/book/", "/book"),
            ("/API/Book/7", "/api/book/7"),
            ("/api/12951%3A2026-11-23%3A3A", "/api/12951:2026-11-23:3a"),
            ("/a;v=1/b%3Bx/c", "/a/b/c"),
            ("/;x/a/;y", "/a"),
            ("/;x", "/"),
            ("/CAF%C3%89/", "/caf\u{e9}"),
            ("/%FF", "/\u{fffd}"),
            ("/%C5%BFale/t%C4%B1cket/T%C4%B0CKET", "/sale/ticket/ticket"),
            ("/%2541", "/%41"),
        ] {
            assert_eq!(loose_path(path), expected, "{path}");
        }
    }

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        assert_eq!(host("Shop.example.:8443"), Some(("Shop.example".into(), Some(8443))));
        assert_eq!(host("[0:0::0:1]"), Some(("[::1]".into(), None)));
        for text in ["", ".", "a..b", "a b", "[::1", "a:0", "a:", "a:1:2"] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn a_backslash_is_refused_and_so_is_no_slash_at_all() {
        assert_eq!((canonical_path("/a\\..\\b"), canonical_path("a")), (None, None));
    }

    proptest! {
        #[test]
        fn what_is_canonical_stays_so(line in "/[ -~]{0,40}") {
            if let Some(once) = canonical_path(&line) {
                prop_assert_eq!(canonical_path(&once), Some(once.clone()));
                let resolved = once.split('/').any(|segment| segment == "." || segment == "..");
                prop_assert!(!resolved && !once.contains("//") && !once.contains('\\'));
            }
        }

        #[test]
        fn the_quick_look_agrees_with_the_long_one(line in "/[a-z./~_-]{0,20}") {
            if is_canonical(line.as_bytes()) {
                prop_assert_eq!(canonical_path(&line), Some(line));
            }
        }

        #[test]
        fn encoding_a_path_changes_nothing(line in "(/[a-z0-9._~-]{1,6}){1,5}") {
            prop_assert_eq!(canonical_path(&encoded(&line)), canonical_path(&line));
        }

        #[test]
        fn the_freest_reading_of_every_spelling_is_the_same(line in "(/[a-z0-9:@!$&'()*+,=_-]{1,6}){1,5}", after in ";?[a-z=]{0,3}/{0,2}") {
            for spelling in [encoded(&line), line.to_ascii_uppercase(), line.replace('/', "/;x/"), format!("{line}{}", if after.starts_with(';') { &*after } else { "/" })] {
                let spelled = path(&spelling).unwrap();
                prop_assert_eq!(&*loose_path(&spelled), &*line, "{}", spelling);
            }
        }
    }

    fn encoded(line: &str) -> String {
        let spell = |byte| if byte == b'/' { "/".to_owned() } else { format!("%{byte:02x}") };
        line.bytes().map(spell).collect()
    }
}
