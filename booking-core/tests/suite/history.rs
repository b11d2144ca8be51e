//! Real races are written down, every question with its answer and its times, and judged afterwards by what their answers
//! say alone. The judge is seen to find what must not be: in a race without a guard, and in histories that were falsified.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use booking_core::domain::hold::{Hold, HoldId};
use booking_core::domain::inventory::Stock;
use booking_core::domain::order::Stop;
use booking_core::domain::seat::{Numbering, SeatNumber};
use booking_core::service::holding::HoldOrder;
use booking_core::service::{Denied, Item, Service, Want};
use booking_core::store::{Store, Till};
use booking_core::strategy::Strategy;
use tokio::task::JoinSet;

use crate::database::on_both;
use crate::strategies::{RawWrite, ReadThenWrite, seller};
use crate::world::row;

mod judge;

use judge::{Answer, Asked, Entry, faults};

const SEATS: u32 = crate::strategies::SEATS;
const CLIENTS: u64 = 16;
const TURNS: u64 = 40;

/// One who asks, again and again, what a small generator says.
struct Client {
    service: Arc<Service>,
    store: Arc<dyn Store>,
    strategy: Strategy,
    time: Arc<AtomicU64>,
    chance: u64,
    number: u64,
    /// What it has asked for, and the hold if it has one still.
    asked: Vec<(String, Asked, Option<Hold>)>,
    written: Vec<Entry>,
}

impl Client {
    fn draw(&mut self, below: u64) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % below
    }

    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    async fn buy(mut self) -> Vec<Entry> {
        for turn in 0..TURNS {
            match self.draw(10) {
                0 => self.look().await,
                1..=3 if !self.asked.is_empty() => self.give_back().await,
                4 if !self.asked.is_empty() => self.ask_again(false).await,
                5 if !self.asked.is_empty() => self.ask_again(true).await,
                _ => self.ask_anew(turn).await,
            }
        }
        self.written
    }

    async fn ask_anew(&mut self, turn: u64) {
        let key = format!("{}-{turn}", self.number);
        let asked = match self.strategy.numbering() {
            Numbering::Seats => {
                let seat = self.draw(u64::from(SEATS) - 1) as u32 + 1;
                Asked::These(vec![seat, seat + 1])
            }
            Numbering::Pool | Numbering::Tickets => Asked::Any(self.draw(6) as u32 + 1),
        };
        let hold = self.ask(key.clone(), asked.clone()).await;
        self.asked.push((key, asked, hold));
    }

    async fn ask_again(&mut self, for_other: bool) {
        let at = self.draw(self.asked.len() as u64) as usize;
        let (key, asked, _) = self.asked[at].clone();
        if !for_other {
            self.ask(key, asked).await;
            return;
        }
        let other = match &asked {
            Asked::Any(quantity) => Asked::Any(quantity % 6 + 1),
            _ => Asked::These(vec![SEATS]),
        };
        // Where nothing came of the key, it is free for anything.
        if self.asked[at].2.is_some() {
            self.ask(key, other).await;
        }
    }

    async fn ask(&mut self, key: String, asked: Asked) -> Option<Hold> {
        let want = match &asked {
            Asked::These(seats) => Want::Seats(seats.iter().copied().map(SeatNumber::new).collect()),
            Asked::Any(quantity) => Want::Any(*quantity),
            Asked::GiveBack | Asked::Look => unreachable!("these are asked otherwise"),
        };
        let order = HoldOrder { items: vec![Item { inventory: row(), want }], key: key.clone() };
        let began = self.now();
        let outcome = crate::strategies::insist(&self.service, order).await;
        let ended = self.now();
        let hold = outcome.as_ref().ok().map(|held| held.hold.clone());
        let answer = match outcome {
            Ok(held) => {
                let seats = held.hold.first().seats.iter().map(|seat| seat.get()).collect();
                Answer::Held { hold: held.hold.id, seats, replayed: held.replayed }
            }
            Err(Denied::SoldOut(_)) => Answer::SoldOut,
            Err(Denied::SeatTaken(gone)) => Answer::SeatTaken(gone.taken.iter().map(|seat| seat.get()).collect()),
            Err(Denied::State(Stop::KeyReused)) => Answer::KeyReused,
            Err(other) => panic!("{other}"),
        };
        self.written.push(Entry { key, asked, began, ended, answer });
        hold
    }

    async fn give_back(&mut self) {
        let at = self.draw(self.asked.len() as u64) as usize;
        let Some(hold) = self.asked[at].2.clone() else { return };
        let began = self.now();
        self.service.cancel(hold.id).await.unwrap();
        let ended = self.now();
        let key = self.asked[at].0.clone();
        self.written.push(Entry { key, asked: Asked::GiveBack, began, ended, answer: Answer::GivenBack });
    }

    async fn look(&mut self) {
        let began = self.now();
        let seen = self.store.stock(&[row()]).await.unwrap()[0];
        let ended = self.now();
        let answer = Answer::Seen(seen.stock, seen.version);
        self.written.push(Entry { key: String::new(), asked: Asked::Look, began, ended, answer });
    }
}

async fn race(store: &Arc<dyn Store>, till: Arc<dyn Till>, strategy: Strategy) -> Vec<Entry> {
    let (service, _) = seller(store, till, strategy, None);
    service.open_sale().await.unwrap();
    let time = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client {
            service: Arc::clone(&service),
            store: Arc::clone(store),
            strategy,
            time: Arc::clone(&time),
            chance: number,
            number,
            asked: Vec::new(),
            written: Vec::new(),
        };
        clients.spawn(client.buy());
    }
    clients.join_all().await.concat()
}

on_both! {
    async fn every_answer_of_a_race_can_be_explained(db: Database) {
        for strategy in [Strategy::Teller, Strategy::Optimistic, Strategy::SeatKey, Strategy::Tickets] {
            let db = db.another().await;
            let store = db.open().await;
            let history = race(&store, Arc::clone(&store) as _, strategy).await;
            assert_eq!(faults(&history, SEATS), Vec::<String>::new(), "{strategy:?}");
            assert_eq!(store.books().await.unwrap().faults(), Vec::<String>::new());
            let count = |like: fn(&Answer) -> bool| history.iter().filter(|entry| like(&entry.answer)).count();
            assert!(count(|answer| matches!(answer, Answer::SoldOut | Answer::SeatTaken(_))) > 20, "nobody was refused");
            assert!(count(|answer| matches!(answer, Answer::Held { replayed: true, .. })) > 0, "no key was repeated");
            assert!(count(|answer| *answer == Answer::KeyReused) > 0, "no key was used for something else");
            assert!(count(|answer| *answer == Answer::GivenBack) > 20, "nobody gave anything back");
        }
    }
}

on_both! {
    async fn the_judge_finds_a_race_without_a_guard(db: Database) {
        let store = db.open().await;
        let broken = Arc::new(ReadThenWrite { store: Arc::clone(&store), write: RawWrite::open(&db).await });
        let (service, _) = seller(&store, broken, Strategy::Conditional, None);
        service.open_sale().await.unwrap();
        let time = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for number in 0..600 {
            let (service, store, time) = (Arc::clone(&service), Arc::clone(&store), Arc::clone(&time));
            let (strategy, asked, written) = (Strategy::Conditional, Vec::new(), Vec::new());
            let mut client = Client { service, store, strategy, time, chance: number, number, asked, written };
            clients.spawn(async move {
                client.ask(number.to_string(), Asked::Any(1)).await;
                client.written
            });
        }
        let found = faults(&clients.join_all().await.concat(), SEATS);
        assert!(found.iter().any(|fault| fault.contains("seats are held")), "{found:?}");
    }
}

/// What somebody may have done to a history, and what is then found.
type Falsified = (&'static str, fn(&mut Vec<Entry>));

const FALSIFIED: [Falsified; 6] = [
    ("has two owners", |history| {
        let (at, first) = (history.len(), history[0].clone());
        history.push(Entry { key: "other".to_owned(), began: 100, ended: 101, ..first });
        let Answer::Held { hold, .. } = &mut history[at].answer else { unreachable!() };
        *hold = HoldId::from_bytes([9; 16]);
    }),
    ("the key a has two answers", |history| {
        let Answer::Held { replayed, .. } = &mut history[1].answer else { unreachable!() };
        *replayed = false;
    }),
    ("there was enough all the time", |history| history[2].answer = Answer::SoldOut),
    ("nobody had it", |history| history[2].answer = Answer::SeatTaken(vec![7])),
    ("was seen when", |history| {
        let Answer::Seen(stock, _) = &mut history[3].answer else { unreachable!() };
        (stock.available, stock.held) = (stock.available - 1, stock.held + 1);
    }),
    ("after a higher one", |history| {
        let first = history[3].clone();
        let stock = Stock { capacity: 10, available: 6, held: 4, sold: 0 };
        history.push(Entry { began: 90, ended: 91, answer: Answer::Seen(stock, 1), ..first });
    }),
];

fn honest() -> Vec<Entry> {
    let held = |hold: u8, seats: &[u32], replayed| Answer::Held {
        hold: HoldId::from_bytes([hold; 16]),
        seats: seats.to_vec(),
        replayed,
    };
    let entry = |key: &str, asked, (began, ended), answer| Entry { key: key.to_owned(), asked, began, ended, answer };
    let stock = Stock { capacity: 10, available: 6, held: 4, sold: 0 };
    vec![
        entry("a", Asked::These(vec![1, 2]), (0, 5), held(1, &[1, 2], false)),
        entry("a", Asked::These(vec![1, 2]), (6, 7), held(1, &[1, 2], true)),
        entry("b", Asked::These(vec![3, 4]), (8, 20), held(2, &[3, 4], false)),
        entry("", Asked::Look, (30, 31), Answer::Seen(stock, 2)),
    ]
}

#[test]
fn the_judge_finds_what_was_falsified_and_nothing_else() {
    assert_eq!(faults(&honest(), 10), Vec::<String>::new());
    for (expected, falsify) in FALSIFIED {
        let mut history = honest();
        falsify(&mut history);
        let found = faults(&history, 10);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:?}");
    }
}
