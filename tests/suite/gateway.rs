//! The gateway as a whole, in this process, over real sockets.

mod acme;
mod adaptive;
mod admin_tls;
mod announced;
mod answers;
mod asking;
mod busy;
mod clocks;
mod edge;
mod exempt;
mod fleet;
mod floods;
mod idle;
mod live;
mod opening;
mod page;
mod pair;
mod person;
mod proof;
mod restart;
mod selling;
mod secure;
mod site;
pub mod stand;
mod steering;
pub mod upstream;
pub mod visitor;
