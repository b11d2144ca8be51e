//! A room in a Redis server of its own, on a clock that the bench moves.

use std::sync::atomic::{AtomicU64, Ordering};

use redis::Connection;
use tokio::runtime::Runtime;
use vestibule::admission::Limits;
use vestibule::clock::Clock;
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::{GatewayId, Known, LineStore as _, News, Numbers, Page, Roll, RoomName, Steering, Tick};
use vestibule::schedule::Schedule;

#[path = "../../tests/suite/redis_server.rs"]
#[expect(dead_code, reason = "shared with the tests, which also kill the server")]
mod redis_server;

use redis_server::RedisServer;

/// How many wait.
pub const WAITING: u64 = 1_000_000;

/// When the clock begins, in microseconds since the Unix epoch.
pub const START_US: u64 = 1_795_000_000_000_000;

/// Limits with sessions of ten minutes and a grace time of two.
pub fn limits(rate: f64, burst: u64) -> Limits {
    let interval_us = if rate.is_infinite() { 0 } else { Limits::interval_us(rate) };
    Limits {
        interval_us,
        burst,
        total_active_users: None,
        session_duration_s: 600,
        grace_ms: 120_000,
        schedule: Schedule::ALWAYS,
        floor_interval_us: None,
    }
}

/// A tick that only says who is here.
pub fn tick(gateway: u64, here: Numbers, known: Known) -> Tick {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    Tick { serial: SERIAL.fetch_add(1, Ordering::Relaxed), here, known, ..Tick::silent(GatewayId(gateway)) }
}

/// Numbers from a seed; Steele, Lea and Flood's SplitMix (2014).
pub struct Chance(pub u64);

impl Chance {
    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// The room and what stands around it.
pub struct Stand {
    pub server: Connection,
    pub clock: Clock,
    runtime: Runtime,
    store: RedisLine,
    room: RoomName,
    /// The mirror of the gateway that asks.
    pub mirror: Roll,
    _process: RedisServer,
}

impl Stand {
    /// Starts a server with one empty room.
    pub fn start() -> Self {
        let process = RedisServer::start(&[]);
        let clock = Clock::manual(START_US / 1_000);
        let runtime = Runtime::new().expect("a runtime");
        let url = process.socket_url();
        let store = runtime.block_on(RedisLine::connect_with_clock(&url, TIMEOUT, clock.clone()));
        let store = store.expect("the server runs");
        let room = RoomName::new("bench").expect("a name");
        Self { server: process.connection(), clock, runtime, store, room, mirror: Roll::default(), _process: process }
    }

    pub fn join(&self, count: u64) -> u64 {
        self.runtime.block_on(self.store.join(&self.room, count)).expect("a join").first
    }

    pub fn steer(&self, steering: &Steering) {
        self.runtime.block_on(self.store.steer(&self.room, steering)).expect("a steering");
    }

    /// Ticks, and has the mirror follow.
    pub fn tick(&mut self, say: Tick) -> Page {
        let say = Tick { known: self.mirror.known(), ..say };
        let page = self.runtime.block_on(self.store.tick(&self.room, &say)).expect("a tick");
        match &page.news {
            News::Entries(entries) => entries.iter().for_each(|entry| self.mirror.apply(entry)),
            News::Roll(roll) => self.mirror = Roll::clone(roll),
            News::Behind => panic!("nothing was lost"),
        }
        page
    }

    /// Offers a roll, an empty one to read what the store has.
    pub fn restore(&self, offered: &Roll) -> Roll {
        self.runtime.block_on(self.store.restore(&self.room, offered)).expect("a restore")
    }

    /// Fills the line up to a million, with a rate of none.
    pub fn fill(&self) {
        self.fill_to(WAITING);
    }

    /// Fills the line up to so many, with a rate of none.
    pub fn fill_to(&self, waiting: u64) {
        self.steer(&Steering::Configure(limits(0.0, 1)));
        (0..waiting / 50_000).for_each(|_| assert!(self.join(50_000) > 0));
    }

    /// Returns how many microseconds of processor time `work` took of Redis's one thread, which also counts the
    /// question for it. Other than the time on the wall, it does not depend on what else the machine does.
    pub fn redis_us(&mut self, work: impl FnOnce(&mut Self)) -> f64 {
        let before = self.busy_us();
        work(self);
        self.busy_us() - before
    }

    fn busy_us(&mut self) -> f64 {
        let [user, system] = ["used_cpu_user_main_thread:", "used_cpu_sys_main_thread:"];
        (self.stat("cpu", user, user) + self.stat("cpu", system, system)) * 1e6
    }

    /// Returns how many bytes Redis sent during `work`.
    pub fn sent_bytes(&mut self, work: impl FnOnce(&mut Self)) -> f64 {
        redis::cmd("CONFIG").arg("RESETSTAT").exec(&mut self.server).expect("reset");
        work(self);
        self.stat("stats", "total_net_output_bytes:", "bytes:")
    }

    /// Returns all that Redis holds but for its own: clients, the scripts, and the heap of its Lua, which is some 0.8 MB
    /// whatever the line's length.
    pub fn dataset_bytes(&mut self) -> f64 {
        let [all, lua] = ["used_memory_dataset:", "used_memory_vm_eval:"];
        self.stat("memory", all, all) - self.stat("memory", lua, lua)
    }

    /// Reads a figure of `INFO`.
    pub fn stat(&mut self, section: &str, line: &str, name: &str) -> f64 {
        let info: String = redis::cmd("INFO").arg(section).query(&mut self.server).expect("info");
        let found = info.lines().find(|text| text.starts_with(line)).expect("the line");
        let after = &found[found.find(name).expect("the figure") + name.len()..];
        after.split(',').next().and_then(|figure| figure.parse().ok()).expect("a figure")
    }
}
