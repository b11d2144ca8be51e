//! The one end-to-end test binary: everything here speaks over real sockets or to real programs.

mod adaptive;
mod binary;
mod certificates;
mod crowd;
mod gateway;
mod house;
mod line;
mod observed;
mod program;
mod proxy;
mod redis_cluster;
mod redis_sentinels;
mod redis_server;
mod simulation;
mod tokens;
mod torture;
mod traced;
