//! Durations as people write them: `10s`, `5m`, `7d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a duration that is not zero.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = zero_or_more(deserializer)?;
    if duration.is_zero() {
        return Err(D::Error::custom("`0s` is not a duration here: write 10s, 5m, 1h or 7d"));
    }
    Ok(duration)
}

/// Reads a duration that may be missing.
pub(crate) fn option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserialize(deserializer).map(Some)
}

/// Reads a duration between two bounds, both included.
pub(crate) fn within<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: Duration,
    most: Duration,
) -> Result<Duration, D::Error> {
    let duration = zero_or_more(deserializer)?;
    if duration < least || duration > most {
        return Err(D::Error::custom(format!("{} is not between {} and {}", days(duration), days(least), days(most))));
    }
    Ok(duration)
}

/// Returns a duration as a person writes it, in days at most: `400d`, not `1y 1month 4d`.
pub(crate) fn days(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(DAY.as_secs()) => format!("{}d", seconds / DAY.as_secs()),
        _ => humantime::format_duration(duration).to_string(),
    }
}

fn zero_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|_| D::Error::custom(format!("`{text}` is not a duration: write 10s, 5m, 1h or 7d")))
}
