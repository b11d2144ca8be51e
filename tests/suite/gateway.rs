//! The gateway as a whole, in this process, over real sockets.

mod adaptive;
mod announced;
mod busy;
mod edge;
mod idle;
mod live;
mod opening;
mod pair;
mod person;
mod restart;
mod selling;
mod secure;
pub mod stand;
mod steering;
pub mod upstream;
pub mod visitor;
