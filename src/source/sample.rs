//! Samples: what a source would send.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    kinds::Sample,
    pointer::Pointers,
    reading::Reader,
    rules::{EventClass, Rule},
};

/// The name of the sample that every source has.
pub(super) const DEPARTURE: &str = "departure";
/// The name of the sample that records an e-mail address.
pub(super) const CREATED: &str = "created";

/// The headers that belong to a body, and the body.
pub(super) type Body = (Vec<(String, String)>, Vec<u8>);

/// Whom a sample is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Their address.
    pub email: &'a str,
    /// The source's own id of them; without one it is made up, for one address always the same.
    pub idp_id: Option<&'a str>,
}

impl<'a> From<&'a str> for Subject<'a> {
    fn from(email: &'a str) -> Self {
        Self { email, idp_id: None }
    }
}

impl Subject<'_> {
    fn idp_id(&self) -> String {
        self.idp_id.map_or_else(|| format!("sample-{}", &self.hash()[..16]), str::to_owned)
    }

    /// The id, where the sender writes a number.
    fn number(&self) -> String {
        match self.idp_id {
            Some(id) if id.bytes().all(|byte| byte.is_ascii_digit()) => id.to_owned(),
            Some(id) => Value::from(id).to_string(),
            None => u32::from_str_radix(&self.hash()[..8], 16).unwrap_or_default().to_string(),
        }
    }

    fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.email.to_ascii_lowercase()))
    }
}

/// A sender's own sample, filled in.
pub(super) fn filled(sample: &Sample, subject: Subject<'_>, event_id: &str, now: OffsetDateTime) -> Body {
    let milliseconds = now.unix_timestamp_nanos() / 1_000_000;
    let values = [
        ("{id}", escaped(event_id)),
        ("{email}", escaped(subject.email)),
        ("{idp_id}", escaped(&subject.idp_id())),
        ("{number}", subject.number()),
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
        DEPARTURE => reader.event.rule(EventClass::Departure),
        CREATED => reader.event.rule(EventClass::Return).or_else(|| reader.event.rule(EventClass::Person)),
        _ => None,
    }
}

/// A body of an event by this rule, in which everything stands where the configuration says.
pub(super) fn put(reader: &Reader, rule: &Rule, subject: Subject<'_>, event_id: &str, now: OffsetDateTime) -> Body {
    let mut event = json!({});
    let (map, person) = (&reader.event, &reader.person);
    let conditions = rule.conditions.examples().chain(map.r#where.examples());
    let values = [
        (&map.id, event_id.into()),
        (&map.occurred_at, written(now).into()),
        (&person.email, subject.email.into()),
        (&person.emails, json!([subject.email])),
        (&person.verified, true.into()),
        (&person.idp_id, subject.idp_id().into()),
        (&person.external_id, subject.idp_id().into()),
    ];
    for (pointers, value) in values {
        if let Some(pointer) = pointers.as_ref().and_then(Pointers::first) {
            pointer.put(&mut event, value);
        }
    }
    if let Some(pointer) = map.kind.first() {
        pointer.put(&mut event, rule.kind.clone().into());
    }
    for (pointer, value) in conditions {
        pointer.put(&mut event, value.clone());
    }
    let mut body = json!({});
    match map.items.as_ref().and_then(Pointers::first) {
        Some(pointer) => pointer.put(&mut body, json!([event])),
        None => body = event,
    }
    (Vec::new(), body.to_string().into_bytes())
}

fn written(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// As it stands between the quotes of a JSON text.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
