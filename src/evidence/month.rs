//! Calendar months.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime, UtcOffset};

/// A calendar month, in UTC. Written as `2026-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Month {
    year: i32,
    month: time::Month,
}

/// A text that is not a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a month like 2026-01")]
pub struct NoMonth;

impl Month {
    /// Returns the month of a time.
    pub fn of(at: OffsetDateTime) -> Self {
        let at = at.to_offset(UtcOffset::UTC);
        Self { year: at.year(), month: at.month() }
    }

    /// Returns the month before.
    #[must_use]
    pub fn previous(self) -> Self {
        let year = if self.month == time::Month::January { self.year - 1 } else { self.year };
        Self { year, month: self.month.previous() }
    }

    /// Returns the month after.
    #[must_use]
    pub fn next(self) -> Self {
        let year = if self.month == time::Month::December { self.year + 1 } else { self.year };
        Self { year, month: self.month.next() }
    }

    /// Returns when it begins.
    pub fn start(self) -> OffsetDateTime {
        // The time crate has no other years than those in which a time can be.
        Date::from_calendar_date(self.year, self.month, 1).unwrap_or(Date::MAX).midnight().assume_utc()
    }

    /// Returns when it has ended: the start of the next.
    pub fn end(self) -> OffsetDateTime {
        self.next().start()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, u8::from(self.month))
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

impl TryFrom<String> for Month {
    type Error = NoMonth;

    fn try_from(text: String) -> Result<Self, NoMonth> {
        text.parse()
    }
}

impl FromStr for Month {
    type Err = NoMonth;

    fn from_str(text: &str) -> Result<Self, NoMonth> {
        let (year, month) =
            text.split_once('-').filter(|(year, month)| (year.len(), month.len()) == (4, 2)).ok_or(NoMonth)?;
        let number = |digits: &str| {
            digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse::<u16>().ok()).flatten()
        };
        let (year, month) = number(year).zip(number(month)).ok_or(NoMonth)?;
        let month = u8::try_from(month).ok().and_then(|month| time::Month::try_from(month).ok()).ok_or(NoMonth)?;
        Ok(Self { year: year.into(), month })
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn month_is_read_as_it_is_written_and_nothing_else_is_one() {
        for text in ["2026-01", "2025-12"] {
            assert_eq!(text.parse::<Month>().map(|month| month.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "2026", "2026-1", "2026-00", "2026-13", "26-01", "2026-01-01", "+026-01", "2026-ä"] {
            assert_eq!(text.parse::<Month>(), Err(NoMonth), "{text}");
        }
    }

    #[test]
    fn month_begins_at_midnight_utc_and_ends_with_the_next() {
        let december = Month::of(datetime!(2026-01-01 0:30 +1));
        assert_eq!(december.to_string(), "2025-12");
        assert_eq!(
            (december.start(), december.end()),
            (datetime!(2025-12-01 0:00 UTC), datetime!(2026-01-01 0:00 UTC))
        );
        assert_eq!((december.next().to_string(), december.next().previous()), ("2026-01".to_owned(), december));
    }
}
