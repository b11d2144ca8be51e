//! The one end-to-end test binary: everything here speaks over real sockets or to real programs.

mod proxy;
mod tokens;
