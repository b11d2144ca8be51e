//! Several databases behind one contract: each row on one of them, and with it its holds, payments, bookings and tasks.
//!
//! Nothing is ever written to two of them together, and none waits for another: what concerns one row, hold or payment
//! goes to its database, and background work visits each by itself. Ids tell their database. One that was made before
//! there were shards tells nothing, so where it points nobody may know it; then the others are asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::{select_ok, try_join_all};
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::books::Books;
use super::{
    Decide, DueTask, Guard, Made, OrderRequest, OrderTaken, Question, StockRow, Store, StoreError, Subject,
    TakeRequest, Taken, Till, Transacted, TurnedRow,
};
use crate::domain::booking::{Booking, Reference};
use crate::domain::hold::{Hold, HoldId};
use crate::domain::inventory::{InventoryId, Offer};
use crate::domain::ledger::Statement;
use crate::domain::moment::Moment;
use crate::domain::order::{Stop, Task, TaskKind};
use crate::domain::payment::{Payment, PaymentId};
use crate::domain::placement::{Placement, ShardNumber};
use crate::domain::seat::SeatNumber;

/// How long the others may take to say that they know a reference too which one of them knows.
const PATIENCE: Duration = Duration::from_secs(1);

/// Keeps each row in one of several databases.
pub struct Shards {
    placement: Placement,
    /// In the order of their numbers.
    databases: Vec<(ShardNumber, Arc<dyn Store>)>,
}

impl Shards {
    /// Puts databases together.
    ///
    /// # Panics
    /// When the placement names a shard that is not among them.
    #[must_use]
    pub fn new(placement: Placement, mut databases: Vec<(ShardNumber, Arc<dyn Store>)>) -> Self {
        databases.sort_unstable_by_key(|(number, _)| *number);
        Self { placement, databases }
    }

    fn index(&self, number: ShardNumber) -> Option<usize> {
        self.databases.binary_search_by_key(&number, |(number, _)| *number).ok()
    }

    fn all(&self) -> impl Iterator<Item = &dyn Store> {
        self.databases.iter().map(|(_, database)| &**database)
    }

    fn of_row(&self, row: InventoryId) -> &dyn Store {
        let index = self.index(self.placement.of(row));
        assert!(index.is_some(), "a placement names no database that is not there");
        &*self.databases[index.unwrap_or_default()].1
    }

    /// Lists the databases that may know an id: the one it names first.
    fn asking(&self, named: ShardNumber) -> impl Iterator<Item = &dyn Store> {
        let named = self.index(named);
        let first = named.map(|index| &*self.databases[index].1);
        let others = self.all().enumerate().filter(move |(index, _)| Some(*index) != named);
        first.into_iter().chain(others.map(|(_, database)| database))
    }

    /// Returns the database a subject is in if its id says so, and those to ask if it is not known there.
    fn of_subject(&self, subject: Subject) -> impl Iterator<Item = &dyn Store> {
        self.asking(subject.named().unwrap_or(self.databases[0].0))
    }

    fn by_database<T>(&self, items: &[T], row: impl Fn(&T) -> InventoryId) -> HashMap<ShardNumber, Vec<T>>
    where
        T: Copy,
    {
        let mut parts: HashMap<ShardNumber, Vec<T>> = HashMap::new();
        for item in items {
            parts.entry(self.placement.of(row(item))).or_default().push(*item);
        }
        parts
    }
}

#[async_trait]
impl Till for Shards {
    fn place(&self, row: InventoryId) -> Option<ShardNumber> {
        Some(self.placement.of(row))
    }

    fn home(&self, place: Option<ShardNumber>) -> Option<Handle> {
        self.databases[self.index(place?)?].1.home(place)
    }

    async fn take(&self, guard: Guard, row: InventoryId, requests: &[TakeRequest]) -> Result<Taken, StoreError> {
        self.of_row(row).take(guard, row, requests).await
    }

    /// Takes seats of rows that lie together; the caller has made sure of that.
    async fn take_order(&self, order: &OrderRequest) -> Result<OrderTaken, StoreError> {
        let (first, _) = order.lines[0];
        assert!(order.lines.iter().all(|(row, _)| self.place(*row) == self.place(first)), "one order, one database");
        self.of_row(first).take_order(order).await
    }
}

#[async_trait]
impl Store for Shards {
    fn databases(&self) -> &[(ShardNumber, Arc<dyn Store>)] {
        &self.databases
    }

    async fn ensure(&self, offers: &[Offer]) -> Result<(), StoreError> {
        let parts = self.by_database(offers, |offer| offer.inventory);
        let ensure = |offers: Vec<Offer>| async move { self.of_row(offers[0].inventory).ensure(&offers).await };
        try_join_all(parts.into_values().map(ensure)).await.map(drop)
    }

    async fn stock(&self, ids: &[InventoryId]) -> Result<Vec<StockRow>, StoreError> {
        let parts = self.by_database(ids, |id| *id);
        let stock = |ids: Vec<InventoryId>| async move { self.of_row(ids[0]).stock(&ids).await };
        Ok(try_join_all(parts.into_values().map(stock)).await?.concat())
    }

    async fn owned_seats(&self, row: InventoryId) -> Result<Vec<SeatNumber>, StoreError> {
        self.of_row(row).owned_seats(row).await
    }

    async fn rows_from(&self, day: time::Date) -> Result<Vec<InventoryId>, StoreError> {
        Ok(try_join_all(self.all().map(|database| database.rows_from(day))).await?.concat())
    }

    async fn turned(&self, within_s: u32, limit: u32) -> Result<Vec<TurnedRow>, StoreError> {
        Ok(try_join_all(self.all().map(|database| database.turned(within_s, limit))).await?.concat())
    }

    async fn transact(&self, subject: Subject, decide: Decide) -> Transacted {
        let mut unknown = Err(Stop::NoSuchHold);
        for database in self.of_subject(subject) {
            match database.transact(subject, Arc::clone(&decide)).await? {
                Err(stop @ (Stop::NoSuchHold | Stop::NoSuchPayment)) => unknown = Err(stop),
                outcome => return Ok(outcome),
            }
        }
        Ok(unknown)
    }

    /// Asks the database that the first of them names; the caller has made sure that all name the same. Where one is not
    /// known there, it is asked by itself, and then the others are asked too.
    async fn transact_together(&self, questions: &[Question]) -> Vec<Option<Transacted>> {
        let Some(place) = questions.first().and_then(|first| self.place_of(first.subject)) else { return Vec::new() };
        assert!(
            questions.iter().all(|question| self.place_of(question.subject) == Some(place)),
            "one commit, one database"
        );
        let database = &self.databases[self.index(place).unwrap_or_default()].1;
        let known = |answer: &Transacted| !matches!(answer, Ok(Err(Stop::NoSuchHold | Stop::NoSuchPayment)));
        database.transact_together(questions).await.into_iter().map(|answer| answer.filter(known)).collect()
    }

    fn writers(&self, subject: Subject) -> u8 {
        let place = self.place_of(subject).and_then(|place| self.index(place));
        self.databases[place.unwrap_or_default()].1.writers(subject)
    }

    fn place_of(&self, subject: Subject) -> Option<ShardNumber> {
        let named = subject.named().filter(|named| self.index(*named).is_some());
        Some(named.unwrap_or(self.databases[0].0))
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, StoreError> {
        for database in self.asking(ShardNumber::of_hold(id)) {
            if let Some(hold) = database.hold(id).await? {
                return Ok(Some(hold));
            }
        }
        Ok(None)
    }

    async fn made(&self, holds: &[HoldId]) -> Result<Vec<(HoldId, Made)>, StoreError> {
        Ok(try_join_all(self.all().map(|database| database.made(holds))).await?.concat())
    }

    async fn payment(&self, id: PaymentId) -> Result<Option<Payment>, StoreError> {
        for database in self.asking(ShardNumber::of_payment(id)) {
            if let Some(payment) = database.payment(id).await? {
                return Ok(Some(payment));
            }
        }
        Ok(None)
    }

    /// A reference is for travellers and tells no database: all are asked at once. That nobody knows it is certain only
    /// when all have said so. Where one knows it, it names that booking unless another knows it too; for that, those that
    /// are away are not waited for.
    async fn booking(&self, reference: Reference) -> Result<Option<Booking>, StoreError> {
        let mut asked: FuturesUnordered<_> = self.all().map(|database| database.booking(reference)).collect();
        let (mut known, mut unknown) = (None, Ok(None));
        loop {
            let patience = if known.is_none() { Duration::MAX } else { PATIENCE };
            match timeout(patience, asked.next()).await {
                Ok(Some(Ok(None))) => {}
                Ok(Some(Ok(Some(_)))) if known.is_some() => return Err(StoreError::SharedReference),
                Ok(Some(Ok(Some(booking)))) => known = Some(booking),
                Ok(Some(Err(error))) => unknown = Err(error),
                Ok(None) | Err(_) => return known.map_or(unknown, |booking| Ok(Some(booking))),
            }
        }
    }

    async fn lapsed(&self, now: Moment, limit: u32) -> Result<Vec<HoldId>, StoreError> {
        Ok(try_join_all(self.all().map(|database| database.lapsed(now, limit))).await?.concat())
    }

    async fn first_expiry(&self, row: InventoryId, until: Moment) -> Result<Option<Moment>, StoreError> {
        self.of_row(row).first_expiry(row, until).await
    }

    async fn open_holds(&self) -> Result<u64, StoreError> {
        Ok(try_join_all(self.all().map(|database| database.open_holds())).await?.into_iter().sum())
    }

    async fn failing_refunds(&self) -> Result<u64, StoreError> {
        Ok(try_join_all(self.all().map(|database| database.failing_refunds())).await?.into_iter().sum())
    }

    async fn pending(&self, before: Moment, limit: u32) -> Result<Vec<(PaymentId, Moment)>, StoreError> {
        Ok(try_join_all(self.all().map(|database| database.pending(before, limit))).await?.concat())
    }

    async fn due(&self, kind: TaskKind, now: Moment, limit: u32) -> Result<Vec<DueTask>, StoreError> {
        Ok(try_join_all(self.all().map(|database| database.due(kind, now, limit))).await?.concat())
    }

    async fn postpone(&self, task: DueTask, until: Moment, reason: &str) -> Result<(), StoreError> {
        for database in self.of_subject(Subject::Payment(task.task.payment)) {
            database.postpone(task, until, reason).await?;
        }
        Ok(())
    }

    async fn hasten(&self, task: Task, now: Moment) -> Result<(), StoreError> {
        for database in self.of_subject(Subject::Payment(task.payment)) {
            database.hasten(task, now).await?;
        }
        Ok(())
    }

    /// Each of them keeps the secret, and whoever opens them makes sure that it is the same.
    async fn secret(&self, _candidate: Option<[u8; 32]>) -> Result<Option<[u8; 32]>, StoreError> {
        Ok(None)
    }

    async fn number(&self, _candidate: Option<ShardNumber>) -> Result<Option<ShardNumber>, StoreError> {
        Ok(None)
    }

    async fn books(&self) -> Result<Books, StoreError> {
        let books = try_join_all(self.all().map(|database| database.books())).await?;
        Ok(books.into_iter().fold(Books::default(), Books::and))
    }

    async fn statements(&self, after: Option<PaymentId>, limit: u32) -> Result<Vec<Statement>, StoreError> {
        let mut read = try_join_all(self.all().map(|database| database.statements(after, limit))).await?.concat();
        read.sort_unstable_by_key(|statement| statement.payment.id);
        read.truncate(limit as usize);
        Ok(read)
    }

    /// One that answers is enough: the others take only their own rows along.
    async fn ping(&self) -> Result<(), StoreError> {
        select_ok(self.all().map(|database| database.ping())).await.map(drop)
    }
}
