//! Everything that needs a database or a socket. One binary, one PostgreSQL cluster for all of it.

mod api;
mod catalogue;
mod conformance;
mod crash;
mod ending;
mod history;
mod cut;
mod database;
mod lab;
mod laws;
mod money;
mod notices;
mod bank;
mod order;
mod plans;
mod process;
mod references;
mod refunds;
mod returns;
mod stripe;
mod stripe_again;
mod upgrade;
mod race;
mod seating;
mod shards;
mod strategies;
#[path = "../../../tests/suite/redis_server.rs"]
#[expect(dead_code, reason = "the gateway's tests use more of it")]
mod redis_server;
mod together;
mod told;
mod world;
