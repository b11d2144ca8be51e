//! The one end-to-end test binary: everything here speaks over real sockets or to real programs.

mod crowd;
mod line;
mod proxy;
mod redis_server;
mod tokens;
