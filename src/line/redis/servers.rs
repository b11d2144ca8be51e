//! The servers of a store, whatever they are: one, or a cluster's.

use std::time::Duration;

use redis::{Cmd, Pipeline, Value};

use super::address::{Address, Place};
use super::cluster::Cluster;
use super::connection::{Connection, Server};
use super::fault::{Repeat, explain};
use crate::line::{RoomName, StoreFault};

/// Runs verbs on the server that has the room.
pub struct Servers {
    place: Place,
    reach: Reach,
}

enum Reach {
    One(Box<Connection>),
    Cluster(Box<Cluster>),
}

impl Servers {
    /// Connects, and checks that the servers can do what the scripts need.
    pub async fn open(address: Address, timeout: Duration) -> Result<Self, StoreFault> {
        let (place, entry) = (address.place().clone(), address.entry().clone());
        let one = |server| Reach::One(Box::new(Connection::to(server, entry.clone(), timeout)));
        let reach = match place.clone() {
            Place::Server(server) => one(Server::At(server)),
            Place::Sentinels { sentinels, master } => one(Server::Master { sentinels, name: master }),
            Place::Cluster(seeds) => Reach::Cluster(Box::new(Cluster::of(seeds, entry, timeout))),
        };
        let opened = match &reach {
            Reach::One(connection) => connection.open().await,
            Reach::Cluster(cluster) => cluster.open("").await,
        };
        opened.map_err(|error| explain(&error, &place))?;
        Ok(Self { place, reach })
    }

    /// Runs verbs on a room in one round trip; sends them again where that does no harm.
    pub async fn run(&self, room: &RoomName, verbs: &Pipeline, repeat: Repeat) -> Result<Vec<Value>, StoreFault> {
        let answers = match &self.reach {
            Reach::One(connection) => connection.run(verbs, repeat).await,
            Reach::Cluster(cluster) => cluster.run(room.as_str(), verbs, repeat).await,
        };
        Ok(answers?)
    }

    /// Asks the server that has a room what is no verb of the line.
    pub async fn ask(&self, room: &RoomName, question: &Cmd) -> Result<Value, StoreFault> {
        let answer = match &self.reach {
            Reach::One(connection) => connection.ask(question).await,
            Reach::Cluster(cluster) => cluster.ask_owner(room.as_str(), question).await,
        };
        answer.map_err(|error| explain(&error, &self.place))
    }
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Servers({})", self.place)
    }
}
