//! Moments as a person writes them, and as one reads them.

use std::time::Duration;

use time::{Date, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description};

/// Where a period begins: `2026-01-31`, `2026-01-31T18:42:00Z`, or `7d` ago.
pub fn beginning(text: &str) -> Result<OffsetDateTime, String> {
    moment(text, Duration::ZERO)
}

/// Where a period ends: the same, but a date's whole day is in it.
pub fn end(text: &str) -> Result<OffsetDateTime, String> {
    moment(text, Duration::from_secs(24 * 60 * 60))
}

fn moment(text: &str, within_day: Duration) -> Result<OffsetDateTime, String> {
    let day = format_description!("[year]-[month]-[day]");
    if let Ok(date) = Date::parse(text, day) {
        return Ok(date.midnight().assume_utc() + within_day);
    }
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(at.to_offset(UtcOffset::UTC));
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| time::Duration::try_from(ago).ok());
    ago.and_then(|ago| OffsetDateTime::now_utc().checked_sub(ago)).ok_or_else(|| {
        "neither a date like 2026-01-31, nor a time like 2026-01-31T18:42:00Z, nor an age like 7d".into()
    })
}

/// A moment for machines: `2026-01-31T18:42:00Z`.
pub fn machine(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}

/// A moment for people, in UTC: `2026-01-31 18:42:00`.
pub fn person(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    at.to_offset(UtcOffset::UTC).format(format).unwrap_or_default()
}

/// How long something took: its two largest units.
pub fn span(length: time::Duration) -> String {
    let length = Duration::try_from(length).unwrap_or_default();
    if length < Duration::from_secs(1) {
        return "under 1s".to_owned();
    }
    let whole = humantime::format_duration(Duration::from_secs(length.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        assert_eq!(beginning("2026-01-31"), Ok(datetime!(2026-01-31 0:00 UTC)));
        assert_eq!(end("2026-01-31"), Ok(datetime!(2026-02-01 0:00 UTC)));
        for read in [beginning, end] {
            assert_eq!(read("2026-01-31T19:42:00+01:00"), Ok(datetime!(2026-01-31 18:42 UTC)));
            let week_ago = read("7d").unwrap();
            assert_eq!((OffsetDateTime::now_utc() - week_ago).whole_days(), 7);
            for text in ["", "yesterday", "2026-02-30", "31.1.2026", "-7d", "999999999999y"] {
                assert!(read(text).is_err_and(|why| why.contains("7d")), "{text}");
            }
        }
    }

    #[test]
    fn moments_and_spans_are_shown_for_people() {
        let at = datetime!(2026-01-31 19:42:07.5 +1);
        assert_eq!((machine(at).as_str(), person(at).as_str()), ("2026-01-31T18:42:07Z", "2026-01-31 18:42:07"));
        for (seconds, shown) in [(0, "under 1s"), (7, "7s"), (3_723, "1h 2m"), (93_784, "1day 2h"), (-5, "under 1s")] {
            assert_eq!(span(time::Duration::seconds(seconds)), shown);
        }
    }
}
