//! The program as its users meet it: what it prints, how it ends, what it survives.

mod commands;
mod several;
mod serving;
mod starting;
