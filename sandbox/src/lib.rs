//! Mock services of everything that offboard talks to, and the story that is played on them.
//!
//! - [`mock`]: a server with state that answers on loopback, and refuses what it does not know in every part.
//! - [`vendors`]: the products' APIs.
//! - [`aws`]: Secrets Manager, DynamoDB, SQS, STS and the runtime API of Lambda.
//! - [`envelope`] and [`delivery`]: events in API Gateway's envelope, signed as the sources sign them; [`partner`]: those that
//!   EventBridge delivers.
//! - [`function`], [`gateway`], [`mapping`] and [`invocations`]: the function as a process, and what invokes it: HTTP, the queue,
//!   the schedule, Lambda's API.
//! - [`story`]: what `offboard sandbox` plays, and [`screen`] what it is printed with.

#![forbid(unsafe_code)]

pub mod aws;
pub mod delivery;
pub mod envelope;
pub mod function;
pub mod gateway;
pub mod invocations;
pub mod mapping;
pub mod mock;
pub mod partner;
pub mod screen;
pub mod story;
pub mod vendors;
