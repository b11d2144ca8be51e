//! What is measured, each with a million who wait.

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hyper::Request;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use vestibule::admission::{self, Limits};
use vestibule::clock::Clock;
use vestibule::config::{Config, Environment, RoomConfig};
use vestibule::gate::{self, Credentials, Decision};
use vestibule::line::embedded::Embedded;
use vestibule::line::state::LineState;
use vestibule::line::{Entry, Epoch, GatewayId, Numbers, Roll, Steering, Tick};
use vestibule::metrics::Metrics;
use vestibule::proxy::Target;
use vestibule::room::{Room, Shared};
use vestibule::route::{Route, Routes};
use vestibule::status::Status;
use vestibule::token::pass::ISSUER;
use vestibule::token::{KeyRing, Pass, PassVerifier, RoomHash, Ticket, TicketId};

use crate::Meter;

const WAITING: u64 = 1_000_000;
const NOW_MS: u64 = 1_795_000_000_000;
const NOW_US: u64 = NOW_MS * 1_000;
/// When a rate of a thousand a second has let the whole burst grow, and everybody is still here.
const LATER_US: u64 = NOW_US + 5_000_000;
const EPOCH: Epoch = (NOW_MS / 1_000) as Epoch;
/// Where in the line they stand whose position is asked for, one after the other.
const STEP: u64 = 7_919;
/// A ticket's life here, in milliseconds.
const DAY_MS: u64 = 86_400_000;

const CONFIG: &str = r#"
upstream = "http://127.0.0.1:9000"
[room.sale]
paths = ["/book/*", "/api/holds"]
admissions_per_second = 50
items = ["/api/inventory/{key}"]
[room.other]
hosts = ["other.example"]
"#;

/// Measures everything, or what is wanted of it.
pub fn measure(meter: &mut Meter) {
    meter.again("position", || {
        let (roll, mut number) = (long_line(1).roll().clone(), 0);
        move || {
            number = (number + STEP) % WAITING;
            roll.standing(roll.epoch(), black_box(number + 1), NOW_MS / 1_000)
        }
    });
    meter.again("admission", || {
        let limits = limits(50.0, 10);
        move || admission::allowance(black_box(NOW_US + 60_000), black_box(NOW_US), black_box(4_182), &limits)
    });
    meter.on_copies("call of 5", || long_line(5), |line| line.call(LATER_US));
    meter.on_copies("call of 1000", || long_line(1_000), |line| line.call(LATER_US));
    meter.on_copies("join", || long_line(1), |line| line.join(1, NOW_US));
    meter.on_copies("mirror follows a call", || long_line(1).roll().clone(), |roll| roll.apply(&call_of_the_first()));
    meter.again("ticket verify", || {
        let ring = ring();
        let (text, room) = (ticket().seal(&ring), RoomHash::of("sale"));
        move || Ticket::open(black_box(&text), room, &ring, NOW_MS, DAY_MS).is_some()
    });
    meter.again("ticket seal", || {
        let ring = ring();
        move || black_box(ticket()).seal(&ring)
    });
    meter.again("pass verify", || {
        let (ring, verifier) = (ring(), PassVerifier::new(ISSUER, 1_000));
        let text = pass(&ring);
        move || verifier.verify(black_box(&text), "sale", &ring, NOW_MS).is_some()
    });
    meter.again("request to room", || {
        let (routes, request) = (routes(), request());
        move || {
            let target = Target::parse(black_box(&request), "http").expect("a sound request");
            assert_eq!(
                routes.find(target.host(), target.path(), request.method(), request.headers()),
                Route::Guarded(1)
            );
        }
    });
    meter.again("gate, waiting", || {
        let room = room();
        let text = ticket().seal(&room.shared.ring.load());
        move || {
            let credentials = Credentials { ticket: Some(black_box(&text)), pass: None };
            assert!(matches!(decide(&room, &credentials), Decision::Wait(..)));
        }
    });
    meter.again("gate, admitted", || {
        let room = room();
        let (text, pass) = (ticket().seal(&room.shared.ring.load()), pass(&room.shared.ring.load()));
        move || {
            let credentials = Credentials { ticket: Some(black_box(&text)), pass: Some(&pass) };
            assert!(matches!(decide(&room, &credentials), Decision::Admit(..)));
        }
    });
    meter.again("status encode", || {
        let room = room();
        move || Status::of(&room, black_box(&ticket())).json().len()
    });
}

fn limits(rate: f64, burst: u64) -> Limits {
    Limits { interval_us: Limits::interval_us(rate), burst, ..sale().limits }
}

/// A line of a million who are all here, of whom `burst` may be called now.
fn long_line(burst: u64) -> LineState {
    let mut line = LineState::new(NOW_US);
    for _ in 0..WAITING / 50_000 {
        line.join(50_000, NOW_US);
    }
    let here = Tick { here: Numbers::run(1, WAITING), ..Tick::silent(GatewayId(1)) };
    line.vouch(&here, NOW_US);
    line.steer(&Steering::Configure(limits(1_000.0, burst)), NOW_US);
    line
}

fn call_of_the_first() -> Entry {
    let (called, ends_s) = (Numbers::run(1, 5), NOW_MS / 1_000 + 600);
    Entry { seq: 1, at_us: NOW_US, epoch: EPOCH, issued: WAITING, called, ends_s, tat_us: NOW_US, ..Entry::default() }
}

fn ring() -> KeyRing {
    KeyRing::generate(NOW_MS, &mut StdRng::seed_from_u64(1))
}

fn ticket() -> Ticket {
    Ticket { room: RoomHash::of("sale"), epoch: EPOCH, number: 765_432, id: TicketId(7), issued_ms: NOW_MS }
}

fn pass(ring: &KeyRing) -> String {
    let Ticket { id: ticket, number, .. } = ticket();
    let pass = Pass { issuer: ISSUER, room: "sale", ticket, number, id: 7, issued_ms: NOW_MS, lifetime_ms: 600_000 };
    pass.sign(ring).expect("a ring signs")
}

fn config() -> Config {
    Config::parse(CONFIG, &Environment::default()).expect("a sound configuration")
}

/// The room that requests are for; rooms stand in the order of their names.
fn sale() -> RoomConfig {
    config().rooms.remove(1)
}

fn routes() -> Routes {
    Routes::new(config().rooms.into_iter().map(|room| room.claim).collect())
}

/// What a browser sends.
fn request() -> Request<()> {
    let request = Request::get("/book/12951?date=2026-11-23&class=3A")
        .header("host", "shop.example")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")
        .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        .header("accept-language", "en-GB,en;q=0.5")
        .header("accept-encoding", "gzip, deflate, br, zstd")
        .header("cookie", "theme=dark; vestibule-ticket-sale=x");
    request.body(()).expect("a sound request")
}

/// A room with a million in line, of whom this gateway knows by its mirror.
fn room() -> Room {
    let clock = Clock::manual(NOW_MS);
    let shared = Shared {
        store: Arc::new(Embedded::open(None, clock.clone()).expect("a store without a folder")),
        clock,
        metrics: Metrics::new(),
        ring: Arc::new(ArcSwap::from_pointee(ring())),
        verifier: Arc::new(PassVerifier::new(ISSUER, 1_000)),
        gateway: GatewayId(1),
    };
    let room = Room::new(sale().rules, shared);
    let roll: Roll = long_line(1).roll().clone();
    room.mirror.replace(Roll { eras: vec![vestibule::line::roll::Era { epoch: EPOCH, above: 0 }], ..roll });
    room
}

fn decide(room: &Room, credentials: &Credentials<'_>) -> Decision {
    room.view(|view| gate::decide(credentials, view, NOW_MS))
}
