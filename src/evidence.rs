//! Evidence of removed access, as an auditor reads it.

mod case;
mod figures;
mod protections;
pub mod times;

pub use case::{Case, ProviderRow};
pub use figures::Figures;
pub use protections::describe as describe_protection;
