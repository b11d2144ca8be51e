//! The same line as a sorted set in the same Redis, as other waiting rooms keep it: a member for each visitor, scored by
//! arrival. It knows neither who is here nor what happened, so it does less.

use redis::Pipeline;
use vestibule::line::{Known, Numbers, Steering};

use crate::stand::{Chance, Stand, WAITING, limits, tick};

const KEY: &str = "as-others-do";
const BATCH: u64 = 1_000;
const ROUNDS: u64 = 50;

/// What a line of a million costs: bytes of Redis for each visitor, and microseconds of Redis's time for each who joins, asks
/// for the position, or is called.
struct Costs {
    bytes: f64,
    join_us: f64,
    position_us: f64,
    call_us: f64,
}

/// Measures both, and prints by how many times ours costs less.
pub fn measure() {
    let (ours, theirs) = (bitmaps(), sorted_set());
    println!("\n| a million waiting | sorted set | Vestibule | times less |\n|---|--:|--:|--:|");
    row("bytes of Redis for each who waits", theirs.bytes, ours.bytes);
    row("Redis's µs for each who joins", theirs.join_us, ours.join_us);
    row("Redis's µs for each position", theirs.position_us, ours.position_us);
    row("Redis's µs for each who is called", theirs.call_us, ours.call_us);
}

fn row(what: &str, theirs: f64, ours: f64) {
    let less = if ours > 0.0 { format!("{:.0}", theirs / ours) } else { "all".to_owned() };
    println!("| {what} | {theirs:.3} | {ours:.3} | {less} |");
}

fn bitmaps() -> Costs {
    let mut stand = Stand::start();
    let before = stand.dataset_bytes();
    stand.fill();
    stand.tick(tick(1, Numbers::run(1, WAITING), Known::default()));
    let bytes = (stand.dataset_bytes() - before) / WAITING as f64;
    let join_us = each(ROUNDS, || stand.redis_us(|stand| assert!(stand.join(BATCH) > 0)));
    stand.steer(&Steering::Limits(limits(10_000.0, BATCH)));
    let call_us = each(ROUNDS, || {
        stand.clock.advance_ms(100);
        stand.redis_us(|stand| drop(stand.tick(tick(1, Numbers::default(), Known::default()))))
    });
    assert_eq!(stand.mirror.called.count(), ROUNDS * BATCH, "a thousand were called each time");
    // A gateway counts the bits of its own copy.
    Costs { bytes, join_us, position_us: 0.0, call_us }
}

fn sorted_set() -> Costs {
    let mut stand = Stand::start();
    let before = stand.dataset_bytes();
    (0..WAITING / BATCH).for_each(|batch| add(&mut stand, batch, false));
    let bytes = (stand.dataset_bytes() - before) / WAITING as f64;
    let mut batch = WAITING / BATCH;
    let join_us = each(ROUNDS, || {
        batch += 1;
        stand.redis_us(|stand| add(stand, batch, true))
    });
    let position_us = each(ROUNDS, || {
        let mut asks = Pipeline::new();
        for i in 0..BATCH {
            asks.cmd("ZRANK").arg(KEY).arg(member(Chance(i).below(WAITING)));
        }
        stand.redis_us(|stand| asks.exec(&mut stand.server).expect("ranks"))
    });
    let call_us = each(ROUNDS, || {
        stand.redis_us(|stand| redis::cmd("ZPOPMIN").arg(KEY).arg(BATCH).exec(&mut stand.server).expect("a thousand"))
    });
    Costs { bytes, join_us, position_us, call_us }
}

/// A batch joins, and each is told the position if that is asked for.
fn add(stand: &mut Stand, batch: u64, is_told: bool) {
    let mut joins = Pipeline::new();
    for number in batch * BATCH..(batch + 1) * BATCH {
        joins.cmd("ZADD").arg(KEY).arg("NX").arg(number).arg(member(number)).ignore();
        if is_told {
            joins.cmd("ZRANK").arg(KEY).arg(member(number)).ignore();
        }
    }
    joins.exec(&mut stand.server).expect("joins");
}

/// The id of a visitor, 128 bits in hexadecimal digits.
fn member(number: u64) -> String {
    format!("{:016x}{:016x}", Chance(number).next(), number)
}

/// The mean for each visitor of so many batches.
fn each(rounds: u64, mut batch_us: impl FnMut() -> f64) -> f64 {
    (0..rounds).map(|_| batch_us()).sum::<f64>() / (rounds * BATCH) as f64
}
