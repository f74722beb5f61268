//! Times as an operator writes them, and as they are shown.

use std::time::Duration;

use offboard::evidence::Month;
pub use offboard::evidence::times::{rfc3339, span, table};
use time::{Date, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::format_description};

/// Reads the start of a period: `2026-01-31`, `2026-01-31T18:42:00Z`, or `7d` ago.
pub fn start(text: &str) -> Result<OffsetDateTime, String> {
    parse(text, Duration::ZERO)
}

/// Reads the end of a period: the same, but a date's whole day is in it.
pub fn end(text: &str) -> Result<OffsetDateTime, String> {
    parse(text, Duration::from_secs(24 * 60 * 60))
}

fn parse(text: &str, within_day: Duration) -> Result<OffsetDateTime, String> {
    let day = format_description!("[year]-[month]-[day]");
    if let Ok(date) = Date::parse(text, day) {
        let at =
            time::Duration::try_from(within_day).ok().and_then(|day| date.midnight().assume_utc().checked_add(day));
        return at.ok_or_else(|| "too far ahead: 9999-12-30 is the last day".to_owned());
    }
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return at.checked_to_offset(UtcOffset::UTC).ok_or_else(|| "too far ahead, in UTC".to_owned());
    }
    let ago = humantime::parse_duration(text).ok().and_then(|ago| time::Duration::try_from(ago).ok());
    ago.and_then(|ago| OffsetDateTime::now_utc().checked_sub(ago)).ok_or_else(|| {
        "neither a date like 2026-01-31, nor a time like 2026-01-31T18:42:00Z, nor an age like 7d".into()
    })
}

/// Returns the months of a period, the newest first.
pub fn months(since: OffsetDateTime, until: OffsetDateTime) -> Vec<Month> {
    let (first, last) = (Month::of(since), Month::of(until));
    std::iter::successors(Some(last), |month| Some(month.previous())).take_while(|month| *month >= first).collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn time_is_read_as_a_date_an_instant_or_an_age() {
        assert_eq!(start("2026-01-31"), Ok(datetime!(2026-01-31 0:00 UTC)));
        assert_eq!(end("2026-01-31"), Ok(datetime!(2026-02-01 0:00 UTC)));
        for read in [start, end] {
            assert_eq!(read("2026-01-31T19:42:00+01:00"), Ok(datetime!(2026-01-31 18:42 UTC)));
            let week_ago = read("7d").unwrap();
            assert_eq!((OffsetDateTime::now_utc() - week_ago).whole_days(), 7);
            for text in ["", "yesterday", "2026-02-30", "31.1.2026", "-7d", "999999999999y"] {
                assert!(read(text).is_err_and(|why| why.contains("7d")), "{text}");
            }
        }
    }

    #[test]
    fn time_beyond_the_calendar_is_refused_and_the_day_before_is_read() {
        assert!(end("9999-12-31T23:00:00-02:00").is_err_and(|why| why.contains("too far ahead")));
        assert!(end("9999-12-31").is_err_and(|why| why.contains("9999-12-30")));
        assert_eq!(end("9999-12-30"), Ok(datetime!(9999-12-31 0:00 UTC)));
        assert_eq!(start("9999-12-31"), Ok(datetime!(9999-12-31 0:00 UTC)));
    }

    #[test]
    fn months_of_a_period_are_its_own_and_the_newest_comes_first() {
        let months = |since, until| {
            let months = super::months(since, until).into_iter();
            months.map(|month| month.to_string()).collect::<Vec<_>>().join(" ")
        };
        let (november, february) = (datetime!(2025-11-30 23:59 UTC), datetime!(2026-02-01 0:00 UTC));
        assert_eq!(months(november, february), "2026-02 2026-01 2025-12 2025-11");
        assert_eq!(months(february, february), "2026-02");
        assert_eq!(months(february, november), "");
        // In UTC it is still January.
        assert_eq!(months(datetime!(2026-02-01 0:30 +1), datetime!(2026-02-01 0:45 +1)), "2026-01");
    }
}
