mod laws;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::line::draw::{Draw, Reveal};
use crate::line::{EPOCH_MARGIN, GatewayId, REST_US, Renewal, Slots, Standing};
use crate::schedule::Schedule;

const START_US: u64 = 1_795_000_000_000_000;
const GATEWAY: GatewayId = GatewayId(1);

fn limits(rate: f64, burst: u64) -> Limits {
    Limits {
        interval_us: Limits::interval_us(rate),
        burst,
        total_active_users: None,
        session_duration_s: 60,
        grace_ms: 30_000,
        floor_interval_us: None,
        schedule: Schedule::ALWAYS,
    }
}

fn room(limits: Limits) -> LineState {
    let mut state = LineState::new(START_US);
    state.steer(&Steering::Configure(limits), START_US);
    state
}

fn tick_of(gateway: GatewayId, here: Numbers, gone: Numbers) -> Tick {
    Tick { here, gone, ..Tick::silent(gateway) }
}

fn called(state: &LineState) -> Vec<Number> {
    state.roll.called.iter_from(0).collect()
}

#[test]
fn an_empty_line_admits_at_once_and_the_rest_wait() {
    let mut state = room(limits(10.0, 3));
    let joined = state.join(5, START_US);
    assert_eq!((joined.first, joined.admitted), (1, 3));
    assert_eq!(state.roll.waiting.iter_from(0).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(state.join(1, START_US + 100_000).admitted, 0, "4 and 5 stand before a newcomer");
}

#[test]
fn a_session_noted_ahead_of_the_log_outlives_entries_of_a_clock_that_was_ahead() {
    let mut line = room(Limits { interval_us: 0, ..limits(1.0, 1) });
    let mut mirror = line.roll.clone();
    line.join(1, START_US + 600_000_000);
    mirror.note(&line.join(1, START_US + 1_000_000));
    line.log.iter().filter(|entry| entry.seq > 1).for_each(|entry| mirror.apply(entry));
    assert_eq!(mirror, line.roll);
}

/// A clock that is put forward ends all leases and the grace time with one tick.
#[test]
fn nobody_lapses_in_the_tick_that_tells_of_them() {
    let mut line = room(limits(0.0, 1));
    line.join(3, START_US);
    let everyone = Tick { all_here: true, ..tick_of(GATEWAY, Numbers::run(1, 1), Numbers::default()) };
    line.tick(&Tick { known: line.roll.known(), ..everyone }, START_US + 31_000_000);
    let later = START_US + 600_000_000;
    let back = tick_of(GATEWAY, Numbers::run(2, 2), Numbers::default());
    line.tick(&Tick { known: line.roll.known(), ..back }, later);
    assert_eq!(line.roll.over.iter_from(0).collect::<Vec<_>>(), [3], "nobody has told of the third");
}

#[test]
fn an_absent_visitor_is_passed_over_and_called_first_on_return() {
    let mut state = room(limits(1.0, 1));
    state.join(4, START_US);
    let gone = Numbers::run(2, 2);
    state.tick(&tick_of(GATEWAY, Numbers::run(3, 4), gone), START_US);
    state.call(START_US + 1_000_000);
    assert_eq!(called(&state), [1, 3], "2 is away");
    state.tick(&tick_of(GATEWAY, Numbers::run(2, 2), Numbers::default()), START_US + 2_000_000);
    assert_eq!(called(&state), [1, 2, 3], "2 is back, before 4");
}

#[test]
fn a_gateway_that_dies_takes_its_lease_and_nobodys_place() {
    let mut state = room(limits(1.0, 1));
    state.join(3, START_US);
    state.tick(&tick_of(GATEWAY, Numbers::run(2, 3), Numbers::default()), START_US);
    state.call(START_US + 11_000_000);
    assert_eq!(called(&state), [1], "its lease ran out");
    assert_eq!(state.roll.waiting.count(), 2);
    let page = state.tick(&tick_of(GATEWAY, Numbers::run(2, 3), Numbers::default()), START_US + 11_000_000);
    assert!(!page.vouched, "it must say again who is here");
    assert_eq!(called(&state), [1, 2]);
}

#[test]
fn a_gateway_that_was_only_slow_still_has_its_visitors() {
    let mut state = room(limits(1.0, 1));
    state.join(3, START_US);
    state.tick(&tick_of(GATEWAY, Numbers::run(2, 3), Numbers::default()), START_US);
    let late_us = START_US + 60_000_000;
    state.join(1, late_us);
    let page = state.tick(&tick_of(GATEWAY, Numbers::default(), Numbers::default()), late_us);
    assert!(page.vouched);
    assert_eq!(called(&state), [1, 2], "2 and 3 stand before the newcomer");
}

#[test]
fn the_grace_period_alone_takes_a_place() {
    let mut state = room(limits(0.0, 1));
    state.join(2, START_US);
    for second in 0..=29 {
        state.tick(&tick_of(GATEWAY, Numbers::run(1, 1), Numbers::run(2, 2)), START_US + second * 1_000_000);
    }
    assert_eq!(state.roll.waiting.count(), 2, "nobody lapses before the grace period is over");
    for second in 30..=60 {
        state.tick(&tick_of(GATEWAY, Numbers::default(), Numbers::default()), START_US + second * 1_000_000);
    }
    assert_eq!(state.roll.waiting.iter_from(0).collect::<Vec<_>>(), [1]);
    assert_eq!(state.roll.standing(state.roll.epoch(), 2, 0), Standing::Over);
}

#[test]
fn a_pause_earns_no_burst() {
    let mut state = room(limits(10.0, 2));
    state.join(100, START_US);
    state.steer(&Steering::Phase(Phase::Paused), START_US);
    state.tick(&tick_of(GATEWAY, Numbers::run(1, 100), Numbers::default()), START_US + 9_000_000);
    assert_eq!(called(&state).len(), 2);
    state.steer(&Steering::Phase(Phase::Open), START_US + 9_000_000);
    state.call(START_US + 9_000_000);
    assert_eq!(called(&state).len(), 4);
}

#[test]
fn an_ended_session_frees_one_slot_once() {
    let mut state = room(Limits { total_active_users: Some(2), ..limits(1_000.0, 100) });
    let joined = state.join(5, START_US);
    assert_eq!(joined.admitted, 2);
    let ended = Slots { ends_s: joined.ends_s, numbers: Numbers::run(1, 1) };
    state.end(&[ended.clone(), ended.clone()], START_US);
    state.end(&[ended], START_US);
    state.call(START_US);
    assert_eq!(called(&state), [1, 2, 3]);
    state.call(START_US + 61_000_000);
    assert_eq!(called(&state), [1, 2, 3, 4, 5], "sessions that ran out free their slots");
}

#[test]
fn a_renewed_session_goes_on_in_its_slot() {
    let mut state = room(Limits { total_active_users: Some(2), ..limits(1_000.0, 100) });
    let joined = state.join(4, START_US);
    let renewal = |number, ends_s| Renewal { number, ends_s, called_us: START_US };
    let after = |s: u64| START_US + s * 1_000_000;
    state.renew(&[renewal(1, joined.ends_s), renewal(1, joined.ends_s)], after(30));
    assert_eq!(state.roll.active(after(59) / 1_000_000), 2, "no slot is taken twice");
    let standing = |state: &LineState, number, s| state.roll.standing(joined.epoch, number, after(s) / 1_000_000);
    let renewed = Standing::Called { ends_s: joined.ends_s + 30, at_us: START_US };
    assert_eq!((standing(&state, 1, 89), standing(&state, 1, 90)), (renewed, Standing::Over));
    assert_eq!(standing(&state, 2, 60), Standing::Over);
    state.call(after(61));
    assert_eq!(called(&state), [1, 2, 3], "only the other slot is free");
    // Another gateway has not heard of it, and ends it by what it knows.
    state.end(&[Slots { ends_s: joined.ends_s, numbers: Numbers::run(1, 1) }], after(62));
    state.call(after(62));
    assert_eq!(called(&state), [1, 2, 3, 4]);
    assert_eq!(state.roll.active(after(62) / 1_000_000), 2);
}

#[test]
fn who_is_not_inside_is_not_renewed() {
    let mut state = room(Limits { total_active_users: Some(2), ..limits(1_000.0, 100) });
    let joined = state.join(3, START_US);
    let renewal = |number| Renewal { number, ends_s: joined.ends_s, called_us: START_US };
    state.end(&[Slots { ends_s: joined.ends_s, numbers: Numbers::run(1, 1) }], START_US);
    let seq = state.roll.seq;
    state.renew(&[renewal(1)], START_US + 1_000_000);
    assert_eq!(state.roll.seq, seq, "who went is over");
    state.renew(&[renewal(3)], START_US + 1_000_000);
    assert_eq!(state.roll.seq, seq, "who waits has no session");
    state.renew(&[renewal(2)], START_US);
    assert_eq!(state.roll.seq, seq, "nothing would be gained");
    state.renew(&[renewal(2)], START_US + 60_000_000);
    assert_eq!(state.roll.seq, seq, "what has run out is somebody else's slot");
}

/// An entry has found the session over, the clock is put back, and a gateway has not heard of that: nothing is renewed, and the
/// log says nothing.
#[test]
fn a_session_whose_slot_is_free_is_not_renewed() {
    let mut state = room(Limits { total_active_users: Some(1), ..limits(1_000.0, 100) });
    let joined = state.join(1, START_US);
    state.steer(&Steering::Message(Some("hello".to_owned())), START_US + 60_200_000);
    let before = state.roll.clone();
    state.renew(&[Renewal { number: 1, ends_s: joined.ends_s, called_us: START_US }], START_US + 59_900_000);
    assert_eq!(state.roll, before);
}

/// What a lost entry had renewed comes back with the mirror that knows it, and takes one slot.
#[test]
fn a_renewal_outlives_a_loss() {
    let mut state = room(Limits { total_active_users: Some(5), ..limits(1_000.0, 100) });
    let joined = state.join(3, START_US);
    let mut replica = state.clone();
    state.renew(&[Renewal { number: 2, ends_s: joined.ends_s, called_us: START_US }], START_US + 20_000_000);
    let mirror = state.roll.clone();
    replica.restore(&mirror, START_US + 21_000_000);
    let active = |s: u64| replica.roll.active(START_US / 1_000_000 + s);
    assert_eq!([active(59), active(60), active(79), active(80)], [3, 1, 1, 0]);
    let again = replica.roll.clone();
    let mut twice = again.clone();
    twice.merge(&mirror, START_US + 21_000_000);
    assert_eq!(twice.sessions, again.sessions, "to merge it again changes nothing");
}

#[test]
fn by_hand_is_on_top_of_the_rate_which_then_rests() {
    let mut state = room(limits(1.0, 1));
    state.join(10, START_US);
    state.steer(&Steering::Admit(5), START_US);
    assert_eq!(called(&state).len(), 6);
    state.call(START_US + 4_000_000);
    assert_eq!(called(&state).len(), 6, "five seconds of rate were spent by hand");
}

#[test]
fn a_revived_line_gives_no_number_twice_and_takes_the_forgotten_back() {
    let mut state = room(limits(0.0, 1));
    state.join(10, START_US);
    let saved = state.roll.clone();
    let lost = state.join(3, START_US + 1_000);
    let mut revived = LineState::revive(saved, BTreeMap::new(), START_US + 2_000_000);
    let next = revived.join(1, START_US + 2_000_000);
    assert!(next.epoch > lost.epoch && next.first > lost.first + lost.count);
    assert_eq!(revived.roll.standing(lost.epoch, 12, 0), Standing::Unseen);
    revived.take_back(&Numbers::run(12, 12), START_US + 2_000_000);
    assert_eq!(revived.roll.standing(lost.epoch, 12, 0), Standing::Waiting { ahead: 10 });
    assert_eq!(revived.roll.standing(next.epoch, 12, 0), Standing::Foreign, "a forged epoch has no place");
    assert_eq!(revived.roll.standing(next.epoch, next.first, 0), Standing::Waiting { ahead: 11 });
}

#[test]
fn a_store_that_came_back_empty_is_restored_from_a_mirror() {
    let mut state = room(limits(5.0, 5));
    state.join(20, START_US);
    let mirror = state.roll.clone();
    let mut empty = LineState::new(START_US);
    assert_eq!(empty.follow(mirror.known()), News::Behind);
    empty.restore(&mirror, START_US + 1_000_000);
    assert!(empty.roll.epoch() > mirror.epoch());
    assert_eq!(empty.roll.called, mirror.called);
    assert_eq!(empty.roll.waiting, mirror.waiting);
    assert_eq!(empty.roll.settings, mirror.settings);
    assert_eq!(empty.roll.active(START_US / 1_000_000), 5);
    assert!(matches!(empty.follow(mirror.known()), News::Roll(_)));
}

/// A line that a replica took over without its newest verbs, and the mirror that had heard of them.
fn failed_over(lose: impl FnOnce(&mut LineState, &mut Roll)) -> (LineState, Roll) {
    let mut state = room(limits(1.0, 1));
    state.join(10, START_US);
    let (replica, mut mirror) = (state.clone(), state.roll.clone());
    lose(&mut state, &mut mirror);
    (replica, mirror)
}

#[test]
fn joins_lost_without_an_entry_are_told_and_made_good() {
    let (mut replica, mirror) = failed_over(|line, mirror| mirror.note(&line.join(3, START_US)));
    assert_eq!((mirror.seq, mirror.issued), (replica.roll.seq, replica.roll.issued + 3), "no entry tells of them");
    assert_eq!(replica.follow(mirror.known()), News::Behind);
    let later = START_US + 1_000_000;
    replica.restore(&mirror, later);
    let healed = replica.roll.clone();
    assert!(healed.epoch() > mirror.epoch());
    assert_eq!(healed.standing(mirror.epoch(), 13, 0), Standing::Waiting { ahead: 11 });
    assert!(replica.join(1, later).first > 100_000, "no number has two holders");
    let before = replica.roll.clone();
    assert_eq!(replica.restore(&mirror, later), &before, "offering it twice is offering it once");
}

#[test]
fn nothing_is_appended_in_the_place_of_what_was_lost() {
    let (mut replica, mirror) = failed_over(|line, mirror| {
        line.leave(&Numbers::run(4, 4), START_US);
        *mirror = line.roll.clone();
    });
    let before = replica.roll.clone();
    let mut tick = tick_of(GATEWAY, Numbers::run(2, 10), Numbers::default());
    (tick.known, tick.left, tick.returned) = (mirror.known(), Numbers::run(7, 7), Numbers::run(8, 8));
    tick.ended = vec![Slots { ends_s: START_US / 1_000_000 + 60, numbers: Numbers::run(1, 1) }];
    let page = replica.tick(&tick, START_US);
    assert_eq!((page.news, page.present, &replica.roll), (News::Behind, 9, &before));
    let restored = replica.restore(&mirror, START_US + 1_000_000).clone();
    assert_eq!(restored.standing(mirror.epoch(), 4, 0), Standing::Over);
    tick.known = restored.known();
    replica.tick(&tick, START_US + 1_000_000);
    assert_eq!(replica.roll.standing(mirror.epoch(), 7, 0), Standing::Over, "said again, it is done");
}

#[test]
fn a_session_is_kept_though_a_replica_called_others_with_it() {
    let (replica, mirror) = failed_over(|line, mirror| {
        line.steer(&Steering::Admit(2), START_US);
        *mirror = line.roll.clone();
    });
    let mut replica = LineState::revive(replica.roll, BTreeMap::new(), START_US);
    replica.call(START_US + 1_000_000);
    assert_eq!((called(&replica), mirror.tally.called), (vec![1, 2], 3), "2 alone here, 2 and 3 together there");
    let now_s = START_US / 1_000_000 + 1;
    let restored = replica.restore(&mirror, START_US + 1_000_000).clone();
    for number in 1..=3 {
        let standing = restored.standing(mirror.epoch(), number, now_s);
        assert!(matches!(standing, Standing::Called { .. }), "{number} is {standing:?}");
    }
    assert_eq!(restored.active(now_s), 3);
}

/// A mirror notes who of its own was called before the log tells of it, and not what that uses up of the rate: this
/// comes with the log, or, where the store has lost it, with an epoch that has used up the burst.
#[test]
fn calls_that_only_a_mirror_knows_of_do_not_exceed_the_rate() {
    let limits = limits(1.0, 5);
    let mut line = room(limits.clone());
    assert_eq!(line.join(5, START_US).admitted, 5);
    let (mut replica, mut mirror, later) = (line.clone(), line.roll.clone(), START_US + 5_000_000);
    let lost = line.join(5, later);
    mirror.note(&lost);
    assert_eq!((lost.admitted, mirror.tally.called), (5, 10));
    let spent = admission::spend(replica.roll.tat_us, later, lost.admitted, &limits);
    let healed = replica.restore(&mirror, later).clone();
    assert!(healed.tat_us >= spent, "{} is before {spent}", healed.tat_us);
    assert_eq!((replica.join(1, later).admitted, healed.tally.called), (0, 10));
}

#[test]
fn the_log_goes_on_after_the_later_entry() {
    let (mut replica, mirror) = failed_over(|line, mirror| mirror.note(&line.join(3, START_US)));
    replica.leave(&Numbers::run(5, 6), START_US);
    let before = replica.roll.clone();
    let restored = replica.restore(&mirror, START_US + 1_000_000);
    assert_eq!(restored.seq, before.seq + 1, "no place in the log is taken twice");
    assert_eq!(restored.standing(mirror.epoch(), 5, 0), Standing::Over);
    assert_eq!(restored.standing(mirror.epoch(), 13, 0), Standing::Waiting { ahead: 9 });
}

#[test]
fn a_ticket_of_an_epoch_not_heard_of_yet_is_in_line() {
    let (mut replica, mirror) = failed_over(|line, mirror| mirror.note(&line.join(3, START_US)));
    replica.restore(&mirror, START_US + 1_000_000);
    let joined = replica.join(1, START_US + 1_000_000);
    assert_eq!(mirror.standing(joined.epoch, joined.first, 0), Standing::Unheard);
    assert_eq!(Roll::default().standing(joined.epoch, joined.first, 0), Standing::Unheard, "a gateway just started");
    assert_eq!(mirror.standing(mirror.epoch() - 1, 3, u64::MAX), Standing::Foreign);
    assert!(matches!(replica.roll.standing(joined.epoch, joined.first, 0), Standing::Waiting { .. }));
}

#[test]
fn a_store_that_began_anew_gives_way_to_the_mirror_of_the_lost_line() {
    let mut state = room(limits(5.0, 5));
    state.join(20, START_US);
    let mirror = state.roll.clone();
    let later = START_US + 3_600_000_000;
    for joined in [0, 3] {
        let mut anew = LineState::new(later);
        if joined > 0 {
            anew.join(joined, later);
        }
        let stranger = (anew.roll.epoch(), 2);
        assert!(matches!(anew.follow(mirror.known()), News::Roll(_)), "the mirror then offers what it has");
        anew.restore(&mirror, later + 1_000_000);
        assert_eq!((&anew.roll.waiting, &anew.roll.called), (&mirror.waiting, &mirror.called));
        assert_eq!(anew.roll.settings, mirror.settings);
        assert_eq!(anew.roll.standing(mirror.epoch(), 7, 0), Standing::Waiting { ahead: 1 });
        assert_eq!(anew.roll.standing(stranger.0, stranger.1, 0), Standing::Foreign);
        let healed = anew.roll.clone();
        assert_eq!(anew.restore(&mirror, later + 2_000_000), &healed, "another gateway's mirror adds nothing");
    }
}

#[test]
fn a_line_that_has_stood_for_long_does_not_give_way_to_a_forgotten_mirror() {
    let mut old = room(limits(5.0, 5));
    old.join(20, START_US);
    let mut state = LineState::new(START_US + 86_400_000_000);
    state.join(3, START_US + 86_400_000_000);
    let before = state.roll.clone();
    assert_eq!(state.restore(&old.roll, START_US + 90_000_000_000), &before);
}

/// What an operator sets while a store has just lost the room is not undone by the mirror that brings it back.
#[test]
fn what_was_set_on_a_young_line_outlives_it() {
    let mut old = room(limits(1.0, 1));
    old.join(10, START_US);
    old.steer(&Steering::Phase(Phase::Paused), START_US);
    let later = START_US + 5_000_000;
    let mut young = LineState::new(later);
    young.steer(&Steering::Configure(limits(2.0, 3)), later);
    let settings = young.restore(&old.roll, later).settings.clone().unwrap();
    assert_eq!((settings.limits.burst, settings.configured.burst), (3, 3));
    assert_eq!(settings.phase, Phase::Paused, "what the young line was not told is as it was");

    let mut same = LineState::new(later);
    same.steer(&Steering::Configure(limits(1.0, 1)), later);
    old.steer(&Steering::Limits(limits(9.0, 9)), START_US);
    let settings = same.restore(&old.roll, later).settings.clone().unwrap();
    assert_eq!(settings.limits.burst, 9, "a gateway that starts again changes nothing");
}

/// Two replicas go on from one line, one after the other, each without what the other did.
fn forked() -> (LineState, LineState) {
    let mut line = room(limits(1.0, 1));
    line.join(10, START_US);
    let (mut first, mut second) = (line.clone(), line);
    first.succeed(START_US + 1_000_000);
    first.join(4, START_US + 1_000_000);
    second.succeed(START_US + 5_000_000);
    second.join(2, START_US + 5_000_000);
    (first, second)
}

#[test]
fn a_second_loss_before_the_first_was_copied_loses_nothing_that_a_mirror_remembers() {
    let (first, mut second) = forked();
    second.steer(&Steering::Admit(3), START_US + 6_000_000);
    let places = [first.roll.epoch(), second.roll.epoch()].map(|epoch| (epoch, 10 + EPOCH_MARGIN + 1));
    let [remembered, abandoned] = places;
    let roll = second.restore(&first.roll, START_US + 7_000_000).clone();
    assert!(matches!(roll.standing(remembered.0, remembered.1, 0), Standing::Waiting { .. }));
    assert_eq!(roll.standing(abandoned.0, abandoned.1, 0), Standing::Foreign, "it comes again");
    assert_eq!(roll.called.iter_from(0).collect::<Vec<_>>(), [1, 2, 3, 4], "who was called meanwhile stays called");
    let next = second.join(1, START_US + 8_000_000);
    assert!(next.epoch > abandoned.0 && next.first > first.roll.issued + EPOCH_MARGIN);
}

#[test]
fn what_was_set_since_two_lines_parted_outlives_the_one_that_gives_way() {
    let (first, second) = forked();
    let mut untouched = second.clone();
    let mut set = second;
    set.steer(&Steering::Phase(Phase::Paused), START_US + 6_000_000);
    set.steer(&Steering::Limits(limits(1.0, 9)), START_US + 6_000_000);
    let mut lost = first;
    lost.steer(&Steering::Message(Some("lost".to_owned())), START_US + 2_000_000);
    let settings = |line: &mut LineState| line.restore(&lost.roll, START_US + 7_000_000).settings.clone().unwrap();
    let kept = settings(&mut set);
    assert_eq!((kept.phase, kept.limits.burst), (Phase::Paused, 9));
    assert_eq!(settings(&mut untouched), lost.roll.settings.clone().unwrap(), "nobody has set anything since");
}

#[test]
fn who_was_called_since_two_lines_parted_stays_called_though_one_of_them_drew_lots() {
    let (mut first, mut second) = forked();
    let draw = Draw { reveal: Reveal { seed: [7; 32], public_value: None }, first: 2, last: 10 };
    first.roll.redraw(&draw);
    second.steer(&Steering::Admit(3), START_US + 6_000_000);
    let roll = second.restore(&first.roll, START_US + 7_000_000).clone();
    assert!((1..=4).all(|number| roll.called.contains(roll.place(number))), "{:?}", roll.called);
    assert_eq!(roll.called.count(), 4);
}

#[test]
fn a_line_that_gave_way_does_not_come_back() {
    let (first, mut second) = forked();
    let abandoned = second.roll.clone();
    let healed = second.restore(&first.roll, START_US + 7_000_000).clone();
    assert_eq!(*second.restore(&abandoned, START_US + 8_000_000), healed, "though a mirror still remembers it");
}

/// Two losses within a second: the second new line has the epoch of the first, which gave way to the healed one.
#[test]
fn a_line_that_began_in_the_second_of_one_that_gave_way_gives_way_too() {
    let mut new = room(limits(1.0, 1));
    new.join(3, START_US);
    let healed = new.restore(&Roll::bygone(1, new.roll.epoch()), START_US + 1).clone();
    let mut another = room(limits(1.0, 1));
    another.join(2, START_US + 2);
    let roll = another.restore(&healed, START_US + 3);
    assert!(roll.epoch() > healed.epoch() && roll.issued > healed.issued);
    assert_eq!(roll.eras.iter().filter(|era| era.epoch == healed.eras[1].epoch).count(), 1, "named once");
}

/// Two losses within a second: the second new line has the epoch in which the lost one went on from the first.
#[test]
fn a_line_that_began_in_the_second_in_which_the_lost_one_went_on_gives_way() {
    let later = START_US + 1_000_000;
    let mut lost = room(limits(1.0, 1));
    lost.join(3, START_US);
    lost.succeed(later);
    let stranger = lost.join(2, later).epoch;
    let mut new = LineState::new(later + 1);
    new.steer(&Steering::Configure(limits(1.0, 1)), later + 1);
    assert_eq!(new.join(4, later + 1).epoch, stranger);
    let abandoned = new.roll.clone();
    let healed = new.restore(&lost.roll, later + 2).clone();
    assert!(healed.epoch() > lost.roll.epoch() && healed.issued > lost.roll.issued);
    assert_eq!(healed.waiting, lost.roll.waiting);
    assert_eq!(*new.restore(&abandoned, later + 3), healed, "though a mirror still remembers it");
}

#[test]
fn a_line_that_has_stood_for_long_does_not_give_way_to_its_twin() {
    let (first, mut second) = forked();
    let before = second.roll.clone();
    assert_eq!(*second.restore(&first.roll, START_US + 120_000_000), before);
}

/// The clock of the new server is behind: the lost line's epoch is the later one.
#[test]
fn lines_with_nothing_in_common_are_not_merged_whichever_began_first() {
    let mut old = room(limits(1.0, 1));
    old.join(10, START_US);
    let early = START_US - 600_000_000;
    let mut young = LineState::new(early);
    young.steer(&Steering::Configure(limits(1.0, 5)), early);
    let stranger = young.join(3, early);
    let roll = young.restore(&old.roll, early).clone();
    assert_eq!(
        roll.standing(old.roll.epoch(), 2, 0),
        Standing::Waiting { ahead: 0 },
        "nobody was called but the first"
    );
    assert_eq!(roll.standing(stranger.epoch, 2, 0), Standing::Foreign);
    assert!(young.join(1, early).epoch > old.roll.epoch());
}

#[test]
fn nobody_is_called_before_the_restored_while_they_are_on_their_way_back() {
    let mut state = room(limits(1.0, 1));
    state.join(20, START_US);
    let mut anew = LineState::new(START_US);
    anew.restore(&state.roll, START_US + 1_000_000);
    let later = START_US + 3_000_000;
    let newcomer = anew.join(1, later);
    assert_eq!(newcomer.admitted, 0);
    let page = anew.tick(&tick_of(GATEWAY, Numbers::run(newcomer.first, newcomer.first), Numbers::default()), later);
    assert!(!page.vouched);
    assert_eq!(called(&anew), [1, 2], "2 has waited longer");
    anew.call(START_US + 7_000_000);
    anew.tick(
        &tick_of(GATEWAY, Numbers::run(newcomer.first, newcomer.first), Numbers::default()),
        START_US + 9_000_000,
    );
    anew.call(START_US + 12_000_000);
    assert!(called(&anew).contains(&newcomer.first), "who has not come back by now is away");
    assert_eq!(anew.count_present(), 0);
}

/// A gateway that knows a line as it is in `roll`.
fn tick_after(roll: &Roll, here: Numbers) -> Tick {
    Tick { known: roll.known(), ..tick_of(GATEWAY, here, Numbers::default()) }
}

#[test]
fn a_successor_gives_no_number_twice_though_nobody_who_knows_comes_first() {
    let (mut replica, mirror) = failed_over(|line, mirror| mirror.note(&line.join(3, START_US)));
    let later = START_US + 1_000_000;
    replica.succeed(later);
    let newcomer = replica.join(1, later);
    assert!(newcomer.first > mirror.issued + 100_000 && newcomer.epoch > mirror.epoch(), "{newcomer:?}");
    let healed = replica.restore(&mirror, later).clone();
    assert_eq!(healed.standing(mirror.epoch(), 13, 0), Standing::Waiting { ahead: 11 });
    assert_eq!(healed.standing(newcomer.epoch, newcomer.first, 0), Standing::Waiting { ahead: 12 });
}

#[test]
fn a_mirror_of_an_older_epoch_has_only_its_lease_renewed() {
    let (mut replica, mirror) = failed_over(|_, _| {});
    replica.tick(&tick_after(&mirror, Numbers::run(2, 4)), START_US);
    replica.succeed(START_US);
    let before = replica.roll.clone();
    let mut tick = tick_after(&mirror, Numbers::run(2, 10));
    (tick.left, tick.returned, tick.gone) = (Numbers::run(7, 7), Numbers::run(12, 12), Numbers::run(3, 3));
    tick.ended = vec![Slots { ends_s: START_US / 1_000_000 + 60, numbers: Numbers::run(1, 1) }];
    let late = START_US + 2_000_000;
    let page = replica.tick(&tick, late);
    assert_eq!((&replica.roll, page.vouched, page.present), (&before, false, 9), "all stand at the door");
    assert!(matches!(page.news, News::Roll(_)));
    (tick.known, tick.all_here) = (replica.roll.known(), true);
    let page = replica.tick(&tick, late);
    assert_eq!((page.vouched, called(&replica)), (true, vec![1, 2]));
    assert_eq!(replica.roll.standing(mirror.epoch(), 12, 0), Standing::Waiting { ahead: 7 });
}

#[test]
fn who_was_called_in_the_lost_second_is_not_called_again() {
    let (mut replica, mirror) = failed_over(|line, mirror| {
        line.vouch(&tick_of(GATEWAY, Numbers::run(2, 10), Numbers::default()), START_US);
        line.call(START_US + 1_000_000);
        *mirror = line.roll.clone();
    });
    let later = START_US + 1_500_000;
    replica.succeed(later);
    let other = tick_after(&replica.roll, Numbers::run(2, 10));
    replica.tick(&other, later + REST_US);
    assert_eq!(called(&replica), [1], "until the mirrors have told, nobody is called");
    replica.restore(&mirror, later + REST_US);
    replica.tick(&Tick { known: replica.roll.known(), ..other }, later + REST_US + 1_000_000);
    assert_eq!(called(&replica), [1, 2, 3]);
    assert_eq!(replica.roll.active(later / 1_000_000), 3);
}

#[test]
fn who_was_called_before_and_after_a_loss_has_one_session() {
    let (mut replica, mirror) = failed_over(|line, mirror| {
        line.steer(&Steering::Limits(limits(1_000.0, 8)), START_US);
        line.tick(&tick_of(GATEWAY, Numbers::run(2, 9), Numbers::default()), START_US + 2_000_000);
        *mirror = line.roll.clone();
    });
    assert_eq!(mirror.active(START_US / 1_000_000), 9);
    let later = START_US + 3_000_000;
    replica.succeed(later);
    replica.vouch(&tick_of(GATEWAY, Numbers::run(4, 6), Numbers::default()), later);
    replica.tick(&tick_of(GatewayId(2), Numbers::default(), Numbers::run(2, 3)), later);
    replica.steer(&Steering::Admit(3), later);
    assert_eq!(called(&replica), [1, 4, 5, 6], "a gateway that did not know has them called once more");
    let healed = replica.restore(&mirror, later).clone();
    assert_eq!(healed.active(later / 1_000_000), 9, "a slot each");
    let ends_s = |number| match healed.standing(mirror.epoch(), number, later / 1_000_000) {
        Standing::Called { ends_s, .. } => ends_s - START_US / 1_000_000,
        other => panic!("{number}: {other:?}"),
    };
    assert_eq!([2, 4, 6, 7].map(ends_s), [62, 63, 63, 62], "the longer one");
}

#[test]
fn what_a_loss_has_hidden_does_not_exceed_the_rate() {
    let (mut replica, _) = failed_over(|_, _| {});
    replica.steer(&Steering::Limits(limits(10.0, 5)), START_US);
    let later = START_US + 10_000_000;
    replica.succeed(later);
    let everyone = tick_after(&replica.roll, Numbers::run(1, 10));
    let mut counts = [0, 99, 100, 250].map(|after_ms| {
        replica.tick(&everyone, later + REST_US + after_ms * 1_000);
        called(&replica).len()
    });
    counts.iter_mut().for_each(|count| *count -= 1);
    assert_eq!(counts, [0, 0, 1, 2], "no burst, for the lost may have had it");
}

#[test]
fn a_line_of_which_only_tickets_are_left_comes_back_with_their_holders() {
    let mut lost = room(limits(1.0, 1));
    lost.join(200, START_US);
    let epoch = lost.roll.epoch();
    let later = START_US + 600_000_000;
    let mut anew = LineState::new(later);
    anew.steer(&Steering::Configure(limits(1.0, 1)), later);
    let newcomers = anew.join(3, later);
    assert_eq!(anew.roll.standing(epoch, 150, later / 1_000_000), Standing::Bygone);
    for line in [&mut anew, &mut LineState::new(later)] {
        let before = line.roll.clone();
        assert_eq!(line.restore(&Roll::bygone(150, epoch), later), &before, "it was made in place of another");
    }
    let young = anew.roll.epoch();
    let issued = anew.restore(&Roll::bygone(150, young), later).issued;
    assert_eq!(issued, Roll::bygone(150, young).issued + EPOCH_MARGIN);
    for other in [90, 300_000] {
        assert_eq!(anew.restore(&Roll::bygone(other, young), later).issued, issued, "another gateway's adds nothing");
    }
    assert!(anew.roll.is_back_for(young) && !anew.roll.is_back_for(epoch));
    let standing = |line: &LineState, epoch, number| line.roll.standing(epoch, number, later / 1_000_000);
    assert_eq!(standing(&anew, epoch, 180), Standing::Unseen, "also beyond the ticket that was seen");
    assert_eq!(standing(&anew, newcomers.epoch, 2), Standing::Foreign, "no number has two holders");
    let next = anew.join(1, later);
    anew.take_back(&[150, 180, 7].into_iter().collect(), later);
    assert_eq!(standing(&anew, epoch, 7), Standing::Waiting { ahead: 0 });
    assert_eq!(standing(&anew, epoch, 180), Standing::Waiting { ahead: 2 });
    assert_eq!(standing(&anew, next.epoch, next.first), Standing::Waiting { ahead: 3 });
    anew.restore(&lost.roll, later);
    assert_eq!(
        standing(&anew, epoch, 8),
        Standing::Waiting { ahead: 6 },
        "a mirror of it that turns up adds what it knows"
    );
}

#[test]
fn the_lowest_ticket_of_a_lost_line_may_come_back_first() {
    let later = START_US + 600_000_000;
    let mut anew = LineState::new(later);
    anew.steer(&Steering::Configure(limits(1.0, 1)), later);
    let epoch = anew.roll.epoch() - 600;
    anew.restore(&Roll::bygone(5, anew.roll.epoch()), later);
    let newcomer = anew.join(1, later);
    let highest = 5 + 4_000_000;
    let standing = |line: &LineState, epoch, number| line.roll.standing(epoch, number, later / 1_000_000);
    assert_eq!(standing(&anew, epoch, highest), Standing::Unseen);
    anew.take_back(&[highest, 5].into_iter().collect(), later);
    assert_eq!(standing(&anew, epoch, highest), Standing::Waiting { ahead: 1 });
    assert_eq!(standing(&anew, newcomer.epoch, newcomer.first), Standing::Waiting { ahead: 2 });
}

#[test]
fn a_ticket_of_long_ago_does_not_put_a_line_aside() {
    let mut line = room(limits(1.0, 1));
    line.join(3, START_US);
    let later = START_US + 61_000_000;
    assert_eq!(line.roll.standing(line.roll.epoch() - 9, 7, later / 1_000_000), Standing::Foreign);
    let before = line.roll.clone();
    assert_eq!(line.restore(&Roll::bygone(7, before.epoch()), later), &before);
}

#[test]
fn a_line_made_in_a_second_that_the_lost_one_has_named_is_another_line() {
    let later = START_US + 600_000_000;
    let mut lost = LineState::new(later);
    lost.steer(&Steering::Configure(limits(1.0, 1)), later);
    lost.restore(&Roll::bygone(5, lost.roll.epoch()), later);
    let next_second = later + 1_000_000;
    let mut anew = LineState::new(next_second);
    assert_eq!(anew.roll.epoch(), lost.roll.epoch());
    anew.steer(&Steering::Configure(limits(7.0, 1)), next_second);
    let stranger = anew.join(1, next_second);
    let healed = anew.restore(&lost.roll, next_second);
    assert_eq!(healed.limits(), Some(limits(7.0, 1)), "what was set later stays");
    assert!(healed.covers((START_US / 1_000_000) as u32, 5), "the lost line is back");
    assert!(healed.is_strange(stranger.epoch, stranger.first), "no number has two holders");
}

#[test]
fn who_has_a_ticket_of_a_line_that_does_not_come_back_is_told_so_though_its_epoch_is_a_later_one() {
    let mut lost = room(limits(1.0, 1));
    let of_lost = lost.join(3, START_US);
    // The next server's clock is behind; it is set right when some have joined.
    let behind = START_US - 600_000_000;
    let mut anew = LineState::new(behind);
    anew.steer(&Steering::Configure(limits(1.0, 1)), behind);
    let joined = anew.join(2, behind);
    let standing = |line: &LineState, epoch, number| line.roll.standing(epoch, number, START_US / 1_000_000);
    assert_eq!(standing(&anew, of_lost.epoch, 3), Standing::Unheard);
    anew.restore(&lost.roll, START_US);
    assert_eq!(standing(&anew, of_lost.epoch, 3), Standing::Foreign);
    assert_eq!(standing(&anew, joined.epoch, 2), Standing::Waiting { ahead: 0 }, "who is in line stays there");
    let before = anew.roll.clone();
    assert_eq!(anew.restore(&lost.roll, START_US), &before, "said twice, it changes nothing");
}

#[test]
fn a_session_ends_in_the_line_when_its_call_says_whatever_a_pass_of_a_lost_line_says() {
    let mut line = room(limits(1.0, 1));
    let joined = line.join(2, START_US);
    let told = joined.ends_s + 7;
    assert_eq!(line.roll.slot_end(1, told), Some(joined.ends_s));
    assert_eq!(line.roll.slot_end(2, told), Some(told), "its call is not known here");
    line.roll.sessions.prune(joined.ends_s);
    assert_eq!(line.roll.slot_end(1, told), None, "its slot is free");
}
