//! Memory of Redis for a million who wait, after an hour of an honest sale.

use redis::Commands as _;
use vestibule::line::{Ended, Numbers, Steering, Tick};

use crate::stand::{Chance, START_US, Stand, WAITING, limits, tick};

const RATE: u64 = 50;
const TICKS: u64 = 36_000;
/// How many more than a million join, for those who never show up and lapse.
const NO_SHOWS: u64 = 25_000;
const TICK_US: u64 = 100_000;

/// The visitors of a sale: each is at one of the gateways by chance, one in fifty at two, one in fifty never shows up
/// after joining, twenty a second go for a minute and come back, one in ten ends the session early, and one in two
/// hundred of those called just then would rather leave.
struct Crowd {
    chance: Chance,
    gateways: u64,
    /// Who went, by the second in which they come back.
    away: Vec<(u64, u64)>,
}

impl Crowd {
    fn is_at(&self, gateway: u64, number: u64) -> bool {
        let home = Chance(number).below(self.gateways);
        home == gateway || (has_two_tabs(number) && (home + 1) % self.gateways == gateway)
    }

    fn shows_up(&self, number: u64) -> bool {
        Chance(number ^ 0xabcd).below(50) > 0
    }

    fn of(&self, gateway: u64, numbers: impl Iterator<Item = u64>) -> Numbers {
        numbers.filter(|number| self.is_at(gateway, *number) && self.shows_up(*number)).collect()
    }

    /// What changes at one tick: who came back, and who goes.
    fn stir(&mut self, second: u64, first: u64, last: u64) -> (Vec<u64>, Vec<u64>) {
        let (back, away): (Vec<_>, Vec<_>) = self.away.drain(..).partition(|(at, _)| *at <= second);
        self.away = away;
        let going: Vec<u64> = (0..2).map(|_| first + self.chance.below(last - first)).collect();
        let going: Vec<u64> = going.into_iter().filter(|number| !has_two_tabs(*number)).collect();
        self.away.extend(going.iter().map(|number| (second + 60, *number)));
        (back.into_iter().map(|(_, number)| number).collect(), going)
    }
}

fn has_two_tabs(number: u64) -> bool {
    Chance(number ^ 0x2222).below(50) == 0
}

/// Measures with as many gateways as are asked for; with two, four and sixteen where none are.
pub fn measure() {
    let asked: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let counts = if asked.is_empty() { vec![2, 4, 16] } else { asked };
    counts.into_iter().for_each(after_an_hour);
}

fn after_an_hour(gateways: u64) {
    let mut stand = Stand::start();
    let before = stand.dataset_bytes();
    stand.fill();
    assert!(stand.join(NO_SHOWS) > 0);
    let mut crowd = Crowd { chance: Chance(7), gateways, away: Vec::new() };
    for gateway in 0..gateways {
        let here = crowd.of(gateway, 1..=WAITING + NO_SHOWS);
        let page = stand.tick(Tick { all_here: true, ..tick(gateway, here, stand.mirror.known()) });
        assert!(page.vouched, "it was heard");
    }
    stand.steer(&Steering::Limits(limits(RATE as f64, RATE / 10)));
    (1..=TICKS).for_each(|count| one_tick(&mut stand, &mut crowd, count));
    print_memory(&mut stand, gateways, before);
}

/// Five join, everybody ticks, and five are called.
fn one_tick(stand: &mut Stand, crowd: &mut Crowd, count: u64) {
    let second = count * TICK_US / 1_000_000;
    let joined = stand.join(RATE / 10);
    let first = stand.mirror.waiting.iter_from(0).next().unwrap_or(joined);
    let (back, going) = crowd.stir(second, first, joined);
    let ended_s = START_US / 1_000_000 + second + 300;
    let early = stand.mirror.called.count().saturating_sub(RATE * 300);
    for gateway in 0..crowd.gateways {
        stand.clock.advance_us(TICK_US / crowd.gateways);
        let came = joined..joined + RATE / 10;
        let here = crowd.of(gateway, came.chain(back.iter().copied()));
        let gone = crowd.of(gateway, going.iter().copied());
        let left = crowd.of(gateway, going.iter().copied().filter(|number| number % 200 == 0));
        let ended = crowd.of(gateway, (early..early + RATE / 10).filter(|number| number % 10 == 0));
        let ended = (!ended.is_empty()).then_some(Ended { ends_s: ended_s, numbers: ended }).into_iter().collect();
        stand.tick(Tick { gone, left, ended, ..tick(gateway, here, stand.mirror.known()) });
    }
}

fn print_memory(stand: &mut Stand, gateways: u64, before: f64) {
    let keys: Vec<String> = stand.server.scan().expect("keys").map(|key| key.expect("a key")).collect();
    let mut sum = 0;
    println!("\n{gateways} gateways, after an hour at {RATE} admissions a second:");
    for key in keys {
        let bytes: u64 =
            redis::cmd("MEMORY").arg(&["USAGE", &key, "SAMPLES", "0"]).query(&mut stand.server).expect("bytes");
        println!("{bytes:>10}  {key}");
        sum += bytes;
    }
    let waiting = stand.mirror.waiting.count();
    let active = stand.mirror.active(stand.clock.now_us() / 1_000_000);
    let used = stand.dataset_bytes() - before;
    println!(
        "waiting {waiting}, given {}, called {}, in session {active}",
        stand.mirror.issued,
        stand.mirror.called.count()
    );
    println!(
        "all keys {:.3} bytes for each who waits; used_memory_dataset but for Lua's heap grew by {:.3}",
        sum as f64 / waiting as f64,
        used / waiting as f64
    );
}
