//! Samples: what a source would send.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{kinds::Sample, place::Places, reading::Reader};

/// The name of the sample that every source has.
pub(super) const DEPARTURE: &str = "departure";

/// The headers that belong to a body, and the body.
pub type Body = (Vec<(String, String)>, Vec<u8>);

/// A sender's own sample, filled in. One address always has the same id.
pub(super) fn filled(sample: &Sample, email: &str, event_id: &str, now: OffsetDateTime) -> Body {
    let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
    let person = Sha256::digest(email.to_ascii_lowercase());
    let values = [
        ("{id}", escaped(event_id)),
        ("{email}", escaped(email)),
        ("{idp_id}", format!("sample-{}", hex::encode(&person[..8]))),
        ("{number}", u32::from_be_bytes([person[0], person[1], person[2], person[3]]).to_string()),
        ("{time}", now.format(&Rfc3339).unwrap_or_default()),
        ("{milliseconds}", milliseconds.to_string()),
    ];
    let fill = |text: &str| values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let headers = sample.headers.iter().map(|(name, value)| (name.clone(), fill(value)));
    (headers.collect(), fill(&sample.body).into_bytes())
}

/// As it stands between the quotes of a JSON text.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A body in which everything stands where the configuration says.
pub(super) fn put(reader: &Reader, email: &str, event_id: &str, now: OffsetDateTime) -> Body {
    let mut event = json!({});
    let mut put = |places: &Option<Places>, value: Value| {
        if let Some(place) = places.as_ref().and_then(Places::first) {
            place.put(&mut event, value);
        }
    };
    let (map, person) = (&reader.event, &reader.person);
    put(&map.id, event_id.into());
    put(&map.occurred_at, now.format(&Rfc3339).unwrap_or_default().into());
    put(&person.email, email.into());
    put(&person.idp_id, format!("sample-{event_id}").into());
    put(&person.external_id, format!("sample-{event_id}").into());
    let rule = map.departure();
    put(&Some(map.kind.clone()), rule.map(|rule| rule.kind.clone()).into());
    for (place, value) in rule.into_iter().flat_map(|rule| rule.conditions.examples()).chain(map.r#where.examples()) {
        place.put(&mut event, value.clone());
    }
    let mut body = json!({});
    match map.items.as_ref().and_then(Places::first) {
        Some(place) => place.put(&mut body, json!([event])),
        None => body = event,
    }
    (Vec::new(), body.to_string().into_bytes())
}
