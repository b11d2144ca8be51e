//! Time of Redis with a million who wait.

use vestibule::line::{Known, Numbers, Roll, Steering, Tick};

use crate::stand::{Chance, Stand, WAITING, limits, tick};

const ROUNDS: usize = 200;

/// Times calls over who is present, then everything else that may be large.
pub fn measure() {
    println!("\ntime of Redis at a million waiting, in ms: p50, p99, max");
    call("call of 1,000, everybody here", |_| true);
    call("call of 1,000, every second away", |number| number % 2 == 0);
    call("call of 1,000, half away at random", |number| Chance(number).below(2) == 0);
    call("call of 1,000, nine in ten away at random", |number| Chance(number).below(10) == 0);
    call("call of 1,000, the first 500,000 away", |number| number > 500_000);
    presence();
    lapses();
    reset();
    joins();
}

fn filled(is_here: impl Fn(u64) -> bool) -> Stand {
    let mut stand = Stand::start();
    stand.fill();
    // Nobody is at the door any more when the calls begin.
    (0..3).for_each(|_| {
        stand.clock.advance_ms(6_000);
        stand.tick(tick(1, (1..=WAITING).filter(|number| is_here(*number)).collect(), Known::default()));
    });
    stand
}

fn call(what: &str, is_here: impl Fn(u64) -> bool) {
    let mut stand = filled(is_here);
    stand.steer(&Steering::Limits(limits(10_000.0, 1_000)));
    // Nine in ten away leave a hundred thousand to call.
    let times = (0..ROUNDS.min(90)).map(|_| {
        stand.clock.advance_ms(100);
        let before = stand.mirror.called.count();
        let time = stand.redis_us(|stand| drop(stand.tick(tick(1, Numbers::default(), Known::default()))));
        assert_eq!(stand.mirror.called.count(), before + 1_000, "a thousand were called");
        time
    });
    print(what, times.collect());
}

fn presence() {
    let mut stand = filled(|_| false);
    let third = |from: u64| -> Numbers { (from..=WAITING).step_by(3).collect() };
    let (mut came, mut went) = (Vec::new(), Vec::new());
    for round in 0..30 {
        let here = tick(1, third(1 + round % 3), Known::default());
        came.push(stand.redis_us(|stand| drop(stand.tick(here))));
        let gone = Tick { gone: third(1 + round % 3), ..tick(1, Numbers::default(), Known::default()) };
        went.push(stand.redis_us(|stand| drop(stand.tick(gone))));
    }
    print("333,333 come, no two of them neighbours", came);
    print("333,333 go, no two of them neighbours", went);
    let leave = |round: u64| {
        let left: Numbers = (1 + round * 8_192..=(round + 1) * 8_192).step_by(2).collect();
        let left = Tick { left, ..tick(1, Numbers::default(), Known::default()) };
        stand.redis_us(|stand| drop(stand.tick(left)))
    };
    print("4,096 leave, no two of them neighbours", (0..30).map(leave).collect());
}

/// Every third was never seen, and lapses.
fn lapses() {
    let mut stand = filled(|number| number % 3 > 0);
    let mut times = Vec::new();
    stand.clock.advance_ms(110_000);
    let before = stand.mirror.tally.lapsed;
    stand.tick(tick(1, (1..=WAITING).filter(|number| number % 3 > 0).collect(), Known::default()));
    for _ in 0..300 {
        stand.clock.advance_ms(1_000);
        let lapsed = stand.mirror.tally.lapsed;
        let time = stand.redis_us(|stand| drop(stand.tick(tick(1, Numbers::default(), Known::default()))));
        times.extend((stand.mirror.tally.lapsed > lapsed).then_some(time));
    }
    println!("{} lapsed", stand.mirror.tally.lapsed - before);
    print("tick in which 2,000 lapse, no two of them neighbours", times);
}

fn reset() {
    let mut stand = filled(|_| true);
    let left: Vec<Numbers> = (0..80).map(|i| (i * 12_288 + 1..(i + 1) * 12_288).step_by(3).collect()).collect();
    for left in left {
        stand.tick(Tick { left, ..tick(1, Numbers::default(), Known::default()) });
    }
    let waiting = stand.mirror.waiting.count();
    let time = stand.redis_us(|stand| stand.steer(&Steering::Reset));
    print(&format!("reset of {waiting}, no three of them neighbours"), vec![time]);
}

fn joins() {
    for count in [1, 1_000, 65_536] {
        let mut stand = filled(|_| true);
        let times = (0..15).map(|_| stand.redis_us(|stand| assert!(stand.join(count) > 0)));
        print(&format!("join of {count}"), times.collect());
    }
    let mut stand = filled(|_| true);
    let quiet =
        (0..ROUNDS).map(|_| stand.redis_us(|stand| drop(stand.tick(tick(1, Numbers::default(), Known::default())))));
    print("tick in which nothing happens", quiet.collect());
    let mut stand = filled(|_| true);
    let reads = (0..15).map(|_| stand.redis_us(|stand| drop(stand.restore(&Roll::default()))));
    print("reading the whole roll", reads.collect());
}

fn print(what: &str, mut us: Vec<f64>) {
    us.sort_by(f64::total_cmp);
    let at = |part: f64| us[((us.len() - 1) as f64 * part).round() as usize] / 1_000.0;
    println!("{what}: {:.2}, {:.2}, {:.2}", at(0.5), at(0.99), at(1.0));
}
