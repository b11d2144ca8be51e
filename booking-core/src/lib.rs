//! Sells seats without ever selling one twice.
//!
//! Read the chapters in this order; each knows only those before it.

pub mod domain;

pub mod clock;

pub mod store;

pub mod catalogue;

pub mod metrics;

pub mod teller;

pub mod provider;
