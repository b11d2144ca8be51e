//! The date as headers say it.

use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

use super::rough::rough_epoch_s;

/// A date by RFC 9110, section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub type HttpDate = [u8; 29];

/// Returns the date of the machine's clock. It is written anew once a second and thread.
#[must_use]
pub fn http_date() -> HttpDate {
    thread_local!(static LAST: Cell<(u64, HttpDate)> = const { Cell::new((u64::MAX, [0; 29])) });
    let now_s = rough_epoch_s();
    let (written_s, date) = LAST.get();
    if written_s == now_s {
        return date;
    }
    let date = written(now_s);
    LAST.set((now_s, date));
    date
}

fn written(at_s: u64) -> HttpDate {
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at_s));
    text.as_bytes().try_into().unwrap_or([b' '; 29])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_date_of_now() {
        assert_eq!(&written(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        let before_s = rough_epoch_s();
        let (first, second) = (http_date(), http_date());
        let after_s = rough_epoch_s();
        assert!((before_s..=after_s).any(|at_s| written(at_s) == first));
        assert!((before_s..=after_s + 1).any(|at_s| written(at_s) == second));
    }
}
