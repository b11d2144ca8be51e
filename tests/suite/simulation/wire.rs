//! The wire between gateways and store: a [`LineStore`] whose every call waits until the world answers it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::oneshot;
use vestibule::line::{Arrival, Claimed, Joined, Known, LineStore, Page, Roll, RoomName, Steering, StoreFault, Tick};

/// What a call asks.
#[derive(Clone, Debug)]
pub enum Verb {
    Join(u64),
    Claim(Vec<Arrival>, Known),
    Tick(Box<Tick>),
    Steer(Steering),
    Restore(Box<Roll>),
}

/// What the store answers.
#[derive(Clone, Debug)]
pub enum Answer {
    Joined(Joined),
    Claimed(Option<Box<Claimed>>),
    Page(Box<Page>),
    Done,
    Roll(Box<Roll>),
}

/// What a caller hears.
pub type Reply = Result<Answer, StoreFault>;

/// A call on its way.
pub struct Call {
    /// The gateway that calls, by its index.
    pub from: usize,
    pub verb: Verb,
    pub reply: oneshot::Sender<Reply>,
}

/// Where calls wait for the world to take them.
pub type Outbox = Arc<Mutex<Vec<Call>>>;

/// A gateway's end of the wire.
pub struct Wire {
    pub from: usize,
    pub outbox: Outbox,
}

impl Wire {
    async fn call(&self, verb: Verb) -> Reply {
        let (reply, answer) = oneshot::channel();
        self.outbox.lock().expect("one thread").push(Call { from: self.from, verb, reply });
        answer.await.unwrap_or_else(|_| Err(StoreFault::Unreachable("the world has ended".to_owned())))
    }
}

#[async_trait]
impl LineStore for Wire {
    async fn join(&self, _: &RoomName, count: u64) -> Result<Joined, StoreFault> {
        match self.call(Verb::Join(count)).await? {
            Answer::Joined(joined) => Ok(joined),
            other => panic!("a join was answered with {other:?}"),
        }
    }

    async fn claim(&self, _: &RoomName, arrivals: &[Arrival], known: Known) -> Result<Option<Claimed>, StoreFault> {
        match self.call(Verb::Claim(arrivals.to_vec(), known)).await? {
            Answer::Claimed(claimed) => Ok(claimed.map(|claimed| *claimed)),
            other => panic!("a claim was answered with {other:?}"),
        }
    }

    async fn tick(&self, _: &RoomName, tick: &Tick) -> Result<Page, StoreFault> {
        match self.call(Verb::Tick(Box::new(tick.clone()))).await? {
            Answer::Page(page) => Ok(*page),
            other => panic!("a tick was answered with {other:?}"),
        }
    }

    async fn steer(&self, _: &RoomName, steering: &Steering) -> Result<(), StoreFault> {
        self.call(Verb::Steer(steering.clone())).await.map(drop)
    }

    async fn restore(&self, _: &RoomName, offered: &Roll) -> Result<Roll, StoreFault> {
        match self.call(Verb::Restore(Box::new(offered.clone()))).await? {
            Answer::Roll(roll) => Ok(*roll),
            other => panic!("a restore was answered with {other:?}"),
        }
    }
}
