//! Memory of Redis for a million who wait, after an hour of an honest sale.

use std::collections::BTreeSet;
use std::ops::Range;

use redis::Commands as _;
use vestibule::line::{Numbers, Roll, Slots, Steering, Tick};

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
    /// The gateways that were not heard, because of a muster: they say all with their next tick.
    unheard: BTreeSet<u64>,
}

impl Crowd {
    fn is_at(&self, gateway: u64, number: u64) -> bool {
        let home = Chance(number).below(self.gateways);
        home == gateway || (has_two_tabs(number) && (home + 1) % self.gateways == gateway)
    }

    fn shows_up(&self, number: u64) -> bool {
        Chance(number ^ 0xabcd).below(50) > 0
    }

    /// Whom a gateway names when it says all who are with it, those included who have just come.
    fn all_of(&self, gateway: u64, roll: &Roll, came: Range<u64>) -> Numbers {
        let away: BTreeSet<u64> = self.away.iter().map(|(_, number)| *number).collect();
        let first = came.start;
        let waiting = roll.waiting.iter_from(0).take_while(|number| *number < first);
        self.of(gateway, waiting.chain(came).filter(|number| !away.contains(number)))
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
    let mut crowd = Crowd { chance: Chance(7), gateways, away: Vec::new(), unheard: BTreeSet::new() };
    for gateway in 0..gateways {
        let here = crowd.of(gateway, 1..=WAITING + NO_SHOWS);
        let page = stand.tick(Tick { all_here: true, ..tick(gateway, here, stand.mirror.known()) });
        assert!(page.vouched, "it was heard");
    }
    stand.steer(&Steering::Limits(limits(RATE as f64, RATE / 10)));
    let most = (1..=TICKS).fold(0.0, |most: f64, count| most.max(one_tick(&mut stand, &mut crowd, count)));
    print_memory(&mut stand, gateways, before);
    println!("at most, while a muster went on: {most:.3}");
}

/// Five join, everybody ticks, and five are called. Returns the bytes for each who waits, if a muster goes on.
fn one_tick(stand: &mut Stand, crowd: &mut Crowd, count: u64) -> f64 {
    let mut most: f64 = 0.0;
    let second = count * TICK_US / 1_000_000;
    let joined = stand.join(RATE / 10);
    let first = stand.mirror.waiting.iter_from(0).next().unwrap_or(joined);
    let (back, going) = crowd.stir(second, first, joined);
    let ended_s = START_US / 1_000_000 + second + 300;
    let early = stand.mirror.called.count().saturating_sub(RATE * 300);
    for gateway in 0..crowd.gateways {
        stand.clock.advance_us(TICK_US / crowd.gateways);
        let came = joined..joined + RATE / 10;
        let here = crowd.of(gateway, came.clone().chain(back.iter().copied()));
        let gone = crowd.of(gateway, going.iter().copied());
        let left = crowd.of(gateway, going.iter().copied().filter(|number| number % 200 == 0));
        let ended = crowd.of(gateway, (early..early + RATE / 10).filter(|number| number % 10 == 0));
        let ended = (!ended.is_empty()).then_some(Slots { ends_s: ended_s, numbers: ended }).into_iter().collect();
        let all_here = crowd.unheard.remove(&gateway);
        let here = if all_here { crowd.all_of(gateway, &stand.mirror, came) } else { here };
        let page = stand.tick(Tick { all_here, gone, left, ended, ..tick(gateway, here, stand.mirror.known()) });
        if !page.vouched {
            crowd.unheard.insert(gateway);
        }
        if !crowd.unheard.is_empty() {
            let sum: u64 = keys_with_bytes(stand).iter().map(|(_, bytes)| bytes).sum();
            most = most.max(sum as f64 / stand.mirror.waiting.count() as f64);
        }
    }
    most
}

fn keys_with_bytes(stand: &mut Stand) -> Vec<(String, u64)> {
    let keys: Vec<String> = stand.server.scan().expect("keys").map(|key| key.expect("a key")).collect();
    let bytes_of = |key: &String| {
        redis::cmd("MEMORY").arg(&["USAGE", key, "SAMPLES", "0"]).query(&mut stand.server).expect("bytes")
    };
    let bytes: Vec<u64> = keys.iter().map(bytes_of).collect();
    keys.into_iter().zip(bytes).collect()
}

fn print_memory(stand: &mut Stand, gateways: u64, before: f64) {
    let keys = keys_with_bytes(stand);
    println!("\n{gateways} gateways, after an hour at {RATE} admissions a second:");
    keys.iter().for_each(|(key, bytes)| println!("{bytes:>10}  {key}"));
    let sum: u64 = keys.iter().map(|(_, bytes)| bytes).sum();
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
