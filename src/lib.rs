//! Vestibule: a virtual waiting room and admission-control gateway.
//!
//! The chapters stand in reading order: each imports only from those above it.

// words
pub mod clock;
pub mod metrics;
pub mod telemetry;

// laws: pure, no I/O, no clock
pub mod admission;
pub mod line;
pub mod route;
pub mod token;
pub mod gate;

// rooms
pub mod proxy;
pub mod sold_out;
pub mod live;
pub mod presence;
pub mod mirror;
pub mod room;
pub mod ticker;
pub mod limit;
pub mod status;
pub mod waiting;
pub mod respond;
pub mod visitor;
pub mod websocket;
pub mod config;
pub mod audit_trail;
pub mod console;

// flow
pub mod pipeline;
pub mod server;
pub mod gateway;

// the commands
pub mod audit;
pub mod cli;
