//! Times and durations as evidence, and the command line, show them.

use std::time::Duration;

use time::{OffsetDateTime, UtcOffset, macros::format_description};

use crate::config::duration_in_words;

/// Returns a time as RFC 3339: `2026-01-31T18:42:00Z`.
pub fn rfc3339(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}

/// Returns a time for a table, in UTC: `2026-01-31 18:42:00`.
pub fn table(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    at.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}

/// Returns a duration for a person: its two largest units.
pub fn span(length: time::Duration) -> String {
    let length = Duration::try_from(length).unwrap_or_default();
    if length.as_secs() == 0 { "under 1 second".to_owned() } else { duration_in_words(length) }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_and_spans_are_shown() {
        let at = datetime!(2026-01-31 19:42:07.5 +1);
        assert_eq!((rfc3339(at).as_str(), table(at).as_str()), ("2026-01-31T18:42:07Z", "2026-01-31 18:42:07"));
        for (seconds, shown) in
            [(0, "under 1 second"), (7, "7 seconds"), (93_784, "1 day 2 hours"), (-5, "under 1 second")]
        {
            assert_eq!(span(time::Duration::seconds(seconds)), shown);
        }
    }
}
