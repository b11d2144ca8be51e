//! Dates and times as an operator writes them, made instants.
//!
//! The time zones come with the program, so a gateway in a bare container knows them too.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};

/// A time zone of the IANA database.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl FromStr for Zone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let bad = |_| "is no time zone; write one such as Asia/Kolkata or Europe/Berlin".to_owned();
        TimeZone::get(name).map(Self).map_err(bad)
    }
}

/// Reads an instant, in milliseconds since the Unix epoch.
///
/// # Errors
/// What would be right, where the text is no date and time, has no offset and no zone, or names a time that the
/// clocks of the zone skip or show twice.
pub fn parse_instant(text: &str, zone: Option<&Zone>) -> Result<u64, String> {
    let after_epoch = |instant: Timestamp| {
        u64::try_from(instant.as_millisecond()).map_err(|_| "is before 1970; write a date of your sale".to_owned())
    };
    if let Ok(instant) = text.parse::<Timestamp>() {
        return after_epoch(instant);
    }
    let local: DateTime =
        text.parse().map_err(|_| "is no date and time; write one such as 2026-12-01T10:00:00+05:30".to_owned())?;
    let Some(Zone(zone)) = zone else {
        return Err("has no offset; write it as 2026-12-01T10:00:00+05:30, or set time_zone = \"Asia/Kolkata\"".into());
    };
    let ambiguous = zone.to_ambiguous_zoned(local);
    let name = zone.iana_name().unwrap_or("its zone");
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => {
            let zoned: Zoned = ambiguous.compatible().map_err(|_| "is out of range".to_owned())?;
            after_epoch(zoned.timestamp())
        }
        AmbiguousOffset::Gap { .. } => {
            Err(format!("does not exist in {name}: the clocks are put forward over it; write it with its offset"))
        }
        AmbiguousOffset::Fold { .. } => {
            Err(format!("comes twice in {name}, as the clocks are put back; write it with its offset"))
        }
    }
}

/// Writes an instant, in milliseconds since the Unix epoch, as [`parse_instant`] reads it.
#[must_use]
pub fn instant_text(ms: u64) -> String {
    let instant = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    instant.unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_with_an_offset_or_in_a_zone() {
        let kolkata: Zone = "Asia/Kolkata".parse().unwrap();
        let ten = 1_796_099_400_000;
        assert_eq!(parse_instant("2026-12-01T10:00:00+05:30", None), Ok(ten));
        assert_eq!(parse_instant("2026-12-01 10:00:00", Some(&kolkata)), Ok(ten));
        assert_eq!(parse_instant("2026-12-01T04:30:00Z", Some(&kolkata)), Ok(ten), "an offset wins");
    }

    #[test]
    fn a_time_that_the_clocks_skip_or_show_twice_is_told() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let why = |text| parse_instant(text, Some(&berlin)).unwrap_err();
        assert!(why("2027-03-28T02:30:00").contains("does not exist"));
        assert!(why("2026-10-25T02:30:00").contains("comes twice"));
        let summer = parse_instant("2026-07-01T10:00:00", Some(&berlin)).unwrap();
        assert_eq!(Ok(summer), parse_instant("2026-07-01T08:00:00Z", None));
    }

    #[test]
    fn nonsense_is_told_with_what_would_be_right() {
        assert!(parse_instant("2026-12-01T10:00:00", None).unwrap_err().contains("time_zone"));
        assert!(parse_instant("tomorrow", None).unwrap_err().contains("2026-12-01T10"));
        assert!("Mars/Olympus".parse::<Zone>().unwrap_err().contains("Asia/Kolkata"));
    }
}
