//! What every store of the line must do, run on each of them.

use std::time::Duration;

use vestibule::admission::Limits;
use vestibule::clock::Clock;
use vestibule::line::draw::{DrawStep, Promise, Reveal};
use vestibule::line::embedded::Embedded;
use vestibule::line::redis::RedisLine;
use vestibule::line::{
    Joined, LineStore, News, Numbers, Page, Phase, Renewal, Roll, RoomName, Slots, Standing, Steering, StoreFault,
    Tick, UNSEEN_S,
};
use vestibule::schedule::Schedule;

use super::{START_MS, fresh_room, limits, tick};
use crate::redis_cluster::RedisCluster;
use crate::redis_server::RedisServer;

/// A store under test, the clock it goes by, and a room of its own.
struct Stand {
    store: Box<dyn LineStore>,
    clock: Clock,
    room: RoomName,
}

impl Stand {
    async fn embedded() -> Self {
        let clock = Clock::manual(START_MS);
        let store = Embedded::open(None, clock.clone()).expect("in memory");
        Self { store: Box::new(store), clock, room: fresh_room() }
    }

    async fn redis() -> Self {
        let clock = Clock::manual(START_MS);
        let timeout = Duration::from_secs(10);
        let store = RedisLine::connect_with_clock(&RedisServer::shared().url(), timeout, clock.clone()).await;
        Self { store: Box::new(store.expect("the server runs")), clock, room: fresh_room() }
    }

    async fn cluster() -> Self {
        let (clock, cluster) = (Clock::manual(START_MS), RedisCluster::shared());
        let store = RedisLine::connect_with_clock(&cluster.url(), Duration::from_secs(10), clock.clone()).await;
        Self { store: Box::new(store.expect("the nodes run")), clock, room: cluster.room(false, fresh_room) }
    }

    async fn configure(&self, limits: Limits) {
        self.steer(Steering::Configure(limits)).await;
    }

    async fn steer(&self, steering: Steering) {
        self.store.steer(&self.room, &steering).await.expect("a steering");
    }

    async fn join(&self, count: u64) -> Joined {
        self.store.join(&self.room, count).await.expect("a join")
    }

    async fn tick(&self, tick: Tick) -> Page {
        self.store.tick(&self.room, &tick).await.expect("a tick")
    }

    async fn roll(&self) -> Roll {
        self.store.restore(&self.room, &Roll::default()).await.expect("a roll")
    }

    async fn called(&self) -> Vec<u64> {
        self.roll().await.called.iter_from(0).collect()
    }

    async fn waiting(&self) -> Vec<u64> {
        self.roll().await.waiting.iter_from(0).collect()
    }
}

fn here(gateway: u64, numbers: Numbers) -> Tick {
    Tick { here: numbers, ..tick(gateway) }
}

/// All who are at a gateway, as it says when it is asked.
fn everyone(gateway: u64, numbers: Numbers) -> Tick {
    Tick { all_here: true, ..here(gateway, numbers) }
}

/// Runs each of the named functions on each store.
macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test] async fn $name() { super::$name(super::Stand::embedded().await).await })+
        }
        mod redis {
            $(#[tokio::test] async fn $name() { super::$name(super::Stand::redis().await).await })+
        }
        mod cluster {
            $(#[tokio::test] async fn $name() { super::$name(super::Stand::cluster().await).await })+
        }
    };
}

on_every_store!(
    an_empty_line_admits_at_once_and_numbers_are_dense,
    a_room_without_settings_numbers_nobody,
    the_absent_are_passed_over_and_called_first_on_return,
    a_lease_that_runs_out_takes_nobodys_place,
    a_gateway_that_dies_takes_its_own_visitors_and_nobody_elses,
    what_a_gateway_says_whose_lease_ran_out_takes_nobody_away_from_another,
    a_tick_that_a_later_one_overtook_takes_nobody_away,
    until_every_gateway_has_answered_nobody_counts_as_away,
    who_comes_to_a_gateway_that_has_not_answered_is_here_until_all_have,
    who_is_here_through_two_gateways_stays_while_either_holds,
    a_gateway_that_may_not_have_been_heard_says_all_and_so_do_the_others,
    the_grace_period_takes_a_place,
    two_gateways_share_one_rate_and_an_instant_counts_once,
    a_pause_earns_nothing_and_a_closed_room_calls_nobody,
    a_draining_room_calls_those_in_line_to_the_last,
    an_ended_session_frees_its_slot_once,
    a_renewed_session_keeps_its_slot_whatever_other_gateways_know,
    who_leaves_is_gone_and_who_was_called_cannot_leave,
    a_mirror_that_applies_the_entries_is_the_line,
    what_an_operator_set_outlives_the_same_configuration,
    a_reset_takes_every_place,
    by_hand_is_on_top_of_the_rate,
    a_mirror_that_knows_more_begins_an_epoch,
    a_mirror_that_knows_of_lost_joins_begins_an_epoch,
    the_forgotten_come_back_within_the_grace_period_or_lapse,
    however_scattered_the_forgotten_lapse_when_one_period_is_over,
    rooms_are_apart,
    joins_at_once_get_different_numbers,
    scattered_visitors_are_seen_and_called_in_order,
    thousands_lapse_some_at_a_time,
    a_long_line_goes_on_when_its_head_is_cut_off,
    a_line_of_a_million_is_counted_ten_times_a_second,
    the_slowest_wish_counts_for_as_long_as_its_lease,
    a_wish_counts_between_floor_and_ceiling_and_only_where_the_rate_adapts,
    a_rate_that_swings_grants_no_burst,
    a_rate_changed_by_hand_grants_no_burst,
    an_hour_without_a_tick_earns_one_burst,
    at_a_steady_rate_nobody_sees_many_at_once_and_then_none,
    an_active_limit_below_those_inside_waits_until_they_are_out,
    who_has_run_out_stays_out_when_the_clock_is_put_back,
    a_sale_starts_and_ends_by_the_stores_clock,
    lots_decide_among_those_who_came_before_the_start,
    after_a_draw_nobody_is_called_before_all_gateways_have_said_who_is_here,
    a_draw_that_is_not_what_was_promised_changes_nothing,
    of_two_who_revise_the_limits_neither_undoes_the_other,
    a_new_room_whose_rate_adapts_begins_at_the_floor,
    by_hand_nobody_is_called_whose_gateway_has_died,
    who_may_have_come_unseen_is_given_up_when_no_ticket_is_honoured_any_more,
);

async fn an_empty_line_admits_at_once_and_numbers_are_dense(stand: Stand) {
    stand.configure(limits(10.0, 3)).await;
    let first = stand.join(5).await;
    assert_eq!((first.first, first.count, first.admitted), (1, 5, 3));
    assert_eq!(first.ends_s, START_MS / 1_000 + 60);
    stand.clock.advance_ms(500);
    let next = stand.join(2).await;
    assert_eq!((next.epoch, next.first, next.admitted), (first.epoch, 6, 0), "4 and 5 stand before a newcomer");
}

async fn a_room_without_settings_numbers_nobody(stand: Stand) {
    stand.steer(Steering::Limits(limits(100.0, 10))).await;
    stand.steer(Steering::Message(Some("hello".to_owned()))).await;
    stand.tick(here(1, Numbers::run(1, 3))).await;
    assert_eq!(stand.store.join(&stand.room, 3).await, Err(StoreFault::NotMade), "it may be a line that was lost");
    let roll = stand.roll().await;
    assert_eq!((roll.settings, roll.issued), (None, 0));
}

async fn the_absent_are_passed_over_and_called_first_on_return(stand: Stand) {
    stand.configure(limits(1.0, 1)).await;
    stand.join(4).await;
    let page = stand.tick(Tick { gone: Numbers::run(2, 2), ..here(1, Numbers::run(3, 4)) }).await;
    assert_eq!(page.present, 2);
    stand.clock.advance_ms(1_000);
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await, [1, 3]);
    stand.clock.advance_ms(1_000);
    stand.tick(here(1, Numbers::run(2, 2))).await;
    assert_eq!(stand.called().await, [1, 2, 3]);
}

async fn a_lease_that_runs_out_takes_nobodys_place(stand: Stand) {
    stand.configure(limits(1.0, 1)).await;
    stand.join(3).await;
    assert!(!stand.tick(here(1, Numbers::run(2, 3))).await.vouched, "a gateway never heard of");
    assert!(stand.tick(tick(1)).await.vouched);
    stand.clock.advance_ms(10_000);
    let other = stand.tick(everyone(2, Numbers::default())).await;
    assert_eq!(other.present, 0, "the first gateway's lease ran out");
    assert_eq!(stand.waiting().await, [2, 3]);
    assert!(!stand.tick(here(1, Numbers::run(2, 3))).await.vouched, "it must say again who is here");
    assert_eq!(stand.called().await, [1, 2]);
}

/// Two gateways, of which the first falls silent for as long as its lease holds.
async fn first_falls_silent(stand: &Stand) {
    stand.configure(limits(0.0, 1)).await;
    stand.join(6).await;
    stand.tick(everyone(1, Numbers::run(1, 3))).await;
    assert_eq!(stand.tick(everyone(2, Numbers::run(4, 6))).await.present, 6);
    stand.clock.advance_ms(9_000);
    assert!(stand.tick(tick(2)).await.vouched);
    stand.clock.advance_ms(1_000);
}

async fn a_gateway_that_dies_takes_its_own_visitors_and_nobody_elses(stand: Stand) {
    first_falls_silent(&stand).await;
    let asked = stand.tick(tick(2)).await;
    assert_eq!((asked.vouched, asked.present), (false, 6), "the second has yet to say who is its own");
    let ignored = stand.tick(Tick { gone: Numbers::run(4, 4), ..tick(2) }).await;
    assert_eq!((ignored.vouched, ignored.present), (false, 6), "and that is no answer");
    let answered = stand.tick(everyone(2, Numbers::run(5, 6))).await;
    assert_eq!((answered.vouched, answered.present), (true, 2));
    assert_eq!(stand.waiting().await, [1, 2, 3, 4, 5, 6]);
    let gone = stand.tick(Tick { gone: Numbers::run(5, 5), ..tick(2) }).await;
    assert_eq!((gone.vouched, gone.present), (true, 1), "from then on each goes at once");
}

async fn what_a_gateway_says_whose_lease_ran_out_takes_nobody_away_from_another(stand: Stand) {
    first_falls_silent(&stand).await;
    stand.tick(everyone(2, Numbers::run(1, 6))).await;
    let late = stand.tick(Tick { gone: Numbers::run(1, 1), ..tick(1) }).await;
    assert_eq!((late.vouched, late.present), (false, 6), "1 has gone to the second gateway");
}

async fn a_tick_that_a_later_one_overtook_takes_nobody_away(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    stand.join(3).await;
    stand.tick(everyone(1, Numbers::run(1, 3))).await;
    // It hangs on the way; meanwhile the visitor is back, and the gateway says all that it may not have been heard with.
    let late = Tick { gone: Numbers::run(2, 2), wish_us: Some(1), ..tick(1) };
    stand.tick(everyone(1, Numbers::run(1, 3))).await;
    assert_eq!(stand.tick(late).await.present, 3);
    assert!(stand.tick(tick(1)).await.vouched, "nothing has to be said again for it");
}

async fn until_every_gateway_has_answered_nobody_counts_as_away(stand: Stand) {
    first_falls_silent(&stand).await;
    stand.tick(everyone(3, Numbers::default())).await;
    assert_eq!(stand.tick(everyone(3, Numbers::default())).await.present, 6);
    stand.steer(Steering::Limits(limits(1.0, 1))).await;
    stand.clock.advance_ms(1_000);
    stand.tick(tick(3)).await;
    assert_eq!(stand.called().await, [1], "the line does not stand still meanwhile");
    assert_eq!(stand.tick(everyone(2, Numbers::run(4, 6))).await.present, 3);
    stand.clock.advance_ms(1_000);
    stand.tick(tick(3)).await;
    assert_eq!(stand.called().await, [1, 4], "2 and 3 were at the gateway that died");
}

async fn who_comes_to_a_gateway_that_has_not_answered_is_here_until_all_have(stand: Stand) {
    first_falls_silent(&stand).await;
    stand.tick(everyone(3, Numbers::default())).await;
    stand.tick(everyone(3, Numbers::default())).await;
    stand.tick(everyone(2, Numbers::run(4, 5))).await;
    assert_eq!(stand.tick(tick(3)).await.present, 2);

    stand.tick(everyone(2, Numbers::run(4, 5))).await;
    assert_eq!(stand.tick(here(3, Numbers::run(1, 2))).await.present, 4, "they are with one that has yet to answer");
    assert_eq!(stand.tick(Tick { gone: Numbers::run(2, 2), ..tick(3) }).await.present, 4, "2 may be with another");
    assert_eq!(stand.tick(everyone(3, Numbers::run(1, 1))).await.present, 3, "now it has answered, without 2");
}

async fn who_is_here_through_two_gateways_stays_while_either_holds(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    stand.join(3).await;
    stand.tick(everyone(1, Numbers::run(1, 2))).await;
    stand.tick(everyone(2, Numbers::run(2, 3))).await;
    let gone = |gateway| Tick { gone: Numbers::run(2, 2), ..tick(gateway) };
    assert_eq!(stand.tick(gone(1)).await.present, 3, "the second gateway has 2 as well");
    stand.clock.advance_ms(5_000);
    stand.tick(tick(1)).await;
    assert!(!stand.tick(tick(1)).await.vouched, "somebody may have gone from both");
    stand.tick(everyone(1, Numbers::run(1, 1))).await;
    assert_eq!(stand.tick(everyone(2, Numbers::run(2, 3))).await.present, 3, "2 has not");
    assert_eq!(stand.tick(gone(2)).await.present, 2, "and now has");

    stand.tick(Tick { here: Numbers::run(3, 3), ..tick(1) }).await;
    stand.tick(Tick { gone: Numbers::run(3, 3), ..tick(1) }).await;
    assert_eq!(
        stand.tick(Tick { gone: Numbers::run(3, 3), ..tick(2) }).await.present,
        2,
        "one of two, for all it knows"
    );
    stand.clock.advance_ms(5_000);
    stand.tick(tick(1)).await;
    stand.tick(everyone(2, Numbers::default())).await;
    assert_eq!(stand.tick(everyone(1, Numbers::run(1, 1))).await.present, 1, "the next muster tells");
}

async fn a_gateway_that_may_not_have_been_heard_says_all_and_so_do_the_others(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    stand.join(4).await;
    stand.tick(everyone(1, Numbers::run(1, 2))).await;
    stand.tick(everyone(2, Numbers::run(3, 4))).await;
    // It does not know any more whom it has named, of whom one has gone.
    let all = stand.tick(everyone(1, Numbers::run(2, 2))).await;
    assert_eq!((all.vouched, all.present), (true, 4), "1 may be at the second gateway");
    assert!(!stand.tick(tick(2)).await.vouched);
    assert_eq!(stand.tick(everyone(2, Numbers::run(3, 4))).await.present, 3);
}

async fn the_grace_period_takes_a_place(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    stand.join(2).await;
    for _ in 0..7 {
        stand.tick(Tick { gone: Numbers::run(2, 2), ..here(1, Numbers::run(1, 1)) }).await;
        stand.clock.advance_ms(5_000);
    }
    assert_eq!(stand.waiting().await, [1, 2], "it joined in this period");
    for _ in 0..7 {
        stand.tick(tick(1)).await;
        stand.clock.advance_ms(5_000);
    }
    let roll = stand.roll().await;
    assert_eq!(roll.standing(roll.epoch(), 2, 0), Standing::Over);
    assert_eq!((stand.waiting().await, roll.tally.lapsed), (vec![1], 1));
}

async fn two_gateways_share_one_rate_and_an_instant_counts_once(stand: Stand) {
    stand.configure(limits(10.0, 2)).await;
    stand.join(100).await;
    stand.tick(here(1, Numbers::run(1, 50))).await;
    stand.tick(here(2, Numbers::run(51, 100))).await;
    assert_eq!(stand.called().await.len(), 2);
    for _ in 0..10 {
        stand.clock.advance_ms(100);
        stand.tick(tick(1)).await;
        let before = stand.roll().await;
        stand.tick(tick(2)).await;
        assert_eq!(stand.roll().await, before, "the second tick of an instant changes nothing");
    }
    assert_eq!(stand.called().await, (1..=12).collect::<Vec<u64>>());
}

async fn a_pause_earns_nothing_and_a_closed_room_calls_nobody(stand: Stand) {
    stand.configure(limits(10.0, 2)).await;
    stand.join(100).await;
    stand.steer(Steering::Phase(Phase::Paused)).await;
    stand.clock.advance_ms(9_000);
    stand.tick(here(1, Numbers::run(1, 100))).await;
    assert_eq!(stand.called().await.len(), 2);
    stand.steer(Steering::Phase(Phase::Closed)).await;
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await.len(), 2);
    stand.steer(Steering::Phase(Phase::Open)).await;
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await.len(), 4, "one burst, no more");
}

/// Whether anybody new joins, the gate says: a join that was under way when the room began to drain is called too.
async fn a_draining_room_calls_those_in_line_to_the_last(stand: Stand) {
    stand.configure(limits(10.0, 2)).await;
    stand.join(5).await;
    stand.steer(Steering::Phase(Phase::Draining)).await;
    assert_eq!(stand.roll().await.settings.map(|settings| settings.phase), Some(Phase::Draining));
    for gateway in 1..=4 {
        stand.clock.advance_ms(1_000);
        stand.tick(here(gateway, Numbers::run(1, 5))).await;
    }
    assert_eq!(stand.called().await, [1, 2, 3, 4, 5]);
}

async fn an_ended_session_frees_its_slot_once(stand: Stand) {
    stand.configure(Limits { total_active_users: Some(2), ..limits(1_000.0, 100) }).await;
    let joined = stand.join(5).await;
    assert_eq!(joined.admitted, 2);
    let ended = Slots { ends_s: joined.ends_s, numbers: Numbers::run(1, 1) };
    stand.tick(Tick { ended: vec![ended.clone(), ended.clone()], ..tick(1) }).await;
    stand.tick(Tick { ended: vec![ended], ..tick(1) }).await;
    assert_eq!(stand.called().await, [1, 2, 3]);
    stand.clock.advance_ms(60_000);
    stand.tick(here(1, Numbers::run(4, 5))).await;
    assert_eq!(stand.called().await, [1, 2, 3, 4, 5], "sessions that ran out free their slots");
}

async fn a_renewed_session_keeps_its_slot_whatever_other_gateways_know(stand: Stand) {
    stand.configure(Limits { total_active_users: Some(2), ..limits(1_000.0, 100) }).await;
    let joined = stand.join(5).await;
    let began_us = stand.clock.now_us();
    stand.clock.advance_ms(30_000);
    let renewal = |number| Renewal { number, ends_s: joined.ends_s, called_us: began_us };
    stand.tick(Tick { renewed: vec![renewal(1)], ..here(1, Numbers::run(3, 5)) }).await;
    stand.tick(Tick { renewed: vec![renewal(1)], ..tick(2) }).await;
    let roll = stand.roll().await;
    let standing = |after_s| roll.standing(joined.epoch, 1, joined.ends_s + after_s);
    assert_eq!(standing(29), Standing::Called { ends_s: joined.ends_s + 30, at_us: began_us });
    assert_eq!([roll.active(joined.ends_s - 1), roll.active(joined.ends_s)], [2, 1], "one slot for each, not two");
    stand.clock.advance_ms(30_000);
    stand.tick(here(1, Numbers::run(3, 5))).await;
    assert_eq!(stand.called().await, [1, 2, 3], "the other one's slot is free");
    // The second gateway has not heard of it, and ends the session by what it knows.
    let ended = Slots { ends_s: joined.ends_s, numbers: Numbers::run(1, 1) };
    stand.tick(Tick { ended: vec![ended], renewed: vec![renewal(1), renewal(2), renewal(4)], ..tick(2) }).await;
    assert_eq!(stand.called().await, [1, 2, 3, 4], "and is understood; nobody is renewed who is not inside");
    let roll = stand.roll().await;
    assert_eq!(roll.active(stand.clock.now_us() / 1_000_000), 2);
    assert_eq!(roll.standing(joined.epoch, 1, 0), Standing::Over);
    stand.clock.advance_ms(60_000);
    stand.tick(here(1, Numbers::run(3, 5))).await;
    assert_eq!((stand.roll().await.active(joined.ends_s + 60), stand.called().await.len()), (1, 5), "all run out");
}

async fn who_leaves_is_gone_and_who_was_called_cannot_leave(stand: Stand) {
    stand.configure(limits(1.0, 1)).await;
    stand.join(4).await;
    let page = stand.tick(Tick { left: Numbers::run(1, 2), ..here(1, Numbers::run(2, 4)) }).await;
    let roll = stand.roll().await;
    assert_eq!((stand.waiting().await, roll.tally.left, page.present), (vec![3, 4], 1, 2));
    assert!(matches!(roll.standing(roll.epoch(), 1, START_MS / 1_000), Standing::Called { .. }));
}

async fn a_mirror_that_applies_the_entries_is_the_line(stand: Stand) {
    stand.configure(limits(50.0, 5)).await;
    let mut mirror = stand.roll().await;
    for round in 0..20 {
        stand.join(7).await;
        let first = round * 7 + 1;
        let left = Numbers::run(first + 3, first + 3);
        let page = stand.tick(Tick { left, known: mirror.known(), ..here(1, Numbers::run(first, first + 6)) }).await;
        let News::Entries(entries) = page.news else { panic!("it follows closely") };
        entries.iter().for_each(|entry| mirror.apply(entry));
        stand.clock.advance_ms(130);
    }
    assert_eq!(mirror, stand.roll().await, "link and all");
    let stranger = stand.tick(tick(2)).await.news;
    assert!(matches!(stranger, News::Roll(roll) if roll.called.count() >= mirror.called.count()));
}

async fn what_an_operator_set_outlives_the_same_configuration(stand: Stand) {
    let (file, by_hand, edited) = (limits(1.0, 1), limits(7.0, 3), limits(2.0, 2));
    stand.configure(file.clone()).await;
    stand.steer(Steering::Limits(by_hand.clone())).await;
    stand.steer(Steering::Message(Some("a|b\n c ".to_owned()))).await;
    stand.configure(file).await;
    let settings = stand.roll().await.settings.expect("a room");
    assert_eq!((settings.limits, settings.message.as_deref()), (by_hand, Some("a|b\n c ")));
    stand.configure(edited.clone()).await;
    stand.steer(Steering::Message(None)).await;
    let settings = stand.roll().await.settings.expect("a room");
    assert_eq!((settings.limits, settings.configured, settings.message), (edited.clone(), edited, None));
}

async fn a_reset_takes_every_place(stand: Stand) {
    stand.configure(limits(1.0, 1)).await;
    stand.join(40_000).await;
    stand.steer(Steering::Reset).await;
    assert_eq!(stand.waiting().await, [0u64; 0]);
    stand.clock.advance_ms(1_000);
    assert_eq!(stand.join(1).await.admitted, 1);
}

async fn by_hand_is_on_top_of_the_rate(stand: Stand) {
    stand.configure(limits(1.0, 1)).await;
    stand.join(10).await;
    stand.steer(Steering::Admit(5)).await;
    assert_eq!(stand.called().await, (1..=6).collect::<Vec<u64>>());
    stand.clock.advance_ms(4_000);
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await.len(), 6, "five seconds of rate were spent by hand");
}

async fn a_mirror_that_knows_more_begins_an_epoch(stand: Stand) {
    stand.configure(limits(1.0, 1)).await;
    let lost = stand.join(10).await;
    stand.tick(here(1, Numbers::run(1, 10))).await;
    let mut mirror = stand.roll().await;
    mirror.seq += 5;
    let behind = stand.tick(Tick { known: mirror.known(), ..tick(1) }).await;
    assert_eq!(behind.news, News::Behind);
    let restored = stand.store.restore(&stand.room, &mirror).await.expect("a restore");
    let again = stand.store.restore(&stand.room, &mirror).await.expect("a restore");
    assert_eq!(restored, again, "offering it twice is offering it once");
    assert!(restored.epoch() > lost.epoch);
    let next = stand.join(1).await;
    assert!(next.first > lost.first + 100_000, "above all that may have been given: {next:?}");
    assert_eq!(restored.standing(lost.epoch, 12, 0), Standing::Unseen);
    stand.tick(Tick { returned: Numbers::run(12, 12), ..tick(1) }).await;
    assert_eq!(stand.roll().await.standing(lost.epoch, 12, 0), Standing::Waiting { ahead: 9 });
}

async fn a_mirror_that_knows_of_lost_joins_begins_an_epoch(stand: Stand) {
    stand.configure(limits(1.0, 1)).await;
    let kept = stand.join(10).await;
    stand.tick(here(1, Numbers::run(1, 10))).await;
    let mut mirror = stand.roll().await;
    let before = mirror.clone();
    mirror.note(&Joined { first: 11, count: 3, admitted: 0, ..kept });
    stand.clock.advance_ms(1_000);
    let say = Tick { left: Numbers::run(5, 5), known: mirror.known(), ..tick(1) };
    let page = stand.tick(say.clone()).await;
    assert_eq!((page.news, page.present, page.vouched), (News::Behind, 9, true));
    assert_eq!(stand.roll().await, before, "nothing takes the place of what was lost");
    let restored = stand.store.restore(&stand.room, &mirror).await.expect("a restore");
    assert_eq!(restored.standing(kept.epoch, 13, 0), Standing::Waiting { ahead: 11 });
    assert!(stand.join(1).await.first > 100_000, "no number has two holders");
    stand.tick(Tick { known: restored.known(), ..say }).await;
    assert_eq!(stand.roll().await.standing(kept.epoch, 5, 0), Standing::Over);
}

async fn the_forgotten_come_back_within_the_grace_period_or_lapse(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    let lost = stand.join(10).await;
    stand.tick(here(1, Numbers::run(1, 10))).await;
    let mut mirror = stand.roll().await;
    mirror.seq += 5;
    let restored = stand.store.restore(&stand.room, &mirror).await.expect("a restore");
    let newcomer = stand.join(1).await.first;
    let known = || async { stand.roll().await.first_forgotten(0).is_none_or(|first| first > newcomer) };
    for _ in 0..7 {
        assert!(!known().await, "somebody may yet come back before a newcomer");
        let returned = [12, 300].into_iter().collect();
        stand.tick(Tick { returned, ..here(1, [12, 300, newcomer].into_iter().collect()) }).await;
        stand.clock.advance_ms(5_000);
    }
    let mut roll = stand.roll().await;
    assert!(known().await, "all came back or have lapsed");
    let standing = [11, 12, 300, 100_000].map(|number| roll.standing(lost.epoch, number, 0));
    let waits = |ahead| Standing::Waiting { ahead };
    assert_eq!(standing, [Standing::Over, waits(0), waits(1), Standing::Over]);
    assert_eq!(roll.issued - roll.unseen.len(), 11, "the count of those who came is as it was");
    stand.tick(Tick { returned: Numbers::run(11, 11), ..tick(1) }).await;
    assert_eq!(stand.roll().await.waiting, roll.waiting, "and is over for good");
    roll.merge(&restored, stand.clock.now_us());
    assert_eq!(roll.standing(lost.epoch, 11, 0), Standing::Over, "also when a mirror comes that slept meanwhile");
}

async fn however_scattered_the_forgotten_lapse_when_one_period_is_over(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    stand.join(10).await;
    stand.tick(here(1, Numbers::run(1, 10))).await;
    let mut mirror = stand.roll().await;
    mirror.seq += 5;
    stand.store.restore(&stand.room, &mirror).await.expect("a restore");
    let scattered: Numbers = (0..5_000).map(|i| 12 + 2 * i).collect();
    let present = scattered.clone();
    stand.tick(Tick { returned: scattered, ..here(1, present.clone()) }).await;
    for _ in 0..5 {
        assert_eq!(stand.roll().await.first_forgotten(0), Some(11));
        stand.clock.advance_ms(5_000);
        stand.tick(here(1, present.clone())).await;
    }
    stand.clock.advance_ms(5_000);
    for _ in 0..4 {
        stand.tick(here(1, present.clone())).await;
    }
    let roll = stand.roll().await;
    assert_eq!(roll.first_forgotten(0), None, "in a few ticks, not in as many periods");
    assert!(present.iter().all(|number| roll.waiting.contains(number)), "those who are here keep their places");
}

async fn rooms_are_apart(stand: Stand) {
    let other = fresh_room();
    stand.configure(limits(1.0, 1)).await;
    stand.join(3).await;
    stand.store.steer(&other, &Steering::Configure(limits(0.0, 1))).await.expect("a steering");
    let joined = stand.store.join(&other, 1).await.expect("a join");
    assert_eq!((joined.first, joined.admitted), (1, 0));
}

async fn joins_at_once_get_different_numbers(stand: Stand) {
    stand.configure(limits(1.0, 1)).await;
    let joins = (1..=20u64).map(|count| stand.join(count));
    let mut given: Vec<Joined> = futures_util::future::join_all(joins).await;
    given.sort_by_key(|joined| joined.first);
    let mut next = 1;
    for joined in given {
        assert_eq!(joined.first, next);
        next += joined.count;
    }
}

async fn scattered_visitors_are_seen_and_called_in_order(stand: Stand) {
    stand.configure(Limits { interval_us: 0, ..limits(0.0, 1) }).await;
    stand.steer(Steering::Phase(Phase::Paused)).await;
    stand.join(60_000).await;
    for _ in 0..3 {
        stand.clock.advance_ms(6_000);
        stand.tick(tick(1)).await;
    }
    let odd: Numbers = (1..=60_000).step_by(2).collect();
    let third: Numbers = (1..=60_000).step_by(3).collect();
    assert_eq!(stand.tick(here(1, odd)).await.present, 30_000);
    let page = stand.tick(Tick { gone: third, ..tick(1) }).await;
    assert_eq!(page.present, 20_000, "every sixth is odd and of the third");
    stand.steer(Steering::Phase(Phase::Open)).await;
    stand.tick(tick(1)).await;
    let lowest: Vec<u64> = (1..=60_000).filter(|n| n % 2 == 1 && n % 3 != 1).take(5_000).collect();
    assert_eq!(stand.called().await, lowest, "no more than may be called at once");
}

async fn thousands_lapse_some_at_a_time(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    stand.join(10_000).await;
    let even: Numbers = (2..=10_000).step_by(2).collect();
    let mut lapsed = Vec::new();
    for _ in 0..16 {
        stand.tick(here(1, even.clone())).await;
        stand.clock.advance_ms(5_000);
        lapsed.push(stand.roll().await.tally.lapsed);
    }
    lapsed.dedup();
    assert_eq!(lapsed, [0, 2_000, 4_000, 5_000]);
    assert_eq!(stand.waiting().await, even.iter().collect::<Vec<u64>>());
}

async fn a_line_of_a_million_is_counted_ten_times_a_second(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    for _ in 0..17 {
        stand.join(65_536).await;
    }
    stand.tick(everyone(1, Numbers::run(1, 1_000_000))).await;
    // Nobody is at the door any more.
    for _ in 0..3 {
        stand.clock.advance_ms(6_000);
        stand.tick(tick(1)).await;
    }
    let gone = |first| Tick { gone: Numbers::run(first, first + 99), ..tick(1) };
    assert_eq!(stand.tick(tick(1)).await.present, 1_000_000);
    stand.clock.advance_ms(50);
    assert_eq!(stand.tick(gone(901)).await.present, 1_000_000, "as counted 50 ms ago");
    stand.steer(Steering::Admit(300)).await;
    stand.steer(Steering::Limits(limits(100.0, 1))).await;
    stand.clock.advance_ms(20);
    assert_eq!(stand.tick(tick(1)).await.present, 999_999, "but for whom the tick itself calls");
    stand.clock.advance_ms(100);
    assert_eq!(stand.tick(tick(1)).await.present, 1_000_000 - 100 - 300 - 2);
}

async fn a_long_line_goes_on_when_its_head_is_cut_off(stand: Stand) {
    stand.configure(Limits { interval_us: 0, ..limits(0.0, 1) }).await;
    stand.steer(Steering::Phase(Phase::Paused)).await;
    stand.join(50_000).await;
    stand.tick(here(1, Numbers::run(1, 50_000))).await;
    stand.tick(Tick { left: Numbers::run(100, 20_003), ..tick(1) }).await;
    stand.steer(Steering::Phase(Phase::Open)).await;
    stand.tick(tick(1)).await;
    stand.join(7).await;
    stand.steer(Steering::Phase(Phase::Paused)).await;
    let page = stand.tick(tick(2)).await;
    assert_eq!((page.present, stand.waiting().await[0]), (25_103, 24_905));
    let roll = stand.roll().await;
    assert_eq!((roll.over.count(), roll.called.count()), (19_904, 5_000));
    let restored =
        stand.store.restore(&stand.room, &Roll { seq: roll.seq + 1, ..roll.clone() }).await.expect("a restore");
    assert_eq!((restored.over, restored.called, restored.waiting), (roll.over, roll.called, roll.waiting));
    stand.steer(Steering::Phase(Phase::Open)).await;
    stand.tick(tick(2)).await;
    assert_eq!(stand.waiting().await[0], 29_905, "all count as present again, the head first");
}

const FLOOR_1: Option<u64> = Some(1_000_000);

fn wishing(gateway: u64, rate: f64) -> Tick {
    Tick { wish_us: Some(Limits::interval_us(rate)), ..tick(gateway) }
}

impl Stand {
    /// A room with a rate between 1 and `ceiling`, and a line of so many at gateway 1.
    async fn adaptive(&self, ceiling: f64, burst: u64, waiting: u64) {
        self.configure(Limits { floor_interval_us: FLOOR_1, ..limits(ceiling, burst) }).await;
        let joined = self.join(waiting).await;
        self.tick(Tick { here: Numbers::run(1, joined.count), ..wishing(1, ceiling) }).await;
    }

    async fn rate(&self) -> f64 {
        self.roll().await.limits().and_then(|limits| limits.admissions_per_second()).expect("a rate")
    }

    /// Ticks for so many tenths of a second, and returns how many were called in each.
    async fn tenths(&self, count: u64, tick: &Tick) -> Vec<u64> {
        let mut called = Vec::new();
        for _ in 0..count {
            let before = self.roll().await.tally.called;
            self.clock.advance_ms(100);
            self.tick(tick.clone()).await;
            called.push(self.roll().await.tally.called - before);
        }
        called
    }
}

async fn the_slowest_wish_counts_for_as_long_as_its_lease(stand: Stand) {
    stand.adaptive(50.0, 5, 100).await;
    stand.clock.advance_ms(1_000);
    stand.tick(wishing(2, 20.0)).await;
    assert_eq!(stand.rate().await, 20.0);
    stand.clock.advance_ms(500);
    stand.tick(wishing(2, 40.0)).await;
    assert_eq!(stand.rate().await, 20.0, "once a second at the most");
    stand.clock.advance_ms(500);
    stand.tick(wishing(1, 25.0)).await;
    assert_eq!(stand.rate().await, 25.0, "now the other is slower");
    let page = stand.tick(tick(3)).await;
    let News::Roll(roll) = page.news else { panic!("a stranger takes the roll") };
    assert_eq!(roll.limits().and_then(|limits| limits.admissions_per_second()), Some(25.0), "a mirror knows it");
    stand.clock.advance_ms(9_600);
    stand.tick(wishing(3, 40.0)).await;
    assert_eq!(stand.rate().await, 25.0, "a lease of ten seconds");
    stand.clock.advance_ms(400);
    stand.tick(wishing(3, 40.0)).await;
    assert_eq!(stand.rate().await, 40.0, "the wishes of the silent are gone");
}

async fn a_wish_counts_between_floor_and_ceiling_and_only_where_the_rate_adapts(stand: Stand) {
    stand.adaptive(50.0, 5, 10).await;
    for (wish, expected) in [(900.0, 50.0), (0.01, 1.0), (7.0, 7.0)] {
        stand.clock.advance_ms(1_000);
        stand.tick(wishing(1, wish)).await;
        assert_eq!(stand.rate().await, expected);
    }
    stand.steer(Steering::Limits(limits(25.0, 5))).await;
    stand.clock.advance_ms(1_000);
    stand.tick(wishing(1, 7.0)).await;
    assert_eq!(stand.rate().await, 25.0, "it adapts no more");
    stand.steer(Steering::Limits(Limits { floor_interval_us: FLOOR_1, ..limits(5.0, 5) })).await;
    assert_eq!(stand.rate().await, 5.0, "the operator's ceiling holds at once");
}

async fn a_rate_that_swings_grants_no_burst(stand: Stand) {
    stand.adaptive(50.0, 10, 2_000).await;
    stand.tenths(20, &wishing(1, 50.0)).await;
    for _ in 0..4 {
        let slow: u64 = stand.tenths(30, &wishing(1, 2.0)).await.iter().sum();
        assert!((5..=14).contains(&slow), "{slow} in three seconds at 2 a second, a second of it maybe at 50");
        let fast = stand.tenths(30, &wishing(1, 50.0)).await;
        let most = fast.iter().copied().max();
        assert!(most <= Some(5), "{fast:?}: no burst when it rises");
    }
}

async fn a_rate_changed_by_hand_grants_no_burst(stand: Stand) {
    stand.configure(limits(50.0, 10)).await;
    stand.join(2_000).await;
    stand.tick(here(1, Numbers::run(1, 2_000))).await;
    for (rate, burst, most) in [(5.0, 1, 1), (100.0, 20, 10), (2.0, 20, 1), (0.0, 20, 0), (50.0, 10, 5)] {
        stand.steer(Steering::Limits(limits(rate, burst))).await;
        let called = stand.tenths(20, &tick(1)).await;
        let sum: u64 = called.iter().sum();
        assert!(called.iter().all(|count| *count <= most), "{rate}: {called:?}");
        assert!(sum as f64 >= rate * 2.0 * 0.8 - 1.0, "{rate}: {called:?}");
    }
}

async fn an_hour_without_a_tick_earns_one_burst(stand: Stand) {
    stand.configure(limits(50.0, 10)).await;
    stand.join(2_000).await;
    stand.tick(here(1, Numbers::run(1, 2_000))).await;
    stand.clock.advance_ms(3_600_000);
    stand.tick(Tick { lease_ms: 10_000_000, ..here(1, Numbers::run(1, 2_000)) }).await;
    assert_eq!(stand.called().await.len(), 20, "the first burst, and one more");
    stand.steer(Steering::Phase(Phase::Paused)).await;
    stand.clock.advance_ms(60_000);
    stand.steer(Steering::Phase(Phase::Open)).await;
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await.len(), 30, "and one after a pause");
}

async fn at_a_steady_rate_nobody_sees_many_at_once_and_then_none(stand: Stand) {
    stand.configure(limits(50.0, 10)).await;
    stand.join(2_000).await;
    stand.tick(here(1, Numbers::run(1, 1_000))).await;
    stand.tick(here(2, Numbers::run(1_001, 2_000))).await;
    let mut called = Vec::new();
    for _ in 0..50 {
        called.extend(stand.tenths(1, &tick(1)).await);
        stand.clock.advance_ms(30);
        stand.tick(tick(2)).await;
    }
    let late = &called[2..];
    assert!(late.iter().all(|count| (4..=6).contains(count)), "{late:?}");
}

async fn an_active_limit_below_those_inside_waits_until_they_are_out(stand: Stand) {
    let session = |most| Limits { total_active_users: Some(most), ..limits(1_000.0, 100) };
    stand.configure(session(20)).await;
    let joined = stand.join(40).await;
    stand.tick(here(1, Numbers::run(1, 40))).await;
    assert_eq!((joined.admitted, stand.called().await.len()), (20, 20));
    stand.steer(Steering::Limits(session(5))).await;
    let ended = |first, last| vec![Slots { ends_s: joined.ends_s, numbers: Numbers::run(first, last) }];
    stand.tick(Tick { ended: ended(1, 14), ..tick(1) }).await;
    assert_eq!(stand.called().await.len(), 20, "six are still inside");
    stand.tick(Tick { ended: ended(15, 16), ..tick(1) }).await;
    assert_eq!(stand.called().await.len(), 21);
    stand.steer(Steering::Limits(session(8))).await;
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await.len(), 24, "and when it is raised, no more than that");
}

/// A later call's sessions end at the same second by the clock; the earlier ones ran out behind one that goes on.
async fn who_has_run_out_stays_out_when_the_clock_is_put_back(stand: Stand) {
    let lasting = |session_duration_s| Limits { interval_us: 0, session_duration_s, ..limits(1.0, 1) };
    let begun_us = stand.clock.now_us();
    let called_for = async |session_duration_s| {
        stand.steer(Steering::Limits(lasting(session_duration_s))).await;
        stand.join(1).await
    };
    stand.configure(lasting(100)).await;
    let [long, first] = [called_for(100).await, called_for(10).await];
    stand.clock.advance_ms(20_000);
    called_for(30).await;
    stand.clock.set_us(begun_us);
    let again = called_for(10).await;
    assert_eq!((long.admitted, again.admitted, again.ends_s), (1, 1, first.ends_s));
    let roll = stand.roll().await;
    let mut merged = roll.clone();
    merged.merge(&roll, begun_us);
    let now_s = begun_us / 1_000_000;
    for roll in [&roll, &merged] {
        assert_eq!(roll.standing(again.epoch, first.first, now_s), Standing::Over);
        assert!(matches!(roll.standing(again.epoch, again.first, now_s), Standing::Called { .. }));
        assert_eq!(roll.active(now_s), 3, "the long one, the one since and this one");
    }
}

async fn a_sale_starts_and_ends_by_the_stores_clock(stand: Stand) {
    let schedule = Schedule { opens_ms: None, starts_ms: Some(START_MS + 5_000), ends_ms: Some(START_MS + 7_000) };
    stand.configure(Limits { schedule, ..limits(1.0, 1) }).await;
    assert_eq!(stand.join(3).await.admitted, 0);
    stand.tick(here(1, Numbers::run(1, 3))).await;
    stand.clock.advance_ms(4_999);
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await, [0; 0]);
    stand.clock.advance_ms(1);
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await, [1], "no burst at the start, however long they waited");
    stand.clock.advance_ms(1_000);
    stand.tick(tick(1)).await;
    stand.clock.advance_ms(1_000);
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await, [1, 2], "and nobody after the end");
    assert_eq!(stand.waiting().await, [3]);
}

const SEED: [u8; 32] = [7; 32];

fn promise() -> Promise {
    Promise::of(&SEED, "root".to_owned(), [0; 16], None)
}

fn reveal() -> Reveal {
    Reveal { seed: SEED, public_value: None }
}

/// A room with a promised draw and `count` entries, at its start.
async fn gathered(stand: &Stand, count: u64) {
    let schedule = Schedule { starts_ms: Some(START_MS + 5_000), ..Schedule::ALWAYS };
    stand.configure(Limits { schedule, ..limits(1.0, 1) }).await;
    stand.steer(Steering::Promise(promise())).await;
    assert_eq!(stand.join(count).await.admitted, 0);
    stand.tick(here(1, Numbers::run(1, count))).await;
    stand.clock.advance_ms(5_000);
}

/// How far a mirror is that has followed all.
async fn up_to_date(stand: &Stand, gateway: u64, numbers: Numbers) -> Tick {
    Tick { known: stand.roll().await.known(), ..everyone(gateway, numbers) }
}

async fn lots_decide_among_those_who_came_before_the_start(stand: Stand) {
    gathered(&stand, 50).await;
    let late = stand.join(1).await;
    assert_eq!((late.first, late.admitted), (51, 0));
    stand.tick(Tick { left: Numbers::run(4, 4), ..tick(1) }).await;
    stand.steer(Steering::Draw(reveal())).await;
    let roll = stand.roll().await;
    let drawn = roll.draws[0].clone();
    assert_eq!((drawn.first, drawn.last, roll.pending.as_ref()), (1, 50, None), "51 came after the start");
    let mut places: Vec<u64> = (1..=51).map(|number| roll.place(number)).collect();
    assert_eq!((places[50], roll.waiting.contains(places[3])), (51, false), "4 has left");
    assert!((1..=51).all(|number| roll.number(roll.place(number)) == number));
    assert_ne!(places, (1..=51).collect::<Vec<_>>());

    places.remove(3);
    let present: Numbers = places.iter().copied().collect();
    let page = stand.tick(up_to_date(&stand, 1, present).await).await;
    assert_eq!(page.present, 49, "one was called with this tick");
    stand.clock.advance_ms(1_000);
    stand.tick(Tick { all_here: false, ..up_to_date(&stand, 1, Numbers::default()).await }).await;
    places.sort_unstable();
    assert_eq!(stand.called().await, places[..2], "by place");
    let roll = stand.roll().await;
    let first = roll.number(places[0]);
    let standing = roll.standing(late.epoch, first, START_MS / 1_000 + 6);
    assert!(matches!(standing, Standing::Called { .. }), "the ticket keeps its number: {standing:?}");
}

async fn after_a_draw_nobody_is_called_before_all_gateways_have_said_who_is_here(stand: Stand) {
    gathered(&stand, 20).await;
    stand.tick(tick(2)).await;
    let before = stand.roll().await.known();
    stand.steer(Steering::Draw(reveal())).await;
    let old = stand.tick(Tick { known: before, left: Numbers::run(1, 1), ..here(1, Numbers::run(1, 20)) }).await;
    let News::Entries(entries) = old.news else { panic!("{:?}", old.news) };
    assert!(matches!(entries.last().unwrap().draw, Some(DrawStep::Drawn(_))));
    assert_eq!((old.vouched, old.present), (false, 0), "numbers from before the draw mean nobody");
    assert_eq!(stand.waiting().await.len(), 20);

    stand.tick(up_to_date(&stand, 1, Numbers::run(1, 20)).await).await;
    assert_eq!(stand.called().await, [0; 0], "the second gateway may know of somebody before them");
    assert_eq!(stand.join(1).await.admitted, 0);
    stand.tick(up_to_date(&stand, 2, Numbers::default()).await).await;
    assert_eq!(stand.called().await, [1]);
}

async fn a_draw_that_is_not_what_was_promised_changes_nothing(stand: Stand) {
    gathered(&stand, 5).await;
    stand.steer(Steering::Draw(reveal())).await;
    assert!(stand.roll().await.draws.is_empty(), "no verb has closed the entries yet");
    stand.tick(tick(1)).await;
    let roll = stand.roll().await;
    assert_eq!(roll.pending.as_ref().and_then(|pending| pending.closed), Some(5));
    stand.steer(Steering::Draw(Reveal { seed: [8; 32], public_value: None })).await;
    stand.steer(Steering::Draw(Reveal { public_value: Some("85".to_owned()), ..reveal() })).await;
    stand.steer(Steering::Promise(Promise::of(&[8; 32], "root".to_owned(), [0; 16], None))).await;
    stand.steer(Steering::Admit(1)).await;
    assert_eq!(stand.roll().await, roll);
    stand.steer(Steering::Forgo).await;
    stand.tick(tick(1)).await;
    assert_eq!(stand.called().await, [1], "first come, first served after all");
}

async fn of_two_who_revise_the_limits_neither_undoes_the_other(stand: Stand) {
    let configured = limits(1.0, 1);
    stand.configure(configured.clone()).await;
    let faster = Limits { interval_us: 500_000, ..configured.clone() };
    let fewer = Limits { total_active_users: Some(5), ..configured.clone() };
    let revise = async |from: &Limits, to: &Limits| {
        let (from, to) = (Box::new(from.clone()), Box::new(to.clone()));
        stand.store.steer(&stand.room, &Steering::Revise { from, to }).await
    };
    revise(&configured, &faster).await.expect("a revision");
    let before = stand.roll().await;
    revise(&configured, &faster).await.expect("it is done, says a repetition whose first answer was lost");
    assert_eq!(revise(&configured, &fewer).await, Err(StoreFault::Changed), "made of what is no more");
    assert_eq!(stand.roll().await, before);
    let both = Limits { interval_us: 500_000, ..fewer };
    revise(&faster, &both).await.expect("a revision");
    assert_eq!(stand.roll().await.settings.expect("a room").limits, both);
}

async fn a_new_room_whose_rate_adapts_begins_at_the_floor(stand: Stand) {
    stand.configure(Limits { floor_interval_us: FLOOR_1, ..limits(50.0, 1) }).await;
    assert_eq!(stand.rate().await, 1.0);
    stand.join(100).await;
    stand.tick(here(1, Numbers::run(1, 100))).await;
    assert!(stand.tenths(9, &tick(1)).await.iter().all(|called| *called == 0), "one a second, though nobody wishes");
    stand.tenths(1, &wishing(1, 50.0)).await;
    assert_eq!(stand.rate().await, 50.0);
    stand.configure(Limits { floor_interval_us: FLOOR_1, ..limits(40.0, 1) }).await;
    assert_eq!(stand.rate().await, 40.0, "what the room has come to is not forgotten");
}

async fn by_hand_nobody_is_called_whose_gateway_has_died(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    stand.join(4).await;
    stand.tick(here(1, Numbers::run(1, 2))).await;
    stand.tick(here(2, Numbers::run(3, 4))).await;
    stand.clock.advance_ms(8_000);
    stand.tick(tick(2)).await;
    stand.clock.advance_ms(2_000);
    stand.tick(everyone(2, Numbers::run(3, 4))).await;
    stand.steer(Steering::Admit(1)).await;
    assert_eq!(stand.called().await, [3], "the lease of the first gateway has run out");
}

async fn who_may_have_come_unseen_is_given_up_when_no_ticket_is_honoured_any_more(stand: Stand) {
    stand.configure(limits(0.0, 1)).await;
    let old = stand.join(10).await;
    let mut mirror = stand.roll().await;
    mirror.seq += 1;
    let restored = stand.store.restore(&stand.room, &mirror).await.expect("a restore");
    stand.tick(Tick { returned: Numbers::run(12, 12), known: restored.known(), ..tick(1) }).await;
    let mut follower = stand.roll().await;
    let standing = |roll: &Roll, number| roll.standing(old.epoch, number, 0);
    // The second epoch, of the same second as the first, is named by the next one.
    stand.clock.advance_ms(UNSEEN_S * 1_000);
    stand.steer(Steering::Message(Some("a day later".to_owned()))).await;
    let soon = stand.roll().await;
    assert_eq!((standing(&soon, 11), soon.unseen.is_empty()), (Standing::Unseen, false), "a ticket may come");
    stand.clock.advance_ms(1_000);
    stand.steer(Steering::Message(None)).await;
    let page = stand.tick(Tick { known: follower.known(), ..here(1, Numbers::run(12, 12)) }).await;
    let late = stand.roll().await;
    assert_eq!((standing(&late, 11), late.unseen.is_empty()), (Standing::Over, true));
    assert!(late.waiting.contains(12), "who has come back is not one of them");
    let News::Entries(entries) = page.news else { panic!("{:?}", page.news) };
    entries.iter().for_each(|entry| follower.apply(entry));
    assert_eq!(follower, late, "a mirror gives them up with the same entry");
    stand.tick(Tick { returned: Numbers::run(11, 11), known: late.known(), ..tick(1) }).await;
    assert_eq!(standing(&stand.roll().await, 11), Standing::Over, "it is too late");
}
