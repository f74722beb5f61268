//! offboard takes a leaver's access away from every SaaS product that single sign-on does not reach.
//!
//! The flow, one function per arrow, each type made only by the arrow before it:
//!
//! ```text
//! Request ─authenticate→ Verified ─read→ Departures + identity facts ─record→ Record ─advance→ Record ─report→ Response
//!
//! advance: facts → judge → look up → (facts, if older than 5 s) → note the intent → remove → prove → note → close
//! ```
//!
//! Invariants, each held by a type or a test:
//!
//! 1. Nothing parses a body that was not authenticated: [`webhook::Verified`] has one private constructor.
//! 2. A departure is recorded before any provider API is called. The record alone is the promise; the queue only makes it
//!    faster.
//! 3. [`judgement::judge`] is a pure function and the only place that decides whether accounts are removed. All vetoes are
//!    evaluated, always. It runs on reception, on every resumption, and before every removal on facts at most 5 seconds old.
//! 4. What a source said is stored as said, with its time. Whether a person has left follows from the state of their departures.
//! 5. Exactness, proof and retry live in [`engine`] and [`outbound`]; a provider looks up and removes, once each.
//! 6. Every configured provider gets exactly one outcome per departure. Absence needs a look-up that could have seen the person.
//! 7. No secret, e-mail address, URL or raw body in a log line, an error or an answer.
//! 8. Work is bounded: departures worked on at once, bytes of a record and of a response, items of a delivery, attempts, time.
//!
//! The modules in reading order. From outside to inside:
//!
//! - [`lambda`] starts the function and reads the runtime's events: HTTP requests, messages of queues, ticks.
//! - `handler` takes one request through the flow; `answer` is what its sender gets.
//! - [`webhook`] authenticates deliveries: HMAC signatures, JWTs, static tokens, events of partners of EventBridge.
//! - [`source`] reads authenticated deliveries, by rules for each kind of sender.
//! - [`scim`] is the endpoint to which identity providers provision their people.
//!
//! A departure:
//!
//! - [`person`] has e-mail addresses and ids, how they compare and how they are masked.
//! - [`departure`] has departures and identity facts as a delivery says them.
//! - [`flow`] records and advances departures.
//! - [`judgement`] decides whether accounts are removed; `verdict` has the vetoes and what follows from them.
//! - [`ledger`] keeps departure records and identity facts, in DynamoDB or in memory.
//! - [`operator`] carries out what a person decides about a departure: release, dismiss, replay, confirm.
//! - [`outcome`] has outcomes, statuses and failures; [`report`] is the masked report; [`notification`] is what people and other
//!   automation are to know of a departure; [`evidence`] is what an auditor reads of many.
//!
//! The products from which accounts are removed:
//!
//! - [`engine`] carries a removal out at all providers at once, and proves it; each removal waits at the `barrier`.
//! - [`providers`] are the products and their registry.
//! - [`outbound`] is the HTTP client for everything but AWS; `oauth` fetches access tokens.
//!
//! Below all of them:
//!
//! - [`config`] reads `offboard.toml` and reports every error at once; `settings` reads its tables.
//! - [`secrets`] reads and caches the secrets of sources and providers.
//! - [`queue`] sends messages that advance departures; [`event_bus`] publishes notifications; [`archive`] keeps files of evidence; `metrics`
//!   writes metrics to standard output.
//! - [`aws`] sets the AWS SDK up, and signs calls without it; `tls` has the certificate authorities.
#![forbid(unsafe_code)]

mod answer;
pub mod archive;
pub mod aws;
mod barrier;
pub mod config;
pub mod departure;
pub mod engine;
pub mod event_bus;
pub mod evidence;
pub mod flow;
mod handler;
pub mod judgement;
pub mod lambda;
pub mod ledger;
mod metrics;
pub mod notification;
mod oauth;
pub mod operator;
pub mod outbound;
pub mod outcome;
pub mod person;
pub mod providers;
pub mod queue;
pub mod report;
pub mod scim;
pub mod secrets;
mod settings;
pub mod source;
mod tls;
mod verdict;
pub mod webhook;
