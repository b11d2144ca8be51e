//! What the line costs with a million waiting: the pure machine, and the Redis store.
//!
//! `cargo bench --bench line` measures the machine. With `REDIS_URL` set to an empty Redis it fills a
//! room there as well and prints bytes a visitor and microseconds a verb, as Redis counts them.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use redis::{Commands as _, Connection};
use tokio::runtime::Runtime;
use vestibule::admission::Limits;
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::state::LineState;
use vestibule::line::{
    GatewayId, Known, LOG_CAP, LineStore as _, News, Numbers, Page, Phase, Roll, RoomName, Steering, Tick,
};
use vestibule::schedule::Schedule;

const WAITING: u64 = 1_000_000;
const CALLED: u64 = 1_000;
const NOW_US: u64 = 1_795_000_000_000_000;

fn limits(burst: u64) -> Limits {
    let schedule = Schedule::ALWAYS;
    Limits { interval_us: 1, burst, total_active_users: None, session_duration_s: 600, grace_ms: 120_000, schedule }
}

fn tick(here: Numbers, known: Known) -> Tick {
    Tick {
        gateway: GatewayId(1),
        lease_ms: 60_000,
        here,
        gone: Numbers::default(),
        returned: Numbers::default(),
        left: Numbers::default(),
        ended: Vec::new(),
        introduced: Vec::new(),
        known,
    }
}

/// A line of a million who are all here.
fn long_line() -> LineState {
    let mut line = LineState::new(NOW_US);
    for _ in 0..WAITING / 50_000 {
        line.join(50_000, NOW_US);
    }
    line.vouch(&tick(Numbers::run(1, WAITING), Known::default()), NOW_US);
    line.steer(&Steering::Configure(limits(CALLED)), NOW_US);
    line
}

fn pure(criterion: &mut Criterion) {
    let line = long_line();
    let roll = line.roll().clone();
    let mut group = criterion.benchmark_group("a million waiting");
    group.sample_size(20);
    let copies = BatchSize::LargeInput;
    group.bench_function("join 1000", |b| b.iter_batched(|| line.clone(), |mut l| l.join(1_000, NOW_US), copies));
    group.bench_function("call 1000", |b| b.iter_batched(|| line.clone(), |mut l| l.call(NOW_US), copies));
    group.bench_function("position", |b| b.iter(|| roll.standing(roll.epoch(), black_box(765_432), 0)));
    let restore = |mut empty: LineState| empty.restore(&roll, NOW_US + 1).issued;
    group.bench_function("restore", |b| b.iter_batched(|| LineState::new(NOW_US), restore, copies));
    group.finish();
}

/// Fills a room with a million, calls a thousand fifty times, and lets Redis say what that took.
fn in_redis(url: &str) {
    let runtime = Runtime::new().expect("a runtime");
    let mut server = redis::Client::open(url).and_then(|client| client.get_connection()).expect("a Redis");
    let room = RoomName::new("bench").expect("a name");
    let store = runtime.block_on(RedisLine::connect(url, TIMEOUT)).expect("a Redis");
    let tick = |here, known| runtime.block_on(store.tick(&room, &self::tick(here, known))).expect("a tick");
    let steer = |steering| runtime.block_on(store.steer(&room, &steering)).expect("a steering");

    measure(&mut server, "join of 50,000", || {
        for _ in 0..WAITING / 50_000 {
            runtime.block_on(store.join(&room, 50_000)).expect("a join");
        }
    });
    let page = tick(Numbers::run(1, WAITING), Known::default());
    let News::Roll(roll) = page.news else { panic!("a roll") };
    let (mut known, quiet) = (roll.known(), Numbers::default);
    steer(Steering::Configure(limits(CALLED)));
    measure(&mut server, "tick that calls 1,000 of them", || {
        for _ in 0..50 {
            known.seq += drain(tick(quiet(), known));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
    steer(Steering::Phase(Phase::Paused));
    measure(&mut server, "tick that calls nobody", || (0..50).for_each(|_| drop(tick(quiet(), known))));
    measure(&mut server, "join of 1", || (0..50).for_each(|_| drop(runtime.block_on(store.join(&room, 1)))));
    print_memory(&mut server, &room, "with a log of 51 entries");
    steer(Steering::Phase(Phase::Open));
    steer(Steering::Limits(limits(10)));
    for _ in 0..LOG_CAP {
        known.seq += drain(tick(quiet(), known));
    }
    let third: Numbers = (150_000..180_000).step_by(3).collect();
    measure(&mut server, "tick in which 10,000 go away, no two of them neighbours", || {
        let page = runtime.block_on(store.tick(&room, &Tick { gone: third, ..self::tick(quiet(), known) }));
        known.seq += drain(page.expect("a tick"));
    });
    steer(Steering::Limits(limits(CALLED)));
    measure(&mut server, "tick that calls 1,000, every third away", || {
        for _ in 0..20 {
            known.seq += drain(tick(quiet(), known));
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
    let roll = runtime.block_on(store.restore(&room, &Roll::default())).expect("a roll");
    println!("called {}, waiting {}", roll.called.count(), roll.waiting.count());
    print_memory(&mut server, &room, "with a full log");
}

/// Counts the entries of a page.
fn drain(page: Page) -> u64 {
    let News::Entries(entries) = page.news else { panic!("it follows closely") };
    entries.len() as u64
}

/// Prints how long Redis took for each script call of `work`.
fn measure(server: &mut Connection, what: &str, work: impl FnOnce()) {
    redis::cmd("CONFIG").arg("RESETSTAT").exec(server).expect("reset");
    work();
    let stats: String = redis::cmd("INFO").arg("commandstats").query(server).expect("stats");
    let evals = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap_or("no script ran");
    println!("{what}: {evals}");
}

fn print_memory(server: &mut Connection, room: &RoomName, when: &str) {
    let keys: Vec<String> =
        server.scan_match(format!("vestibule:{{{room}}}:*")).expect("keys").map(Result::unwrap).collect();
    let mut sum = 0;
    for key in keys {
        let bytes: u64 = redis::cmd("MEMORY").arg(&["USAGE", &key, "SAMPLES", "0"]).query(server).expect("bytes");
        println!("{bytes:>10} bytes  {key}");
        sum += bytes;
    }
    println!("{when}: {:.3} bytes for each of {WAITING}", sum as f64 / WAITING as f64);
}

fn main() {
    if let Ok(url) = std::env::var("REDIS_URL") {
        in_redis(&url);
    }
    let mut criterion = Criterion::default().configure_from_args();
    pure(&mut criterion);
    criterion.final_summary();
}
