//! While lots are drawn the line goes on: nobody waits for the half second that a million take, and however many
//! leave meanwhile, the draw is made.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::poll;
use vestibule::admission::Limits;
use vestibule::clock::Clock;
use vestibule::line::draw::{Draw, DrawStep, Promise, Reveal};
use vestibule::line::embedded::Embedded;
use vestibule::line::redis::RedisLine;
use vestibule::line::{Entry, Joined, LineStore, Numbers, Roll, RoomName, Standing, Steering, Tick};
use vestibule::mirror::Mirror;
use vestibule::schedule::Schedule;
use vestibule::ticker;

use super::crew::room_on;
use super::redis_faults::before_scripts;
use super::{START_MS, fresh_room, limits, tick};
use crate::redis_server::RedisServer;

/// As many as take so long that what is to happen meanwhile happens meanwhile.
const MANY: u64 = 60_000;

/// Through how many gateways people leave at once.
const LEAVERS: usize = 16;

const SEED: [u8; 32] = [7; 32];

fn reveal() -> Reveal {
    Reveal { seed: SEED, public_value: None }
}

/// A room whose entries are just closed, with as many of them.
async fn closed(store: &dyn LineStore, clock: &Clock, count: u64) -> RoomName {
    let room = gathering(store, count).await;
    clock.advance_ms(5_000);
    store.tick(&room, &tick(1)).await.expect("a tick");
    room
}

/// A room with a promised draw and as many entries.
async fn gathering(store: &dyn LineStore, count: u64) -> RoomName {
    let room = fresh_room();
    let schedule = Schedule { starts_ms: Some(START_MS + 5_000), ..Schedule::ALWAYS };
    let promise = Promise::of(&SEED, "root".to_owned(), [0; 16], None);
    for steering in [Steering::Configure(Limits { schedule, ..limits(0.0, 1) }), Steering::Promise(promise)] {
        store.steer(&room, &steering).await.expect("a steering");
    }
    store.join(&room, count).await.expect("a join");
    room
}

async fn roll(store: &dyn LineStore, room: &RoomName) -> Roll {
    store.restore(room, &Roll::default()).await.expect("a roll")
}

#[tokio::test]
async fn the_embedded_line_goes_on_while_lots_are_drawn() {
    let clock = Clock::manual(START_MS);
    let store = Embedded::open(None, clock.clone()).expect("in memory");
    let room = closed(&store, &clock, MANY).await;
    let steering = Steering::Draw(reveal());
    let mut drawing = pin!(store.steer(&room, &steering));
    assert!(poll!(&mut drawing).is_pending(), "this thread is free");
    assert_eq!(store.join(&room, 1).await.expect("a join").first, MANY + 1);
    let before = roll(&store, &room).await;
    assert!(before.pending.is_some(), "the draw is still made");
    store.tick(&room, &Tick { left: Numbers::run(5, 9), known: before.known(), ..tick(1) }).await.expect("a tick");
    let epoch = before.epoch();
    drawing.await.expect("a draw");
    let after = roll(&store, &room).await;
    assert_eq!((after.draws.len(), after.pending.as_ref(), after.waiting.count()), (1, None, MANY - 4));
    assert!((5..=9).all(|number| after.standing(epoch, number, 0) == Standing::Over), "they left, and not others");
}

/// A mirror of a line with many entries, and the entry that draws their order.
fn mirrored() -> (Mirror, Entry) {
    let mut roll = Roll::default();
    roll.apply(&Entry { seq: 1, epoch: 7, issued: MANY, ..Entry::default() });
    let draw = Draw { reveal: reveal(), first: 1, last: MANY };
    let drawn = Entry { seq: 2, epoch: 7, issued: MANY, draw: Some(DrawStep::Drawn(draw)), ..Entry::default() };
    let mirror = Mirror::default();
    mirror.replace(roll);
    (mirror, drawn)
}

#[tokio::test]
async fn a_mirror_is_read_and_told_of_joins_while_it_takes_in_a_draw() {
    let (mirror, drawn) = mirrored();
    let mut expected = mirror.read(Roll::clone);
    let mut following = pin!(mirror.follow(vec![drawn.clone()]));
    assert!(poll!(&mut following).is_pending(), "this thread is free");
    let joined = Joined { epoch: 7, first: MANY + 1, count: 2, admitted: 0, ends_s: 0, at_us: 0 };
    mirror.note(&joined);
    assert_eq!(mirror.read(|roll| roll.drawn_seq), 0, "the draw is still made");
    assert!(following.await.resettled);
    expected.apply(&drawn);
    expected.note(&joined);
    assert_eq!(mirror.read(Roll::clone), expected, "those who were noted meanwhile among them");
}

#[tokio::test]
async fn many_are_told_by_place_while_the_mirror_is_read_and_written() {
    let (mirror, drawn) = mirrored();
    mirror.follow(vec![drawn]).await;
    let everyone = Tick { here: Numbers::run(1, MANY), left: Numbers::run(7, 7), ..tick(1) };
    let mut saying = pin!(mirror.in_places(everyone.clone()));
    assert!(poll!(&mut saying).is_pending(), "this thread is free");
    mirror.note(&Joined { epoch: 7, first: MANY + 1, count: 1, admitted: 0, ends_s: 0, at_us: 0 });
    let said = saying.await;
    assert_eq!((said.here, said.known.seq), (everyone.here, 2), "everyone has a place");
    let place = mirror.read(|roll| roll.place(7));
    assert_eq!(said.left, Numbers::run(place, place));
}

/// One after the other leaves, through a gateway of their own, until the draw is made. Returns who has left.
async fn leaving(
    clock: Clock,
    room: RoomName,
    mut numbers: impl Iterator<Item = u64>,
    is_over: Arc<AtomicBool>,
) -> Numbers {
    let store =
        RedisLine::connect_with_clock(&RedisServer::shared().url(), Duration::from_secs(10), clock.clone()).await;
    let room = room_on(store.expect("the server runs"), &room, clock);
    ticker::tick(&room).await;
    let mut gone = Vec::new();
    while let Some(number) = numbers.next().filter(|_| !is_over.load(Ordering::SeqCst)) {
        room.leave(number);
        gone.push(number);
        ticker::tick(&room).await;
    }
    // What the store has held is told again, and so is what was told by number when lots were just drawn.
    for _ in 0..4 {
        ticker::tick(&room).await;
    }
    gone.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draw_in_redis_is_made_however_many_leave_meanwhile() {
    let clock = Clock::manual(START_MS);
    let timeout = Duration::from_secs(10);
    let store = RedisLine::connect_with_clock(&RedisServer::shared().url(), timeout, clock.clone()).await;
    let store = store.expect("the server runs");
    let room = closed(&store, &clock, MANY).await;
    let epoch = roll(&store, &room).await.epoch();
    let is_over = Arc::new(AtomicBool::new(false));
    // So many that one of them leaves between any two verbs of the draw.
    let leave = |first| {
        let numbers = (first..=MANY).step_by(LEAVERS);
        tokio::spawn(leaving(clock.clone(), room.clone(), numbers, Arc::clone(&is_over)))
    };
    let leavers: Vec<_> = (1..=LEAVERS as u64).map(leave).collect();
    let drawn = store.steer(&room, &Steering::Draw(reveal())).await;
    is_over.store(true, Ordering::SeqCst);
    let mut gone = Numbers::default();
    for leaver in leavers {
        gone.merge(&leaver.await.expect("no panic"));
    }
    drawn.expect("a draw");
    let after = roll(&store, &room).await;
    assert_eq!((after.draws.len(), after.waiting.count()), (1, MANY - gone.len()));
    assert!(gone.len() > 10, "{gone} left, and nobody else");
    assert!(gone.iter().all(|number| after.standing(epoch, number, 0) == Standing::Over));
}

#[tokio::test]
async fn who_lapses_while_lots_are_drawn_does_not_come_back_with_the_draw() {
    let (server, clock) = (RedisServer::start(&[]), Clock::manual(START_MS));
    let connect = async |url: &str| {
        RedisLine::connect_with_clock(url, Duration::from_secs(10), clock.clone()).await.expect("the server runs")
    };
    let store = Arc::new(connect(&server.url()).await);
    let room = gathering(&*store, 10).await;
    // The store has lost one entry, and who knows which numbers: they are in the draw.
    let mut mirror = roll(&*store, &room).await;
    mirror.seq += 1;
    let lost = store.restore(&room, &mirror).await.expect("an epoch begins").issued;
    clock.advance_ms(5_000);
    // The ten who came are here.
    let here = Tick { here: Numbers::run(1, 10), all_here: true, lease_ms: 100_000, ..tick(1) };
    store.tick(&room, &here).await.expect("the entries close");
    clock.advance_ms(30_000);
    let (late, of) = (Arc::clone(&store), room.clone());
    let (url, work) = before_scripts(&server, move |script| {
        let (late, of) = (Arc::clone(&late), of.clone());
        async move {
            // The first script reads the line, and the second puts the draw in place.
            if script == 2 {
                late.tick(&of, &tick(1)).await.expect("a tick");
            }
        }
    })
    .await;
    connect(&url).await.steer(&room, &Steering::Draw(reveal())).await.expect("a draw");
    work.abort();
    let drawn = roll(&*store, &room).await;
    assert_eq!(drawn.draws.len(), 1);
    let forgotten = (1..=lost).filter(|place| drawn.is_forgotten(*place)).count();
    assert_eq!(forgotten, 0, "the grace time was over for them before the draw");
}
