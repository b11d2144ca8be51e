//! Lets only requests with a sound Vestibule pass reach a service, so that nobody gets in around the gateway.
//!
//! ```no_run
//! use std::sync::Arc;
//! use axum::{Extension, Router, routing::get};
//! use vestibule_pass::{Claims, Passes, RequirePass};
//!
//! # fn site(jwks: &str) -> Result<Router, vestibule_pass::BadKeys> {
//! // `jwks` is the text of the gateway's /.vestibule/jwks.json.
//! let passes = Arc::new(Passes::new("sale", jwks)?);
//! let book = async |Extension(claims): Extension<Claims>| format!("You are number {}.", claims.num);
//! let site = Router::new().route("/book", get(book)).layer(RequirePass::new(Arc::clone(&passes)));
//! // Now and then, and when `check` says `Unsound::UnknownKey`: passes.replace_keys(jwks)?
//! # Ok(site)
//! # }
//! ```

mod layer;
mod passes;

pub use layer::{PassService, RequirePass};
pub use passes::{BadKeys, Claims, Passes, Unsound};
