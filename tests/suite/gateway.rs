//! The gateway as a whole, in this process, over real sockets.

mod adaptive;
mod busy;
mod edge;
mod idle;
mod live;
mod opening;
mod page;
mod pair;
mod person;
mod restart;
mod selling;
pub mod stand;
mod steering;
pub mod upstream;
pub mod visitor;
