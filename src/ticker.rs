//! The ticker: a few calls to the store for each room and tick, however many wait.
//!
//! Any gateway may tick, none leads: a tick that comes right after another's finds nothing to call.
//! call ─► mirror ─► live connections, metrics.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::adaptive::Reason;
use crate::admission;
use crate::line::{Entry, News, Number, Numbers, Page, Phase, Roll, StoreFault, Tick};
use crate::mirror::Taken;
use crate::room::{Line, Room, timed};
use crate::schedule::Stage;

/// The longest time between two ticks.
pub const TICK: Duration = Duration::from_millis(100);

/// The shortest time between two ticks, however often somebody nudges.
const LEAST: Duration = Duration::from_millis(10);

/// Ticks until `stop`, then once more, so that the store hears who has gone.
pub async fn run(room: Arc<Room>, stop: CancellationToken) {
    let mut last = Instant::now();
    // The line goes on to tick while lots are drawn; a stop ends the drawing, and another gateway makes it.
    let mut drawing = JoinSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause(&room)) => {}
            () = room.nudge.notified() => {}
            () = stop.cancelled() => {}
        }
        let is_last = stop.is_cancelled();
        tokio::time::sleep_until(last + LEAST).await;
        tick(&room).await;
        while drawing.try_join_next().is_some() {}
        if drawing.is_empty() && room.is_draw_due() {
            let room = Arc::clone(&room);
            drawing.spawn(async move { room.make_draw().await });
        }
        room.ticked.notify_waiters();
        room.live.nudge_next(last.elapsed().as_secs_f64(), room.present());
        last = Instant::now();
        if is_last {
            return;
        }
    }
}

/// The time until the next tick. A rate slower than the ticks is met to the millisecond; for a
/// faster one, what a late tick missed is within the burst.
fn pause(room: &Room) -> Duration {
    let now_us = room.line_now().earliest_ms * 1_000;
    let due_us = room.mirror.read(|roll| {
        let limits = roll.limits();
        let slow = limits.filter(|limits| Duration::from_micros(limits.interval_us) > TICK && roll.waiting.count() > 0);
        slow.map_or(0, |limits| admission::wait_us(roll.tat_us, now_us, &limits))
    });
    match Duration::from_micros(due_us) {
        due if due.is_zero() => TICK,
        due => due.clamp(Duration::from_millis(1), TICK),
    }
}

/// Ticks once.
pub async fn tick(room: &Room) {
    let was_up = room.store_is_up();
    let exchanged = exchange(room).await;
    room.note_heard(exchanged.is_ok());
    match exchanged {
        Ok(taken) => {
            if !was_up {
                tracing::info!(room = %room.rules.name, "the line's store answers");
                room.set_store_up(true);
                room.live.nudge_all();
            }
            tell(room, &taken);
            make_again(room).await;
        }
        Err(fault) => {
            if was_up {
                tracing::error!(room = %room.rules.name, %fault, "the line rests until its store answers");
                room.live.nudge_all();
            }
            room.set_store_up(false);
        }
    }
    pace(room);
    room.learn(room.shared.clock.steady_s());
    measure(room);
}

/// Makes a room again that its store has lost, with nobody left who remembers its settings, and promises its draw again
/// where the promise was lost with it. The next tick sees it.
async fn make_again(room: &Room) {
    let is_made = room.mirror.read(|roll| roll.settings.is_some());
    if !is_made && let Err(fault) = room.make().await {
        tracing::error!(room = %room.rules.name, %fault, "the room is not made yet");
    }
    if room.lacks_promise()
        && let Err(fault) = room.promise_draw().await
    {
        tracing::error!(room = %room.rules.name, %fault, "no draw is promised yet");
    }
}

/// Lets the room think about its pace, and tells how the upstream does.
fn pace(room: &Room) {
    let (steady_us, line_now) = (room.shared.clock.steady_us(), room.line_now());
    let line = room.mirror.read(|roll| {
        let settings = roll.settings.as_ref()?;
        let active = roll.active(line_now.latest_s());
        let is_running = settings.limits.schedule.stage_between(line_now) == Stage::Running && roll.pending.is_none();
        let has_session = settings.limits.total_active_users.is_none_or(|most| active < most);
        Some(Line {
            limits: settings.limits.clone(),
            in_force: roll.limits()?,
            called: roll.tally.called,
            present: room.present(),
            is_free: settings.phase.calls() && is_running && has_session,
        })
    });
    if line.is_some_and(|line| room.pacing.beat(&room.health, &line, &room.rules.tolerance, steady_us)) {
        measure_upstream(room);
    }
}

fn measure_upstream(room: &Room) {
    let (metrics, room_name) = (&room.shared.metrics, room.rules.name.as_str());
    let (sample, account) = (room.pacing.sample(), room.pacing.account());
    metrics.upstream_latency.with_label_values(&[room_name]).set(sample.latency_s.unwrap_or(f64::NAN));
    metrics.upstream_errors.with_label_values(&[room_name]).set(sample.errors);
    metrics.upstream_in_flight.with_label_values(&[room_name]).set(sample.in_flight as i64);
    let baseline_ms = account.as_ref().and_then(|account| account.baseline_ms);
    metrics.upstream_baseline.with_label_values(&[room_name]).set(baseline_ms.map_or(f64::NAN, |ms| ms / 1_000.0));
    let (wish, bounds, reason) = match &account {
        Some(account) => (account.wish, [account.floor, account.ceiling], Some(account.reason)),
        None => (-1.0, [-1.0; 2], None),
    };
    metrics.adaptive_rate.with_label_values(&[room_name]).set(wish);
    for (bound, value) in ["floor", "ceiling"].into_iter().zip(bounds) {
        metrics.adaptive_bound.with_label_values(&[room_name, bound]).set(value);
    }
    for known in Reason::ALL {
        let is_it = reason == Some(known);
        metrics.adaptive_reason.with_label_values(&[room_name, known.word()]).set(is_it.into());
    }
}

async fn exchange(room: &Room) -> Result<Taken, StoreFault> {
    let shared = &room.shared;
    let tick = room.take_tick();
    let said = room.mirror.in_places(tick.clone()).await;
    let asked_us = shared.clock.steady_us();
    let page = match timed(&shared.metrics, "tick", shared.store.tick(&room.rules.name, &said)).await {
        Ok(page) => page,
        Err(fault) => {
            room.put_back(tick);
            return Err(fault);
        }
    };
    room.hear_line_clock(page.now_us, asked_us);
    let mut taken = take(room, tick, page).await?;
    if let Some(number) = room.take_recalled()
        && recall(room, number).await
    {
        taken.resettled = true;
    }
    Ok(taken)
}

async fn take(room: &Room, tick: Tick, page: Page) -> Result<Taken, StoreFault> {
    room.set_present(page.present);
    if !page.vouched {
        room.presence.forget_told();
    }
    let is_new = room.mirror.known().epoch == 0;
    match page.news {
        News::Entries(entries) => {
            if entries.iter().any(Entry::is_drawn) {
                room.put_back(tick);
            } else if page.held {
                room.hold(tick.of_places());
            }
            Ok(room.mirror.follow(entries).await)
        }
        News::Roll(roll) if is_new => Ok(room.mirror.replace(*roll)),
        News::Roll(_) | News::Behind => {
            room.put_back(tick);
            restore(room).await
        }
    }
}

/// Brings back a line of which nothing is left but the tickets: its numbers are taken as given, and each place is
/// given back to whoever returns for it. Only the line that this gateway follows gives way: another, which the store has made
/// since, may have been made in place of this one. Tells whether it is back, and followed from now on.
async fn recall(room: &Room, number: Number) -> bool {
    let young = room.mirror.known().epoch;
    let offered = offer(room, &Roll::bygone(number, young)).await.inspect_err(|_| room.recall(number));
    match offered {
        Ok(roll) if roll.is_back_for(young) => {
            room.presence.forget_told();
            room.mirror.replace(roll);
            true
        }
        _ => false,
    }
}

/// Makes good what the store has lost, or what one of a newer epoch may lack, and takes the line as it is then.
async fn restore(room: &Room) -> Result<Taken, StoreFault> {
    let roll = offer(room, &room.mirror.read(Roll::clone)).await?;
    room.presence.forget_told();
    Ok(room.mirror.replace(roll))
}

/// Offers what is known, by the mirror or by a ticket, to a store that may know less.
async fn offer(room: &Room, known: &Roll) -> Result<Roll, StoreFault> {
    let shared = &room.shared;
    let roll = timed(&shared.metrics, "restore", shared.store.restore(&room.rules.name, known)).await?;
    tracing::warn!(room = %room.rules.name, epoch = roll.epoch(), "the line was restored from what was known here");
    shared.metrics.restores.inc();
    Ok(roll)
}

fn tell(room: &Room, taken: &Taken) {
    let called = taken.called.iter().cloned();
    let lots = room.mirror.read(Roll::lots);
    called.for_each(|called| room.live.nudge(&lots.numbers(called)));
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
    let steady_s = room.shared.clock.steady_s();
    room.waits.add(&taken.waits, steady_s);
    room.eta_errors.add(&taken.eta_errors, steady_s);
}

fn measure(room: &Room) {
    let (metrics, label) = (&room.shared.metrics, [room.rules.name.as_str()]);
    let now_s = room.line_now().latest_s();
    let (waiting, active, limit, phase) = room.mirror.read(|roll| {
        let limits = roll.limits().and_then(|limits| limits.admissions_per_second());
        (roll.waiting.count(), roll.active(now_s), limits, roll.settings.as_ref().map(|settings| settings.phase))
    });
    for known in Phase::ALL {
        metrics.phase.with_label_values(&[label[0], known.name()]).set((phase == Some(known)).into());
    }
    metrics.waiting.with_label_values(&label).set(waiting as i64);
    metrics.present.with_label_values(&label).set(room.present() as i64);
    metrics.active_sessions.with_label_values(&label).set(active as i64);
    metrics.rate_limit.with_label_values(&label).set(limit.unwrap_or(-1.0));
    metrics.live_connections.with_label_values(&label).set(room.live.count() as i64);
    let ahead_s = room.line_now().ahead_of_s(room.shared.clock.now_ms());
    metrics.clock_ahead.with_label_values(&label).set(ahead_s);
}
