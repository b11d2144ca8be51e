//! Vestibule: a virtual waiting room and admission-control gateway.
//!
//! The chapters stand in reading order: each imports only from those above it.

// words
pub mod clock;

// laws: pure, no I/O, no clock
pub mod admission;
pub mod line;

// commands
pub mod cli;
