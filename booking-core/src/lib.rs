//! Sells seats without ever selling one twice.
