//! What the console shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;

use super::{Console, problem};
use crate::adaptive::{Account, Sample};
use crate::admission::Limits;
use crate::gate::QueueingMethod;
use crate::line::{Phase, Roll};
use crate::mirror::Seconds;
use crate::proxy::Fleet;
use crate::room::{Lately, Room};
use crate::schedule::{Schedule, Stage};
use crate::status::DrawStage;

/// A room as the console shows it.
#[derive(Debug, Serialize)]
pub(super) struct RoomView {
    name: String,
    title: String,
    phase: Phase,
    queueing_method: &'static str,
    waiting: u64,
    present: u64,
    active_sessions: u64,
    total_active_users: Option<u64>,
    issued: u64,
    called: u64,
    left: u64,
    lapsed: u64,
    /// As it is set; where the rate adapts, its ceiling.
    admissions_per_second: Option<f64>,
    /// As it is in force.
    admissions_per_second_now: Option<f64>,
    adaptive_floor: Option<f64>,
    adaptive: Option<Account>,
    upstream: UpstreamView,
    burst: u64,
    session_duration_seconds: u64,
    grace_seconds: u64,
    opens_at: Option<u64>,
    starts_at: Option<u64>,
    ends_at: Option<u64>,
    stage: Stage,
    draw: Option<DrawView>,
    arrivals_per_second: Option<f64>,
    admitted_per_second: Option<f64>,
    live_connections: usize,
    oldest_wait_seconds: Option<u64>,
    /// How long those called in the last minute had waited.
    waited_seconds: Option<Shares>,
    /// How far the waits that they were told had been off, as a part of the wait.
    eta_error: Option<Shares>,
    eta_seconds_for_newcomer: Option<Seconds>,
    /// What the whole room is about, where it is about one thing.
    item: Option<String>,
    sold_out: Vec<String>,
    sold_out_answers: u64,
    stock: BTreeMap<String, u64>,
    message: Option<String>,
    epoch: u32,
    store_up: bool,
    as_of: u64,
}

/// How a room's upstream does, over the last seconds, as this gateway sees it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct UpstreamView {
    latency_ms: Option<f64>,
    p95_ms: Option<f64>,
    error_ratio: f64,
    in_flight: u64,
}

impl UpstreamView {
    pub(super) fn of(sample: &Sample) -> Self {
        let ms = |seconds: Option<f64>| seconds.map(|seconds| (seconds * 10_000.0).round() / 10.0);
        Self {
            latency_ms: ms(sample.latency_s),
            p95_ms: ms(sample.p95_s),
            error_ratio: sample.errors,
            in_flight: sample.in_flight,
        }
    }
}

/// What half of the people stay within, and what 95 of 100 do.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Shares {
    p50: f64,
    p95: f64,
}

impl Shares {
    pub(super) fn of(lately: &Lately, now_s: u64) -> Option<Self> {
        let [p50, p95] = lately.quantiles([0.5, 0.95], now_s)?.map(|value| (value * 1_000.0).round() / 1_000.0);
        Some(Self { p50, p95 })
    }
}

/// A draw that is to come, or the last that was made.
#[derive(Debug, Serialize)]
struct DrawView {
    stage: Option<DrawStage>,
    entries: u64,
    commitment: String,
    public_value_of: Option<String>,
}

impl DrawView {
    fn of(roll: &Roll) -> Option<Self> {
        if let Some(pending) = &roll.pending {
            return Some(Self {
                stage: Some(DrawStage::of(pending)),
                entries: pending.closed.unwrap_or(roll.issued).saturating_sub(pending.above),
                commitment: hex::encode(pending.promise.commitment),
                public_value_of: pending.promise.public_value.clone(),
            });
        }
        let made = roll.draws.last()?;
        let (entries, commitment) = (made.last + 1 - made.first, hex::encode(made.reveal.commitment()));
        Some(Self { stage: None, entries, commitment, public_value_of: made.reveal.public_value.clone() })
    }
}

impl RoomView {
    pub(super) fn of(room: &Room) -> Self {
        room.mirror.read(|roll| Self::read(room, roll))
    }

    fn read(room: &Room, roll: &Roll) -> Self {
        let (steady_s, line_now_s) = (room.shared.clock.steady_s(), room.line_now().latest_s());
        let name = room.rules.name.as_str();
        let settings = roll.settings.as_ref();
        let limits = settings.map(|settings| &settings.limits);
        let in_force = roll.limits();
        let rate = in_force.as_ref().and_then(Limits::admissions_per_second);
        let floor_us = limits.and_then(|limits| limits.floor_interval_us);
        let schedule = limits.map_or(Schedule::ALWAYS, |limits| limits.schedule);
        let waiting = roll.waiting.count();
        let oldest = roll.waiting.iter_from(0).next();
        let phase = settings.map_or(Phase::Open, |settings| settings.phase);
        // Where the line rests there is no pace, and where nobody joins there is nobody to tell it to.
        let newcomers = phase == Phase::Open;
        let came_s = room.mirror.pace(|pace| oldest.and_then(|number| pace.came_s(number)));
        Self {
            name: name.to_owned(),
            title: room.rules.title.clone(),
            phase,
            queueing_method: method(room.rules.method),
            waiting,
            present: room.present(),
            active_sessions: roll.active(line_now_s),
            total_active_users: limits.and_then(|limits| limits.total_active_users),
            // Numbers that a new epoch passed over were given to nobody.
            issued: roll.issued - roll.unseen.len(),
            called: roll.tally.called,
            left: roll.tally.left,
            lapsed: roll.tally.lapsed,
            admissions_per_second: limits.and_then(Limits::admissions_per_second),
            admissions_per_second_now: rate,
            adaptive_floor: floor_us.map(|floor_us| (1e9 / floor_us as f64).round() / 1_000.0),
            adaptive: room.pacing.account(),
            upstream: UpstreamView::of(&room.pacing.sample()),
            burst: limits.map_or(0, |limits| limits.burst),
            session_duration_seconds: limits.map_or(0, |limits| limits.session_duration_s),
            grace_seconds: limits.map_or(0, |limits| limits.grace_ms / 1_000),
            opens_at: schedule.opens_ms,
            starts_at: schedule.starts_ms,
            ends_at: schedule.ends_ms,
            stage: schedule.stage_between(room.line_now()),
            draw: DrawView::of(roll),
            arrivals_per_second: room.mirror.pace(|pace| pace.came_per_second(line_now_s)),
            admitted_per_second: room.mirror.pace(|pace| pace.called_per_second(line_now_s)),
            live_connections: room.live.count(),
            oldest_wait_seconds: came_s.map(|came_s| line_now_s.saturating_sub(came_s)),
            waited_seconds: Shares::of(&room.waits, steady_s),
            eta_error: Shares::of(&room.eta_errors, steady_s),
            eta_seconds_for_newcomer: newcomers
                .then(|| room.mirror.pace(|pace| pace.wait_behind(waiting, rate, line_now_s)))
                .flatten(),
            item: room.rules.item.clone(),
            sold_out: room.sold_out.list(room.board_ms()),
            sold_out_answers: room.counts.sold_out_responses.get(),
            stock: room.sold_out.all_stock(),
            message: settings.and_then(|settings| settings.message.clone()),
            epoch: roll.epoch(),
            store_up: room.store_is_up(),
            as_of: room.shared.clock.now_ms(),
        }
    }
}

pub(super) async fn rooms(State(console): State<Arc<Console>>) -> Response {
    let rooms: Vec<RoomView> = console.rooms.iter().map(|room| RoomView::of(room)).collect();
    let gateway = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": console.clock.now_ms().saturating_sub(console.started_ms) / 1_000,
        "store": console.store,
        "store_up": console.rooms.iter().all(|room| room.store_is_up()),
    });
    Json(json!({"rooms": rooms, "gateway": gateway})).into_response()
}

pub(super) async fn room(State(console): State<Arc<Console>>, Path(name): Path<String>) -> Response {
    match console.find(&name) {
        Some(room) => Json(RoomView::of(room)).into_response(),
        None => no_room(&name),
    }
}

/// The admission log as this gateway knows it, as JSON lines with their hash chain. The first line says where it begins.
/// Each piece is written out when the client has taken the one before.
pub(super) async fn log(State(console): State<Arc<Console>>, Path(name): Path<String>) -> Response {
    let Some(room) = console.find(&name) else { return no_room(&name) };
    let lines = room.mirror.history().export().map(Ok::<_, std::convert::Infallible>);
    ([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(futures_util::stream::iter(lines)))
        .into_response()
}

pub(super) async fn audit(State(console): State<Arc<Console>>) -> Response {
    Json(json!({"entries": console.trail.newest()})).into_response()
}

/// What the doctor finds, measured now: it takes some seconds at the most.
pub(super) async fn readiness(State(console): State<Arc<Console>>) -> Response {
    let findings = console.doctor.examine().await;
    Json(json!({"findings": findings, "as_of": console.clock.now_ms()})).into_response()
}

pub(super) async fn metrics(State(console): State<Arc<Console>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], console.metrics.text()).into_response()
}

/// Whether this gateway may take traffic. A store that is down does not take it out: those who are
/// in go on, and those who wait keep their page.
pub(super) async fn ready(State(console): State<Arc<Console>>) -> Response {
    let known = console.rooms.iter().all(|room| room.mirror.known().epoch > 0);
    match ((console.is_open)(), known) {
        (true, true) => format!("ready\n{}", down(&console)).into_response(),
        (false, _) => problem(StatusCode::SERVICE_UNAVAILABLE, "draining", "The gateway is stopping."),
        (_, false) => problem(StatusCode::SERVICE_UNAVAILABLE, "starting", "The line's store has not answered yet."),
    }
}

/// The addresses of upstreams that get no requests, one a line. They take the gateway out no more than its store does.
fn down(console: &Console) -> String {
    let mut down = String::new();
    for (room, fleet) in &console.upstreams {
        for view in fleet.view().iter().filter(|view| !view.is_up) {
            down += &format!("upstream down: {} of {room}\n", view.address);
        }
    }
    down
}

/// How each address of each upstream does, as this gateway sees it.
pub(super) async fn upstreams(State(console): State<Arc<Console>>) -> Response {
    let upstreams: Vec<_> = console.upstreams.iter().flat_map(|(room, fleet)| addresses(room, fleet)).collect();
    Json(json!({"upstreams": upstreams})).into_response()
}

fn addresses(room: &str, fleet: &Fleet) -> impl Iterator<Item = serde_json::Value> {
    fleet.view().into_iter().enumerate().map(move |(i, view)| {
        json!({
            "room": room, "place": i + 1, "address": view.address.to_string(), "up": view.is_up, "well": view.is_well,
            "outstanding": view.outstanding, "failures": view.failures, "ejections": view.ejections,
        })
    })
}

pub(super) fn no_room(name: &str) -> Response {
    let name: String = name.chars().take(64).collect();
    problem(StatusCode::NOT_FOUND, "no_room", &format!("There is no room `{name}`; /api/rooms lists them."))
}

fn method(method: QueueingMethod) -> &'static str {
    match method {
        QueueingMethod::Fifo => "fifo",
        QueueingMethod::Draw => "draw",
        QueueingMethod::Passthrough => "passthrough",
        QueueingMethod::Reject => "reject",
    }
}

impl Console {
    pub(super) fn find(&self, name: &str) -> Option<&Arc<Room>> {
        self.rooms.iter().find(|room| room.rules.name.as_str() == name)
    }
}
