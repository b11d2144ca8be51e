//! The status object as JSON: the very text that serde writes, for a fraction of the work. Every waiting page carries one,
//! every poll and every live word is one.

use std::ops::Range;

use super::{DrawStage, State, Status, Stock};
use crate::mirror::Seconds;

/// A status is a little shorter.
const EXPECTED_BYTES: usize = 640;

/// A status as JSON, and where in it the time of saying stands.
pub(super) struct Written {
    pub(super) text: Vec<u8>,
    pub(super) as_of: Range<usize>,
}

impl Written {
    /// Writes a status down, field by field in the order of their declaration.
    pub(super) fn of(status: &Status) -> Self {
        let mut json = Json(Vec::with_capacity(EXPECTED_BYTES));
        json.at(b"{\"room\":").text(Some(&status.room));
        json.at(b",\"state\":").name(Some(status.state.name()));
        json.at(b",\"number\":").number(status.number);
        json.at(b",\"place\":").number(status.place);
        json.at(b",\"epoch\":").number(status.epoch.map(u64::from));
        json.at(b",\"position\":").number(status.position);
        json.at(b",\"ahead\":").number(status.ahead);
        json.at(b",\"waiting\":").number(Some(status.waiting));
        json.at(b",\"eta_seconds\":").seconds(status.eta_seconds);
        json.at(b",\"admissions_per_second\":").rate(status.admissions_per_second);
        json.at(b",\"burst\":").number(status.burst);
        json.at(b",\"forecast\":").name(status.forecast.map(|forecast| forecast.name()));
        json.at(b",\"stock\":").stock(status.stock);
        json.at(b",\"message\":").text(status.message.as_deref());
        json.at(b",\"grace_seconds\":").number(status.grace_seconds);
        json.at(b",\"opens_at\":").number(status.opens_at);
        json.at(b",\"draw\":").name(status.draw.map(DrawStage::name));
        json.at(b",\"called_at\":").number(status.called_at);
        json.at(b",\"session_ends_at\":").number(status.session_ends_at);
        let from = json.0.len();
        json.at(b",\"as_of\":").number(Some(status.as_of));
        let as_of = from..json.0.len();
        json.at(if status.store_up { b",\"store_up\":true" } else { b",\"store_up\":false" });
        json.at(b",\"next_update_seconds\":").number(Some(status.next_update_seconds));
        json.at(b"}");
        Self { text: json.0, as_of }
    }
}

/// JSON that is being written: each verb puts down a value, or `null`.
struct Json(Vec<u8>);

impl Json {
    /// Goes on with a text of ours, such as what stands before a value. Where it is known how long that is, nothing is
    /// cheaper than to copy it.
    #[inline(always)]
    fn at(&mut self, text: &[u8]) -> &mut Self {
        self.0.extend_from_slice(text);
        self
    }

    fn null(&mut self) {
        self.at(b"null");
    }

    fn number(&mut self, n: Option<u64>) {
        let Some(n) = n else { return self.null() };
        self.at(itoa::Buffer::new().format(n).as_bytes());
    }

    fn rate(&mut self, rate: Option<f64>) {
        let Some(rate) = rate else { return self.null() };
        let whole = rate as u32;
        if f64::from(whole).to_bits() == rate.to_bits() {
            self.number(Some(whole.into()));
            self.at(b".0");
        } else {
            self.at(&serde_json::to_vec(&rate).unwrap_or_default());
        }
    }

    /// A name of ours: nothing in it needs to be escaped.
    fn name(&mut self, name: Option<&str>) {
        let Some(name) = name else { return self.null() };
        self.at(b"\"").at(name.as_bytes()).at(b"\"");
    }

    fn text(&mut self, text: Option<&str>) {
        let needs_escape = |byte| byte < b' ' || matches!(byte, b'"' | b'\\');
        if text.is_some_and(|text| text.bytes().any(needs_escape)) {
            self.at(&serde_json::to_vec(&text).unwrap_or_default());
        } else {
            self.name(text);
        }
    }

    fn seconds(&mut self, seconds: Option<Seconds>) {
        let Some(Seconds { low, high }) = seconds else { return self.null() };
        self.at(b"{\"low\":").number(Some(low));
        self.at(b",\"high\":").number(Some(high));
        self.at(b"}");
    }

    fn stock(&mut self, stock: Option<Stock>) {
        let Some(Stock { available }) = stock else { return self.null() };
        self.at(b"{\"available\":").number(Some(available));
        self.at(b"}");
    }
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::PreQueue => "pre_queue",
            Self::Waiting => "waiting",
            Self::Called => "called",
            Self::Admitted => "admitted",
            Self::Paused => "paused",
            Self::SoldOut => "sold_out",
            Self::Full => "full",
            Self::Closed => "closed",
            Self::Lapsed => "lapsed",
            Self::None => "none",
        }
    }
}

impl DrawStage {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Drawing => "drawing",
            Self::AwaitingPublicValue => "awaiting_public_value",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forecast::Forecast;

    const STATES: [State; 10] = [
        State::PreQueue,
        State::Waiting,
        State::Called,
        State::Admitted,
        State::Paused,
        State::SoldOut,
        State::Full,
        State::Closed,
        State::Lapsed,
        State::None,
    ];
    const STAGES: [DrawStage; 3] = [DrawStage::Open, DrawStage::Drawing, DrawStage::AwaitingPublicValue];
    const FORECASTS: [Forecast; 3] = [Forecast::LikelyEnough, Forecast::Close, Forecast::LikelySoldOut];

    /// A number of any length.
    fn number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64_u32).prop_map(|(n, shift)| n >> shift)
    }

    fn maybe<T: std::fmt::Debug>(some: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
        prop::option::of(some)
    }

    fn rate() -> impl Strategy<Value = f64> {
        let odd = prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, 4_294_967_296.0, 1e16, 1e-7, -3.0]);
        prop_oneof![
            odd,
            any::<f64>(),
            (0..100_000_u32).prop_map(f64::from),
            (0..9_999_u32).prop_map(|n| f64::from(n) / 60.0)
        ]
    }

    prop_compose! {
        fn told()(
            (room, state, message) in ("\\PC{0,9}", prop::sample::select(&STATES[..]), maybe(any::<String>())),
            (number, place, epoch, position) in (maybe(number()), maybe(number()), maybe(any::<u32>()), maybe(number())),
            (ahead, waiting, eta, rate) in (maybe(number()), number(), maybe((number(), number())), maybe(rate())),
            (burst, forecast, stock) in (maybe(number()), maybe(prop::sample::select(&FORECASTS[..])), maybe(number())),
            (grace_seconds, opens_at) in (maybe(number()), maybe(number())),
            (draw, called_at, session_ends_at) in (maybe(prop::sample::select(&STAGES[..])), maybe(number()), maybe(number())),
            (as_of, store_up, next_update_seconds) in (number(), any::<bool>(), number()),
        ) -> Status {
            let eta_seconds = eta.map(|(low, high)| Seconds { low, high });
            let stock = stock.map(|available| Stock { available });
            Status {
                room, state, number, place, epoch, position, ahead, waiting, eta_seconds, admissions_per_second: rate,
                burst, forecast, stock, message, grace_seconds, opens_at, draw, called_at, session_ends_at, as_of,
                store_up, next_update_seconds,
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_what_serde_writes(status in told()) {
            let written = Written::of(&status);
            let text = String::from_utf8(written.text).unwrap();
            prop_assert_eq!(&text, &serde_json::to_string(&status).unwrap());
            prop_assert_eq!(&text[written.as_of], format!(",\"as_of\":{}", status.as_of));
        }
    }

    #[test]
    fn every_escape_is_serdes() {
        for c in ('\0'..'\u{100}').chain(['\u{2028}', '\u{ffff}', '😀']) {
            let (text, mut json) = (format!("a{c}b"), Json(Vec::new()));
            json.text(Some(&text));
            assert_eq!(json.0, serde_json::to_vec(&text).unwrap(), "{c:?}");
        }
    }
}
