//! A world in which the law can be watched: an upstream with a knee, and visitors who stay for minutes.
//!
//! Every visitor that is let in makes several requests, each after the answer to the one before and a while to think.
//! Everything comes from one seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use vestibule::adaptive::{Bounds, Flow, Law, Reading, Reason, Tolerance, Window};

/// A generator that is the same everywhere: SplitMix64 (Steele, Lea, Flood 2014).
pub struct Chance(pub u64);

impl Chance {
    /// Draws from 0 (left out) to 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 11) as f64 + 1.0) / (1u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    /// Draws with mean 1 and this spread of the logarithm.
    fn lognormal(&mut self, sigma: f64) -> f64 {
        let normal = (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        (sigma * normal - sigma * sigma / 2.0).exp()
    }
}

/// What an upstream can do; may change while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Upstream {
    /// How many requests it works on at once; the others wait. Many for an upstream that shares its power.
    pub servers: usize,
    /// How long it works on one, in seconds, on average, when it does nothing else.
    pub service_s: f64,
    /// With so many at once the work on each takes twice as long, with twice as many three times; infinite where
    /// they do not hinder one another. Its throughput is at most `softness / service_s`.
    pub softness: f64,
    /// The spread of the logarithm of the work.
    pub spread: f64,
    /// With more than so many it refuses at once.
    pub refuses_above: usize,
    /// Takes requests and never answers.
    pub hangs: bool,
}

impl Upstream {
    /// Bears `servers / service_s` a second, and lets the others wait.
    pub fn sharp(servers: usize, service_s: f64) -> Self {
        Self { servers, service_s, softness: f64::INFINITY, spread: 0.5, refuses_above: usize::MAX, hangs: false }
    }

    /// Gets slower with everyone who asks: `service / (1 − load × service / softness)`.
    pub fn soft(softness: f64, service_s: f64) -> Self {
        Self { servers: usize::MAX, softness, ..Self::sharp(1, service_s) }
    }

    /// Refuses what is more than it can work on.
    pub fn cliff(servers: usize, service_s: f64) -> Self {
        Self { refuses_above: servers, ..Self::sharp(servers, service_s) }
    }

    /// Answers nothing but errors.
    pub fn broken(self) -> Self {
        Self { refuses_above: 0, ..self }
    }
}

/// What visitors do once they are in.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// How many requests each makes.
    pub requests: u32,
    /// How long they think before each, in seconds, on average.
    pub think_s: f64,
}

/// One second of a run.
#[derive(Clone, Copy, Debug)]
pub struct Second {
    /// Admissions a second.
    pub rate: f64,
    /// Requests that came in this second.
    pub asked: u64,
    pub errors: u64,
    pub latency_s: f64,
    pub baseline_s: f64,
    pub in_flight: u64,
    pub reason: Reason,
}

/// How long a request is waited for.
const TIMEOUT_S: f64 = 30.0;

/// An instant in nanoseconds, so that it has an order.
type At = u64;

fn at(seconds: f64) -> At {
    (seconds * 1e9) as At
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Request {
    came_in: At,
    left: u32,
    asked: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Asks(Request),
    Answered(Request),
}

pub struct World {
    pub upstream: Upstream,
    pub visit: Visit,
    pub bounds: Bounds,
    pub tolerance: Tolerance,
    /// Whether anybody waits to be let in.
    pub crowd: bool,
    law: Law,
    window: Window,
    chance: Chance,
    now: At,
    agenda: BinaryHeap<Reverse<(At, Happening)>>,
    /// In the upstream: being worked on, and waiting.
    working: usize,
    waiting: VecDeque<Request>,
    /// Requests that were taken while it hung, oldest first.
    hung: VecDeque<Request>,
    reading: Reading,
    asked: u64,
    credit: f64,
}

impl World {
    pub fn new(upstream: Upstream, visit: Visit, bounds: Bounds, seed: u64) -> Self {
        Self {
            upstream,
            visit,
            bounds,
            tolerance: Tolerance::default(),
            crowd: true,
            law: Law::new(bounds.floor),
            window: Window::default(),
            chance: Chance(seed),
            now: 0,
            agenda: BinaryHeap::new(),
            working: 0,
            waiting: VecDeque::new(),
            hung: VecDeque::new(),
            reading: Reading::default(),
            asked: 0,
            credit: 0.0,
        }
    }

    /// Runs for so many seconds.
    pub fn run(&mut self, seconds: u64) -> Vec<Second> {
        (0..seconds).map(|_| self.second()).collect()
    }

    fn second(&mut self) -> Second {
        let admitted = self.admit(self.law.rate());
        let end = self.now + at(1.0);
        while self.agenda.peek().is_some_and(|Reverse((next, _))| *next < end) {
            let Some(Reverse((next, happening))) = self.agenda.pop() else { break };
            self.now = next;
            self.happen(happening);
        }
        self.now = end;
        self.give_up();
        self.tell(admitted)
    }

    fn admit(&mut self, rate: f64) -> u64 {
        if !self.crowd {
            return 0;
        }
        self.credit = (self.credit + rate).min(rate + 1.0);
        let count = self.credit.floor() as u64;
        self.credit -= count as f64;
        for i in 0..count {
            let came_in = self.now + i * at(1.0) / count;
            let request = Request { came_in, left: self.visit.requests, asked: came_in };
            self.agenda.push(Reverse((came_in, Happening::Asks(request))));
        }
        count
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Asks(request) => self.ask(Request { asked: self.now, ..request }),
            Happening::Answered(request) => {
                self.working -= 1;
                self.answered(request);
                if let Some(next) = self.waiting.pop_front() {
                    self.work(next);
                }
            }
        }
    }

    fn ask(&mut self, request: Request) {
        self.asked += 1;
        self.reading.asked += 1;
        self.reading.ages_s += (self.now - request.came_in) as f64 / 1e9;
        self.reading.aged += 1;
        if self.upstream.hangs {
            self.hung.push_back(request);
        } else if self.working + self.waiting.len() >= self.upstream.refuses_above {
            self.failed(request);
        } else if self.working >= self.upstream.servers {
            self.waiting.push_back(request);
        } else {
            self.work(request);
        }
    }

    fn work(&mut self, request: Request) {
        self.working += 1;
        let crowding = 1.0 + self.working as f64 / self.upstream.softness;
        let takes_s = self.upstream.service_s * crowding * self.chance.lognormal(self.upstream.spread);
        self.agenda.push(Reverse((self.now + at(takes_s), Happening::Answered(request))));
    }

    fn answered(&mut self, request: Request) {
        self.reading.answered += 1;
        self.reading.latencies.note((self.now - request.asked) as f64 / 1e9);
        self.think(request);
    }

    fn failed(&mut self, request: Request) {
        self.reading.errors += 1;
        self.think(request);
    }

    /// Goes on with the visit, if it is not over.
    fn think(&mut self, request: Request) {
        if request.left > 1 {
            let then = self.now + at(self.chance.exponential(self.visit.think_s));
            self.agenda.push(Reverse((then, Happening::Asks(Request { left: request.left - 1, ..request }))));
        }
    }

    /// Requests that have waited for too long are errors, whoever they wait for.
    fn give_up(&mut self) {
        let long_ago = self.now.saturating_sub(at(TIMEOUT_S));
        while self.waiting.front().is_some_and(|request| request.asked < long_ago) {
            let request = self.waiting.pop_front();
            request.into_iter().for_each(|request| self.failed(request));
        }
        while self.hung.front().is_some_and(|request| request.asked < long_ago || !self.upstream.hangs) {
            let request = self.hung.pop_front();
            request.into_iter().for_each(|request| self.failed(request));
        }
    }

    fn tell(&mut self, admitted: u64) -> Second {
        let mut reading = std::mem::take(&mut self.reading);
        reading.in_flight = (self.working + self.waiting.len() + self.hung.len()) as u64;
        let flow =
            Flow { admitted: admitted as f64, is_wanted: self.crowd, ages_s: reading.ages_s, aged: reading.aged };
        let (errors, in_flight) = (reading.errors, reading.in_flight);
        self.window.push(reading);
        let sample = self.window.sample();
        let rate = self.law.step(&sample, &flow, self.bounds, &self.tolerance);
        Second {
            rate,
            asked: std::mem::take(&mut self.asked),
            errors,
            latency_s: sample.latency_s.unwrap_or(0.0),
            baseline_s: self.law.baseline_s().unwrap_or(0.0),
            in_flight,
            reason: self.law.reason(),
        }
    }
}

/// The mean of something over some seconds.
pub fn mean(seconds: &[Second], of: impl Fn(&Second) -> f64) -> f64 {
    seconds.iter().map(of).sum::<f64>() / seconds.len() as f64
}

/// The means of something over stretches of so many seconds.
pub fn stretches(seconds: &[Second], length: usize, of: impl Fn(&Second) -> f64 + Copy) -> Vec<f64> {
    seconds.chunks_exact(length).map(|stretch| mean(stretch, of)).collect()
}
