//! Sells seats without ever selling one twice.
//!
//! Read the chapters in this order; each knows only those before it.

pub mod domain;

pub mod clock;

pub mod fail_point;

pub mod telemetry;

pub mod secret;

mod home;

pub mod store;

pub mod strategy;

pub mod seat_lock;

pub mod catalogue;

pub mod metrics;

pub mod line;

pub mod teller;

pub mod clerk;

pub mod availability;

pub mod notifier;

pub mod provider;

pub mod service;

pub mod worker;

pub mod reaper;

pub mod follower;

pub mod outbox;

pub mod reconciler;

pub mod auditor;

pub mod config;

pub mod lab;

pub mod site;

pub mod api;

mod serving;

pub mod app;

pub mod bench;
