//! The one end-to-end test binary: everything here speaks over real sockets or to real programs.

mod binary;
mod crowd;
mod gateway;
mod house;
mod line;
mod program;
mod proxy;
mod redis_server;
mod simulation;
mod tokens;
