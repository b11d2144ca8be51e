//! The inline reverse proxy.
