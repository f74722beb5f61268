//! The library's and the function's tests, in one binary: linked once.
#![allow(unreachable_pub, missing_docs, reason = "a test binary has no users")]

mod answers;
mod config;
mod docs;
mod door;
mod doors;
mod flow;
mod function;
mod jwt;
mod key_sets;
mod kinds;
mod ledger;
mod payloads;
mod queue;
mod scim;
mod senders;
mod signing;
mod sources;
mod support;
mod webhook;
mod words;
