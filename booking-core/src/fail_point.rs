//! Points at which a test lets the process die, so that what a crash leaves behind is seen at every step.
//!
//! Each stands between two steps that are not one transaction. Nothing of it is left in a release build.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A commit is about to be asked for.
pub const COMMITTING: &str = "committing";
/// A commit is done, and nobody has heard of it.
pub const COMMITTED: &str = "committed";
/// The provider has answered, and it is not written down.
pub const PROVIDER_ANSWERED: &str = "provider-answered";

static ARMED: OnceLock<Armed> = OnceLock::new();

struct Armed {
    point: String,
    /// How often it is still passed alive.
    left: AtomicU32,
}

/// Lets this process die where `POINT:N` says: at the N-th time it comes to a point, counted from one.
///
/// # Errors
/// When it does not read so, or this is a release build, which cannot do it.
pub fn arm(text: &str) -> Result<(), String> {
    if !cfg!(debug_assertions) {
        return Err("only a debug build can be told to die".to_owned());
    }
    let (point, nth) = text.split_once(':').ok_or("a point to die at reads POINT:N")?;
    let known = [COMMITTING, COMMITTED, PROVIDER_ANSWERED].contains(&point);
    let left = nth.parse::<u32>().ok().filter(|nth| known && *nth > 0).ok_or(format!("there is no point {text}"))?;
    let armed = Armed { point: point.to_owned(), left: AtomicU32::new(left) };
    ARMED.set(armed).map_err(|_| "one point is enough to die at".to_owned())
}

/// Dies here if it was told to: at once, with nothing flushed, dropped or said, as by `kill -9`.
pub fn reached(point: &str) {
    if cfg!(debug_assertions)
        && let Some(armed) = ARMED.get()
        && armed.point == point
        && armed.left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}
