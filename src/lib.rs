//! offboard takes a leaver's access away from every SaaS product that single sign-on does not reach.
#![forbid(unsafe_code)]

pub mod answer;
pub mod aws;
pub mod config;
pub mod departure;
pub mod engine;
pub mod flow;
pub mod handler;
pub mod http;
pub mod judgement;
pub mod lambda;
pub mod ledger;
mod metrics;
pub mod oauth;
pub mod outcome;
pub mod person;
pub mod providers;
pub mod queue;
pub mod report;
pub mod secrets;
pub mod source;
pub mod webhook;
