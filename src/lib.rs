//! offboard takes a leaver's access away from every SaaS product that single sign-on does not reach.
#![deny(missing_docs)]

pub mod config;
pub mod http;
pub mod outcome;
pub mod person;
pub mod providers;
pub mod secrets;
