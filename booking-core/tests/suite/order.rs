//! The pure decisions under random histories: every invariant after every step.

use std::collections::HashMap;

use booking_core::domain::booking::{Booking, CancellationRule};
use booking_core::domain::hold::{Hold, HoldId, HoldState, HoldStatus, Line};
use booking_core::domain::inventory::{Stock, StockMove};
use booking_core::domain::ledger::{Cause, Statement, Transfer, audit};
use booking_core::domain::moment::Moment;
use booking_core::domain::money::Paise;
use booking_core::domain::order::{self, Extensions, Keep, Loaded, Step, Stop, Task, TaskKind, Verdict};
use booking_core::domain::payment::{Challenge, ChargeId, Payment, PaymentId, PaymentState};
use booking_core::domain::refund::Refunds;
use proptest::prelude::*;

use crate::world::{NOON, row};

#[derive(Clone, Debug)]
enum Event {
    Take { hold: u8, quantity: u32 },
    Expire { hold: u8 },
    Cancel { hold: u8 },
    OpenPayment { hold: u8, payment: u8 },
    Extend { hold: u8, number: u32 },
    Challenge { payment: u8 },
    Authorize { payment: u8 },
    Capture { payment: u8 },
    Lose { payment: u8 },
    GiveUp { payment: u8 },
    Refuse { payment: u8 },
    Void { payment: u8 },
    Abandon { payment: u8 },
    Voided { payment: u8 },
    CancelBooking { hold: u8, percent: u8 },
    Fail { payment: u8 },
    Settle { payment: u8, on_sale: bool },
    GiveBackPart { hold: u8, keep: u32, percent: u8 },
    Refunded { payment: u8, number: u16 },
    RefundFailed { payment: u8, number: u16 },
    Wait { ms: i64 },
}

fn event() -> impl Strategy<Value = Event> {
    let (hold, payment) = (0..3_u8, 0..5_u8);
    prop_oneof![
        (hold.clone(), 1..4_u32).prop_map(|(hold, quantity)| Event::Take { hold, quantity }),
        hold.clone().prop_map(|hold| Event::Expire { hold }),
        hold.clone().prop_map(|hold| Event::Cancel { hold }),
        (hold.clone(), 0..4_u32).prop_map(|(hold, number)| Event::Extend { hold, number }),
        (hold.clone(), 0..=100_u8).prop_map(|(hold, percent)| Event::CancelBooking { hold, percent }),
        (hold.clone(), 0..4_u32, 0..=100_u8).prop_map(|(hold, keep, percent)| Event::GiveBackPart {
            hold,
            keep,
            percent
        }),
        (hold, payment.clone()).prop_map(|(hold, payment)| Event::OpenPayment { hold, payment }),
        payment.clone().prop_map(|payment| Event::Capture { payment }),
        payment.clone().prop_map(|payment| Event::Fail { payment }),
        (payment.clone(), any::<bool>()).prop_map(|(payment, on_sale)| Event::Settle { payment, on_sale }),
        payment.clone().prop_map(|payment| Event::GiveUp { payment }),
        payment.clone().prop_map(|payment| Event::Refuse { payment }),
        payment.clone().prop_map(|payment| Event::Challenge { payment }),
        payment.clone().prop_map(|payment| Event::Authorize { payment }),
        payment.clone().prop_map(|payment| Event::Lose { payment }),
        payment.clone().prop_map(|payment| Event::Void { payment }),
        payment.clone().prop_map(|payment| Event::Abandon { payment }),
        payment.clone().prop_map(|payment| Event::Voided { payment }),
        (payment.clone(), 0..4_u16).prop_map(|(payment, number)| Event::Refunded { payment, number }),
        (payment, 0..4_u16).prop_map(|(payment, number)| Event::RefundFailed { payment, number }),
        (0..2_000_i64).prop_map(|ms| Event::Wait { ms }),
    ]
}

/// A store in a few lines: what a database keeps, without the database.
struct Model {
    now: Moment,
    stock: Stock,
    holds: HashMap<HoldId, Hold>,
    payments: HashMap<PaymentId, Payment>,
    bookings: HashMap<HoldId, Booking>,
    outbox: Vec<Task>,
    ledger: HashMap<PaymentId, Vec<(Transfer, Moment)>>,
}

impl Model {
    fn new() -> Self {
        Self {
            now: NOON,
            stock: Stock::fresh(5),
            holds: HashMap::new(),
            payments: HashMap::new(),
            bookings: HashMap::new(),
            outbox: Vec::new(),
            ledger: HashMap::new(),
        }
    }

    fn loaded(&self, hold: Option<HoldId>, payment: Option<PaymentId>) -> Loaded {
        let payment = payment.and_then(|id| self.payments.get(&id)).cloned();
        let hold = hold.or(payment.as_ref().and_then(|payment| payment.hold));
        Loaded { hold: hold.and_then(|id| self.holds.get(&id)).cloned(), payment }
    }

    fn apply(&mut self, verdict: Verdict) -> Result<(), Stop> {
        let step: Step = verdict?;
        for change in step.stock {
            self.stock = self.stock.after(change.change).ok_or(Stop::SoldOut)?;
        }
        if let Some(hold) = step.hold {
            let before = self.holds.insert(hold.id, hold.clone()).expect("a step changes a hold that exists");
            let moved = before.state != hold.state;
            assert!(!moved || may_follow(before.state.status(), hold.state.status()), "{before:?} → {hold:?}");
        }
        if let Some(payment) = step.payment {
            let ledger = self.ledger.entry(payment.id).or_default();
            for transfer in step.transfers {
                let again =
                    ledger.iter().any(|(known, _)| (known.cause, known.refund) == (transfer.cause, transfer.refund));
                assert!(!again, "each cause once: {transfer:?} {payment:?}");
                ledger.push((transfer, self.now));
            }
            self.payments.insert(payment.id, payment);
        }
        if let Some(booking) = step.booking {
            let undone = booking.cancelled_at.is_some() || step.shrunk.is_some();
            let before = self.bookings.insert(booking.hold, booking);
            assert_eq!(before.is_some(), undone, "a hold is booked once, and cancelled or shortened after that");
        }
        if let Some((task, _)) = step.enqueue {
            let again = self.outbox.contains(&task);
            assert!(!again || task.kind == TaskKind::Refund, "only refunds come in numbers");
            self.outbox.extend((!again).then_some(task));
        }
        if let Some(task) = step.complete {
            self.outbox.retain(|other| *other != task);
        }
        Ok(())
    }

    fn play(&mut self, event: &Event) {
        let hold_id = |number: u8| HoldId::from_bytes([number; 16]);
        let payment_id = |number: u8| PaymentId::from_bytes([number; 16]);
        let now = self.now;
        let _stopped = match *event {
            Event::Take { hold, quantity } => self.take(hold_id(hold), quantity),
            Event::Expire { hold } => self.apply(order::expire(&self.loaded(Some(hold_id(hold)), None), now)),
            Event::Cancel { hold } => self.apply(order::cancel(&self.loaded(Some(hold_id(hold)), None), now)),
            Event::OpenPayment { hold, payment } => self.open(hold_id(hold), payment_id(payment)),
            Event::Capture { payment } => self.capture(payment_id(payment)),
            Event::Fail { payment } => {
                self.apply(order::fail(&self.loaded(None, Some(payment_id(payment))), None, "no", now))
            }
            Event::Settle { payment, on_sale } => {
                self.apply(order::settle(&self.loaded(None, Some(payment_id(payment))), |_| on_sale, now))
            }
            Event::GiveUp { payment } => self.apply(order::give_up(&self.loaded(None, Some(payment_id(payment))), now)),
            Event::Refuse { payment } => self.apply(order::refuse(&self.loaded(None, Some(payment_id(payment))), now)),
            Event::Extend { hold, number } => {
                let rule = Extensions { most: 2, each_ms: 500 };
                self.apply(order::extend(&self.loaded(Some(hold_id(hold)), None), number, rule, now))
            }
            Event::Challenge { payment } => self.challenge(payment_id(payment)),
            Event::Authorize { payment } => self.authorize(payment_id(payment)),
            Event::Lose { payment } => {
                let charge = ChargeId(payment_id(payment).to_string());
                self.apply(order::lost(&self.loaded(None, Some(payment_id(payment))), &charge, now))
            }
            Event::Void { payment } => self.apply(order::void(&self.loaded(None, Some(payment_id(payment))), now)),
            Event::Abandon { payment } => {
                let charge = ChargeId(payment_id(payment).to_string());
                self.apply(order::abandon(&self.loaded(None, Some(payment_id(payment))), &charge, now))
            }
            Event::Voided { payment } => self.apply(order::voided(&self.loaded(None, Some(payment_id(payment))), now)),
            Event::CancelBooking { hold, percent } => self.cancel_booking(hold_id(hold), percent),
            Event::GiveBackPart { hold, keep, percent } => self.give_back_part(hold_id(hold), keep, percent),
            Event::Refunded { payment, number } => {
                self.apply(order::refunded(&self.loaded(None, Some(payment_id(payment))), number, now))
            }
            Event::RefundFailed { payment, number } => {
                self.apply(order::refund_failed(&self.loaded(None, Some(payment_id(payment))), number, now))
            }
            Event::Wait { ms } => {
                self.now = now.plus_ms(ms);
                Ok(())
            }
        };
    }

    fn take(&mut self, id: HoldId, quantity: u32) -> Result<(), Stop> {
        if self.holds.contains_key(&id) {
            return Err(Stop::Already);
        }
        self.stock = self.stock.after(StockMove::take(quantity)).ok_or(Stop::SoldOut)?;
        let hold = Hold {
            id,
            lines: vec![Line { inventory: row(), quantity, amount: Paise::new(100 * quantity), seats: Vec::new() }],
            request_hash: [0; 32],
            created_at: self.now,
            expires_at: self.now.plus_ms(1000),
            extensions: 0,
            attempt: None,
            state: HoldState::Held,
        };
        self.holds.insert(id, hold);
        Ok(())
    }

    fn open(&mut self, hold: HoldId, id: PaymentId) -> Result<(), Stop> {
        let loaded = self.loaded(Some(hold), Some(id));
        let Some(held) = &loaded.hold else { return Err(Stop::NoSuchHold) };
        let payment = Payment {
            id,
            hold: Some(hold),
            amount: held.amount(),
            method: String::new(),
            request_hash: [hold.as_bytes()[0]; 32],
            created_at: self.now,
            changed_at: self.now,
            refunds: Refunds::default(),
            state: PaymentState::Pending,
        };
        self.apply(order::open_payment(&loaded, payment, self.now))
    }

    fn capture(&mut self, id: PaymentId) -> Result<(), Stop> {
        let loaded = self.loaded(None, Some(id));
        let amount = loaded.payment.as_ref().map_or(0, |payment| payment.amount.get());
        self.apply(order::captured(&loaded, &ChargeId(id.to_string()), amount, self.now))
    }

    fn authorize(&mut self, id: PaymentId) -> Result<(), Stop> {
        let loaded = self.loaded(None, Some(id));
        let amount = loaded.payment.as_ref().map_or(0, |payment| payment.amount.get());
        self.apply(order::authorized(&loaded, &ChargeId(id.to_string()), amount, (self.now, self.now)))
    }

    fn challenge(&mut self, id: PaymentId) -> Result<(), Stop> {
        let (charge, challenge) = (ChargeId(id.to_string()), Challenge("https://bank.example".to_owned()));
        self.apply(order::challenged(&self.loaded(None, Some(id)), &charge, &challenge, self.now))
    }

    fn cancel_booking(&mut self, hold: HoldId, percent: u8) -> Result<(), Stop> {
        let booking = self.bookings.get(&hold).cloned().ok_or(Stop::NotBooked)?;
        let loaded = self.loaded(Some(hold), Some(booking.payment));
        self.apply(order::cancel_booking(&loaded, &booking, &any_time(percent), self.now))
    }

    fn give_back_part(&mut self, hold: HoldId, keep: u32, percent: u8) -> Result<(), Stop> {
        let booking = self.bookings.get(&hold).cloned().ok_or(Stop::NotBooked)?;
        let loaded = self.loaded(Some(hold), Some(booking.payment));
        self.apply(order::give_back_part(&loaded, &booking, (row(), &Keep::Any(keep)), &any_time(percent), self.now))
    }

    fn check_money(&self, payment: &Payment) {
        let ledger = self.ledger.get(&payment.id).cloned().unwrap_or_default();
        let taken = ledger.iter().any(|(transfer, _)| transfer.cause == Cause::Captured);
        let statement = Statement { payment: payment.clone(), transfers: ledger };
        assert_eq!(audit(&statement), None, "the ledger adds up at any moment");
        let ended_without = matches!(payment.state, PaymentState::Failed { .. } | PaymentState::Voided { .. });
        assert!(!(taken && ended_without), "money that was taken is kept or given back: {payment:?}");
    }

    fn check(&self) {
        let seats = |keeps: fn(&HoldState) -> bool| -> u32 {
            self.holds.values().filter(|hold| keeps(&hold.state)).map(Hold::quantity).sum()
        };
        assert!(self.stock.adds_up(), "B1: {:?}", self.stock);
        assert_eq!(seats(HoldState::keeps_seats), self.stock.held, "B1: held");
        assert_eq!(seats(|state| matches!(state, HoldState::Confirmed { .. })), self.stock.sold, "B1: sold");
        for payment in self.payments.values() {
            self.check_money(payment);
            let booking = payment.hold.and_then(|hold| self.bookings.get(&hold));
            let booked = booking.is_some_and(|booking| booking.payment == payment.id && booking.cancelled_at.is_none());
            let kept = matches!(payment.state, PaymentState::Kept { .. });
            assert_eq!(kept, booked, "B3: {payment:?}");
            let waits_for = match payment.state {
                PaymentState::Authorized { .. } | PaymentState::Captured { .. } => Some(TaskKind::Settle),
                PaymentState::Capturing { .. } => Some(TaskKind::Capture),
                PaymentState::Voiding { .. } => Some(TaskKind::Void),
                _ => None,
            };
            let goes_back = payment.refunds.under_way().next().is_some();
            assert!(goes_back || !matches!(payment.state, PaymentState::Refunding { .. }), "{payment:?}");
            for kind in TaskKind::ALL {
                let task = Task { kind, payment: payment.id };
                let needed = waits_for == Some(kind) || (kind == TaskKind::Refund && goes_back);
                assert_eq!(self.outbox.contains(&task), needed, "a task exactly while needed");
            }
        }
    }
}

fn any_time(percent: u8) -> [CancellationRule; 1] {
    [CancellationRule { hours_before: 0, percent }]
}

fn may_follow(before: HoldStatus, after: HoldStatus) -> bool {
    use HoldStatus::{Cancelled, Confirmed, Expired, Held, Paid};
    matches!(
        (before, after),
        (Held | Expired, Paid) | (Held, Expired) | (Held | Paid | Confirmed, Cancelled) | (Paid | Expired, Confirmed)
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_keeps_every_invariant(events in prop::collection::vec(event(), 1..60)) {
        let mut model = Model::new();
        for event in &events {
            model.play(event);
            model.check();
        }
    }
}
