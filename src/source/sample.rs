//! Samples: what a source would send.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    kinds::Sample,
    place::Places,
    reading::Reader,
    rules::{Meaning, Rule},
};

/// The name of the sample that every source has.
pub(super) const DEPARTURE: &str = "departure";
/// The name of the sample that teaches an address.
pub(super) const CREATED: &str = "created";

/// The headers that belong to a body, and the body.
pub type Body = (Vec<(String, String)>, Vec<u8>);

/// A sender's own sample, filled in.
pub(super) fn filled(sample: &Sample, email: &str, event_id: &str, now: OffsetDateTime) -> Body {
    let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
    let number = u32::from_str_radix(&person(email)[..8], 16).unwrap_or_default();
    let values = [
        ("{id}", escaped(event_id)),
        ("{email}", escaped(email)),
        ("{idp_id}", idp_id(email)),
        ("{number}", number.to_string()),
        ("{time}", written(now)),
        ("{milliseconds}", milliseconds.to_string()),
    ];
    let fill = |text: &str| values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let headers = sample.headers.iter().map(|(name, value)| (name.clone(), fill(value)));
    (headers.collect(), fill(&sample.body).into_bytes())
}

/// The rule for the events of which a sample of this name is one.
pub(super) fn rule<'a>(reader: &'a Reader, what: &str) -> Option<&'a Rule> {
    match what {
        DEPARTURE => reader.event.rule(Meaning::Departure),
        CREATED => reader.event.rule(Meaning::Return).or_else(|| reader.event.rule(Meaning::Person)),
        _ => None,
    }
}

/// A body of an event by this rule, in which everything stands where the configuration says.
pub(super) fn put(reader: &Reader, rule: &Rule, email: &str, event_id: &str, now: OffsetDateTime) -> Body {
    let mut event = json!({});
    let (map, person) = (&reader.event, &reader.person);
    let conditions = rule.conditions.examples().chain(map.r#where.examples());
    let values = [
        (&map.id, event_id.into()),
        (&map.occurred_at, written(now).into()),
        (&person.email, email.into()),
        (&person.emails, json!([email])),
        (&person.verified, true.into()),
        (&person.idp_id, idp_id(email).into()),
        (&person.external_id, idp_id(email).into()),
    ];
    for (places, value) in values {
        if let Some(place) = places.as_ref().and_then(Places::first) {
            place.put(&mut event, value);
        }
    }
    if let Some(place) = map.kind.first() {
        place.put(&mut event, rule.kind.clone().into());
    }
    for (place, value) in conditions {
        place.put(&mut event, value.clone());
    }
    let mut body = json!({});
    match map.items.as_ref().and_then(Places::first) {
        Some(place) => place.put(&mut body, json!([event])),
        None => body = event,
    }
    (Vec::new(), body.to_string().into_bytes())
}

/// The id of the person with this address: always the same.
fn idp_id(email: &str) -> String {
    format!("sample-{}", &person(email)[..16])
}

fn person(email: &str) -> String {
    hex::encode(Sha256::digest(email.to_ascii_lowercase()))
}

fn written(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// As it stands between the quotes of a JSON text.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
