//! Vestibule: a virtual waiting room and admission-control gateway.
//!
//! The chapters stand in reading order: each imports only from those above it, from its parent and
//! from its children. To see what it is all for, begin at the end: [`pipeline`] is the life of one
//! request, [`ticker`] the life of the line.

// ── words ──────────────────────────────────────────────────────────────────────────────────────
/// The one place that reads time.
pub mod clock;
/// What Prometheus reads.
pub mod metrics;
/// Logs, and the traces of requests.
pub mod telemetry;
/// Addresses that belong together.
pub mod networks;
/// The one spelling of a host and of a path.
pub mod canonical;
/// Files: written whole, held while they are changed, and when one has changed.
pub mod disk;

// ── laws: pure, no I/O, no clock ───────────────────────────────────────────────────────────────
/// When a sale opens, starts and ends.
pub mod schedule;
/// How many may be called now.
pub mod admission;
/// How fast people may be let in, by the upstream's health.
pub mod adaptive;
/// Who came when, who was called, who gave up: the pure line, and the contract of its stores.
pub mod line;
/// Which room a request belongs to.
pub mod route;
/// Tickets and passes, and the keys that sign them.
pub mod token;
/// Who a visitor is, as the site says.
pub mod person;
/// Credentials and the line → a decision.
pub mod gate;
/// Verifies an exported admission log.
pub mod audit;
/// Whether what is left will last until a visitor's turn.
pub mod forecast;
/// What a sale needs of machines.
pub mod capacity;

// ── rooms ──────────────────────────────────────────────────────────────────────────────────────
/// Certificates: ours, and those that are believed.
pub mod tls;
/// How long a peer may take nothing, or say nothing.
pub mod patience;
/// The way to an upstream.
pub mod proxy;
/// How an upstream does, as this gateway sees it.
pub mod health;
/// What is sold out, from memory.
pub mod sold_out;
/// Who has a live connection here, and when each is to hear.
pub mod live;
/// Who is here.
pub mod presence;
/// The line as this gateway knows it.
pub mod mirror;
/// A room as this gateway runs it.
pub mod room;
/// Calls, once a tick.
pub mod ticker;
/// A stream of which a little was read already.
pub mod resumed;
/// How often one address may join.
pub mod limit;
/// Crawlers that need no place, by their published addresses.
pub mod crawlers;
/// What a visitor is told.
pub mod status;
/// The gateway's own pages.
pub mod waiting;
/// Every answer of the gateway's own; the only file that picks status codes.
pub mod respond;
/// Who asks, and how.
pub mod visitor;
/// One live connection.
pub mod websocket;

// ── flow ───────────────────────────────────────────────────────────────────────────────────────
/// The configuration.
pub mod config;
/// Who changed what, and when.
pub mod audit_trail;
/// What a sale needs, looked at before it.
pub mod doctor;
/// The admin listener.
pub mod console;
/// One request's life.
pub mod pipeline;
/// The public listener.
pub mod server;
/// The composition root.
pub mod gateway;
/// The commands.
pub mod cli;
