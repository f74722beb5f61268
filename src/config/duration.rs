//! Durations as people write them: `10s`, `5m`, `7d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Reads a duration; nothing is no duration.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let read = humantime::parse_duration(&text).ok().filter(|duration| !duration.is_zero());
    read.ok_or_else(|| D::Error::custom(format!("`{text}` is no duration: write 10s, 5m, 1h or 7d")))
}

/// Reads a duration that may be missing.
pub(crate) fn option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}
