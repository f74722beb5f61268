//! Reads tables of TOML piece by piece: every error in them is reported with its line and the nearest known name.

mod base_url;
pub(crate) mod duration;
pub(crate) mod fields;
pub(crate) mod nearest;
mod section;
mod words;

pub use base_url::BaseUrl;
pub use duration::duration_in_words;
pub use nearest::suggestion;
pub use section::Diagnostics;
pub(crate) use section::{Reporter, Section};
