//! What a verified delivery says: who left, who is there, and when.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use time::{Date, Month, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339, macros::time};

use crate::person::Person;

/// The most events that one delivery may hold: each costs memory, and up to seven calls of the table.
pub(crate) const MAX_EVENTS: usize = 10_000;

/// Everything that one delivery says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryEvents {
    /// The people who left.
    pub departures: Vec<Departure>,
    /// What it says of the people whose ids the source knows.
    pub facts: Vec<IdentityFact>,
    /// The events that change nothing, each with the reason.
    pub ignored: Vec<Ignored>,
    /// The events, or parts of events, that could not be read.
    pub unreadable: Vec<Unreadable>,
}

impl DeliveryEvents {
    /// Adds what another delivery of the same source says.
    ///
    /// # Errors
    /// If the id of a departure stands for somebody else's here: to leave out either would be to lose it. Nothing was added.
    pub(crate) fn add(&mut self, other: Self) -> Result<(), Unreadable> {
        let Self { departures, facts, ignored, unreadable } = other;
        let known = |new: &Departure| self.departures.iter().find(|known| known.id == new.id);
        if departures.iter().any(|new| known(new).is_some_and(|known| known.person != new.person)) {
            return Err(Unreadable::IdOfAnother);
        }
        let (again, new): (Vec<_>, Vec<_>) = departures.into_iter().partition(|departure| known(departure).is_some());
        self.departures.extend(new);
        self.facts.extend(facts);
        self.ignored
            .extend(ignored.into_iter().chain(again.into_iter().map(|departure| Ignored::duplicate(departure.event))));
        self.unreadable.extend(unreadable);
        Ok(())
    }
}

/// A person left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// `source/event id`: the same for every delivery of this event.
    pub id: String,
    /// The name of the source.
    pub source: String,
    /// The event that says so.
    pub event: Event,
    /// Who left.
    pub person: Person,
}

/// What a source says of one of its ids: which e-mail addresses and external id belong to it, and whether the person is
/// active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFact {
    /// The id ([`Person::idp_id`]) and what the event says of the person.
    pub person: Person,
    /// Whether the event says that the person is active.
    pub word: Word,
    /// What its e-mail addresses are worth.
    pub verified: Verification,
    /// When that was, if the source says so.
    pub at: Option<EventTime>,
}

/// Whether an identity fact says that the person is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The person is active at that time: was created, or came back.
    Active,
    /// The person is known by these addresses and ids. It is not a return.
    Known,
    /// The person is not active at that time: ends the last word "active" of this id, and is not a departure. Only a SCIM
    /// client says it, of a user who never was active or whose departure was recorded before.
    Inactive,
}

/// What the e-mail addresses of an identity fact are worth. A person who may write any address into a profile must not
/// become that address's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// They are verified: the organization assigned them, or their owner answered a message.
    Verified,
    /// They are verified and all that there are: one that is not named is the person's no longer.
    Complete,
    /// The main address was entered and nothing more; no account is removed by it until it is confirmed.
    Claimed,
    /// There is no address: the last one that this id claimed is verified.
    Confirms,
}

/// An event as its source names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The source's id of it.
    pub id: String,
    /// The source's name of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened, if the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<EventTime>,
    /// The source's name of the organization, tenant or realm in which it happened, if the source says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

/// An event that is not a departure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// The source's id of it.
    pub id: String,
    /// The source's name of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Why nothing is done.
    pub reason: &'static str,
}

impl Ignored {
    /// The repetition of a departure in one delivery.
    pub(crate) fn duplicate(event: Event) -> Self {
        Self { id: event.id, kind: event.kind, reason: "duplicate in this delivery" }
    }
}

/// An authenticated delivery, or an event in it, that cannot be read. Names the pointer, never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is no JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// It is JSON, but an object in it names a key twice: which of the two counts is undefined.
    #[error("the body names a key twice in one object")]
    KeyTwice,
    /// A field that is needed is missing.
    #[error("field {0} is missing")]
    Missing(String),
    /// A field has another form than the source promises.
    #[error("{}", malformed(.0))]
    Malformed(String),
    /// The source does not say that the person's e-mail address is verified.
    #[error("field {0} does not say that the e-mail address is verified")]
    Unverified(String),
    /// The id stands for somebody else's departure in the same delivery.
    #[error("two departures in the delivery have one id")]
    IdOfAnother,
    /// The delivery holds more than `MAX_EVENTS` events.
    #[error("the delivery holds more than {MAX_EVENTS} events: let its sender make smaller batches")]
    TooManyEvents,
}

fn malformed(pointer: &str) -> String {
    match pointer {
        "" => "the body is not of the source's form".to_owned(),
        _ => format!("field {pointer} cannot be read"),
    }
}

/// When an event happened, as its source said it: a point in time, or only a day.
///
/// Serialized as it was said: RFC 3339 with the source's own offset, or the bare date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTime {
    /// A point in time.
    Instant(OffsetDateTime),
    /// A day without a time: an effective date.
    Day(Date),
}

impl EventTime {
    /// Returns the point in time that is meant, for an event that was received at `received_at`.
    ///
    /// A day that is still ahead means its end, 23:59:59.999 UTC; any other day means its end or the reception, whichever is
    /// earlier.
    pub fn resolve(self, received_at: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::Instant(at) => at,
            Self::Day(day) => {
                let end = day.with_time(time!(23:59:59.999)).assume_utc();
                if day > received_at.to_offset(UtcOffset::UTC).date() { end } else { end.min(received_at) }
            }
        }
    }

    /// Reads a time as senders write it: RFC 3339; the same with a space for the `T`, without a zone (then it is UTC), or
    /// with an offset without a colon; a bare date; or a count of seconds or milliseconds since 1970.
    pub fn parse(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Number(number) => from_count(number.as_i64()?),
            serde_json::Value::String(text) => from_text(text.trim()),
            _ => None,
        }
    }
}

impl From<OffsetDateTime> for EventTime {
    fn from(at: OffsetDateTime) -> Self {
        Self::Instant(at)
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(at) => f.write_str(&at.format(&Rfc3339).map_err(|_| fmt::Error)?),
            // "2026-01-31": the `time` crate shows a date so.
            Self::Day(day) => write!(f, "{day}"),
        }
    }
}

impl Serialize for EventTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_text(&text).ok_or_else(|| D::Error::custom("neither an RFC 3339 time nor a date"))
    }
}

/// Counts beyond this are milliseconds: as seconds they would lie in the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

fn from_count(count: i64) -> Option<EventTime> {
    let nanoseconds = if count.unsigned_abs() < FIRST_MILLISECONDS { 1_000_000_000 } else { 1_000_000 };
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(count) * nanoseconds).ok()?;
    // RFC 3339 has no year before 0: a record with such a time could not be written.
    (at.year() >= 0).then_some(EventTime::Instant(at))
}

fn from_text(text: &str) -> Option<EventTime> {
    let text = text.trim_end_matches(" UTC");
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else { return from_date(text) };
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let zone = match zone.trim() {
        "" => "Z".to_owned(),
        zone if zone.len() == 5 && zone.is_char_boundary(3) => format!("{}:{}", &zone[..3], &zone[3..]),
        zone => zone.to_owned(),
    };
    let at = OffsetDateTime::parse(&format!("{date}T{}{zone}", time.trim()), &Rfc3339).ok()?;
    Some(EventTime::Instant(at))
}

/// Reads `YYYY-MM-DD` and nothing else.
fn from_date(text: &str) -> Option<EventTime> {
    let part = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u16>().ok()
    };
    let is_date = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    let (year, month, day) = is_date.then(|| Some((part(0, 4)?, part(5, 7)?, part(8, 10)?))).flatten()?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(year.into(), month, u8::try_from(day).ok()?).ok().map(EventTime::Day)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::{date, datetime};

    use super::*;

    #[test]
    fn time_as_senders_write_it_is_an_instant() {
        let noon = datetime!(2026-01-31 18:42:00 UTC);
        for text in [
            "2026-01-31T18:42:00Z",
            "2026-01-31T18:42:00.000Z",
            "2026-01-31 18:42:00",
            "2026-01-31 18:42:00 UTC",
            "2026-01-31T18:42:00.000000",
            "2026-01-31T18:42:00+0000",
            "2026-01-31T19:42:00+01:00",
            "2026-01-31T17:12:00-0130",
        ] {
            assert_eq!(EventTime::parse(&json!(text)), Some(EventTime::Instant(noon)), "{text}");
        }
        assert_eq!(EventTime::parse(&json!(1769884920)), Some(EventTime::Instant(noon)));
        assert_eq!(EventTime::parse(&json!(1769884920000_i64)), Some(EventTime::Instant(noon)));
    }

    #[test]
    fn bare_date_is_a_day_and_midnight_is_an_instant() {
        assert_eq!(EventTime::parse(&json!(" 2026-01-31 ")), Some(EventTime::Day(date!(2026 - 01 - 31))));
        let midnight = datetime!(2026-01-31 00:00:00 UTC);
        assert_eq!(EventTime::parse(&json!("2026-01-31T00:00:00")), Some(EventTime::Instant(midnight)));
    }

    #[test]
    fn unreadable_time_is_none() {
        for value in [
            json!(""),
            json!("yesterday"),
            json!("2026-02-29"),
            json!("2026-1-31"),
            json!("+026-01-31"),
            json!("20260131"),
            json!("2026/01/31"),
            json!("31.01.2026"),
            json!("é026-01-3"),
            json!("2026-13-31T00:00:00Z"),
            json!("2026-01-31T18:42:00+é0"),
            json!(null),
            json!({}),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(-90_000_000_000_i64),
        ] {
            assert_eq!(EventTime::parse(&value), None, "{value}");
        }
    }

    #[test]
    fn day_resolves_to_its_end_or_to_reception_whichever_is_earlier() {
        let day = EventTime::Day(date!(2026 - 01 - 31));
        let end = datetime!(2026-01-31 23:59:59.999 UTC);
        for (received_at, expected) in [
            (datetime!(2026-01-30 23:59:59 UTC), end),
            (datetime!(2026-01-31 09:00:00 UTC), datetime!(2026-01-31 09:00:00 UTC)),
            // In UTC it is still the 31st.
            (datetime!(2026-02-01 01:00:00 +2), datetime!(2026-02-01 01:00:00 +2)),
            (datetime!(2026-02-01 00:00:00 UTC), end),
            (datetime!(2026-03-01 00:00:00 UTC), end),
        ] {
            assert_eq!(day.resolve(received_at), expected, "{received_at}");
        }
        let instant = datetime!(2030-01-31 09:00:00 UTC);
        assert_eq!(EventTime::Instant(instant).resolve(end), instant);
    }

    #[test]
    fn event_time_is_written_as_it_was_said() {
        for text in ["2026-01-31", "0001-01-01", "2026-01-31T19:42:00+01:00", "2026-01-31T18:42:00.123Z"] {
            let read: EventTime = serde_json::from_value(json!(text)).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), json!(text));
            assert_eq!(EventTime::parse(&json!(text)), Some(read));
        }
        assert!(serde_json::from_value::<EventTime>(json!("soon")).is_err_and(|error| error.is_data()));
    }
}
