//! The Redis scripts against the pure machine: any verbs in any order, every answer the same.

use std::cell::Cell;
use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use redis::Commands as _;
use tokio::runtime::Runtime;
use vestibule::admission::Limits;
use vestibule::clock::Clock;
use vestibule::line::draw::{DrawStep, Promise, Reveal};
use vestibule::line::redis::{RedisLine, TIMEOUT};
use vestibule::line::state::LineState;
use vestibule::line::{
    Arrival, EPOCH_MARGIN, LAPSE_LIMIT, LineStore as _, News, Number, Numbers, Page, PersonId, Phase, Renewal, Roll,
    RoomName, Slots, Standing, Steering, StoreFault, UNSEEN_S,
};
use vestibule::schedule::Schedule;

use super::{LATER, START_MS, fresh_room, limits, tick};
use crate::redis_server::RedisServer;

const CASES: u32 = 200;

/// How many different persons come, less one.
const PERSONS: u8 = 40;

fn id_of(who: u8) -> Option<PersonId> {
    (who > 0).then(|| PersonId(u128::from(who % 7) << 64 | u128::from(who)))
}

/// How often each kind of entry was seen, so that the comparison is not one of empty lines.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    called: u64,
    by_hand: u64,
    left: u64,
    lapsed: u64,
    ended: u64,
    renewed: u64,
    returned: u64,
    settings: u64,
    paced: u64,
    rolls: u64,
    behind: u64,
    failovers: u64,
    successions: u64,
    vouched: u64,
    claimed: u64,
    held: u64,
    promised: u64,
    drawn: u64,
    /// Sets that went to the store as bitmaps, and calls and lapses marked as such.
    scattered: u64,
    /// Ticks that lapsed as many as may lapse at once.
    crowded: u64,
    /// Looks at a line whose head was cut off.
    moved: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Join(u64),
    /// Persons, 0 for anybody.
    Claim(Vec<u8>),
    Wait(u64),
    Tick(Say),
    Steer(Steering),
    /// A sale with a draw: people gather, some of them leave, it starts, lots are drawn.
    Lots(Limits, u64, Say),
    /// Some are let in by hand, and their sessions are renewed, or end, as the ticks say.
    Sessions(Limits, u64, Say),
    /// Offers the roll that the mirror had after its last look.
    RestoreStale,
    RestoreFresh,
    /// The store forgets all, and is then offered the mirror's roll.
    Lose,
    /// The same, but arrivals come between.
    LoseAndJoin(u64),
    /// A replica copies the store.
    Copy,
    /// The replica takes over without what came after the copy, and is ticked.
    FailOver(Say),
    /// The same, and the replica knows that it is another process.
    TakeOver(First),
    /// The store forgets all, and then a visitor returns with this number.
    LoseAllBut(u64),
    /// The server is another process, though it has lost nothing.
    Succeed(First),
}

/// The verb that finds the server to be another.
#[derive(Clone, Debug)]
enum First {
    Tick(Say),
    Join(u64),
    Steer(Steering),
}

#[derive(Clone, Debug)]
struct Say {
    gateway: usize,
    lease_ms: u64,
    here: Numbers,
    all_here: bool,
    is_overtaken: bool,
    gone: Numbers,
    returned: Numbers,
    left: Numbers,
    ended: Vec<(u64, Numbers)>,
    /// Whose session goes on, and when one ends of which the gateway does not know it.
    renewed: (u64, Numbers),
    wish_us: Option<u64>,
    introduced: Vec<(u8, u64)>,
    known_lag: u64,
}

fn numbers() -> impl Strategy<Value = Numbers> {
    let near = prop::collection::vec(1u64..160, 0..10).prop_map(|n| n.into_iter().collect());
    let run = (1u64..400, 0u64..400).prop_map(|(first, len)| Numbers::run(first, first + len));
    let high = prop::collection::vec(131_000u64..131_400, 0..10).prop_map(|n| n.into_iter().collect());
    let long = (1u64..20_000, 8_000u64..60_000).prop_map(|(first, len)| Numbers::run(first, first + len));
    let scattered = (1u64..40_000, 2usize..5, 20usize..2_500);
    let scattered = scattered.prop_map(|(first, step, count)| (first..).step_by(step).take(count).collect());
    prop_oneof![8 => near, 4 => run, 2 => high, 1 => long, 2 => scattered, 8 => Just(Numbers::default())]
}

fn say() -> impl Strategy<Value = Say> {
    let sets = (numbers(), numbers(), numbers(), prop_oneof![3 => Just(Numbers::default()), 1 => numbers()]);
    let ended = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec((0u64..70, numbers()), 1..4)];
    let renewed = (0u64..70, prop_oneof![2 => Just(Numbers::default()), 1 => numbers()]);
    let number = prop_oneof![4 => 1u64..160, 1 => 131_000u64..131_400];
    let introduced = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec((1u8..PERSONS, number), 1..8)];
    let wish = prop::option::of(prop_oneof![1u64..100_000, 1u64..20_000_000]);
    let lag = prop_oneof![5 => Just(0u64), 1 => 0u64..40];
    let gateway = (0usize..3, prop_oneof![2 => Just(10_000u64), 1 => 1u64..3_000], any::<bool>());
    let is_overtaken = prop::bool::weighted(0.1);
    ((gateway, is_overtaken), sets, (ended, renewed), introduced, wish, lag).prop_map(
        |(of, (here, gone, returned, left), (ended, renewed), introduced, wish_us, known_lag)| {
            let ((gateway, lease_ms, all_here), is_overtaken) = of;
            Say {
                gateway,
                lease_ms,
                here,
                all_here,
                is_overtaken,
                gone,
                returned,
                left,
                ended,
                renewed,
                wish_us,
                introduced,
                known_lag,
            }
        },
    )
}

/// A schedule from now on, in milliseconds.
fn schedule() -> impl Strategy<Value = Schedule> {
    let some = (
        prop::option::of(0u64..200),
        prop::option::weighted(0.8, 0u64..3_000),
        prop::option::weighted(0.2, 0u64..90_000),
    );
    let some = some.prop_map(|(opens_ms, starts_ms, ends_ms)| Schedule { opens_ms, starts_ms, ends_ms });
    prop_oneof![2 => Just(Schedule::ALWAYS), 1 => some]
}

fn draw() -> impl Strategy<Value = Steering> {
    let value = prop::option::weighted(0.2, Just("85|, 1".to_owned()));
    let promise = |public_value| Promise::of(&[7; 32], "root".to_owned(), [1; 16], public_value);
    let reveal = |(seed, public_value)| Reveal { seed: [seed; 32], public_value };
    prop_oneof![
        3 => value.clone().prop_map(promise).prop_map(Steering::Promise),
        1 => Just(Steering::Forgo),
        6 => (prop_oneof![9 => Just(7u8), 1 => Just(8u8)], value).prop_map(reveal).prop_map(Steering::Draw),
    ]
}

fn some_limits() -> impl Strategy<Value = Limits> {
    let rate = prop_oneof![4 => 0.0f64..300.0, 1 => Just(f64::INFINITY), 1 => 0.0f64..1e-7];
    let active = prop::option::of(0u64..60);
    let grace_ms = prop_oneof![Just(1_000u64), Just(30_000), 0u64..20_000];
    let floor_us = prop_oneof![1 => Just(None), 2 => (1u64..10_000_000).prop_map(Some)];
    let limits = (rate, 1u64..80, active, 0u64..90, grace_ms, floor_us).prop_map(
        |(rate, burst, total_active_users, session_duration_s, grace_ms, floor_interval_us)| {
            let interval_us = if rate.is_infinite() { 0 } else { Limits::interval_us(rate) };
            let schedule = Schedule::ALWAYS;
            Limits { interval_us, burst, total_active_users, session_duration_s, grace_ms, schedule, floor_interval_us }
        },
    );
    (limits, schedule()).prop_map(|(limits, schedule)| Limits { schedule, ..limits })
}

fn steering() -> impl Strategy<Value = Steering> {
    let message = prop::option::of(prop_oneof![Just(String::new()), "\\PC{0,12}", Just("a|b c\n| ".to_owned())]);
    prop_oneof![
        2 => some_limits().prop_map(Steering::Configure),
        2 => some_limits().prop_map(Steering::Limits),
        1 => (some_limits(), some_limits()).prop_map(|(from, to)| Steering::Revise { from: Box::new(from), to: Box::new(to) }),
        3 => prop_oneof![2 => Just(Phase::Open), 1 => Just(Phase::Paused), 1 => Just(Phase::Draining), 1 => Just(Phase::Closed)]
            .prop_map(Steering::Phase),
        1 => message.prop_map(Steering::Message),
        6 => prop_oneof![0u64..50, Just(u64::MAX)].prop_map(Steering::Admit),
        1 => Just(Steering::Reset),
        3 => draw(),
    ]
}

fn first() -> impl Strategy<Value = First> {
    prop_oneof![
        2 => say().prop_map(First::Tick),
        1 => (1u64..50).prop_map(First::Join),
        1 => steering().prop_map(First::Steer),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![0u64..50_000, 0u64..3_000_000, 0u64..200_000_000];
    prop_oneof![
        6 => prop_oneof![3 => 1u64..30, 1 => 1u64..400, 1 => 30_000u64..70_000].prop_map(Step::Join),
        4 => prop::collection::vec(0u8..PERSONS, 1..30).prop_map(Step::Claim),
        6 => wait.prop_map(Step::Wait),
        1 => Just(Step::Wait((UNSEEN_S + 60) * 1_000_000)),
        10 => say().prop_map(Step::Tick),
        4 => steering().prop_map(Step::Steer),
        2 => (some_limits(), 1u64..300, say()).prop_map(|(limits, count, say)| Step::Lots(limits, count, say)),
        2 => (some_limits(), 1u64..50, say()).prop_map(|(limits, count, say)| Step::Sessions(limits, count, say)),
        1 => Just(Step::RestoreStale),
        1 => Just(Step::RestoreFresh),
        1 => Just(Step::Lose),
        1 => (1u64..50).prop_map(Step::LoseAndJoin),
        4 => Just(Step::Copy),
        4 => say().prop_map(|say| Step::FailOver(Say { known_lag: 0, ..say })),
        3 => first().prop_map(Step::TakeOver),
        1 => first().prop_map(Step::Succeed),
        1 => (1u64..500).prop_map(Step::LoseAllBut),
    ]
}

/// A room's keys and what `DUMP` says of each.
type Dump = Vec<(String, Vec<u8>)>;

/// The model and the store, one beside the other, and a mirror each follows.
struct Pair<'a> {
    runtime: &'a Runtime,
    store: &'a RedisLine,
    clock: &'a Clock,
    server: redis::Connection,
    room: RoomName,
    model: LineState,
    mirror: Roll,
    /// What the mirror was some steps ago.
    stale: Roll,
    /// The line as the replica has it, and its keys.
    replica: Option<(LineState, Dump)>,
    seen: &'a Cell<Tally>,
}

impl Pair<'_> {
    fn do_step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Join(count) => self.join(*count),
            Step::Claim(persons) => self.claim(persons),
            Step::Wait(us) => {
                self.clock.advance_us(*us);
                Ok(())
            }
            Step::Tick(say) => self.tick(say),
            Step::Steer(steering) => {
                let steering = &self.scheduled(steering);
                let now_us = self.clock.now_us();
                let could = match steering {
                    Steering::Revise { from, to } => self.model.revise(from, to, now_us),
                    _ => {
                        self.model.steer(steering, now_us);
                        true
                    }
                };
                match self.runtime.block_on(self.store.steer(&self.room, steering)) {
                    Err(StoreFault::Changed) => prop_assert!(!could),
                    done => {
                        done.map_err(fail)?;
                        prop_assert!(could);
                    }
                }
                self.follow()
            }
            Step::Lots(limits, count, say) => self.draw_lots(limits, *count, say),
            Step::Sessions(limits, count, say) => self.hold_sessions(limits, *count, say),
            Step::RestoreStale => {
                let stale = std::mem::replace(&mut self.stale, self.mirror.clone());
                self.restore(&stale)
            }
            Step::RestoreFresh => self.restore(&self.mirror.clone()),
            Step::Lose => self.lose(0, None),
            Step::LoseAndJoin(count) => self.lose(*count, None),
            Step::LoseAllBut(number) => self.lose(3, Some(*number)),
            Step::Copy => self.copy().map_err(fail),
            Step::FailOver(say) => self.fail_over(say),
            Step::TakeOver(first) => self.take_over(first),
            Step::Succeed(first) => self.succeed(first),
        }
    }

    fn draw_lots(&mut self, limits: &Limits, count: u64, say: &Say) -> Result<(), TestCaseError> {
        let schedule = Schedule { starts_ms: Some(1_000), ..Schedule::ALWAYS };
        let steer = |steering| Step::Steer(steering);
        self.do_step(&steer(Steering::Limits(Limits { schedule, ..limits.clone() })))?;
        self.do_step(&steer(Steering::Promise(Promise::of(&[7; 32], "root".to_owned(), [1; 16], None))))?;
        self.join(count)?;
        self.tick(say)?;
        self.clock.advance_us(1_000_000);
        self.join(3)?;
        self.tick(say)?;
        self.do_step(&steer(Steering::Draw(Reveal { seed: [7; 32], public_value: None })))?;
        self.tick(say)
    }

    fn hold_sessions(&mut self, limits: &Limits, count: u64, say: &Say) -> Result<(), TestCaseError> {
        let limits = Limits { session_duration_s: 60, schedule: Schedule::ALWAYS, ..limits.clone() };
        let everybody = || Say { all_here: true, ..say.clone() };
        let about = |renewed| Say { renewed: (say.renewed.0, renewed), ..everybody() };
        for steering in [Steering::Limits(limits), Steering::Phase(Phase::Open)] {
            self.do_step(&Step::Steer(steering))?;
        }
        self.join(count)?;
        self.tick(&everybody())?;
        self.do_step(&Step::Steer(Steering::Admit(count)))?;
        self.tick(&everybody())?;
        let inside: Numbers = self.inside(0).take(20).collect();
        for _ in 0..2 {
            self.clock.advance_us(7_000_000);
            self.tick(&about(inside.clone()))?;
        }
        Ok(())
    }

    /// Those who are inside, from a place on.
    fn inside(&self, from: Number) -> impl Iterator<Item = Number> {
        let (roll, now_s) = (self.model.roll(), self.clock.now_us() / 1_000_000);
        roll.called.iter_from(from).filter(move |place| {
            let number = roll.number(*place);
            matches!(roll.standing(roll.epoch_of(number), number, now_s), Standing::Called { .. })
        })
    }

    /// Schedules are made from now on.
    fn scheduled(&self, steering: &Steering) -> Steering {
        let now_ms = self.clock.now_ms();
        let later = |limits: &Limits| {
            let Schedule { opens_ms, starts_ms, ends_ms } = limits.schedule;
            let [opens_ms, starts_ms, ends_ms] = [opens_ms, starts_ms, ends_ms].map(|at| at.map(|at| at + now_ms));
            Limits { schedule: Schedule { opens_ms, starts_ms, ends_ms }, ..limits.clone() }
        };
        match steering {
            Steering::Configure(limits) => Steering::Configure(later(limits)),
            Steering::Limits(limits) => Steering::Limits(later(limits)),
            Steering::Revise { from, to } => {
                // Every other one begins with what is in force, or it would never be done.
                let current = self.model.roll().settings.as_ref().map(|settings| settings.limits.clone());
                let from = current.filter(|_| to.burst % 2 == 0).map_or_else(|| from.clone(), Box::new);
                Steering::Revise { from, to: Box::new(later(to)) }
            }
            other => other.clone(),
        }
    }

    fn join(&mut self, count: u64) -> Result<(), TestCaseError> {
        let joined = self.runtime.block_on(self.store.join(&self.room, count));
        if !self.model.is_made() {
            prop_assert_eq!(joined, Err(StoreFault::NotMade));
            return Ok(());
        }
        let (joined, expected) = (joined.map_err(fail)?, self.model.join(count, self.clock.now_us()));
        prop_assert_eq!(joined, expected);
        self.mirror.note(&joined);
        Ok(())
    }

    /// Claims as gateways do: they tell a number of which they know that its session has run out.
    fn claim(&mut self, persons: &[u8]) -> Result<(), TestCaseError> {
        let now_us = self.clock.now_us();
        let numbers: HashMap<PersonId, u64> = self.model.persons().collect();
        let roll = self.model.roll();
        let is_over = |number: &&u64| {
            let standing = roll.standing(roll.epoch_of(**number), **number, now_us / 1_000_000);
            matches!(standing, Standing::Over)
        };
        let arrival = |who: &u8| match id_of(*who) {
            Some(id) => Arrival::Person { id, over: numbers.get(&id).filter(is_over).copied() },
            None => Arrival::Anybody,
        };
        let known = self.mirror.known();
        let arrivals: Vec<Arrival> = persons.iter().map(arrival).collect();
        let claimed = self.runtime.block_on(self.store.claim(&self.room, &arrivals, known));
        if !self.model.is_made() {
            prop_assert_eq!(claimed, Err(StoreFault::NotMade));
            return Ok(());
        }
        let claimed = claimed.map_err(fail)?;
        let expected = self.model.claim(&arrivals, known, now_us);
        self.model.written();
        prop_assert_eq!(&claimed, &expected);
        let Some(claimed) = claimed else { return self.follow() };
        let mut seen = self.seen.get();
        seen.claimed += claimed.joined.count;
        seen.held += arrivals.len() as u64 - claimed.joined.count;
        self.seen.set(seen);
        self.mirror.note(&claimed.joined);
        self.follow()
    }

    fn tick(&mut self, say: &Say) -> Result<(), TestCaseError> {
        let mut tick = tick(say.gateway as u64);
        (tick.lease_ms, tick.all_here) = (say.lease_ms, say.all_here);
        tick.serial -= if say.is_overtaken { LATER } else { 0 };
        (tick.here, tick.gone, tick.returned, tick.left) =
            (say.here.clone(), say.gone.clone(), say.returned.clone(), say.left.clone());
        let now_s = self.clock.now_us() / 1_000_000;
        tick.ended = say.ended.iter().map(|(in_s, n)| Slots { ends_s: now_s + in_s, numbers: n.clone() }).collect();
        tick.renewed = self.renewals(say);
        tick.wish_us = say.wish_us;
        let introduced = say.introduced.iter().filter_map(|(who, number)| Some((id_of(*who)?, *number)));
        tick.introduced = introduced.collect();
        tick.known = self.mirror.known();
        tick.known.seq =
            if (1..5).contains(&say.known_lag) { u64::MAX >> 12 } else { tick.known.seq.saturating_sub(say.known_lag) };
        let expected = self.model.tick(&tick, self.clock.now_us());
        let page = self.runtime.block_on(self.store.tick(&self.room, &tick)).map_err(fail)?;
        self.count(say, &expected);
        prop_assert_eq!(page, expected);
        self.follow()
    }

    /// Tells of sessions that go on what a gateway knows of them; every other time, a wrong second of their end.
    fn renewals(&self, say: &Say) -> Vec<Renewal> {
        let (roll, now_us) = (self.model.roll(), self.clock.now_us());
        let (now_s, (in_s, places)) = (now_us / 1_000_000, &say.renewed);
        let renewal = |place: Number| {
            let number = roll.number(place);
            match roll.standing(roll.epoch_of(number), number, now_s) {
                Standing::Called { ends_s, at_us } if in_s % 2 == 0 => {
                    Renewal { number: place, ends_s, called_us: at_us }
                }
                Standing::Called { at_us, .. } => Renewal { number: place, ends_s: now_s + in_s, called_us: at_us },
                _ => Renewal { number: place, ends_s: now_s + in_s, called_us: now_us },
            }
        };
        // Hardly anybody of those named at random is inside.
        let inside = self.inside(places.iter().next().unwrap_or(Number::MAX)).take(8);
        places.iter().take(2_000).chain(inside).map(renewal).collect()
    }

    fn count(&self, say: &Say, page: &Page) {
        let mut seen = self.seen.get();
        seen.vouched += u64::from(page.vouched);
        seen.scattered += u64::from(say.here.run_count() > 600) + u64::from(say.gone.run_count() > 600);
        match &page.news {
            News::Entries(entries) => entries.iter().for_each(|entry| {
                seen.called += entry.called.len();
                seen.by_hand += entry.by_hand;
                seen.left += entry.left.len();
                seen.lapsed += entry.lapsed.len();
                seen.scattered += u64::from(entry.lapsed.run_count().max(entry.called.run_count()) > 40);
                seen.crowded += u64::from(entry.lapsed.len() == LAPSE_LIMIT as u64);
                seen.ended += entry.ended.len() as u64;
                seen.renewed += entry.renewed.len() as u64;
                seen.returned += entry.returned.len();
                seen.settings += u64::from(entry.settings.is_some());
                seen.paced += u64::from(entry.pace_us > 0);
            }),
            News::Roll(_) => seen.rolls += 1,
            News::Behind => seen.behind += 1,
        }
        self.seen.set(seen);
    }

    /// Brings the mirror up to date, and compares all that is durable.
    fn follow(&mut self) -> Result<(), TestCaseError> {
        match self.model.follow(self.mirror.known()) {
            News::Entries(entries) => entries.iter().for_each(|entry| {
                self.mirror.apply(entry);
                let mut seen = self.seen.get();
                seen.promised += u64::from(matches!(entry.draw, Some(DrawStep::Promised(_))));
                seen.drawn += u64::from(entry.is_drawn());
                self.seen.set(seen);
            }),
            News::Roll(roll) => self.mirror = *roll,
            News::Behind => {}
        }
        let roll = self.runtime.block_on(self.store.restore(&self.room, &Roll::default())).map_err(fail)?;
        prop_assert_eq!(&roll, self.model.roll());
        let base: Option<u64> = self.server.hget(format!("vestibule:{{{}}}:line", self.room), "base").map_err(fail)?;
        let mut seen = self.seen.get();
        seen.moved += u64::from(base > Some(0));
        self.seen.set(seen);
        Ok(())
    }

    fn restore(&mut self, offered: &Roll) -> Result<(), TestCaseError> {
        let roll = self.runtime.block_on(self.store.restore(&self.room, offered)).map_err(fail)?;
        prop_assert_eq!(&roll, self.model.restore(offered, self.clock.now_us()));
        self.follow()
    }

    fn copy(&mut self) -> redis::RedisResult<()> {
        let keys: Vec<String> = self.server.keys(keys_of(&self.room))?;
        let mut copied = Vec::new();
        for key in keys {
            let value = redis::cmd("DUMP").arg(&key).query(&mut self.server)?;
            copied.push((key, value));
        }
        self.replica = Some((self.model.clone(), copied));
        Ok(())
    }

    /// The mirror knows all that happened, so anything lost is told and made good.
    fn fail_over(&mut self, say: &Say) -> Result<(), TestCaseError> {
        self.follow()?;
        let Some((replica, copied)) = self.replica.take() else { return Ok(()) };
        let lost = std::mem::replace(&mut self.model, replica);
        self.put_back(&copied).map_err(fail)?;
        let (before, mirror) = (self.model.roll().clone(), self.mirror.clone());
        self.tick(say)?;
        if before == *lost.roll() {
            return Ok(());
        }
        prop_assert_eq!(self.model.roll(), &before, "nothing takes the place of what was lost");
        self.restore(&mirror)?;
        prop_assert!(self.model.roll().epoch() > lost.roll().epoch());
        prop_assert!(self.model.roll().issued > lost.roll().issued);
        let mut seen = self.seen.get();
        seen.failovers += 1;
        self.seen.set(seen);
        Ok(())
    }

    /// Whoever comes first to the new process, it begins an epoch; then the mirror tells what it remembers.
    fn take_over(&mut self, first: &First) -> Result<(), TestCaseError> {
        self.follow()?;
        let (epoch, issued) = (self.model.roll().epoch(), self.model.roll().issued);
        // A new epoch leaves out as many numbers as a gateway may have been given that the copy does not know of, and no more.
        let is_of_epoch = |(replica, _): &(LineState, Dump)| {
            replica.roll().epoch() == epoch && issued.saturating_sub(replica.roll().issued) <= EPOCH_MARGIN
        };
        let Some((replica, copied)) = self.replica.take().filter(is_of_epoch) else { return Ok(()) };
        let lost = std::mem::replace(&mut self.model, replica);
        self.put_back(&copied).map_err(fail)?;
        let mirror = self.mirror.clone();
        self.succeed(first)?;
        prop_assert!(self.model.roll().epoch() > lost.roll().epoch());
        prop_assert!(self.model.roll().issued >= lost.roll().issued, "no number comes twice");
        self.restore(&mirror)?;
        let (roll, known) = (self.model.roll(), [&lost.roll().called, &lost.roll().over]);
        prop_assert!(known[0].iter_from(0).all(|number| roll.called.contains(number)), "called stays called");
        prop_assert!(known[1].iter_from(0).all(|number| roll.over.contains(number)), "over stays over");
        let mut seen = self.seen.get();
        seen.successions += 1;
        self.seen.set(seen);
        Ok(())
    }

    fn succeed(&mut self, first: &First) -> Result<(), TestCaseError> {
        let line = format!("vestibule:{{{}}}:line", self.room);
        let _: () = self.server.hset(line, "server", "another").map_err(fail)?;
        let before = self.model.roll().issued;
        self.model.succeed(self.clock.now_us());
        match first {
            First::Tick(say) => self.tick(say)?,
            First::Join(count) => self.join(*count)?,
            First::Steer(steering) => self.do_step(&Step::Steer(steering.clone()))?,
        }
        prop_assert!(self.model.roll().issued > before + 100_000);
        self.follow()
    }

    fn put_back(&mut self, copied: &[(String, Vec<u8>)]) -> redis::RedisResult<()> {
        let keys: Vec<String> = self.server.keys(keys_of(&self.room))?;
        let _: () = self.server.del(keys)?;
        for (key, value) in copied {
            redis::cmd("RESTORE").arg(key).arg(0).arg(value).exec(&mut self.server)?;
        }
        Ok(())
    }

    fn lose(&mut self, joining: u64, ticket: Option<Number>) -> Result<(), TestCaseError> {
        self.follow()?;
        self.replica = None;
        let _: () = self.server.flushdb().map_err(fail)?;
        self.clock.advance_us(1);
        self.model = LineState::new(self.clock.now_us());
        if joining > 0 {
            self.do_step(&Step::Steer(Steering::Configure(limits(1.0, 1))))?;
            self.join(joining)?;
        }
        let Some(number) = ticket else { return self.restore(&self.mirror.clone()) };
        (self.mirror, self.stale) = (Roll::default(), Roll::default());
        self.restore(&Roll::bygone(number, self.model.roll().epoch()))
    }
}

fn keys_of(room: &RoomName) -> String {
    format!("vestibule:{{{room}}}:*")
}

fn fail(error: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// Every answer of the scripts is the pure machine's, to the last field.
#[test]
fn the_scripts_do_what_the_pure_machine_does() {
    let runtime = Runtime::new().expect("a runtime");
    let server = RedisServer::start(&[]);
    let clock = Clock::manual(START_MS);
    let store = runtime.block_on(RedisLine::connect_with_clock(&server.socket_url(), TIMEOUT, clock.clone()));
    let store = store.expect("the server runs");
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let first = prop::option::weighted(0.9, some_limits().prop_map(Steering::Configure));
    let steps = (first, prop::collection::vec(step(), 1..60));
    let seen = Cell::default();
    let result = runner.run(&steps, |(first, steps)| {
        let model = LineState::new(clock.now_us());
        let mirror = Roll::default();
        let stale = mirror.clone();
        let connection = server.connection();
        let mut pair = Pair {
            runtime: &runtime,
            store: &store,
            clock: &clock,
            server: connection,
            room: fresh_room(),
            model,
            mirror,
            stale,
            replica: None,
            seen: &seen,
        };
        pair.follow()?;
        first.iter().try_for_each(|limits| pair.do_step(&Step::Steer(limits.clone())))?;
        steps.iter().try_for_each(|step| pair.do_step(step))
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let Tally { called, by_hand, left, lapsed, ended, returned, settings, promised, drawn, .. } = seen.get();
    let Tally { renewed, paced, rolls, behind, failovers, vouched, claimed, held, scattered, crowded, moved, .. } =
        seen.get();
    let happened = [called, by_hand, left, lapsed, ended, returned, settings, promised, drawn];
    let least = happened.into_iter().chain([paced, rolls, behind, failovers, vouched, claimed, held]);
    let least = least.chain([renewed, scattered, crowded, moved, seen.get().successions]).min();
    assert!(least > Some(10), "too little happened: {:?}", seen.get());
}
