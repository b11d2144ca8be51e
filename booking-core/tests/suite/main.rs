//! Everything that needs a database or a socket. One binary, one PostgreSQL cluster for all of it.

mod api;
mod catalogue;
mod conformance;
mod crash;
mod cut;
mod database;
mod laws;
mod money;
mod notices;
mod order;
mod process;
mod race;
mod shards;
mod world;
