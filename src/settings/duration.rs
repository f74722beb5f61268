//! Durations as people write them: `10s`, `5m`, `7d`.

use std::{fmt, time::Duration};

use serde::{
    Deserializer,
    de::{Error, Visitor},
};

const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads a duration that is not zero.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let duration = zero_or_more(deserializer)?;
    if duration.is_zero() {
        return Err(D::Error::custom("it must be longer than 0 seconds: write 10s, 5m, 1h or 7d"));
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
        return Err(D::Error::custom(format!(
            "{} is not between {} and {}",
            duration_in_words(duration),
            duration_in_words(least),
            duration_in_words(most)
        )));
    }
    Ok(duration)
}

/// Returns a duration in words, in its two largest units: `56 days`, `1 hour 30 minutes`. Less than a second is `0 seconds`.
pub fn duration_in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units =
        [(DAY, None, "day"), (HOUR, Some(24), "hour"), (MINUTE, Some(60), "minute"), (SECOND, Some(60), "second")];
    let counts = units.map(|(unit, whole, name)| {
        let count = seconds / unit.as_secs();
        (whole.map_or(count, |whole| count % whole), name)
    });
    let words = |(count, name): (u64, &str)| format!("{count} {name}{}", if count == 1 { "" } else { "s" });
    let parts: Vec<_> = counts.into_iter().filter(|(count, _)| *count > 0).take(2).map(words).collect();
    if parts.is_empty() { "0 seconds".to_owned() } else { parts.join(" ") }
}

fn zero_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration, like \"10s\", \"1h\" or \"7d\"")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
            humantime::parse_duration(text)
                .map_err(|_| E::custom(format!("`{text}` is not a duration: write 10s, 5m, 1h or 7d")))
        }
    }

    deserializer.deserialize_str(Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_said_in_its_two_largest_units() {
        for (seconds, expected) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (3_723, "1 hour 2 minutes"),
            (90_000, "1 day 1 hour"),
            (56 * 86_400, "56 days"),
            (400 * 86_400 + 7, "400 days 7 seconds"),
        ] {
            assert_eq!(duration_in_words(Duration::from_secs(seconds)), expected);
        }
    }
}
