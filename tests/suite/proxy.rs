//! The proxy over real sockets: raw bytes in, raw bytes recorded at the other end.

mod faults;
mod kinds;
mod meaning;
mod stand;
mod streams;
mod trailers;
pub mod wire;
