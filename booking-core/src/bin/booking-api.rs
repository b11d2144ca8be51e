//! The booking API.
fn main() {}
