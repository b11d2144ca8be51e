//! Sells seats without ever selling one twice.
//!
//! Read the chapters in this order; each knows only those before it. To see what it is all for, begin with [`service`], and
//! for the one decrement that everything rests on with [`domain::inventory`] and [`strategy`].

// ── words ──────────────────────────────────────────────────────────────────────────────────────
/// What is sold, held, paid and booked: pure values and pure decisions.
pub mod domain;

/// The only place that reads time.
pub mod clock;

/// Where a test stops the process, to see what is left of what it did.
pub mod fail_point;

/// Logs, and the traces of requests.
pub mod telemetry;

/// Texts that others must not read.
pub mod secret;

/// A thread with a runtime of its own, for tasks that should stay together.
mod home;

// ── what is kept, and how it is sold ───────────────────────────────────────────────────────────
/// The contract of the databases, and SQLite, PostgreSQL and shards that fulfil it.
pub mod store;

/// The known ways to keep two buyers from one seat, and which row is sold in which.
pub mod strategy;

/// A lock in Redis on chosen seats: a courtesy, never the authority.
pub mod seat_lock;

/// Which trains run, where they stop, what they carry.
pub mod catalogue;

/// The figures of one process.
pub mod metrics;

/// Those who wait for the next commit, in arrival order.
pub mod line;

/// Takes seats for many buyers of one row in one commit.
pub mod teller;

/// Decides on many holds and payments in one commit.
pub mod clerk;

/// How many are left, from a memory that is a moment old.
pub mod availability;

/// Tells the gateways in front what is sold out and what is on sale again.
pub mod notifier;

/// Who takes the money: another company, over a network, with faults of its own.
pub mod provider;

/// What all of this does for its callers: browse, hold, pay, confirm, refund.
pub mod service;

// ── what goes on by itself ─────────────────────────────────────────────────────────────────────
/// The rhythm of background work.
pub mod worker;

/// Gives back the seats of holds whose time is over.
pub mod reaper;

/// Hears from the database which rows other copies have changed.
pub mod follower;

/// Sees every payment through to a booking, or back to the buyer.
pub mod outbox;

/// Compares the provider's list with our books.
pub mod reconciler;

/// Checks that money is never lost, payment by payment.
pub mod auditor;

// ── the program ────────────────────────────────────────────────────────────────────────────────
/// One TOML file, checked whole before anything starts.
pub mod config;

/// The concurrency lab: two people and one seat, statement by statement, on real stores.
pub mod lab;

/// The booking site and the lab's page, embedded.
pub mod site;

/// The booking API over HTTP.
pub mod api;

/// The listener: each connection is served on one thread.
mod serving;

/// Puts the parts together, starts the workers and stops them.
pub mod app;

/// What a database can take: holds a second on one hot row.
pub mod bench;
