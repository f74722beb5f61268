//! The configuration: `offboard.toml`.

mod section;

pub use section::Faults;
pub(crate) use section::{Findings, Section};
