//! The ticker: a few calls to the store for each room and tick, however many wait.
//!
//! Any gateway may tick, none leads: a tick that comes right after another's finds nothing to call.
//! call ─► mirror ─► live connections, metrics.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission;
use crate::line::{Entry, News, Numbers, Page, Roll, StoreFault, Tick};
use crate::mirror::Taken;
use crate::room::{Room, timed};

/// The longest time between two ticks.
pub const TICK: Duration = Duration::from_millis(100);

/// The shortest time between two ticks, however often somebody nudges.
const LEAST: Duration = Duration::from_millis(10);

/// Ticks until `stop`, then once more, so that the store hears who has gone.
pub async fn run(room: Arc<Room>, stop: CancellationToken) {
    let mut last = Instant::now();
    while !stop.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(pause(&room)) => {}
            () = room.nudge.notified() => {}
            () = stop.cancelled() => {}
        }
        tokio::time::sleep_until(last + LEAST).await;
        tick(&room).await;
        room.draw_when_due();
        room.ticked.notify_waiters();
        room.live.nudge_next(last.elapsed().as_secs_f64());
        last = Instant::now();
    }
}

/// The time until the next tick. A rate slower than the ticks is met to the millisecond; for a
/// faster one, what a late tick missed is within the burst.
fn pause(room: &Room) -> Duration {
    let now_us = room.shared.clock.now_us();
    let due_us = room.mirror.read(|roll| {
        let limits = roll.settings.as_ref().map(|settings| &settings.limits);
        let slow = limits.filter(|limits| Duration::from_micros(limits.interval_us) > TICK && roll.waiting.count() > 0);
        slow.map_or(0, |limits| admission::wait_us(roll.tat_us, now_us, limits))
    });
    match Duration::from_micros(due_us) {
        due if due.is_zero() => TICK,
        due => due.clamp(Duration::from_millis(1), TICK),
    }
}

/// Ticks once.
pub async fn tick(room: &Room) {
    let was_up = room.store_is_up();
    match exchange(room).await {
        Ok(taken) => {
            if !was_up {
                tracing::info!(room = %room.rules.name, "the line's store answers");
                room.set_store_up(true);
                room.live.nudge_all();
            }
            tell(room, &taken);
        }
        Err(fault) => {
            if was_up {
                tracing::error!(room = %room.rules.name, %fault, "the line rests until its store answers");
                room.live.nudge_all();
            }
            room.set_store_up(false);
        }
    }
    measure(room);
}

async fn exchange(room: &Room) -> Result<Taken, StoreFault> {
    let shared = &room.shared;
    let tick = room.take_tick(shared.clock.now_ms());
    let page = match timed(&shared.metrics, "tick", shared.store.tick(&room.rules.name, &tick)).await {
        Ok(page) => page,
        Err(fault) => {
            room.put_back(tick);
            return Err(fault);
        }
    };
    take(room, tick, page).await
}

async fn take(room: &Room, tick: Tick, page: Page) -> Result<Taken, StoreFault> {
    room.set_present(page.present);
    room.set_line_now(page.now_us);
    if !page.vouched {
        room.presence.forget_told();
    }
    let is_new = room.mirror.known().epoch == 0;
    match page.news {
        News::Entries(entries) => {
            if entries.iter().any(Entry::is_drawn) {
                room.put_back(tick);
                room.presence.forget_told();
            }
            Ok(room.mirror.take(entries))
        }
        News::Roll(roll) if is_new => Ok(room.mirror.replace(*roll)),
        News::Roll(_) | News::Behind => {
            room.put_back(tick);
            restore(room).await
        }
    }
}

/// Offers the mirror to a store that knows less, or to one of a newer epoch that may lack what this
/// mirror remembers.
async fn restore(room: &Room) -> Result<Taken, StoreFault> {
    let shared = &room.shared;
    let offered = room.mirror.read(Roll::clone);
    let roll = timed(&shared.metrics, "restore", shared.store.restore(&room.rules.name, &offered)).await?;
    tracing::warn!(room = %room.rules.name, epoch = roll.epoch(), "the line was restored from this gateway's mirror");
    shared.metrics.restores.inc();
    room.presence.forget_told();
    Ok(room.mirror.replace(roll))
}

fn tell(room: &Room, taken: &Taken) {
    let called = taken.called.iter().cloned();
    called.for_each(|called| room.live.nudge(&room.mirror.read(|roll| roll.numbers(called))));
    if taken.resettled {
        room.live.nudge_all();
    }
    let (metrics, label) = (&room.shared.metrics, [room.rules.name.as_str()]);
    metrics.arrivals.with_label_values(&label).inc_by(taken.arrived);
    metrics.admissions.with_label_values(&label).inc_by(taken.called.iter().map(Numbers::len).sum());
    metrics.left.with_label_values(&label).inc_by(taken.left);
    metrics.lapsed.with_label_values(&label).inc_by(taken.lapsed);
    let waits = metrics.wait_seconds.with_label_values(&label);
    for (seconds, count) in &taken.waits {
        (0..*count).for_each(|_| waits.observe(*seconds));
    }
    let errors = metrics.eta_error_ratio.with_label_values(&label);
    for (ratio, count) in &taken.eta_errors {
        (0..*count).for_each(|_| errors.observe(*ratio));
    }
}

fn measure(room: &Room) {
    let (metrics, label) = (&room.shared.metrics, [room.rules.name.as_str()]);
    let now_s = room.shared.clock.now_ms() / 1_000;
    let (waiting, active, limit) = room.mirror.read(|roll| {
        let limits = roll.settings.as_ref().map(|settings| &settings.limits);
        (roll.waiting.count(), roll.active(now_s), limits.and_then(|limits| limits.admissions_per_second()))
    });
    metrics.waiting.with_label_values(&label).set(waiting as i64);
    metrics.present.with_label_values(&label).set(room.present() as i64);
    metrics.active_sessions.with_label_values(&label).set(active as i64);
    metrics.rate_limit.with_label_values(&label).set(limit.unwrap_or(-1.0));
    metrics.live_connections.with_label_values(&label).set(room.live.count() as i64);
}
