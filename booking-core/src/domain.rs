//! What is sold, held, paid and booked: pure values and pure decisions.
//!
//! Nothing here does I/O, reads a clock or draws a random number. A store loads the present state under a lock, asks
//! a function of [`order`] what follows, and writes the [`order::Step`] it is handed, all in one transaction.

pub mod moment;

pub mod money;

pub mod seat;

pub mod class;

pub mod inventory;

pub mod coach;

pub mod id;

pub mod hold;

pub mod placement;

pub mod booking;

pub mod refund;

pub mod payment;

pub mod ledger;

pub mod order;
