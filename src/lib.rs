//! A virtual waiting room and admission-control gateway.

pub mod token;

pub mod proxy;
