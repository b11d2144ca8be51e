//! The commands of `vestibule`.

pub mod crowd;
