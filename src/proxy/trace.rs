//! The trace that a request belongs to, as W3C Trace Context names it (level 1, 2021).

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::headers::lines_of;
use super::lines::Lines;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Chance for one request: the ids of a trace and of its first span, and whether it is recorded.
pub(super) type Chance = (u128, u64, f64);

/// Which part of the traces that begin here is recorded; `None` begins none.
pub(super) type Sampling = Option<f64>;

/// Writes on a trace that is named as it should be, and drops one that is not. Where there is none, one is begun, which is
/// recorded for the part `sampling` of all; with `None` the upstream is left to begin its own.
pub(super) fn keep_or_begin(
    told: &HeaderMap,
    sampling: Sampling,
    chance: impl FnOnce() -> Chance,
    up: &mut impl Lines,
) {
    let mut parents = lines_of(told, &TRACEPARENT);
    if let (Some(parent), None) = (parents.next(), parents.next())
        && is_sound(parent.as_bytes())
    {
        up.copy(&TRACEPARENT, parent);
        return lines_of(told, &TRACESTATE).for_each(|state| up.copy(&TRACESTATE, state));
    }
    let Some(sampling) = sampling else { return };
    let (trace, span, draw) = chance();
    let flags = u8::from(draw < sampling);
    // An id of zeros is none.
    let text = format!("00-{:032x}-{:016x}-{flags:02x}", trace.max(1), span.max(1));
    up.write(&TRACEPARENT, &[text.as_bytes()]);
}

/// Reads `VERSION-TRACE-SPAN-FLAGS` in lower-case hexadecimal digits; later versions may go on after another dash.
fn is_sound(value: &[u8]) -> bool {
    let Some((head, rest)) = value.split_at_checked(55) else { return false };
    let dashes = [2, 35, 52];
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_formed =
        head.iter().enumerate().all(|(i, byte)| if dashes.contains(&i) { *byte == b'-' } else { is_digit(*byte) });
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    let is_whole = rest.is_empty() || (&head[..2] != b"00" && rest[0] == b'-');
    is_formed && &head[..2] != b"ff" && !is_zero(&head[3..35]) && !is_zero(&head[36..52]) && is_whole
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn through(lines: &[&str], sampling: Sampling) -> Vec<String> {
        let (mut told, mut up) = (HeaderMap::new(), HeaderMap::new());
        for line in lines {
            told.append(&TRACEPARENT, line.parse().unwrap());
        }
        told.insert(&TRACESTATE, HeaderValue::from_static("a=b"));
        keep_or_begin(&told, sampling, || (0xabc, 0, 0.25), &mut up);
        let kept = up.contains_key(&TRACESTATE);
        assert_eq!(kept, up.get(&TRACEPARENT).is_some_and(|value| lines.contains(&value.to_str().unwrap())));
        up.get_all(&TRACEPARENT).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_trace_goes_on_and_nonsense_does_not() {
        for sound in [GOOD, "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later"] {
            assert_eq!(through(&[sound], Some(1.0)), [sound]);
            assert_eq!(through(&[sound], None), [sound]);
        }
        for bad in [
            &GOOD.to_uppercase(),
            &GOOD.replace("00-4", "ff-4"),
            &format!("{GOOD}-later"),
            &GOOD[1..],
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "x",
        ] {
            assert_eq!(through(&[bad], None), [""; 0], "{bad}");
        }
        assert_eq!(through(&[GOOD, GOOD], None), [""; 0]);
    }

    #[test]
    fn where_there_is_none_one_is_begun_if_that_is_wished() {
        let begun = |flags| format!("00-00000000000000000000000000000abc-0000000000000001-{flags}");
        assert_eq!(through(&[], None), [""; 0]);
        assert_eq!(through(&[], Some(0.2)), [begun("00")]);
        assert_eq!(through(&["x"], Some(0.3)), [begun("01")]);
    }
}
