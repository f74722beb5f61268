//! What a verified delivery says: who left, and when.

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::person::Person;

/// What is in one delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The people who left.
    pub departures: Vec<Departure>,
    /// The people of whom it says that they are there.
    pub returns: Vec<Return>,
    /// What it says of whom the source's ids stand for.
    pub lessons: Vec<Lesson>,
    /// The events that are none of our business.
    pub ignored: Vec<Ignored>,
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
    /// Who it is.
    pub person: Person,
}

/// A person is there: was created, or came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Who it is.
    pub person: Person,
    /// When that was, if the source tells.
    pub at: Option<OffsetDateTime>,
}

/// An event by which a source's directory learns who one of its ids stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// Whose id it is ([`Person::idp_id`]; without one nothing is learned), and what the event says of them.
    pub person: Person,
    /// What its addresses are worth.
    pub verified: Verification,
    /// When that was, if the source tells.
    pub at: Option<OffsetDateTime>,
}

/// What a lesson's addresses are worth. Whoever may write any address into a profile must not become that address's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// They are proven: the organisation gave them, or their owner answered a message.
    Proven,
    /// The main address was entered and nothing more; nobody is removed by it until it is confirmed.
    Claimed,
    /// There is no address: the one that this id claimed last is proven.
    Confirms,
}

/// An event as its source names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The source's id of it.
    pub id: String,
    /// The source's name of its type.
    pub kind: String,
    /// When it happened, if the source tells.
    pub occurred_at: Option<OffsetDateTime>,
}

/// An event that is not a departure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// The source's id of it.
    pub id: String,
    /// The source's name of its type.
    pub kind: String,
    /// Why nothing is done.
    pub reason: &'static str,
}

/// Reads a time as senders write it: RFC 3339; the same with a space for the `T`, without a zone (then it is UTC), or with
/// an offset without a colon; or a count of seconds or milliseconds since 1970.
pub fn parse_time(value: &serde_json::Value) -> Option<OffsetDateTime> {
    match value {
        serde_json::Value::Number(number) => from_count(number.as_i64()?),
        serde_json::Value::String(text) => from_text(text.trim()),
        _ => None,
    }
}

/// Counts beyond this are milliseconds: as seconds they would lie in the year 5138.
const FIRST_MILLISECONDS: u64 = 100_000_000_000;

fn from_count(count: i64) -> Option<OffsetDateTime> {
    let nanoseconds = if count.unsigned_abs() < FIRST_MILLISECONDS { 1_000_000_000 } else { 1_000_000 };
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(count) * nanoseconds).ok()
}

fn from_text(text: &str) -> Option<OffsetDateTime> {
    let text = text.trim_end_matches(" UTC");
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let zone = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let zone = match zone.trim() {
        "" => "Z".to_owned(),
        zone if zone.len() == 5 && zone.is_char_boundary(3) => format!("{}:{}", &zone[..3], &zone[3..]),
        zone => zone.to_owned(),
    };
    OffsetDateTime::parse(&format!("{date}T{}{zone}", time.trim()), &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_read_as_senders_write_them() {
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
            assert_eq!(parse_time(&json!(text)), Some(noon), "{text}");
        }
        assert_eq!(parse_time(&json!(1769884920)), Some(noon));
        assert_eq!(parse_time(&json!(1769884920000_i64)), Some(noon));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for value in [
            json!(""),
            json!("yesterday"),
            json!("2026-01-31"),
            json!("2026-13-31T00:00:00Z"),
            json!("2026-01-31T18:42:00+é0"),
            json!(null),
            json!({}),
            json!(i64::MAX),
            json!(i64::MIN),
        ] {
            assert_eq!(parse_time(&value), None, "{value}");
        }
    }
}
