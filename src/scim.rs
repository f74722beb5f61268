//! SCIM 2.0 (RFC 7643, RFC 7644), as identity providers speak it: `/scim/v2/{source}/…` of a source with `kind = "scim"`.
//!
//! An identity provider provisions its people here as to any other application. A user whom it deactivates or deletes has left:
//! a departure, recorded in one transaction with the user. A write that leaves a user active is a word "active"; one that leaves a
//! user inactive, or deletes one, is a word "inactive".
//!
//! - [`Filter`] and [`Path`] read what clients write; [`Patch`] carries the operations of a PATCH out.
//! - [`User`] is what is kept of a user.
//! - `storage` keeps users, and finds them, in the ledger's table.
//! - `users` carries requests out: what they mean for the ledger.
//! - `endpoint` routes requests and answers them; `discovery` describes the endpoint to clients.

mod discovery;
mod endpoint;
mod error;
mod patch;
mod path;
mod query;
mod storage;
mod user;
mod users;

pub use endpoint::{Envelope, Route, answer, route};
pub use error::ScimError;
pub use patch::Patch;
pub use path::{Filter, Path};
pub use user::User;
