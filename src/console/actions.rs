//! What the console steers.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};

use super::views::{RoomView, no_room};
use super::{Console, problem};
use crate::admission::{Limits, MAX_INTERVAL_US};
use crate::audit_trail::Change;
use crate::config::default_burst;
use crate::line::{Phase, Steering, StoreFault};
use crate::room::{DrawFault, Room, timed};
use crate::sold_out::{EVERYTHING, Verdict};

/// How long an answer waits for the change to be seen.
const SEEN_WITHIN: Duration = Duration::from_millis(500);

/// How often a change is made anew, because somebody else's came between.
const REVISIONS: usize = 5;

/// Later than any sale.
const YEAR_9999_MS: u64 = 253_402_300_800_000;

/// A change of the limits; what is left out stays. `null` takes a limit away.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsChange {
    #[serde(default, deserialize_with = "given")]
    admissions_per_second: Option<Option<f64>>,
    #[serde(default, deserialize_with = "given")]
    total_active_users: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    adaptive_floor: Option<Option<f64>>,
    burst: Option<u64>,
    session_duration_seconds: Option<u64>,
    grace_seconds: Option<u64>,
    #[serde(default, deserialize_with = "given")]
    opens_at: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    starts_at: Option<Option<u64>>,
    #[serde(default, deserialize_with = "given")]
    ends_at: Option<Option<u64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    key: Option<String>,
    ttl_seconds: Option<u64>,
    version: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stock {
    key: String,
    available: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    text: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicValue {
    public_value: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    count: u64,
}

/// Why an action was not done.
enum Failed {
    Nonsense(String),
    Unknown,
    Store(StoreFault),
}

/// Tells a `null` from a field that is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

pub(super) async fn change(
    State(console): State<Arc<Console>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(room) = console.find(&name) else { return no_room(&name) };
    let done = match read::<LimitsChange>(&body) {
        Ok(change) => revise(room, &change).await,
        Err(failed) => Err(failed),
    };
    finish(&console, room, "limits", &headers, &body, done)
}

pub(super) async fn act(
    State(console): State<Arc<Console>>,
    Path((name, action)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(room) = console.find(&name) else { return no_room(&name) };
    let done = perform(room, &action, &body).await;
    finish(&console, room, &action, &headers, &body, done)
}

/// What an operator can do to a room, besides changing its limits.
const ACTIONS: [&str; 11] =
    ["pause", "resume", "open", "drain", "close", "sold-out", "on-sale", "message", "admit", "draw", "reset"];

/// Begins the count of changes at 0, so that the first of each kind is seen to be one.
pub(super) fn count_from_zero(console: &Console) {
    for room in &console.rooms {
        for action in ACTIONS.iter().chain(&["limits", "bypass-link"]) {
            console.metrics.changes.with_label_values(&[room.rules.name.as_str(), action]).inc_by(0);
        }
    }
}

async fn perform(room: &Room, action: &str, body: &[u8]) -> Result<(), Failed> {
    match action {
        "pause" => steer(room, &Steering::Phase(Phase::Paused)).await,
        "resume" | "open" => steer(room, &Steering::Phase(Phase::Open)).await,
        "drain" => steer(room, &Steering::Phase(Phase::Draining)).await,
        "close" => steer(room, &Steering::Phase(Phase::Closed)).await,
        "reset" => steer(room, &Steering::Reset).await,
        "message" => steer(room, &Steering::Message(message(read(body)?)?)).await,
        "admit" => steer(room, &Steering::Admit(count(read(body)?)?)).await,
        "draw" => draw(room, read(body)?).await,
        "sold-out" => mark(room, &read(body)?),
        "on-sale" => clear(room, &read(body)?),
        "stock" => {
            let stock: Stock = read(body)?;
            room.sold_out.set_stock(&checked(&stock.key)?, stock.available);
            Ok(())
        }
        _ => Err(Failed::Unknown),
    }
}

/// Changes the limits; where somebody else has changed them at the same moment, makes the same change of theirs. A room
/// that draws lots promises a draw where its start was moved into the future.
async fn revise(room: &Room, change: &LimitsChange) -> Result<(), Failed> {
    let mut done = Err(Failed::Store(StoreFault::Changed));
    for _ in 0..REVISIONS {
        let from = Box::new(limits_of(room)?);
        let to = Box::new(change.of(Limits::clone(&from))?);
        done = steer(room, &Steering::Revise { from, to }).await;
        match &done {
            Err(Failed::Store(StoreFault::Changed)) => seen(room).await,
            _ => break,
        }
    }
    done?;
    room.promise_draw().await.map_err(Failed::Store)
}

fn limits_of(room: &Room) -> Result<Limits, Failed> {
    let current = room.mirror.read(|roll| roll.settings.as_ref().map(|settings| settings.limits.clone()));
    current.ok_or_else(|| Failed::Nonsense("the room has not been made yet; try again".into()))
}

async fn draw(room: &Room, given: PublicValue) -> Result<(), Failed> {
    let value = given.public_value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    check(value.as_ref().is_none_or(|value| value.len() <= 1_000), "public_value has at most 1000 bytes")?;
    room.draw(value).await.map_err(|fault| match fault {
        DrawFault::Store(fault) => Failed::Store(fault),
        fault => Failed::Nonsense(fault.to_string()),
    })?;
    seen(room).await;
    Ok(())
}

async fn steer(room: &Room, steering: &Steering) -> Result<(), Failed> {
    let shared = &room.shared;
    timed(&shared.metrics, "steer", shared.store.steer(&room.rules.name, steering)).await.map_err(Failed::Store)?;
    seen(room).await;
    Ok(())
}

/// Waits until the change is seen: the answer shows the room as the next tick finds it, or as it was, if that takes
/// too long.
async fn seen(room: &Room) {
    let ticked = room.ticked.notified();
    room.nudge.notify_one();
    let _ = tokio::time::timeout(SEEN_WITHIN, ticked).await;
}

fn mark(room: &Room, key: &Key) -> Result<(), Failed> {
    let now_ms = room.board_ms();
    let ttl_ms = key.ttl_seconds.map(|s| s.saturating_mul(1_000));
    let name = checked(key.key.as_deref().unwrap_or(EVERYTHING))?;
    let heard = room.sold_out.mark(&name, ttl_ms, key.version, now_ms);
    room.live.nudge_all();
    match heard {
        Verdict::Taken | Verdict::Stale => Ok(()),
        Verdict::Full => Err(Failed::Nonsense("10,000 keys are sold out already; take some back".into())),
    }
}

fn clear(room: &Room, key: &Key) -> Result<(), Failed> {
    let name = checked(key.key.as_deref().unwrap_or(EVERYTHING))?;
    room.sold_out.clear(&name, key.version, room.board_ms());
    room.live.nudge_all();
    Ok(())
}

fn checked(key: &str) -> Result<String, Failed> {
    if (1..=256).contains(&key.len()) {
        Ok(key.to_owned())
    } else {
        Err(Failed::Nonsense("a key has 1 to 256 bytes".into()))
    }
}

fn message(message: Message) -> Result<Option<String>, Failed> {
    let text = message.text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.chars().count() > 500 => {
            Err(Failed::Nonsense("a message has at most 500 characters".into()))
        }
        text => Ok(text),
    }
}

fn count(count: Count) -> Result<u64, Failed> {
    match count.count {
        1..=100_000 => Ok(count.count),
        _ => Err(Failed::Nonsense("count is from 1 to 100000".into())),
    }
}

impl LimitsChange {
    /// Makes other limits of these.
    fn of(&self, mut limits: Limits) -> Result<Limits, Failed> {
        if let Some(rate) = self.admissions_per_second {
            check(rate.is_none_or(|rate| (0.0..=1e6).contains(&rate)), "admissions_per_second is from 0 to 1000000")?;
            limits.interval_us = rate.map_or(0, Limits::interval_us);
            limits.burst = default_burst(rate);
        }
        if let Some(floor) = self.adaptive_floor {
            check(
                floor.is_none_or(|floor| Limits::FLOOR.contains(&floor)),
                "adaptive_floor is from 0.001 to 1000000, or null",
            )?;
            limits.floor_interval_us = floor.map(Limits::interval_us);
        }
        if self.admissions_per_second.is_some() || self.adaptive_floor.is_some() {
            check_floor(&limits)?;
        }
        if let Some(total) = self.total_active_users {
            let is_one = total.is_none_or(|total| Limits::ACTIVE_USERS.contains(&total));
            check(is_one, "total_active_users is from 0 to 1000000000, or null")?;
            limits.total_active_users = total;
        }
        if let Some(burst) = self.burst {
            check(Limits::BURST.contains(&burst), "burst is from 1 to 1000000")?;
            limits.burst = burst;
        }
        if let Some(seconds) = self.session_duration_seconds {
            check(Limits::SPAN_S.contains(&seconds), "session_duration_seconds is from 1 to 2592000")?;
            limits.session_duration_s = seconds;
        }
        if let Some(seconds) = self.grace_seconds {
            check(Limits::SPAN_S.contains(&seconds), "grace_seconds is from 1 to 2592000")?;
            limits.grace_ms = seconds * 1_000;
        }
        let schedule = &mut limits.schedule;
        schedule.opens_ms = self.opens_at.unwrap_or(schedule.opens_ms);
        schedule.starts_ms = self.starts_at.unwrap_or(schedule.starts_ms);
        schedule.ends_ms = self.ends_at.unwrap_or(schedule.ends_ms);
        let latest = [schedule.opens_ms, schedule.starts_ms, schedule.ends_ms].into_iter().flatten().max();
        check(latest.is_none_or(|ms| ms < YEAR_9999_MS), "times are milliseconds since 1970")?;
        schedule.disorder().map_or(Ok(()), |disorder| Err(Failed::Nonsense(disorder.to_owned())))?;
        Ok(limits)
    }
}

/// A rate that adapts lies between its floor and a ceiling, unless the operator has stopped it.
fn check_floor(limits: &Limits) -> Result<(), Failed> {
    let floor_us = limits.floor_interval_us.unwrap_or(u64::MAX);
    let has_ceiling = limits.interval_us > 0 || limits.floor_interval_us.is_none();
    check(has_ceiling, "a rate that adapts needs a ceiling: set admissions_per_second, or adaptive_floor to null")?;
    let is_stopped = limits.interval_us == MAX_INTERVAL_US;
    check(is_stopped || floor_us >= limits.interval_us, "adaptive_floor is above admissions_per_second; lower it")
}

fn check(holds: bool, text: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed::Nonsense(text.to_owned())) }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failed> {
    let body = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(body).map_err(|e| Failed::Nonsense(format!("the JSON body does not fit: {e}")))
}

/// Reads who says to be the operator.
pub(super) fn operator(headers: &HeaderMap) -> String {
    let who = headers.get("vestibule-operator").and_then(|who| who.to_str().ok()).unwrap_or("operator");
    who.chars().take(64).collect()
}

fn finish(
    console: &Console,
    room: &Room,
    action: &str,
    headers: &HeaderMap,
    body: &[u8],
    done: Result<(), Failed>,
) -> Response {
    match done {
        // The upstream's count of what is left is news, not a change by somebody.
        Ok(()) if action == "stock" => Json(RoomView::of(room)).into_response(),
        Ok(()) => {
            console.metrics.changes.with_label_values(&[room.rules.name.as_str(), action]).inc();
            console.trail.note(Change {
                at: console.clock.now_ms(),
                who: operator(headers),
                action: action.to_owned(),
                room: room.rules.name.to_string(),
                detail: String::from_utf8_lossy(body).chars().take(600).collect(),
            });
            Json(RoomView::of(room)).into_response()
        }
        Err(Failed::Nonsense(text)) => problem(StatusCode::UNPROCESSABLE_ENTITY, "nonsense", &text),
        Err(Failed::Unknown) => {
            problem(StatusCode::NOT_FOUND, "no_action", &format!("The actions are {} and stock.", ACTIONS.join(", ")))
        }
        Err(Failed::Store(fault @ StoreFault::Changed)) => {
            problem(StatusCode::CONFLICT, "changed_meanwhile", &fault.to_string())
        }
        Err(Failed::Store(fault)) => problem(StatusCode::SERVICE_UNAVAILABLE, "store_down", &fault.to_string()),
    }
}
